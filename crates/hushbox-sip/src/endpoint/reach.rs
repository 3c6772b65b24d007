//! Subscribers whose connection is gone and who can be connected to: NOTIFYs inside the subscription's dialog go to its
//! next hop by a connection of ours (RFC 3261 §18.1.1, RFC 5923).

use super::Endpoint;
use crate::event::Event;
use crate::invite::OwnedUri;
use crate::outgoing::{Attempt, Destination};
use crate::subscription::Subscription;
use crate::transport::{Flow, Transport};
use std::time::Instant;

/// A subscriber that is being connected to.
pub(super) struct Reaching {
    destinations: Vec<Destination>,
    /// The destination that is being tried.
    at: usize,
    attempt: Option<Attempt>,
}

impl Endpoint {
    /// Where the next NOTIFY of a subscription goes: its first route, else the subscriber's Contact (RFC 3261
    /// §12.2.1.1).
    pub fn next_hop(&self, subscription: Subscription) -> Option<OwnedUri> {
        let dialog = &self.notifier.watches.get(&subscription)?.dialog;
        let uri = std::str::from_utf8(dialog.next_hop()).ok()?;
        OwnedUri::parse(uri).ok()
    }

    /// Opens a connection to the first of these destinations that takes one, or finds one that is open. Those of
    /// transports without connections are passed over. [`Event::Reached`] follows
    /// once, unless the subscription ends before; one that is being reached already goes on.
    pub fn connect_to(
        &mut self,
        now: Instant,
        subscription: Subscription,
        destinations: Vec<Destination>,
    ) {
        self.fire_timers(now);
        let notifier = &mut self.notifier;
        if notifier.watches.contains_key(&subscription)
            && !notifier.reaching.contains_key(&subscription)
        {
            let reaching = Reaching { destinations, at: 0, attempt: None };
            notifier.reaching.insert(subscription, reaching);
            self.try_to_reach(now, subscription);
        }
    }

    fn try_to_reach(&mut self, now: Instant, subscription: Subscription) {
        loop {
            let Some(reaching) = self.notifier.reaching.get(&subscription) else { return };
            let Some(destination) = reaching.destinations.get(reaching.at).cloned() else {
                return self.reached(now, subscription, None);
            };
            if destination.transport != Transport::Udp {
                if let Some((flow, _)) = self.way_to_destination(&destination) {
                    return self.reached(now, subscription, Some(flow));
                }
                let attempt = self.open(now, &destination);
                let Some(reaching) = self.notifier.reaching.get_mut(&subscription) else { return };
                reaching.attempt = attempt;
                if attempt.is_some() {
                    return;
                }
            }
            if let Some(reaching) = self.notifier.reaching.get_mut(&subscription) {
                reaching.at += 1;
            }
        }
    }

    fn reached(&mut self, now: Instant, subscription: Subscription, flow: Option<Flow>) {
        self.notifier.reaching.remove(&subscription);
        if let Some(flow) = flow
            && let Some(watch) = self.notifier.watches.get_mut(&subscription)
        {
            watch.flow = flow;
            self.touch(now, flow);
        }
        self.emit(Event::Reached { subscription, found: flow.is_some() });
    }

    /// A connection was opened, or could not be.
    pub(super) fn reach_by(&mut self, now: Instant, attempt: Attempt, flow: Option<Flow>) {
        let waits = |reaching: &Reaching| reaching.attempt == Some(attempt);
        let waiting = self.notifier.reaching.iter().filter(|(_, r)| waits(r));
        for subscription in waiting.map(|(id, _)| *id).collect::<Vec<_>>() {
            if flow.is_some() {
                self.reached(now, subscription, flow);
                continue;
            }
            if let Some(reaching) = self.notifier.reaching.get_mut(&subscription) {
                reaching.at += 1;
                reaching.attempt = None;
            }
            self.try_to_reach(now, subscription);
        }
    }
}
