//! The listening sockets, bound before anything else: port 0 is resolved at once, and a port that is taken is said
//! before a folder is made or a file is opened.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};

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
    let (any, far) = match like {
        IpAddr::V4(_) => ("0.0.0.0:0", "192.0.2.1:9"),
        IpAddr::V6(_) => ("[::]:0", "[2001:db8::1]:9"),
    };
    let socket = UdpSocket::bind(any)?;
    socket.connect(far)?;
    Ok(socket.local_addr()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

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
