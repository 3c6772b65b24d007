//! The lock-out counters: one thread that counts a try, makes the count durable, and only then lets it be compared.

use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use hushbox_backend::lockout_file::{LoadedCounters, LockoutFile};
use hushbox_policy::Now;
use hushbox_policy::lockout::{Locked, Lockout, Try};

use crate::clock::Clock;
use crate::fatal::Fatal;

/// Tries that may wait for the disk.
const QUEUE_MAX: usize = 256;
/// How often the remaining time of locks is written anew.
const REWRITTEN: Duration = Duration::from_secs(60);

/// What became of a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tried {
    /// It may be made; nothing was counted.
    Free,
    /// It is counted, durably: compare.
    Counted {
        /// Whether a lock begins with it, unless it is right.
        locks: bool,
    },
    /// A lock stands in its way: nothing is compared.
    Locked(Locked),
    /// It could not be counted, so nothing may be compared.
    Unavailable,
}

/// Takes the answer.
pub type Answer<T> = Box<dyn FnOnce(T) + Send>;

enum Request {
    Check(Try, Answer<Tried>),
    Try(Try, Answer<Tried>),
    Success(Try, Answer<()>),
}

/// The way to the counters. The thread ends with the last of these.
#[derive(Clone)]
pub struct Locks(SyncSender<Request>);

impl fmt::Debug for Locks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Locks")
    }
}

impl Locks {
    /// Starts the thread on an opened file.
    pub fn start(
        file: LockoutFile,
        loaded: LoadedCounters,
        clock: Arc<Clock>,
        fatal: &Fatal,
    ) -> std::io::Result<Self> {
        if loaded.damaged > 0 {
            tracing::warn!(slots = loaded.damaged, "lock-out counters were damaged and are lost");
        }
        let (sender, requests) = sync_channel(QUEUE_MAX);
        let counters = Counters::new(file, loaded, clock);
        fatal.thread("locks", "the lock-out counters", move || counters.run(&requests))?;
        Ok(Self(sender))
    }

    /// Looks whether a try may be made at all. `answer` is called from the counters' thread, here and below.
    pub fn check(&self, attempt: Try, answer: Answer<Tried>) {
        self.send(Request::Check(attempt, answer));
    }

    /// Checks and counts a try.
    pub fn count(&self, attempt: Try, answer: Answer<Tried>) {
        self.send(Request::Try(attempt, answer));
    }

    /// Takes back what a try that was right had counted. A crash before this is durable leaves it counted.
    pub fn success(&self, attempt: Try, answer: Answer<()>) {
        // Waits for a place: a right log-in that stays counted would work toward a lock. It comes from a thread that
        // compares PINs, so what waits is bounded.
        if let Err(refused) = self.0.send(Request::Success(attempt, answer)) {
            tracing::warn!("a right try stays counted until the next one: the counters have ended");
            refuse(refused.0);
        }
    }

    fn send(&self, request: Request) {
        match self.0.try_send(request) {
            Ok(()) => {}
            Err(TrySendError::Full(request) | TrySendError::Disconnected(request)) => {
                refuse(request);
            }
        }
    }
}

fn refuse(request: Request) {
    match request {
        Request::Check(_, answer) | Request::Try(_, answer) => answer(Tried::Unavailable),
        Request::Success(_, answer) => answer(()),
    }
}

struct Counters {
    lockout: Lockout,
    file: LockoutFile,
    clock: Arc<Clock>,
    /// When the remaining time of locks was last written.
    rewritten: Instant,
}

impl Counters {
    fn new(file: LockoutFile, loaded: LoadedCounters, clock: Arc<Clock>) -> Self {
        let now = clock.now();
        let lockout = Lockout::restore(loaded.rows, now);
        Self { lockout, file, clock, rewritten: now.monotonic }
    }

