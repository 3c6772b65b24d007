//! Two legs and the wire between them, in virtual time.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hushbox_media::recording::Decoder;
use hushbox_media::{Event, Input, Leg, LegConfig, Output, Security};

pub(crate) const MS: Duration = Duration::from_millis(1);
pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const CALLER: usize = 0;
pub(crate) const SERVER: usize = 1;

/// Some instant: tests count from it and never look at the clock again.
#[expect(clippy::disallowed_methods, reason = "an Instant cannot be made otherwise")]
pub(crate) fn epoch() -> Instant {
    Instant::now()
}

pub(crate) fn config(side: usize, security: Security) -> LegConfig {
    let address = address(side);
    LegConfig {
        local_ip: address.ip(),
        rtp_port: address.port(),
        security,
        seed: [side as u8 + 1; 32],
    }
}

pub(crate) fn address(side: usize) -> SocketAddr {
    format!("192.0.2.{}:4000", side + 1).parse().expect("an address")
}

/// What the link does to a packet: none is loss, more are copies, each after that time.
pub(crate) type Impairment = Box<dyn FnMut(usize, &[u8]) -> Vec<Duration>>;

pub(crate) struct World {
    pub(crate) epoch: Instant,
    pub(crate) now: Instant,
    pub(crate) legs: [Leg; 2],
    /// Where each side's packets come from, as the other sees it.
    pub(crate) sources: [SocketAddr; 2],
    pub(crate) events: [Vec<(Duration, Event)>; 2],
    pub(crate) frames: [Vec<u8>; 2],
    /// Where each side sent its last RTP packet.
    pub(crate) sent_to: [Option<SocketAddr>; 2],
    pub(crate) impairment: Impairment,
    /// Sees every packet as it is sent.
    pub(crate) tap: Option<Vec<(usize, Bytes)>>,
    wire: BTreeMap<(Instant, u64), Datagram>,
    count: u64,
}

struct Datagram {
    to: usize,
    from: SocketAddr,
    rtcp: bool,
    bytes: Vec<u8>,
}

impl World {
    /// The caller offers, the server answers, both have started.
    pub(crate) fn connected(security: Security) -> Self {
        Self::connected_with(security, |offer| offer)
    }

    pub(crate) fn connected_with(security: Security, edit: impl Fn(String) -> String) -> Self {
        let epoch = epoch();
        let (mut caller, offer) = Leg::offer(epoch, config(CALLER, security));
        let offer = edit(String::from_utf8(offer.to_vec()).expect("text"));
        let (server, answer) =
            Leg::answer(epoch, config(SERVER, security), offer.as_bytes()).expect("a good offer");
        caller.handle_answer(epoch, &answer).expect("a good answer");
        let mut world = Self {
            epoch,
            now: epoch,
            legs: [caller, server],
            sources: [address(CALLER), address(SERVER)],
            events: [Vec::new(), Vec::new()],
            frames: [Vec::new(), Vec::new()],
            sent_to: [None, None],
            impairment: Box::new(|_, _| vec![5 * MS]),
            tap: None,
            wire: BTreeMap::new(),
            count: 0,
        };
        world.legs[SERVER].start(epoch);
        world.legs[CALLER].start(epoch);
        world.drain();
        world
    }

    /// Lets time pass.
    pub(crate) fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        loop {
            let deadlines = [self.drain_one(0), self.drain_one(1)];
            let wire = self.wire.keys().next().map(|(at, _)| *at);
            let next = deadlines.into_iter().chain([wire]).flatten().min();
            let Some(next) = next.filter(|&next| next <= end) else { break };
            assert!(next >= self.now - 10 * SECOND, "a deadline that is long over comes again");
            self.now = self.now.max(next);
            if wire == Some(next) {
                let (_, datagram) = self.wire.pop_first().expect("seen above");
                self.deliver(datagram);
            } else {
                for leg in &mut self.legs {
                    leg.handle_input(self.now, Input::Timeout);
                }
            }
        }
        self.now = end;
    }

    pub(crate) fn drain(&mut self) {
        self.drain_one(0);
        self.drain_one(1);
    }

    /// Hands a packet straight to a leg.
    pub(crate) fn inject(&mut self, to: usize, from: SocketAddr, mut bytes: Vec<u8>) {
        self.legs[to].handle_input(self.now, Input::Rtp { from, bytes: &mut bytes });
        self.drain();
    }

    pub(crate) fn said(&self, side: usize, event: &Event) -> Vec<Duration> {
        self.events[side].iter().filter(|(_, said)| said == event).map(|(at, _)| *at).collect()
    }

    /// What a side recorded, as audio.
    pub(crate) fn recorded(&self, side: usize) -> Vec<i16> {
        decoded(&self.frames[side])
    }

    fn deliver(&mut self, mut datagram: Datagram) {
        let (from, bytes) = (datagram.from, datagram.bytes.as_mut_slice());
        let input =
            if datagram.rtcp { Input::Rtcp { from, bytes } } else { Input::Rtp { from, bytes } };
        self.legs[datagram.to].handle_input(self.now, input);
    }

    fn drain_one(&mut self, side: usize) -> Option<Instant> {
        loop {
            match self.legs[side].poll_output() {
                Output::TransmitRtp { to, bytes } => {
                    self.sent_to[side] = Some(to);
                    self.send(side, false, &bytes);
                }
                Output::TransmitRtcp { bytes, .. } => self.send(side, true, &bytes),
                Output::Event(Event::Frames(frames)) => self.frames[side].extend(&frames),
                Output::Event(event) => self.events[side].push((self.now - self.epoch, event)),
                Output::Timeout(deadline) => return deadline,
            }
        }
    }

    fn send(&mut self, side: usize, rtcp: bool, bytes: &Bytes) {
        if let Some(tap) = &mut self.tap {
            tap.push((side, bytes.clone()));
        }
        for delay in (self.impairment)(side, bytes) {
            self.count += 1;
            let mut from = self.sources[side];
            if rtcp {
                from.set_port(from.port() + 1);
            }
            let datagram = Datagram { to: 1 - side, from, rtcp, bytes: bytes.to_vec() };
            self.wire.insert((self.now + delay, self.count), datagram);
        }
    }
}

/// Recorded frames as audio.
pub(crate) fn decoded(frames: &[u8]) -> Vec<i16> {
    let mut decoder = Decoder::default();
    decoder.push(frames).expect("our own frames");
    decoder.finish();
    let mut samples = Vec::new();
    loop {
        let piece = decoder.pull();
        if piece.is_empty() {
            return samples;
        }
        samples.extend(piece);
    }
}
