//! Digits as they are keyed, one entry at a time, and keys that wait for their turn.

use std::fmt;
use std::time::Instant;

use zeroize::Zeroizing;

use crate::limits::{INTER_DIGIT, TYPE_AHEAD_MAX};

/// An entry in the making: wiped when dropped, never printed.
#[derive(Clone)]
pub struct Digits {
    text: Zeroizing<String>,
    max: usize,
    last: Option<Instant>,
}

/// What a key did to an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keyed {
    /// It goes on.
    More,
    /// `#` ended it.
    Hash,
    /// It is as long as it may be.
    Full,
}

impl Digits {
    /// An empty entry of at most `max` digits. Its memory is taken at once, so that no copy of a PIN is left behind by
    /// growing.
    pub fn new(max: usize) -> Self {
        Self { text: Zeroizing::new(String::with_capacity(max)), max, last: None }
    }

    /// Takes a key. Keys that are neither digit, `*` nor `#` count as time only.
    pub fn push(&mut self, now: Instant, key: char) -> Keyed {
        if key == '#' {
            return Keyed::Hash;
        }
        self.last = Some(now);
        if (key.is_ascii_digit() || key == '*') && self.text.len() < self.max {
            self.text.push(key);
        }
        if self.text.len() >= self.max { Keyed::Full } else { Keyed::More }
    }

    /// Whether nothing was keyed.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// When the pause after the last digit ends the entry.
    pub fn deadline(&self) -> Option<Instant> {
        self.last.map(|last| last + INTER_DIGIT)
    }

    /// What was keyed.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for Digits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digits(…)")
    }
}

/// Keys that wait for their turn, oldest first: bounded, wiped, never printed, since a PIN may be among them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Keys(Zeroizing<Vec<char>>);

impl Keys {
    /// None. The memory for as many as may wait is taken with the first one, so that growing leaves no copies behind.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one; one too many is dropped.
    pub fn push(&mut self, key: char) {
        if self.0.capacity() == 0 {
            self.0.reserve_exact(TYPE_AHEAD_MAX);
        }
        if self.0.len() < TYPE_AHEAD_MAX {
            self.0.push(key);
        }
    }

    /// The oldest one, which stays.
    pub fn first(&self) -> Option<char> {
        self.0.first().copied()
    }

    /// Takes the oldest one.
    pub fn pop(&mut self) -> Option<char> {
        (!self.0.is_empty()).then(|| self.0.remove(0))
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys({})", self.0.len())
    }
}

impl PartialEq for Digits {
    fn eq(&self, other: &Self) -> bool {
        *self.text == *other.text
    }
}

impl Eq for Digits {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_never_prints_what_was_keyed() {
        #[expect(clippy::disallowed_methods, reason = "any moment will do in a test")]
        let now = Instant::now();
        let mut digits = Digits::new(12);
        for key in "48151623".chars() {
            assert_eq!(digits.push(now, key), Keyed::More);
        }
        assert_eq!(format!("{digits:?}"), "Digits(…)");
        assert_eq!(digits.as_str(), "48151623");
    }

    #[test]
    fn waiting_keys_keep_their_order_are_bounded_and_never_print() {
        let mut keys = Keys::new();
        for key in "12345678901234567890123456789#".chars() {
            keys.push(key);
        }
        assert_eq!(format!("{keys:?}"), format!("Keys({TYPE_AHEAD_MAX})"));
        assert_eq!((keys.first(), keys.pop(), keys.pop()), (Some('1'), Some('1'), Some('2')));
    }

    #[test]
    fn the_last_digit_that_fits_ends_the_entry() {
        #[expect(clippy::disallowed_methods, reason = "any moment will do in a test")]
        let now = Instant::now();
        let mut digits = Digits::new(3);
        digits.push(now, '1');
        digits.push(now, '2');
        assert_eq!(digits.push(now, '3'), Keyed::Full);
        assert_eq!(digits.push(now, '4'), Keyed::Full);
        assert_eq!(digits.as_str(), "123");
    }
}
