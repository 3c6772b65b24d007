//! The order of SRV records (RFC 2782): by priority, then by lot.

use rand_core::RngCore;

/// Sorts `(priority, weight, what)`. Among those of one priority each comes first as often as its
/// weight says; those without weight come seldom, and last.
pub(super) fn by_weight<T>(mut records: Vec<(u16, u16, T)>, rng: &mut impl RngCore) -> Vec<T> {
    // RFC 2782: those of weight 0 stand at the beginning before lots are drawn.
    records.sort_by_key(|(priority, weight, _)| (*priority, *weight));
    let mut ordered = Vec::with_capacity(records.len());
    while let Some((priority, ..)) = records.first() {
        let priority = *priority;
        let of_priority = records.iter().take_while(|(p, ..)| *p == priority);
        let total: u64 = of_priority.map(|(_, weight, _)| u64::from(*weight)).sum();
        let lot = rng.next_u64() % (total + 1);
        let mut sum = 0;
        let reaches = |(_, weight, _): &(u16, u16, T)| {
            sum += u64::from(*weight);
            sum >= lot
        };
        // The last of the priority reaches `total`, so that one is always found.
        let at = records.iter().position(reaches).unwrap_or(0);
        ordered.push(records.remove(at).2);
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    #[test]
    fn a_lower_priority_never_comes_after_a_higher_one() {
        let mut rng = ChaCha20Rng::from_seed([1; 32]);
        for _ in 0..200 {
            let records = vec![(20, 100, "c"), (10, 1, "a"), (10, 60, "b"), (30, 0, "d")];
            let ordered = by_weight(records, &mut rng);
            assert_eq!(ordered.len(), 4);
            assert!(ordered[..2].contains(&"a") && ordered[2..] == ["c", "d"], "{ordered:?}");
        }
    }

    #[test]
    fn weights_are_shares() {
        let mut rng = ChaCha20Rng::from_seed([2; 32]);
        let mut first = [0; 3];
        for _ in 0..10_000 {
            let ordered = by_weight(vec![(1, 60, 0), (1, 20, 1), (1, 20, 2)], &mut rng);
            first[ordered[0]] += 1;
        }
        assert!((5_700..6_300).contains(&first[0]), "{first:?}");
        assert!((1_800..2_300).contains(&first[1]), "{first:?}");
    }
}
