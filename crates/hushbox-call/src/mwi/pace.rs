//! How many NOTIFYs go out a second, all lamps together: a second's worth at once, then evenly.

use std::time::{Duration, Instant};

/// A bucket that fills evenly.
#[derive(Debug)]
pub(super) struct Pace {
    /// How long one takes.
    each: Duration,
    /// How long a full bucket takes to fill.
    most: Duration,
    /// Until when everything so far has its time: never further ahead than a full bucket.
    paid_until: Option<Instant>,
}

impl Pace {
    /// So many a second, and so many at once; zero counts as one.
    pub(super) fn new(per_second: u32) -> Self {
        let each = Duration::from_secs(1) / per_second.max(1);
        Pace { each, most: Duration::from_secs(1), paid_until: None }
    }

    /// When the next one may go, if it wants to go then.
    pub(super) fn next(&self, wanted: Instant) -> Instant {
        let free = self.paid_until.and_then(|until| (until + self.each).checked_sub(self.most));
        free.map_or(wanted, |free| wanted.max(free))
    }

    /// Takes one out; false if none is there.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        if self.next(now) > now {
            return false;
        }
        let from = self.paid_until.map_or(now, |until| until.max(now));
        self.paid_until = Some(from + self.each);
        true
    }

    /// What was taken last was not needed.
    pub(super) fn give_back(&mut self) {
        self.paid_until = self.paid_until.and_then(|until| until.checked_sub(self.each));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_s_worth_goes_at_once_and_the_rest_evenly() {
        #[expect(clippy::disallowed_methods, reason = "any origin will do in a test")]
        let start = Instant::now();
        let mut pace = Pace::new(10);
        let mut now = start;
        let mut went = Vec::new();
        while went.len() < 25 {
            now = pace.next(now);
            assert!(pace.take(now), "its own word");
            went.push((now - start).as_millis());
        }
        assert!(went[..10].iter().all(|ms| *ms == 0), "{went:?}");
        assert_eq!(went[10..].to_vec(), (1..=15).map(|n| n * 100).collect::<Vec<_>>());
        assert!(!pace.take(now));
        assert!(pace.take(now + Duration::from_millis(100)));
        pace.give_back();
        assert!(pace.take(now + Duration::from_millis(100)));
        assert!(!pace.take(now + Duration::from_millis(100)));
    }
}
