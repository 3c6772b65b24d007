//! The listeners: bytes from sockets to the signalling task, and back to the peers.
//!
//! A listener knows nothing of SIP. Its queue is bounded: when signalling is behind, streams wait (the peer's window
//! closes) and datagrams are dropped (their senders repeat them).

mod count;
pub mod stream;
pub mod tcp;
pub mod tls;
pub mod udp;
mod write_queue;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use hushbox_sip::{Attempt, ConnectionId, Flow};

use crate::client_certificates::Match;
pub use count::{Admitted, Connections, Place};
pub use write_queue::{WriteQueue, write_queue};

/// What a listener tells the signalling task. `P` is whom a certificate stands for.
pub enum Arrival<P> {
    /// A datagram.
    Datagram {
        /// Between which addresses.
        flow: Flow,
        /// Its bytes.
        bytes: Bytes,
    },
    /// A new connection.
    Opened {
        /// Between which addresses, with its number.
        flow: Flow,
        /// Whose certificate was shown.
        peer: Match<P>,
        /// Takes what is to be sent; dropping it closes the connection once all is sent.
        writer: WriteQueue,
        /// Tells the connection that its peer is known, and may stay.
        acquaintance: Acquaintance,
        /// Which attempt of ours this was; `None` where the peer has connected.
        attempt: Option<Attempt>,
    },
    /// A connection of ours could not be opened.
    Unconnected {
        /// Which attempt this was.
        attempt: Attempt,
    },
    /// Bytes from a connection.
    Data {
        /// The connection.
        flow: Flow,
        /// The bytes.
        bytes: Bytes,
    },
    /// A connection is gone.
    Closed {
        /// Which one.
        flow: Flow,
    },
}

/// Lengths alone: SIP says who calls whom, and with which answer to a challenge.
impl<P> fmt::Debug for Arrival<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, length) = match self {
            Self::Datagram { bytes, .. } => ("Datagram", Some(bytes.len())),
            Self::Opened { .. } => ("Opened", None),
            Self::Data { bytes, .. } => ("Data", Some(bytes.len())),
            Self::Unconnected { .. } => ("Unconnected", None),
            Self::Closed { .. } => ("Closed", None),
        };
        f.debug_struct(name).field("length", &length).finish_non_exhaustive()
    }
}

/// Whether it is known who is at the other end of a connection. Once made it stays.
#[derive(Clone, Debug, Default)]
pub struct Acquaintance(Arc<AtomicBool>);

impl Acquaintance {
    /// The peer has shown who it is.
    pub fn make(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it has.
    pub fn is_made(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Numbers connections; no number is used twice in a process.
#[derive(Clone, Debug, Default)]
pub struct Numbering(Arc<AtomicU64>);

impl Numbering {
    /// The next number.
    pub fn next(&self) -> ConnectionId {
        ConnectionId(self.0.fetch_add(1, Ordering::Relaxed))
    }
}

/// DSCP CS3 for signalling (RFC 4594 §2.3), as the octet that carries it.
pub const DSCP_CS3: u32 = 24 << 2;
/// DSCP EF for media (RFC 3246).
pub const DSCP_EF: u32 = 46 << 2;

/// Marks what a socket sends. A system that refuses still sends.
pub fn mark(socket: &socket2::SockRef<'_>, address: SocketAddr, octet: u32) {
    let marked = match address {
        SocketAddr::V4(_) => socket.set_tos_v4(octet),
        SocketAddr::V6(_) => socket.set_tclass_v6(octet),
    };
    if let Err(error) = marked {
        tracing::debug!(%error, "packets are not marked");
    }
}

#[cfg(test)]
mod tests {
    use hushbox_sip::Transport;

    use super::*;

    #[test]
    fn what_arrives_does_not_print_itself() {
        let address = "192.0.2.1:5060".parse().expect("an address");
        let flow =
            Flow { transport: Transport::Udp, local: address, remote: address, connection: None };
        let bytes = Bytes::from_static(b"INVITE sip:1001@clinic.example SIP/2.0");
        for arrival in
            [Arrival::<()>::Datagram { flow, bytes: bytes.clone() }, Arrival::Data { flow, bytes }]
        {
            let text = format!("{arrival:?}");
            assert!(!text.contains("1001") && !text.contains("73, 78"), "{text}");
            assert!(text.contains("length: Some(38)"), "{text}");
        }
    }
}
