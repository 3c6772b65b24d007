//! Lock-out of log-ins: counters that are made durable before anything is compared.
//!
//! A try goes: [`check`](Lockout::check), [`count`](Lockout::count), make the rows durable, compare, and if it was
//! right [`success`](Lockout::success). A crash between leaves the try counted. Locks are kept as remaining time
//! ([`tick`](Lockout::tick) rewrites it each minute) and count in monotonic time, so neither a restart nor a clock
//! step ends one.
//!
//! What is locked (design.md "Who may call", hipaa-controls 5.3): a pair of person and bound device, and a pair of
//! person and uid, after ten in a row; for log-ins from unbound sources also the person, the source and everybody.
//! So a stranger's wrong PINs never reach the pair of the owner and their telephone.

mod counter;
mod key;
mod row;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::ids::{DeviceId, PersonId};
use crate::{Now, Number};
use counter::Counter;
pub use key::{LockKey, SourceId, Tag};
pub use row::{CounterRow, Hold, ROW_LENGTH};

/// Failures in a row that lock a pair.
pub const PAIR_FAILURES: u32 = 10;
/// The first lock of a pair or person.
pub const LOCK_FIRST: Duration = Duration::from_secs(15 * 60);
/// The longest that doubling comes to.
pub const LOCK_LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
/// Failures in a row, from unbound sources, from which on a person is blocked for such sources.
pub const PERSON_FAILURES: u32 = 5;
/// Failures in a row, from unbound sources, that block a person for such sources until somebody lifts it.
pub const PERSON_FAILURES_HARD: u32 = 10;
/// Failures within [`WINDOW`] that block a source.
pub const SOURCE_FAILURES: u32 = 10;
/// Different numbers tried within [`WINDOW`] that block a source.
pub const SOURCE_NUMBERS: u32 = 5;
/// Different numbers tried within [`WINDOW`], from all unbound sources together, that block them all.
pub const GLOBAL_NUMBERS: u32 = 30;
/// The window of sources and of all together, from its first failure on.
pub const WINDOW: Duration = Duration::from_secs(10 * 60);
/// How long a source, or all together, are blocked.
pub const SOURCE_LOCK: Duration = Duration::from_secs(60 * 60);
/// Sources that are told apart. Devices and trunks are few; this bounds addresses.
pub const SOURCES_MAX: usize = 4096;

/// A try to log in, as far as locks care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Try(Kind);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Bound { person: PersonId, device: DeviceId },
    Operator { person: PersonId, uid: u32 },
    Unbound { person: Option<PersonId>, number: Tag, source: SourceId },
}

impl Try {
    /// From a device that is bound to this person, or to a mailbox that the person has a grant on.
    #[must_use]
    pub const fn bound(person: PersonId, device: DeviceId) -> Self {
        Self(Kind::Bound { person, device })
    }

    /// By `--as`, from a user of the machine. A number that nobody has counts as one person.
    #[must_use]
    pub fn operator(person: Option<PersonId>, uid: u32) -> Self {
        let person = person.unwrap_or(PersonId::from_bytes([0; 16]));
        Self(Kind::Operator { person, uid })
    }

    /// From anywhere else, also from a device that is not bound to this person, and for a number that nobody has.
    #[must_use]
    pub fn unbound(person: Option<PersonId>, number: &Number, source: SourceId) -> Self {
        Self(Kind::Unbound { person, number: Tag::of(number), source })
    }

    /// Every counter that this try counts in.
    fn keys(&self) -> impl Iterator<Item = LockKey> + use<> {
        let keys = match self.0 {
            Kind::Bound { person, device } => [Some(LockKey::Pair(person, device)), None, None],
            Kind::Operator { person, uid } => [Some(LockKey::Operator(person, uid)), None, None],
            Kind::Unbound { person, source, .. } => {
                [Some(LockKey::Source(source)), Some(LockKey::Global), person.map(LockKey::Person)]
            }
        };
        keys.into_iter().flatten()
    }

    const fn tag(&self) -> Option<Tag> {
        match self.0 {
            Kind::Unbound { number, .. } => Some(number),
            Kind::Bound { .. } | Kind::Operator { .. } => None,
        }
    }
}

/// A try is refused without a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("locked after too many wrong tries")]
pub struct Locked {
    /// What is locked.
    pub by: LockKey,
    /// For how long still; `None` until somebody lifts it.
    pub remaining: Option<Duration>,
}

impl Locked {
    /// Whether a caller is told. A person's block is not said: it would tell a stranger that the number exists, so
    /// such a try fails like a wrong PIN.
    #[must_use]
    pub const fn is_spoken(&self) -> bool {
        !matches!(self.by, LockKey::Person(_))
    }
}

/// All counters of a server.
#[derive(Debug, Default)]
pub struct Lockout {
    counters: BTreeMap<LockKey, Counter>,
}

