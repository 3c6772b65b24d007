//! Whether there is room for one more call: a decision over counts, with what is kept for those who come to hear.
//!
//! What is refused is refused for one reason, with one status, and costs one answer. Calls that are there already are
//! never touched. Who comes to hear their messages is turned away last: part of the calls is kept for them, which
//! callers who leave messages cannot take.

/// What a call wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Wish {
    /// To leave a message.
    Deposit,
    /// To leave one more, though this caller has left as many in this mailbox as may be: it would hear only that.
    TooManyDeposits,
    /// To hear messages, from where somebody can.
    Retrieval,
    /// To hear messages from where nobody can: it would hear only that.
    HopelessRetrieval,
}

/// How many calls there are, of how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Calls there are.
    pub taken: usize,
    /// Calls there may be.
    pub max: usize,
}

impl Room {
    /// Whether it is used up.
    #[must_use]
    pub const fn is_full(self) -> bool {
        self.taken >= self.max
    }
}

/// What a decision about one call is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdmissionFacts {
    /// What the call wants.
    pub wish: Wish,
    /// All calls.
    pub calls: Room,
    /// Calls of those who hear messages, of how many places are kept for them.
    pub retrievals: Room,
    /// Calls of this trunk, where it has a limit.
    pub trunk: Option<Room>,
    /// Calls that hear only that they were in vain.
    pub announcements: Room,
    /// Of a hundred new calls so many are to be refused: 0 unless the server is behind.
    pub shed_percent: u8,
    /// Whether who calls keeps calls to itself when asked to (RFC 7339).
    pub restrains_itself: bool,
    /// A number below 100, drawn for this call.
    pub lot: u8,
    /// Whether the server stops.
    pub draining: bool,
    /// Whether the disk has too little room for one more message.
    pub disk_full: bool,
}

/// Why a call is refused though everything about it is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NoRoom {
    /// The server stops.
    Draining,
    /// There are as many calls as there may be.
    Full,
    /// This trunk has as many calls as it may have.
    TrunkFull,
    /// The disk has too little room for one more message.
    DiskFull,
    /// The server is behind.
    Overloaded,
    /// This caller has left too many messages in this mailbox, and there is no room to say so.
    Flood,
}

impl NoRoom {
    /// Every reason.
    pub const ALL: [Self; 6] = [
        Self::Draining,
        Self::Full,
        Self::TrunkFull,
        Self::DiskFull,
        Self::Overloaded,
        Self::Flood,
    ];

    /// The status that it is refused with. 480 speaks of the mailbox alone; 503 of this server, so that a PBX tries
    /// another (RFC 3261 §21.4.18, §21.5.4).
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::Draining | Self::Full | Self::TrunkFull | Self::DiskFull | Self::Overloaded => {
                503
            }
            Self::Flood => 480,
        }
    }
}

/// From so many in a hundred on nobody is trusted to restrain itself.
const SEVERE_PERCENT: u8 = 90;

/// Judges one call.
pub fn admit(facts: &AdmissionFacts) -> Result<(), NoRoom> {
    if facts.draining {
        return Err(NoRoom::Draining);
    }
    let hears = facts.wish == Wish::Retrieval;
    // Places that are kept and not taken are not there for others.
    let kept = if hears { 0 } else { facts.retrievals.max.saturating_sub(facts.retrievals.taken) };
    if facts.calls.taken.saturating_add(kept) >= facts.calls.max {
        return Err(match facts.wish {
            Wish::TooManyDeposits => NoRoom::Flood,
            Wish::Deposit | Wish::Retrieval | Wish::HopelessRetrieval => NoRoom::Full,
        });
    }
    // A trunk's limit is for what it forwards: places are kept for those who hear, whoever connects them.
    let has_kept_place = hears && !facts.retrievals.is_full();
    if !has_kept_place && facts.trunk.is_some_and(Room::is_full) {
        return Err(NoRoom::TrunkFull);
    }
    match facts.wish {
        Wish::Deposit if facts.disk_full => Err(NoRoom::DiskFull),
        Wish::Deposit | Wish::HopelessRetrieval if is_shed(facts) => Err(NoRoom::Overloaded),
        Wish::HopelessRetrieval if facts.announcements.is_full() => Err(NoRoom::Full),
        // A message that is not taken is the cheapest to give up.
        Wish::TooManyDeposits if facts.shed_percent > 0 || facts.announcements.is_full() => {
            Err(NoRoom::Flood)
        }
        Wish::Retrieval if !has_kept_place && is_shed(facts) => Err(NoRoom::Overloaded),
        Wish::Deposit | Wish::TooManyDeposits | Wish::Retrieval | Wish::HopelessRetrieval => Ok(()),
    }
}

