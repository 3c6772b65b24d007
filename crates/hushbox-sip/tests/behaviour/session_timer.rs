//! Session timers, both refreshers (RFC 4028).

use super::world::*;
use std::time::Duration;

/// An answered call whose INVITE had these header fields: its session, its tag and the 200.
fn established(world: &mut World, headers: &[&str]) -> (hushbox_sip::Session, String, Sent) {
    let invite = headers.iter().fold(invite(udp()), |invite, line| invite.header(line));
    world.receive(udp(), &invite.text());
    let (session, _) = world.invited();
    world.answer(session);
    let ok = world.take_sent().pop().expect("a 200");
    world.receive(udp(), &request(udp(), "ACK", 1).tagged(&ok.to_tag()).text());
    world.events.clear();
    (session, ok.to_tag(), ok)
}

// RFC 4028 §9, table 2.
#[test]
fn the_200_says_who_refreshes() {
    for (headers, expires, require) in [
        (&["Session-Expires: 1800", "Supported: timer"][..], "1800;refresher=uac", Some("timer")),
        (&["x: 1800;refresher=uac", "k: timer"], "1800;refresher=uac", Some("timer")),
        (&["x: 1800;refresher=uas", "k: timer"], "1800;refresher=uas", Some("timer")),
        // A proxy asked; the peer itself can't refresh.
        (&["Session-Expires: 300"], "300;refresher=uas", None),
        // RFC 4028 §9: never more than was asked, though less than anybody may ask.
        (&["Session-Expires: 60"], "60;refresher=uas", None),
    ] {
        let (.., ok) = established(&mut World::new(), headers);
        assert_eq!(ok.header("Session-Expires"), Some(expires), "{headers:?}");
        assert_eq!(ok.header("Require"), require, "{headers:?}");
    }
    // What is over before a refresh can have failed is no timer.
    for headers in [["Supported: timer"], ["Session-Expires: 31"]] {
        let (.., ok) = established(&mut World::new(), &headers);
        assert_eq!(ok.header("Session-Expires"), None, "{headers:?}");
        assert_eq!(ok.header("Require"), None, "{headers:?}");
    }
}

#[test]
fn an_interval_that_is_too_short_gets_422_after_authentication() {
    let mut world = World::new();
    let text = invite(udp()).header("Session-Expires: 60").header("Supported: timer").text();
    world.receive(udp(), &text);
    let (_, invite) = world.invited();
    let rejection = invite.after_authentication().expect("a refusal");
    assert_eq!(rejection.status, 422);
    assert_eq!(rejection.headers, [("Min-SE".to_owned(), "90".to_owned())]);
    let mut world = World::new();
    world.receive(udp(), &super::world::invite(udp()).header("Session-Expires: soon").text());
    assert_eq!(world.statuses(), [400]);
}

// RFC 4028 §10: BYE at the interval less min(32 s, a third).
#[test]
fn a_session_that_the_peer_does_not_refresh_ends() {
    let mut world = World::new();
    established(&mut world, &["Session-Expires: 90", "Supported: timer"]);
    world.advance(Duration::from_millis(59_999));
    assert!(world.sent.is_empty());
    world.advance(Duration::from_millis(1));
    let bye = world.only_sent();
    assert!(bye.text.starts_with("BYE "));
    assert_eq!(bye.header("Reason"), Some("Q.850;cause=102;text=\"Session timer expired\""));
    assert_eq!(world.event_names(), ["Failed SessionExpired"]);
    world.receive(udp(), &response(&bye, 200));
    assert_eq!(world.event_names(), ["Terminated"]);
    world.advance(40 * SECOND);
    world.assert_empty();
}

