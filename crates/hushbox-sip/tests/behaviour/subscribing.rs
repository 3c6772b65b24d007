//! SUBSCRIBE and NOTIFY (RFC 6665), with message-summary as the package (RFC 3842).

use crate::world::{Request, SECOND, Sent, World, address, request, response, seconds, tls, udp};
use hushbox_sip::mwi::MessageSummary;
use hushbox_sip::{EndReason, Flow, Limits, Rejection, Sending, Subscription};
use std::time::Duration;

fn subscribe(flow: Flow, cseq: u32) -> Request {
    request(flow, "SUBSCRIBE", cseq).header("Event: message-summary").header("Expires: 600")
}

/// A subscription of ten minutes whose first NOTIFY was taken: its number and our tag.
fn subscribed(world: &mut World, flow: Flow) -> (Subscription, String) {
    world.receive(flow, &subscribe(flow, 1).text());
    let (asked, _) = world.subscribed();
    let subscription = world.accept_subscribe(asked, 600);
    let tag = world.only_sent().to_tag();
    assert_eq!(world.notify(subscription, 0), Sending::Sent);
    answer(world, flow, 200);
    assert_eq!(world.event_names(), ["Notified Taken"]);
    (subscription, tag)
}

/// Answers the only message that was sent, a NOTIFY.
fn answer(world: &mut World, flow: Flow, status: u16) {
    let notify = world.only_sent();
    assert!(notify.text.starts_with("NOTIFY "), "{}", notify.text);
    world.receive(flow, &response(&notify, status));
}

fn state(sent: &Sent) -> &str {
    sent.header("Subscription-State").unwrap_or_default()
}

#[test]
fn a_subscription_is_accepted_told_the_state_and_ends_without_a_trace() {
    let mut world = World::new();
    world.receive(udp(), &subscribe(udp(), 1).text());
    let (asked, subscribe) = world.subscribed();
    assert_eq!(subscribe.expires, Some(Duration::from_secs(600)));
    assert_eq!(subscribe.request.request_uri.user(), Some("1001"));
    assert!(!subscribe.is_from_subscriber);
    let subscription = world.accept_subscribe(asked, 300);
    let ok = world.only_sent();
    assert_eq!(ok.status(), 200);
    assert_eq!(ok.header("Expires"), Some("300"), "RFC 6665 §4.2.1.1: not more than was asked");
    assert!(ok.header("Contact").is_some_and(|c| c.contains("vm.example.com")));
    assert!(!ok.to_tag().is_empty());

    assert_eq!(world.notify(subscription, 2), Sending::Sent);
    let notify = world.only_sent();
    assert!(notify.text.starts_with("NOTIFY sip:jane@192.0.2.1:5070 SIP/2.0\r\n"));
    assert_eq!(notify.header("Event"), Some("message-summary"));
    assert_eq!(state(&notify), "active;expires=300");
    assert_eq!(notify.header("CSeq"), Some("1 NOTIFY"));
    assert_eq!(notify.header("Call-ID"), Some("call1@pbx.example.com"));
    assert!(notify.header("To").is_some_and(|to| to.ends_with(";tag=from1")));
    assert!(notify.header("From").is_some_and(|from| from.ends_with(&ok.to_tag())));
    assert_eq!(notify.header("Content-Type"), Some("application/simple-message-summary"));
    let summary = MessageSummary::parse(notify.body().as_bytes()).expect("a summary");
    assert_eq!(summary.voice.new, 2);
    world.receive(udp(), &response(&notify, 200));
    assert_eq!(world.event_names(), ["Notified Taken"]);

    world.advance(300 * SECOND);
    assert_eq!(world.event_names(), ["SubscriptionEnding"]);
    assert_eq!(world.notify(subscription, 1), Sending::Sent);
    let last = world.only_sent();
    assert_eq!(state(&last), "terminated;reason=timeout");
    assert_eq!(last.header("CSeq"), Some("2 NOTIFY"));
    assert_eq!(world.event_names(), ["Unsubscribed Expired"]);
    assert_eq!(world.notify(subscription, 0), Sending::Gone);
    world.receive(udp(), &response(&last, 200));
    world.advance(64 * SECOND);
    assert!(world.events.is_empty());
    world.assert_empty();
}

#[test]
fn a_package_other_than_message_summary_is_a_bad_event_for_everybody() {
    for event in ["Event: presence", "o: dialog", "Event: message-summary.winfo", "Subject: none"] {
        let mut world = World::new();
        world.receive(udp(), &request(udp(), "SUBSCRIBE", 1).header(event).text());
        let refused = world.only_sent();
        assert_eq!(refused.status(), 489, "{event}");
        assert_eq!(refused.header("Allow-Events"), Some("message-summary"));
        assert!(world.events.is_empty());
        world.assert_empty();
    }
}

