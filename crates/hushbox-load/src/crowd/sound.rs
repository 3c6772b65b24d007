//! What a crowd's calls say: `#` to skip the greeting, then a voice, the same packets in every call.
//!
//! All calls offer one SRTP key and send one stream of packets under it, which is protected once: otherwise the
//! generator would need more processor time than the server. A key that serves two calls is nothing for a
//! telephone; here both calls say the same.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use crate::error::Error;
use crate::g711::Codec;
use crate::limits::CALL_MAX;
use crate::rtp::{self, Packet};
use crate::sdp::{Offer, TELEPHONE_EVENT};
use crate::srtp::Shield;
use crate::timeline::{RATE, samples_in};
use crate::voice;

/// Samples of a packet.
const FRAME: usize = RATE / 50;
/// Packets before the key, while it is down, and its repeated ends (RFC 4733 §2.5.1.4).
const BEFORE: usize = 25;
const DOWN: usize = 5;
const ENDS: usize = 3;
/// Octets that a port keeps of what the server says: nobody reads it.
const RECEIVE_BUFFER: usize = 4096;

/// The packets of a call in their order, protected.
pub(super) struct Packets(Vec<Vec<u8>>);

impl Packets {
    /// What is said in so long a call, under the key of this offer.
    pub(super) fn new(length: Duration, offer: &Offer) -> Result<Self, Error> {
        if length > CALL_MAX {
            return Err(Error::Plan(format!("a call of {} s at most", CALL_MAX.as_secs())));
        }
        let mut shield = match offer.key() {
            Some((suite, key)) => Shield::new(suite, key)?,
            None => Shield::Plain,
        };
        let count = samples_in(length).div_ceil(FRAME);
        let sound = Codec::Pcmu.encode(&voice::babble([1; 32], count * FRAME));
        let packets = sound.chunks(FRAME).enumerate().map(|(number, frame)| {
            let pressed = number.checked_sub(BEFORE).filter(|at| *at < DOWN + ENDS);
            let event = pressed.and_then(|at| {
                let duration = (at.min(DOWN) + 1) * FRAME;
                rtp::telephone_event('#', at >= DOWN, duration as u16)
            });
            let began = if event.is_some() { BEFORE } else { number };
            shield.protect_rtp(rtp::write(&Packet {
                payload_type: event.map_or(Codec::Pcmu.payload_type(), |_| TELEPHONE_EVENT),
                marker: number == 0 || pressed == Some(0),
                sequence_number: number as u16,
                timestamp: (began * FRAME) as u32,
                ssrc: 0x4855_5348,
                payload: event.as_ref().map_or(frame, |event| event),
            }))
        });
        Ok(Self(packets.collect::<Result<_, _>>()?))
    }

    pub(super) fn get(&self, number: usize) -> Option<&[u8]> {
        self.0.get(number).map(Vec::as_slice)
    }
}

/// A port for RTP; its neighbour for RTCP is nobody's.
pub(super) struct Port {
    pub(super) local: SocketAddr,
    socket: UdpSocket,
}

impl Port {
    /// Binds an even port (RFC 3550 §11), so that reports for one call do not reach another.
    pub(super) fn bind(ip: IpAddr) -> Result<Self, Error> {
        for _ in 0..64 {
            let socket = UdpSocket::bind((ip, 0))?;
            let local = socket.local_addr()?;
            if local.port() % 2 == 0 {
                socket.set_nonblocking(true)?;
                socket2::SockRef::from(&socket).set_recv_buffer_size(RECEIVE_BUFFER)?;
                return Ok(Self { local, socket });
            }
        }
        Err(Error::Plan(format!("no even port is free on {ip}")))
    }

    /// Sends to this address from now on.
    pub(super) fn connect(&self, remote: SocketAddr) -> Result<(), Error> {
        Ok(self.socket.connect(remote)?)
    }

    /// Sends a packet; whether it went out.
    pub(super) fn send(&self, packet: &[u8]) -> bool {
        // An error of an earlier packet comes out first, once.
        self.socket.send(packet).is_ok() || self.socket.send(packet).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sdp::Security;
    use crate::srtp::Suite;

    #[test]
    fn the_greeting_is_skipped_and_then_there_is_a_voice() {
        let local = "127.0.0.1:4000".parse().expect("an address");
        for suite in Suite::ALL {
            let offer = Offer::new(local, &Security::Sdes(vec![suite]), &[Codec::Pcmu], 1);
            let offer = offer.expect("an offer");
            let packets = Packets::new(Duration::from_secs(1), &offer).expect("packets");
            let (suite, key) = offer.key().expect("a key");
            let mut shield = Shield::new(suite, key).expect("a key");
            assert_eq!(packets.0.len(), 50);
            for (number, packet) in packets.0.iter().enumerate() {
                let open = shield.open_rtp(packet).expect("opens");
                let open = rtp::parse(&open).expect("RTP");
                assert_eq!(usize::from(open.sequence_number), number);
                let is_event = open.payload_type == TELEPHONE_EVENT;
                assert_eq!(is_event, (BEFORE..BEFORE + DOWN + ENDS).contains(&number));
                assert_eq!(open.payload.len(), if is_event { 4 } else { FRAME });
            }
        }
    }
}
