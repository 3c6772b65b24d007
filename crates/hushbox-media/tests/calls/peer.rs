//! A scripted peer: descriptions as text, packets by hand, SRTP by webrtc-srtp.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hushbox_media::recording::Decoder;
use hushbox_media::rtp::{Header, Packet, Ssrc};
use hushbox_media::{Event, Input, Leg, LegConfig, Output, Security};
use webrtc_srtp::context::Context;
use webrtc_srtp::protection_profile::ProtectionProfile;

pub(crate) const MS: Duration = Duration::from_millis(1);
pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const EVENT: u8 = 101;

#[expect(clippy::disallowed_methods, reason = "an Instant cannot be made otherwise")]
pub(crate) fn epoch() -> Instant {
    Instant::now()
}

pub(crate) fn context(octets: &[u8]) -> Context {
    let (key, profile) = match octets.len() {
        44 => (32, ProtectionProfile::AeadAes256Gcm),
        30 => (16, ProtectionProfile::Aes128CmHmacSha1_80),
        length => panic!("a key of {length} octets"),
    };
    Context::new(&octets[..key], &octets[key..], profile, None, None).expect("a context")
}

/// A call between a scripted peer and a leg that answers it.
pub(crate) struct Call {
    pub(crate) now: Instant,
    pub(crate) leg: Leg,
    pub(crate) answer: String,
    pub(crate) address: SocketAddr,
    pub(crate) ssrc: u32,
    pub(crate) sequence: u16,
    pub(crate) timestamp: u32,
    pub(crate) digits: String,
    pub(crate) events: Vec<Event>,
    /// RTP that the leg sent, opened, and where to.
    pub(crate) heard: Vec<(SocketAddr, Header, Vec<u8>)>,
    /// RTP or RTCP that could not be opened with the key of the last answer.
    pub(crate) unopened: usize,
    frames: Vec<u8>,
    sends: Context,
    receives: Context,
}

/// An offer or answer of the peer's with this key, and lines to add.
pub(crate) fn description(octets: &[u8], address: SocketAddr, lines: &str) -> String {
    let suite = if octets.len() == 44 { "AEAD_AES_256_GCM" } else { "AES_CM_128_HMAC_SHA1_80" };
    format!(
        "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\n\
         m=audio {port} RTP/SAVP 0 8 {EVENT}\r\na=rtpmap:{EVENT} telephone-event/8000\r\n\
         a=crypto:1 {suite} inline:{key}\r\n{lines}",
        ip = address.ip(),
        port = address.port(),
        key = STANDARD.encode(octets),
    )
}

/// The key in an answer of ours.
pub(crate) fn key_in(description: &str) -> Vec<u8> {
    let inline = description.split("inline:").nth(1).expect("a key");
    let key = inline.split_ascii_whitespace().next().expect("a key");
    STANDARD.decode(key).expect("base64")
}

impl Call {
    pub(crate) fn new(octets: &[u8]) -> Self {
        let now = epoch();
        let address: SocketAddr = "192.0.2.1:5000".parse().expect("an address");
        let config = LegConfig {
            local_ip: [192, 0, 2, 2].into(),
            rtp_port: 4000,
            security: Security::SrtpOnly,
            seed: [3; 32],
        };
        let offer = description(octets, address, "");
        let (mut leg, answer) = Leg::answer(now, config, offer.as_bytes()).expect("a good offer");
        let answer = String::from_utf8(answer.to_vec()).expect("text");
        leg.start(now);
        let mut call = Self {
            now,
            receives: context(&key_in(&answer)),
            sends: context(octets),
            leg,
            answer,
            address,
            ssrc: 77,
            sequence: 1000,
            timestamp: 5_000_000,
            digits: String::new(),
            events: Vec::new(),
            heard: Vec::new(),
            unopened: 0,
            frames: Vec::new(),
        };
        call.drain();
        call
    }

