//! Changing a session (RFC 3261 §14.2, RFC 3264, RFC 5407 §3.1.4).

use super::world::*;
use hushbox_sip::Rejection;
use std::time::Duration;

#[test]
fn a_reinvite_is_answered_with_200_until_its_ack() {
    let mut world = World::new();
    let (_, tag) = world.established(udp());
    world.receive(udp(), &request(udp(), "INVITE", 2).tagged(&tag).sdp().text());
    let (request_id, offer) = world.reinvited();
    assert_eq!(offer.as_deref(), Some(SDP.as_bytes()));
    assert_eq!(world.statuses(), [100]);
    world.answer_reinvite(request_id);
    world.advance(Duration::from_millis(600));
    let sent = world.take_sent();
    assert_eq!(sent.iter().map(Sent::status).collect::<Vec<_>>(), [200, 200]);
    assert_eq!(sent[0].to_tag(), tag);
    assert!(sent[0].header("Contact").is_some());
    world.receive(udp(), &request(udp(), "ACK", 2).tagged(&tag).text());
    world.advance(40 * SECOND);
    assert!(world.sent.is_empty());
    assert!(world.events.is_empty(), "the application knows already");
}

#[test]
fn a_reinvite_without_offer_gets_ours_and_its_ack_the_answer() {
    let mut world = World::new();
    let (_, tag) = world.established(udp());
    world.receive(udp(), &request(udp(), "INVITE", 2).tagged(&tag).text());
    let (request_id, offer) = world.reinvited();
    assert_eq!(offer, None);
    world.answer_reinvite(request_id);
    world.receive(udp(), &request(udp(), "ACK", 2).tagged(&tag).sdp().text());
    assert_eq!(world.event_names(), ["Acknowledged with answer"]);
}

#[test]
fn a_refused_reinvite_leaves_the_session_and_its_target() {
    let mut world = World::new();
    let (session, tag) = world.established(udp());
    let elsewhere = "<sip:jane@192.0.2.9>";
    let reinvite = request(udp(), "INVITE", 2).contact(elsewhere).tagged(&tag).sdp();
    world.receive(udp(), &reinvite.text());
    let (request_id, _) = world.reinvited();
    world.sent.clear();
    world.reject_reinvite(request_id, Rejection::new(488).with_warning(305, "no"));
    let refusal = world.only_sent();
    assert_eq!(refusal.status(), 488);
    assert!(refusal.header("Warning").is_some());
    let ack = request(udp(), "ACK", 2).branch("INVITE2").tagged(&tag).text();
    world.receive(udp(), &ack);
    world.advance(10 * SECOND);
    assert!(world.events.is_empty());
    world.hang_up(session);
    assert!(world.only_sent().text.starts_with("BYE sip:jane@192.0.2.1:5070"));
}

// RFC 3261 §12.2.2.
#[test]
fn an_accepted_reinvite_moves_the_target() {
    let mut world = World::new();
    let (session, tag) = world.established(udp());
    let reinvite = request(udp(), "INVITE", 2).contact("<sip:jane@192.0.2.9>").tagged(&tag).sdp();
    world.receive(udp(), &reinvite.text());
    let (request_id, _) = world.reinvited();
    world.answer_reinvite(request_id);
    world.receive(udp(), &request(udp(), "ACK", 2).tagged(&tag).text());
    world.sent.clear();
    world.hang_up(session);
    let bye = world.only_sent();
    assert!(bye.text.starts_with("BYE sip:jane@192.0.2.9 SIP/2.0"), "{}", bye.text);
    assert_eq!(bye.flow, udp(), "it still goes by the dialog's own way");
}

// RFC 3261 §14.2: a second INVITE before the final response to the first.
#[test]
fn a_second_reinvite_too_early_gets_500_with_retry_after() {
    let mut world = World::new();
    let (_, tag) = world.established(udp());
    world.receive(udp(), &request(udp(), "INVITE", 2).tagged(&tag).sdp().text());
    let (request_id, _) = world.reinvited();
    world.sent.clear();
    world.receive(udp(), &request(udp(), "INVITE", 3).tagged(&tag).sdp().text());
    let sent = world.only_sent();
    assert_eq!(sent.status(), 500);
    let after: u32 = sent.header("Retry-After").and_then(|r| r.parse().ok()).expect("seconds");
    assert!(after <= 10);
    world.answer_reinvite(request_id);
    assert_eq!(world.statuses(), [200]);
}

