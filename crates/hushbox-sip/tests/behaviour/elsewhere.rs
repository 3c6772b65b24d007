//! Requests inside a dialog that come from another address or connection.

use super::world::*;
use hushbox_sip::{Algorithm, Authenticator, Flow, limits};

fn elsewhere() -> Flow {
    Flow { remote: address("203.0.113.1:5071"), ..udp() }
}

#[test]
fn the_application_is_asked_whose_a_request_from_another_address_or_connection_is() {
    for (its_own, other) in [
        (udp(), elsewhere()),
        (udp(), Flow { remote: address("192.0.2.1:5071"), ..udp() }),
        (udp(), tls(1)),
        (tls(1), tls(2)),
        (tls(1), udp()),
    ] {
        let mut world = World::new();
        let (_, tag) = world.established(its_own);
        world.receive(other, &request(other, "BYE", 2).tagged(&tag).text());
        assert!(world.sent.is_empty(), "nothing is said before");
        let (id, request) = world.asked_whose();
        assert_eq!((request.flow, request.method.as_str()), (other, "BYE"));
        assert_eq!(request.request_uri.text(), "sip:1001@vm.example.com");
        world.refuse(id);
        assert_eq!(world.statuses(), [481]);
        assert!(world.events.is_empty(), "the call goes on");
    }
}

#[test]
fn what_is_admitted_counts_and_is_where_our_requests_go_from_then_on() {
    for (its_own, other) in [(udp(), elsewhere()), (tls(1), tls(2)), (udp(), tls(1))] {
        let mut world = World::new();
        let (session, tag) = world.established(its_own);
        world.receive(other, &request(other, "UPDATE", 2).tagged(&tag).text());
        let (id, _) = world.asked_whose();
        world.admit(id);
        assert_eq!(world.statuses(), [200]);
        world.hang_up(session);
        assert_eq!(world.only_sent().flow, other);
    }
}

#[test]
fn an_admitted_bye_ends_the_call_and_its_repetition_is_answered() {
    let mut world = World::new();
    let (_, tag) = world.established(udp());
    let bye = request(elsewhere(), "BYE", 2).tagged(&tag).text();
    world.receive(elsewhere(), &bye);
    let (id, _) = world.asked_whose();
    world.receive(elsewhere(), &bye);
    assert!(world.events.is_empty() && world.sent.is_empty(), "it waits already");
    world.admit(id);
    assert_eq!(world.statuses(), [200]);
    assert_eq!(world.event_names(), ["Bye", "Terminated"]);
    world.receive(elsewhere(), &bye);
    assert_eq!(world.statuses(), [200]);
    world.advance(40 * SECOND);
    world.assert_empty();
}

#[test]
fn an_admitted_reinvite_waits_for_its_answer_like_any_other() {
    let mut world = World::new();
    let (_, tag) = world.established(tls(1));
    world.receive(tls(2), &request(tls(2), "INVITE", 2).tagged(&tag).sdp().text());
    let (id, _) = world.asked_whose();
    world.admit(id);
    let (change, offer) = world.reinvited();
    assert_eq!(offer.as_deref(), Some(SDP.as_bytes()));
    world.answer_reinvite(change);
    let sent = world.take_sent();
    assert_eq!(sent.iter().map(Sent::status).collect::<Vec<_>>(), [100, 200]);
    assert!(sent.iter().all(|response| response.flow == tls(2)));
}

// RFC 3261 §22.2: the challenge comes with the request's own dialog and CSeq.
#[test]
fn a_challenge_is_answered_by_a_request_that_carries_its_credentials() {
    let mut world = World::new();
    let (_, tag) = world.established(tls(1));
    world.receive(tls(2), &request(tls(2), "BYE", 2).tagged(&tag).text());
    let (id, asked) = world.asked_whose();
    assert!(asked.authorization.is_none());
    let challenges =
        Authenticator::new("hushbox", [7; 32]).challenges(1000, &[Algorithm::Sha256], false);
    world.endpoint.challenge_elsewhere(world.now(), id, &challenges);
    world.advance(SECOND);
    let challenged = world.only_sent();
    assert_eq!((challenged.status(), challenged.to_tag()), (401, tag.clone()));
    assert_eq!(challenged.header("CSeq"), Some("2 BYE"));
    assert_eq!(challenged.header("WWW-Authenticate"), Some(challenges[0].value()));
    let authorization = "Authorization: Digest username=\"jane\", realm=\"hushbox\", nonce=\"n\", \
                         uri=\"sip:1001@vm.example.com\", response=\"00\", algorithm=SHA-256";
    let bye = request(tls(2), "BYE", 3).tagged(&tag).header(authorization);
    world.receive(tls(2), &bye.text());
    let (id, again) = world.asked_whose();
    assert_eq!(again.authorization.as_ref().map(|a| a.username()), Some("jane"));
    assert!(!format!("{again:?}").contains("jane") && !format!("{again:?}").contains("1001"));
    world.admit(id);
    assert_eq!(world.statuses(), [200]);
}

#[test]
fn what_is_answered_after_the_call_has_ended_gets_481_and_what_is_dropped_nothing() {
    let mut world = World::new();
    let (_, tag) = world.established(tls(1));
    for cseq in [5, 6] {
        world.receive(tls(2), &request(tls(2), "OPTIONS", cseq).tagged(&tag).text());
    }
    let ids: Vec<_> = std::mem::take(&mut world.events)
        .into_iter()
        .filter_map(|event| match event {
            hushbox_sip::Event::Elsewhere { id, .. } => Some(id),
            _ => None,
        })
        .collect();
    world.receive(tls(1), &request(tls(1), "BYE", 2).tagged(&tag).text());
    world.sent.clear();
    world.admit(ids[0]);
    assert_eq!(world.statuses(), [481]);
    world.endpoint.discard_elsewhere(ids[1]);
    world.advance(SECOND);
    assert!(world.sent.is_empty());
}

#[test]
fn only_so_many_requests_from_elsewhere_wait() {
    let mut world = World::new();
    let (_, tag) = world.established(tls(1));
    let count = u32::try_from(limits::MAX_ELSEWHERE).expect("a small number");
    for n in 0..=count {
        world.receive(tls(2), &request(tls(2), "OPTIONS", 2 + n).tagged(&tag).text());
    }
    assert_eq!(world.statuses(), [481]);
    assert_eq!(world.event_names().len(), limits::MAX_ELSEWHERE);
}

#[test]
fn a_session_that_is_recognised_outlives_its_connection() {
    let mut world = World::new();
    let (session, tag) = world.established(tls(1));
    world.endpoint.recognise(session, 42);
    world.close(tls(1));
    assert!(world.events.is_empty());
    world.receive(tls(2), &request(tls(2), "BYE", 2).tagged(&tag).text());
    let (id, _) = world.asked_whose();
    world.admit(id);
    assert_eq!(world.statuses(), [200]);
    assert_eq!(world.event_names(), ["Bye", "Terminated"]);
}
