//! What we send: playout paced by the clock, one stream, never a sequence number twice.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use rand_core::RngCore;

use crate::audio::playout::Playout;
use crate::audio::{Audio, Codec, duration_to_samples, samples_to_duration};
use crate::limits::{IDLE_KEEP_ALIVE, PACKET_SAMPLES, PLAYBACK_LOW, PLAYOUT_CATCH_UP};
use crate::rtcp::{self, SenderInfo};
use crate::rtp::{HEADER_BYTES, Header, Ssrc};
use crate::srtp::{MasterKey, Outbound};

/// Room for many packets, taken again once they have been sent and dropped.
const BUFFER_BYTES: usize = 2048;
const TAG_BYTES_MAX: usize = 16;

/// What sending a packet's time brought.
#[derive(Debug, Default)]
pub(super) struct Tick {
    pub(super) packet: Option<Bytes>,
    pub(super) low: bool,
    pub(super) finished: bool,
}

#[derive(Debug)]
pub(super) struct Sender {
    ssrc: Ssrc,
    sequence: u16,
    /// Of the packet that is due at `clock`.
    timestamp: u32,
    /// None until sending is allowed.
    clock: Option<Instant>,
    last_sent: Option<Instant>,
    codec: Codec,
    payload_type: u8,
    packet_samples: usize,
    srtp: Option<Outbound>,
    playout: Playout,
    low_armed: bool,
    /// The queue ran empty, and its last packet's time is not over.
    finishing: bool,
    /// The next packet starts after a pause.
    marker: bool,
    played_samples: u64,
    packets: u32,
    octets: u32,
    total: u64,
    /// Packets at the last report.
    reported: u32,
    buffer: BytesMut,
}

impl Sender {
    pub(super) fn new(random: &mut impl RngCore) -> Self {
        Self {
            ssrc: Ssrc(random.next_u32()),
            sequence: first_sequence(random),
            timestamp: random.next_u32(),
            clock: None,
            last_sent: None,
            codec: Codec::Pcmu,
            payload_type: 0,
            packet_samples: PACKET_SAMPLES,
            srtp: None,
            playout: Playout::default(),
            low_armed: false,
            finishing: false,
            marker: true,
            played_samples: 0,
            packets: 0,
            octets: 0,
            total: 0,
            reported: 0,
            buffer: BytesMut::new(),
        }
    }

    pub(super) fn set_format(&mut self, codec: Codec, payload_type: u8, packet_millis: u32) {
        let packet = Duration::from_millis(u64::from(packet_millis));
        self.codec = codec;
        self.payload_type = payload_type;
        self.packet_samples = duration_to_samples(packet) as usize;
    }

    /// A new key has a new stream: its receiver counts from zero whatever it did before.
    pub(super) fn set_key(&mut self, master: Option<&MasterKey>, random: &mut impl RngCore) {
        if self.packets > 0 {
            self.ssrc = Ssrc(random.next_u32());
            self.sequence = first_sequence(random);
            self.timestamp = random.next_u32();
            self.packets = 0;
            self.octets = 0;
            self.reported = 0;
            self.marker = true;
        }
        self.srtp = master.map(|master| Outbound::new(master, self.ssrc, self.sequence));
    }

    pub(super) fn ssrc(&self) -> Ssrc {
        self.ssrc
    }

    /// Packets may be sent from now on, or not.
    pub(super) fn set_running(&mut self, now: Instant, running: bool) {
        if running && self.clock.is_none() {
            self.clock = Some(now);
            // The first packet opens the way for a peer that waits for one (RFC 4961).
            self.last_sent = None;
            self.marker = true;
        } else if !running {
            self.clock = None;
        }
    }

    pub(super) fn play(&mut self, now: Instant, audio: Audio) {
        if audio.samples() == 0 && self.playout.is_empty() && !self.finishing {
            // Nothing to play is over at once: the next tick says so.
            self.finishing = true;
        }
        if self.playout.is_empty() && !self.finishing {
            self.pause_until(now);
        }
        self.playout.push(audio);
        if !self.playout.is_empty() {
            self.finishing = false;
        }
        self.low_armed = true;
    }

    pub(super) fn stop_playing(&mut self) {
        self.playout.clear();
        self.low_armed = false;
        self.finishing = false;
        self.played_samples = 0;
    }

    pub(super) fn played(&self) -> Duration {
        samples_to_duration(self.played_samples)
    }

    pub(super) fn queued(&self) -> Duration {
        samples_to_duration(self.playout.queued() as u64)
    }

    pub(super) fn sent(&self) -> u64 {
        self.total
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let clock = self.clock?;
        if !self.playout.is_empty() || self.finishing {
            return Some(clock);
        }
        Some(self.last_sent.map_or(clock, |sent| clock.max(sent + IDLE_KEEP_ALIVE)))
    }

