//! When whom to call.

use crate::event::{RequestId, Session};
use crate::outgoing::Attempt;
use crate::subscription::Subscription;
use crate::transaction::Key;
use crate::transport::ConnectionId;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

/// Who has a deadline. Each has one at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    InviteServer(Key),
    NonInviteServer(Key),
    Client(Key),
    Session(Session),
    /// A SUBSCRIBE that the application does not answer.
    Subscribe(RequestId),
    Subscription(Subscription),
    /// A NOTIFY of ours.
    Notify(Key),
    Connection(ConnectionId),
    Flow(ConnectionId),
    Request(Key),
    Attempt(Attempt),
}

/// Deadlines, in order of time.
#[derive(Debug, Default)]
pub(super) struct Timers {
    by_time: BTreeSet<(Instant, Timer)>,
    by_owner: BTreeMap<Timer, Instant>,
}

impl Timers {
    /// Sets or clears an owner's deadline.
    pub(super) fn set(&mut self, timer: Timer, at: Option<Instant>) {
        let before = match at {
            Some(at) => self.by_owner.insert(timer, at),
            None => self.by_owner.remove(&timer),
        };
        if before == at {
            return;
        }
        if let Some(before) = before {
            self.by_time.remove(&(before, timer));
        }
        if let Some(at) = at {
            self.by_time.insert((at, timer));
        }
    }

    /// The next deadline.
    pub(super) fn next(&self) -> Option<Instant> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Takes out one whose time has come.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<Timer> {
        let (at, timer) = *self.by_time.first()?;
        if at > now {
            return None;
        }
        self.set(timer, None);
        Some(timer)
    }
}
