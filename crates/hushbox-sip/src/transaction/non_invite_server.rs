//! Non-INVITE server transaction: RFC 3261 §17.2.2.

use super::Due;
use crate::limits::TIMEOUT;
use crate::transport::Flow;
use bytes::Bytes;
use std::time::Instant;

pub(crate) struct NonInviteServer {
    /// Where responses go.
    flow: Flow,
    state: State,
}

enum State {
    /// The core has not answered yet; repetitions are discarded.
    Trying,
    /// Repetitions are answered as the first was.
    Completed { response: Bytes, timer_j: Instant },
}

impl NonInviteServer {
    pub(crate) fn new(flow: Flow) -> Self {
        NonInviteServer { flow, state: State::Trying }
    }

    pub(crate) fn flow(&self) -> Flow {
        self.flow
    }

    /// The request came again: what to send.
    pub(crate) fn handle_request(&self) -> Option<Bytes> {
        match &self.state {
            State::Trying => None,
            State::Completed { response, .. } => Some(response.clone()),
        }
    }

    /// The final response is sent. False if the transaction is over with it: on a stream nothing
    /// comes twice (timer J is zero).
    pub(crate) fn handle_final(&mut self, now: Instant, response: Bytes) -> bool {
        if matches!(self.state, State::Trying) {
            self.state = State::Completed { response, timer_j: now + TIMEOUT };
        }
        !self.flow.transport.is_reliable()
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Trying => None,
            State::Completed { timer_j, .. } => Some(*timer_j),
        }
    }

    pub(crate) fn handle_timeout(&self, now: Instant) -> Due {
        match &self.state {
            State::Completed { timer_j, .. } if now >= *timer_j => Due::Terminated,
            State::Completed { .. } | State::Trying => Due::Nothing,
        }
    }
}
