//! Timers G, H, I, J and L, and repetitions (RFC 3261 §17.2, RFC 6026).

use super::world::*;
use hushbox_sip::Rejection;
use std::time::Duration;

// RFC 3261 §17.2.1: timer G doubles from T1 to T2, timer H ends it after 64*T1.
#[test]
fn a_refusal_without_ack_is_sent_eleven_times_on_udp() {
    let mut world = World::new();
    world.receive(udp(), &invite(udp()).text());
    let (session, _) = world.invited();
    assert_eq!(world.statuses(), [100]);
    world.reject(session, Rejection::new(486));
    world.advance(40 * SECOND);
    let sent = world.take_sent();
    assert!(sent.iter().all(|s| s.status() == 486));
    let expected = [0.0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5];
    assert_eq!(seconds(&sent), expected);
    world.assert_empty();
}

#[test]
fn a_refusal_is_sent_once_on_a_stream() {
    let mut world = World::new();
    world.receive(tls(1), &invite(tls(1)).text());
    let (session, _) = world.invited();
    world.reject(session, Rejection::new(486));
    world.advance(40 * SECOND);
    assert_eq!(world.statuses(), [100, 486]);
    world.close(tls(1));
    world.assert_empty();
}

// Timer I: T4 on UDP, none on a stream.
#[test]
fn an_ack_stops_the_refusal_and_its_repetitions_are_absorbed() {
    let mut world = World::new();
    world.receive(udp(), &invite(udp()).text());
    let (session, _) = world.invited();
    world.reject(session, Rejection::new(486));
    let tag = world.take_sent().pop().expect("a 486").to_tag();
    let ack = request(udp(), "ACK", 1).branch("INVITE1").tagged(&tag).text();
    world.advance(Duration::from_millis(200));
    world.receive(udp(), &ack);
    world.receive(udp(), &ack);
    world.receive(udp(), &invite(udp()).text());
    world.advance(Duration::from_millis(4900));
    assert!(world.sent.is_empty());
    assert_eq!(world.endpoint.load().transactions, 1);
    world.advance(Duration::from_millis(100));
    world.assert_empty();
}

#[test]
fn on_a_stream_the_ack_ends_the_transaction_at_once() {
    let mut world = World::new();
    world.receive(tls(1), &invite(tls(1)).text());
    let (session, _) = world.invited();
    world.reject(session, Rejection::new(486));
    world.receive(tls(1), &request(tls(1), "ACK", 1).branch("INVITE1").tagged("x").text());
    world.advance(Duration::ZERO);
    assert_eq!(world.endpoint.load().transactions, 0);
}

#[test]
fn a_repeated_invite_gets_the_last_response_and_no_second_call() {
    let mut world = World::new();
    let invite = invite(udp()).text();
    world.receive(udp(), &invite);
    let (session, _) = world.invited();
    world.receive(udp(), &invite);
    assert_eq!(world.statuses(), [100, 100]);
    world.reject(session, Rejection::new(404));
    world.receive(udp(), &invite);
    assert_eq!(world.statuses(), [404, 404]);
    assert_eq!(world.event_names(), ["Terminated"]);
}

// RFC 6026 §7.1, timer L: after a 2xx the transaction stays for 64*T1 and absorbs.
#[test]
fn a_repeated_invite_after_the_200_makes_no_second_call() {
    let mut world = World::new();
    let invite = invite(udp()).text();
    world.receive(udp(), &invite);
    let (session, _) = world.invited();
    world.answer(session);
    let tag = world.take_sent().pop().expect("a 200").to_tag();
    world.receive(udp(), &request(udp(), "ACK", 1).branch("a").tagged(&tag).text());
    world.advance(Duration::from_millis(31_900));
    world.receive(udp(), &invite);
    assert_eq!(world.event_names(), ["Acknowledged"]);
    assert!(world.sent.is_empty());
    assert_eq!(world.endpoint.load().transactions, 1);
    world.advance(Duration::from_millis(100));
    assert_eq!(world.endpoint.load().transactions, 0);
}

