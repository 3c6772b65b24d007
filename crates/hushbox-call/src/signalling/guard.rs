//! Wrong digests: after ten a minute from an address its wrong ones wait. A right digest, a certificate and a trunk never do.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::Instant;

use hushbox_sip::{Challenge, RequestId, Session};

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

/// What is counted and what waits.
#[derive(Debug, Default)]
pub(super) struct Guard {
    counts: BTreeMap<IpAddr, Count>,
    waiting: VecDeque<(Instant, IpAddr, Challenged, Vec<Challenge>)>,
}

impl Guard {
    /// Counts a wrong digest.
    pub(super) fn wrong(&mut self, now: Instant, ip: IpAddr) -> Answer {
        if !self.counts.contains_key(&ip) {
            self.make_room(now);
        }
        let count = self.counts.entry(ip).or_insert(Count { since: now, wrong: 0, waiting: 0 });
        if now.saturating_duration_since(count.since) >= WRONG_DIGEST_WINDOW {
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
        if let Some(count) = self.counts.get_mut(&ip) {
            count.waiting += 1;
        }
        self.waiting.push_back((now + WRONG_DIGEST_DELAY, ip, challenged, challenges));
    }

    /// The answers whose second is over.
    pub(super) fn due(&mut self, now: Instant) -> Vec<(Challenged, Vec<Challenge>)> {
        let mut due = Vec::new();
        while self.waiting.front().is_some_and(|(at, ..)| *at <= now) {
            if let Some((_, ip, challenged, challenges)) = self.waiting.pop_front() {
                self.answered(ip);
                due.push((challenged, challenges));
            }
        }
        due
    }

    /// A session that waits is over.
    pub(super) fn forget(&mut self, session: Session) {
        let gone = Challenged::Invite(session);
        let gone = self.waiting.iter().position(|(_, _, waiting, _)| *waiting == gone);
        if let Some((_, ip, ..)) = gone.and_then(|index| self.waiting.remove(index)) {
            self.answered(ip);
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.waiting.front().map(|(at, ..)| *at)
    }

    fn answered(&mut self, ip: IpAddr) {
        if let Some(count) = self.counts.get_mut(&ip) {
            count.waiting = count.waiting.saturating_sub(1);
        }
    }

    /// Keeps the table bounded: first what is over goes, then the oldest.
    fn make_room(&mut self, now: Instant) {
        if self.counts.len() < WRONG_DIGEST_ADDRESSES_MAX {
            return;
        }
        self.counts.retain(|_, count| {
            count.waiting > 0 || now.saturating_duration_since(count.since) < WRONG_DIGEST_WINDOW
        });
        if self.counts.len() >= WRONG_DIGEST_ADDRESSES_MAX
            && let Some(oldest) =
                self.counts.iter().min_by_key(|(_, count)| count.since).map(|(ip, _)| *ip)
        {
            self.counts.remove(&oldest);
        }
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
        assert_eq!(guard.wrong(now, ip), Answer::Later);
    }
}
