//! What transactions, dialogs and merged requests are found by.

use crate::message::Message;
use crate::message::method::Method;
use crate::transport::Flow;
use aws_lc_rs::hmac;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// A keyed hash of what identifies something: of one size whatever a peer sends, and nothing that
/// a peer could make collide.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key([u8; 16]);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:02x}{:02x}…)", self.0[0], self.0[1])
    }
}

/// Makes keys, under a secret of this endpoint.
pub(crate) struct Keys(hmac::Key);

impl Keys {
    pub(crate) fn new(secret: &[u8; 32]) -> Self {
        Keys(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// RFC 3261 §17.2.3: branch, `sent-by` and method; without the magic cookie what RFC 2543
    /// compared. ACK and CANCEL find their INVITE by `method`. Whose it is is part of it: a branch
    /// that leaks is of no use to anybody else. Who is known may use any of its connections.
    pub(crate) fn transaction(
        &self,
        flow: &Flow,
        identity: Option<u64>,
        m: &Message<'_>,
        method: Method<'_>,
    ) -> Key {
        let via = m.via();
        let host = via.host().to_ascii_lowercase();
        let port = via.port().unwrap_or_default().to_be_bytes();
        let peer = peer(flow, identity);
        match via.branch() {
            Some(branch) => self.key(
                b"transaction",
                &[branch.to_ascii_lowercase().as_slice(), &host, &port, method.text(), &peer],
            ),
            None => {
                let number = m.cseq().number.to_be_bytes();
                let tag = m.from().tag().unwrap_or_default();
                let via = via.text();
                let parts = [m.call_id(), tag, &number, via, &host, &port, method.text(), &peer];
                self.key(b"transaction of RFC 2543", &parts)
            }
        }
    }

    /// Our own request, by the branch that we gave it.
    pub(crate) fn client(&self, branch: &[u8]) -> Key {
        self.key(b"client", &[branch])
    }

    /// RFC 3261 §12.
    pub(crate) fn dialog(&self, call_id: &[u8], local_tag: &[u8], remote_tag: &[u8]) -> Key {
        self.key(b"dialog", &[call_id, local_tag, remote_tag])
    }

    /// RFC 3261 §8.2.2.2: what a request that came by two paths has in common.
    pub(crate) fn merged(&self, m: &Message<'_>) -> Key {
        let number = m.cseq().number.to_be_bytes();
        let tag = m.from().tag().unwrap_or_default();
        self.key(b"merged", &[m.call_id(), tag, &number, m.cseq().method.text()])
    }

    /// A tag that follows from a transaction: a request that is answered without being kept gets
    /// the same at each repetition (RFC 3261 §8.2.7).
    pub(crate) fn tag(&self, transaction: &Key) -> String {
        hex::encode(self.key(b"tag", &[&transaction.0]).0)
    }

    /// A tag for what can't be read as a transaction: from the topmost Via and the Call-ID as they came.
    pub(crate) fn tag_of_malformed(&self, via: &[u8], call_id: &[u8]) -> String {
        hex::encode(self.key(b"tag of malformed", &[via, call_id]).0)
    }

    /// What stands for a Call-ID in logs.
    pub(crate) fn call_id_hash(&self, call_id: &[u8]) -> u64 {
        let Key([a, b, c, d, e, f, g, h, ..]) = self.key(b"log", &[call_id]);
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }

    fn key(&self, kind: &[u8], parts: &[&[u8]]) -> Key {
        let mut context = hmac::Context::with_key(&self.0);
        for part in std::iter::once(&kind).chain(parts) {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let tag = context.sign();
        let mut bytes = [0; 16];
        bytes.iter_mut().zip(tag.as_ref()).for_each(|(to, from)| *to = *from);
        Key(bytes)
    }
}

/// Whose transaction it is, as bytes: an identity's, else a connection's, else (on UDP) a machine's, whose port a NAT
/// may change between two copies.
fn peer(flow: &Flow, identity: Option<u64>) -> [u8; 17] {
    let mut bytes = [0; 17];
    let number = |n: u64| (u128::from(n)).to_be_bytes();
    let (kind, whose) = match (identity, flow.connection) {
        (Some(identity), _) => (0, number(identity)),
        (None, Some(connection)) => (1, number(connection.0)),
        (None, None) => (
            2,
            match flow.remote.ip() {
                IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
                IpAddr::V6(v6) => v6.octets(),
            },
        ),
    };
    bytes[..16].copy_from_slice(&whose);
    bytes[16] = kind;
    bytes
}

/// The address as a peer would write it: no IPv4 inside IPv6.
pub(crate) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
