//! 100, 200 and ACK (RFC 3261 §8.2.6, §13.3.1).

use super::world::*;
use hushbox_sip::{Flow, InviteBody, Rejection};
use std::time::Duration;

#[test]
fn trying_is_sent_at_once_without_tag_and_with_the_timestamp() {
    let mut world = World::new();
    world.receive(udp(), &invite(udp()).header("Timestamp: 54.21").text());
    let trying = world.only_sent();
    assert_eq!(trying.status(), 100);
    assert_eq!(trying.header("To"), Some("<sip:1001@vm.example.com>"));
    assert_eq!(trying.header("Timestamp"), Some("54.21"));
    assert_eq!(trying.header("Content-Length"), Some("0"));
}

#[test]
fn the_200_copies_what_it_must_and_says_where_we_are() {
    let mut world = World::new();
    let text = invite(udp())
        .via("SIP/2.0/UDP 192.0.2.1:5070;rport")
        .header("Via: SIP/2.0/TLS far.example.com;branch=z9hG4bKfar, SIP/2.0/UDP a.b;branch=1")
        .header("Record-Route: <sip:p1.example.com;lr>, <sip:p2.example.com;lr>")
        .header("Record-Route: <sip:p3.example.com;lr;x=y>")
        .text();
    world.receive(udp(), &text);
    let (session, invite) = world.invited();
    assert_eq!(invite.request_uri.user(), Some("1001"));
    assert_eq!(invite.request_uri.host(), "vm.example.com");
    assert_eq!(invite.from_user.as_deref(), Some("jane"));
    assert_eq!(invite.from_display.as_deref(), Some("Jane"));
    assert_eq!(invite.to_user.as_deref(), Some("1001"));
    assert_eq!(invite.body, InviteBody::Sdp(bytes::Bytes::from_static(SDP.as_bytes())));
    world.sent.clear();
    world.answer(session);
    let ok = world.only_sent();
    assert_eq!(ok.status(), 200);
    assert_eq!(
        ok.headers("Via"),
        [
            "SIP/2.0/UDP 192.0.2.1:5070;branch=z9hG4bKINVITE1;received=192.0.2.1;rport=5070",
            "SIP/2.0/TLS far.example.com;branch=z9hG4bKfar, SIP/2.0/UDP a.b;branch=1",
        ]
    );
    assert_eq!(ok.header("From"), Some("\"Jane\" <sip:jane@pbx.example.com>;tag=from1"));
    assert_eq!(ok.header("Call-ID"), Some("call1@pbx.example.com"));
    assert_eq!(ok.header("CSeq"), Some("1 INVITE"));
    assert_eq!(
        ok.headers("Record-Route"),
        ["<sip:p1.example.com;lr>, <sip:p2.example.com;lr>", "<sip:p3.example.com;lr;x=y>",]
    );
    assert_eq!(ok.header("Contact"), Some("<sip:voicemail@vm.example.com:5060;transport=udp>"));
    assert!(ok.header("Allow").is_some_and(|a| a.contains("INVITE") && a.contains("BYE")));
    assert_eq!(ok.header("Content-Type"), Some("application/sdp"));
    assert_eq!(ok.body(), SDP);
    assert_eq!(ok.to_tag().len(), 32);
}

// RFC 3261 §13.3.1.4: the core repeats the 2xx on every transport, or a lost ACK behind a proxy
// would never be noticed.
#[test]
fn a_200_without_ack_is_repeated_on_every_transport_and_then_bye_is_sent() {
    for flow in [udp(), tls(1)] {
        let mut world = World::new();
        world.receive(flow, &invite(flow).text());
        let (session, _) = world.invited();
        world.sent.clear();
        world.answer(session);
        world.advance(Duration::from_millis(31_999));
        let sent = world.take_sent();
        assert!(sent.iter().all(|s| s.status() == 200));
        let expected = [0.0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5];
        assert_eq!(seconds(&sent), expected, "{flow:?}");
        world.advance(Duration::from_millis(1));
        let bye = world.only_sent();
        assert!(bye.text.starts_with("BYE sip:jane@"), "{}", bye.text);
        assert_eq!(world.event_names(), ["Failed NoAck"]);
        world.receive(flow, &response(&bye, 200));
        assert_eq!(world.event_names(), ["Terminated"]);
    }
}

