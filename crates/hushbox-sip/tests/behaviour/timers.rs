//! Each timer of RFC 3261 §17 and RFC 6026 §7, by its letter, over datagrams and over a stream. Timer C is a proxy's.

use super::world::*;
use hushbox_sip::{Flow, Rejection, Session};
use std::time::Duration;

const MILLISECOND: Duration = Duration::from_millis(1);

/// What is sent when nobody answers: T1 doubled to T2 (RFC 3261 §17.1.2.2, §17.2.1).
const TO_T2: [f64; 11] = [0.0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5];
/// The same, doubled without an end (RFC 3261 §17.1.1.2).
const WITHOUT_END: [f64; 7] = [0.0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5];

fn flows() -> [Flow; 2] {
    [udp(), tls(1)]
}

fn is_stream(flow: Flow) -> bool {
    flow.connection.is_some()
}

fn transactions(world: &World) -> usize {
    world.endpoint.load().transactions
}

/// When those of a method or status were sent, from the first of them on.
fn times(sent: &[Sent], start: &str) -> Vec<f64> {
    let of: Vec<f64> = sent
        .iter()
        .filter(|sent| sent.text.starts_with(start))
        .map(|sent| sent.at.as_secs_f64())
        .collect();
    of.iter().map(|at| at - of[0]).collect()
}

/// A call whose session timer makes us send a re-INVITE after 100 s: that one.
fn our_reinvite(world: &mut World, flow: Flow) -> Sent {
    let asks = "Session-Expires: 200;refresher=uas\r\nSupported: timer";
    world.receive(flow, &invite(flow).header(asks).text());
    let (session, _) = world.invited();
    world.answer(session);
    let tag = world.take_sent().pop().expect("a 200").to_tag();
    world.receive(flow, &request(flow, "ACK", 1).tagged(&tag).text());
    world.events.clear();
    world.advance(100 * SECOND);
    let reinvite = world.only_sent();
    assert!(reinvite.text.starts_with("INVITE "), "{}", reinvite.text);
    reinvite
}

/// A call that was refused.
fn refused(world: &mut World, flow: Flow) -> String {
    world.receive(flow, &invite(flow).text());
    let (session, _) = world.invited();
    world.sent.clear();
    world.reject(session, Rejection::new(486));
    world.sent.last().expect("a refusal").to_tag()
}

fn hung_up(world: &mut World, flow: Flow) -> Session {
    let (session, _) = world.established(flow);
    // The INVITE's own transaction is over (timer L).
    world.advance(33 * SECOND);
    world.hang_up(session);
    session
}

#[test]
fn timer_a_repeats_our_invite_and_doubles_without_an_end_on_datagrams_alone() {
    for flow in flows() {
        let mut world = World::new();
        let first = our_reinvite(&mut world, flow);
        world.advance(Duration::from_millis(31_999));
        let mut sent = vec![first];
        sent.extend(world.take_sent());
        let expected = if is_stream(flow) { &WITHOUT_END[..1] } else { &WITHOUT_END[..] };
        assert_eq!(times(&sent, "INVITE "), expected, "{flow:?}");
    }
}

#[test]
fn timer_b_gives_our_invite_up_after_64_t1() {
    for flow in flows() {
        let mut world = World::new();
        our_reinvite(&mut world, flow);
        world.advance(32 * SECOND - MILLISECOND);
        assert!(world.events.is_empty(), "{flow:?}");
        world.advance(MILLISECOND);
        assert_eq!(world.event_names(), ["Failed SessionExpired"], "{flow:?}");
        assert_eq!(transactions(&world), 1, "our BYE alone: {flow:?}");
    }
}

#[test]
fn timer_d_acknowledges_a_refusal_again_for_64_t1_and_not_at_all_on_a_stream() {
    for flow in flows() {
        let mut world = World::new();
        let reinvite = our_reinvite(&mut world, flow);
        let refusal = response(&reinvite, 488);
        world.receive(flow, &refusal);
        assert!(world.only_sent().text.starts_with("ACK "), "{flow:?}");
        world.advance(32 * SECOND - MILLISECOND);
        world.receive(flow, &refusal);
        let expected = if is_stream(flow) { 0 } else { 1 };
        assert_eq!(world.take_sent().len(), expected, "{flow:?}");
        world.advance(MILLISECOND);
        world.receive(flow, &refusal);
        assert!(world.sent.is_empty(), "{flow:?}");
        assert_eq!(transactions(&world), 0, "{flow:?}");
    }
}

#[test]
fn timer_e_repeats_our_bye_up_to_t2_on_datagrams_alone() {
    for flow in flows() {
        let mut world = World::new();
        hung_up(&mut world, flow);
        world.advance(Duration::from_millis(31_999));
        let expected = if is_stream(flow) { &TO_T2[..1] } else { &TO_T2[..] };
        assert_eq!(times(&world.take_sent(), "BYE "), expected, "{flow:?}");
    }
}

