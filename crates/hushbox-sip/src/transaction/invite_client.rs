//! INVITE client transaction: RFC 3261 §17.1.1 with the Accepted state of RFC 6026 §7.2. Ours is a
//! re-INVITE that refreshes a session.

use super::Due;
use crate::limits::{T1, TIMEOUT};
use crate::transport::Flow;
use bytes::Bytes;
use std::time::{Duration, Instant};

pub(crate) struct InviteClient {
    flow: Flow,
    request: Bytes,
    state: State,
}

enum State {
    Calling {
        timer_a: Option<Instant>,
        interval: Duration,
        timer_b: Instant,
    },
    /// A phone may ring for long; one that only has to repeat an answer may not.
    Proceeding {
        until: Instant,
    },
    /// A 2xx came; its repetitions are acknowledged again.
    Accepted {
        timer_m: Instant,
    },
    /// Another final response came; so are its.
    Completed {
        timer_d: Instant,
    },
}

/// What a response is to its transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Nothing to do.
    Provisional,
    /// The first final response: to be acknowledged and acted upon.
    First,
    /// A final response that came again: to be acknowledged.
    Again,
    /// Not one that this transaction can have.
    Stray,
}

impl InviteClient {
    /// A transaction whose request is on its way.
    pub(crate) fn new(now: Instant, flow: Flow, request: Bytes) -> Self {
        let timer_a = (!flow.transport.is_reliable()).then(|| now + T1);
        let state = State::Calling { timer_a, interval: T1, timer_b: now + TIMEOUT };
        InviteClient { flow, request, state }
    }

    pub(crate) fn flow(&self) -> Flow {
        self.flow
    }

    /// Whether no final response has come.
    pub(crate) fn is_waiting(&self) -> bool {
        match self.state {
            State::Calling { .. } | State::Proceeding { .. } => true,
            State::Accepted { .. } | State::Completed { .. } => false,
        }
    }

    pub(crate) fn handle_response(&mut self, now: Instant, status: u16) -> Answer {
        let is_success = (200..300).contains(&status);
        match self.state {
            State::Calling { .. } if status < 200 => {
                self.state = State::Proceeding { until: now + TIMEOUT };
                Answer::Provisional
            }
            State::Proceeding { .. } if status < 200 => Answer::Provisional,
            State::Calling { .. } | State::Proceeding { .. } if is_success => {
                self.state = State::Accepted { timer_m: now + TIMEOUT };
                Answer::First
            }
            State::Calling { .. } | State::Proceeding { .. } => {
                let is_reliable = self.flow.transport.is_reliable();
                let wait = if is_reliable { Duration::ZERO } else { TIMEOUT };
                self.state = State::Completed { timer_d: now + wait };
                Answer::First
            }
            State::Accepted { .. } if is_success => Answer::Again,
            State::Completed { .. } if status >= 300 => Answer::Again,
            State::Accepted { .. } | State::Completed { .. } => Answer::Stray,
        }
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Calling { timer_a, timer_b, .. } => {
                Some(timer_a.map_or(timer_b, |a| a.min(timer_b)))
            }
            State::Proceeding { until } => Some(until),
            State::Accepted { timer_m } => Some(timer_m),
            State::Completed { timer_d } => Some(timer_d),
        }
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Due {
        match &mut self.state {
            State::Accepted { timer_m } if now >= *timer_m => Due::Terminated,
            State::Completed { timer_d } if now >= *timer_d => Due::Terminated,
            State::Calling { timer_b, .. } if now >= *timer_b => Due::TimedOut,
            State::Proceeding { until } if now >= *until => Due::TimedOut,
            State::Calling { timer_a: Some(timer_a), interval, .. } if now >= *timer_a => {
                // RFC 3261 §17.1.1.2: timer A doubles without a limit.
                *interval *= 2;
                *timer_a = now + *interval;
                Due::Transmit(self.request.clone())
            }
            State::Calling { .. }
            | State::Proceeding { .. }
            | State::Accepted { .. }
            | State::Completed { .. } => Due::Nothing,
        }
    }
}
