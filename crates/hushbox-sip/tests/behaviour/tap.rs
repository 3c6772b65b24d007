//! What comes in is shown before anything is made of it.

use super::world::*;
use hushbox_sip::message::StartLine;
use hushbox_sip::{CallIdHash, Flow, Limits, Message, Overflow, ParseError, Tap};
use std::sync::{Arc, Mutex};

#[derive(Clone, Default)]
struct Watch(Arc<Mutex<Vec<String>>>);

impl Watch {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().expect("a lock"))
    }
}

impl Tap for Watch {
    fn received(&mut self, _: Flow, message: &Message<'_>, begins: Option<CallIdHash>) {
        let what = match message.start() {
            StartLine::Request(request) => format!("{:?}", request.method),
            StartLine::Response(status) => status.to_string(),
        };
        self.0.lock().expect("a lock").push(format!("{what} {}", begins.is_some()));
    }

    fn malformed(&mut self, _: Flow, error: ParseError) {
        self.0.lock().expect("a lock").push(error.to_string());
    }

    fn refused(&mut self, _: Flow, why: Overflow) {
        self.0.lock().expect("a lock").push(why.as_str().to_owned());
    }
}

#[test]
fn every_message_is_shown_once_and_only_an_invite_outside_of_dialogs_begins_a_call() {
    let watch = Watch::default();
    let mut world = World::new();
    world.endpoint.set_tap(Box::new(watch.clone()));
    let invite = invite(udp());
    world.receive(udp(), &invite.text());
    assert_eq!(watch.take(), ["Invite true"]);
    world.receive(udp(), &invite.text());
    assert_eq!(watch.take(), ["Invite true"], "a repetition is shown, too");
    world.receive(udp(), &request(udp(), "OPTIONS", 1).text());
    assert_eq!(watch.take(), ["Options false"]);
    world.receive(udp(), &request(udp(), "INVITE", 2).tagged("x").text());
    assert_eq!(watch.take(), ["Invite false"]);
}

#[test]
fn what_is_no_message_is_shown_by_what_is_wrong_with_it() {
    let watch = Watch::default();
    let mut world = World::new();
    world.endpoint.set_tap(Box::new(watch.clone()));
    world.receive(udp(), "\0\0\0");
    world.receive(udp(), &request(udp(), "INVITE", 1).header("no colon here").text());
    let shown = watch.take();
    assert_eq!(shown.len(), 2, "{shown:?}");
    assert_eq!(shown[1], "malformed header line");
}

#[test]
fn what_there_is_no_room_for_is_shown_with_the_reason() {
    let source = Limits { requests_per_source: Some(1), ..Limits::default() };
    let sessions = Limits { sessions_max: 0, ..Limits::default() };
    let transactions = Limits { transactions_max: 0, ..Limits::default() };
    let subscriptions = Limits { subscriptions_max: 0, ..Limits::default() };
    for (limits, method, why) in [
        (source, "OPTIONS", "source"),
        (sessions, "INVITE", "sessions"),
        (transactions.clone(), "INVITE", "transactions"),
        (transactions, "SUBSCRIBE", "transactions"),
        (subscriptions, "SUBSCRIBE", "subscriptions"),
    ] {
        let watch = Watch::default();
        let mut world = World::with_limits(limits);
        world.endpoint.set_tap(Box::new(watch.clone()));
        world.receive(udp(), &request(udp(), "OPTIONS", 1).call_id("other").text());
        let asked = request(udp(), method, 1).header("Event: message-summary");
        world.receive(udp(), &asked.text());
        if why == "subscriptions" {
            let (asked, _) = world.subscribed();
            let now = world.now();
            assert_eq!(world.endpoint.accept_subscribe(now, asked, 60 * SECOND), Err(503));
        }
        assert_eq!(watch.take().last().map(String::as_str), Some(why), "{method}");
    }
}
