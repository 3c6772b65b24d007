//! The task behind a call's sound: the clock, the queue of what is to be said and pressed, and the sockets.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::{mpsc, oneshot, watch};

use super::{Command, Sockets, Sound, locked};
use crate::error::Error;
use crate::g711::Codec;
use crate::limits::CALL_MAX;
use crate::measure;
use crate::rtp;
use crate::sdp::{Agreement, Direction};
use crate::srtp::{MasterKey, Shield};

/// One packet.
const PTIME: Duration = Duration::from_millis(20);
/// Its samples.
const FRAME: usize = 160;
/// Packets between two RTCP reports: 5 s (RFC 3550 §6.2).
const REPORT_EVERY: u64 = 250;
/// Packets of a digit while the key is down, its repeated ends (RFC 4733 §2.5.1.4), and the pause after it.
const DIGIT_DOWN: u16 = 5;
const DIGIT_ENDS: u16 = 3;
const DIGIT_PAUSE: u16 = 4;

/// One call's packets.
pub(super) struct Engine {
    sockets: Sockets,
    sound: Arc<Mutex<Sound>>,
    count: watch::Sender<u64>,
    rtp_to: SocketAddr,
    rtcp_to: SocketAddr,
    codec: Codec,
    telephone_event: Option<u8>,
    keys: Option<(MasterKey, MasterKey)>,
    protect: Shield,
    open: Shield,
    ssrc: u32,
    sequence_number: u16,
    timestamp: u32,
    talking: bool,
    held: bool,
    packets: u32,
    octets: u32,
    ticks: u64,
    jobs: VecDeque<Job>,
}

enum Job {
    Say { samples: Vec<i16>, at: usize, done: Option<oneshot::Sender<()>> },
    Press { digits: VecDeque<char>, step: u16, began: u32, done: Option<oneshot::Sender<()>> },
}

impl Engine {
    pub(super) fn new(
        sockets: Sockets,
        agreement: &Agreement,
        sound: Arc<Mutex<Sound>>,
        count: watch::Sender<u64>,
    ) -> Result<Self, Error> {
        let mut random = [0; 10];
        crate::client::fill_random(&mut random)?;
        let [a, b, c, d, e, f, g, h, i, j] = random;
        let (protect, open) = shields(agreement)?;
        Ok(Self {
            sockets,
            sound,
            count,
            rtp_to: agreement.rtp,
            rtcp_to: agreement.rtcp,
            codec: agreement.codec,
            telephone_event: agreement.telephone_event,
            keys: keys_of(agreement),
            protect,
            open,
            ssrc: u32::from_be_bytes([a, b, c, d]),
            timestamp: u32::from_be_bytes([e, f, g, h]),
            // RFC 3711 §3.3.1: under 2^15, so that losing the first packets does not lose the rollover.
            sequence_number: u16::from_be_bytes([i, j]) & 0x7fff,
            talking: false,
            held: agreement.direction == Direction::Inactive
                || agreement.direction == Direction::SendOnly,
            packets: 0,
            octets: 0,
            ticks: 0,
            jobs: VecDeque::new(),
        })
    }

