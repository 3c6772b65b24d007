//! Automatic log-off: how long a person may press nothing.

use std::time::Instant;

use crate::limits::{IDLE, IDLE_LOG_OFF, REMINDERS};

/// The clock of a person who presses nothing. It runs on while Hushbox speaks and while the peer holds.
#[derive(Clone, Copy, Debug)]
pub struct Idle {
    /// The last key, or the end of a message.
    activity: Instant,
    /// From when the next reminder's ten seconds count.
    since: Instant,
    reminders: u32,
}

/// What the clock says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expired {
    /// Not yet.
    No,
    /// Remind the person.
    Remind,
    /// Log the person off.
    LogOff,
}

impl Idle {
    /// A clock that starts now.
    pub fn new(now: Instant) -> Self {
        Self { activity: now, since: now, reminders: 0 }
    }

    /// A key was pressed, or a message came to its end.
    pub fn activity(&mut self, now: Instant) {
        *self = Self::new(now);
    }

    /// Something was said to its end: the person gets ten seconds to answer a reminder, but a long prompt buys no more
    /// than it needs.
    pub fn spoken(&mut self, now: Instant) {
        if self.reminders > 0 {
            self.since = now;
        }
    }

    /// When to ask [`Idle::expired`].
    pub fn deadline(&self, speaking: bool) -> Instant {
        let log_off = self.activity + IDLE_LOG_OFF;
        if speaking {
            log_off
        } else if self.reminders >= REMINDERS {
            self.since.min(log_off)
        } else {
            (self.since + IDLE).min(log_off)
        }
    }

    /// Whether it is time for a reminder or for the log-off. A reminder waits until what is being said has been said;
    /// the log-off waits for nothing.
    pub fn expired(&mut self, now: Instant, speaking: bool) -> Expired {
        if now < self.deadline(speaking) {
            return Expired::No;
        }
        if now >= self.activity + IDLE_LOG_OFF || self.reminders >= REMINDERS {
            return Expired::LogOff;
        }
        self.reminders += 1;
        self.since = now;
        Expired::Remind
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn t0() -> Instant {
        #[expect(clippy::disallowed_methods, reason = "any origin will do in a test")]
        Instant::now()
    }

    /// Runs the clock with prompts of these lengths; the time of each expiry, in milliseconds.
    fn silent(first_prompt: Duration, reminder: Duration) -> Vec<(u64, Expired)> {
        let start = t0();
        let mut idle = Idle::new(start);
        let mut speaking_until = Some(start + first_prompt);
        let mut seen = Vec::new();
        loop {
            let due = idle.deadline(speaking_until.is_some());
            let now = match speaking_until {
                Some(end) if end <= due => {
                    idle.spoken(end);
                    speaking_until = None;
                    end
                }
                _ => due,
            };
            match idle.expired(now, speaking_until.is_some()) {
                Expired::No => {}
                Expired::Remind => {
                    seen.push((now.duration_since(start).as_millis() as u64, Expired::Remind));
                    speaking_until = Some(now + reminder);
                }
                Expired::LogOff => {
                    seen.push((now.duration_since(start).as_millis() as u64, Expired::LogOff));
                    return seen;
                }
            }
        }
    }

    #[test]
    fn the_third_reminder_is_followed_by_the_log_off() {
        assert_eq!(
            silent(Duration::ZERO, Duration::from_secs(3)),
            [
                (10_000, Expired::Remind),
                (23_000, Expired::Remind),
                (36_000, Expired::Remind),
                (39_000, Expired::LogOff)
            ]
        );
    }

    #[test]
    fn log_off_comes_within_45_seconds_however_long_the_prompts_are() {
        for first in [0, 5, 12, 30, 60] {
            for reminder in [1, 4, 20] {
                let seen = silent(Duration::from_secs(first), Duration::from_secs(reminder));
                let (at, last) = *seen.last().unwrap();
                assert_eq!(last, Expired::LogOff);
                assert!(at <= 42_000, "{first} {reminder}: {seen:?}");
            }
        }
    }
}
