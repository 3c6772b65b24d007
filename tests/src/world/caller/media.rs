//! RTP as a caller makes it: 20 ms of PCMU in each packet, keys by RFC 4733, SRTP by `webrtc-srtp`.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hushbox_load::srtp::{MasterKey, Shield, Suite};

use super::super::CallerId;
use super::super::prompts::{PROMPT_SAMPLES, recognise};
use super::Offer;

const PACKET: Duration = Duration::from_millis(20);
const SAMPLES: usize = 160;
const SILENCE: u8 = 0xff;
const EVENT_TYPE: u8 = 101;
/// A key is held for so many packets, and repeated at its end three times (RFC 4733 §2.5.1.4).
const KEY_PACKETS: u16 = 5;
const KEY_ENDS: u16 = 3;
/// Packets of audio between two keys.
const KEY_PAUSE: u16 = 4;

pub(super) struct Media {
    address: SocketAddr,
    session: u32,
    version: u32,
    direction: &'static str,
    suite: Option<Suite>,
    key: Option<MasterKey>,
    outbound: Shield,
    inbound: Shield,
    server: Option<SocketAddr>,
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
    next_at: Option<Instant>,
    sending: bool,
    voice: VecDeque<u8>,
    keys: VecDeque<u8>,
    pressing: Option<Pressing>,
    received: Vec<(u32, Vec<u8>)>,
    sounding: Option<(Option<&'static str>, usize)>,
    prompts: Vec<&'static str>,
    broken: usize,
}

struct Pressing {
    event: u8,
    started: u32,
    packet: u16,
}

impl Media {
    pub(super) fn new(id: CallerId, call: u32, offer: Offer, address: SocketAddr) -> Self {
        let suite = match offer {
            Offer::Srtp(suite) => Some(suite),
            Offer::Plain | Offer::Nothing => None,
        };
        let seed = u8::try_from(id.0).expect("few") * 7 + u8::try_from(call).expect("few");
        let key = suite.map(|suite| new_key(suite, seed));
        let outbound = match (suite, &key) {
            (Some(suite), Some(key)) => Shield::new(suite, key).expect("a shield"),
            _ => Shield::Plain,
        };
        Self {
            address,
            session: 1000 + call,
            version: 1,
            direction: "sendrecv",
            suite,
            key,
            outbound,
            inbound: Shield::Plain,
            server: None,
            ssrc: 0x1234_0000 + u32::from(seed),
            // RFC 3711 §3.3.1: not near the wrap at the start; a long call reaches it.
            sequence: 1000,
            timestamp: 48_000,
            next_at: None,
            sending: true,
            voice: VecDeque::new(),
            keys: VecDeque::new(),
            pressing: None,
            received: Vec::new(),
            sounding: None,
            prompts: Vec::new(),
            broken: 0,
        }
    }

    pub(super) fn description(&self) -> String {
        let (ip, port) = (self.address.ip(), self.address.port());
        let profile = if self.suite.is_some() { "RTP/SAVP" } else { "RTP/AVP" };
        let mut sdp = format!(
            "v=0\r\no=- {} {} IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio {port} {profile} 0 101\r\n\
             a=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na={}\r\n",
            self.session, self.version, self.direction
        );
        if let (Some(suite), Some(key)) = (self.suite, &self.key) {
            sdp.push_str(&format!("a=crypto:1 {} inline:{}\r\n", suite.name(), key.to_base64()));
        }
        sdp
    }

    pub(super) fn set_direction(&mut self, direction: &'static str) {
        self.direction = direction;
        self.version += 1;
        self.sending = direction == "sendrecv";
    }

    /// The server's answer, or its offer, which is then answered with its best suite.
    pub(super) fn take_description(&mut self, sdp: &str) {
        if sdp.is_empty() {
            return;
        }
        let line = |start: &str| sdp.lines().find_map(|line| line.strip_prefix(start));
        let port = line("m=audio ").and_then(|rest| rest.split(' ').next()).expect("a port");
        let ip = line("c=IN IP4 ").expect("an address");
        let server = format!("{ip}:{port}").parse().expect("an address");
        let known = self.server.replace(server).is_some();
        let Some(crypto) = sdp.lines().find_map(|l| l.strip_prefix("a=crypto:")) else { return };
        if known {
            // A re-INVITE with the same keys keeps both contexts.
            return;
        }
        let mut words = crypto.split(' ');
        let _tag = words.next();
        let name = words.next().expect("a suite");
        let suite = Suite::ALL.into_iter().find(|suite| suite.name() == name).expect("known");
        let inline = words.next().and_then(|key| key.strip_prefix("inline:")).expect("a key");
        let inline = inline.split('|').next().expect("a key");
        self.inbound = Shield::new(suite, &key_of(suite, inline)).expect("a shield");
        if self.suite.is_none() {
            self.suite = Some(suite);
            let key = new_key(suite, 200);
            self.outbound = Shield::new(suite, &key).expect("a shield");
            self.key = Some(key);
        }
        assert_eq!(self.suite, Some(suite), "the answer has the suite that was offered");
    }

    pub(super) fn start(&mut self, now: Instant) {
        self.next_at.get_or_insert(now);
    }

    pub(super) fn stop(&mut self) {
        self.next_at = None;
    }

    pub(super) fn set_sending(&mut self, sending: bool) {
        self.sending = sending;
    }

