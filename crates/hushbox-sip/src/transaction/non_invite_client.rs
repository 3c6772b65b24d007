//! Non-INVITE client transaction: RFC 3261 §17.1.2.

use super::Due;
use crate::limits::{T1, T2, T4, TIMEOUT};
use crate::transport::Flow;
use bytes::Bytes;
use std::time::{Duration, Instant};

pub(crate) struct NonInviteClient {
    flow: Flow,
    request: Bytes,
    state: State,
}

enum State {
    Trying { timer_e: Option<Instant>, interval: Duration, timer_f: Instant },
    Proceeding { timer_e: Option<Instant>, timer_f: Instant },
    Completed { timer_k: Instant },
}

impl NonInviteClient {
    /// A transaction whose request is on its way.
    pub(crate) fn new(now: Instant, flow: Flow, request: Bytes) -> Self {
        let timer_e = (!flow.transport.is_reliable()).then(|| now + T1);
        let state = State::Trying { timer_e, interval: T1, timer_f: now + TIMEOUT };
        NonInviteClient { flow, request, state }
    }

    pub(crate) fn flow(&self) -> Flow {
        self.flow
    }

    /// Whether no final response has come.
    pub(crate) fn is_waiting(&self) -> bool {
        match self.state {
            State::Trying { .. } | State::Proceeding { .. } => true,
            State::Completed { .. } => false,
        }
    }

    /// A response came. True if it is the first final one.
    pub(crate) fn handle_response(&mut self, now: Instant, status: u16) -> bool {
        match self.state {
            State::Completed { .. } => false,
            State::Trying { timer_e, timer_f, .. } | State::Proceeding { timer_e, timer_f }
                if status < 200 =>
            {
                let timer_e = timer_e.map(|_| now + T2);
                self.state = State::Proceeding { timer_e, timer_f };
                false
            }
            State::Trying { .. } | State::Proceeding { .. } => {
                let wait = if self.flow.transport.is_reliable() { Duration::ZERO } else { T4 };
                self.state = State::Completed { timer_k: now + wait };
                true
            }
        }
    }

    pub(crate) fn deadline(&self) -> Instant {
        match self.state {
            State::Trying { timer_e, timer_f, .. } | State::Proceeding { timer_e, timer_f } => {
                timer_e.map_or(timer_f, |e| e.min(timer_f))
            }
            State::Completed { timer_k } => timer_k,
        }
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Due {
        match &mut self.state {
            State::Completed { timer_k } if now >= *timer_k => Due::Terminated,
            State::Trying { timer_f, .. } | State::Proceeding { timer_f, .. }
                if now >= *timer_f =>
            {
                Due::TimedOut
            }
            State::Trying { timer_e: Some(timer_e), interval, .. } if now >= *timer_e => {
                *interval = (*interval * 2).min(T2);
                *timer_e = now + *interval;
                Due::Transmit(self.request.clone())
            }
            State::Proceeding { timer_e: Some(timer_e), .. } if now >= *timer_e => {
                *timer_e = now + T2;
                Due::Transmit(self.request.clone())
            }
            State::Trying { .. } | State::Proceeding { .. } | State::Completed { .. } => {
                Due::Nothing
            }
        }
    }
}