#[test]
fn what_can_not_be_read_is_400() {
    let flow = udp();
    let two = subscribe(flow, 1).header("Event: message-summary");
    let soon = request(flow, "SUBSCRIBE", 1).header("o: message-summary").header("Expires: soon");
    let nowhere = subscribe(flow, 1).contact("<tel:+15550100>").header("o: message-summary");
    for broken in [two, soon, nowhere] {
        let mut world = World::new();
        world.receive(flow, &broken.text());
        assert_eq!(world.statuses(), [400]);
        world.assert_empty();
    }
}

#[test]
fn what_is_asked_is_judged_once_the_subscriber_is_known() {
    let shortest = Duration::from_secs(60);
    let refused = |lines: &[&str]| {
        let mut world = World::new();
        let mut text = request(udp(), "SUBSCRIBE", 1).header("Event: message-summary");
        for line in lines {
            text = text.header(line);
        }
        world.receive(udp(), &text.text());
        let (asked, subscribe) = world.subscribed();
        let why = subscribe.after_authentication(shortest)?;
        world.reject_subscribe(asked, why.clone());
        assert_eq!(world.only_sent().status(), why.status);
        world.advance(64 * SECOND);
        world.assert_empty();
        Some((why.status, why.headers))
    };
    let header = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
    assert_eq!(refused(&["Expires: 59"]), Some((423, header("Min-Expires", "60"))));
    assert_eq!(refused(&["Expires: 60"]), None);
    assert_eq!(refused(&["Expires: 0"]), None, "a poll is never too brief");
    assert_eq!(refused(&[]), None);
    let summary = "application/simple-message-summary";
    assert_eq!(refused(&["Accept: application/pidf+xml"]), Some((406, header("Accept", summary))));
    assert_eq!(refused(&["Accept: text/plain, application/simple-message-summary"]), None);
    assert_eq!(refused(&["Accept: */*"]), None);
    assert_eq!(refused(&["Require: eventlist"]), Some((420, header("Unsupported", "eventlist"))));
}

#[test]
fn expires_zero_asks_once_and_leaves_nothing() {
    let mut world = World::new();
    let poll = request(tls(1), "SUBSCRIBE", 1).header("Event: message-summary;id=9");
    world.receive(tls(1), &poll.header("Expires: 0").text());
    let (asked, _) = world.subscribed();
    let subscription = world.accept_subscribe(asked, 0);
    assert_eq!(world.only_sent().header("Expires"), Some("0"));
    world.notify(subscription, 3);
    let notify = world.only_sent();
    assert_eq!(state(&notify), "terminated;reason=timeout");
    assert_eq!(notify.header("Event"), Some("message-summary;id=9"));
    assert!(notify.body().contains("Voice-Message: 3/0 (0/0)"));
    assert_eq!(world.event_names(), ["Unsubscribed Asked"]);
    world.receive(tls(1), &response(&notify, 200));
    world.close(tls(1));
    world.advance(32 * SECOND);
    world.assert_empty();
}

#[test]
fn a_refresh_prolongs_and_moves_the_target_and_zero_ends() {
    let mut world = World::new();
    let (subscription, tag) = subscribed(&mut world, udp());
    world.advance(500 * SECOND);
    let refresh = request(udp(), "SUBSCRIBE", 2).contact("<sip:jane@192.0.2.7:5099>").tagged(&tag);
    let refresh = refresh.header("Event: message-summary").header("Expires: 600");
    world.receive(udp(), &refresh.text());
    let (asked, subscribe) = world.subscribed();
    assert_eq!(subscribe.subscription, Some(subscription));
    assert!(subscribe.is_from_subscriber);
    assert_eq!(world.accept_subscribe(asked, 600), subscription);
    assert_eq!(world.only_sent().to_tag(), tag);
    world.notify(subscription, 1);
    let notify = world.only_sent();
    assert!(notify.text.starts_with("NOTIFY sip:jane@192.0.2.7:5099 SIP/2.0"));
    assert_eq!(notify.header("CSeq"), Some("2 NOTIFY"));
    world.receive(udp(), &response(&notify, 200));
    world.advance(400 * SECOND);
    assert_eq!(world.event_names(), ["Notified Taken"], "it would have ended 300 s ago");

    world.receive(udp(), &subscribe_zero(udp(), 3, &tag).text());
    let (asked, _) = world.subscribed();
    world.accept_subscribe(asked, 0);
    assert_eq!(world.only_sent().status(), 200);
    world.notify(subscription, 1);
    assert_eq!(state(&world.only_sent()), "terminated;reason=timeout");
    assert_eq!(world.event_names(), ["Unsubscribed Asked"]);
    world.receive(udp(), &subscribe_zero(udp(), 4, &tag).text());
    assert_eq!(world.statuses(), [481], "RFC 6665 §4.2.1: it is over");
    world.advance(64 * SECOND);
    world.assert_empty();
}

