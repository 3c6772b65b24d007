//! What is on its way, and the links that lose, double and delay it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::lamp::LampId;
use super::{CallerId, LINK_DELAY, server};

/// Something on its way.
#[derive(Debug)]
pub enum Happening {
    /// Signalling bytes to the server.
    SipToServer(CallerId, Bytes),
    /// Signalling bytes to a caller.
    SipToCaller(CallerId, Bytes),
    /// Signalling bytes of a lamp.
    LampToServer(LampId, Bytes),
    /// Signalling bytes to a lamp.
    ServerToLamp(LampId, Bytes),
    /// A media packet to the server's port.
    MediaToServer {
        /// From there.
        from: SocketAddr,
        /// To this port.
        port: u16,
        /// It.
        bytes: Bytes,
    },
    /// A media packet to a caller.
    MediaToCaller {
        /// To its port.
        to: SocketAddr,
        /// It.
        bytes: Bytes,
    },
    /// Something of the server's own: an answer from its disk, its log, its index.
    Server(server::Reply),
}

/// What is on its way, by when it arrives.
#[derive(Debug, Default)]
pub struct Agenda {
    at: BTreeMap<(Instant, u64), Happening>,
    next: u64,
    pub(super) link: Link,
    pub(super) lamp_link: Link,
}

/// How bad a link is: the one of media, or the one of lamps. The signalling of callers loses nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Link {
    /// So many packets of a hundred are lost.
    pub loss_percent: u64,
    /// So many of a hundred come twice.
    pub duplicate_percent: u64,
    /// Packets come up to so much later, and so out of order.
    pub jitter: Duration,
    /// Which ones.
    pub seed: u64,
}

impl Link {
    fn below(&mut self, limit: u64) -> u64 {
        // SplitMix64.
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit.max(1)
    }

    /// What arrives of one packet: how late each copy is.
    fn copies(&mut self) -> Vec<Duration> {
        let copies = match (self.below(100), self.below(100)) {
            (lost, _) if lost < self.loss_percent => 0,
            (_, twice) if twice < self.duplicate_percent => 2,
            _ => 1,
        };
        let jitter = u64::try_from(self.jitter.as_micros()).unwrap_or(u64::MAX);
        (0..copies).map(|_| Duration::from_micros(self.below(jitter + 1))).collect()
    }
}

impl Agenda {
    /// Something will happen then; of two things at one moment the one that was planned first.
    pub fn plan(&mut self, at: Instant, what: Happening) {
        self.next += 1;
        self.at.insert((at, self.next), what);
    }

    /// A packet of media is sent: it may be lost, late or doubled.
    pub fn send_media(&mut self, now: Instant, what: impl Fn() -> Happening) {
        for late in self.link.copies() {
            self.plan(now + LINK_DELAY + late, what());
        }
    }

    /// The same of a datagram to or from a lamp.
    pub fn send_to_or_from_lamp(&mut self, now: Instant, what: impl Fn() -> Happening) {
        for late in self.lamp_link.copies() {
            self.plan(now + LINK_DELAY + late, what());
        }
    }

    pub(super) fn first(&self) -> Option<Instant> {
        self.at.first_key_value().map(|((at, _), _)| *at)
    }

    pub(super) fn take(&mut self, now: Instant) -> Option<Happening> {
        let first = self.at.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }
}
