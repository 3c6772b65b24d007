//! Whether the server keeps up, and how many calls it refuses until it does again.
//!
//! Each part says how late it is. While one is too late, more of each hundred calls are refused from step to step;
//! once all are in time again, fewer; in between nothing changes. So a server that is behind comes to rest at what it
//! can carry, and does not swing between all and nothing.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::limits::{
    STRAIN_EVERY, STRAIN_LATE_HIGH, STRAIN_LATE_LOW, STRAIN_PARTS_MAX, STRAIN_QUEUE_HIGH_PERCENT,
    STRAIN_QUEUE_LOW_PERCENT, STRAIN_SILENT_MAX, STRAIN_SYNC_HIGH, STRAIN_SYNC_LOW,
};

/// A part of the server that says how it keeps up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// What feeds signalling.
    Signalling,
    /// A media shard.
    Shard(u16),
}

/// How a part keeps up. The default is that it does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Strain {
    /// How late its timers come: so late are its packets.
    pub late: Duration,
    /// How long its disk has been syncing.
    pub sync: Duration,
    /// How full its queue is, of a hundred.
    pub queue_percent: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    InTime,
    Between,
    Behind,
}

impl Strain {
    fn level(&self) -> Level {
        let high = self.late >= STRAIN_LATE_HIGH
            || self.sync >= STRAIN_SYNC_HIGH
            || self.queue_percent >= STRAIN_QUEUE_HIGH_PERCENT;
        let low = self.late <= STRAIN_LATE_LOW
            && self.sync <= STRAIN_SYNC_LOW
            && self.queue_percent <= STRAIN_QUEUE_LOW_PERCENT;
        match (high, low) {
            (true, _) => Level::Behind,
            (false, true) => Level::InTime,
            (false, false) => Level::Between,
        }
    }
}

/// More is refused by so many in a hundred, each step.
const STEP_UP_PERCENT: u8 = 10;
/// Less is refused by so many.
const STEP_DOWN_PERCENT: u8 = 5;

/// What a part has said last.
#[derive(Clone, Copy, Debug)]
struct Said {
    at: Instant,
    strain: Strain,
    /// How late its timers were, the last times. Once may be chance; all of them are not.
    late: [Duration; 4],
}

/// What the parts have said, and what follows from it.
#[derive(Debug, Default)]
pub(super) struct Overload {
    parts: BTreeMap<Part, Said>,
    stepped: Option<Instant>,
    percent: u8,
}

impl Overload {
    /// Of a hundred new calls so many are refused.
    pub(super) fn percent(&self) -> u8 {
        self.percent
    }

    /// A part says how it keeps up; true when that led to a step, whether or not it changed anything.
    pub(super) fn report(&mut self, now: Instant, part: Part, strain: Strain) -> bool {
        if self.parts.len() >= STRAIN_PARTS_MAX && !self.parts.contains_key(&part) {
            return false;
        }
        let said =
            self.parts.entry(part).or_insert(Said { at: now, strain, late: [Duration::ZERO; 4] });
        said.late.rotate_right(1);
        said.late[0] = strain.late;
        (said.at, said.strain) = (now, strain);
        let stepped = *self.stepped.get_or_insert(now);
        if now.saturating_duration_since(stepped) < STRAIN_EVERY {
            return false;
        }
        self.stepped = Some(now);
        self.step(now);
        true
    }

    fn step(&mut self, now: Instant) {
        let level = |said: &Said| {
            let silent = now.saturating_duration_since(said.at) > STRAIN_SILENT_MAX;
            // Who says nothing any more is stuck.
            if silent {
                Level::Behind
            } else {
                let late = said.late.into_iter().min().unwrap_or_default();
                Strain { late, ..said.strain }.level()
            }
        };
        match self.parts.values().map(level).max() {
            Some(Level::Behind) => self.percent = (self.percent + STEP_UP_PERCENT).min(100),
            Some(Level::Between) => {}
            Some(Level::InTime) | None => {
                self.percent = self.percent.saturating_sub(STEP_DOWN_PERCENT);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn t0() -> Instant {
        #[expect(clippy::disallowed_methods, reason = "any origin will do in a test")]
        Instant::now()
    }

    const SHARD: Part = Part::Shard(0);

    /// What is refused after each of so many reports, half a second apart, that all say the same.
    fn refused(
        overload: &mut Overload,
        now: &mut Instant,
        strain: Strain,
        reports: usize,
    ) -> Vec<u8> {
        let each = (0..reports).map(|_| {
            *now += STRAIN_EVERY;
            overload.report(*now, SHARD, strain);
            overload.percent()
        });
        each.collect()
    }

    fn late(millis: u64) -> Strain {
        Strain { late: Duration::from_millis(millis), ..Strain::default() }
    }

    #[test]
    fn more_and_more_is_refused_while_a_part_is_behind_and_less_and_less_once_it_is_in_time() {
        let (mut overload, mut now) = (Overload::default(), t0());
        assert_eq!(refused(&mut overload, &mut now, late(500), 6), [0, 0, 0, 10, 20, 30]);
        assert_eq!(refused(&mut overload, &mut now, late(0), 7), [25, 20, 15, 10, 5, 0, 0]);
        assert_eq!(refused(&mut overload, &mut now, late(500), 30).last(), Some(&100));
    }

    #[test]
    fn between_behind_and_in_time_nothing_changes() {
        let (mut overload, mut now) = (Overload::default(), t0());
        refused(&mut overload, &mut now, late(500), 6);
        let between = (STRAIN_LATE_LOW + STRAIN_LATE_HIGH) / 2;
        let between = Strain { late: between, ..Strain::default() };
        assert_eq!(refused(&mut overload, &mut now, between, 5), [30; 5]);
    }

    #[test]
    fn a_late_timer_now_and_then_is_nothing() {
        let (mut overload, mut now) = (Overload::default(), t0());
        refused(&mut overload, &mut now, late(0), 2);
        refused(&mut overload, &mut now, late(700), 3);
        assert_eq!(refused(&mut overload, &mut now, late(0), 8), [0; 8]);
    }

    #[test]
    fn a_slow_disk_a_full_queue_and_a_part_that_falls_silent_all_count() {
        let sync = Strain { sync: STRAIN_SYNC_HIGH, ..Strain::default() };
        let queue = Strain { queue_percent: STRAIN_QUEUE_HIGH_PERCENT, ..Strain::default() };
        for strain in [sync, queue] {
            let (mut overload, mut now) = (Overload::default(), t0());
            assert_eq!(refused(&mut overload, &mut now, strain, 3), [0, 10, 20], "{strain:?}");
        }
        let (mut overload, mut now) = (Overload::default(), t0());
        refused(&mut overload, &mut now, Strain::default(), 2);
        for _ in 0..20 {
            now += STRAIN_EVERY;
            overload.report(now, Part::Signalling, Strain::default());
        }
        assert!(overload.percent() >= 50, "the shard has said nothing for ten seconds");
    }

    #[test]
    fn steps_are_of_time_and_not_of_reports_and_parts_are_bounded() {
        let (mut overload, now) = (Overload::default(), t0());
        for part in 0..1000 {
            overload.report(now, Part::Shard(part), late(1000));
        }
        assert_eq!((overload.percent(), overload.parts.len()), (0, STRAIN_PARTS_MAX));
    }
}
