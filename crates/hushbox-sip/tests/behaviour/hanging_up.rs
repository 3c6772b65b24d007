//! BYE, from either side (RFC 3261 §15).

use super::world::*;
use hushbox_sip::{Reason, Rejection};
use std::time::Duration;

#[test]
fn our_bye_is_repeated_by_timer_e_until_timer_f() {
    let mut world = World::new();
    let (session, _) = world.established(udp());
    world.hang_up(session);
    world.advance(40 * SECOND);
    let sent = world.take_sent();
    assert!(sent.iter().all(|s| s.text.starts_with("BYE ")));
    let expected = [0.0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5];
    assert_eq!(seconds(&sent), expected);
    assert_eq!(world.event_names(), ["Failed ByeTimeout", "Terminated"]);
    world.assert_empty();
}

#[test]
fn a_provisional_response_slows_our_bye_to_t2() {
    let mut world = World::new();
    let (session, _) = world.established(udp());
    world.hang_up(session);
    let bye = world.only_sent();
    world.advance(Duration::from_millis(100));
    world.receive(udp(), &response(&bye, 100));
    world.advance(9 * SECOND);
    let times: Vec<_> = seconds(&world.take_sent());
    assert_eq!(times, [4.1, 8.1]);
}

#[test]
fn any_final_response_ends_the_session() {
    for status in [200, 401, 404, 481, 503] {
        let mut world = World::new();
        let (session, _) = world.established(udp());
        world.hang_up(session);
        let bye = world.only_sent();
        world.receive(udp(), &response(&bye, status));
        assert_eq!(world.event_names(), ["Terminated"], "{status}");
        world.receive(udp(), &response(&bye, status));
        world.advance(40 * SECOND);
        assert!(world.events.is_empty() && world.sent.is_empty());
        world.assert_empty();
    }
}

#[test]
fn a_response_with_another_branch_via_or_method_is_dropped() {
    let mut world = World::new();
    let (session, _) = world.established(udp());
    world.hang_up(session);
    let bye = world.only_sent();
    let good = response(&bye, 200);
    let second_via = good.replace("From:", "Via: SIP/2.0/UDP 255.255.255.255\r\nFrom:");
    world.receive(udp(), &second_via);
    world.receive(udp(), &good.replace("z9hG4bK", "z9hG4bKx"));
    world.receive(udp(), &good.replace("BYE", "INVITE"));
    assert!(world.events.is_empty());
    world.receive(udp(), &good);
    assert_eq!(world.event_names(), ["Terminated"]);
}

#[test]
fn our_bye_says_why_and_goes_by_the_dialog() {
    let mut world = World::new();
    let (session, tag) = world.established(udp());
    let reason = Reason::sip(200, "Recording \"complete\"\r\nInjected: yes");
    world.endpoint.hang_up(world.now(), session, reason);
    world.advance(Duration::ZERO);
    let bye = world.only_sent();
    assert_eq!(bye.flow, udp());
    assert!(bye.text.starts_with("BYE sip:jane@192.0.2.1:5070 SIP/2.0\r\n"), "{}", bye.text);
    assert_eq!(bye.to_tag(), "from1");
    assert_eq!(bye.header("From"), Some(&*format!("<sip:1001@vm.example.com>;tag={tag}")));
    assert_eq!(bye.header("Call-ID"), Some("call1@pbx.example.com"));
    assert_eq!(bye.header("CSeq"), Some("1 BYE"));
    assert_eq!(bye.header("Max-Forwards"), Some("70"));
    let via = bye.header("Via").expect("a Via");
    assert!(via.starts_with("SIP/2.0/UDP vm.example.com:5060;branch=z9hG4bK"), "{via}");
    let reason = "SIP;cause=200;text=\"Recording \\\"complete\\\"  Injected: yes\"";
    assert_eq!(bye.header("Reason"), Some(reason));
    assert_eq!(bye.header("Injected"), None);
}

