//! The user agent server.

use crate::auth::Challenge;
use crate::event::{Event, RequestId, Session};
use crate::limits::Limits;
use crate::rejection::{Reason, Rejection};
use crate::transport::{ConnectionId, Flow, Listener};
use bytes::Bytes;
use std::time::Instant;

/// How an endpoint presents itself and how much it takes on.
#[derive(Clone, Debug)]
pub struct Config {
    /// Product token for Server and User-Agent, such as `Hushbox/0.1`.
    pub product: String,
    /// The listeners; a flow's `local` finds the one that its Contact and Via name.
    pub listeners: Vec<Listener>,
    /// Limits that an installation sets.
    pub limits: Limits,
}

/// What happens to an endpoint.
#[derive(Debug)]
pub enum Input<'a> {
    /// A datagram came.
    Datagram {
        /// Where from.
        flow: Flow,
        /// Its content.
        bytes: &'a [u8],
    },
    /// Bytes came on a stream; the first ones open it.
    StreamData {
        /// Which stream.
        flow: Flow,
        /// As many bytes as there were.
        bytes: &'a [u8],
    },
    /// A stream closed, from either side.
    StreamClosed {
        /// Which stream.
        flow: Flow,
    },
    /// The time of the last `Output::Timeout` has come.
    Timeout,
}

/// What an endpoint asks for.
#[derive(Debug)]
pub enum Output {
    /// Send this.
    Transmit {
        /// Where to: on a stream by its connection, else to the remote address.
        flow: Flow,
        /// A whole message.
        bytes: Bytes,
    },
    /// Close this stream: what comes on it can no longer be framed, or is too slow.
    Disconnect {
        /// Which stream.
        flow: Flow,
    },
    /// Something happened to a session.
    Event(Event),
    /// Nothing more now; come back with `Input::Timeout` at this time, or when something happens.
    Timeout(Option<Instant>),
}

/// A SIP user agent server: transactions, dialogs and the order of checks.
pub struct Endpoint {}

impl Endpoint {
    /// An endpoint. Tags, branches and keys of its tables come from the seed, which must be fresh
    /// and secret.
    pub fn new(_config: Config, _seed: [u8; 32]) -> Self {
        Endpoint {}
    }

    /// Takes an input. Drain [`Endpoint::poll_output`] afterwards.
    pub fn handle_input(&mut self, _now: Instant, _input: Input<'_>) {}

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Output {
        Output::Timeout(None)
    }

    /// Says whose connection this is (a client certificate, say), by any number that stands for
    /// that identity: requests inside a dialog then count from another connection of the same
    /// identity too, and a dialog outlives its connection.
    pub fn identify(&mut self, _connection: ConnectionId, _identity: u64) {}

    /// Answers a call with 200 and this SDP, which is an offer where the INVITE had none.
    pub fn answer(&mut self, _now: Instant, _session: Session, _sdp: Bytes) {}

    /// Refuses a call.
    pub fn reject(&mut self, _now: Instant, _session: Session, _rejection: Rejection) {}

    /// Refuses a call with 401 and these challenges.
    pub fn challenge(&mut self, _now: Instant, _session: Session, _challenges: Vec<Challenge>) {}

    /// Answers a re-INVITE with 200 and this SDP.
    pub fn answer_reinvite(&mut self, _now: Instant, _request: RequestId, _sdp: Bytes) {}

    /// Refuses a re-INVITE; the session stays as it was.
    pub fn reject_reinvite(&mut self, _now: Instant, _request: RequestId, _rejection: Rejection) {}

    /// Ends a call: BYE, after the ACK where that is still to come (RFC 3261 §15). A call that was
    /// not answered yet is refused with 480.
    pub fn hang_up(&mut self, _now: Instant, _session: Session, _reason: Reason) {}
}