// RFC 3261 §14.2, RFC 5407 §3.1.4: our offer has no answer yet.
#[test]
fn a_reinvite_while_our_offer_waits_gets_491() {
    let mut world = World::new();
    world.receive(udp(), &request(udp(), "INVITE", 1).text());
    let (session, _) = world.invited();
    world.answer(session);
    let tag = world.take_sent().pop().expect("a 200").to_tag();
    world.receive(udp(), &request(udp(), "INVITE", 2).tagged(&tag).sdp().text());
    assert_eq!(world.statuses(), [491]);
    assert!(world.events.is_empty());
}

#[test]
fn a_reinvite_may_overtake_the_ack_of_an_answer() {
    let mut world = World::new();
    world.receive(udp(), &invite(udp()).text());
    let (session, _) = world.invited();
    world.answer(session);
    let tag = world.take_sent().pop().expect("a 200").to_tag();
    world.receive(udp(), &request(udp(), "INVITE", 2).tagged(&tag).sdp().text());
    let (request_id, _) = world.reinvited();
    world.answer_reinvite(request_id);
    world.sent.clear();
    // The first ACK is lost for good; the second one stands for both.
    world.receive(udp(), &request(udp(), "ACK", 2).tagged(&tag).text());
    assert_eq!(world.event_names(), ["Acknowledged"]);
    world.advance(10 * SECOND);
    assert!(world.sent.is_empty());
}

#[test]
fn a_reinvite_without_ack_ends_the_call_after_32_seconds() {
    let mut world = World::new();
    let (_, tag) = world.established(udp());
    world.receive(udp(), &request(udp(), "INVITE", 2).tagged(&tag).sdp().text());
    let (request_id, _) = world.reinvited();
    world.answer_reinvite(request_id);
    world.sent.clear();
    world.advance(32 * SECOND);
    assert!(world.sent.last().is_some_and(|s| s.text.starts_with("BYE ")));
    assert_eq!(world.event_names(), ["Failed NoAck"]);
}

#[test]
fn strange_reinvites_are_refused_without_the_application() {
    let mut world = World::new();
    let (_, tag) = world.established(udp());
    let base = |cseq| request(udp(), "INVITE", cseq).tagged(&tag);
    world.receive(udp(), &base(2).header("Require: foo").sdp().text());
    world.receive(udp(), &base(3).body("text/x", "y").text());
    world.receive(udp(), &base(4).body("multipart/mixed", "y").text());
    assert_eq!(world.statuses(), [420, 415, 400]);
    assert!(world.events.is_empty());
    assert_eq!(world.endpoint.load().sessions, 1);
}

#[test]
fn hanging_up_refuses_the_reinvite_that_waits() {
    let mut world = World::new();
    let (session, tag) = world.established(udp());
    world.receive(udp(), &request(udp(), "INVITE", 2).tagged(&tag).sdp().text());
    world.reinvited();
    world.sent.clear();
    world.hang_up(session);
    let sent = world.take_sent();
    assert_eq!(sent[0].status(), 487);
    assert!(sent[1].text.starts_with("BYE "));
    world.receive(udp(), &request(udp(), "INVITE", 3).tagged(&tag).sdp().text());
    assert_eq!(world.statuses(), [481]);
}

#[test]
fn a_peer_that_never_acknowledges_can_not_pile_up_answers() {
    let mut world = World::new();
    let (_, tag) = world.established(udp());
    for cseq in 2..6 {
        world.receive(udp(), &request(udp(), "INVITE", cseq).tagged(&tag).sdp().text());
        let (request_id, _) = world.reinvited();
        world.answer_reinvite(request_id);
    }
    world.sent.clear();
    world.receive(udp(), &request(udp(), "INVITE", 6).tagged(&tag).sdp().text());
    assert_eq!(world.statuses(), [491]);
}

#[test]
fn a_reinvite_without_offer_waits_for_the_first_ack() {
    let mut world = World::new();
    world.receive(udp(), &invite(udp()).text());
    let (session, _) = world.invited();
    world.answer(session);
    let tag = world.take_sent().pop().expect("a 200").to_tag();
    world.receive(udp(), &request(udp(), "INVITE", 2).tagged(&tag).text());
    assert_eq!(world.statuses(), [491]);
    world.receive(udp(), &request(udp(), "ACK", 1).branch("ack").tagged(&tag).text());
    assert_eq!(world.event_names(), ["Acknowledged"]);
    world.receive(udp(), &request(udp(), "INVITE", 3).tagged(&tag).text());
    assert_eq!(world.event_names(), ["Reinvite"]);
}
