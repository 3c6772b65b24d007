//! Messages on streams (RFC 3261 §18, RFC 5626 §3.5.1).

use super::world::*;
use hushbox_sip::Limits;
use std::time::Duration;

#[test]
fn a_call_works_byte_by_byte() {
    let mut world = World::new();
    for byte in invite(tls(1)).text().as_bytes() {
        world.receive_bytes(tls(1), &[*byte]);
    }
    let (session, _) = world.invited();
    world.answer(session);
    let tag = world.take_sent().pop().expect("a 200").to_tag();
    let ack = request(tls(1), "ACK", 1).tagged(&tag).text();
    let bye = request(tls(1), "BYE", 2).tagged(&tag).text();
    world.receive(tls(1), &format!("{ack}\r\n{bye}\r\n\r\n"));
    let sent = world.take_sent();
    assert_eq!(sent[0].status(), 200);
    assert_eq!(sent[1].text, "\r\n", "a keep-alive is answered");
    assert_eq!(world.event_names(), ["Acknowledged", "Bye", "Terminated"]);
}

#[test]
fn a_message_that_takes_too_long_ends_the_connection() {
    let mut world = World::new();
    let text = invite(tls(1)).text();
    // A byte now and then prolongs nothing.
    for byte in text.as_bytes().iter().take(9) {
        world.receive_bytes(tls(1), &[*byte]);
        world.advance(SECOND);
    }
    assert!(world.disconnected.is_empty());
    world.advance(Duration::from_millis(1000));
    assert_eq!(world.disconnected, [tls(1)]);
    world.close(tls(1));
    world.assert_empty();
}

#[test]
fn each_message_on_a_stream_has_its_own_time() {
    let mut world = World::new();
    let text = request(tls(1), "OPTIONS", 1).text();
    let (head, tail) = text.split_at(20);
    world.receive(tls(1), head);
    for _ in 0..3 {
        world.advance(9 * SECOND);
        world.receive(tls(1), &format!("{tail}{head}"));
    }
    assert_eq!(world.statuses(), [200; 3]);
    assert!(world.disconnected.is_empty());
    world.advance(10 * SECOND);
    assert_eq!(world.disconnected, [tls(1)]);
}

#[test]
fn an_idle_connection_is_left_alone() {
    let mut world = World::new();
    world.receive(tls(1), &request(tls(1), "OPTIONS", 1).text());
    world.receive(tls(1), "\r\n\r\n");
    world.advance(3600 * SECOND);
    assert!(world.disconnected.is_empty());
}

#[test]
fn what_can_not_be_framed_is_refused_and_disconnected() {
    let mut world = World::new();
    let text = request(tls(1), "OPTIONS", 1).text();
    world.receive(tls(1), &text.replace("Content-Length: 0", "Content-Length: -9"));
    assert_eq!(world.statuses(), [400]);
    world.receive(tls(2), &text.replace("Content-Length: 0\r\n", ""));
    assert_eq!(world.statuses(), [400]);
    world.receive(tls(3), &text.replace("Content-Length: 0", "Content-Length: 99999999"));
    assert_eq!(world.statuses(), [513]);
    world.receive(tls(4), "GET / HTTP/1.1\r\n\r\n");
    assert!(world.sent.is_empty());
    assert_eq!(world.disconnected, [tls(1), tls(2), tls(3), tls(4)]);
    world.receive(tls(1), &text);
    assert!(world.sent.is_empty(), "nothing more is read from it");
}

#[test]
fn a_malformed_message_that_is_framed_leaves_the_stream() {
    let mut world = World::new();
    let broken = request(tls(1), "OPTIONS", 1).header("no colon").text();
    let good = request(tls(1), "OPTIONS", 2).text();
    world.receive(tls(1), &format!("{broken}{good}"));
    assert_eq!(world.statuses(), [400, 200]);
    assert!(world.disconnected.is_empty());
}

#[test]
fn a_lost_connection_ends_its_calls_and_no_others() {
    let mut world = World::new();
    world.established(tls(1));
    world.receive(tls(1), &invite(tls(1)).call_id("ringing").branch("r").text());
    world.receive(tls(2), &invite(tls(2)).call_id("other").branch("o").text());
    world.events.clear();
    world.sent.clear();
    world.close(tls(1));
    assert!(world.sent.is_empty());
    let ended = ["Failed ConnectionLost", "Terminated", "Failed ConnectionLost", "Terminated"];
    assert_eq!(world.event_names(), ended);
    assert_eq!(world.endpoint.load().sessions, 1);
    world.close(tls(2));
    world.advance(33 * SECOND);
    world.assert_empty();
}

#[test]
fn too_many_connections_are_turned_away() {
    let mut world = World::with_limits(Limits { connections_max: 1, ..Limits::default() });
    world.receive(tls(1), "\r\n");
    world.receive(tls(2), "\r\n");
    assert_eq!(world.disconnected, [tls(2)]);
}

#[test]
fn a_change_that_waits_is_gone_with_its_connection() {
    let mut world = World::new();
    let (_, tag) = world.established(tls(1));
    world.receive(tls(1), &request(tls(1), "INVITE", 2).tagged(&tag).sdp().text());
    world.reinvited();
    world.close(tls(1));
    assert_eq!(world.event_names(), ["Failed ConnectionLost", "Terminated"]);
    world.advance(33 * SECOND);
    world.assert_empty();
}
