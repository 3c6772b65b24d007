//! The replay window (RFC 3711 §3.3.2).

/// Indices remembered behind the highest one. RFC 3711 asks for 64 at least.
const WINDOW: u64 = 128;

/// Which of the last indices were received.
#[derive(Debug, Clone)]
pub(super) struct ReplayWindow {
    highest: u64,
    /// Bit n: `highest - n` was received.
    seen: u128,
}

impl ReplayWindow {
    /// A window around the first authenticated index.
    pub(super) fn starting_with(index: u64) -> Self {
        Self { highest: index, seen: 1 }
    }

    /// The highest authenticated index.
    pub(super) fn highest(&self) -> u64 {
        self.highest
    }

    /// Whether this index came before or is too old to tell.
    pub(super) fn is_replay(&self, index: u64) -> bool {
        match self.highest.checked_sub(index) {
            None => false,
            Some(age) => age >= WINDOW || self.seen >> age & 1 == 1,
        }
    }

    /// Remembers an index that has authenticated.
    pub(super) fn mark(&mut self, index: u64) {
        if index > self.highest {
            let step = index - self.highest;
            let kept = u32::try_from(step).ok().and_then(|step| self.seen.checked_shl(step));
            self.seen = kept.unwrap_or(0) | 1;
            self.highest = index;
        } else if self.highest - index < WINDOW {
            self.seen |= 1 << (self.highest - index);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_window_agrees_with_a_set(start in 0u64..300, steps in proptest::collection::vec(0u64..600, 0..200)) {
            let mut window = ReplayWindow::starting_with(start);
            let mut set = BTreeSet::from([start]);
            for index in steps {
                let highest = *set.last().unwrap();
                let expected = set.contains(&index) || index + WINDOW <= highest;
                prop_assert_eq!(window.is_replay(index), expected);
                if !expected {
                    window.mark(index);
                    set.insert(index);
                }
            }
        }
    }

    #[test]
    fn a_jump_forgets_what_was_before() {
        let mut window = ReplayWindow::starting_with(5);
        window.mark(u64::MAX / 2);
        assert!(window.is_replay(5));
        assert!(!window.is_replay(u64::MAX / 2 - 1));
    }
}