fn subscribe_zero(flow: Flow, cseq: u32, tag: &str) -> Request {
    let zero = request(flow, "SUBSCRIBE", cseq).tagged(tag);
    zero.header("Event: message-summary").header("Expires: 0")
}

#[test]
fn a_refresh_that_comes_late_or_names_another_subscription_is_refused() {
    let mut world = World::new();
    let (_, tag) = subscribed(&mut world, udp());
    world.receive(udp(), &subscribe(udp(), 1).tagged(&tag).branch("other").text());
    assert_eq!(world.statuses(), [500], "RFC 3261 §12.2.2");
    world.receive(udp(), &subscribe(udp(), 2).tagged("unknown").text());
    assert_eq!(world.statuses(), [481]);
    let other = request(udp(), "SUBSCRIBE", 3).tagged(&tag).header("Event: message-summary;id=2");
    world.receive(udp(), &other.text());
    assert_eq!(world.statuses(), [481]);
    assert!(world.events.is_empty());
}

#[test]
fn a_refresh_from_elsewhere_is_for_the_application_to_judge_and_moves_nothing_before() {
    let mut world = World::new();
    let (subscription, tag) = subscribed(&mut world, tls(1));
    let elsewhere = tls(2);
    world.receive(elsewhere, &subscribe(elsewhere, 2).tagged(&tag).text());
    let (asked, again) = world.subscribed();
    assert_eq!(again.subscription, Some(subscription));
    assert!(!again.is_from_subscriber);
    world.reject_subscribe(asked, Rejection::new(481));
    assert_eq!(world.only_sent().flow, elsewhere);
    world.notify(subscription, 1);
    assert_eq!(world.only_sent().flow, tls(1));
    // With the right credentials it moves.
    world.receive(elsewhere, &subscribe(elsewhere, 3).tagged(&tag).text());
    let (asked, _) = world.subscribed();
    world.accept_subscribe(asked, 600);
    world.take_sent();
    world.notify(subscription, 1);
    assert_eq!(world.only_sent().flow, elsewhere);
}

#[test]
fn a_repeated_subscribe_is_answered_alike_and_one_by_another_path_is_merged() {
    let mut world = World::new();
    world.receive(udp(), &subscribe(udp(), 1).text());
    world.receive(udp(), &subscribe(udp(), 1).text());
    let (asked, _) = world.subscribed();
    assert!(world.sent.is_empty(), "RFC 3261 §17.2.2: nothing before the answer");
    world.accept_subscribe(asked, 600);
    let first = world.only_sent().text;
    world.receive(udp(), &subscribe(udp(), 1).text());
    assert_eq!(world.only_sent().text, first);
    world.receive(udp(), &subscribe(udp(), 1).branch("fork").text());
    assert_eq!(world.statuses(), [482], "RFC 3261 §8.2.2.2");
}

#[test]
fn a_challenged_subscribe_may_come_again_with_the_same_number() {
    let mut world = World::new();
    world.receive(udp(), &subscribe(udp(), 1).text());
    let (asked, _) = world.subscribed();
    world.endpoint.challenge_subscribe(world.now(), asked, Vec::new());
    world.advance(Duration::ZERO);
    assert_eq!(world.statuses(), [401]);
    world.receive(udp(), &subscribe(udp(), 1).branch("again").text());
    world.subscribed();
}

#[test]
fn a_subscribe_that_nobody_answers_is_forgotten() {
    let mut world = World::new();
    world.receive(udp(), &subscribe(udp(), 1).text());
    let (asked, _) = world.subscribed();
    world.advance(32 * SECOND);
    assert_eq!(world.endpoint.accept_subscribe(world.now(), asked, SECOND), Err(0));
    world.advance(Duration::ZERO);
    assert!(world.sent.is_empty());
    world.assert_empty();
}