#[test]
fn refreshes_of_the_peer_keep_a_session_alive() {
    let mut world = World::new();
    let (_, tag, _) = established(&mut world, &["Session-Expires: 90", "Supported: timer"]);
    let refresh = |method: &str, cseq| {
        let request = request(udp(), method, cseq).tagged(&tag);
        request.header("Session-Expires: 90;refresher=uac").header("Supported: timer")
    };
    for cseq in 2..10 {
        world.advance(50 * SECOND);
        world.receive(udp(), &refresh("UPDATE", cseq).text());
        let ok = world.only_sent();
        assert_eq!(ok.header("Session-Expires"), Some("90;refresher=uac"));
    }
    world.advance(50 * SECOND);
    world.receive(udp(), &refresh("INVITE", 10).sdp().text());
    let (request_id, _) = world.reinvited();
    world.answer_reinvite(request_id);
    world.receive(udp(), &request(udp(), "ACK", 10).tagged(&tag).text());
    world.sent.clear();
    world.advance(Duration::from_millis(59_999));
    assert!(world.sent.is_empty());
    // One without a Session-Expires ends the timer.
    world.receive(udp(), &request(udp(), "UPDATE", 11).tagged(&tag).text());
    world.sent.clear();
    world.advance(3600 * SECOND);
    assert!(world.sent.is_empty() && world.events.is_empty());
}

#[test]
fn a_refresh_that_asks_for_too_little_gets_422_and_changes_nothing() {
    let mut world = World::new();
    let (_, tag, _) = established(&mut world, &["Session-Expires: 90", "Supported: timer"]);
    let update = request(udp(), "UPDATE", 2).tagged(&tag).header("x: 10").header("k: timer");
    world.receive(udp(), &update.text());
    let sent = world.only_sent();
    assert_eq!((sent.status(), sent.header("Min-SE")), (422, Some("90")));
    world.advance(60 * SECOND);
    assert_eq!(world.event_names(), ["Failed SessionExpired"]);
}

const OURS: [&str; 3] =
    ["Session-Expires: 200;refresher=uas", "Supported: timer", "Allow: INVITE, ACK, UPDATE"];

#[test]
fn we_refresh_with_update_at_half_of_the_interval() {
    let mut world = World::new();
    let (_, tag, _) = established(&mut world, &OURS);
    for round in 1..4 {
        world.advance(100 * SECOND);
        let update = world.only_sent();
        assert!(update.text.starts_with("UPDATE sip:jane@"), "{}", update.text);
        assert_eq!(update.header("Session-Expires"), Some("200;refresher=uac"));
        assert_eq!(update.header("CSeq"), Some(&*format!("{round} UPDATE")));
        assert_eq!(update.body(), "");
        let ok = response(&update, 200)
            .replace("Content-Length", "Session-Expires: 200;refresher=uac\r\nContent-Length");
        world.receive(udp(), &ok);
    }
    assert!(world.events.is_empty());
    world.receive(udp(), &request(udp(), "BYE", 2).tagged(&tag).text());
    world.advance(33 * SECOND);
    world.assert_empty();
}

#[test]
fn a_refresh_that_nobody_answers_ends_the_session() {
    let mut world = World::new();
    established(&mut world, &OURS);
    world.advance(132 * SECOND);
    let sent = world.take_sent();
    assert_eq!(sent.iter().filter(|s| s.text.starts_with("UPDATE")).count(), 11);
    assert!(sent.last().is_some_and(|s| s.text.starts_with("BYE ")));
    assert_eq!(world.event_names(), ["Failed SessionExpired"]);
}

#[test]
fn a_refresh_to_a_peer_that_lost_the_dialog_ends_the_session() {
    let mut world = World::new();
    established(&mut world, &OURS);
    world.advance(100 * SECOND);
    let update = world.only_sent();
    world.receive(udp(), &response(&update, 481));
    assert!(world.only_sent().text.starts_with("BYE "));
    assert_eq!(world.event_names(), ["Failed SessionExpired"]);
}

