//! The listeners: bytes from sockets to the signalling task, and back to the peers.
//!
//! A listener knows nothing of SIP. Its queue is bounded: when signalling is behind, streams wait (the peer's window
//! closes) and datagrams are dropped (their senders repeat them).

mod count;
pub mod stream;
pub mod tcp;
pub mod tls;
pub mod udp;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use hushbox_sip::{ConnectionId, Flow};
use tokio::sync::mpsc;

use crate::client_certificates::Match;
pub use count::{Admitted, Connections};

/// What a listener tells the signalling task. `P` is whom a certificate stands for.
#[derive(Debug)]
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
        writer: mpsc::Sender<Bytes>,
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
