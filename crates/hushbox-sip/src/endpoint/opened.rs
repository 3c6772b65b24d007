//! Connections that we open: one to a destination, kept while it is of use, and asked whether the
//! peer is still there (RFC 5923, RFC 5626 §4.4.1).

use super::connections::Connection;
use super::receive::Incoming;
use super::timers::Timer;
use super::{Endpoint, Output};
use crate::limits;
use crate::outgoing::{Attempt, Destination};
use crate::transport::{ConnectionId, Flow, Transport};
use bytes::Bytes;
use rand_core::RngCore;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// What is kept of a connection that we opened.
pub(super) struct Opened {
    destination: Destination,
    /// When something was sent or heard last.
    used: Instant,
    /// How often the peer is asked, where calls are to come by it.
    kept: Option<Duration>,
    /// Whether the peer has shown, or said, that it answers.
    answers: bool,
    /// When it was asked and has not answered yet.
    asked: Option<Instant>,
}

impl Connection {
    /// Whether we opened it to this destination.
    pub(super) fn reaches(&self, destination: &Destination) -> bool {
        self.opened.as_ref().is_some_and(|o| o.destination.is_same_peer(destination))
    }
}

impl Endpoint {
    /// Asks for a connection, or joins an attempt that is under way. `None` if there are too many.
    pub(super) fn open(&mut self, now: Instant, destination: &Destination) -> Option<Attempt> {
        let same = |d: &Destination| d.is_same_peer(destination);
        if let Some((attempt, _)) = self.attempts.iter().find(|(_, d)| same(d)) {
            return Some(*attempt);
        }
        let opened = self.connections.values().filter(|c| c.opened.is_some()).count();
        if opened + self.attempts.len() >= limits::MAX_OPENED {
            return None;
        }
        let attempt = Attempt(self.next_id);
        self.next_id += 1;
        self.attempts.insert(attempt, destination.clone());
        self.timers.set(Timer::Attempt(attempt), Some(now + limits::CONNECT_TIMEOUT));
        self.outputs.push_back(Output::Connect { attempt, destination: destination.clone() });
        Some(attempt)
    }

    pub(super) fn handle_connected(&mut self, now: Instant, attempt: Attempt, flow: Flow) {
        let Some(destination) = self.attempts.remove(&attempt) else {
            // Too late: nobody waits for it.
            return self.disconnect(flow);
        };
        self.timers.set(Timer::Attempt(attempt), None);
        let Some(id) = flow.connection else { return self.fail_waiting(now, attempt) };
        let opened = Opened { destination, used: now, kept: None, answers: false, asked: None };
        let mut connection = Connection::new(flow);
        connection.opened = Some(opened);
        self.connections.insert(id, connection);
        self.schedule_flow(id);
        self.send_waiting(now, attempt, flow);
    }

    /// An attempt failed, or took too long.
    pub(super) fn handle_unconnected(&mut self, now: Instant, attempt: Attempt) {
        if self.attempts.remove(&attempt).is_some() {
            self.timers.set(Timer::Attempt(attempt), None);
            self.fail_waiting(now, attempt);
        }
    }

    /// Keeps a connection that we opened, since requests are to come by it: the peer is asked about
    /// this often (RFC 5626 §4.4.1: 80 to 100 % of it). One that answers such questions, or says
    /// that it does, and then answers no more is gone: the connection is closed.
    pub fn keep_alive(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        every: Duration,
        answers: bool,
    ) {
        self.fire_timers(now);
        if let Some(opened) = self.opened(connection) {
            opened.kept = Some(every);
            opened.answers |= answers;
            self.schedule_flow(connection);
        }
    }

    /// A connection need not be kept any longer: it closes when it has been idle for a while.
    pub fn let_go(&mut self, now: Instant, connection: ConnectionId) {
        self.fire_timers(now);
        if let Some(opened) = self.opened(connection) {
            opened.kept = None;
            self.schedule_flow(connection);
        }
    }

    /// RFC 5923 §5: a peer that we know by its certificate lets us send to its listener by this
    /// connection.
    pub(super) fn note_alias(&mut self, incoming: &Incoming<'_>) {
        let (flow, via) = (incoming.flow, incoming.message.via());
        let Some(id) = flow.connection.filter(|_| flow.transport == Transport::Tls) else { return };
        if !self.identities.contains_key(&id) || !via.params().has("alias") {
            return;
        }
        let port = via.port().unwrap_or(flow.transport.default_port());
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.alias = Some(SocketAddr::new(flow.remote.ip(), port));
        }
    }

    /// Something was sent on a connection.
    pub(super) fn touch(&mut self, now: Instant, flow: Flow) {
        let Some(id) = flow.connection else { return };
        if let Some(opened) = self.opened(id) {
            opened.used = now;
            self.schedule_flow(id);
        }
    }

    /// Something was heard on a connection: the peer is there.
    pub(super) fn heard(&mut self, now: Instant, id: ConnectionId) {
        if let Some(opened) = self.opened(id) {
            opened.used = now;
            opened.asked = None;
            self.schedule_flow(id);
        }
    }

    /// RFC 5626 §3.5.1: the answer to what we asked.
    pub(super) fn handle_pong(&mut self, flow: Flow) {
        if let Some(opened) = flow.connection.and_then(|id| self.opened(id)) {
            opened.answers = true;
        }
    }

    pub(super) fn handle_flow_timeout(&mut self, now: Instant, id: ConnectionId) {
        let is_busy = self.is_busy(id);
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let flow = connection.flow;
        let Some(opened) = &mut connection.opened else { return };
        if let Some(asked) = opened.asked.take()
            && opened.answers
            && now >= asked + limits::PONG_TIMEOUT
        {
            // RFC 5626 §4.4.1: the flow has failed.
            return self.close_opened(now, flow);
        }
        if opened.kept.is_some() {
            opened.asked = Some(now);
            opened.used = now;
            connection.framer.expect_pong();
            self.transmit(flow, Bytes::from_static(b"\r\n\r\n"));
        } else if is_busy {
            opened.used = now;
        } else if now >= opened.used + limits::OPENED_IDLE {
            return self.close_opened(now, flow);
        }
        self.schedule_flow(id);
    }

    /// Closes a connection of ours, and does not wait for the shell to say so.
    fn close_opened(&mut self, now: Instant, flow: Flow) {
        self.disconnect(flow);
        self.handle_closed(now, flow);
    }

    /// Whether something goes on by a connection.
    fn is_busy(&self, id: ConnectionId) -> bool {
        let first = (id, crate::event::Session(0));
        let last = (id, crate::event::Session(u64::MAX));
        self.by_connection.range(first..=last).next().is_some()
    }

    fn opened(&mut self, id: ConnectionId) -> Option<&mut Opened> {
        self.connections.get_mut(&id)?.opened.as_mut()
    }

    fn schedule_flow(&mut self, id: ConnectionId) {
        let jitter = self.rng.next_u32() % 201;
        let Some(opened) = self.opened(id) else { return };
        let at = match (opened.asked, opened.kept) {
            (Some(asked), _) if opened.answers => asked + limits::PONG_TIMEOUT,
            (_, Some(every)) => opened.used + every.mul_f64(0.8 + f64::from(jitter) / 1000.0),
            (_, None) => opened.used + limits::OPENED_IDLE,
        };
        self.timers.set(Timer::Flow(id), Some(at));
    }
}
