//! Who has a place: the calls there are, by what they want and whose they are.

use std::collections::BTreeMap;

use hushbox_policy::{CallId, Room, TrunkId, Wish};

use super::interface::Admission;
use crate::limits::ANNOUNCED_ONE_IN;

#[derive(Clone, Copy, Debug)]
struct Place {
    wish: Wish,
    trunk: Option<TrunkId>,
}

/// The places, and who has them.
#[derive(Debug)]
pub(super) struct Places {
    max: usize,
    kept: usize,
    places: BTreeMap<CallId, Place>,
    retrievals: usize,
    announcements: usize,
    by_trunk: BTreeMap<TrunkId, usize>,
}

impl Places {
    pub(super) fn new(admission: &Admission) -> Self {
        let percent = usize::from(admission.retrieval_reserved_percent.min(100));
        let kept = admission.calls_max.saturating_mul(percent).div_ceil(100);
        Self {
            max: admission.calls_max,
            // One at least is for messages.
            kept: kept.min(admission.calls_max.saturating_sub(1)),
            places: BTreeMap::new(),
            retrievals: 0,
            announcements: 0,
            by_trunk: BTreeMap::new(),
        }
    }

    /// All of them.
    pub(super) fn calls(&self) -> Room {
        Room { taken: self.places.len(), max: self.max }
    }

    /// Those kept for who hears messages.
    pub(super) fn retrievals(&self) -> Room {
        Room { taken: self.retrievals, max: self.kept }
    }

    /// Those of calls that hear only that they were in vain: few, so that they take nothing from the others.
    pub(super) fn announcements(&self) -> Room {
        Room { taken: self.announcements, max: self.max.div_ceil(ANNOUNCED_ONE_IN) }
    }

    /// A trunk's.
    pub(super) fn of_trunk(&self, trunk: TrunkId, max: usize) -> Room {
        Room { taken: self.by_trunk.get(&trunk).copied().unwrap_or(0), max }
    }

    /// A call takes its place.
    pub(super) fn take(&mut self, call: CallId, wish: Wish, trunk: Option<TrunkId>) {
        self.leave(call);
        self.places.insert(call, Place { wish, trunk });
        self.tally(wish, 1);
        if let Some(trunk) = trunk {
            *self.by_trunk.entry(trunk).or_default() += 1;
        }
    }

    /// A call is over.
    pub(super) fn leave(&mut self, call: CallId) {
        let Some(Place { wish, trunk }) = self.places.remove(&call) else { return };
        self.tally(wish, -1);
        if let Some(trunk) = trunk
            && let Some(count) = self.by_trunk.get_mut(&trunk)
        {
            *count -= 1;
            if *count == 0 {
                self.by_trunk.remove(&trunk);
            }
        }
    }

    fn tally(&mut self, wish: Wish, change: isize) {
        let counter = match wish {
            Wish::Deposit => return,
            Wish::Retrieval => &mut self.retrievals,
            Wish::TooManyDeposits | Wish::HopelessRetrieval => &mut self.announcements,
        };
        *counter = counter.saturating_add_signed(change);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn places(calls_max: usize, retrieval_reserved_percent: u8) -> Places {
        Places::new(&Admission { calls_max, retrieval_reserved_percent, deposits_per_caller: None })
    }

    fn call(number: u8) -> CallId {
        CallId::from_bytes([number; 16])
    }

    #[test]
    fn a_share_is_kept_but_never_all_of_it() {
        for (calls_max, percent, kept) in
            [(100, 10, 10), (2000, 5, 100), (4, 10, 1), (1, 10, 0), (2, 100, 1), (50, 0, 0)]
        {
            assert_eq!(places(calls_max, percent).retrievals().max, kept, "{calls_max} {percent}");
        }
        assert_eq!(places(1, 0).announcements().max, 1);
    }

    proptest! {
        #[test]
        fn counts_are_those_of_the_calls_there_are(
            steps in proptest::collection::vec((0u8..8, 0usize..4, 0u8..3, any::<bool>()), 0..200),
        ) {
            let wishes = [
                Wish::Deposit, Wish::TooManyDeposits, Wish::Retrieval, Wish::HopelessRetrieval,
            ];
            let trunk = |number: u8| TrunkId::from_bytes([number; 16]);
            let mut places = places(10, 10);
            let mut there: BTreeMap<u8, (Wish, Option<u8>)> = BTreeMap::new();
            for (number, wish, of, comes) in steps {
                let of = (of > 0).then_some(of);
                if comes {
                    places.take(call(number), wishes[wish], of.map(trunk));
                    there.insert(number, (wishes[wish], of));
                } else {
                    places.leave(call(number));
                    there.remove(&number);
                }
                let wish = |wish| there.values().filter(|(w, _)| *w == wish).count();
                prop_assert_eq!(places.calls().taken, there.len());
                prop_assert_eq!(places.retrievals().taken, wish(Wish::Retrieval));
                let in_vain = wish(Wish::TooManyDeposits) + wish(Wish::HopelessRetrieval);
                prop_assert_eq!(places.announcements().taken, in_vain);
                for of in 1..3 {
                    let its = there.values().filter(|(_, t)| *t == Some(of)).count();
                    prop_assert_eq!(places.of_trunk(trunk(of), 5).taken, its);
                }
            }
        }
    }
}