    /// A re-INVITE; the peer sends with the key in it from now on.
    pub(crate) fn reoffer(&mut self, octets: &[u8], lines: &str) {
        let offer = description(octets, self.address, lines);
        let answer = self.leg.handle_reoffer(self.now, Some(offer.as_bytes()));
        let answer = String::from_utf8(answer.expect("a good offer").to_vec()).expect("text");
        if key_in(&answer) != key_in(&self.answer) {
            self.receives = context(&key_in(&answer));
        }
        self.answer = answer;
        self.drain();
    }

    /// From now on the peer protects with this key.
    pub(crate) fn send_with(&mut self, octets: &[u8]) {
        self.sends = context(octets);
    }

    pub(crate) fn packet(&mut self, payload_type: u8, marker: bool, payload: &[u8]) -> Vec<u8> {
        let header = Header {
            marker,
            payload_type,
            sequence: self.sequence,
            timestamp: self.timestamp,
            ssrc: Ssrc(self.ssrc),
        };
        self.sequence = self.sequence.wrapping_add(1);
        let clear = [header.write().as_slice(), payload].concat();
        self.sends.encrypt_rtp(&clear).expect("a packet").to_vec()
    }

    pub(crate) fn deliver(&mut self, mut bytes: Vec<u8>) {
        let input = Input::Rtp { from: self.address, bytes: &mut bytes };
        self.leg.handle_input(self.now, input);
        self.drain();
    }

    /// Audio packets of 20 ms, all of this octet.
    pub(crate) fn speak(&mut self, packets: usize, payload_type: u8, octet: u8) {
        for _ in 0..packets {
            let bytes = self.packet(payload_type, false, &[octet; 160]);
            self.timestamp = self.timestamp.wrapping_add(160);
            self.deliver(bytes);
            self.wait(20 * MS);
        }
    }

    /// A key held for 100 ms, with three ends.
    pub(crate) fn press(&mut self, event: u8) {
        for step in 1..=8u16 {
            let end = if step > 5 { 0x80 } else { 0 };
            let [high, low] = (160 * step.min(5)).to_be_bytes();
            let bytes = self.packet(EVENT, step == 1, &[event, end | 10, high, low]);
            self.deliver(bytes);
            self.wait(20 * MS);
        }
        self.timestamp = self.timestamp.wrapping_add(160 * 8);
    }

    pub(crate) fn wait(&mut self, duration: Duration) {
        let end = self.now + duration;
        while let Some(deadline) = self.drain().filter(|&deadline| deadline <= end) {
            self.now = self.now.max(deadline);
            self.leg.handle_input(self.now, Input::Timeout);
        }
        self.now = end;
    }

    pub(crate) fn said(&self, event: &Event) -> usize {
        self.events.iter().filter(|said| *said == event).count()
    }

    /// What was recorded so far, as audio.
    pub(crate) fn recorded(&mut self) -> Vec<i16> {
        self.drain();
        let mut decoder = Decoder::default();
        decoder.push(&self.frames).expect("our own frames");
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

    pub(crate) fn drain(&mut self) -> Option<Instant> {
        loop {
            match self.leg.poll_output() {
                Output::TransmitRtp { to, bytes } => match self.receives.decrypt_rtp(&bytes) {
                    Ok(clear) => {
                        let packet = Packet::parse(&clear).expect("RTP");
                        self.heard.push((to, packet.header, packet.payload.to_vec()));
                    }
                    Err(_) => self.unopened += 1,
                },
                Output::TransmitRtcp { bytes, .. } => {
                    self.unopened += usize::from(self.receives.decrypt_rtcp(&bytes).is_err());
                }
                Output::Event(Event::Digit(digit)) => self.digits.push(digit),
                Output::Event(Event::Frames(frames)) => self.frames.extend(&frames),
                Output::Event(event) => self.events.push(event),
                Output::Timeout(deadline) => return deadline,
            }
        }
    }
}
