//! What was received and what was lost, by sequence numbers (RFC 3550 appendix A).

use std::time::Instant;

use super::{Header, Ssrc};
use crate::limits::SAMPLE_RATE;

/// A step forward in sequence numbers from which on the stream is taken as started again
/// (RFC 3550 appendix A.1, MAX_DROPOUT).
const DROPOUT_MAX: u16 = 3000;
/// How far back a packet may be late (the width of the window of those seen).
const MISORDER_MAX: u16 = 64;

/// What a packet's sequence number says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// The next one, or a later one.
    Ahead,
    /// An earlier one that had not come yet.
    Late,
    /// The stream is new, or jumped.
    Restarted,
    /// It came before, or is far too late.
    Duplicate,
}

/// Reception of the current source.
#[derive(Debug, Default)]
pub(crate) struct Reception {
    source: Option<Source>,
    /// Of all sources that were current before.
    received_before: u64,
    lost_before: u64,
}

#[derive(Debug)]
struct Source {
    ssrc: Ssrc,
    /// The first and the highest sequence number, extended by the count of cycles.
    first: u64,
    highest: u64,
    /// Bit n: `highest - n` was seen.
    seen: u64,
    received: u64,
    /// RFC 3550 appendix A.8: arrival minus timestamp, and the jitter times 16.
    transit: Option<u32>,
    jitter_16: u32,
    /// Figures at the last report (RFC 3550 appendix A.3).
    reported_expected: u64,
    reported_received: u64,
    far_back: u32,
}

/// What a reception report says of the current source (RFC 3550 §6.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) ssrc: Ssrc,
    pub(crate) fraction_lost: u8,
    pub(crate) cumulative_lost: i32,
    pub(crate) highest: u32,
    pub(crate) jitter: u32,
}

impl Reception {
    /// Counts a packet (authenticated, where there is SRTP).
    pub(crate) fn arrived(&mut self, header: &Header) -> Arrival {
        let Some(source) = self.source.as_mut().filter(|source| source.ssrc == header.ssrc) else {
            self.begin(header);
            return Arrival::Restarted;
        };
        let ahead = header.sequence.wrapping_sub(source.highest as u16);
        let behind = (source.highest as u16).wrapping_sub(header.sequence);
        if ahead == 0 {
            return Arrival::Duplicate;
        }
        if ahead < DROPOUT_MAX {
            source.highest += u64::from(ahead);
            source.seen = source.seen.checked_shl(u32::from(ahead)).unwrap_or(0) | 1;
            source.received += 1;
            source.far_back = 0;
            return Arrival::Ahead;
        }
        if behind < MISORDER_MAX {
            let bit = 1 << behind;
            if source.seen & bit != 0 || source.highest < u64::from(behind) {
                return Arrival::Duplicate;
            }
            source.seen |= bit;
            source.received += 1;
            source.first = source.first.min(source.highest - u64::from(behind));
            return Arrival::Late;
        }
        // RFC 3550 appendix A.1: one packet far off is a stray; a second one is a restart.
        source.far_back += 1;
        if source.far_back < 2 {
            return Arrival::Duplicate;
        }
        self.begin(header);
        Arrival::Restarted
    }

    /// Follows the jitter of audio packets (RFC 3550 appendix A.8).
    pub(crate) fn audio_arrived(&mut self, epoch: Instant, now: Instant, timestamp: u32) {
        let Some(source) = self.source.as_mut() else { return };
        let micros = now.saturating_duration_since(epoch).as_micros();
        let arrival = (micros * u128::from(SAMPLE_RATE) / 1_000_000) as u32;
        let transit = arrival.wrapping_sub(timestamp);
        if let Some(before) = source.transit.replace(transit) {
            let step = (transit.wrapping_sub(before) as i32).unsigned_abs();
            // A jump of the peer's timestamps is no jitter.
            if step < 2 * SAMPLE_RATE {
                source.jitter_16 = source
                    .jitter_16
                    .saturating_add(step)
                    .saturating_sub((source.jitter_16 + 8) >> 4);
            }
        }
    }

