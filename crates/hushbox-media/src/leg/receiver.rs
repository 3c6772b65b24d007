//! What we receive: keys, sources, and where the peer really is.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::limits::{PACKET_BYTES, PLAIN_RELATCH};
use crate::rtcp::LastReport;
use crate::rtp::Reception;
use crate::sdp::CryptoAttribute;
use crate::srtp::{Inbound, SrtpError};
use crate::telephone_event::Presses;

/// After a move, packets from where the peer was are still under way for this long.
const STALE_SOURCE: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
pub(super) struct Receiver {
    srtp: Option<Inbound>,
    /// The key before, until the new one is in use.
    before: Option<Inbound>,
    latch: Latch,
    pub(super) reception: Reception,
    pub(super) presses: Presses,
    last_report: Option<(u32, Instant)>,
    pub(super) replays: u64,
    pub(super) auth_failures: u64,
    pub(super) dropped: u64,
}

/// Where packets go: to the address of the description until authenticated ones come from
/// somewhere else (symmetric RTP, RFC 4961).
#[derive(Debug, Default)]
struct Latch {
    rtp: Option<(SocketAddr, Instant)>,
    rtcp: Option<SocketAddr>,
    stale: Option<(SocketAddr, Instant)>,
}

impl Latch {
    fn is_stale(&self, now: Instant, from: SocketAddr) -> bool {
        self.stale.is_some_and(|(source, until)| source == from && now < until)
    }
}

/// Which of both protocols.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Rtp,
    Rtcp,
}

/// A packet that was opened.
#[derive(Debug, Clone, Copy)]
pub(super) struct Opened {
    pub(super) length: usize,
    /// By a key that is being replaced: its source is no news.
    pub(super) old_key: bool,
}

impl Receiver {
    /// The peer sends with this key from now on, or in clear.
    pub(super) fn set_key(&mut self, crypto: Option<&CryptoAttribute>) {
        let Some(crypto) = crypto else {
            self.srtp = None;
            self.before = None;
            return;
        };
        let next = Inbound::new(&crypto.master, crypto.mki.clone(), crypto.lifetime);
        match self.srtp.take() {
            Some(before) => {
                self.srtp = Some(next.continuing(&before));
                self.before = Some(before);
            }
            None => self.srtp = Some(next),
        }
    }

    /// The description names another address: what was learned from packets is void.
    pub(super) fn forget_source(&mut self, now: Instant) {
        self.latch.stale = self.latch.rtp.take().map(|(from, _)| (from, now + STALE_SOURCE));
        self.latch.rtcp = None;
    }

    /// Checks and decrypts a packet in place. Failures are counted, and nothing else changes.
    pub(super) fn open(
        &mut self,
        protocol: Protocol,
        bytes: &mut [u8],
    ) -> Result<Opened, SrtpError> {
        let Some(srtp) = &mut self.srtp else {
            return Ok(Opened { length: bytes.len(), old_key: false });
        };
        let result = match &mut self.before {
            None => open_with(srtp, protocol, bytes).map(|length| (length, false)),
            // A failed attempt spoils the octets; the old key gets a copy.
            Some(before) if bytes.len() <= PACKET_BYTES => {
                let mut copy = [0; PACKET_BYTES];
                let copy = &mut copy[..bytes.len()];
                copy.copy_from_slice(bytes);
                match open_with(srtp, protocol, bytes) {
                    Err(SrtpError::Authentication | SrtpError::Mki) => {
                        bytes.copy_from_slice(copy);
                        open_with(before, protocol, bytes).map(|length| (length, true))
                    }
                    result => result.map(|length| (length, false)),
                }
            }
            Some(_) => Err(SrtpError::Malformed),
        };
        match result {
            Ok((length, old_key)) => {
                if !old_key {
                    self.before = None;
                }
                Ok(Opened { length, old_key })
            }
            Err(error) => {
                match error {
                    SrtpError::Replay => self.replays += 1,
                    SrtpError::Authentication | SrtpError::Mki => self.auth_failures += 1,
                    _ => self.dropped += 1,
                }
                Err(error)
            }
        }
    }

    /// Whether a packet from there counts. With SRTP it has authenticated. Without, the first
    /// address stays for as long as it speaks: else anybody could take over a call in clear.
    pub(super) fn may_come_from(&self, now: Instant, from: SocketAddr) -> bool {
        if self.srtp.is_some() {
            return true;
        }
        let taken = self
            .latch
            .rtp
            .is_some_and(|(source, heard)| source != from && now < heard + PLAIN_RELATCH);
        !taken && !self.latch.is_stale(now, from)
    }

    /// The newest packet came from there: that is where the peer is. To be called for packets
    /// that count and are not late: an old one says where the peer was.
    pub(super) fn came_from(&mut self, now: Instant, from: SocketAddr, old_key: bool) {
        if !old_key && !self.latch.is_stale(now, from) {
            self.latch.rtp = Some((from, now));
        }
    }

    /// The same for RTCP on a port of its own: in clear only from a host that is known.
    pub(super) fn accept_rtcp_source(
        &mut self,
        from: SocketAddr,
        described: Option<SocketAddr>,
    ) -> bool {
        let known = |source: SocketAddr| source.ip() == from.ip();
        let rtp = self.latch.rtp.map(|(source, _)| source);
        if self.srtp.is_none() && !rtp.into_iter().chain(described).any(known) {
            return false;
        }
        self.latch.rtcp = Some(from);
        true
    }

    /// Where RTP packets come from.
    pub(super) fn rtp_source(&self) -> Option<SocketAddr> {
        self.latch.rtp.map(|(source, _)| source)
    }

    /// Where RTCP packets come from.
    pub(super) fn rtcp_source(&self) -> Option<SocketAddr> {
        self.latch.rtcp
    }

    pub(super) fn sender_report(&mut self, now: Instant, lsr: u32) {
        self.last_report = Some((lsr, now));
    }

    /// RFC 3550 §6.4.1: LSR and DLSR.
    pub(super) fn last_report(&self, now: Instant) -> LastReport {
        self.last_report.map_or_else(LastReport::default, |(lsr, at)| {
            let delay = now.saturating_duration_since(at).as_micros() * 65_536 / 1_000_000;
            LastReport { lsr, delay: u32::try_from(delay).unwrap_or(u32::MAX) }
        })
    }
}

fn open_with(srtp: &mut Inbound, protocol: Protocol, bytes: &mut [u8]) -> Result<usize, SrtpError> {
    match protocol {
        Protocol::Rtp => srtp.unprotect_rtp(bytes).map(|(_, length)| length),
        Protocol::Rtcp => srtp.unprotect_rtcp(bytes),
    }
}