#[test]
fn a_notify_is_repeated_by_its_transaction_and_one_without_an_answer_ends_the_subscription() {
    let mut world = World::new();
    let (subscription, _) = subscribed(&mut world, udp());
    world.notify(subscription, 1);
    world.advance(33 * SECOND);
    let sent = world.take_sent();
    // RFC 3261 §17.1.2.2: timer E doubles to T2, timer F ends it.
    assert_eq!(seconds(&sent), [0.0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]);
    assert!(sent.iter().all(|s| s.text == sent[0].text));
    assert_eq!(world.event_names(), ["Unsubscribed NoAnswer"]);
    world.advance(32 * SECOND);
    world.assert_empty();
}

#[test]
fn over_tls_a_notify_goes_out_once() {
    let mut world = World::new();
    let (subscription, _) = subscribed(&mut world, tls(1));
    world.notify(subscription, 1);
    world.advance(33 * SECOND);
    assert_eq!(world.take_sent().len(), 1);
    assert_eq!(world.event_names(), ["Unsubscribed NoAnswer"]);
}

#[test]
fn answers_to_a_notify_end_the_subscription_or_ask_for_patience() {
    let outcome = |status: u16, line: &str| {
        let mut world = World::new();
        let (subscription, _) = subscribed(&mut world, udp());
        world.notify(subscription, 1);
        let notify = world.only_sent();
        let text = response(&notify, status).replacen("\r\n", &format!("\r\n{line}"), 1);
        world.receive(udp(), &text);
        world.receive(udp(), &text);
        let names = world.event_names();
        assert_eq!(names.len(), 1, "once: {names:?}");
        let left = world.endpoint.load().subscriptions;
        assert_eq!(left == 0, names[0].starts_with("Unsubscribed"));
        names[0].clone()
    };
    assert_eq!(outcome(200, ""), "Notified Taken");
    assert_eq!(outcome(202, ""), "Notified Taken");
    for status in [302, 401, 403, 404, 405, 408, 410, 481, 489, 501, 603] {
        assert_eq!(outcome(status, ""), format!("Unsubscribed Refused({status})"));
    }
    for status in [480, 486, 500, 503] {
        let later = format!("Notified Later {{ status: {status}, after: None }}");
        assert_eq!(outcome(status, ""), later);
    }
    assert_eq!(
        outcome(503, "Retry-After: 120 (busy);duration=60\r\n"),
        "Notified Later { status: 503, after: Some(120s) }"
    );
}

#[test]
fn a_response_with_another_number_or_method_is_not_the_notifys() {
    let mut world = World::new();
    let (subscription, _) = subscribed(&mut world, udp());
    world.notify(subscription, 1);
    let notify = world.only_sent();
    for cseq in ["CSeq: 1 NOTIFY", "CSeq: 2 BYE"] {
        let text = response(&notify, 481).replace("CSeq: 2 NOTIFY", cseq);
        world.receive(udp(), &text);
    }
    assert!(world.events.is_empty());
    assert_eq!(world.endpoint.load().subscriptions, 1);
}

#[test]
fn notifys_take_the_route_that_the_subscribe_recorded() {
    let mut world = World::new();
    let routed = subscribe(tls(1), 1)
        .header("Record-Route: <sip:p2.example.com;lr;transport=tls>, <sip:p1.example.com;lr>");
    world.receive(tls(1), &routed.text());
    let (asked, _) = world.subscribed();
    let subscription = world.accept_subscribe(asked, 600);
    let ok = world.only_sent();
    assert_eq!(ok.headers("Record-Route").len(), 1, "RFC 6665 §4.4.1: as for an INVITE");
    world.notify(subscription, 0);
    let notify = world.only_sent();
    assert_eq!(
        notify.headers("Route"),
        ["<sip:p2.example.com;lr;transport=tls>", "<sip:p1.example.com;lr>"]
    );
}

#[test]
fn we_can_end_it_and_say_why() {
    for (reason, word) in [
        (EndReason::Rejected, "rejected"),
        (EndReason::NoResource, "noresource"),
        (EndReason::Deactivated, "deactivated"),
        (EndReason::GiveUp, "giveup"),
    ] {
        let mut world = World::new();
        let (subscription, _) = subscribed(&mut world, udp());
        world.end_subscription(subscription, reason);
        assert_eq!(state(&world.only_sent()), format!("terminated;reason={word}"));
        assert_eq!(world.event_names(), ["Unsubscribed Revoked"]);
        world.advance(64 * SECOND);
        world.assert_empty();
    }
}

#[test]
fn one_that_ends_without_a_last_state_ends_without_a_body() {
    let mut world = World::new();
    subscribed(&mut world, tls(1));
    world.advance(610 * SECOND);
    assert_eq!(world.event_names(), ["SubscriptionEnding", "Unsubscribed Expired"]);
    let last = world.only_sent();
    assert_eq!(state(&last), "terminated;reason=timeout");
    assert_eq!(last.body(), "");
}

