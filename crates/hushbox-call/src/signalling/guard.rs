//! Wrong digests: after ten a minute from an address its wrong ones wait. A right digest, a certificate and a trunk never do.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Instant;

use hushbox_sip::rate::Source;
use hushbox_sip::{Challenge, RequestId, Session};

use super::Asked;
use crate::limits::{
    WRONG_DIGEST_ADDRESSES_MAX, WRONG_DIGEST_DELAY, WRONG_DIGEST_WINDOW, WRONG_DIGESTS_AT_ONCE,
    WRONG_DIGESTS_WAITING_MAX,
};

/// What is challenged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Challenged {
    /// The INVITE that began a session.
    Invite(Session),
    /// A request inside a dialog, from elsewhere.
    Elsewhere(RequestId),
    /// A SUBSCRIBE.
    Subscribe(RequestId),
}

impl Challenged {
    pub(super) fn asked(self) -> Asked {
        match self {
            Challenged::Invite(_) => Asked::Call,
            Challenged::Elsewhere(_) => Asked::InCall,
            Challenged::Subscribe(_) => Asked::Subscription,
        }
    }
}

/// When a wrong digest is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Now.
    AtOnce,
    /// In a second.
    Later,
    /// Never: too many wait already.
    Drop,
}

#[derive(Clone, Copy, Debug)]
struct Count {
    since: Instant,
    wrong: u32,
    waiting: usize,
}

/// When it is its turn: after those that have waited as long.
type Turn = (Instant, u64);

#[derive(Debug)]
struct Held {
    source: Source,
    challenged: Challenged,
    challenges: Vec<Challenge>,
}

/// What is counted and what waits.
#[derive(Debug, Default)]
pub(super) struct Guard {
    counts: BTreeMap<Source, Count>,
    /// Those of whom nothing waits, the oldest first: who goes when another comes.
    idle: BTreeSet<(Instant, Source)>,
    /// What waits, in the order of its answers.
    waiting: BTreeMap<Turn, Held>,
    turns: BTreeMap<Session, Turn>,
    next: u64,
}

impl Guard {
    /// Counts a wrong digest.
    pub(super) fn wrong(&mut self, now: Instant, ip: IpAddr) -> Answer {
        let source = Source::from(ip);
        if !self.counts.contains_key(&source) {
            if !self.make_room() {
                return Answer::Drop;
            }
            self.idle.insert((now, source));
        }
        let count = self.counts.entry(source).or_insert(Count { since: now, wrong: 0, waiting: 0 });
        if now.saturating_duration_since(count.since) >= WRONG_DIGEST_WINDOW {
            if self.idle.remove(&(count.since, source)) {
                self.idle.insert((now, source));
            }
            count.since = now;
            count.wrong = 0;
        }
        count.wrong = count.wrong.saturating_add(1);
        if count.wrong <= WRONG_DIGESTS_AT_ONCE {
            Answer::AtOnce
        } else if count.waiting < WRONG_DIGESTS_WAITING_MAX {
            Answer::Later
        } else {
            Answer::Drop
        }
    }

    /// Keeps an answer for a second.
    pub(super) fn hold(
        &mut self,
        now: Instant,
        ip: IpAddr,
        challenged: Challenged,
        challenges: Vec<Challenge>,
    ) {
        let source = Source::from(ip);
        if let Some(count) = self.counts.get_mut(&source) {
            count.waiting += 1;
            self.idle.remove(&(count.since, source));
        }
        let turn = (now + WRONG_DIGEST_DELAY, self.next);
        self.next += 1;
        if let Challenged::Invite(session) = challenged {
            self.turns.insert(session, turn);
        }
        self.waiting.insert(turn, Held { source, challenged, challenges });
    }

    /// The answers whose second is over.
    pub(super) fn due(&mut self, now: Instant) -> Vec<(Challenged, Vec<Challenge>)> {
        let mut due = Vec::new();
        while let Some(first) = self.waiting.first_entry()
            && first.key().0 <= now
        {
            let Held { source, challenged, challenges } = first.remove();
            if let Challenged::Invite(session) = challenged {
                self.turns.remove(&session);
            }
            self.answered(source);
            due.push((challenged, challenges));
        }
        due
    }

