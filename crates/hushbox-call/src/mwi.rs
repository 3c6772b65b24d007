//! Who is told how many messages wait, and when: lamps, their versions, their pace, and how they heal.
//!
//! A lamp is one subscription. Nothing here knows SIP: a lamp that is to be told something asks first what the store counts at that moment, so that a NOTIFY never carries what was
//! true earlier. Changes of a second become one NOTIFY; all lamps together get so many a second; what a lamp has
//! acknowledged is compared with the store now and then, and what differs is told again.

mod pace;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use hushbox_policy::{MailboxId, Now};
use hushbox_sip::Subscription;
use hushbox_sip::mwi::VoiceMessages;
use jiff::Timestamp;

use crate::limits;
use pace::Pace;

/// How a NOTIFY was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// With a success.
    Taken,
    /// With this status, and it is sent again later.
    Later(u16),
    /// It was not sent: there is no way there now.
    NoWay,
}

/// What a lamp was told last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// What the NOTIFY said.
    pub counts: VoiceMessages,
    /// The mailbox's version that it counted.
    pub version: u64,
    /// When it was sent.
    pub at: Timestamp,
    /// How it was answered; none while that is awaited.
    pub answer: Option<Answer>,
}

/// What is known of a lamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LampReport {
    /// Whose it is.
    pub subscription: Subscription,
    /// What it was told last.
    pub told: Option<Told>,
    /// What it has acknowledged.
    pub taken: Option<VoiceMessages>,
    /// Whether something waits to be told.
    pub pending: bool,
}

/// Where a lamp is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// It knows what it should, as far as is known here.
    Idle,
    /// It will be told something, from then on.
    Queued(Instant),
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
    /// Something changed while it was being told.
    again: bool,
    not_before: Instant,
    failures: u32,
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
    lamps: BTreeSet<Subscription>,
    /// Those that wait for the answer.
    counting: BTreeSet<Subscription>,
}

/// All lamps.
#[derive(Debug)]
pub struct Lamps {
    lamps: BTreeMap<Subscription, Lamp>,
    mailboxes: BTreeMap<MailboxId, Mailbox>,
    queue: BTreeSet<(Instant, Subscription)>,
    pace: Pace,
    compare_every: Duration,
    compare_at: Option<Instant>,
    /// Lamps to which there was no way.
    unreachable: usize,
}

impl Lamps {
    /// No lamps yet; all together get so many NOTIFYs a second, and are compared with the store so often.
    pub fn new(per_second: u32, compare_every: Duration) -> Self {
        Lamps {
            lamps: BTreeMap::new(),
            mailboxes: BTreeMap::new(),
            queue: BTreeSet::new(),
            pace: Pace::new(per_second),
            compare_every,
            compare_at: None,
            unreachable: 0,
        }
    }

    /// A lamp that is to be told the state.
    pub fn add(&mut self, now: Instant, subscription: Subscription, mailbox: MailboxId) {
        self.remove(subscription);
        let lamp = Lamp {
            mailbox,
            phase: Phase::Idle,
            must: true,
            again: false,
            not_before: now,
            failures: 0,
            version: 0,
            told: None,
            taken: None,
            unreachable: false,
        };
        self.lamps.insert(subscription, lamp);
        self.mailboxes.entry(mailbox).or_default().lamps.insert(subscription);
        self.compare_at.get_or_insert(now + self.compare_every);
        self.want(now, subscription);
    }

