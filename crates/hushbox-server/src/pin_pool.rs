//! The threads that compare PINs. One comparison takes 19 MiB and tens of milliseconds, so there are few of them and
//! their queue is bounded; log-ins from bound devices go first.
//!
//! A full queue is said at once: the caller is asked to try again, and no failure is counted.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use hushbox_policy::{Pepper, Pin, PinVerifier, Workspace};

use crate::fatal::Fatal;

/// Threads that compare.
const THREADS: usize = 2;
/// Places in the queue, for each kind of log-in: about two seconds' worth.
const QUEUE_MAX: usize = 32;

/// A PIN to compare, and what to do with the answer.
struct Comparison {
    pin: Pin,
    /// What it must fit; a decoy for a number that nobody has, so that both take the same time.
    verifier: PinVerifier,
    done: Box<dyn FnOnce(bool) + Send>,
}

/// The queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many log-ins at once")]
pub struct Busy;

/// The pool. Dropping it ends the threads once they are done with what they compare.
#[derive(Debug)]
pub struct PinPool {
    queue: Arc<Queue>,
    threads: Vec<JoinHandle<()>>,
}

/// A place in the queue, held before a try is counted so that a counted try is always compared.
#[derive(Debug)]
pub struct Place {
    queue: Arc<Queue>,
    bound: bool,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    bound: Lane,
    others: Lane,
    ended: bool,
}

#[derive(Default)]
struct Lane {
    /// Places that are held, with those whose comparison waits already.
    held: usize,
    comparisons: VecDeque<Comparison>,
}

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting")
            .field("bound", &self.bound.held)
            .field("others", &self.others.held)
            .finish()
    }
}

impl Waiting {
    fn lane(&mut self, bound: bool) -> &mut Lane {
        if bound { &mut self.bound } else { &mut self.others }
    }
}

impl PinPool {
    /// Starts the threads.
    pub fn start(pepper: Pepper, fatal: &Fatal) -> std::io::Result<Self> {
        let queue = Arc::new(Queue::default());
        let pepper = Arc::new(pepper);
        let mut threads = Vec::new();
        for _ in 0..THREADS {
            let (queue, pepper) = (Arc::clone(&queue), Arc::clone(&pepper));
            let part = "the comparison of PINs";
            threads.push(fatal.thread("pin", part, move || compare(&queue, &pepper))?);
        }
        Ok(Self { queue, threads })
    }

    /// Takes a place, or says that there is none. `bound` is for log-ins from a device bound to the person.
    pub fn place(&self, bound: bool) -> Result<Place, Busy> {
        Queue::place(&self.queue, bound)
    }

    /// Places that are taken: by log-ins from bound devices, and by others.
    pub fn held(&self) -> (usize, usize) {
        let waiting = self.queue.lock();
        (waiting.bound.held, waiting.others.held)
    }
}

impl Place {
    /// Compares in this place; `done` takes the answer, on one of the pool's threads.
    pub fn compare(self, pin: Pin, verifier: PinVerifier, done: Box<dyn FnOnce(bool) + Send>) {
        let mut waiting = self.queue.lock();
        let lane = waiting.lane(self.bound);
        // This place stays held until the comparison is taken out; dropping `self` would give it back too early.
        lane.held += 1;
        lane.comparisons.push_back(Comparison { pin, verifier, done });
        drop(waiting);
        self.queue.changed.notify_one();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.queue.lock().lane(self.bound).held -= 1;
    }
}

impl Drop for PinPool {
    fn drop(&mut self) {
        self.queue.lock().ended = true;
        self.queue.changed.notify_all();
        for thread in self.threads.drain(..) {
            // A thread that panicked has said so already.
            let _panicked = thread.join();
        }
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn place(queue: &Arc<Self>, bound: bool) -> Result<Place, Busy> {
        let mut waiting = queue.lock();
        let lane = waiting.lane(bound);
        if lane.held >= QUEUE_MAX {
            return Err(Busy);
        }
        lane.held += 1;
        drop(waiting);
        Ok(Place { queue: Arc::clone(queue), bound })
    }

    /// The next comparison, from bound devices first.
    fn next(&self) -> Option<Comparison> {
        let mut waiting = self.lock();
        loop {
            if waiting.ended {
                return None;
            }
            for bound in [true, false] {
                let lane = waiting.lane(bound);
                if let Some(comparison) = lane.comparisons.pop_front() {
                    lane.held -= 1;
                    return Some(comparison);
                }
            }
            waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

fn compare(queue: &Queue, pepper: &Pepper) {
    let mut workspace = Workspace::default();
    while let Some(comparison) = queue.next() {
        let Comparison { verifier, pin, .. } = &comparison;
        let right = verifier.verify_in(&mut workspace, pin, pepper);
        (comparison.done)(right);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pin(digits: &str) -> Pin {
        Pin::new(digits).expect("digits")
    }

    #[test]
    fn bound_devices_go_first_and_a_full_queue_of_strangers_does_not_stop_them() {
        let queue = Arc::new(Queue::default());
        let (answers, heard) = std::sync::mpsc::channel();
        let mut held = Vec::new();
        for _ in 0..QUEUE_MAX {
            held.push(Queue::place(&queue, false).expect("room"));
        }
        assert_eq!(Queue::place(&queue, false).expect_err("full"), Busy);
        let bound = Queue::place(&queue, true).expect("room for a bound device");
        let stranger = held.pop().expect("one");
        for (place, name) in [(stranger, "stranger"), (bound, "bound")] {
            let answers = answers.clone();
            let done = Box::new(move |_| answers.send(name).expect("heard"));
            place.compare(pin("1"), PinVerifier::decoy([0; 16]), done);
        }
        assert_eq!(Queue::place(&queue, false).expect_err("still full: it waits"), Busy);
        for name in ["bound", "stranger"] {
            (queue.next().expect("one").done)(false);
            assert_eq!(heard.recv().expect("an answer"), name);
        }
        assert!(Queue::place(&queue, false).is_ok(), "its place is free again");
    }

    #[test]
    fn a_right_pin_is_right_and_a_wrong_one_is_not() {
        let pepper = || Pepper::new([7; 32]);
        let verifier = PinVerifier::make(&pin("12345678"), &pepper(), [1; 16]);
        let pool = PinPool::start(pepper(), &Fatal::unheard()).expect("threads");
        let (answers, heard) = std::sync::mpsc::channel();
        for digits in ["12345678", "12345679"] {
            let answers = answers.clone();
            let done = Box::new(move |right| answers.send((digits, right)).expect("heard"));
            pool.place(true).expect("room").compare(pin(digits), verifier.clone(), done);
        }
        let mut answers = [heard.recv().expect("one"), heard.recv().expect("two")];
        answers.sort();
        assert_eq!(answers, [("12345678", true), ("12345679", false)]);
    }

    #[test]
    fn a_thread_that_fails_ends_the_server() {
        let (fatal, mut failed) = Fatal::new();
        let pool = PinPool::start(Pepper::new([7; 32]), &fatal).expect("threads");
        let place = pool.place(true).expect("room");
        place.compare(pin("1"), PinVerifier::decoy([0; 16]), Box::new(|_| panic!("on purpose")));
        assert_eq!(failed.blocking_recv(), Some("the comparison of PINs"));
    }
}
