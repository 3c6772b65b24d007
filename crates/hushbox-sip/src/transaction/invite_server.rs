//! INVITE server transaction: RFC 3261 §17.2.1 with the Accepted state of RFC 6026 §7.1.

use super::Due;
use crate::limits::{T1, T2, T4, TIMEOUT};
use crate::transport::Flow;
use bytes::Bytes;
use std::time::{Duration, Instant};

pub(crate) struct InviteServer {
    /// Where responses go.
    flow: Flow,
    state: State,
}

enum State {
    /// No final response yet.
    Proceeding { trying: Bytes },
    /// A 2xx was sent, which the UAS core repeats; repetitions of the INVITE are absorbed.
    Accepted { timer_l: Instant },
    /// A final response other than 2xx waits for its ACK.
    Completed { response: Bytes, timer_g: Option<Instant>, interval: Duration, timer_h: Instant },
    /// The ACK came; repetitions of it are absorbed.
    Confirmed { timer_i: Instant },
}

impl InviteServer {
    /// A transaction whose 100 is on its way.
    pub(crate) fn new(flow: Flow, trying: Bytes) -> Self {
        InviteServer { flow, state: State::Proceeding { trying } }
    }

    /// A transaction that is refused at once.
    pub(crate) fn refused(now: Instant, flow: Flow, response: Bytes) -> Self {
        let mut server = InviteServer::new(flow, Bytes::new());
        server.handle_failure(now, response);
        server
    }

    pub(crate) fn flow(&self) -> Flow {
        self.flow
    }

    /// Whether it still waits for a final response.
    pub(crate) fn is_proceeding(&self) -> bool {
        matches!(self.state, State::Proceeding { .. })
    }

    /// The 100 of one that has no final response.
    pub(crate) fn trying(&self) -> Option<Bytes> {
        match &self.state {
            State::Proceeding { trying } => Some(trying.clone()),
            State::Accepted { .. } | State::Completed { .. } | State::Confirmed { .. } => None,
        }
    }

    /// The INVITE came again: what to send.
    pub(crate) fn handle_invite(&self) -> Option<Bytes> {
        match &self.state {
            State::Proceeding { trying } => Some(trying.clone()),
            State::Completed { response, .. } => Some(response.clone()),
            // RFC 6026 §7.1: nothing is sent here, the core's own repetitions do.
            State::Accepted { .. } | State::Confirmed { .. } => None,
        }
    }

    /// The core has sent a 2xx.
    pub(crate) fn handle_success(&mut self, now: Instant) {
        if self.is_proceeding() {
            self.state = State::Accepted { timer_l: now + TIMEOUT };
        }
    }

    /// Another final response is sent.
    pub(crate) fn handle_failure(&mut self, now: Instant, response: Bytes) {
        if !self.is_proceeding() {
            return;
        }
        let timer_g = (!self.flow.transport.is_reliable()).then(|| now + T1);
        let timer_h = now + TIMEOUT;
        self.state = State::Completed { response, timer_g, interval: T1, timer_h };
    }

    /// The final response is not repeated by itself, and soon forgotten; an INVITE that comes again
    /// until then is still answered with it.
    pub(crate) fn calm(&mut self, now: Instant) {
        if let State::Completed { timer_g, timer_h, .. } = &mut self.state {
            *timer_g = None;
            *timer_h = now + T4;
        }
    }

    /// An ACK came. True if it was for this transaction: one for a 2xx is the dialog's.
    pub(crate) fn handle_ack(&mut self, now: Instant) -> bool {
        match self.state {
            State::Completed { .. } => {
                let wait = if self.flow.transport.is_reliable() { Duration::ZERO } else { T4 };
                self.state = State::Confirmed { timer_i: now + wait };
                true
            }
            State::Confirmed { .. } => true,
            State::Proceeding { .. } | State::Accepted { .. } => false,
        }
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Proceeding { .. } => None,
            State::Accepted { timer_l } => Some(*timer_l),
            State::Completed { timer_g, timer_h, .. } => {
                Some(timer_g.map_or(*timer_h, |g| g.min(*timer_h)))
            }
            State::Confirmed { timer_i } => Some(*timer_i),
        }
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Due {
        match &mut self.state {
            State::Proceeding { .. } => Due::Nothing,
            State::Accepted { timer_l } if now >= *timer_l => Due::Terminated,
            State::Confirmed { timer_i } if now >= *timer_i => Due::Terminated,
            State::Completed { timer_h, .. } if now >= *timer_h => Due::TimedOut,
            State::Completed { response, timer_g: Some(timer_g), interval, .. }
                if now >= *timer_g =>
            {
                *interval = (*interval * 2).min(T2);
                *timer_g = now + *interval;
                Due::Transmit(response.clone())
            }
            State::Accepted { .. } | State::Confirmed { .. } | State::Completed { .. } => {
                Due::Nothing
            }
        }
    }
}