#[test]
fn timer_f_gives_our_bye_up_after_64_t1() {
    for flow in flows() {
        let mut world = World::new();
        hung_up(&mut world, flow);
        world.advance(32 * SECOND - MILLISECOND);
        assert_eq!((transactions(&world), world.events.len()), (1, 0), "{flow:?}");
        world.advance(MILLISECOND);
        assert_eq!(world.event_names(), ["Failed ByeTimeout", "Terminated"], "{flow:?}");
        assert_eq!(transactions(&world), 0, "{flow:?}");
    }
}

#[test]
fn timer_g_repeats_a_refusal_up_to_t2_on_datagrams_alone() {
    for flow in flows() {
        let mut world = World::new();
        refused(&mut world, flow);
        world.advance(40 * SECOND);
        let expected = if is_stream(flow) { &TO_T2[..1] } else { &TO_T2[..] };
        assert_eq!(times(&world.take_sent(), "SIP/2.0 486"), expected, "{flow:?}");
    }
}

#[test]
fn timer_h_gives_up_waiting_for_an_ack_after_64_t1() {
    for flow in flows() {
        let mut world = World::new();
        refused(&mut world, flow);
        world.advance(32 * SECOND - MILLISECOND);
        assert_eq!(transactions(&world), 1, "{flow:?}");
        world.advance(MILLISECOND);
        assert_eq!(transactions(&world), 0, "{flow:?}");
    }
}

#[test]
fn timer_i_absorbs_acks_for_t4_and_not_at_all_on_a_stream() {
    for flow in flows() {
        let mut world = World::new();
        let tag = refused(&mut world, flow);
        world.sent.clear();
        let ack = request(flow, "ACK", 1).branch("INVITE1").tagged(&tag).text();
        world.receive(flow, &ack);
        world.advance(5 * SECOND - MILLISECOND);
        let expected = if is_stream(flow) { 0 } else { 1 };
        assert_eq!(transactions(&world), expected, "{flow:?}");
        world.receive(flow, &ack);
        world.advance(MILLISECOND);
        assert_eq!(transactions(&world), 0, "{flow:?}");
        assert!(world.sent.is_empty(), "no ACK is answered: {flow:?}");
    }
}

#[test]
fn timer_j_answers_a_repeated_bye_for_64_t1_and_not_at_all_on_a_stream() {
    for flow in flows() {
        let mut world = World::new();
        let (_, tag) = world.established(flow);
        world.advance(33 * SECOND);
        let bye = request(flow, "BYE", 2).tagged(&tag).text();
        world.receive(flow, &bye);
        world.advance(32 * SECOND - MILLISECOND);
        let expected = if is_stream(flow) { 0 } else { 1 };
        assert_eq!(transactions(&world), expected, "{flow:?}");
        world.receive(flow, &bye);
        let again = if is_stream(flow) { 481 } else { 200 };
        assert_eq!(world.statuses(), [200, again], "{flow:?}");
        world.advance(MILLISECOND);
        assert_eq!(transactions(&world), 0, "{flow:?}");
    }
}

#[test]
fn timer_k_absorbs_answers_to_our_bye_for_t4_and_not_at_all_on_a_stream() {
    for flow in flows() {
        let mut world = World::new();
        hung_up(&mut world, flow);
        let ok = response(&world.only_sent(), 200);
        world.receive(flow, &ok);
        assert_eq!(world.event_names(), ["Terminated"], "{flow:?}");
        world.advance(5 * SECOND - MILLISECOND);
        let expected = if is_stream(flow) { 0 } else { 1 };
        assert_eq!(transactions(&world), expected, "{flow:?}");
        world.receive(flow, &ok);
        world.advance(MILLISECOND);
        assert_eq!(transactions(&world), 0, "{flow:?}");
        assert!(world.events.is_empty() && world.sent.is_empty(), "{flow:?}");
    }
}

// RFC 6026 §7.1: on a stream too, where an INVITE can come again by a proxy.
#[test]
fn timer_l_absorbs_an_answered_invite_for_64_t1() {
    for flow in flows() {
        let mut world = World::new();
        world.established(flow);
        world.advance(32 * SECOND - MILLISECOND);
        world.receive(flow, &invite(flow).text());
        assert!(world.sent.is_empty() && world.events.is_empty(), "{flow:?}");
        assert_eq!(transactions(&world), 1, "{flow:?}");
        world.advance(MILLISECOND);
        assert_eq!(transactions(&world), 0, "{flow:?}");
    }
}

// RFC 6026 §7.2.
#[test]
fn timer_m_acknowledges_a_repeated_200_for_64_t1() {
    for flow in flows() {
        let mut world = World::new();
        let reinvite = our_reinvite(&mut world, flow);
        let ok = response(&reinvite, 200)
            .replace("Content-Length", "Session-Expires: 1800;refresher=uac\r\nContent-Length");
        world.receive(flow, &ok);
        world.advance(32 * SECOND - MILLISECOND);
        world.receive(flow, &ok);
        let sent = world.take_sent();
        assert_eq!(sent.iter().filter(|s| s.text.starts_with("ACK ")).count(), 2, "{flow:?}");
        assert_eq!(transactions(&world), 1, "{flow:?}");
        world.advance(MILLISECOND);
        world.receive(flow, &ok);
        assert!(world.sent.is_empty(), "{flow:?}");
        assert_eq!(transactions(&world), 0, "{flow:?}");
    }
}
