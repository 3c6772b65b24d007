//! Puts what arrives in its place in time, and knows when a recording is over.

use std::time::Instant;

use bytes::Bytes;

use super::FrameWriter;
use crate::audio::level::LevelDetector;
use crate::audio::{Codec, duration_to_samples, samples_to_duration};
use crate::leg::{RecordingEnd, RecordingLimits, RecordingSummary};
use crate::limits::{
    FRAMES_FLUSH, JITTER_TOLERANCE, PAYLOAD_BYTES, RECORDING_MAX, REORDER_WINDOW, TIMESTAMP_JUMP,
};
use crate::rtp::{Header, Ssrc};

/// One recording.
#[derive(Debug)]
pub(crate) struct Recorder {
    limits: RecordingLimits,
    writer: FrameWriter,
    level: LevelDetector,
    /// These three are moved on by the length of every hold.
    started: Instant,
    last_loud: Instant,
    last_arrival: Option<Arrived>,
    paused: Option<Instant>,
    anchor: Option<Anchor>,
    /// Samples so far.
    end: u64,
    packets: u64,
    unflushed_since: Option<Instant>,
    ended: Option<RecordingEnd>,
}

#[derive(Debug, Clone, Copy)]
struct Arrived {
    at: Instant,
    samples: u64,
}

/// The place of a timestamp.
#[derive(Debug, Clone, Copy)]
struct Anchor {
    ssrc: Ssrc,
    timestamp: u32,
    place: u64,
}

impl Recorder {
    pub(crate) fn new(now: Instant, limits: RecordingLimits) -> Self {
        let longest = |limit: std::time::Duration| limit.min(RECORDING_MAX);
        Self {
            limits: RecordingLimits { max: longest(limits.max), silence: longest(limits.silence) },
            writer: FrameWriter::default(),
            level: LevelDetector::default(),
            started: now,
            last_loud: now,
            last_arrival: None,
            paused: None,
            anchor: None,
            end: 0,
            packets: 0,
            unflushed_since: None,
            ended: None,
        }
    }

    /// An audio packet arrived; `late` says that its sequence number is not the highest.
    pub(crate) fn audio(
        &mut self,
        now: Instant,
        header: &Header,
        late: bool,
        codec: Codec,
        payload: &[u8],
    ) {
        if self.paused.is_some()
            || self.ended.is_some()
            || payload.is_empty()
            || payload.len() > PAYLOAD_BYTES
        {
            return;
        }
        let samples = payload.len() as u64;
        let Some(place) = self.place_of(now, header, late, samples) else { return };
        let left = self.max_samples().saturating_sub(place);
        let payload = &payload[..samples.min(left) as usize];
        let Ok(record_place) = u32::try_from(place) else { return };
        self.writer.frame(codec, record_place, payload);
        self.packets += 1;
        self.unflushed_since.get_or_insert(now);
        self.last_arrival = Some(Arrived { at: now, samples });
        if place > self.end {
            self.level.interrupt();
        }
        if place >= self.end && self.level.hear(payload.iter().map(|&octet| codec.decode(octet))) {
            self.last_loud = now;
        }
        self.end = self.end.max(place + payload.len() as u64);
        if self.end >= self.max_samples() {
            self.ended = Some(RecordingEnd::MaxLength);
        }
    }

    /// Hold: neither audio nor time counts.
    pub(crate) fn pause(&mut self, now: Instant) {
        self.paused.get_or_insert(now);
    }

    /// The end of a hold. What comes now follows on what was before it.
    pub(crate) fn resume(&mut self, now: Instant) {
        if let Some(since) = self.paused.take() {
            let held = now.saturating_duration_since(since);
            self.started += held;
            self.last_loud += held;
            self.last_arrival = None;
            self.anchor = None;
            self.level.interrupt();
        }
    }