// RFC 3261 §15: a callee sends no BYE before the ACK.
#[test]
fn hanging_up_waits_for_the_ack() {
    let mut world = World::new();
    world.receive(udp(), &invite(udp()).text());
    let (session, _) = world.invited();
    world.answer(session);
    let tag = world.take_sent().pop().expect("a 200").to_tag();
    world.hang_up(session);
    world.advance(Duration::from_millis(600));
    assert_eq!(world.statuses(), [200]);
    world.receive(udp(), &request(udp(), "ACK", 1).tagged(&tag).text());
    assert!(world.only_sent().text.starts_with("BYE "));
    assert!(world.events.is_empty());
}

#[test]
fn hanging_up_without_an_ack_sends_bye_after_32_seconds() {
    let mut world = World::new();
    world.receive(udp(), &invite(udp()).text());
    let (session, _) = world.invited();
    world.answer(session);
    world.hang_up(session);
    world.sent.clear();
    world.advance(32 * SECOND);
    assert!(world.sent.last().is_some_and(|s| s.text.contains("Q.850;cause=16")));
    assert!(world.events.is_empty(), "the application has ended it already");
}

#[test]
fn hanging_up_before_the_answer_refuses() {
    let mut world = World::new();
    world.receive(udp(), &invite(udp()).text());
    let (session, _) = world.invited();
    world.sent.clear();
    world.hang_up(session);
    assert_eq!(world.statuses(), [480]);
    assert_eq!(world.event_names(), ["Terminated"]);
}

#[test]
fn a_bye_before_the_ack_ends_the_call_and_the_200() {
    let mut world = World::new();
    world.receive(udp(), &invite(udp()).text());
    let (session, _) = world.invited();
    world.answer(session);
    let tag = world.take_sent().pop().expect("a 200").to_tag();
    world.receive(udp(), &request(udp(), "BYE", 2).tagged(&tag).text());
    world.advance(40 * SECOND);
    assert_eq!(world.statuses(), [200]);
    assert_eq!(world.event_names(), ["Bye", "Terminated"]);
    world.assert_empty();
}

#[test]
fn both_ends_hanging_up_at_once_ends_once() {
    let mut world = World::new();
    let (session, tag) = world.established(udp());
    world.hang_up(session);
    let bye = world.only_sent();
    world.receive(udp(), &request(udp(), "BYE", 2).tagged(&tag).text());
    assert_eq!(world.statuses(), [200]);
    assert_eq!(world.event_names(), ["Terminated"]);
    world.receive(udp(), &response(&bye, 481));
    world.advance(40 * SECOND);
    assert!(world.events.is_empty());
    world.assert_empty();
}

#[test]
fn a_bye_refuses_the_reinvite_that_waits() {
    let mut world = World::new();
    let (_, tag) = world.established(udp());
    world.receive(udp(), &request(udp(), "INVITE", 2).tagged(&tag).sdp().text());
    let (request_id, _) = world.reinvited();
    world.sent.clear();
    world.receive(udp(), &request(udp(), "BYE", 3).tagged(&tag).text());
    assert_eq!(world.statuses(), [200, 487]);
    world.reject_reinvite(request_id, Rejection::new(488));
    assert!(world.sent.is_empty());
    world.advance(40 * SECOND);
    world.assert_empty();
}

#[test]
fn our_bye_is_sent_once_on_a_stream() {
    let mut world = World::new();
    let (session, _) = world.established(tls(1));
    world.hang_up(session);
    world.advance(40 * SECOND);
    assert_eq!(seconds(&world.take_sent()), [0.0]);
    assert_eq!(world.event_names(), ["Failed ByeTimeout", "Terminated"]);
}

#[test]
fn nothing_is_changed_once_we_are_about_to_hang_up() {
    let mut world = World::new();
    world.receive(udp(), &invite(udp()).text());
    let (session, _) = world.invited();
    world.answer(session);
    let tag = world.take_sent().pop().expect("a 200").to_tag();
    world.hang_up(session);
    world.receive(udp(), &request(udp(), "INVITE", 2).tagged(&tag).sdp().text());
    assert_eq!(world.statuses(), [491]);
    assert!(world.events.is_empty());
}
