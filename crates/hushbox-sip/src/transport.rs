//! What a message came over, as values: no sockets here.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// A transport protocol that a listener serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transport {
    /// Datagrams: requests and responses are repeated until answered.
    Udp,
    /// A plain byte stream.
    Tcp,
    /// A byte stream inside TLS.
    Tls,
}

impl Transport {
    /// Whether the transport itself repeats what was lost (RFC 3261 §17).
    pub fn is_reliable(self) -> bool {
        match self {
            Transport::Udp => false,
            Transport::Tcp | Transport::Tls => true,
        }
    }

    /// The name in a Via header field.
    pub(crate) fn via_name(self) -> &'static str {
        match self {
            Transport::Udp => "UDP",
            Transport::Tcp => "TCP",
            Transport::Tls => "TLS",
        }
    }

    /// The value of a URI's `transport` parameter. `tls` is deprecated by RFC 3261 §26.2.2 and is
    /// still what phones and PBXs read; a bare `sips` confuses more of them.
    pub(crate) fn uri_name(self) -> &'static str {
        match self {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
            Transport::Tls => "tls",
        }
    }

    /// The port that is meant where none is written (RFC 3261 §18.2.1, §19.1.2).
    pub(crate) fn default_port(self) -> u16 {
        match self {
            Transport::Udp | Transport::Tcp => 5060,
            Transport::Tls => 5061,
        }
    }
}

/// A stream connection, as the shell numbers it. A number is never used twice in a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub u64);

/// Where a message came from and where its answer goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Flow {
    /// The transport.
    pub transport: Transport,
    /// The address that the listener is bound to.
    pub local: SocketAddr,
    /// The peer's address.
    pub remote: SocketAddr,
    /// The connection, on a stream.
    pub connection: Option<ConnectionId>,
}

/// A host, as a name or an address without brackets, and a port: what goes into Via and Contact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    host: String,
    port: Option<u16>,
}

impl HostPort {
    /// Makes one from a host name or an address. `None` where the host is neither, so that nothing
    /// written into a header can carry a delimiter.
    pub fn new(host: &str, port: Option<u16>) -> Option<Self> {
        let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        let is_address = bare.parse::<IpAddr>().is_ok();
        let is_name = !bare.is_empty()
            && bare.len() <= crate::limits::MAX_HOST_BYTES
            && bare.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'));
        (is_address || is_name).then(|| HostPort { host: bare.to_owned(), port })
    }

    /// The host, an IPv6 address without its brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, where one was given.
    pub fn port(&self) -> Option<u16> {
        self.port
    }
}

impl From<SocketAddr> for HostPort {
    fn from(address: SocketAddr) -> Self {
        HostPort { host: address.ip().to_string(), port: Some(address.port()) }
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]", self.host)?;
        } else {
            f.write_str(&self.host)?;
        }
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

/// A listener of the server, and how peers reach it.
#[derive(Clone, Debug)]
pub struct Listener {
    /// The transport.
    pub transport: Transport,
    /// The address that it is bound to.
    pub local: SocketAddr,
    /// What Via and Contact say: behind NAT another address than the bound one.
    pub advertised: HostPort,
}