    pub(super) async fn run(&mut self, mut inbox: mpsc::Receiver<Command>) {
        let mut clock = tokio::time::interval(PTIME);
        let (mut rtp_buffer, mut rtcp_buffer) = ([0; 2048], [0; 2048]);
        let most = CALL_MAX.as_millis() / PTIME.as_millis();
        while u128::from(self.ticks) < most {
            let ended = tokio::select! {
                _ = clock.tick() => self.tick().await,
                // What ICMP says of an earlier packet comes out here as an error: the next tick tries again.
                received = self.sockets.rtp.recv_from(&mut rtp_buffer) => {
                    if let Ok((length, from)) = received {
                        self.hear(&rtp_buffer[..length], from);
                    }
                    Ok(())
                }
                received = self.sockets.rtcp.recv_from(&mut rtcp_buffer) => {
                    if let Ok((length, from)) = received {
                        self.hear_report(&rtcp_buffer[..length], from);
                    }
                    Ok(())
                }
                command = inbox.recv() => match command {
                    None => return,
                    Some(Command::End(done)) => {
                        // A report that cannot be sent changes nothing for the call that ends.
                        let _ = self.report(true).await;
                        let _ = done.send(());
                        return;
                    }
                    Some(command) => {
                        self.obey(command);
                        Ok(())
                    }
                },
            };
            if ended.is_err() {
                return;
            }
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Say(samples, done) => {
                self.jobs.push_back(Job::Say { samples, at: 0, done: Some(done) })
            }
            Command::Press(digits, done) => {
                let digits = digits.into();
                self.jobs.push_back(Job::Press { digits, step: 0, began: 0, done: Some(done) });
            }
            Command::Hold(held) => self.held = held,
            Command::Renegotiated(agreement, done) => {
                // Whoever asked may be gone.
                let _ = done.send(self.renegotiated(&agreement));
            }
            Command::End(_) => {}
        }
    }

    /// RFC 4568 §7.1.4: the same keys keep their contexts, new ones begin new ones.
    fn renegotiated(&mut self, agreement: &Agreement) -> Result<(), Error> {
        (self.rtp_to, self.rtcp_to) = (agreement.rtp, agreement.rtcp);
        self.codec = agreement.codec;
        self.telephone_event = agreement.telephone_event;
        let keys = keys_of(agreement);
        if keys != self.keys {
            (self.protect, self.open) = shields(agreement)?;
            self.keys = keys;
        }
        Ok(())
    }

    async fn tick(&mut self) -> Result<(), Error> {
        self.ticks += 1;
        let mut said = [0; FRAME];
        if self.held {
            self.talking = false;
        } else {
            match self.next_digit_packet() {
                Some((payload_type, payload, marker, began)) => {
                    self.send(payload_type, &payload, marker, began).await?;
                    self.talking = false;
                }
                None => {
                    self.next_sound(&mut said);
                    let payload = self.codec.encode(&said);
                    let marker = !self.talking;
                    self.send(self.codec.payload_type(), &payload, marker, self.timestamp).await?;
                    self.talking = true;
                }
            }
        }
        self.timestamp = self.timestamp.wrapping_add(FRAME as u32);
        locked(&self.sound).said.extend_from_slice(&said);
        if self.ticks.is_multiple_of(REPORT_EVERY) {
            self.report(false).await?;
        }
        Ok(())
    }

    /// The packet of a key that is down: its events share the RTP time at which it went down.
    fn next_digit_packet(&mut self) -> Option<(u8, [u8; 4], bool, u32)> {
        let payload_type = self.telephone_event;
        let timestamp = self.timestamp;
        let Some(Job::Press { digits, step, began, done }) = self.jobs.front_mut() else {
            return None;
        };
        let (Some(payload_type), Some(digit)) = (payload_type, digits.front().copied()) else {
            // Nothing left to press, or nothing agreed to press it with: whoever waits is told.
            if let Some(done) = done.take() {
                let _ = done.send(());
            }
            self.jobs.pop_front();
            return None;
        };
        if *step == 0 {
            *began = timestamp;
        }
        *step += 1;
        let down = (*step).min(DIGIT_DOWN);
        let (step_now, began_at) = (*step, *began);
        if *step >= DIGIT_DOWN + DIGIT_ENDS + DIGIT_PAUSE {
            *step = 0;
            digits.pop_front();
        }
        if step_now > DIGIT_DOWN + DIGIT_ENDS {
            return None;
        }
        let ends = step_now > DIGIT_DOWN;
        let payload = rtp::telephone_event(digit, ends, down * FRAME as u16)?;
        Some((payload_type, payload, step_now == 1, began_at))
    }