    /// Packets accepted from all sources.
    pub(crate) fn received(&self) -> u64 {
        self.received_before + self.source.as_ref().map_or(0, |source| source.received)
    }

    /// Packets that never came.
    pub(crate) fn lost(&self) -> u64 {
        self.lost_before + self.source.as_ref().map_or(0, Source::lost)
    }

    /// Jitter of the current source in samples.
    pub(crate) fn jitter(&self) -> u32 {
        self.source.as_ref().map_or(0, |source| source.jitter_16 >> 4)
    }

    /// A report on the current source; the next one counts from here.
    pub(crate) fn report(&mut self) -> Option<Block> {
        let source = self.source.as_mut()?;
        let expected = source.expected();
        let expected_interval = expected - source.reported_expected;
        let received_interval = source.received - source.reported_received;
        source.reported_expected = expected;
        source.reported_received = source.received;
        let lost_interval = expected_interval.saturating_sub(received_interval);
        let fraction_lost = (lost_interval << 8).checked_div(expected_interval).unwrap_or(0);
        Some(Block {
            ssrc: source.ssrc,
            fraction_lost: fraction_lost.min(255) as u8,
            cumulative_lost: source.lost().min(0x7f_ffff) as i32,
            highest: source.highest as u32,
            jitter: source.jitter_16 >> 4,
        })
    }

    fn begin(&mut self, header: &Header) {
        if let Some(source) = self.source.take() {
            self.received_before += source.received;
            self.lost_before += source.lost();
        }
        // One cycle ahead, so that what comes late at the start has a number too.
        let first = 0x1_0000 | u64::from(header.sequence);
        self.source = Some(Source {
            ssrc: header.ssrc,
            first,
            highest: first,
            seen: 1,
            received: 1,
            transit: None,
            jitter_16: 0,
            reported_expected: 0,
            reported_received: 0,
            far_back: 0,
        });
    }
}

impl Source {
    fn expected(&self) -> u64 {
        self.highest - self.first + 1
    }

    fn lost(&self) -> u64 {
        self.expected().saturating_sub(self.received)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(sequence: u16) -> Header {
        Header { marker: false, payload_type: 0, sequence, timestamp: 0, ssrc: Ssrc(1) }
    }

    #[test]
    fn loss_is_counted_across_the_wrap_and_taken_back_by_late_packets() {
        let mut reception = Reception::default();
        assert_eq!(reception.arrived(&packet(65_533)), Arrival::Restarted);
        assert_eq!(reception.arrived(&packet(65_534)), Arrival::Ahead);
        assert_eq!(reception.arrived(&packet(1)), Arrival::Ahead);
        assert_eq!(reception.lost(), 2);
        assert_eq!(reception.arrived(&packet(65_535)), Arrival::Late);
        assert_eq!(reception.arrived(&packet(65_535)), Arrival::Duplicate);
        assert_eq!((reception.lost(), reception.received()), (1, 4));
        let block = reception.report().unwrap();
        assert_eq!((block.cumulative_lost, block.fraction_lost), (1, 51));
        assert_eq!(block.highest, 0x2_0001);
    }

    #[test]
    fn one_stray_is_dropped_and_a_second_restarts() {
        let mut reception = Reception::default();
        reception.arrived(&packet(100));
        assert_eq!(reception.arrived(&packet(40_000)), Arrival::Duplicate);
        assert_eq!(reception.arrived(&packet(101)), Arrival::Ahead);
        assert_eq!(reception.arrived(&packet(40_001)), Arrival::Duplicate);
        assert_eq!(reception.arrived(&packet(40_002)), Arrival::Restarted);
        assert_eq!(reception.received(), 3);
    }

    #[test]
    fn steady_arrival_has_no_jitter() {
        let mut reception = Reception::default();
        reception.arrived(&packet(1));
        let epoch = crate::test_support::epoch();
        for index in 0..50u32 {
            let now = epoch + crate::limits::PACKET_TIME * index;
            reception.audio_arrived(epoch, now, index * 160);
        }
        assert_eq!(reception.jitter(), 0);
    }
}