    pub(super) fn speak(&mut self, pcmu: &[u8]) {
        self.voice.extend(pcmu);
    }

    pub(super) fn press(&mut self, keys: &str) {
        self.keys.extend(keys.chars().map(|key| match key {
            '*' => 10,
            '#' => 11,
            digit => u8::try_from(digit.to_digit(10).expect("a key")).expect("a digit"),
        }));
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.next_at
    }

    /// The packet whose time has come, and the server's port for it.
    pub(super) fn next_packet(&mut self, now: Instant) -> Option<(u16, Vec<u8>)> {
        let at = self.next_at.filter(|at| *at <= now)?;
        self.next_at = Some(at + PACKET);
        let server = self.server?;
        let packet = self.packet();
        self.timestamp = self.timestamp.wrapping_add(SAMPLES as u32);
        let packet = packet.filter(|_| self.sending)?;
        let bytes = self.outbound.protect_rtp(packet).expect("protected");
        Some((server.port(), bytes))
    }

    fn packet(&mut self) -> Option<Vec<u8>> {
        if self.pressing.is_none()
            && let Some(event) = self.keys.pop_front()
        {
            self.pressing = Some(Pressing { event, started: self.timestamp, packet: 0 });
        }
        let (kind, marker, timestamp, payload) = match &mut self.pressing {
            Some(pressing) if pressing.packet < KEY_PACKETS + KEY_ENDS => {
                let end = pressing.packet >= KEY_PACKETS;
                let duration = 160 * (pressing.packet + 1).min(KEY_PACKETS);
                let flags = if end { 0x8a } else { 0x0a };
                let [high, low] = duration.to_be_bytes();
                let first = pressing.packet == 0;
                pressing.packet += 1;
                (EVENT_TYPE, first, pressing.started, vec![pressing.event, flags, high, low])
            }
            Some(pressing) => {
                pressing.packet += 1;
                if pressing.packet >= KEY_PACKETS + KEY_ENDS + KEY_PAUSE {
                    self.pressing = None;
                }
                (0, false, self.timestamp, self.audio())
            }
            None => (0, false, self.timestamp, self.audio()),
        };
        self.sequence = self.sequence.wrapping_add(1);
        let mut packet = vec![0x80, if marker { 0x80 | kind } else { kind }];
        packet.extend_from_slice(&self.sequence.to_be_bytes());
        packet.extend_from_slice(&timestamp.to_be_bytes());
        packet.extend_from_slice(&self.ssrc.to_be_bytes());
        packet.extend_from_slice(&payload);
        Some(packet)
    }

    fn audio(&mut self) -> Vec<u8> {
        (0..SAMPLES).map(|_| self.voice.pop_front().unwrap_or(SILENCE)).collect()
    }

    /// Takes a packet of the server; the name of a prompt that begins with it.
    pub(super) fn receive(&mut self, bytes: &[u8]) -> Option<&'static str> {
        let Ok(packet) = self.inbound.open_rtp(bytes) else {
            self.broken += 1;
            return None;
        };
        assert_eq!(packet[0], 0x80, "version 2, nothing else");
        if packet[1] & 0x7f != 0 {
            return None;
        }
        let timestamp = u32::from_be_bytes([packet[4], packet[5], packet[6], packet[7]]);
        let payload = packet[12..].to_vec();
        let sound = if payload.iter().all(|octet| *octet == SILENCE) {
            None
        } else {
            Some(recognise(&payload))
        };
        self.received.push((timestamp, payload));
        // A prompt that begins anew right after itself: "zero, zero".
        let whole = PROMPT_SAMPLES / SAMPLES;
        match (sound, &mut self.sounding) {
            (None, sounding) => {
                *sounding = None;
                None
            }
            (Some(name), Some((same, packets)))
                if *same == name && (name.is_none() || *packets < whole) =>
            {
                *packets += 1;
                None
            }
            (Some(name), sounding) => {
                *sounding = Some((name, 1));
                let name = name.unwrap_or("a tone or voice");
                self.prompts.push(name);
                Some(name)
            }
        }
    }

    pub(super) fn take_prompts(&mut self) -> Vec<&'static str> {
        std::mem::take(&mut self.prompts)
    }

    pub(super) fn hears_voice(&self) -> bool {
        matches!(self.sounding, Some((None, _)))
    }

    pub(super) fn broken(&self) -> usize {
        self.broken
    }

    /// What was heard, on the timeline of the timestamps.
    pub(super) fn heard(&self) -> Vec<u8> {
        let Some((first, _)) = self.received.first() else { return Vec::new() };
        let mut heard = Vec::new();
        for (timestamp, payload) in &self.received {
            let place = usize::try_from(timestamp.wrapping_sub(*first)).expect("small");
            if heard.len() < place + payload.len() {
                heard.resize(place + payload.len(), SILENCE);
            }
            heard[place..place + payload.len()].copy_from_slice(payload);
        }
        heard
    }
}

fn new_key(suite: Suite, seed: u8) -> MasterKey {
    let bytes = (0..suite.key_and_salt_length())
        .map(|i| seed.wrapping_add(u8::try_from(i).expect("short") * 3));
    MasterKey::new(suite, bytes.collect()).expect("the right length")
}

fn key_of(suite: Suite, base64: &str) -> MasterKey {
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::STANDARD.decode(base64).expect("base64");
    MasterKey::new(suite, bytes).expect("the right length")
}