#[test]
fn a_refresh_is_repeated_after_491_and_with_more_after_422() {
    let mut world = World::new();
    established(&mut world, &OURS);
    world.advance(100 * SECOND);
    let update = world.only_sent();
    world.receive(udp(), &response(&update, 491));
    world.advance(2 * SECOND);
    let update = world.take_sent().pop().expect("another UPDATE");
    assert_eq!(update.header("CSeq"), Some("2 UPDATE"));
    let too_small =
        response(&update, 422).replace("Content-Length", "Min-SE: 600\r\nContent-Length");
    world.receive(udp(), &too_small);
    world.advance(Duration::ZERO);
    let update = world.only_sent();
    assert_eq!(update.header("Session-Expires"), Some("600;refresher=uac"));
}

// RFC 4028 §7.4: a peer that does not take UPDATE is asked with what was agreed.
#[test]
fn we_refresh_with_a_reinvite_where_update_will_not_do() {
    for headers in [&OURS[..2], &OURS[..]] {
        let mut world = World::new();
        let (session, ..) = established(&mut world, headers);
        world.advance(100 * SECOND);
        if headers.len() == 3 {
            let update = world.only_sent();
            world.receive(udp(), &response(&update, 501));
            world.advance(Duration::ZERO);
        }
        let reinvite = world.only_sent();
        assert!(reinvite.text.starts_with("INVITE sip:jane@"), "{}", reinvite.text);
        assert_eq!(reinvite.body(), SDP);
        let ok = response(&reinvite, 200).replace(
            "Content-Length",
            "Contact: <sip:jane@192.0.2.8>\r\nSession-Expires: 200\r\nContent-Length",
        );
        world.receive(udp(), &ok);
        world.receive(udp(), &ok);
        let acks = world.take_sent();
        assert_eq!(acks.len(), 2, "each 200 is acknowledged");
        assert!(acks[0].text.starts_with("ACK sip:jane@192.0.2.8 "), "{}", acks[0].text);
        let number = reinvite.header("CSeq").and_then(|c| c.split(' ').next()).expect("a CSeq");
        assert_eq!(acks[0].header("CSeq"), Some(&*format!("{number} ACK")));
        world.advance(33 * SECOND);
        assert_eq!(world.endpoint.load().transactions, 0);
        assert!(world.events.is_empty());
        world.hang_up(session);
        assert!(world.only_sent().text.starts_with("BYE sip:jane@192.0.2.8 "));
    }
}

#[test]
fn our_reinvite_is_repeated_by_timer_a_and_its_refusal_acknowledged() {
    let mut world = World::new();
    established(&mut world, &OURS[..2]);
    world.advance(100 * SECOND);
    let reinvite = world.only_sent();
    world.advance(4 * SECOND);
    let times = seconds(&world.take_sent());
    assert_eq!(times, [100.5, 101.5, 103.5]);
    let refusal = response(&reinvite, 488);
    world.receive(udp(), &refusal);
    world.receive(udp(), &refusal);
    let acks = world.take_sent();
    assert_eq!(acks.len(), 2);
    assert_eq!(acks[0].header("Via"), reinvite.header("Via"), "the ACK has the branch");
    assert!(world.events.is_empty(), "a refusal leaves the session");
    world.advance(64 * SECOND);
    assert_eq!(world.event_names(), ["Failed SessionExpired"]);
}

// RFC 3261 §14.2.
#[test]
fn a_reinvite_that_crosses_ours_gets_491() {
    let mut world = World::new();
    let (_, tag, _) = established(&mut world, &OURS[..2]);
    world.advance(100 * SECOND);
    let reinvite = world.only_sent();
    world.receive(udp(), &request(udp(), "INVITE", 2).tagged(&tag).sdp().text());
    assert_eq!(world.statuses(), [491]);
    world.receive(udp(), &response(&reinvite, 200));
    world.sent.clear();
    world.receive(udp(), &request(udp(), "INVITE", 3).tagged(&tag).sdp().text());
    assert_eq!(world.event_names(), ["Reinvite"]);
}

