//! Streams: their bytes, their end, and peers that are too slow.

use super::opened::Opened;
use super::session::Phase;
use super::timers::Timer;
use super::{Endpoint, Output};
use crate::event::{Event, Failure, Session};
use crate::framing::Framer;
use crate::transport::{ConnectionId, Flow};
use std::net::SocketAddr;
use std::time::Instant;

pub(super) struct Connection {
    pub(super) flow: Flow,
    pub(super) framer: Framer,
    /// Since when a message is unfinished.
    waiting_since: Option<Instant>,
    /// Where we opened it to, if we did.
    pub(super) opened: Option<Opened>,
    /// Where the peer can be reached by it, too (RFC 5923 §5).
    pub(super) alias: Option<SocketAddr>,
}

impl Connection {
    pub(super) fn new(flow: Flow) -> Self {
        Connection { flow, framer: Framer::new(), waiting_since: None, opened: None, alias: None }
    }
}

impl Endpoint {
    pub(super) fn handle_stream(&mut self, now: Instant, flow: Flow, bytes: &[u8]) {
        let Some(id) = flow.connection else { return };
        let is_full = self.connections.len() >= self.config.limits.connections_max;
        if is_full && !self.connections.contains_key(&id) {
            return self.outputs.push_back(Output::Disconnect { flow });
        }
        self.connections.entry(id).or_insert_with(|| Connection::new(flow)).framer.push(bytes);
        self.heard(now, id);
        while let Some(connection) = self.connections.get_mut(&id)
            && let Some(item) = connection.framer.next_item()
        {
            connection.waiting_since = None;
            self.handle_framed(now, flow, &item);
        }
        let Some(connection) = self.connections.get_mut(&id) else { return };
        // Bytes that trickle in prolong nothing: the message as a whole has its time.
        let is_waiting = connection.framer.is_waiting();
        let since = is_waiting.then(|| connection.waiting_since.unwrap_or(now));
        connection.waiting_since = since;
        let deadline = since.map(|since| since + self.config.limits.message_timeout);
        self.timers.set(Timer::Connection(id), deadline);
    }

    pub(super) fn handle_slow_stream(&mut self, id: ConnectionId) {
        if let Some(flow) = self.connections.get(&id).map(|c| c.flow) {
            self.disconnect(flow);
        }
    }

    pub(super) fn disconnect(&mut self, flow: Flow) {
        self.outputs.push_back(Output::Disconnect { flow });
    }

    pub(super) fn handle_closed(&mut self, now: Instant, flow: Flow) {
        let Some(id) = flow.connection else { return };
        self.connections.remove(&id);
        self.identities.remove(&id);
        self.sources.forget(id);
        self.timers.set(Timer::Connection(id), None);
        self.timers.set(Timer::Flow(id), None);
        self.fail_sent_on(now, id);
        let first = (id, Session(0));
        let last = (id, Session(u64::MAX));
        let sessions: Vec<_> =
            self.by_connection.range(first..=last).map(|(_, session)| *session).collect();
        for session in sessions {
            self.handle_lost_connection(now, session, id);
        }
        self.lose_notifies(flow);
    }

    fn handle_lost_connection(&mut self, now: Instant, session: Session, lost: ConnectionId) {
        let Some(call) = self.calls.get(&session) else { return };
        let is_known = call.identity.is_some();
        match call.phase {
            // The peer is known by more than its connection: it may come back by another, or be connected to.
            Phase::Answered { .. } if is_known => return self.ask_later(now, session, lost),
            Phase::Ending if is_known => return self.say_bye_again(now, session, lost),
            Phase::Ending => {}
            Phase::Ringing { .. } | Phase::Answered { .. } => {
                let failure = Failure::ConnectionLost;
                self.emit(Event::Failed { session, failure });
            }
        }
        // Nobody hears these, but the transactions then run out.
        self.refuse_first(now, session, &crate::Rejection::new(503));
        self.refuse_change(now, session, 503);
        self.terminate(session);
    }
}
