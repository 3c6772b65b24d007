//! Peers whose connection is gone and who can be connected to: our requests inside a dialog go to its next hop by a
//! connection of ours (RFC 3261 §12.2.1.1, §18.1.1, RFC 5923).

use super::Endpoint;
use crate::dialog::Dialog;
use crate::event::{Event, Session, Usage};
use crate::invite::OwnedUri;
use crate::outgoing::{Attempt, Destination};
use crate::resolution::Target;
use crate::transport::{Flow, Transport};
use std::time::Instant;

/// A peer that is being connected to.
pub(super) struct Reaching {
    destinations: Vec<Destination>,
    /// The destination that is being tried.
    at: usize,
    attempt: Option<Attempt>,
}

impl Endpoint {
    /// Where our next request in a dialog goes: its first route, else the peer's Contact (RFC 3261 §12.2.1.1). By the
    /// dialog's transport, where it names none.
    pub fn next_hop(&self, usage: impl Into<Usage>) -> Option<Target> {
        let (dialog, flow) = self.dialog(usage.into())?;
        let uri = std::str::from_utf8(dialog.next_hop()).ok()?;
        Some(Target::of(&OwnedUri::parse(uri).ok()?)?.or_by(flow.transport))
    }

    /// Opens a connection to the first of these destinations that takes one, or finds one that is open. Only those of
    /// the dialog's transport are tried: what began over TLS does not go on in the clear. [`Event::Reached`] follows
    /// once, unless the usage ends before; one that is being reached already goes on.
    pub fn connect_to(
        &mut self,
        now: Instant,
        usage: impl Into<Usage>,
        mut destinations: Vec<Destination>,
    ) {
        self.fire_timers(now);
        let usage = usage.into();
        let Some(transport) = self.dialog(usage).map(|(_, flow)| flow.transport) else { return };
        if self.reaching.contains_key(&usage) {
            return;
        }
        // The peer has come by itself meanwhile.
        if let Usage::Session(session) = usage
            && !self.owes(session)
        {
            return self.emit(Event::Reached { usage, found: true });
        }
        destinations.retain(|d| d.transport == transport && d.transport != Transport::Udp);
        self.reaching.insert(usage, Reaching { destinations, at: 0, attempt: None });
        self.try_to_reach(now, usage);
    }

    /// A usage's dialog, and the way that it has or had.
    fn dialog(&self, usage: Usage) -> Option<(&Dialog, Flow)> {
        match usage {
            Usage::Session(session) => self.calls.get(&session).map(|c| (&c.dialog, c.flow)),
            Usage::Subscription(subscription) => {
                self.notifier.watches.get(&subscription).map(|w| (&w.dialog, w.flow))
            }
        }
    }

    fn try_to_reach(&mut self, now: Instant, usage: Usage) {
        loop {
            let Some(reaching) = self.reaching.get(&usage) else { return };
            let Some(destination) = reaching.destinations.get(reaching.at).cloned() else {
                return self.reached(now, usage, None);
            };
            if let Some((flow, _)) = self.way_to_destination(&destination) {
                return self.reached(now, usage, Some(flow));
            }
            let attempt = self.open(now, &destination);
            let Some(reaching) = self.reaching.get_mut(&usage) else { return };
            reaching.attempt = attempt;
            if attempt.is_some() {
                return;
            }
            reaching.at += 1;
        }
    }

    fn reached(&mut self, now: Instant, usage: Usage, flow: Option<Flow>) {
        self.reaching.remove(&usage);
        self.emit(Event::Reached { usage, found: flow.is_some() });
        if let Some(flow) = flow {
            self.touch(now, flow);
        }
        match (usage, flow) {
            (Usage::Session(session), Some(flow)) => {
                self.move_to(session, flow);
                self.settle(now, session);
            }
            (Usage::Session(session), None) => self.give_up_owed(now, session),
            (Usage::Subscription(subscription), Some(flow)) => {
                if let Some(watch) = self.notifier.watches.get_mut(&subscription) {
                    watch.flow = flow;
                }
            }
            (Usage::Subscription(_), None) => {}
        }
    }

    /// The peer has come by itself.
    pub(super) fn reached_us(&mut self, session: Session) {
        let usage = Usage::Session(session);
        if self.reaching.remove(&usage).is_some() {
            self.emit(Event::Reached { usage, found: true });
        }
    }

    /// A connection was opened, or could not be.
    pub(super) fn reach_by(&mut self, now: Instant, attempt: Attempt, flow: Option<Flow>) {
        let waits = |reaching: &Reaching| reaching.attempt == Some(attempt);
        let waiting = self.reaching.iter().filter(|(_, r)| waits(r));
        for usage in waiting.map(|(usage, _)| *usage).collect::<Vec<_>>() {
            if flow.is_some() {
                self.reached(now, usage, flow);
                continue;
            }
            if let Some(reaching) = self.reaching.get_mut(&usage) {
                reaching.at += 1;
                reaching.attempt = None;
            }
            self.try_to_reach(now, usage);
        }
    }
}
