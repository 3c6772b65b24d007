//! Requests of our own that belong to no call, and what becomes of them.

use crate::invite::Headers;
use crate::limits;
use crate::message::Message;
use crate::message::lex;
use crate::transport::{Flow, Transport};
use bytes::Bytes;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

/// One place where a request can be sent: what RFC 3263 makes of a URI.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Destination {
    /// The transport.
    pub transport: Transport,
    /// The address.
    pub remote: SocketAddr,
    /// What the TLS server must prove to be: the domain that was asked for, not the name that the
    /// domain's SRV record leads to (RFC 5922 §4).
    pub name: Option<String>,
    /// Whose connection to us will do as well, by the number that [`crate::Endpoint::identify`] was
    /// given, where its peer allows that (RFC 5923).
    pub identity: Option<u64>,
}

impl Destination {
    /// A destination that only a connection of our own reaches.
    pub fn new(transport: Transport, remote: SocketAddr, name: Option<String>) -> Self {
        Destination { transport, remote, name, identity: None }
    }

    /// Whether a connection that we opened to the one reaches the other.
    pub(crate) fn is_same_peer(&self, other: &Destination) -> bool {
        (self.transport, self.remote, &self.name) == (other.transport, other.remote, &other.name)
    }
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Destination({:?}, {})", self.transport, self.remote)
    }
}

/// An attempt to open a connection. Never used twice in a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Attempt(pub u64);

/// A Contact of ours: host, port and transport follow from the way that the request takes.
#[derive(Clone, PartialEq, Eq)]
pub struct OwnContact {
    /// The user part of its URI, escaped.
    pub user: String,
    /// More parameters of the URI, such as `;ob`.
    pub uri_params: String,
    /// Parameters of the header field, such as `;expires=600`.
    pub params: String,
}

impl OwnContact {
    /// The Contact of the voicemail server as such.
    pub fn voicemail() -> Self {
        OwnContact {
            user: "voicemail".to_owned(),
            uri_params: String::new(),
            params: String::new(),
        }
    }
}

/// A request outside of the calls: Via, Max-Forwards, User-Agent and Content-Length are added.
#[derive(Clone)]
pub struct Outgoing {
    /// The method; not INVITE, ACK or CANCEL, which have rules of their own.
    pub method: &'static str,
    /// The Request-URI.
    pub request_uri: Vec<u8>,
    /// From; without a tag it gets one.
    pub from: Vec<u8>,
    /// To, with a tag inside a dialog.
    pub to: Vec<u8>,
    /// Call-ID; without one it gets one.
    pub call_id: Option<Vec<u8>>,
    /// The number of CSeq; 1 where there is none.
    pub cseq: Option<u32>,
    /// Contact, where it has one.
    pub contact: Option<OwnContact>,
    /// Route values in order.
    pub route: Vec<Vec<u8>>,
    /// Further header fields.
    pub headers: Vec<(String, String)>,
    /// Content-Type and body.
    pub body: Option<(String, Bytes)>,
    /// Where to send it: each is tried in turn (RFC 3263 §4.3).
    pub destinations: Vec<Destination>,
}

impl Outgoing {
    /// A request with the least that it needs.
    pub fn new(
        method: &'static str,
        request_uri: impl Into<Vec<u8>>,
        from: impl Into<Vec<u8>>,
        to: impl Into<Vec<u8>>,
        destinations: Vec<Destination>,
    ) -> Self {
        Outgoing {
            method,
            request_uri: request_uri.into(),
            from: from.into(),
            to: to.into(),
            call_id: None,
            cseq: None,
            contact: None,
            route: Vec::new(),
            headers: Vec::new(),
            body: None,
            destinations,
        }
    }
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Outgoing({}, {} destinations)", self.method, self.destinations.len())
    }
}

/// The final response to a request of ours.
#[derive(Clone)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// The way that the request went.
    pub flow: Flow,
    /// The Call-ID, for the next request of the same kind (RFC 3261 §10.2.4).
    pub call_id: Vec<u8>,
    /// Every header field as it came.
    pub headers: Headers,
}

impl Response {
    pub(crate) fn new(status: u16, flow: Flow, message: &Message<'_>) -> Self {
        Response {
            status,
            flow,
            call_id: message.call_id().to_vec(),
            headers: Headers::of(message),
        }
    }

    /// How long it asks to wait (RFC 3261 §20.33).
    pub fn retry_after(&self) -> Option<Duration> {
        retry_after(self.headers.first("Retry-After")?)
    }
}

/// The seconds of `Retry-After: 18000;duration=3600 (comment)`, bounded.
pub(crate) fn retry_after(value: &[u8]) -> Option<Duration> {
    let end = value.iter().position(|b| !b.is_ascii_digit()).unwrap_or(value.len());
    let seconds = lex::number(lex::trim(&value[..end]), u64::from(u32::MAX))?;
    Some(Duration::from_secs(seconds).min(limits::RETRY_AFTER_MAX))
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Response({}, {:?})", self.status, self.headers)
    }
}

/// Why no destination answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Undelivered {
    /// There was none, or none by a transport that we have.
    NoDestination,
    /// The last one could not be reached, or its connection broke before it answered.
    NoConnection,
    /// The last one said nothing for 64*T1 (RFC 3261 §17.1.2.2).
    Timeout,
    /// There were too many requests of ours already.
    TooMany,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_long_to_wait_is_read_and_bounded() {
        let secs = |value: &str| retry_after(value.as_bytes()).map(|wait| wait.as_secs());
        assert_eq!(secs("120 (I'm in a meeting)"), Some(120));
        assert_eq!(secs("18000;duration=3600"), Some(3_600));
        assert_eq!(secs("soon"), None);
    }
}