/// RFC 7339 §5.10.2: those who cannot be told are refused as many as the others keep to themselves.
fn is_shed(facts: &AdmissionFacts) -> bool {
    let told = facts.restrains_itself && facts.shed_percent < SEVERE_PERCENT;
    !told && facts.lot < facts.shed_percent
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: Room = Room { taken: 0, max: 10 };
    const FULL: Room = Room { taken: 10, max: 10 };

    fn facts(wish: Wish) -> AdmissionFacts {
        AdmissionFacts {
            wish,
            calls: Room { taken: 0, max: 100 },
            retrievals: ROOM,
            trunk: None,
            announcements: ROOM,
            shed_percent: 0,
            restrains_itself: false,
            lot: 0,
            draining: false,
            disk_full: false,
        }
    }

    const WISHES: [Wish; 4] =
        [Wish::Deposit, Wish::TooManyDeposits, Wish::Retrieval, Wish::HopelessRetrieval];

    #[test]
    fn everybody_is_let_in_where_there_is_room_and_nobody_while_the_server_stops() {
        for wish in WISHES {
            assert_eq!(admit(&facts(wish)), Ok(()), "{wish:?}");
            let draining = AdmissionFacts { draining: true, ..facts(wish) };
            assert_eq!(admit(&draining), Err(NoRoom::Draining), "{wish:?}");
        }
    }

    #[test]
    fn places_kept_for_those_who_hear_are_taken_by_nobody_else() {
        for (taken, hearing, deposit, retrieval) in [
            (89, 0, Ok(()), Ok(())),
            (90, 0, Err(NoRoom::Full), Ok(())),
            (91, 1, Err(NoRoom::Full), Ok(())),
            (99, 10, Ok(()), Ok(())),
            (99, 9, Err(NoRoom::Full), Ok(())),
            (100, 10, Err(NoRoom::Full), Err(NoRoom::Full)),
            (100, 30, Err(NoRoom::Full), Err(NoRoom::Full)),
        ] {
            for (wish, expected) in [(Wish::Deposit, deposit), (Wish::Retrieval, retrieval)] {
                let facts = AdmissionFacts {
                    calls: Room { taken, max: 100 },
                    retrievals: Room { taken: hearing, max: 10 },
                    ..facts(wish)
                };
                assert_eq!(admit(&facts), expected, "{wish:?} {taken} {hearing}");
            }
        }
    }

    #[test]
    fn nothing_hopeless_takes_a_kept_place() {
        let at_the_reserve = Room { taken: 90, max: 100 };
        for (wish, why) in
            [(Wish::HopelessRetrieval, NoRoom::Full), (Wish::TooManyDeposits, NoRoom::Flood)]
        {
            let refused = AdmissionFacts { calls: at_the_reserve, ..facts(wish) };
            assert_eq!(admit(&refused), Err(why));
            let refused = AdmissionFacts { announcements: FULL, ..facts(wish) };
            assert_eq!(admit(&refused), Err(why));
        }
    }

    #[test]
    fn a_trunks_limit_stops_its_calls_but_not_those_who_hear_while_places_are_kept() {
        for (wish, hearing, expected) in [
            (Wish::Deposit, 0, Err(NoRoom::TrunkFull)),
            (Wish::TooManyDeposits, 0, Err(NoRoom::TrunkFull)),
            (Wish::HopelessRetrieval, 0, Err(NoRoom::TrunkFull)),
            (Wish::Retrieval, 0, Ok(())),
            (Wish::Retrieval, 10, Err(NoRoom::TrunkFull)),
        ] {
            let facts = AdmissionFacts {
                trunk: Some(FULL),
                retrievals: Room { taken: hearing, max: 10 },
                ..facts(wish)
            };
            assert_eq!(admit(&facts), expected, "{wish:?} {hearing}");
        }
    }

    #[test]
    fn a_full_disk_stops_messages_alone() {
        for wish in WISHES {
            let facts = AdmissionFacts { disk_full: true, ..facts(wish) };
            let expected = if wish == Wish::Deposit { Err(NoRoom::DiskFull) } else { Ok(()) };
            assert_eq!(admit(&facts), expected, "{wish:?}");
        }
    }

    #[test]
    fn a_server_that_is_behind_refuses_as_many_in_a_hundred_as_it_says() {
        let admitted = |wish, shed_percent, hearing, restrains_itself| {
            let of = |lot| AdmissionFacts {
                lot,
                shed_percent,
                restrains_itself,
                retrievals: Room { taken: hearing, max: 10 },
                ..facts(wish)
            };
            (0..100).filter(|lot| admit(&of(*lot)).is_ok()).count()
        };
        assert_eq!(admitted(Wish::Deposit, 30, 0, false), 70);
        assert_eq!(admitted(Wish::Deposit, 100, 0, false), 0);
        assert_eq!(admitted(Wish::HopelessRetrieval, 30, 0, false), 70);
        assert_eq!(admitted(Wish::TooManyDeposits, 1, 0, false), 0, "these go first");
        assert_eq!(admitted(Wish::Retrieval, 100, 9, false), 100, "a kept place");
        assert_eq!(admitted(Wish::Retrieval, 30, 10, false), 70);
        assert_eq!(admitted(Wish::Deposit, 30, 0, true), 100, "it has kept its share to itself");
        assert_eq!(admitted(Wish::Deposit, 95, 0, true), 5, "but nobody is believed for ever");
    }

    #[test]
    fn a_refusal_is_a_status_that_a_pbx_understands() {
        for why in NoRoom::ALL {
            assert_eq!(why.status() == 480, why == NoRoom::Flood, "{why:?}");
        }
    }
}