// RFC 3261 §17.2.2, timer J: 64*T1 on UDP, none on a stream.
#[test]
fn a_repeated_bye_gets_its_200_again_for_32_seconds() {
    let mut world = World::new();
    let (_, tag) = world.established(udp());
    let bye = request(udp(), "BYE", 2).tagged(&tag).text();
    world.receive(udp(), &bye);
    world.advance(Duration::from_millis(31_900));
    world.receive(udp(), &bye);
    assert_eq!(world.statuses(), [200, 200]);
    assert_eq!(world.event_names(), ["Bye", "Terminated"]);
    world.advance(Duration::from_millis(200));
    world.receive(udp(), &bye);
    assert_eq!(world.statuses(), [481]);
    world.advance(SECOND);
    world.assert_empty();
}

#[test]
fn a_bye_on_a_stream_leaves_no_transaction() {
    let mut world = World::new();
    let (_, tag) = world.established(tls(1));
    world.advance(33 * SECOND);
    world.receive(tls(1), &request(tls(1), "BYE", 2).tagged(&tag).text());
    assert_eq!(world.statuses(), [200]);
    assert_eq!(world.endpoint.load().transactions, 0);
}

// RFC 3261 §8.2.2.2: forking proxies must not leave two messages.
#[test]
fn the_same_invite_by_another_path_is_refused_with_482() {
    let mut world = World::new();
    world.receive(udp(), &invite(udp()).text());
    let (session, _) = world.invited();
    world.receive(udp(), &invite(udp()).branch("other").text());
    assert_eq!(world.statuses(), [100, 482]);
    world.answer(session);
    world.sent.clear();
    let elsewhere = hushbox_sip::Flow { remote: address("192.0.2.7:5060"), ..udp() };
    world.receive(elsewhere, &invite(udp()).branch("third").text());
    assert_eq!(world.statuses(), [482]);
    assert!(world.events.is_empty());
}

#[test]
fn another_from_tag_or_cseq_is_another_call() {
    let mut world = World::new();
    world.receive(udp(), &invite(udp()).text());
    world.receive(udp(), &invite(udp()).branch("b").from("<sip:j@h>;tag=2").text());
    world.receive(udp(), &request(udp(), "INVITE", 2).sdp().text());
    assert_eq!(world.event_names(), ["Invite"; 3]);
}

// RFC 3261 §17.2.3: without the magic cookie RFC 2543's rules find the transaction.
#[test]
fn an_invite_of_rfc_2543_has_one_transaction() {
    let mut world = World::new();
    let invite = invite(udp()).text().replace(";branch=z9hG4bKINVITE1", "");
    world.receive(udp(), &invite);
    let (session, _) = world.invited();
    world.receive(udp(), &invite);
    world.reject(session, Rejection::new(404));
    let tag = world.sent.last().expect("a 404").to_tag();
    let ack = request(udp(), "ACK", 1).tagged(&tag).text().replace(";branch=z9hG4bKACK1", "");
    world.receive(udp(), &ack);
    world.advance(10 * SECOND);
    assert_eq!(world.statuses(), [100, 100, 404]);
    world.assert_empty();
}

#[test]
fn a_branch_that_leaked_is_of_no_use_from_elsewhere() {
    let mut world = World::new();
    world.receive(udp(), &invite(udp()).text());
    world.invited();
    let elsewhere = hushbox_sip::Flow { remote: address("203.0.113.9:5070"), ..udp() };
    world.receive(elsewhere, &request(udp(), "CANCEL", 1).branch("INVITE1").text());
    assert_eq!(world.statuses(), [100, 481]);
    assert!(world.events.is_empty());
}

#[test]
fn a_branch_without_the_cookie_identifies_nothing() {
    let mut world = World::new();
    let old = |call_id: &str| {
        invite(udp()).call_id(call_id).text().replace("branch=z9hG4bKINVITE1", "branch=1")
    };
    world.receive(udp(), &old("one"));
    world.receive(udp(), &old("two"));
    world.receive(udp(), &old("one"));
    assert_eq!(world.event_names(), ["Invite", "Invite"]);
}

#[test]
fn a_copy_from_another_port_of_the_same_machine_is_a_repetition() {
    let mut world = World::new();
    let text = invite(udp()).text();
    world.receive(udp(), &text);
    world.invited();
    assert_eq!(world.statuses(), [100]);
    let other = hushbox_sip::Flow { remote: address("192.0.2.1:6070"), ..udp() };
    world.receive(other, &text);
    assert_eq!(world.only_sent().flow, other, "with its 100 again");
    assert!(world.events.is_empty(), "and there is one call");
}
