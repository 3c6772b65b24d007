//! UPDATE (RFC 3311) and what is left of PRACK (RFC 3262).

use super::world::*;
use hushbox_sip::Rejection;
use std::time::Duration;

#[test]
fn an_update_without_offer_is_answered_at_once_and_moves_the_target() {
    let mut world = World::new();
    let (session, tag) = world.established(udp());
    let update = request(udp(), "UPDATE", 2).contact("<sip:jane@192.0.2.9>").tagged(&tag);
    world.receive(udp(), &update.text());
    let ok = world.only_sent();
    assert_eq!((ok.status(), ok.header("CSeq")), (200, Some("2 UPDATE")));
    assert!(ok.header("Contact").is_some());
    assert!(world.events.is_empty());
    world.hang_up(session);
    assert!(world.only_sent().text.starts_with("BYE sip:jane@192.0.2.9 "));
}

#[test]
fn an_update_with_an_offer_is_the_applications() {
    let mut world = World::new();
    let (_, tag) = world.established(udp());
    let update = request(udp(), "UPDATE", 2).tagged(&tag).sdp().text();
    world.receive(udp(), &update);
    let (request_id, offer) = world.reinvited();
    assert_eq!(offer.as_deref(), Some(SDP.as_bytes()));
    world.receive(udp(), &update);
    assert!(world.sent.is_empty(), "a non-INVITE request has no 100");
    world.answer_reinvite(request_id);
    let ok = world.only_sent();
    assert_eq!((ok.status(), ok.body()), (200, SDP));
    world.receive(udp(), &update);
    assert_eq!(world.statuses(), [200]);
    world.advance(40 * SECOND);
    assert!(world.sent.is_empty(), "there is no ACK to wait for");
    assert_eq!(world.endpoint.load().transactions, 0);
}

#[test]
fn a_refused_update_leaves_the_session() {
    let mut world = World::new();
    let (_, tag) = world.established(tls(1));
    world.receive(tls(1), &request(tls(1), "UPDATE", 2).tagged(&tag).sdp().text());
    let (request_id, _) = world.reinvited();
    world.reject_reinvite(request_id, Rejection::new(488));
    assert_eq!(world.statuses(), [488]);
    assert_eq!(world.endpoint.load().sessions, 1);
}

// RFC 3311 §5.2.
#[test]
fn offers_that_cross_are_refused_as_those_of_invites() {
    let mut world = World::new();
    let (_, tag) = world.established(udp());
    world.receive(udp(), &request(udp(), "INVITE", 2).tagged(&tag).sdp().text());
    world.reinvited();
    world.sent.clear();
    world.receive(udp(), &request(udp(), "UPDATE", 3).tagged(&tag).sdp().text());
    let sent = world.only_sent();
    assert_eq!(sent.status(), 500);
    assert!(sent.header("Retry-After").is_some());

    let mut world = World::new();
    world.receive(udp(), &request(udp(), "INVITE", 1).text());
    let (session, _) = world.invited();
    world.answer(session);
    let tag = world.take_sent().pop().expect("a 200").to_tag();
    world.receive(udp(), &request(udp(), "UPDATE", 2).tagged(&tag).sdp().text());
    assert_eq!(world.statuses(), [491]);
}

#[test]
fn update_and_prack_without_a_dialog_get_481() {
    let mut world = World::new();
    for method in ["UPDATE", "PRACK"] {
        world.receive(udp(), &request(udp(), method, 1).text());
        world.receive(udp(), &request(udp(), method, 1).tagged("x").text());
    }
    assert_eq!(world.statuses(), [481; 4]);
    let (_, tag) = world.established(udp());
    let prack = request(udp(), "PRACK", 2).header("RAck: 1 1 INVITE").tagged(&tag);
    world.receive(udp(), &prack.text());
    assert_eq!(world.statuses(), [481]);
}

// protocols.md §6: a 420 to this breaks trunks.
#[test]
fn who_requires_100rel_is_answered_straight() {
    let mut world = World::new();
    world.receive(udp(), &invite(udp()).header("Require: 100rel, timer").text());
    let (session, invite) = world.invited();
    assert_eq!(invite.after_authentication(), None);
    world.answer(session);
    assert_eq!(world.statuses(), [100, 200]);
}

// RFC 3261 §26.3.2.4: else a forged source would be flooded.
#[test]
fn a_challenge_is_sent_once_and_again_for_the_same_invite_only() {
    let mut world = World::new();
    let text = invite(udp()).text();
    world.receive(udp(), &text);
    let (session, _) = world.invited();
    world.endpoint.challenge(world.now(), session, Vec::new());
    world.advance(Duration::from_secs(4));
    assert_eq!(world.statuses(), [100, 401]);
    world.receive(udp(), &text);
    assert_eq!(world.statuses(), [401]);
    world.events.clear();
    world.receive(udp(), &invite(udp()).branch("with-credentials").text());
    let (session, _) = world.invited();
    world.endpoint.discard(world.now(), session);
    world.advance(SECOND);
    world.assert_empty();
}

#[test]
fn a_discarded_call_gets_no_answer() {
    let mut world = World::new();
    world.receive(udp(), &invite(udp()).text());
    let (session, _) = world.invited();
    world.sent.clear();
    world.endpoint.discard(world.now(), session);
    world.advance(SECOND);
    assert!(world.sent.is_empty());
    assert_eq!(world.event_names(), ["Terminated"]);
    world.assert_empty();
}

#[test]
fn an_update_leaves_no_transaction_on_a_stream() {
    let mut world = World::new();
    let (_, tag) = world.established(tls(1));
    world.advance(33 * SECOND);
    world.receive(tls(1), &request(tls(1), "UPDATE", 2).tagged(&tag).sdp().text());
    let (request_id, _) = world.reinvited();
    world.answer_reinvite(request_id);
    assert_eq!(world.statuses(), [200]);
    assert_eq!(world.endpoint.load().transactions, 0);
}

#[test]
fn an_update_after_our_bye_gets_481() {
    let mut world = World::new();
    let (session, tag) = world.established(udp());
    world.hang_up(session);
    world.sent.clear();
    world.receive(udp(), &request(udp(), "UPDATE", 2).tagged(&tag).text());
    assert_eq!(world.statuses(), [481]);
}