#[test]
fn the_ack_stops_the_200_and_tells_the_application_once() {
    let mut world = World::new();
    world.receive(udp(), &invite(udp()).text());
    let (session, _) = world.invited();
    world.answer(session);
    world.advance(Duration::from_millis(700));
    let tag = world.take_sent().pop().expect("a 200").to_tag();
    let ack = request(udp(), "ACK", 1).branch("new").tagged(&tag).text();
    world.receive(udp(), &ack);
    world.receive(udp(), &ack);
    world.advance(60 * SECOND);
    assert!(world.sent.is_empty());
    assert_eq!(world.event_names(), ["Acknowledged"]);
    assert_eq!(world.endpoint.load().sessions, 1);
}

// Some callers give the ACK of a 200 the branch of their INVITE.
#[test]
fn an_ack_of_a_200_counts_whatever_its_branch() {
    let mut world = World::new();
    world.receive(udp(), &invite(udp()).text());
    let (session, _) = world.invited();
    world.answer(session);
    let tag = world.take_sent().pop().expect("a 200").to_tag();
    world.receive(udp(), &request(udp(), "ACK", 1).branch("INVITE1").tagged(&tag).text());
    assert_eq!(world.event_names(), ["Acknowledged"]);
}

#[test]
fn a_stray_ack_is_never_answered() {
    let mut world = World::new();
    world.receive(udp(), &request(udp(), "ACK", 1).text());
    world.receive(udp(), &request(udp(), "ACK", 1).tagged("unknown").text());
    let (_, tag) = world.established(udp());
    world.receive(udp(), &request(udp(), "ACK", 7).tagged(&tag).text());
    world.receive(udp(), &request(udp(), "ACK", 1).uri("http:x").tagged(&tag).text());
    world.receive(udp(), &request(udp(), "ACK", 1).header("broken").tagged(&tag).text());
    assert!(world.sent.is_empty());
    assert!(world.events.is_empty());
}

#[test]
fn an_ack_from_elsewhere_counts_only_without_a_body() {
    let mut world = World::new();
    world.receive(udp(), &invite(udp()).text());
    let (session, _) = world.invited();
    world.answer(session);
    let tag = world.take_sent().pop().expect("a 200").to_tag();
    let elsewhere = Flow { remote: address("192.0.2.77:5060"), ..udp() };
    let ack = request(udp(), "ACK", 1).branch("x").tagged(&tag);
    world.receive(elsewhere, &ack.clone().sdp().text());
    assert!(world.events.is_empty());
    world.receive(elsewhere, &ack.text());
    assert_eq!(world.event_names(), ["Acknowledged"]);
}

// RFC 3261 §13.2.1: the 2xx to an INVITE without offer carries one, the ACK the answer.
#[test]
fn a_late_answer_comes_with_the_ack() {
    let mut world = World::new();
    world.receive(udp(), &request(udp(), "INVITE", 1).text());
    let (session, invite) = world.invited();
    assert_eq!(invite.body, InviteBody::None);
    world.answer(session);
    let tag = world.take_sent().pop().expect("a 200").to_tag();
    let elsewhere = Flow { remote: address("192.0.2.77:5060"), ..udp() };
    let ack = request(udp(), "ACK", 1).branch("x").tagged(&tag);
    world.receive(elsewhere, &ack.clone().text());
    assert!(world.events.is_empty(), "nobody else can leave the offer unanswered");
    world.receive(udp(), &ack.sdp().text());
    assert_eq!(world.event_names(), ["Acknowledged with answer"]);
}

#[test]
fn a_late_answer_that_is_missing_or_unreadable_is_told_as_none() {
    for body in ["", "junk"] {
        let mut world = World::new();
        world.receive(udp(), &request(udp(), "INVITE", 1).text());
        let (session, _) = world.invited();
        world.answer(session);
        let tag = world.take_sent().pop().expect("a 200").to_tag();
        let ack = request(udp(), "ACK", 1).branch("x").tagged(&tag);
        world.receive(udp(), &ack.body("text/plain", body).text());
        assert_eq!(world.event_names(), ["Acknowledged"]);
    }
}

#[test]
fn a_body_that_comes_with_the_ack_of_an_answer_is_ignored() {
    let mut world = World::new();
    world.receive(udp(), &invite(udp()).text());
    let (session, _) = world.invited();
    world.answer(session);
    let tag = world.take_sent().pop().expect("a 200").to_tag();
    world.receive(udp(), &request(udp(), "ACK", 1).tagged(&tag).sdp().text());
    assert_eq!(world.event_names(), ["Acknowledged"]);
}

