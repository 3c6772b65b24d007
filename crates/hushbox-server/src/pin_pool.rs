//! The threads that compare PINs. One comparison takes 19 MiB and tens of milliseconds, so there are few of them and
//! their queue is bounded; log-ins from bound devices go first.
//!
//! A full queue is said at once: the caller is asked to try again, and no failure is counted.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

use hushbox_policy::{Pepper, Pin, PinVerifier};

/// Threads that compare.
const THREADS: usize = 2;
/// Comparisons that may wait, of each kind: about two seconds' worth.
const QUEUE_MAX: usize = 32;

/// A PIN to compare, and what to do with the answer.
pub struct Comparison {
    /// What was entered.
    pub pin: Pin,
    /// What it must fit; a decoy for a number that nobody has, so that both take the same time.
    pub verifier: PinVerifier,
    /// Whether it comes from a device bound to the person.
    pub bound: bool,
    /// Takes the answer.
    pub done: Box<dyn FnOnce(bool) + Send>,
}

impl fmt::Debug for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Comparison").field("bound", &self.bound).finish_non_exhaustive()
    }
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

#[derive(Debug, Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    bound: VecDeque<Comparison>,
    others: VecDeque<Comparison>,
    ended: bool,
}

impl PinPool {
    /// Starts the threads.
    pub fn start(pepper: Pepper) -> std::io::Result<Self> {
        let queue = Arc::new(Queue::default());
        let pepper = Arc::new(pepper);
        let mut threads = Vec::new();
        for _ in 0..THREADS {
            let (queue, pepper) = (Arc::clone(&queue), Arc::clone(&pepper));
            let thread = std::thread::Builder::new().name("pin".to_owned());
            threads.push(thread.spawn(move || compare(&queue, &pepper))?);
        }
        Ok(Self { queue, threads })
    }

    /// Queues a comparison, or says that there are too many.
    pub fn submit(&self, comparison: Comparison) -> Result<(), Busy> {
        self.queue.push(comparison)?;
        self.queue.changed.notify_one();
        Ok(())
    }
}

impl Drop for PinPool {
    fn drop(&mut self) {
        self.queue.waiting.lock().unwrap_or_else(PoisonError::into_inner).ended = true;
        self.queue.changed.notify_all();
        for thread in self.threads.drain(..) {
            // A thread that panicked has said so already.
            let _panicked = thread.join();
        }
    }
}

impl Queue {
    fn push(&self, comparison: Comparison) -> Result<(), Busy> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let queue = if comparison.bound { &mut waiting.bound } else { &mut waiting.others };
        if queue.len() >= QUEUE_MAX {
            return Err(Busy);
        }
        queue.push_back(comparison);
        Ok(())
    }

    fn next(&self) -> Option<Comparison> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if waiting.ended {
                return None;
            }
            if let Some(comparison) =
                waiting.bound.pop_front().or_else(|| waiting.others.pop_front())
            {
                return Some(comparison);
            }
            waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

fn compare(queue: &Queue, pepper: &Pepper) {
    while let Some(comparison) = queue.next() {
        let right = comparison.verifier.verify(&comparison.pin, pepper);
        (comparison.done)(right);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn comparison(bound: bool) -> Comparison {
        let pin = Pin::new("12345678").expect("digits");
        Comparison { pin, verifier: PinVerifier::decoy([0; 16]), bound, done: Box::new(|_| ()) }
    }

    #[test]
    fn bound_devices_go_first_and_a_full_queue_of_strangers_does_not_stop_them() {
        let queue = Queue::default();
        for _ in 0..QUEUE_MAX {
            queue.push(comparison(false)).expect("room");
        }
        assert_eq!(queue.push(comparison(false)).expect_err("full"), Busy);
        queue.push(comparison(true)).expect("room for a bound device");
        assert!(queue.next().expect("one").bound);
        assert!(!queue.next().expect("another").bound);
    }

    #[test]
    fn a_right_pin_is_right_and_a_wrong_one_is_not() {
        let pepper = || Pepper::new([7; 32]);
        let verifier =
            PinVerifier::make(&Pin::new("12345678").expect("digits"), &pepper(), [1; 16]);
        let pool = PinPool::start(pepper()).expect("threads");
        let (answers, heard) = std::sync::mpsc::channel();
        for digits in ["12345678", "12345679"] {
            let answers = answers.clone();
            let done = move |right| answers.send((digits, right)).expect("heard");
            let pin = Pin::new(digits).expect("digits");
            pool.submit(Comparison {
                pin,
                verifier: verifier.clone(),
                bound: true,
                done: Box::new(done),
            })
            .expect("room");
        }
        let mut answers = [heard.recv().expect("one"), heard.recv().expect("two")];
        answers.sort();
        assert_eq!(answers, [("12345678", true), ("12345679", false)]);
    }
}