    /// Sends the packet that is due; to be called until it gives none.
    pub(super) fn tick(&mut self, now: Instant) -> Option<Tick> {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return None;
        }
        if self.playout.is_empty() && self.finishing {
            self.finishing = false;
            return Some(Tick { finished: true, ..Tick::default() });
        }
        // Whoever calls was late: what is more than a few packets is not made up for.
        if self.clock.is_some_and(|clock| now > clock + PLAYOUT_CATCH_UP) {
            self.pause_until(now);
        }
        let playing = !self.playout.is_empty();
        let packet = self.packet(now);
        let low = self.low_armed
            && playing
            && self.playout.queued() < duration_to_samples(PLAYBACK_LOW) as usize;
        if low {
            self.low_armed = false;
        }
        self.finishing = playing && self.playout.is_empty();
        Some(Tick { packet, low, finished: false })
    }

    /// Protects a report of ours, if there is a key.
    pub(super) fn seal_rtcp(
        &mut self,
        report: &mut [u8; rtcp::BUFFER_BYTES],
        length: usize,
    ) -> Option<Bytes> {
        let length = match &mut self.srtp {
            Some(srtp) => srtp.protect_rtcp(report, length).ok()?,
            None => length,
        };
        self.reserve(length);
        self.buffer.extend_from_slice(&report[..length]);
        Some(self.buffer.split().freeze())
    }

    /// For a sender report; none if nothing was sent since the last one.
    pub(super) fn info(&mut self, epoch: Instant, now: Instant) -> Option<SenderInfo> {
        if self.packets == self.reported {
            return None;
        }
        self.reported = self.packets;
        let since_epoch = now.saturating_duration_since(epoch);
        let fraction = (u64::from(since_epoch.subsec_nanos()) << 32) / 1_000_000_000;
        // RFC 3550 §6.4.1: the same instant in the units of the stream.
        let timestamp = match self.clock {
            Some(clock) if now < clock => {
                self.timestamp.wrapping_sub(duration_to_samples(clock - now) as u32)
            }
            Some(clock) => self.timestamp.wrapping_add(duration_to_samples(now - clock) as u32),
            None => self.timestamp,
        };
        Some(SenderInfo {
            ntp: since_epoch.as_secs() << 32 | fraction,
            timestamp,
            packets: self.packets,
            octets: self.octets,
        })
    }

    /// Moves the clock on; timestamps go with it.
    fn pause_until(&mut self, now: Instant) {
        if let Some(clock) = self.clock
            && now > clock
        {
            self.timestamp = self.timestamp.wrapping_add(duration_to_samples(now - clock) as u32);
            self.clock = Some(now);
            self.marker = true;
        }
    }

    fn packet(&mut self, now: Instant) -> Option<Bytes> {
        let playing = !self.playout.is_empty();
        if !playing {
            self.pause_until(now);
        }
        let clock = self.clock?;
        let header = Header {
            // RFC 3551 §4.1: the first packet after a silence.
            marker: self.marker && playing,
            payload_type: self.payload_type,
            sequence: self.sequence,
            timestamp: self.timestamp,
            ssrc: self.ssrc,
        };
        let clear = HEADER_BYTES + self.packet_samples;
        self.reserve(clear + TAG_BYTES_MAX);
        self.buffer.resize(clear + TAG_BYTES_MAX, 0);
        let (head, payload) = self.buffer.split_at_mut(HEADER_BYTES);
        head.copy_from_slice(&header.write());
        let played = self.playout.fill(self.codec, &mut payload[..self.packet_samples]);
        let length = match &mut self.srtp {
            Some(srtp) => srtp.protect_rtp(&mut self.buffer, clear),
            None => Ok(clear),
        };
        self.clock = Some(clock + samples_to_duration(self.packet_samples as u64));
        self.last_sent = Some(now);
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(self.packet_samples as u32);
        self.played_samples += played as u64;
        self.marker = !playing;
        let Ok(length) = length else {
            self.buffer.clear();
            return None;
        };
        self.packets = self.packets.wrapping_add(1);
        self.octets = self.octets.wrapping_add(self.packet_samples as u32);
        self.total += 1;
        self.buffer.truncate(length);
        Some(self.buffer.split().freeze())
    }

    fn reserve(&mut self, octets: usize) {
        if self.buffer.capacity() - self.buffer.len() < octets {
            self.buffer.reserve(BUFFER_BYTES);
        }
    }
}

/// RFC 3711 §3.3.1 and RFC 3550 §5.1: random, and below 2^15, so that losing the first packets
/// does not confuse the receiver's rollover counter.
fn first_sequence(random: &mut impl RngCore) -> u16 {
    (random.next_u32() & 0x7fff) as u16
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::*;

    #[test]
    fn sequence_numbers_start_below_2_to_the_15th_and_differ() {
        let first = |seed| Sender::new(&mut ChaCha20Rng::from_seed([seed; 32])).sequence;
        let mut all: Vec<u16> = (0..40).map(first).collect();
        assert!(all.iter().all(|&sequence| sequence < 0x8000));
        all.sort_unstable();
        all.dedup();
        assert!(all.len() > 30);
    }
}
