//! One counter.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::key::{LockKey, Tag};
use super::row::{CounterRow, Hold};
use super::{
    GLOBAL_NUMBERS, LOCK_FIRST, LOCK_LONGEST, PAIR_FAILURES, PERSON_FAILURES, PERSON_FAILURES_HARD,
    SOURCE_FAILURES, SOURCE_LOCK, SOURCE_NUMBERS, WINDOW,
};

#[derive(Clone, Debug, Default)]
pub(super) struct Counter {
    /// In a row, or within the window.
    failures: u32,
    /// How often it has locked since the last success.
    locks: u32,
    /// Different numbers tried within the window that are no longer known by their tags, after a restart.
    numbers_before: u32,
    numbers: BTreeSet<Tag>,
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Free,
    Window(Instant),
    Locked(Instant),
    Hard,
}

/// How long a lock still lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Remaining {
    For(Duration),
    Ever,
}

impl Remaining {
    pub(super) const fn finite(self) -> Option<Duration> {
        match self {
            Self::For(duration) => Some(duration),
            Self::Ever => None,
        }
    }
}

impl Counter {
    pub(super) fn locked(&self, now: Instant) -> Option<Remaining> {
        match self.state {
            State::Locked(until) if now < until => Some(Remaining::For(until - now)),
            State::Hard => Some(Remaining::Ever),
            State::Locked(_) | State::Free | State::Window(_) => None,
        }
    }

    pub(super) const fn failures(&self) -> u32 {
        self.failures
    }