#[test]
fn a_subscription_outlives_its_connection_and_finds_another_of_the_same_identity() {
    let mut world = World::new();
    world.receive(tls(1), "\r\n\r\n");
    world.endpoint.identify(tls(1).connection.expect("a connection"), 7);
    world.take_sent();
    let (subscription, tag) = subscribed(&mut world, tls(1));
    world.notify(subscription, 1);
    world.take_sent();
    world.close(tls(1));
    assert_eq!(
        world.event_names(),
        ["Notified Later { status: 503, after: None }"],
        "RFC 3261 §18.4: it was on its way"
    );
    assert_eq!(world.notify(subscription, 1), Sending::NoWay);
    world.receive(tls(2), "\r\n\r\n");
    world.take_sent();
    assert_eq!(world.notify(subscription, 1), Sending::NoWay, "somebody's");
    world.endpoint.identify(tls(2).connection.expect("a connection"), 7);
    assert_eq!(world.notify(subscription, 1), Sending::Sent);
    assert_eq!(world.only_sent().flow, tls(2));
    world.receive(tls(2), &subscribe(tls(2), 2).tagged(&tag).text());
    assert!(world.subscribed().1.is_from_subscriber);
}

#[test]
fn a_subscription_that_was_kept_goes_on_after_a_restart() {
    for flow in [udp(), tls(1)] {
        let mut before = World::new();
        let (subscription, tag) = subscribed(&mut before, flow);
        let kept = before.endpoint.keep(subscription).expect("kept");
        assert!(!format!("{kept:?}").contains("jane"), "{kept:?}");

        let mut world = World::new();
        let again = world.endpoint.restore(kept.clone()).expect("taken back");
        assert_eq!(world.endpoint.restore(kept), None, "once");
        let sending = world.notify(again, 5);
        if flow.connection.is_some() {
            // The number of a connection means another one now.
            assert_eq!(sending, Sending::NoWay);
            world.receive(flow, "\r\n\r\n");
            world.take_sent();
            assert_eq!(world.notify(again, 5), Sending::NoWay);
        } else {
            assert_eq!(sending, Sending::Sent);
            let notify = world.only_sent();
            assert_eq!(notify.flow.remote, address("192.0.2.1:5070"));
            let cseq = notify.header("CSeq").and_then(|c| c.split(' ').next()).unwrap_or_default();
            assert!(cseq.parse::<u32>().is_ok_and(|n| n > 1000), "no number comes twice: {cseq}");
            assert!(notify.header("From").is_some_and(|from| from.ends_with(&tag)));
            world.receive(flow, &response(&notify, 200));
            assert_eq!(world.event_names(), ["Notified Taken"]);
        }
        world.receive(flow, &subscribe(flow, 2).tagged(&tag).text());
        let (asked, refresh) = world.subscribed();
        assert_eq!(refresh.subscription, Some(again));
        assert_eq!(refresh.is_from_subscriber, flow.connection.is_none());
        world.accept_subscribe(asked, 600);
        assert_eq!(world.only_sent().to_tag(), tag);
        assert_eq!(world.notify(again, 5), Sending::Sent);
    }
}

#[test]
fn there_are_only_so_many_subscriptions() {
    let mut world = World::with_limits(Limits { subscriptions_max: 1, ..Limits::default() });
    subscribed(&mut world, udp());
    world.receive(udp(), &subscribe(udp(), 1).call_id("other").branch("other").text());
    let (asked, _) = world.subscribed();
    assert_eq!(world.endpoint.accept_subscribe(world.now(), asked, 60 * SECOND), Err(503));
    world.advance(Duration::ZERO);
    let refused = world.only_sent();
    assert_eq!(refused.status(), 503);
    assert!(refused.header("Retry-After").is_some());
}

#[test]
fn a_notify_to_us_belongs_to_nothing() {
    let mut world = World::new();
    let notify = request(udp(), "NOTIFY", 1).header("Event: message-summary");
    world.receive(udp(), &notify.text());
    world.receive(udp(), &notify.tagged("x").branch("x").text());
    assert_eq!(world.statuses(), [481, 481]);
    world.assert_empty();
}

#[test]
fn what_is_asked_and_answered_prints_no_address() {
    let mut world = World::new();
    world.receive(udp(), &subscribe(udp(), 1).text());
    let (_, subscribe) = world.subscribed();
    let printed = format!("{subscribe:?}");
    assert!(!printed.contains("jane") && !printed.contains("1001"), "{printed}");
}
