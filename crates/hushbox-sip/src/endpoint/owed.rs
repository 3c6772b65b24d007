//! Requests of ours inside a call that have no connection to go by: they wait until there is one again. Media goes on
//! meanwhile, and so does the call.

use super::Endpoint;
use super::session::{Call, Purpose};
use crate::event::{Event, Session};
use crate::limits::{MAX_BYES, REFRESH_AGAIN, TIMEOUT};
use crate::rejection::Reason;
use crate::transport::{ConnectionId, Flow};
use std::time::Instant;

/// A request that waits for a way to the peer.
pub(super) enum Owed {
    Bye { reason: Reason, until: Instant },
    Refresh,
}

impl Owed {
    /// RFC 3261 §17.1.2.2: a BYE waits no longer than for its answer.
    pub(super) fn bye(now: Instant, reason: &Reason) -> Self {
        Owed::Bye { reason: reason.clone(), until: now + TIMEOUT }
    }

    /// When it is given up.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self {
            Owed::Bye { until, .. } => Some(*until),
            Owed::Refresh => None,
        }
    }
}

impl Endpoint {
    /// How to reach a peer now; what it sends comes by that from now on.
    pub(super) fn take_way(&mut self, session: Session) -> Option<Flow> {
        let flow = self.calls.get(&session).and_then(|call| self.way_to(call))?;
        if flow.connection.is_some() {
            self.move_to(session, flow);
        }
        Some(flow)
    }

    /// There is no way: the application is asked for one.
    pub(super) fn owe(&mut self, session: Session, owed: Owed) {
        let Some(call) = self.calls.get_mut(&session) else { return };
        let is_asked = call.owed.replace(owed).is_some();
        self.schedule(session);
        if !is_asked {
            self.emit(Event::NoWay { session });
        }
    }

    pub(super) fn owes(&self, session: Session) -> bool {
        self.calls.get(&session).is_some_and(|call| call.owed.is_some())
    }

    /// There is a way again.
    pub(super) fn settle(&mut self, now: Instant, session: Session) {
        let Some(call) = self.calls.get_mut(&session) else { return };
        match call.owed.take() {
            Some(Owed::Bye { reason, .. }) => self.send_bye(now, session, &reason),
            // Unless the peer has done it meanwhile.
            Some(Owed::Refresh) if call.refresh_at.is_none() => self.send_refresh(now, session),
            Some(Owed::Refresh) | None => {}
        }
        self.schedule(session);
    }

    /// There is none to be had.
    pub(super) fn give_up_owed(&mut self, now: Instant, session: Session) {
        let Some(call) = self.calls.get_mut(&session) else { return };
        match call.owed.take() {
            Some(Owed::Bye { .. }) => return self.terminate(session),
            Some(Owed::Refresh) => call.refresh_later(now),
            None => {}
        }
        self.schedule(session);
    }

    /// RFC 3261 §18.4: a BYE that was on a connection which broke has failed. It goes out again by another, so often and
    /// no more.
    pub(super) fn say_bye_again(&mut self, now: Instant, session: Session, lost: ConnectionId) {
        let may = self.calls.get(&session).is_some_and(|call| call.byes < MAX_BYES);
        match self.take_lost(session, lost) {
            Some(Purpose::Bye { reason }) if may => self.send_bye(now, session, &reason),
            Some(Purpose::Bye { .. } | Purpose::Refresh { .. }) | None => self.terminate(session),
        }
    }

    /// The same of a refresh, which has more time.
    pub(super) fn ask_later(&mut self, now: Instant, session: Session, lost: ConnectionId) {
        if self.take_lost(session, lost).is_some()
            && let Some(call) = self.calls.get_mut(&session)
        {
            call.is_offering = false;
            call.refresh_later(now);
            self.schedule(session);
        }
    }

    /// The request without a final response that was sent on this connection.
    fn take_lost(&mut self, session: Session, lost: ConnectionId) -> Option<Purpose> {
        let key = self.calls.get(&session)?.asking?;
        let transaction = &self.clients.get(&key)?.transaction;
        if !transaction.is_waiting() || transaction.flow().connection != Some(lost) {
            return None;
        }
        let client = self.clients.remove(&key)?;
        self.schedule_client(key);
        Some(client.purpose)
    }

    /// The session goes on by this connection.
    pub(super) fn move_to(&mut self, session: Session, flow: Flow) {
        let Some(call) = self.calls.get_mut(&session) else { return };
        if let Some(before) = call.flow.connection {
            self.by_connection.remove(&(before, session));
        }
        call.flow = flow;
        call.source = flow;
        if let Some(connection) = flow.connection {
            self.by_connection.insert((connection, session));
        }
    }
}

impl Call {
    /// RFC 4028 §10: the session lasts as long as it was to last.
    fn refresh_later(&mut self, now: Instant) {
        if self.timer.is_some() && self.refresh_at.is_none() {
            self.refresh_at = Some(now + REFRESH_AGAIN);
        }
    }
}
