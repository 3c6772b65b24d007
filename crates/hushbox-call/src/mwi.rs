//! Who is told how many messages wait, and when: lamps, their versions, their pace, and how they heal.
//!
//! A lamp is one subscription, or one mailbox at a PBX that gets NOTIFYs unasked. Nothing here knows SIP: a lamp that
//! is to be told something asks first what the store counts at that moment, so that a NOTIFY never carries what was
//! true earlier. Changes of a second become one NOTIFY; all lamps together get so many a second; what a lamp has
//! acknowledged is compared with the store now and then, and what differs is told again.

mod lines;
mod pace;
mod report;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use hushbox_policy::{MailboxId, Now, TrunkId};
use hushbox_sip::Subscription;
use hushbox_sip::mwi::VoiceMessages;

use crate::limits;
use lines::Lines;
use pace::Pace;
pub use report::{Answer, LampReport, Told};

/// Who is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Watcher {
    /// A subscription.
    Subscription(Subscription),
    /// A PBX, about this mailbox, unasked.
    Unasked(TrunkId, MailboxId),
}

impl Watcher {
    /// The PBX that is told unasked.
    fn unasked(self) -> Option<TrunkId> {
        match self {
            Watcher::Subscription(_) => None,
            Watcher::Unasked(trunk, _) => Some(trunk),
        }
    }
}

/// Where a lamp is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// It knows what it should, as far as is known here.
    Idle,
    /// It will be told something, from then on.
    Queued(Instant),
    /// It will be told something when it is its turn with its PBX.
    Parked,
    /// What it will be told is being counted.
    Counting,
    /// A NOTIFY is on its way.
    Sent,
}

#[derive(Debug)]
struct Lamp {
    mailbox: MailboxId,
    phase: Phase,
    /// It is told even if it knows it already: it has just subscribed, or the NOTIFY before was lost.
    must: bool,
    /// It is told what is counted from now on, not what is being counted: its subscription is to be kept first.
    afresh: bool,
    /// Something changed while it was being told.
    again: bool,
    not_before: Instant,
    failures: u32,
    refusals: u32,
    /// The mailbox's version that was counted for it last.
    version: u64,
    told: Option<Told>,
    taken: Option<VoiceMessages>,
    /// There was no way to it.
    unreachable: bool,
}

#[derive(Debug, Default)]
struct Mailbox {
    /// Counts up with every change.
    version: u64,
    /// The version at which the store was asked, while it is asked.
    asked: Option<u64>,
    lamps: BTreeSet<Watcher>,
    /// Those that wait for the answer.
    counting: BTreeSet<Watcher>,
    /// Those that wait for the next one.
    next: BTreeSet<Watcher>,
}

/// All lamps.
#[derive(Debug)]
pub struct Lamps {
    lamps: BTreeMap<Watcher, Lamp>,
    mailboxes: BTreeMap<MailboxId, Mailbox>,
    queue: BTreeSet<(Instant, Watcher)>,
    pace: Pace,
    lines: Lines,
    compare_every: Duration,
    compare_at: Option<Instant>,
}

impl Lamps {
    /// No lamps yet; all together get so many NOTIFYs a second, and are compared with the store so often.
    pub fn new(per_second: u32, compare_every: Duration) -> Self {
        Lamps {
            lamps: BTreeMap::new(),
            mailboxes: BTreeMap::new(),
            queue: BTreeSet::new(),
            pace: Pace::new(per_second),
            lines: Lines::default(),
            compare_every,
            compare_at: None,
        }
    }

    /// A lamp that is to be told the state once the store has counted anew: what was asked of the task that counts
    /// before, such as to keep its subscription, is done by then.
    pub fn add_afresh(&mut self, now: Instant, watcher: Watcher, mailbox: MailboxId) {
        self.add(now, watcher, mailbox);
        if let Some(lamp) = self.lamps.get_mut(&watcher) {
            lamp.afresh = true;
        }
    }