    /// Time has come; says once that a limit was reached.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Option<RecordingEnd> {
        if self.ended.is_none() && self.paused.is_none() {
            if now >= self.started + self.limits.max {
                self.end_quiet(now, RecordingEnd::MaxLength);
            } else if now >= self.last_loud + self.limits.silence {
                self.end_quiet(now, RecordingEnd::Silence);
            }
        }
        self.ended
    }

    /// Whole records, if it is time to give some.
    pub(crate) fn frames(&mut self, now: Instant) -> Option<Bytes> {
        let due = self.unflushed_since.is_some_and(|since| now >= since + FRAMES_FLUSH)
            || self.ended.is_some()
            || self.paused.is_some();
        if due { self.take_frames() } else { None }
    }

    /// When [`Recorder::handle_timeout`] or [`Recorder::frames`] has something to do.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let flush = self.unflushed_since.map(|since| since + FRAMES_FLUSH);
        if self.ended.is_some() || self.paused.is_some() {
            return flush;
        }
        let limit = (self.started + self.limits.max).min(self.last_loud + self.limits.silence);
        Some(flush.map_or(limit, |flush| flush.min(limit)))
    }

    /// The end, and the records that were not given yet.
    pub(crate) fn finish(mut self) -> (RecordingSummary, Option<Bytes>) {
        let frames = self.take_frames();
        let summary = RecordingSummary {
            samples: self.end,
            packets: self.packets,
            voiced: self.level.voiced(),
            digital_silence: self.level.digital_silence(),
        };
        (summary, frames)
    }

    fn take_frames(&mut self) -> Option<Bytes> {
        self.unflushed_since = None;
        (!self.writer.is_empty()).then(|| self.writer.take())
    }

    fn max_samples(&self) -> u64 {
        duration_to_samples(self.limits.max)
    }

    /// The quiet at the end is a part of the recording, whether packets came or not.
    fn end_quiet(&mut self, now: Instant, end: RecordingEnd) {
        let until = (self.end + self.gap(now)).min(self.max_samples());
        if until > self.end {
            self.end = until;
            if let Ok(place) = u32::try_from(until) {
                self.writer.until(place);
            }
        }
        self.ended = Some(end);
    }

    /// Samples between the end of the last packet and `now`, as arrivals have it.
    fn gap(&self, now: Instant) -> u64 {
        let (since, samples) =
            self.last_arrival.map_or((self.started, 0), |last| (last.at, last.samples));
        let gap = now.saturating_duration_since(since).saturating_sub(samples_to_duration(samples));
        if gap > JITTER_TOLERANCE { duration_to_samples(gap) } else { 0 }
    }

    /// Where a packet belongs: by its timestamp as long as that is believable, else by its
    /// arrival; nowhere if it is too late.
    fn place_of(&mut self, now: Instant, header: &Header, late: bool, samples: u64) -> Option<u64> {
        let jump = duration_to_samples(TIMESTAMP_JUMP);
        let place = match self.anchor.filter(|anchor| anchor.ssrc == header.ssrc) {
            None if late => return None,
            None => self.resync(now),
            Some(anchor) => {
                let step = header.timestamp.wrapping_sub(anchor.timestamp) as i32;
                let place = anchor.place.checked_add_signed(i64::from(step));
                // Timestamps run with the clock: neither a gap nor the whole may be longer than
                // the time that passed, give or take a jump.
                let elapsed = now.saturating_duration_since(self.started);
                let latest = (self.end + self.gap(now))
                    .min(duration_to_samples(elapsed).saturating_sub(samples))
                    + jump;
                let earliest = self.end.saturating_sub(duration_to_samples(REORDER_WINDOW));
                match place {
                    Some(place) if (earliest..=latest).contains(&place) => place,
                    _ if late => return None,
                    _ => self.resync(now),
                }
            }
        };
        if !late {
            self.anchor = Some(Anchor { ssrc: header.ssrc, timestamp: header.timestamp, place });
        }
        Some(place)
    }

    /// A stream that is new, or jumped, goes on where the last one ended, after the silence that
    /// was between them.
    fn resync(&self, now: Instant) -> u64 {
        match self.last_arrival {
            Some(_) => self.end + self.gap(now),
            None => self.end,
        }
    }
}

#[cfg(test)]
impl Recorder {
    fn length(&self) -> std::time::Duration {
        samples_to_duration(self.end)
    }
}

#[cfg(test)]
mod tests;