    fn next_sound(&mut self, frame: &mut [i16; FRAME]) {
        let Some(Job::Say { samples, at, done }) = self.jobs.front_mut() else { return };
        let next = &samples[*at..(*at + FRAME).min(samples.len())];
        frame[..next.len()].copy_from_slice(next);
        *at += next.len();
        if *at == samples.len() {
            if let Some(done) = done.take() {
                // Whoever waited may have given up.
                let _ = done.send(());
            }
            self.jobs.pop_front();
        }
    }

    async fn send(
        &mut self,
        payload_type: u8,
        payload: &[u8],
        marker: bool,
        timestamp: u32,
    ) -> Result<(), Error> {
        let packet = rtp::write(&rtp::Packet {
            payload_type,
            marker,
            sequence_number: self.sequence_number,
            timestamp,
            ssrc: self.ssrc,
            payload,
        });
        let wire = self.protect.protect_rtp(packet)?;
        self.sequence_number = self.sequence_number.wrapping_add(1);
        self.packets = self.packets.wrapping_add(1);
        self.octets = self.octets.wrapping_add(payload.len() as u32);
        locked(&self.sound).sent_packets += 1;
        // A datagram that is not sent is a datagram that is lost.
        let _ = self.sockets.rtp.send_to(&wire, self.rtp_to).await;
        Ok(())
    }

    async fn report(&mut self, bye: bool) -> Result<(), Error> {
        // RFC 3550 §4: NTP counts from 1900.
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let seconds = since_1970.as_secs().wrapping_add(2_208_988_800);
        let fraction = (u64::from(since_1970.subsec_nanos()) << 32) / 1_000_000_000;
        let ntp = (seconds << 32) | fraction;
        let report = rtp::report(self.ssrc, ntp, self.timestamp, self.packets, self.octets, bye);
        let wire = self.protect.protect_rtcp(report)?;
        let _ = self.sockets.rtcp.send_to(&wire, self.rtcp_to).await;
        Ok(())
    }

    fn hear(&mut self, wire: &[u8], from: SocketAddr) {
        let now = Instant::now();
        let opened =
            if from.ip() == self.rtp_to.ip() { self.open.open_rtp(wire).ok() } else { None };
        let mut sound = locked(&self.sound);
        let Some(opened) = opened else {
            sound.refused += 1;
            return;
        };
        let Some(packet) = rtp::parse(&opened) else {
            sound.refused += 1;
            return;
        };
        sound.packet_at = Some(now);
        let Some(codec) = Codec::of_payload_type(packet.payload_type) else { return };
        let samples = codec.decode(packet.payload);
        sound.heard.place(now, packet.ssrc, packet.timestamp, &samples);
        if measure::is_loud(&samples) {
            sound.loud_at = Some(now);
        }
        let packets = sound.heard.packets;
        drop(sound);
        self.count.send_replace(packets);
    }

    fn hear_report(&mut self, wire: &[u8], from: SocketAddr) {
        let opened =
            if from.ip() == self.rtcp_to.ip() { self.open.open_rtcp(wire).ok() } else { None };
        let types = opened.as_deref().and_then(rtp::rtcp_types);
        let mut sound = locked(&self.sound);
        match types {
            Some(types) => {
                sound.reports += 1;
                sound.bye |= types.contains(&203);
            }
            None => sound.refused += 1,
        }
    }
}

fn keys_of(agreement: &Agreement) -> Option<(MasterKey, MasterKey)> {
    let (_, ours, theirs) = agreement.keys.as_ref()?;
    Some((ours.clone(), theirs.clone()))
}

fn shields(agreement: &Agreement) -> Result<(Shield, Shield), Error> {
    match &agreement.keys {
        None => Ok((Shield::Plain, Shield::Plain)),
        Some((suite, ours, theirs)) => {
            Ok((Shield::new(*suite, ours)?, Shield::new(*suite, theirs)?))
        }
    }
}
