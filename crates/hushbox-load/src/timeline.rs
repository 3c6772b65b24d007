//! What was heard, laid out by RTP time: what was lost is silence, and what came late is in its place.

use std::time::Instant;

use crate::limits::{CALL_MAX, GAP_MAX, SSRCS_MAX};

/// Samples a second, everywhere in this crate.
pub const RATE: usize = 8000;

/// The samples of a span of time.
pub fn samples_in(duration: std::time::Duration) -> usize {
    (duration.as_micros() * RATE as u128 / 1_000_000) as usize
}

/// The span of time of some samples.
pub fn time_of(samples: usize) -> std::time::Duration {
    std::time::Duration::from_micros(samples as u64 * 1_000_000 / RATE as u64)
}

/// A recording of everything that a peer sent.
#[derive(Debug, Default)]
pub struct Timeline {
    samples: Vec<i16>,
    streams: Vec<Stream>,
    began: Option<Instant>,
    /// Packets that were placed.
    pub packets: u64,
    /// Packets that fitted nowhere.
    pub misfits: u64,
}

#[derive(Debug)]
struct Stream {
    ssrc: u32,
    timestamp: u32,
    position: usize,
}

impl Timeline {
    /// Places a packet's samples.
    pub fn place(&mut self, now: Instant, ssrc: u32, timestamp: u32, samples: &[i16]) {
        let began = *self.began.get_or_insert(now);
        let by_arrival = samples_in(now.duration_since(began)).max(self.samples.len());
        let streams = self.streams.len();
        let known = self.streams.iter_mut().find(|s| s.ssrc == ssrc);
        let position = match known {
            None if streams >= SSRCS_MAX => None,
            None => {
                // Another stream follows the one before; its RTP time says nothing about that one's.
                let position = if streams == 0 { 0 } else { by_arrival };
                self.streams.push(Stream { ssrc, timestamp, position });
                Some(position)
            }
            Some(stream) => {
                let step = i64::from(timestamp.wrapping_sub(stream.timestamp) as i32);
                let position = if step.unsigned_abs() as usize > samples_in(GAP_MAX) {
                    Some(by_arrival)
                } else {
                    usize::try_from(stream.position as i64 + step).ok()
                };
                if let Some(position) = position {
                    (stream.timestamp, stream.position) = (timestamp, position);
                }
                position
            }
        };
        let end = position.and_then(|p| p.checked_add(samples.len()));
        match (position, end) {
            (Some(position), Some(end)) if end <= samples_in(CALL_MAX) => {
                if self.samples.len() < end {
                    self.samples.resize(end, 0);
                }
                self.samples[position..end].copy_from_slice(samples);
                self.packets += 1;
            }
            _ => self.misfits += 1,
        }
    }

    /// Everything that was heard.
    pub fn samples(&self) -> &[i16] {
        &self.samples
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_lost_packet_is_silence_and_a_late_one_is_in_its_place() {
        let mut timeline = Timeline::default();
        let now = Instant::now();
        timeline.place(now, 1, u32::MAX - 159, &[1; 160]);
        timeline.place(now, 1, 320, &[4; 160]);
        assert_eq!(&timeline.samples()[160..480], [0; 320]);
        timeline.place(now, 1, 160, &[3; 160]);
        timeline.place(now, 1, 0, &[2; 160]);
        let firsts: Vec<i16> = timeline.samples().chunks(160).map(|c| c[0]).collect();
        assert_eq!(firsts, [1, 2, 3, 4]);
        assert_eq!(timeline.packets, 4);
    }

    #[test]
    fn another_stream_and_a_wild_jump_go_on_where_they_arrived() {
        let mut timeline = Timeline::default();
        let now = Instant::now();
        timeline.place(now, 1, 5000, &[1; 160]);
        timeline.place(now + Duration::from_millis(60), 2, 77, &[2; 160]);
        assert_eq!(timeline.samples().len(), 640);
        timeline.place(now + Duration::from_millis(100), 2, 2_000_000_000, &[3; 160]);
        assert_eq!((timeline.samples().len(), timeline.samples()[800]), (960, 3));
        // Before the beginning there is no place.
        timeline.place(now, 1, 4000, &[9; 160]);
        assert_eq!(timeline.misfits, 1);
    }

    #[test]
    fn a_crowd_of_streams_is_not_remembered() {
        let mut timeline = Timeline::default();
        for ssrc in 0..100 {
            timeline.place(Instant::now(), ssrc, 0, &[0; 160]);
        }
        assert_eq!(timeline.streams.len(), SSRCS_MAX);
    }
}
