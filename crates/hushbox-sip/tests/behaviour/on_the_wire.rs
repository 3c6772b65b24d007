//! What must never get out: lines of a peer's making, and content in debug output.

use super::world::*;
use hushbox_sip::Rejection;

#[test]
fn nothing_echoed_becomes_a_line_of_its_own() {
    let text = invite(udp()).from("\"a\\\r\n Injected: 1\" <sip:j@h>;tag=\"x\"").text();
    let mut world = World::new();
    world.receive(udp(), &text);
    // A tag must be a token.
    assert_eq!(world.statuses(), [400]);

    let text = invite(udp())
        .from("\"a\r\n Injected: 1\" <sip:jane@h>;tag=f")
        .via("SIP/2.0/UDP 192.0.2.1:5070;x=\"\r\n\tInjected: 2\"")
        .header("Record-Route: <sip:p.example.com;lr>;x=\"a\r\n Injected: 3\"")
        .header("Timestamp: 1\r\n Injected: 4")
        .text();
    world.receive(udp(), &text);
    let (session, _) = world.invited();
    world.answer(session);
    let tag = world.sent.last().expect("a 200").to_tag();
    let ack = request(udp(), "ACK", 1).from("\"a\" <sip:jane@h>;tag=f").tagged(&tag);
    world.receive(udp(), &ack.text());
    world.hang_up(session);
    for sent in world.take_sent() {
        let head = sent.text.split("\r\n\r\n").next().unwrap_or_default();
        assert!(
            head.split("\r\n").all(|line| !line.trim_start().starts_with("Injected")),
            "{head}"
        );
        assert_eq!(head.matches('\n').count(), head.matches("\r\n").count());
    }
}

#[test]
fn a_bare_line_break_is_malformed() {
    let mut world = World::new();
    world.receive(udp(), &invite(udp()).header("Subject: a\nInjected: 1").text());
    world.receive(udp(), &invite(udp()).header("Subject: a\rInjected: 1").text());
    assert_eq!(world.statuses(), [400, 400]);
}

#[test]
fn a_refusal_of_the_application_injects_nothing() {
    let mut world = World::new();
    world.receive(udp(), &invite(udp()).text());
    let (session, _) = world.invited();
    world.sent.clear();
    let rejection = Rejection::new(488)
        .with_warning(399, "x\r\nInjected: 1")
        .with_header("X\r\nInjected", "2")
        .with_header("X-Y", "z\r\nInjected: 3\r\n\r\nbody");
    world.reject(session, rejection);
    let sent = world.only_sent();
    assert!(sent.header("Injected").is_none());
    assert_eq!(sent.body(), "");
}

#[test]
fn debug_shows_no_uri_and_no_body() {
    let mut world = World::new();
    let text = invite(udp()).header("X-Patient: jane").text();
    world.receive(udp(), &text);
    let shown = format!("{:?} {:?}", world.events, world.endpoint);
    let (_, invite) = world.invited();
    let shown = format!("{shown} {invite:?} {:?} {:?}", invite.headers, invite.request_uri);
    let input = hushbox_sip::Input::Datagram { flow: udp(), bytes: text.as_bytes() };
    let bytes = bytes::Bytes::from(text.clone());
    let output = hushbox_sip::Output::Transmit { flow: udp(), bytes: bytes.clone() };
    let framed = hushbox_sip::Framed::Message(bytes);
    let shown = format!("{shown} {input:?} {output:?} {framed:?}");
    let message = hushbox_sip::Message::parse(text.as_bytes()).expect("valid");
    let shown = format!("{shown} {message:?} {:?} {:?}", message.start(), message.from().uri());
    for secret in ["jane", "1001", "example.com", "v=0", "192.0.2"] {
        assert!(!shown.to_lowercase().contains(secret), "{secret} in {shown}");
    }
}

#[test]
fn a_malformed_request_is_answered_with_a_tag_and_with_the_same_one_again() {
    let mut world = World::new();
    let broken = request(udp(), "OPTIONS", 1).text().replace("CSeq: 1 OPTIONS", "CSeq: 1 INVITE");
    world.receive(udp(), &broken);
    let first = world.only_sent();
    assert_eq!((first.status(), first.to_tag().len()), (400, 32), "RFC 3261 section 8.2.6.2");
    world.receive(udp(), &broken);
    assert_eq!(world.only_sent().to_tag(), first.to_tag());
    let tagged = request(udp(), "OPTIONS", 1).tagged("theirs").text();
    world.receive(udp(), &tagged.replace("CSeq: 1 OPTIONS", "CSeq: 1 INVITE"));
    assert_eq!(world.only_sent().to_tag(), "theirs");
}