#[test]
fn a_second_answer_or_refusal_does_nothing() {
    let mut world = World::new();
    world.receive(udp(), &invite(udp()).text());
    let (session, _) = world.invited();
    world.answer(session);
    world.sent.clear();
    world.answer(session);
    world.reject(session, Rejection::new(486));
    assert!(world.sent.is_empty());
}

#[test]
fn a_refusal_carries_what_the_application_says() {
    let mut world = World::new();
    world.receive(udp(), &invite(udp()).text());
    let (session, _) = world.invited();
    world.sent.clear();
    let rejection = Rejection::new(488)
        .with_warning(304, "Only \"SRTP\" is served")
        .with_retry_after(7)
        .with_header("X-Why", "because");
    world.reject(session, rejection);
    let sent = world.only_sent();
    assert_eq!(sent.status(), 488);
    let warning = "304 vm.example.com:5060 \"Only \\\"SRTP\\\" is served\"";
    assert_eq!(sent.header("Warning"), Some(warning));
    assert_eq!(sent.header("Retry-After"), Some("7"));
    assert_eq!(sent.header("X-Why"), Some("because"));
    assert_eq!(world.event_names(), ["Terminated"]);
}

// protocols.md §2.21: a redirection would be toll fraud.
#[test]
fn no_command_makes_a_redirection() {
    let mut world = World::new();
    world.receive(udp(), &invite(udp()).text());
    let (session, _) = world.invited();
    world.sent.clear();
    world.reject(session, Rejection::new(302).with_header("Contact", "<sip:premium@x>"));
    assert_eq!(world.statuses(), [500]);
}

#[test]
fn a_challenge_is_a_401_with_a_field_for_each_algorithm() {
    use hushbox_sip::{Algorithm, Authenticator};
    let mut world = World::new();
    world.receive(udp(), &invite(udp()).text());
    let (session, _) = world.invited();
    world.sent.clear();
    let mut authenticator = Authenticator::new("hushbox", [1; 32]);
    let challenges = authenticator.challenges(5, &[Algorithm::Md5, Algorithm::Sha256], false);
    world.endpoint.challenge(world.now(), session, challenges);
    world.advance(Duration::ZERO);
    let sent = world.only_sent();
    assert_eq!(sent.status(), 401);
    let fields = sent.headers("WWW-Authenticate");
    assert_eq!(fields.len(), 2);
    assert!(fields[0].contains("algorithm=SHA-256"));
    // The next try is a call of its own, with the next CSeq (RFC 3261 §22.1).
    let ack = request(udp(), "ACK", 1).branch("INVITE1").tagged(&sent.to_tag()).text();
    world.receive(udp(), &ack);
    world.events.clear();
    let again = request(udp(), "INVITE", 2).sdp().header(
        "Authorization: Digest username=\"jane\", realm=\"hushbox\", nonce=\"x\", uri=\"sip:1001@vm.example.com\", response=\"00\", algorithm=SHA-256",
    );
    world.receive(udp(), &again.text());
    let (_, invite) = world.invited();
    assert_eq!(invite.authorization.expect("credentials").username(), "jane");
}

/// A caller who has a 100 repeats nothing, and would wait for ever where the one 401 is lost.
#[test]
fn a_challenge_at_once_comes_without_a_100_before_it() {
    use hushbox_sip::{Algorithm, Authenticator, Event, Input, Output};
    let mut world = World::new();
    let mut authenticator = Authenticator::new("hushbox", [1; 32]);
    let challenges = authenticator.challenges(1, &[Algorithm::Sha256], false);
    let text = invite(udp()).text();
    let now = world.now();
    world.endpoint.handle_input(now, Input::Datagram { flow: udp(), bytes: text.as_bytes() });
    let Output::Event(Event::Invite { session, .. }) = world.endpoint.poll_output() else {
        panic!("the call comes first")
    };
    world.endpoint.challenge(now, session, challenges);
    world.advance(SECOND);
    assert_eq!(world.statuses(), [401]);
    world.receive(udp(), &text);
    assert_eq!(world.statuses(), [401], "and a repetition gets it again");
}