    /// A lamp that is to be told the state.
    pub fn add(&mut self, now: Instant, watcher: Watcher, mailbox: MailboxId) {
        self.remove(watcher);
        let lamp = Lamp {
            mailbox,
            phase: Phase::Idle,
            must: true,
            afresh: false,
            again: false,
            not_before: now,
            failures: 0,
            refusals: 0,
            version: 0,
            told: None,
            taken: None,
            unreachable: false,
        };
        self.lamps.insert(watcher, lamp);
        self.lines.add(now, watcher);
        self.mailboxes.entry(mailbox).or_default().lamps.insert(watcher);
        self.compare_at.get_or_insert(now + self.compare_every);
        self.want(now, watcher);
    }

    /// A lamp that is no more.
    pub fn remove(&mut self, watcher: Watcher) {
        let Some(lamp) = self.lamps.remove(&watcher) else { return };
        self.lines.remove(watcher);
        if let Phase::Queued(at) = lamp.phase {
            self.queue.remove(&(at, watcher));
        }
        if let Some(mailbox) = self.mailboxes.get_mut(&lamp.mailbox) {
            mailbox.lamps.remove(&watcher);
            mailbox.counting.remove(&watcher);
            mailbox.next.remove(&watcher);
            // One that is being counted is kept until the answer has come.
            if mailbox.lamps.is_empty() && mailbox.asked.is_none() {
                self.mailboxes.remove(&lamp.mailbox);
            }
        }
        if self.lamps.is_empty() {
            self.compare_at = None;
        }
    }

    /// A lamp has asked for the state: it is told, whether it knows it or not.
    pub fn refresh(&mut self, now: Instant, watcher: Watcher) {
        if let Some(lamp) = self.lamps.get_mut(&watcher) {
            lamp.must = true;
            lamp.afresh = true;
            lamp.failures = 0;
        }
        self.want(now, watcher);
    }

    /// The messages of a mailbox have changed.
    pub fn changed(&mut self, now: Instant, mailbox: MailboxId) {
        let Some(known) = self.mailboxes.get_mut(&mailbox) else { return };
        known.version += 1;
        for watcher in known.lamps.clone() {
            self.want(now, watcher);
        }
    }

    /// There is a way to somebody again.
    pub fn reachable(&mut self, now: Instant, watcher: Watcher) {
        if let Some(lamp) = self.lamps.get_mut(&watcher).filter(|lamp| lamp.unreachable) {
            lamp.failures = 0;
            lamp.not_before = now;
            self.want(now, watcher);
        }
    }

    /// No way was to be had to one that could not be told: it is tried again.
    pub fn unreached(&mut self, now: Instant, watcher: Watcher, after: Option<Duration>) {
        if self.lamps.get(&watcher).is_some_and(|lamp| lamp.unreachable) {
            self.answered(now, watcher, Answer::NoWay, after);
        }
    }

