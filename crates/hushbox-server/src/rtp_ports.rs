//! The UDP ports of calls: an even one for RTP, the next one for RTCP.
//!
//! A pair that was given back waits behind all others, so that what still arrives for an ended call does not reach
//! the next one.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};

use crate::config::RtpPorts;
use crate::listener;

/// The free pairs of one range, shared by the shards.
#[derive(Clone, Debug)]
pub struct PortPairs {
    address: IpAddr,
    free: Arc<Mutex<VecDeque<u16>>>,
}

/// Two bound sockets, and the lease of their ports.
#[derive(Debug)]
pub struct PortPair {
    /// For RTP.
    pub rtp: UdpSocket,
    /// For RTCP.
    pub rtcp: UdpSocket,
    /// Gives the ports back when it is dropped: after the sockets.
    pub lease: PortLease,
}

/// Two ports in use.
#[derive(Debug)]
pub struct PortLease {
    port: u16,
    free: Arc<Mutex<VecDeque<u16>>>,
}

impl PortPairs {
    /// All pairs of `ports` on `address`.
    pub fn new(address: IpAddr, ports: RtpPorts) -> Self {
        let first = u32::from(ports.from).next_multiple_of(2);
        let free = (first..u32::from(ports.to))
            .step_by(2)
            .filter_map(|port| u16::try_from(port).ok())
            .collect();
        Self { address, free: Arc::new(Mutex::new(free)) }
    }

    /// The longest unused pair that nobody else on this machine holds.
    pub fn take(&self) -> io::Result<PortPair> {
        let tries = self.free.lock().unwrap_or_else(PoisonError::into_inner).len();
        let mut last = io::Error::new(
            io::ErrorKind::AddrNotAvailable,
            "every port of media.rtp_ports is in use",
        );
        for _ in 0..tries {
            let Some(port) = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
            else {
                break;
            };
            match self.bind(port) {
                Ok((rtp, rtcp)) => {
                    let lease = PortLease { port, free: Arc::clone(&self.free) };
                    return Ok(PortPair { rtp, rtcp, lease });
                }
                Err(error) => {
                    self.free.lock().unwrap_or_else(PoisonError::into_inner).push_back(port);
                    last = error;
                    if last.kind() != io::ErrorKind::AddrInUse {
                        break;
                    }
                }
            }
        }
        Err(last)
    }

    fn bind(&self, port: u16) -> io::Result<(UdpSocket, UdpSocket)> {
        let bind = |port: u16| {
            let address = SocketAddr::new(self.address, port);
            let socket = UdpSocket::bind(address)?;
            socket.set_nonblocking(true)?;
            listener::mark(&socket2::SockRef::from(&socket), address, listener::DSCP_EF);
            Ok::<_, io::Error>(socket)
        };
        Ok((bind(port)?, bind(port + 1)?))
    }
}

impl PortLease {
    /// The RTP port.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for PortLease {
    fn drop(&mut self) {
        self.free.lock().unwrap_or_else(PoisonError::into_inner).push_back(self.port);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_an_even_port_and_the_next_and_comes_back_last() {
        let pairs = PortPairs::new([127, 0, 0, 1].into(), RtpPorts { from: 42_001, to: 42_007 });
        let first = pairs.take().expect("a pair");
        let port = first.lease.port();
        assert_eq!(port % 2, 0);
        assert_eq!(first.rtp.local_addr().expect("bound").port(), port);
        assert_eq!(first.rtcp.local_addr().expect("bound").port(), port + 1);
        drop(first);
        let second = pairs.take().expect("a pair");
        assert_ne!(second.lease.port(), port);
    }

    #[test]
    fn a_port_that_somebody_else_holds_is_passed_over_and_none_left_is_said() {
        let pairs = PortPairs::new([127, 0, 0, 1].into(), RtpPorts { from: 42_010, to: 42_013 });
        let _other = UdpSocket::bind("127.0.0.1:42011").expect("bound");
        let only = pairs.take().expect("the second pair");
        assert_eq!(only.lease.port(), 42_012);
        assert_eq!(pairs.take().expect_err("none left").kind(), io::ErrorKind::AddrInUse);
    }
}
