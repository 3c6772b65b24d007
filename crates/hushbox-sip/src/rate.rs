//! How often something may happen, for each of many keys, in a table of a bounded size.
//!
//! The rule is that of a leaky bucket as ITU-T I.371 writes it down: a key has one moment, up to which what it has
//! asked for is used up. So a key that has been quiet for long enough is the same as one never heard of, and a full
//! table gives up the key whose moment comes first: the one that loses least. Whoever wants to be forgotten must
//! bring in as many other keys, each of which has been let through more often.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// So many at once, and on the average so many in a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    step: Duration,
    period: Duration,
}

impl Allowance {
    /// `count` in each `period`. None at all is one all the same: the first is always let through.
    pub fn new(count: u32, period: Duration) -> Self {
        Self { step: period / count.max(1), period }
    }
}

/// What each key has used up.
#[derive(Debug)]
pub struct Rates<K> {
    allowance: Allowance,
    keys_max: usize,
    used_until: BTreeMap<K, Instant>,
    by_time: BTreeSet<(Instant, K)>,
}

impl<K: Ord + Copy> Rates<K> {
    /// Nobody has used anything yet.
    pub fn new(allowance: Allowance, keys_max: usize) -> Self {
        Self { allowance, keys_max, used_until: BTreeMap::new(), by_time: BTreeSet::new() }
    }

    /// Lets one more through, or not. What is not let through uses up nothing.
    pub fn take(&mut self, now: Instant, key: K) -> bool {
        let before = self.used_until.get(&key).copied();
        let Some(until) = self.after(now, before) else { return false };
        match before {
            Some(before) => drop(self.by_time.remove(&(before, key))),
            None => self.make_room(now),
        }
        self.used_until.insert(key, until);
        self.by_time.insert((until, key));
        true
    }

    /// Whether one more would be let through.
    pub fn allows(&self, now: Instant, key: K) -> bool {
        self.after(now, self.used_until.get(&key).copied()).is_some()
    }

    /// Keys that are remembered.
    pub fn len(&self) -> usize {
        self.used_until.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.used_until.is_empty()
    }

    fn after(&self, now: Instant, before: Option<Instant>) -> Option<Instant> {
        let until = before.map_or(now, |before| before.max(now)) + self.allowance.step;
        (until <= now + self.allowance.period).then_some(until)
    }

    /// Drops who has nothing used up any more, and where that is not enough who has used up least.
    fn make_room(&mut self, now: Instant) {
        while let Some((until, key)) = self.by_time.first().copied()
            && (until <= now || self.used_until.len() >= self.keys_max)
        {
            self.by_time.remove(&(until, key));
            self.used_until.remove(&key);
        }
    }
}

/// Who sends, as far as an address tells: an IPv4 address, or the 64 bits of an IPv6 address that one subscriber has
/// to itself (RFC 6177 §2).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Source(IpAddr);

impl From<IpAddr> for Source {
    fn from(ip: IpAddr) -> Self {
        Source(match ip.to_canonical() {
            IpAddr::V4(v4) => v4.into(),
            IpAddr::V6(v6) => {
                let [a, b, c, d, ..] = v6.segments();
                IpAddr::from([a, b, c, d, 0, 0, 0, 0])
            }
        })
    }
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Source(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn t0() -> Instant {
        #[expect(clippy::disallowed_methods, reason = "any origin will do in a test")]
        Instant::now()
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn so_many_at_once_then_one_a_step_and_after_the_period_all_again() {
        let mut rates = Rates::new(Allowance::new(10, 60 * SECOND), 8);
        let now = t0();
        assert!((0..10).all(|_| rates.take(now, 1)));
        assert!(!rates.take(now, 1) && !rates.allows(now, 1));
        assert!(rates.take(now, 2), "another key has its own");
        assert!(!rates.take(now + 5 * SECOND, 1));
        assert!(rates.take(now + 6 * SECOND, 1), "a step later there is one more");
        assert!(!rates.take(now + 6 * SECOND, 1));
        let later = now + 66 * SECOND;
        assert!((0..10).all(|_| rates.take(later, 1)) && !rates.take(later, 1));
    }

    #[test]
    fn the_first_is_let_through_whatever_the_allowance_and_however_full_the_table() {
        let mut rates = Rates::new(Allowance::new(0, SECOND), 4);
        let now = t0();
        assert!((0..100).all(|key| rates.take(now, key)));
        assert_eq!(rates.len(), 4);
    }

    #[test]
    fn who_is_over_the_allowance_is_not_forgotten_for_a_crowd_of_others() {
        let mut rates = Rates::new(Allowance::new(10, 60 * SECOND), 16);
        let now = t0();
        while rates.take(now, 0) {}
        for key in 1..10_000 {
            assert!(rates.take(now, key));
            assert!(!rates.allows(now, 0), "forgotten after {key} others");
        }
    }

    #[test]
    fn quiet_keys_are_dropped_as_others_come() {
        let mut rates = Rates::new(Allowance::new(10, 60 * SECOND), 1000);
        let now = t0();
        for key in 0..100 {
            rates.take(now, key);
        }
        rates.take(now + 6 * SECOND, 1000);
        assert_eq!(rates.len(), 1);
    }

    #[test]
    fn one_subscriber_is_one_source() {
        let source = |text: &str| Source::from(text.parse::<IpAddr>().expect("an address"));
        assert_eq!(source("192.0.2.1"), source("::ffff:192.0.2.1"));
        assert_ne!(source("192.0.2.1"), source("192.0.2.2"));
        assert_eq!(source("2001:db8:1:2::1"), source("2001:db8:1:2:ffff::9"));
        assert_ne!(source("2001:db8:1:2::1"), source("2001:db8:1:3::1"));
        assert_eq!(format!("{:?}", source("192.0.2.1")), "Source(…)");
    }

    proptest! {
        /// Beside a list of everything that was let through: never more than the burst and the average together, and
        /// the table never above its bound.
        #[test]
        fn no_key_gets_more_than_its_burst_and_average(
            steps in proptest::collection::vec((0u64..4_000, 0u8..6), 1..400),
            burst in 1u32..8,
        ) {
            let period = Duration::from_secs(10);
            let mut rates = Rates::new(Allowance::new(burst, period), 6);
            let mut through: Vec<(Instant, u8)> = Vec::new();
            let mut now = t0();
            for (millis, key) in steps {
                now += Duration::from_millis(millis);
                let first = !through.iter().any(|(_, other)| *other == key);
                let taken = rates.take(now, key);
                prop_assert!(taken || !first);
                if taken {
                    through.push((now, key));
                }
                prop_assert!(rates.len() <= 6 && rates.len() == rates.by_time.len());
                let recent = through
                    .iter()
                    .filter(|(at, other)| *other == key && *at + period > now)
                    .count();
                prop_assert!(recent <= 2 * burst as usize);
            }
        }

        #[test]
        fn the_table_never_grows_beyond_its_bound(
            steps in proptest::collection::vec((0u64..1_000, any::<u32>()), 1..400),
            keys_max in 1usize..20,
        ) {
            let mut rates = Rates::new(Allowance::new(3, Duration::from_secs(10)), keys_max);
            let mut now = t0();
            for (millis, key) in steps {
                now += Duration::from_millis(millis);
                rates.take(now, key);
                prop_assert!(rates.len() <= keys_max && rates.len() == rates.by_time.len());
            }
        }
    }
}