impl Lockout {
    /// No failure yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The counters that were kept. Of two rows for one key the stricter counts.
    #[must_use]
    pub fn restore(rows: impl IntoIterator<Item = CounterRow>, now: Now) -> Self {
        let mut lockout = Self::new();
        for row in rows {
            let counter = Counter::restore(&row, now.monotonic);
            let kept = lockout.counters.entry(row.key).or_insert_with(|| counter.clone());
            kept.keep_stricter(counter, now.monotonic);
        }
        lockout
    }

    /// Whether this try may be compared at all.
    ///
    /// # Errors
    ///
    /// The lock that stands in its way; of several the one that is spoken of first.
    pub fn check(&self, now: Now, attempt: &Try) -> Result<(), Locked> {
        for by in attempt.keys() {
            let counter = self.counters.get(&by);
            if let Some(remaining) = counter.and_then(|counter| counter.locked(now.monotonic)) {
                return Err(Locked { by, remaining: remaining.finite() });
            }
        }
        Ok(())
    }

    /// Counts a try as failed. Its rows must be durable before the comparison.
    pub fn count(&mut self, now: Now, attempt: &Try) -> Vec<CounterRow> {
        let mut rows: Vec<_> = self.make_room(now.monotonic, attempt).into_iter().collect();
        let tag = attempt.tag();
        let sources = self.sources().count();
        for key in attempt.keys() {
            let new_source = matches!(key, LockKey::Source(_)) && !self.counters.contains_key(&key);
            if new_source && sources >= SOURCES_MAX {
                continue;
            }
            let counter = self.counters.entry(key).or_default();
            counter.count(&key, tag, now.monotonic);
            rows.push(counter.row(key, now.monotonic));
        }
        rows
    }

    /// Takes a try back because it was right. A pair and a person begin anew; a source and everybody are only given
    /// this one try back, so that one good log-in does not cover for a hundred bad ones.
    pub fn success(&mut self, now: Now, attempt: &Try) -> Vec<CounterRow> {
        self.take_back(now, attempt, Counter::take_back)
    }

    /// Takes back a try that was counted and then never compared, because there was no room to. Unlike a success it
    /// proves nothing: it takes back this one try and no other, or whoever keeps the machine busy could guess for ever.
    pub fn withdraw(&mut self, now: Now, attempt: &Try) -> Vec<CounterRow> {
        self.take_back(now, attempt, Counter::withdraw)
    }

    /// Lifts a lock by hand.
    pub fn unlock(&mut self, key: LockKey) -> Option<CounterRow> {
        self.counters.remove(&key).map(|_| CounterRow::clear(key))
    }

    /// Failures in a row of the counter that is this try's own, to be told after a success.
    #[must_use]
    pub fn failures(&self, attempt: &Try) -> u32 {
        let own = attempt.keys().find(|key| !matches!(key, LockKey::Source(_) | LockKey::Global));
        own.and_then(|key| self.counters.get(&key)).map_or(0, Counter::failures)
    }

    /// To be called each minute: the rows whose remaining time has changed, and those that have ended.
    pub fn tick(&mut self, now: Now) -> Vec<CounterRow> {
        let mut rows = Vec::new();
        for (key, counter) in &mut self.counters {
            if counter.tick(key, now.monotonic) {
                rows.push(counter.row(*key, now.monotonic));
            }
        }
        self.forget_empty();
        rows
    }

    /// How many counters stand.
    #[must_use]
    pub fn len(&self) -> usize {
        self.counters.len()
    }

    /// Whether nothing is counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.counters.is_empty()
    }

    fn take_back(
        &mut self,
        now: Now,
        attempt: &Try,
        how: fn(&mut Counter, &LockKey, Option<Tag>, Instant),
    ) -> Vec<CounterRow> {
        let mut rows = Vec::new();
        for key in attempt.keys() {
            if let Some(counter) = self.counters.get_mut(&key) {
                how(counter, &key, attempt.tag(), now.monotonic);
                rows.push(counter.row(key, now.monotonic));
            }
        }
        self.forget_empty();
        rows
    }

    fn forget_empty(&mut self) {
        self.counters.retain(|_, counter| !counter.is_empty());
    }

    fn sources(&self) -> impl Iterator<Item = (&LockKey, &Counter)> {
        self.counters.iter().filter(|(key, _)| matches!(key, LockKey::Source(_)))
    }

    /// Keeps the number of sources bounded: the one whose window ends first goes, and its row with it. What is locked
    /// stays; when all are, a new one is counted in the other counters only.
    fn make_room(&mut self, now: Instant, attempt: &Try) -> Option<CounterRow> {
        let Kind::Unbound { source, .. } = attempt.0 else { return None };
        let known = self.counters.contains_key(&LockKey::Source(source));
        if known || self.sources().count() < SOURCES_MAX {
            return None;
        }
        let open = self.sources().filter(|(_, counter)| counter.locked(now).is_none());
        let oldest = open.min_by_key(|(_, counter)| counter.window_ends()).map(|(key, _)| *key);
        oldest.and_then(|key| self.unlock(key))
    }
}
