//! Deadlines that have come.

use super::Endpoint;
use super::session::Purpose;
use super::timers::Timer;
use crate::transaction::{Due, Key};
use std::time::Instant;

impl Endpoint {
    /// Does everything whose time has come, in order of time.
    pub(super) fn fire_timers(&mut self, now: Instant) {
        while let Some(timer) = self.timers.pop_due(now) {
            match timer {
                Timer::InviteServer(key) => self.handle_invite_server_timeout(now, key),
                Timer::NonInviteServer(key) => self.handle_non_invite_server_timeout(now, key),
                Timer::Client(key) => self.handle_client_timeout(now, key),
                Timer::Subscribe(request) => self.discard_asked(request),
                Timer::Subscription(id) => self.handle_subscription_timeout(now, id),
                Timer::Notify(key) => self.handle_notify_timeout(now, key),
                Timer::Session(session) => self.handle_session_timeout(now, session),
                Timer::Connection(connection) => self.handle_slow_stream(connection),
                Timer::Flow(connection) => self.handle_flow_timeout(now, connection),
                Timer::Request(key) => self.handle_request_timeout(now, key),
                Timer::Attempt(attempt) => self.handle_unconnected(now, attempt),
            }
        }
    }

    fn handle_invite_server_timeout(&mut self, now: Instant, key: Key) {
        let Some(server) = self.invite_servers.get_mut(&key) else { return };
        let (due, flow, deadline) = (server.handle_timeout(now), server.flow(), server.deadline());
        match due {
            Due::Transmit(bytes) => self.transmit(flow, bytes),
            Due::Nothing => {}
            Due::TimedOut | Due::Terminated => {
                return self.remove_invite_server(key);
            }
        }
        self.timers.set(Timer::InviteServer(key), deadline);
    }

    pub(super) fn remove_invite_server(&mut self, key: Key) {
        self.invite_servers.remove(&key);
        self.timers.set(Timer::InviteServer(key), None);
        self.forget_merge(key);
    }

    /// The same request by another path is no longer a repetition.
    pub(super) fn forget_merge(&mut self, key: Key) {
        if let Some(merged) = self.merge_of.remove(&key) {
            self.merges.remove(&merged);
        }
    }

    fn handle_non_invite_server_timeout(&mut self, now: Instant, key: Key) {
        let Some(server) = self.non_invite_servers.get(&key) else { return };
        match server.handle_timeout(now) {
            Due::TimedOut | Due::Terminated => self.remove_non_invite_server(key),
            Due::Transmit(_) | Due::Nothing => {
                self.timers.set(Timer::NonInviteServer(key), server.deadline());
            }
        }
    }

    fn handle_client_timeout(&mut self, now: Instant, key: Key) {
        let Some(client) = self.clients.get_mut(&key) else { return };
        let (session, flow) = (client.session, client.transaction.flow());
        let is_bye = matches!(client.purpose, Purpose::Bye { .. });
        match client.transaction.handle_timeout(now) {
            Due::Transmit(bytes) => self.transmit(flow, bytes),
            Due::Nothing => {}
            Due::Terminated => {
                self.clients.remove(&key);
            }
            Due::TimedOut => {
                self.clients.remove(&key);
                if is_bye {
                    self.handle_bye_timeout(session);
                } else {
                    self.handle_refresh_timeout(now, session);
                }
            }
        }
        self.schedule_client(key);
    }
}
