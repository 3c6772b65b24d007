//! The listening sockets, bound before anything else: port 0 is resolved at once, and a port that is taken is said
//! before a folder is made or a file is opened.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};

use socket2::{Domain, Protocol, Socket, Type};

use crate::{limits, listener, trial};

/// Where to listen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// SIP over TLS.
    pub tls: Option<SocketAddr>,
    /// SIP over UDP.
    pub lab_udp: Option<SocketAddr>,
    /// SIP over TCP.
    pub lab_tcp: Option<SocketAddr>,
    /// Metrics and health.
    pub ops: Option<SocketAddr>,
}

/// The bound sockets, each with the address that it got.
#[derive(Debug, Default)]
pub struct Sockets {
    /// SIP over TLS.
    pub tls: Option<(TcpListener, SocketAddr)>,
    /// SIP over UDP.
    pub lab_udp: Option<(UdpSocket, SocketAddr)>,
    /// SIP over TCP.
    pub lab_tcp: Option<(TcpListener, SocketAddr)>,
    /// Metrics and health.
    pub ops: Option<(TcpListener, SocketAddr)>,
}

/// A listener that could not be bound.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} ({listener}): {source}")]
pub struct BindError {
    listener: &'static str,
    address: SocketAddr,
    source: io::Error,
}

impl Sockets {
    /// Binds what is wanted, all or nothing.
    pub fn bind(wanted: &Wanted) -> Result<Self, BindError> {
        let failed = |listener, address| move |source| BindError { listener, address, source };
        let mut sockets = Self::default();
        if let Some(address) = wanted.tls {
            sockets.tls = Some(tcp(address).map_err(failed("tls", address))?);
        }
        if let Some(address) = wanted.lab_udp {
            sockets.lab_udp = Some(udp(address).map_err(failed("lab_udp", address))?);
        }
        if let Some(address) = wanted.lab_tcp {
            sockets.lab_tcp = Some(tcp(address).map_err(failed("lab_tcp", address))?);
        }
        if let Some(address) = wanted.ops {
            sockets.ops = Some(tcp(address).map_err(failed("ops", address))?);
        }
        Ok(sockets)
    }

    /// Where metrics and health are served.
    pub fn ops_address(&self) -> Option<SocketAddr> {
        self.ops.as_ref().map(|(_, address)| *address)
    }

    /// The SIP addresses that were bound.
    pub fn addresses(&self) -> trial::Sip {
        trial::Sip {
            tls: self.tls.as_ref().map(|(_, address)| *address),
            lab_udp: self.lab_udp.as_ref().map(|(_, address)| *address),
            lab_tcp: self.lab_tcp.as_ref().map(|(_, address)| *address),
        }
    }
}

fn tcp(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(limits::BACKLOG)?;
    let listener = TcpListener::from(socket);
    let bound = listener.local_addr()?;
    Ok((listener, bound))
}

fn udp(address: SocketAddr) -> io::Result<(UdpSocket, SocketAddr)> {
    let socket = UdpSocket::bind(address)?;
    socket.set_nonblocking(true)?;
    let bound = socket.local_addr()?;
    listener::mark(&socket2::SockRef::from(&socket), bound, listener::DSCP_CS3);
    Ok((socket, bound))
}

/// An address of this machine that others can send to, for who listens on all of them. Nothing is sent.
pub fn own_address(like: IpAddr) -> io::Result<IpAddr> {
    // TEST-NET-1 and its IPv6 sibling: the route there is the default route.
    address_towards(match like {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
    })
}

/// The address of this machine that what it sends to `peer` comes from. Nothing is sent.
fn address_towards(peer: IpAddr) -> io::Result<IpAddr> {
    let any: IpAddr = match peer {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0))?;
    // The discard port: any will do.
    socket.connect((peer, 9))?;
    Ok(socket.local_addr()?.ip())
}

/// Which address stands in SDP.
#[derive(Clone, Copy, Debug)]
pub struct MediaAddress {
    bound: IpAddr,
    configured: Option<IpAddr>,
    otherwise: IpAddr,
}

impl MediaAddress {
    /// For media sockets that are bound to `bound`, and what the configuration says of it.
    pub fn new(bound: IpAddr, configured: Option<IpAddr>) -> Self {
        let otherwise = configured.unwrap_or_else(|| reachable(bound));
        Self { bound, configured, otherwise }
    }

    /// For a call whose media is at `peer`. Media sockets on every address are reached by the one that the machine
    /// itself uses towards that peer: a caller on the machine by loopback, also where the configuration names the
    /// address that a NAT shows to the others.
    pub fn towards(&self, peer: IpAddr) -> IpAddr {
        let peer = peer.to_canonical();
        let is_told = self.configured.is_some() && !peer.is_loopback();
        let carries = self.bound.is_ipv6() || peer.is_ipv4();
        if !self.bound.is_unspecified() || is_told || !carries {
            return self.otherwise;
        }
        address_towards(peer).unwrap_or(self.otherwise)
    }
}

/// `bound`, or where that is every address, one by which others reach this machine.
pub fn reachable(bound: IpAddr) -> IpAddr {
    if !bound.is_unspecified() {
        return bound;
    }
    own_address(bound).unwrap_or_else(|error| {
        tracing::warn!(%error, "this machine has no route to others: it names itself by its loopback address");
        match bound {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_caller_on_the_machine_is_told_loopback_and_others_what_is_configured() {
        let nat = MediaAddress::new(ip("0.0.0.0"), Some(ip("203.0.113.9")));
        assert_eq!(nat.towards(ip("127.0.0.1")), ip("127.0.0.1"));
        assert_eq!(nat.towards(ip("::ffff:127.0.0.1")), ip("127.0.0.1"));
        assert_eq!(nat.towards(ip("192.0.2.77")), ip("203.0.113.9"));
        assert_eq!(nat.towards(ip("::1")), ip("203.0.113.9"), "these sockets have no IPv6");
        let every = MediaAddress::new(ip("0.0.0.0"), None);
        assert_eq!(every.towards(ip("127.0.0.1")), ip("127.0.0.1"));
        assert!(!every.towards(ip("192.0.2.77")).is_unspecified());
        let both = MediaAddress::new(ip("::"), None);
        assert_eq!(both.towards(ip("127.0.0.1")), ip("127.0.0.1"));
    }

    #[test]
    fn sockets_on_one_address_are_reached_by_it_or_by_what_is_configured() {
        let one = MediaAddress::new(ip("127.0.0.1"), None);
        assert_eq!(one.towards(ip("192.0.2.77")), ip("127.0.0.1"));
        let nat = MediaAddress::new(ip("192.0.2.7"), Some(ip("203.0.113.9")));
        assert_eq!(nat.towards(ip("127.0.0.1")), ip("203.0.113.9"));
    }

    #[test]
    fn port_zero_is_resolved_and_a_taken_port_is_said() {
        let any = Some("127.0.0.1:0".parse().expect("an address"));
        let sockets = Sockets::bind(&Wanted { tls: any, lab_udp: any, ops: any, lab_tcp: None })
            .expect("bound");
        let addresses = sockets.addresses();
        assert_ne!(addresses.tls.expect("bound").port(), 0);
        assert_ne!(addresses.lab_udp.expect("bound").port(), 0);
        assert_eq!(addresses.lab_tcp, None);
        assert_ne!(sockets.ops_address().expect("bound").port(), 0);
        let error = Sockets::bind(&Wanted { lab_tcp: addresses.tls, ..Wanted::default() })
            .expect_err("taken");
        assert!(error.to_string().contains(&addresses.tls.expect("bound").to_string()), "{error}");
    }
}
