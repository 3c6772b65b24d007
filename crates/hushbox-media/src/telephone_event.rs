//! Keys pressed by the caller (RFC 4733, which replaces RFC 2833).
//!
//! A press is reported once, by its first packet that arrives: nothing depends on the marker, on
//! the packets before, or on the end. What makes a press is its source, timestamp and event
//! (RFC 4733 §2.5.1.2). Some senders change the timestamp within one press; [`Presses`] takes
//! that for the same press within bounds that a second press of the same key does not meet.

use std::collections::VecDeque;

use crate::limits::PRESSES;
use crate::rtp::{Header, Ssrc};

/// How far sequence numbers may be apart in one press.
const CONTIGUOUS: i16 = 3;
/// The step of a sender that counts its timestamp up packet by packet. Two presses are at least
/// 40 ms apart (RFC 4733 §2.5.2.4), which is twice that.
const STEP_SAMPLES: i32 = 160;

/// A telephone event as one packet has it (RFC 4733 §2.3).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TelephoneEvent {
    /// Which one; 0 to 15 are keys.
    pub event: u8,
    /// Whether the key was let go.
    pub end: bool,
    /// How long it was held so far, in samples.
    pub duration: u16,
}

impl TelephoneEvent {
    /// Reads a payload. Volume and the reserved bit do not count.
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let fields: &[u8; 4] = payload.first_chunk()?;
        Some(Self {
            event: fields[0],
            end: fields[1] & 0x80 != 0,
            duration: u16::from_be_bytes([fields[2], fields[3]]),
        })
    }

    /// The key, if it is one (RFC 4733 §3.2).
    pub fn key(self) -> Option<char> {
        b"0123456789*#ABCD".get(usize::from(self.event)).map(|&key| char::from(key))
    }
}

impl std::fmt::Debug for TelephoneEvent {
    // It may be a digit of a PIN.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TelephoneEvent(…)")
    }
}

/// The last presses, so that each counts once.
#[derive(Default)]
pub struct Presses {
    last: VecDeque<Press>,
}

impl std::fmt::Debug for Presses {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Presses(…)")
    }
}

struct Press {
    ssrc: Ssrc,
    event: u8,
    /// The first and the last of its timestamps.
    start: u32,
    latest: u32,
    sequence: u16,
    duration: u16,
    ended: bool,
}

impl Presses {
    /// Takes a packet; gives the key if this is the first one of its press.
    pub fn receive(&mut self, header: &Header, event: TelephoneEvent) -> Option<char> {
        let key = event.key()?;
        let belongs = |press: &Press| press.has(header, event);
        let newest = self.last.len().checked_sub(1);
        let place =
            self.last.iter().position(belongs).or_else(|| {
                newest.filter(|&place| self.last[place].is_continued_by(header, event))
            });
        if let Some(place) = place {
            self.last[place].follow(header, event);
            return None;
        }
        if self.last.len() == PRESSES {
            self.last.pop_front();
        }
        self.last.push_back(Press {
            ssrc: header.ssrc,
            event: event.event,
            start: header.timestamp,
            latest: header.timestamp,
            sequence: header.sequence,
            duration: event.duration,
            ended: event.end,
        });
        Some(key)
    }
}

impl Press {
    fn is_of(&self, header: &Header, event: TelephoneEvent) -> bool {
        self.ssrc == header.ssrc && self.event == event.event
    }

    /// Whether a packet has one of this press's timestamps.
    fn has(&self, header: &Header, event: TelephoneEvent) -> bool {
        let span = self.latest.wrapping_sub(self.start);
        self.is_of(header, event) && header.timestamp.wrapping_sub(self.start) <= span
    }

    /// Whether a packet with a new timestamp goes on with this press: the next segment of a long
    /// one (RFC 4733 §2.5.1.3), or a sender that changes timestamps. A marker, a gap in sequence
    /// numbers or more time than the press had speak against it.
    fn is_continued_by(&self, header: &Header, event: TelephoneEvent) -> bool {
        let apart = header.sequence.wrapping_sub(self.sequence) as i16;
        if !self.is_of(header, event) || header.marker || apart.abs() > CONTIGUOUS {
            return false;
        }
        let duration = i32::from(self.duration.max(event.duration));
        let since_start = header.timestamp.wrapping_sub(self.start) as i32;
        let since_latest = header.timestamp.wrapping_sub(self.latest) as i32;
        (0..=duration).contains(&since_start)
            || (0..=STEP_SAMPLES).contains(&since_latest)
            || (!self.ended && (0..=duration).contains(&since_latest))
    }

    fn follow(&mut self, header: &Header, event: TelephoneEvent) {
        if header.timestamp.wrapping_sub(self.start) > self.latest.wrapping_sub(self.start) {
            self.latest = header.timestamp;
        }
        if (header.sequence.wrapping_sub(self.sequence) as i16) > 0 {
            self.sequence = header.sequence;
        }
        self.duration = self.duration.max(event.duration);
        self.ended |= event.end;
    }
}

#[cfg(test)]
mod tests;