    fn run(mut self, requests: &Receiver<Request>) {
        loop {
            let due =
                (self.rewritten + REWRITTEN).saturating_duration_since(self.clock.now().monotonic);
            match requests.recv_timeout(due) {
                Ok(Request::Check(attempt, answer)) => answer(self.check(&attempt)),
                Ok(Request::Try(attempt, answer)) => answer(self.count(&attempt)),
                Ok(Request::Success(attempt, answer)) => {
                    self.success(&attempt);
                    answer(());
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            // After every request, not only when none came: somebody always asks.
            self.rewrite_if_due(self.clock.now());
        }
    }

    fn rewrite_if_due(&mut self, now: Now) {
        if now.monotonic.saturating_duration_since(self.rewritten) < REWRITTEN {
            return;
        }
        self.rewritten = now.monotonic;
        let rows = self.lockout.tick(now);
        if let Err(error) = self.file.write(&rows) {
            tracing::warn!(%error, "the remaining time of locks could not be written");
        }
    }

    fn check(&self, attempt: &Try) -> Tried {
        match self.lockout.check(self.clock.now(), attempt) {
            Ok(()) => Tried::Free,
            Err(locked) => Tried::Locked(locked),
        }
    }

    fn count(&mut self, attempt: &Try) -> Tried {
        let now = self.clock.now();
        if let Err(locked) = self.lockout.check(now, attempt) {
            return Tried::Locked(locked);
        }
        let rows = self.lockout.count(now, attempt);
        match self.file.write(&rows) {
            Ok(()) => Tried::Counted { locks: self.lockout.check(now, attempt).is_err() },
            Err(error) => {
                tracing::warn!(%error, "a try could not be counted, so it was not compared");
                self.withdraw(now, attempt);
                Tried::Unavailable
            }
        }
    }

    /// Takes a try back that is not compared: an owner who tries again while the disk fails works toward no lock.
    fn withdraw(&mut self, now: Now, attempt: &Try) {
        let rows = self.lockout.withdraw(now, attempt);
        if let Err(error) = self.file.write(&rows) {
            tracing::debug!(%error, "a try that was taken back may be counted after a restart");
        }
    }

    fn success(&mut self, attempt: &Try) {
        let rows = self.lockout.success(self.clock.now(), attempt);
        if let Err(error) = self.file.write(&rows) {
            tracing::warn!(%error, "a right try stays counted until the next one");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use hushbox_backend::volume::sim::SimVolume;
    use hushbox_policy::{DeviceId, PersonId};

    use super::*;

    fn start(volume: &SimVolume) -> Locks {
        start_with(volume, &Fatal::unheard())
    }

    fn start_with(volume: &SimVolume, fatal: &Fatal) -> Locks {
        let (file, loaded) = LockoutFile::open(volume).expect("opened");
        Locks::start(file, loaded, Arc::new(Clock::start(None)), fatal).expect("started")
    }

    fn count(locks: &Locks, attempt: Try) -> Tried {
        let (answers, heard) = mpsc::channel();
        locks.count(attempt, Box::new(move |tried| answers.send(tried).expect("heard")));
        heard.recv().expect("an answer")
    }

    #[test]
    fn ten_tries_lock_the_pair_also_after_a_crash_and_a_start() {
        let volume = SimVolume::new(1 << 24);
        let attempt = Try::bound(PersonId::from_bytes([1; 16]), DeviceId::from_bytes([2; 16]));
        let locks = start(&volume);
        for i in 1..=10 {
            assert_eq!(count(&locks, attempt), Tried::Counted { locks: i == 10 });
        }
        assert!(matches!(count(&locks, attempt), Tried::Locked(_)));
        drop(locks);
        assert!(matches!(count(&start(&volume), attempt), Tried::Locked(_)));
    }

    #[test]
    fn tries_while_the_disk_fails_work_toward_no_lock() {
        let volume = SimVolume::new(1 << 24);
        let attempt = Try::bound(PersonId::from_bytes([1; 16]), DeviceId::from_bytes([2; 16]));
        let locks = start(&volume);
        for _ in 1..=9 {
            assert_eq!(count(&locks, attempt), Tried::Counted { locks: false });
        }
        volume.set_syncs_fail(true);
        for _ in 1..=20 {
            assert_eq!(count(&locks, attempt), Tried::Unavailable);
        }
        volume.set_syncs_fail(false);
        assert_eq!(count(&locks, attempt), Tried::Counted { locks: true }, "the tenth, no other");
    }

    #[test]
    fn counters_that_fail_end_the_server() {
        let (fatal, mut failed) = Fatal::new();
        let locks = start_with(&SimVolume::new(1 << 24), &fatal);
        let attempt = Try::bound(PersonId::from_bytes([1; 16]), DeviceId::from_bytes([2; 16]));
        locks.check(attempt, Box::new(|_| panic!("on purpose")));
        assert_eq!(failed.blocking_recv(), Some("the lock-out counters"));
    }

    #[test]
    fn a_right_try_waits_for_a_place_in_a_full_queue() {
        let attempt = Try::bound(PersonId::from_bytes([1; 16]), DeviceId::from_bytes([2; 16]));
        let (sender, requests) = sync_channel(1);
        let locks = Locks(sender);
        locks.check(attempt, Box::new(|_| {}));
        let (answers, heard) = mpsc::channel();
        locks.check(attempt, Box::new(move |tried| answers.send(tried).expect("heard")));
        assert_eq!(heard.recv(), Ok(Tried::Unavailable), "the queue is full");
        let success = std::thread::spawn(move || locks.success(attempt, Box::new(|()| {})));
        assert!(matches!(requests.recv(), Ok(Request::Check(..))));
        assert!(matches!(requests.recv(), Ok(Request::Success(..))));
        success.join().expect("no panic");
    }

    #[test]
    fn the_remaining_time_is_written_each_minute_also_while_requests_keep_coming() {
        let volume = SimVolume::new(1 << 24);
        let (file, loaded) = LockoutFile::open(&volume).expect("opened");
        let mut counters = Counters::new(file, loaded, Arc::new(Clock::start(None)));
        let attempt = Try::bound(PersonId::from_bytes([1; 16]), DeviceId::from_bytes([2; 16]));
        for n in 1..=10 {
            assert_eq!(counters.count(&attempt), Tried::Counted { locks: n == 10 });
        }
        let longest = || {
            let (_, loaded) = LockoutFile::open(&volume).expect("opened");
            loaded.rows.iter().filter_map(hushbox_policy::lockout::CounterRow::remaining).max()
        };
        let before = longest().expect("locked");
        let now = counters.clock.now();
        counters.rewrite_if_due(Now { monotonic: now.monotonic + REWRITTEN * 2, ..now });
        assert!(longest().expect("locked") + REWRITTEN < before);
    }
}
