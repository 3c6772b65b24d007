//! Which counts of a nonce were used (RFC 7616 §3.3, `nc`).

use std::collections::BTreeMap;

/// Remembers the last 64 counts of each nonce that was ever used rightly, so that only who knows a
/// secret can fill the table.
#[derive(Debug, Default)]
pub(super) struct Replay {
    used: BTreeMap<u64, Window>,
    /// Nonces up to this serial number that are not in the table may have been forgotten.
    floor: Option<u64>,
}

#[derive(Debug)]
struct Window {
    highest: u32,
    /// Bit n: `highest - n` was used.
    bits: u64,
}

impl Replay {
    /// Takes a count. False if it was used before or may have been.
    pub(super) fn take(&mut self, serial: u64, count: u32, capacity: usize) -> bool {
        if let Some(window) = self.used.get_mut(&serial) {
            return window.take(count);
        }
        if self.floor.is_some_and(|floor| serial <= floor) || count == 0 {
            return false;
        }
        if self.used.len() >= capacity
            && let Some((oldest, _)) = self.used.pop_first()
        {
            self.floor = self.floor.max(Some(oldest));
            if serial <= oldest {
                return false;
            }
        }
        self.used.insert(serial, Window { highest: count, bits: 1 });
        true
    }

    /// Forgets every nonce before this one: they have expired.
    pub(super) fn forget_before(&mut self, serial: u64) {
        while let Some(entry) = self.used.first_entry()
            && *entry.key() < serial
        {
            self.floor = self.floor.max(Some(*entry.key()));
            entry.remove();
        }
    }
}

impl Window {
    fn take(&mut self, count: u32) -> bool {
        if count > self.highest {
            let shift = count - self.highest;
            self.bits = self.bits.checked_shl(shift).unwrap_or(0) | 1;
            self.highest = count;
            return true;
        }
        let behind = self.highest - count;
        let Some(bit) = 1u64.checked_shl(behind) else { return false };
        let fresh = self.bits & bit == 0 && count != 0;
        self.bits |= bit;
        fresh
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_good_once() {
        let mut replay = Replay::default();
        assert!(replay.take(1, 1, 10));
        assert!(!replay.take(1, 1, 10));
        assert!(replay.take(1, 3, 10));
        assert!(replay.take(1, 2, 10), "requests may overtake one another");
        assert!(!replay.take(1, 2, 10));
        assert!(replay.take(1, 500, 10));
        assert!(!replay.take(1, 4, 10), "too old to tell");
        assert!(!replay.take(2, 0, 10));
    }

    #[test]
    fn a_full_table_forgets_without_letting_a_replay_through() {
        let mut replay = Replay::default();
        assert!(replay.take(1, 1, 2));
        assert!(replay.take(2, 1, 2));
        assert!(replay.take(3, 1, 2));
        assert!(!replay.take(1, 1, 2));
        assert!(!replay.take(1, 2, 2));
        assert!(replay.take(3, 2, 2));
    }
}