#[test]
fn a_reinvite_that_rings_for_ever_leaves_nothing() {
    let mut world = World::new();
    established(&mut world, &OURS[..2]);
    world.advance(100 * SECOND);
    let reinvite = world.only_sent();
    world.receive(udp(), &response(&reinvite, 180));
    world.advance(100 * SECOND);
    assert!(world.event_names().contains(&"Failed SessionExpired".to_owned()));
    world.advance(40 * SECOND);
    world.assert_empty();
}

#[test]
fn to_require_timers_is_to_support_them() {
    let (.., ok) = established(&mut World::new(), &["Session-Expires: 1800", "Require: timer"]);
    assert_eq!(ok.header("Session-Expires"), Some("1800;refresher=uac"));
}

#[test]
fn the_answer_to_our_refresh_may_hand_it_over_or_end_it() {
    let answered = |session_expires: &str| {
        let mut world = World::new();
        established(&mut world, &OURS);
        world.advance(100 * SECOND);
        let update = world.only_sent();
        let ok = response(&update, 200)
            .replace("Content-Length", &format!("{session_expires}Content-Length"));
        world.receive(udp(), &ok);
        world.advance(168 * SECOND);
        (
            world.take_sent().iter().filter(|s| s.text.starts_with("UPDATE")).count(),
            world.event_names(),
        )
    };
    let (updates, events) = answered("Session-Expires: 200;refresher=uas\r\n");
    assert_eq!((updates, events), (0, vec!["Failed SessionExpired".to_owned()]));
    assert_eq!(answered(""), (0, vec![]));
}

#[test]
fn a_refresh_is_tried_again_after_500_and_when_the_peer_is_done() {
    let mut world = World::new();
    let (_, tag, _) = established(&mut world, &OURS);
    world.advance(100 * SECOND);
    let update = world.only_sent();
    world.receive(udp(), &response(&update, 500));
    world.advance(2 * SECOND);
    let update = world.take_sent().pop().expect("another UPDATE");
    assert_eq!(update.header("CSeq"), Some("2 UPDATE"));
    world.receive(udp(), &response(&update, 491));
    // Meanwhile the peer begins a change, and is refused only later.
    world.receive(udp(), &request(udp(), "INVITE", 2).tagged(&tag).sdp().text());
    let (request_id, _) = world.reinvited();
    world.sent.clear();
    world.advance(3 * SECOND);
    assert!(world.sent.is_empty());
    world.reject_reinvite(request_id, hushbox_sip::Rejection::new(488));
    world.sent.clear();
    world.receive(udp(), &request(udp(), "ACK", 2).branch("INVITE2").tagged(&tag).text());
    world.advance(4 * SECOND);
    assert!(world.sent.iter().any(|s| s.text.starts_with("UPDATE ")));
}

#[test]
fn a_refresh_that_is_no_longer_needed_ends_nothing() {
    let mut world = World::new();
    let (_, tag, _) = established(&mut world, &OURS);
    world.advance(101 * SECOND);
    world.receive(udp(), &request(udp(), "UPDATE", 2).tagged(&tag).text());
    world.advance(200 * SECOND);
    assert!(world.events.is_empty());
}

#[test]
fn our_reinvite_repeats_what_was_agreed_last() {
    let mut world = World::new();
    let (_, tag, _) = established(&mut world, &OURS[..2]);
    let reinvite = OURS[..2].iter().fold(request(udp(), "INVITE", 2), |r, line| r.header(line));
    world.receive(udp(), &reinvite.tagged(&tag).sdp().text());
    let (request_id, _) = world.reinvited();
    let changed = bytes::Bytes::from_static(b"v=0\r\ns=changed\r\n");
    world.endpoint.answer_reinvite(world.now(), request_id, changed);
    world.receive(udp(), &request(udp(), "ACK", 2).tagged(&tag).text());
    world.sent.clear();
    world.advance(100 * SECOND);
    assert_eq!(world.only_sent().body(), "v=0\r\ns=changed\r\n");
}

