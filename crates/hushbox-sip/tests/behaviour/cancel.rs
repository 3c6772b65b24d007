//! CANCEL and its races (RFC 3261 §9.2).

use super::world::*;
use std::time::Duration;

fn cancel() -> String {
    request(udp(), "CANCEL", 1).branch("INVITE1").text()
}

#[test]
fn a_cancel_gets_200_and_its_invite_487() {
    let mut world = World::new();
    world.receive(udp(), &invite(udp()).text());
    world.invited();
    world.sent.clear();
    world.receive(udp(), &cancel());
    let sent = world.take_sent();
    assert_eq!((sent[0].status(), sent[0].header("CSeq")), (200, Some("1 CANCEL")));
    assert_eq!((sent[1].status(), sent[1].header("CSeq")), (487, Some("1 INVITE")));
    assert_eq!(sent[0].to_tag(), sent[1].to_tag());
    assert_eq!(world.event_names(), ["Cancelled", "Terminated"]);
    world.receive(udp(), &cancel());
    assert_eq!(world.statuses(), [200]);
    let tag = sent[1].to_tag();
    world.receive(udp(), &request(udp(), "ACK", 1).branch("INVITE1").tagged(&tag).text());
    world.advance(6 * SECOND);
    world.assert_empty();
}

#[test]
fn a_cancel_that_fits_nothing_gets_481() {
    let mut world = World::new();
    world.receive(udp(), &cancel());
    assert_eq!(world.statuses(), [481]);
}

#[test]
fn a_cancel_after_the_200_changes_nothing_and_ack_and_bye_work() {
    let mut world = World::new();
    world.receive(udp(), &invite(udp()).text());
    let (session, _) = world.invited();
    world.answer(session);
    let tag = world.take_sent().pop().expect("a 200").to_tag();
    world.receive(udp(), &cancel());
    assert_eq!(world.statuses(), [200]);
    assert!(world.events.is_empty());
    world.receive(udp(), &request(udp(), "ACK", 1).tagged(&tag).text());
    world.receive(udp(), &request(udp(), "BYE", 2).tagged(&tag).text());
    assert_eq!(world.statuses(), [200]);
    assert_eq!(world.event_names(), ["Acknowledged", "Bye", "Terminated"]);
    world.advance(33 * SECOND);
    world.assert_empty();
}

#[test]
fn an_answer_after_the_cancel_does_nothing() {
    let mut world = World::new();
    world.receive(udp(), &invite(udp()).text());
    let (session, _) = world.invited();
    world.receive(udp(), &cancel());
    world.sent.clear();
    world.answer(session);
    world.hang_up(session);
    assert!(world.sent.is_empty());
    world.advance(Duration::from_millis(600));
    assert_eq!(world.statuses(), [487]);
}

#[test]
fn a_cancelled_reinvite_leaves_the_call() {
    let mut world = World::new();
    let (_, tag) = world.established(udp());
    world.receive(udp(), &request(udp(), "INVITE", 2).tagged(&tag).sdp().text());
    let (request_id, _) = world.reinvited();
    world.sent.clear();
    world.receive(udp(), &request(udp(), "CANCEL", 2).branch("INVITE2").tagged(&tag).text());
    assert_eq!(world.statuses(), [200, 487]);
    assert!(!world.answer_reinvite(request_id), "what was agreed stays");
    assert!(world.sent.is_empty());
    assert!(world.events.is_empty());
    world.receive(udp(), &request(udp(), "BYE", 3).tagged(&tag).text());
    assert_eq!(world.event_names(), ["Bye", "Terminated"]);
}

// RFC 3326 §2: the number is told, the text is the peer's.
#[test]
fn the_reason_of_a_cancel_or_bye_is_told() {
    use hushbox_sip::Event;
    use hushbox_sip::retargeting::ReasonCause;
    let elsewhere = "Reason: SIP;cause=200;text=\"Call completed elsewhere\"";
    let mut world = World::new();
    world.receive(udp(), &invite(udp()).text());
    world.invited();
    let text = request(udp(), "CANCEL", 1).branch("INVITE1").header(elsewhere).text();
    world.receive(udp(), &text);
    let Some(Event::Cancelled { cause, .. }) = world.events.first() else { panic!("no CANCEL") };
    assert_eq!(*cause, Some(ReasonCause::COMPLETED_ELSEWHERE));

    for (line, expected) in [
        ("Reason: Q.850;cause=31\r\nReason: SIP;cause=503", Some(ReasonCause::Sip(503))),
        ("Reason: Q.850 ; text=\"a;cause=1\" ; cause=16", Some(ReasonCause::Q850(16))),
        ("Reason: broken;;,", None),
        ("X-Reason: SIP;cause=200", None),
    ] {
        let mut world = World::new();
        let (_, tag) = world.established(udp());
        world.receive(udp(), &request(udp(), "BYE", 2).tagged(&tag).header(line).text());
        let Some(Event::Bye { cause, .. }) = world.events.first() else { panic!("no BYE") };
        assert_eq!(*cause, expected, "{line}");
        assert_eq!(world.statuses(), [200]);
    }
}

#[test]
fn a_cancel_counts_over_another_connection_of_the_same_peer_and_of_nobody_else() {
    let mut world = World::new();
    for connection in [1, 2] {
        world.endpoint.identify(hushbox_sip::ConnectionId(connection), 7);
    }
    world.receive(tls(1), &invite(tls(1)).text());
    world.invited();
    world.sent.clear();
    let cancel = request(tls(1), "CANCEL", 1).branch("INVITE1").text();
    world.receive(tls(3), &cancel);
    assert_eq!(world.statuses(), [481]);
    world.receive(tls(2), &cancel);
    assert_eq!(world.statuses(), [200, 487]);
    assert_eq!(world.event_names(), ["Cancelled", "Terminated"]);
}
