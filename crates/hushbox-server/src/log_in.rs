//! Trying a PIN: a place to compare in, the count made durable, the comparison, and the count taken back if it was
//! right. In this order, for telephones and commands alike.
//!
//! A right PIN is taken back also where the log-in then fails for want of an audit record: what counts toward a lock is
//! wrong PINs, and an owner must not lock a telephone by trying again while the log can't be written.

use std::sync::Arc;

use hushbox_policy::{Pin, PinVerifier, Try};

use crate::locks::{Locks, Tried};
use crate::metrics;
use crate::pin_pool::PinPool;

/// What came of a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The PIN was right.
    Right,
    /// It was not.
    Wrong,
    /// It was not, and a lock begins.
    WrongAndLocked,
    /// A lock stands in the way: nothing was compared.
    Locked,
    /// Too many log-ins at once: nothing was counted.
    Busy,
    /// The count could not be made durable: nothing was compared.
    Unavailable,
}

/// Locks and the pool of comparisons.
#[derive(Clone, Debug)]
pub struct LogIns {
    locks: Locks,
    pins: Arc<PinPool>,
}

impl LogIns {
    /// Over these counters and this pool.
    pub fn new(locks: Locks, pins: PinPool) -> Self {
        Self { locks, pins: Arc::new(pins) }
    }

    /// Places taken before the comparison of PINs: by log-ins from bound devices, and by others.
    pub fn held(&self) -> (usize, usize) {
        self.pins.held()
    }

    /// Looks whether a try may be made at all.
    pub fn check(&self, attempt: Try, answer: Box<dyn FnOnce(Tried) + Send>) {
        self.locks.check(attempt, answer);
    }

    /// Tries a PIN. The verifier is a decoy for whoever cannot log in. `answer` comes from another thread.
    pub fn attempt(
        &self,
        attempt: Try,
        pin: Pin,
        verifier: PinVerifier,
        bound: bool,
        answer: Box<dyn FnOnce(Outcome) + Send>,
    ) {
        let answer: Box<dyn FnOnce(Outcome) + Send> = Box::new(move |outcome| {
            metrics::log_in(outcome);
            answer(outcome);
        });
        let Ok(place) = self.pins.place(bound) else {
            answer(Outcome::Busy);
            return;
        };
        let locks = self.locks.clone();
        let counted = move |tried| match tried {
            Tried::Counted { locks: now_locked } => {
                let compared = move |right| {
                    if right {
                        locks.success(attempt, Box::new(move |()| answer(Outcome::Right)));
                    } else if now_locked {
                        answer(Outcome::WrongAndLocked);
                    } else {
                        answer(Outcome::Wrong);
                    }
                };
                place.compare(pin, verifier, Box::new(compared));
            }
            Tried::Locked(_) => answer(Outcome::Locked),
            Tried::Free | Tried::Unavailable => answer(Outcome::Unavailable),
        };
        self.locks.count(attempt, Box::new(counted));
    }
}