#[test]
fn what_the_peer_takes_is_learnt_from_its_reinvite() {
    let mut world = World::new();
    let (_, tag, _) = established(&mut world, &OURS[..2]);
    let reinvite = OURS.iter().fold(request(udp(), "INVITE", 2), |r, line| r.header(line));
    world.receive(udp(), &reinvite.tagged(&tag).sdp().text());
    let (request_id, _) = world.reinvited();
    world.answer_reinvite(request_id);
    world.receive(udp(), &request(udp(), "ACK", 2).tagged(&tag).text());
    world.sent.clear();
    world.advance(100 * SECOND);
    assert!(world.only_sent().text.starts_with("UPDATE "));
}

#[test]
fn nothing_is_refreshed_after_hanging_up() {
    let mut world = World::new();
    let (session, ..) = established(&mut world, &OURS);
    world.advance(90 * SECOND);
    world.hang_up(session);
    world.advance(20 * SECOND);
    assert!(world.take_sent().iter().all(|s| s.text.starts_with("BYE ")));
}

#[test]
fn the_longest_min_se_of_the_dialog_is_repeated_from_then_on() {
    let mut world = World::new();
    let headers = ["Session-Expires: 90;refresher=uas", "Supported: timer", "Allow: UPDATE"];
    established(&mut world, &headers);
    world.advance(45 * SECOND);
    let refresh = world.only_sent();
    assert_eq!(refresh.header("Min-SE"), Some("90"));
    let refused =
        response(&refresh, 422).replace("Content-Length", "Min-SE: 200\r\nContent-Length");
    world.receive(udp(), &refused);
    world.advance(SECOND / 10);
    let again = world.only_sent();
    assert_eq!(again.header("Session-Expires"), Some("200;refresher=uac"));
    assert_eq!(again.header("Min-SE"), Some("200"));
}

// RFC 3264 §8: the answer may bring another address or key.
#[test]
fn the_answer_to_our_reinvite_is_told() {
    for (kind, told) in
        [("application/sdp", &["Refreshed with answer"][..]), ("x/y", &["Refreshed"])]
    {
        let mut world = World::new();
        established(&mut world, &OURS[..2]);
        world.advance(100 * SECOND);
        let reinvite = world.only_sent();
        let ok = response(&reinvite, 200).replace(
            "Content-Length: 0\r\n\r\n",
            &format!("Content-Type: {kind}\r\nContent-Length: {}\r\n\r\n{SDP}", SDP.len()),
        );
        world.receive(udp(), &ok);
        world.receive(udp(), &ok);
        assert_eq!(world.event_names(), told, "once");
    }
}

// RFC 4028 §7.4: of all that the peer has asked for and refused with.
#[test]
fn a_refresh_names_the_largest_min_se_of_the_dialog() {
    let mut world = World::new();
    let headers =
        ["Session-Expires: 200;refresher=uas", "Supported: timer", "Allow: UPDATE", "Min-SE: 120"];
    established(&mut world, &headers);
    world.advance(100 * SECOND);
    let update = world.only_sent();
    assert_eq!(update.header("Min-SE"), Some("120"));
    let refused = |update: &Sent, min: &str| {
        response(update, 422).replace("Content-Length", &format!("Min-SE: {min}\r\nContent-Length"))
    };
    world.receive(udp(), &refused(&update, "600"));
    world.advance(Duration::ZERO);
    let update = world.only_sent();
    assert_eq!(update.header("Session-Expires"), Some("600;refresher=uac"));
    assert_eq!(update.header("Min-SE"), Some("600"));
    world.receive(udp(), &refused(&update, "600"));
    world.advance(SECOND);
    assert!(world.sent.is_empty(), "what was refused with this is not sent again");
}

#[test]
fn a_refresh_of_what_is_too_short_asks_for_what_may_be_asked() {
    let mut world = World::new();
    established(&mut world, &["Session-Expires: 60", "Allow: UPDATE"]);
    world.advance(30 * SECOND);
    let update = world.only_sent();
    assert_eq!(update.header("Session-Expires"), Some("90;refresher=uac"));
    assert_eq!(update.header("Min-SE"), Some("90"));
}