    /// The lamps there are.
    pub fn watchers(&self) -> impl Iterator<Item = (Watcher, MailboxId)> + '_ {
        self.lamps.iter().map(|(watcher, lamp)| (*watcher, lamp.mailbox))
    }

    /// Whose lamp it is, by mailbox.
    pub fn mailbox_of(&self, watcher: Watcher) -> Option<MailboxId> {
        self.lamps.get(&watcher).map(|lamp| lamp.mailbox)
    }

    /// A mailbox's version; it counts the changes since the start of the server.
    pub fn version(&self, mailbox: MailboxId) -> u64 {
        self.mailboxes.get(&mailbox).map_or(0, |mailbox| mailbox.version)
    }

    /// What is known of a mailbox's lamps.
    pub fn report(&self, mailbox: MailboxId) -> Vec<LampReport> {
        let watchers = self.mailboxes.get(&mailbox).map(|m| &m.lamps).into_iter().flatten();
        let report = |watcher: &Watcher| {
            let lamp = self.lamps.get(watcher)?;
            Some(LampReport {
                watcher: *watcher,
                told: lamp.told,
                taken: lamp.taken,
                pending: lamp.phase != Phase::Idle || lamp.unreachable,
            })
        };
        watchers.filter_map(report).collect()
    }

    /// When [`Lamps::poll`] has something to do.
    pub fn deadline(&self) -> Option<Instant> {
        let first = self.queue.first().map(|(at, _)| self.pace.next(*at));
        first.into_iter().chain(self.lines.deadline()).chain(self.compare_at).min()
    }

    /// The next mailbox whose messages must be counted; [`Lamps::counted`] follows.
    pub fn poll(&mut self, now: Instant) -> Option<MailboxId> {
        if self.compare_at.is_some_and(|at| now >= at) {
            self.compare_at = Some(now + self.compare_every);
            self.compare(now);
        }
        for watcher in self.lines.turns(now) {
            self.enqueue(watcher, now);
        }
        while let Some((at, watcher)) = self.queue.first().copied()
            && at <= now
        {
            if !self.lines.admit(now, watcher) {
                self.queue.remove(&(at, watcher));
                if let Some(lamp) = self.lamps.get_mut(&watcher) {
                    lamp.phase = Phase::Parked;
                }
                continue;
            }
            if !self.pace.take(now) {
                break;
            }
            self.queue.remove(&(at, watcher));
            let Some(lamp) = self.lamps.get_mut(&watcher) else { continue };
            lamp.phase = Phase::Counting;
            let Some(mailbox) = self.mailboxes.get_mut(&lamp.mailbox) else { continue };
            if std::mem::take(&mut lamp.afresh) && mailbox.asked.is_some() {
                mailbox.next.insert(watcher);
                continue;
            }
            mailbox.counting.insert(watcher);
            if mailbox.asked.is_none() {
                mailbox.asked = Some(mailbox.version);
                return Some(lamp.mailbox);
            }
        }
        None
    }

    /// Everybody is looked at until the next comparison, evenly, so that no change waits behind that.
    fn compare(&mut self, now: Instant) {
        let idle = self.lamps.iter().filter(|(_, lamp)| lamp.phase == Phase::Idle);
        let idle: Vec<_> = idle.map(|(watcher, lamp)| (*watcher, lamp.not_before)).collect();
        let all = u32::try_from(idle.len()).unwrap_or(u32::MAX).max(1);
        for (number, (watcher, not_before)) in (0..).zip(idle) {
            let at = now + self.compare_every * number / all;
            self.enqueue(watcher, at.max(not_before));
        }
    }

    /// The store has counted; `None` where it could not. Who is to be told what: [`Lamps::sent`] follows for each.
    pub fn counted(
        &mut self,
        now: Instant,
        mailbox: MailboxId,
        counts: Option<VoiceMessages>,
    ) -> Vec<Watcher> {
        let Some(known) = self.mailboxes.get_mut(&mailbox) else { return Vec::new() };
        let version = known.asked.take().unwrap_or(known.version);
        let waiting = std::mem::take(&mut known.counting);
        let next = std::mem::take(&mut known.next);
        // What has changed since it was asked may be in the counts or not: it is told once more.
        let is_old = version != known.version;
        if known.lamps.is_empty() {
            self.mailboxes.remove(&mailbox);
        }
        for watcher in next {
            self.enqueue(watcher, now);
        }
        let mut tell = Vec::new();
        for watcher in waiting {
            let Some(lamp) = self.lamps.get_mut(&watcher) else { continue };
            lamp.phase = Phase::Idle;
            lamp.version = version;
            match counts {
                None => {
                    lamp.not_before = now + limits::COUNT_AGAIN;
                    self.lines.leave(watcher);
                    self.want(now, watcher);
                }
                Some(counts) if lamp.must || lamp.taken != Some(counts) => {
                    lamp.again |= is_old;
                    tell.push(watcher);
                }
                Some(_) if is_old || lamp.again => {
                    lamp.again = false;
                    self.pace.give_back();
                    self.lines.leave(watcher);
                    self.want(now, watcher);
                }
                Some(_) => {
                    self.pace.give_back();
                    self.lines.leave(watcher);
                }
            }
        }
        tell
    }

    /// A NOTIFY with these counts went out, or could not.
    pub fn sent(&mut self, now: Now, watcher: Watcher, counts: VoiceMessages, went_out: bool) {
        let Some(lamp) = self.lamps.get_mut(&watcher) else { return };
        let version = lamp.version;
        let answer = (!went_out).then_some(Answer::NoWay);
        lamp.told = Some(Told { counts, version, at: now.utc, answer });
        lamp.unreachable = !went_out;
        if went_out {
            lamp.phase = Phase::Sent;
            lamp.must = false;
            lamp.not_before = now.monotonic + limits::NOTIFY_INTERVAL;
        } else {
            lamp.phase = Phase::Idle;
            self.lines.leave(watcher);
        }
    }

    /// A NOTIFY was answered. `after` is how long to wait, where the answer says so.
    pub fn answered(
        &mut self,
        now: Instant,
        watcher: Watcher,
        answer: Answer,
        after: Option<Duration>,
    ) {
        let Some(lamp) = self.lamps.get_mut(&watcher) else { return };
        if let Some(told) = &mut lamp.told {
            told.answer = Some(answer);
        }
        if lamp.phase == Phase::Sent {
            lamp.phase = Phase::Idle;
        }
        self.lines.leave(watcher);
        let wait = match answer {
            Answer::Taken => {
                lamp.taken = lamp.told.map(|told| told.counts);
                (lamp.failures, lamp.refusals) = (0, 0);
                self.lines.answers(watcher);
                if std::mem::take(&mut lamp.again) {
                    self.want(now, watcher);
                }
                return;
            }
            Answer::Refused(_) => {
                self.lines.answers(watcher);
                let wait = back_off(limits::REFUSED_WAIT_FIRST, lamp.refusals);
                lamp.refusals = lamp.refusals.saturating_add(1);
                wait.min(limits::REFUSED_WAIT_MAX)
            }
            Answer::Later(_) | Answer::None | Answer::NoWay => {
                match answer {
                    Answer::Later(status) if status != 503 => self.lines.answers(watcher),
                    _ => self.lines.fail(now, watcher, after),
                }
                let wait =
                    after.unwrap_or_else(|| back_off(limits::NOTIFY_WAIT_FIRST, lamp.failures));
                lamp.failures = lamp.failures.saturating_add(1);
                wait.clamp(limits::NOTIFY_INTERVAL, limits::NOTIFY_WAIT_MAX)
            }
        };
        lamp.not_before = now + wait;
        lamp.must = true;
        lamp.again = false;
        self.want(now, watcher);
    }

    /// The PBXs that have to be found, so that somebody there can be told; [`Lamps::located`] follows for each.
    pub fn seek(&mut self, now: Instant) -> Vec<TrunkId> {
        self.lines.seek(now)
    }

    /// Whether a PBX was found.
    pub fn located(&mut self, now: Instant, trunk: TrunkId, found: bool) {
        self.lines.located(now, trunk, found);
    }

    /// A lamp is to be told something, as soon as it may.
    fn want(&mut self, now: Instant, watcher: Watcher) {
        let Some(lamp) = self.lamps.get_mut(&watcher) else { return };
        let at = now.max(lamp.not_before);
        match lamp.phase {
            Phase::Idle => self.enqueue(watcher, at),
            Phase::Queued(later) if later > at => {
                self.queue.remove(&(later, watcher));
                self.enqueue(watcher, at);
            }
            Phase::Queued(_) | Phase::Parked => {}
            Phase::Counting | Phase::Sent => lamp.again = true,
        }
    }

    fn enqueue(&mut self, watcher: Watcher, at: Instant) {
        if let Some(lamp) = self.lamps.get_mut(&watcher) {
            lamp.phase = Phase::Queued(at);
            self.queue.insert((at, watcher));
        }
    }
}

/// The first wait is doubled with every failure.
fn back_off(first: Duration, failures: u32) -> Duration {
    first.saturating_mul(1 << failures.min(10))
}