    /// A lamp that is no more.
    pub fn remove(&mut self, subscription: Subscription) {
        let Some(lamp) = self.lamps.remove(&subscription) else { return };
        self.unreachable -= usize::from(lamp.unreachable);
        if let Phase::Queued(at) = lamp.phase {
            self.queue.remove(&(at, subscription));
        }
        if let Some(mailbox) = self.mailboxes.get_mut(&lamp.mailbox) {
            mailbox.lamps.remove(&subscription);
            mailbox.counting.remove(&subscription);
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
    pub fn refresh(&mut self, now: Instant, subscription: Subscription) {
        if let Some(lamp) = self.lamps.get_mut(&subscription) {
            lamp.must = true;
            lamp.failures = 0;
        }
        self.want(now, subscription);
    }

    /// The messages of a mailbox have changed.
    pub fn changed(&mut self, now: Instant, mailbox: MailboxId) {
        let Some(known) = self.mailboxes.get_mut(&mailbox) else { return };
        known.version += 1;
        for subscription in known.lamps.clone() {
            self.want(now, subscription);
        }
    }

    /// Whether some could not be told, because there was no way to them.
    pub fn waits_for_ways(&self) -> bool {
        self.unreachable > 0
    }

    /// There is a way to somebody again.
    pub fn reachable(&mut self, now: Instant, subscription: Subscription) {
        if self.lamps.get(&subscription).is_some_and(|lamp| lamp.unreachable) {
            self.want(now, subscription);
        }
    }

    /// The lamps there are.
    pub fn watchers(&self) -> impl Iterator<Item = (Subscription, MailboxId)> + '_ {
        self.lamps.iter().map(|(subscription, lamp)| (*subscription, lamp.mailbox))
    }

    /// Whose lamp it is, by mailbox.
    pub fn mailbox_of(&self, subscription: Subscription) -> Option<MailboxId> {
        self.lamps.get(&subscription).map(|lamp| lamp.mailbox)
    }

    /// A mailbox's version; it counts the changes since the start of the server.
    pub fn version(&self, mailbox: MailboxId) -> u64 {
        self.mailboxes.get(&mailbox).map_or(0, |mailbox| mailbox.version)
    }

    /// What is known of a mailbox's lamps.
    pub fn report(&self, mailbox: MailboxId) -> Vec<LampReport> {
        let watchers = self.mailboxes.get(&mailbox).map(|m| &m.lamps).into_iter().flatten();
        let report = |subscription: &Subscription| {
            let lamp = self.lamps.get(subscription)?;
            Some(LampReport {
                subscription: *subscription,
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
        first.into_iter().chain(self.compare_at).min()
    }

    /// The next mailbox whose messages must be counted; [`Lamps::counted`] follows.
    pub fn poll(&mut self, now: Instant) -> Option<MailboxId> {
        if self.compare_at.is_some_and(|at| now >= at) {
            self.compare_at = Some(now + self.compare_every);
            for subscription in self.lamps.keys().copied().collect::<Vec<_>>() {
                self.want(now, subscription);
            }
        }
        while let Some((at, subscription)) = self.queue.first().copied()
            && at <= now
            && self.pace.take(now)
        {
            self.queue.remove(&(at, subscription));
            let Some(lamp) = self.lamps.get_mut(&subscription) else { continue };
            lamp.phase = Phase::Counting;
            let Some(mailbox) = self.mailboxes.get_mut(&lamp.mailbox) else { continue };
            mailbox.counting.insert(subscription);
            if mailbox.asked.is_none() {
                mailbox.asked = Some(mailbox.version);
                return Some(lamp.mailbox);
            }
        }
        None
    }

    /// The store has counted; `None` where it could not. Who is to be told what: [`Lamps::sent`] follows for each.
    pub fn counted(
        &mut self,
        now: Instant,
        mailbox: MailboxId,
        counts: Option<VoiceMessages>,
    ) -> Vec<Subscription> {
        let Some(known) = self.mailboxes.get_mut(&mailbox) else { return Vec::new() };
        let version = known.asked.take().unwrap_or(known.version);
        let waiting = std::mem::take(&mut known.counting);
        // What has changed since it was asked may be in the counts or not: it is told once more.
        let is_old = version != known.version;
        if known.lamps.is_empty() {
            self.mailboxes.remove(&mailbox);
        }
        let mut tell = Vec::new();
        for subscription in waiting {
            let Some(lamp) = self.lamps.get_mut(&subscription) else { continue };
            lamp.phase = Phase::Idle;
            lamp.version = version;
            match counts {
                None => {
                    lamp.not_before = now + limits::COUNT_AGAIN;
                    self.want(now, subscription);
                }
                Some(counts) if lamp.must || lamp.taken != Some(counts) => {
                    lamp.again |= is_old;
                    tell.push(subscription);
                }
                Some(_) if is_old || lamp.again => {
                    lamp.again = false;
                    self.want(now, subscription);
                }
                Some(_) => {}
            }
        }
        tell
    }

    /// A NOTIFY with these counts went out, or could not.
    pub fn sent(
        &mut self,
        now: Now,
        subscription: Subscription,
        counts: VoiceMessages,
        went_out: bool,
    ) {
        let Some(lamp) = self.lamps.get_mut(&subscription) else { return };
        let version = lamp.version;
        let answer = (!went_out).then_some(Answer::NoWay);
        lamp.told = Some(Told { counts, version, at: now.utc, answer });
        self.unreachable -= usize::from(lamp.unreachable);
        lamp.unreachable = !went_out;
        self.unreachable += usize::from(lamp.unreachable);
        if went_out {
            lamp.phase = Phase::Sent;
            lamp.must = false;
            lamp.not_before = now.monotonic + limits::NOTIFY_INTERVAL;
        } else {
            lamp.phase = Phase::Idle;
        }
    }

    /// A NOTIFY was answered. `after` is how long to wait, where the answer says so.
    pub fn answered(
        &mut self,
        now: Instant,
        subscription: Subscription,
        answer: Answer,
        after: Option<Duration>,
    ) {
        let Some(lamp) = self.lamps.get_mut(&subscription) else { return };
        if let Some(told) = &mut lamp.told {
            told.answer = Some(answer);
        }
        if lamp.phase == Phase::Sent {
            lamp.phase = Phase::Idle;
        }
        match answer {
            Answer::Taken => {
                lamp.taken = lamp.told.map(|told| told.counts);
                lamp.failures = 0;
                if std::mem::take(&mut lamp.again) {
                    self.want(now, subscription);
                }
            }
            Answer::Later(_) | Answer::NoWay => {
                let wait = after.unwrap_or_else(|| back_off(lamp.failures));
                lamp.failures = lamp.failures.saturating_add(1);
                lamp.not_before =
                    now + wait.clamp(limits::NOTIFY_INTERVAL, limits::NOTIFY_WAIT_MAX);
                lamp.must = true;
                lamp.again = false;
                self.want(now, subscription);
            }
        }
    }

    /// A lamp is to be told something, as soon as it may.
    fn want(&mut self, now: Instant, subscription: Subscription) {
        let Some(lamp) = self.lamps.get_mut(&subscription) else { return };
        match lamp.phase {
            Phase::Idle => {
                let at = now.max(lamp.not_before);
                lamp.phase = Phase::Queued(at);
                self.queue.insert((at, subscription));
            }
            Phase::Queued(_) => {}
            Phase::Counting | Phase::Sent => lamp.again = true,
        }
    }
}

/// The first wait is doubled with every failure.
fn back_off(failures: u32) -> Duration {
    limits::NOTIFY_WAIT_FIRST.saturating_mul(1 << failures.min(10))
}
