//! The one place that reads clocks, and the UTC that everything else is given.
//!
//! That UTC never falls behind the highest one seen, across restarts too. A forward step of over an hour against
//! monotonic time is reported, and counts only once it has lasted an hour: a clock set wrong for a minute ends no
//! grant and starts none.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hushbox_policy::Now;
use jiff::{SignedDuration, Timestamp};

/// A forward step larger than this is doubted, for as long.
const DOUBTED: SignedDuration = SignedDuration::from_hours(1);
/// A backward step up to this is waited out; a larger one is ridden over by monotonic time.
const WAITED_OUT: SignedDuration = SignedDuration::from_mins(1);

/// The machine's clocks, read through the rules above.
#[derive(Debug)]
pub struct Clock(Mutex<Steady>);

impl Clock {
    /// Starts with the highest UTC that was kept, if any.
    pub fn start(highest: Option<Timestamp>) -> Self {
        let wall = Timestamp::now();
        Self(Mutex::new(Steady::new(
            Instant::now(),
            highest.map_or(wall, |highest| highest.max(wall)),
        )))
    }

    /// Now.
    pub fn now(&self) -> Now {
        let mut steady = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        steady.read(Instant::now(), Timestamp::now())
    }

    /// A step of the machine's clock that was noticed since the last call; one backward is negative.
    pub fn take_step(&self) -> Option<SignedDuration> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).step.take()
    }

    /// Whether the machine's clock is ahead and not believed.
    pub fn doubts(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).doubted_since.is_some()
    }
}

#[derive(Debug)]
struct Steady {
    /// The highest UTC handed out, and when that was.
    highest: Timestamp,
    at: Instant,
    /// Since when the wall clock has been doubted.
    doubted_since: Option<Instant>,
    step: Option<SignedDuration>,
    /// Whether the machine's clock stands behind, by more than is waited out.
    behind: bool,
}

impl Steady {
    fn new(at: Instant, highest: Timestamp) -> Self {
        Self { highest, at, doubted_since: None, step: None, behind: false }
    }

    fn read(&mut self, monotonic: Instant, wall: Timestamp) -> Now {
        let passed = SignedDuration::try_from(monotonic.saturating_duration_since(self.at))
            .unwrap_or(SignedDuration::ZERO);
        let expected = self.highest.checked_add(passed).unwrap_or(self.highest);
        let ahead = wall.duration_since(expected);
        let utc = if ahead > DOUBTED {
            let since = *self.doubted_since.get_or_insert_with(|| {
                self.step = Some(ahead);
                monotonic
            });
            let lasted = monotonic.saturating_duration_since(since);
            if lasted >= Duration::try_from(DOUBTED).unwrap_or(Duration::MAX) {
                wall
            } else {
                expected
            }
        } else {
            self.doubted_since = None;
            let behind = self.highest.duration_since(wall);
            if behind > WAITED_OUT && !self.behind {
                self.step = Some(-behind);
            }
            self.behind = behind > WAITED_OUT;
            if behind <= SignedDuration::ZERO {
                wall
            } else if behind <= WAITED_OUT {
                self.highest
            } else {
                expected
            }
        };
        if utc == wall {
            self.doubted_since = None;
        }
        if utc > self.highest {
            self.highest = utc;
            self.at = monotonic;
        } else if utc == self.highest && wall < self.highest {
            // Waiting: time passes for the machine, not for us.
            self.at = monotonic;
        }
        Now { monotonic, utc }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn utc(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    #[test]
    fn a_clock_that_is_set_back_never_takes_utc_back() {
        let start = Instant::now();
        let mut steady = Steady::new(start, utc("2026-01-01T12:00:00Z"));
        let now = steady.read(start + MINUTE, utc("2026-01-01T11:00:00Z"));
        assert_eq!(now.utc, utc("2026-01-01T12:01:00Z"), "ridden over by monotonic time");
        assert_eq!(steady.step.take(), Some(SignedDuration::from_mins(-60)));
        steady.read(start + MINUTE, utc("2026-01-01T11:00:01Z"));
        assert_eq!(steady.step.take(), None, "said once");
        let now = steady.read(start + MINUTE * 2, utc("2026-01-01T12:00:30Z"));
        assert_eq!(now.utc, utc("2026-01-01T12:01:00Z"), "waited out");
        let now = steady.read(start + MINUTE * 3, utc("2026-01-01T12:01:30Z"));
        assert_eq!(now.utc, utc("2026-01-01T12:01:30Z"), "caught up");
    }

    #[test]
    fn a_forward_step_counts_only_after_an_hour_and_is_reported_once() {
        let start = Instant::now();
        let mut steady = Steady::new(start, utc("2026-01-01T12:00:00Z"));
        assert_eq!(
            steady.read(start + MINUTE, utc("2027-01-01T12:01:00Z")).utc,
            utc("2026-01-01T12:01:00Z")
        );
        assert!(steady.step.take().is_some());
        assert_eq!(
            steady.read(start + MINUTE * 59, utc("2027-01-01T12:59:00Z")).utc,
            utc("2026-01-01T12:59:00Z")
        );
        assert!(steady.step.is_none());
        assert_eq!(
            steady.read(start + MINUTE * 62, utc("2027-01-01T13:02:00Z")).utc,
            utc("2027-01-01T13:02:00Z")
        );
    }

    #[test]
    fn a_forward_step_that_is_taken_back_leaves_nothing() {
        let start = Instant::now();
        let mut steady = Steady::new(start, utc("2026-01-01T12:00:00Z"));
        steady.read(start + MINUTE, utc("2027-01-01T12:01:00Z"));
        assert_eq!(
            steady.read(start + MINUTE * 2, utc("2026-01-01T12:02:00Z")).utc,
            utc("2026-01-01T12:02:00Z")
        );
    }
}
