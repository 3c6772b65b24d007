//! The ways to PBXs that are told unasked. What one mailbox's NOTIFY finds out about a PBX holds for all of its
//! mailboxes: while it cannot be reached one NOTIFY at a time asks whether it is there again, and the others wait.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use hushbox_policy::TrunkId;

use super::{Watcher, back_off};
use crate::limits;

/// The way to one PBX.
#[derive(Debug)]
struct Line {
    lamps: BTreeSet<Watcher>,
    /// Those that are being told, and those whose turn it is.
    busy: BTreeSet<Watcher>,
    /// Those that wait for a place among them.
    parked: BTreeSet<Watcher>,
    /// Until when it is known where the PBX is.
    located_until: Option<Instant>,
    /// Whether that is being found out.
    looking: bool,
    failures: u32,
    not_before: Instant,
}

impl Line {
    fn new(now: Instant) -> Self {
        Line {
            lamps: BTreeSet::new(),
            busy: BTreeSet::new(),
            parked: BTreeSet::new(),
            located_until: None,
            looking: false,
            failures: 0,
            not_before: now,
        }
    }

    fn places(&self) -> usize {
        let places = if self.failures > 0 { 1 } else { limits::UNASKED_AT_ONCE };
        places.saturating_sub(self.busy.len())
    }

    fn is_located(&self, now: Instant) -> bool {
        self.located_until.is_some_and(|until| now < until)
    }

    /// How many more may be told now.
    fn room(&self, now: Instant) -> usize {
        if now < self.not_before || !self.is_located(now) { 0 } else { self.places() }
    }

    /// Whether anybody waits only for the time to come.
    fn deadline(&self) -> Option<Instant> {
        let waits = !self.parked.is_empty() && !self.looking && self.places() > 0;
        waits.then_some(self.not_before)
    }

    /// The PBX could not be reached. Those that were on their way fail together: that is one failure.
    fn fail(&mut self, now: Instant, after: Option<Duration>) {
        if now < self.not_before {
            return;
        }
        let wait = after.unwrap_or_else(|| back_off(limits::NOTIFY_WAIT_FIRST, self.failures));
        self.failures = self.failures.saturating_add(1);
        self.not_before = now + wait.clamp(limits::NOTIFY_INTERVAL, limits::NOTIFY_WAIT_MAX);
        // It may be somewhere else by then.
        self.located_until = None;
    }
}

/// The ways to every PBX that is told unasked.
#[derive(Debug, Default)]
pub(super) struct Lines(BTreeMap<TrunkId, Line>);

impl Lines {
    fn of(&mut self, watcher: Watcher) -> Option<&mut Line> {
        self.0.get_mut(&watcher.unasked()?)
    }

    pub(super) fn add(&mut self, now: Instant, watcher: Watcher) {
        if let Some(trunk) = watcher.unasked() {
            self.0.entry(trunk).or_insert_with(|| Line::new(now)).lamps.insert(watcher);
        }
    }

    pub(super) fn remove(&mut self, watcher: Watcher) {
        let Some(trunk) = watcher.unasked() else { return };
        let Some(line) = self.0.get_mut(&trunk) else { return };
        line.lamps.remove(&watcher);
        line.busy.remove(&watcher);
        line.parked.remove(&watcher);
        if line.lamps.is_empty() {
            self.0.remove(&trunk);
        }
    }

    /// Whether it is its turn; if not it is parked.
    pub(super) fn admit(&mut self, now: Instant, watcher: Watcher) -> bool {
        let Some(line) = self.of(watcher) else { return true };
        if line.busy.contains(&watcher) || line.room(now) > 0 {
            line.busy.insert(watcher);
            return true;
        }
        line.parked.insert(watcher);
        false
    }

    /// It has been told, or is not told now: its place is another's.
    pub(super) fn leave(&mut self, watcher: Watcher) {
        if let Some(line) = self.of(watcher) {
            line.busy.remove(&watcher);
        }
    }

    /// Those whose turn has come.
    pub(super) fn turns(&mut self, now: Instant) -> Vec<Watcher> {
        let mut turns = Vec::new();
        for line in self.0.values_mut() {
            for _ in 0..line.room(now) {
                let Some(watcher) = line.parked.pop_first() else { break };
                line.busy.insert(watcher);
                turns.push(watcher);
            }
        }
        turns
    }

    /// The PBXs that have to be found before anybody can be told.
    pub(super) fn seek(&mut self, now: Instant) -> Vec<TrunkId> {
        let due = |line: &Line| line.deadline().is_some_and(|at| at <= now);
        let wanted = self.0.iter_mut().filter(|(_, line)| due(line) && !line.is_located(now));
        wanted
            .map(|(trunk, line)| {
                line.looking = true;
                *trunk
            })
            .collect()
    }

    pub(super) fn located(&mut self, now: Instant, trunk: TrunkId, found: bool) {
        let Some(line) = self.0.get_mut(&trunk) else { return };
        line.looking = false;
        if found {
            line.located_until = Some(now + limits::LOCATED_FOR);
        } else {
            line.fail(now, None);
        }
    }

    pub(super) fn answers(&mut self, watcher: Watcher) {
        if let Some(line) = self.of(watcher) {
            line.failures = 0;
        }
    }

    pub(super) fn fail(&mut self, now: Instant, watcher: Watcher, after: Option<Duration>) {
        if let Some(line) = self.of(watcher) {
            line.fail(now, after);
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.0.values().filter_map(Line::deadline).min()
    }
}