    /// A session that waits is over.
    pub(super) fn forget(&mut self, session: Session) {
        let turn = self.turns.remove(&session);
        if let Some(held) = turn.and_then(|turn| self.waiting.remove(&turn)) {
            self.answered(held.source);
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.waiting.first_key_value().map(|((at, _), _)| *at)
    }

    fn answered(&mut self, source: Source) {
        if let Some(count) = self.counts.get_mut(&source) {
            count.waiting = count.waiting.saturating_sub(1);
            if count.waiting == 0 {
                self.idle.insert((count.since, source));
            }
        }
    }

    /// Keeps the table bounded: the oldest goes of whom nothing waits. `false` if there is none, for a second at most.
    fn make_room(&mut self) -> bool {
        if self.counts.len() < WRONG_DIGEST_ADDRESSES_MAX {
            return true;
        }
        let oldest = self.idle.pop_first();
        oldest.is_some_and(|(_, source)| self.counts.remove(&source).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_eleventh_wrong_digest_in_a_minute_waits_a_second_and_the_next_minute_begins_anew() {
        #[expect(clippy::disallowed_methods, reason = "any origin will do in a test")]
        let now = Instant::now();
        let ip = IpAddr::from([192, 0, 2, 1]);
        let mut guard = Guard::default();
        for _ in 0..10 {
            assert_eq!(guard.wrong(now, ip), Answer::AtOnce);
        }
        assert_eq!(guard.wrong(now, ip), Answer::Later);
        guard.hold(now, ip, Challenged::Invite(Session(1)), Vec::new());
        assert_eq!(guard.deadline(), Some(now + Duration::from_secs(1)));
        assert!(guard.due(now).is_empty());
        assert_eq!(guard.due(now + Duration::from_secs(1)).len(), 1);
        assert_eq!(guard.wrong(now, IpAddr::from([192, 0, 2, 2])), Answer::AtOnce);
        assert_eq!(guard.wrong(now + Duration::from_secs(60), ip), Answer::AtOnce);
    }

    #[test]
    fn at_most_a_hundred_wait() {
        #[expect(clippy::disallowed_methods, reason = "any origin will do in a test")]
        let now = Instant::now();
        let ip = IpAddr::from([192, 0, 2, 1]);
        let mut guard = Guard::default();
        let mut waiting = 0;
        for n in 0..200 {
            match guard.wrong(now, ip) {
                Answer::Later => {
                    guard.hold(now, ip, Challenged::Invite(Session(n)), Vec::new());
                    waiting += 1;
                }
                Answer::AtOnce => assert!(n < 10),
                Answer::Drop => assert_eq!(waiting, 100),
            }
        }
        assert_eq!(waiting, 100);
        guard.forget(Session(20));
        guard.forget(Session(20));
        assert_eq!(guard.wrong(now, ip), Answer::Later);
        let left: Vec<_> = (10..110).filter(|n| *n != 20).map(Session).collect();
        let due = guard.due(now + WRONG_DIGEST_DELAY);
        let due: Vec<_> = due.into_iter().map(|(challenged, _)| challenged).collect();
        assert_eq!(due, left.into_iter().map(Challenged::Invite).collect::<Vec<_>>(), "in order");
        assert!(guard.turns.is_empty() && guard.waiting.is_empty());
    }

    #[test]
    fn the_addresses_of_one_ipv6_subscriber_are_counted_together() {
        #[expect(clippy::disallowed_methods, reason = "any origin will do in a test")]
        let now = Instant::now();
        let address = |subnet, host| IpAddr::from([0x2001, 0xdb8, 0, subnet, 0, 0, 0, host]);
        let mut guard = Guard::default();
        for host in 0..10 {
            assert_eq!(guard.wrong(now, address(1, host)), Answer::AtOnce);
        }
        assert_eq!(guard.wrong(now, address(1, 10)), Answer::Later);
        assert_eq!(guard.wrong(now, address(2, 1)), Answer::AtOnce, "another subscriber");
    }

    #[test]
    fn a_flood_of_addresses_neither_grows_the_table_nor_lets_one_that_waits_begin_anew() {
        #[expect(clippy::disallowed_methods, reason = "any origin will do in a test")]
        let now = Instant::now();
        let waits = IpAddr::from([192, 0, 2, 1]);
        let mut guard = Guard::default();
        for _ in 0..10 {
            assert_eq!(guard.wrong(now, waits), Answer::AtOnce);
        }
        assert_eq!(guard.wrong(now, waits), Answer::Later);
        guard.hold(now, waits, Challenged::Invite(Session(1)), Vec::new());
        for n in 0..2 * WRONG_DIGEST_ADDRESSES_MAX {
            let [.., high, low] = n.to_be_bytes();
            let at = now + Duration::from_micros(1 + n as u64);
            assert_eq!(guard.wrong(at, IpAddr::from([10, 0, high, low])), Answer::AtOnce);
            assert!(guard.counts.len() <= WRONG_DIGEST_ADDRESSES_MAX);
            assert_eq!(guard.idle.len() + 1, guard.counts.len(), "all but the one that waits");
        }
        assert_eq!(guard.wrong(now + Duration::from_millis(500), waits), Answer::Later);
        assert_eq!(guard.due(now + Duration::from_secs(1)).len(), 1);
        assert_eq!(guard.idle.len(), guard.counts.len(), "now it may go, too");
    }
}