    pub(super) const fn window_ends(&self) -> Option<Instant> {
        match self.state {
            State::Window(until) | State::Locked(until) => Some(until),
            State::Free | State::Hard => None,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.failures == 0 && self.locks == 0 && self.state == State::Free
    }

    pub(super) fn count(&mut self, key: &LockKey, tag: Option<Tag>, now: Instant) {
        self.tick(key, now);
        self.failures = self.failures.saturating_add(1);
        match key {
            LockKey::Pair(..) | LockKey::Operator(..) => self.count_pair(now),
            LockKey::Person(_) => self.count_person(now),
            LockKey::Source(_) | LockKey::Global => {
                if self.state == State::Free {
                    self.state = State::Window(now + WINDOW);
                }
                self.numbers.extend(tag);
                if self.is_full(key) {
                    self.lock(now + SOURCE_LOCK);
                }
            }
        }
    }

    /// Whether the failures of this window block a source, or all of them.
    fn is_full(&self, key: &LockKey) -> bool {
        match key {
            LockKey::Source(_) => {
                self.failures >= SOURCE_FAILURES || self.numbers() >= SOURCE_NUMBERS
            }
            LockKey::Global => self.numbers() >= GLOBAL_NUMBERS,
            LockKey::Pair(..) | LockKey::Person(_) | LockKey::Operator(..) => false,
        }
    }

    /// Ten in a row lock for 15 minutes; another ten for 30, and so on to a day.
    fn count_pair(&mut self, now: Instant) {
        if self.failures >= PAIR_FAILURES {
            let until = now + doubled(self.locks);
            self.locks = self.locks.saturating_add(1);
            self.failures = 0;
            self.lock(until);
        }
    }

    /// From the fifth in a row each one blocks, twice as long as the one before; the tenth until it is lifted.
    fn count_person(&mut self, now: Instant) {
        if self.failures >= PERSON_FAILURES_HARD {
            self.locks = self.locks.saturating_add(1);
            self.state = State::Hard;
        } else if self.failures >= PERSON_FAILURES {
            let until = now + doubled(self.failures - PERSON_FAILURES);
            self.locks = self.locks.saturating_add(1);
            self.lock(until);
        }
    }

    fn numbers(&self) -> u32 {
        let known = u32::try_from(self.numbers.len()).unwrap_or(u32::MAX);
        self.numbers_before.saturating_add(known)
    }

    /// A lock is never made shorter by another failure.
    fn lock(&mut self, until: Instant) {
        let longer = match self.state {
            State::Locked(before) => before.max(until),
            State::Free | State::Window(_) => until,
            State::Hard => return,
        };
        self.state = State::Locked(longer);
    }

    pub(super) fn take_back(&mut self, key: &LockKey, tag: Option<Tag>, now: Instant) {
        match key {
            LockKey::Pair(..) | LockKey::Operator(..) | LockKey::Person(_) => {
                *self = Self::default()
            }
            LockKey::Source(_) | LockKey::Global => {
                self.failures = self.failures.saturating_sub(1);
                if let Some(tag) = tag {
                    self.numbers.remove(&tag);
                }
                if self.failures == 0 {
                    *self = Self::default();
                } else if matches!(self.state, State::Locked(_)) && !self.is_full(key) {
                    // It was this very try that filled it. The window is no longer known: a whole one, then.
                    self.state = State::Window(now + WINDOW);
                }
            }
        }
    }

    /// Takes back one try, whatever it was to prove. If it was the one that locked, the lock goes with it.
    pub(super) fn withdraw(&mut self, key: &LockKey, tag: Option<Tag>, now: Instant) {
        match (key, self.state) {
            (LockKey::Source(_) | LockKey::Global, _) => self.take_back(key, tag, now),
            (LockKey::Pair(..) | LockKey::Operator(..), State::Locked(_)) => {
                self.failures = PAIR_FAILURES - 1;
                self.locks = self.locks.saturating_sub(1);
                self.state = State::Free;
            }
            (LockKey::Pair(..) | LockKey::Operator(..), _) => {
                self.failures = self.failures.saturating_sub(1);
            }
            (LockKey::Person(_), _) => {
                self.failures = self.failures.saturating_sub(1);
                self.locks = self.locks.saturating_sub(1);
                self.state = State::Free;
                if self.failures >= PERSON_FAILURES {
                    self.lock(now + doubled(self.failures - PERSON_FAILURES));
                }
            }
        }
    }

    /// Ends what has run out. Answers whether the row must be rewritten.
    ///
    /// A source and everybody begin anew. A pair keeps how often it was locked, and a person their failures: only a
    /// success ends a row of them.
    pub(super) fn tick(&mut self, key: &LockKey, now: Instant) -> bool {
        let (State::Window(until) | State::Locked(until)) = self.state else { return false };
        if until <= now {
            match key {
                LockKey::Source(_) | LockKey::Global => *self = Self::default(),
                LockKey::Pair(..) | LockKey::Operator(..) | LockKey::Person(_) => {
                    self.state = State::Free;
                }
            }
        }
        true
    }

    pub(super) fn row(&self, key: LockKey, now: Instant) -> CounterRow {
        let hold = match self.state {
            State::Free => Hold::Free,
            State::Window(until) => Hold::Window(until.saturating_duration_since(now)),
            State::Locked(until) => Hold::Locked(until.saturating_duration_since(now)),
            State::Hard => Hold::Hard,
        };
        CounterRow {
            key,
            failures: self.failures,
            locks: self.locks,
            numbers: self.numbers(),
            hold,
        }
    }

    pub(super) fn restore(row: &CounterRow, now: Instant) -> Self {
        // A row holds whole milliseconds up to what a lock can last: more is a damaged one, and cut.
        let state = match row.hold {
            Hold::Free => State::Free,
            Hold::Window(left) => State::Window(now + left.min(WINDOW)),
            Hold::Locked(left) => State::Locked(now + left.min(LOCK_LONGEST)),
            Hold::Hard => State::Hard,
        };
        Self {
            failures: row.failures,
            locks: row.locks,
            numbers_before: row.numbers,
            numbers: BTreeSet::new(),
            state,
        }
    }

    pub(super) fn keep_stricter(&mut self, other: Self, now: Instant) {
        let rank = |counter: &Self| (counter.locked(now), counter.locks, counter.failures);
        if rank(&other) > rank(self) {
            *self = other;
        }
    }
}

fn doubled(times: u32) -> Duration {
    LOCK_FIRST.saturating_mul(2_u32.saturating_pow(times)).min(LOCK_LONGEST)
}
