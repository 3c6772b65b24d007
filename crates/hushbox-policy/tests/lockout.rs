//! Lock-out of log-ins (design.md "Who may call", hipaa-controls 5.3 and 5.5), in time that passes at will.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hushbox_policy::lockout::{
    CounterRow, GLOBAL_NUMBERS, LOCK_FIRST, LOCK_LONGEST, LockKey, Locked, Lockout, PAIR_FAILURES,
    PERSON_FAILURES, PERSON_FAILURES_HARD, ROW_LENGTH, SOURCE_FAILURES, SOURCE_LOCK,
    SOURCE_NUMBERS, SOURCES_MAX, SourceId, Try, WINDOW,
};
use hushbox_policy::{DeviceId, Now, Number, PersonId, TrunkId};
use proptest::prelude::*;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);

/// A lock-out with the file behind it and the clock before it.
struct World {
    lockout: Lockout,
    kept: BTreeMap<LockKey, [u8; ROW_LENGTH]>,
    now: Now,
}

impl World {
    #[expect(clippy::disallowed_methods, reason = "an Instant to count from")]
    fn new() -> Self {
        let now = Now { monotonic: Instant::now(), utc: jiff::Timestamp::UNIX_EPOCH };
        Self { lockout: Lockout::new(), kept: BTreeMap::new(), now }
    }

    fn keep(&mut self, rows: Vec<CounterRow>) {
        for row in rows {
            self.kept.insert(row.key, row.to_bytes());
        }
    }

    /// A wrong try: refused unseen, or counted.
    fn wrong(&mut self, attempt: &Try) -> Result<(), Locked> {
        self.lockout.check(self.now, attempt)?;
        let rows = self.lockout.count(self.now, attempt);
        assert!(!rows.is_empty(), "nothing to make durable");
        self.keep(rows);
        Ok(())
    }

    fn right(&mut self, attempt: &Try) -> Result<(), Locked> {
        self.wrong(attempt)?;
        let rows = self.lockout.success(self.now, attempt);
        self.keep(rows);
        Ok(())
    }

    fn wrong_times(&mut self, times: u32, attempt: &Try) {
        for time in 0..times {
            assert_eq!(self.wrong(attempt), Ok(()), "try {time}");
        }
    }

    fn locked(&self, attempt: &Try) -> Option<Locked> {
        self.lockout.check(self.now, attempt).err()
    }

    /// Time passes, and each minute what remains is written anew.
    fn wait(&mut self, time: Duration) {
        let end = self.now.monotonic + time;
        while self.now.monotonic < end {
            self.now.monotonic += MINUTE.min(end - self.now.monotonic);
            let rows = self.lockout.tick(self.now);
            self.keep(rows);
        }
    }

    /// The server is killed, and starts `down` later. Nothing but the file is left.
    fn restart(&mut self, down: Duration) {
        self.now.monotonic += down;
        let rows = self.kept.values().filter_map(|row| CounterRow::from_bytes(row).unwrap());
        self.lockout = Lockout::restore(rows, self.now);
    }
}

fn person(index: u8) -> PersonId {
    PersonId::from_bytes([index; 16])
}

fn device(index: u8) -> DeviceId {
    DeviceId::from_bytes([index; 16])
}

fn trunk(index: u8) -> SourceId {
    SourceId::Trunk(TrunkId::from_bytes([index; 16]))
}

fn number(index: u32) -> Number {
    Number::new(&format!("{}", 7000 + index)).unwrap()
}

fn bound() -> Try {
    Try::bound(person(1), device(1))
}

fn stranger(index: u8, source: u8) -> Try {
    Try::unbound(Some(person(index)), &number(index.into()), trunk(source))
}

#[test]
fn ten_wrong_pins_in_a_row_lock_the_pair_for_a_quarter_of_an_hour() {
    let mut world = World::new();
    world.wrong_times(PAIR_FAILURES, &bound());
    let locked = world.wrong(&bound()).unwrap_err();
    assert_eq!(locked.by, LockKey::Pair(person(1), device(1)));
    assert_eq!(locked.remaining, Some(LOCK_FIRST));
    assert!(locked.is_spoken());
    world.wait(LOCK_FIRST - Duration::from_millis(1));
    assert!(world.locked(&bound()).is_some());
    world.wait(Duration::from_millis(1));
    assert_eq!(world.locked(&bound()), None);
}

#[test]
fn each_further_lock_of_a_pair_lasts_twice_as_long_up_to_a_day() {
    let mut world = World::new();
    for minutes in [15, 30, 60, 120, 240, 480, 960, 1440, 1440] {
        world.wrong_times(PAIR_FAILURES, &bound());
        let remaining = world.locked(&bound()).and_then(|locked| locked.remaining);
        assert_eq!(remaining, Some(minutes * MINUTE));
        world.wait(minutes * MINUTE);
    }
}

#[test]
fn a_right_pin_begins_the_count_of_its_pair_anew() {
    let mut world = World::new();
    world.wrong_times(PAIR_FAILURES, &bound());
    world.wait(LOCK_FIRST);
    world.wrong_times(PAIR_FAILURES - 1, &bound());
    assert_eq!(world.right(&bound()), Ok(()));
    world.wrong_times(PAIR_FAILURES, &bound());
    assert_eq!(world.locked(&bound()).and_then(|locked| locked.remaining), Some(LOCK_FIRST));
}

#[test]
fn a_right_pin_clears_no_other_pair() {
    let mut world = World::new();
    let other = Try::bound(person(1), device(2));
    world.wrong_times(PAIR_FAILURES - 1, &bound());
    assert_eq!(world.right(&other), Ok(()));
    world.wrong_times(1, &bound());
    assert!(world.locked(&bound()).is_some());
    assert_eq!(world.locked(&other), None);
}

#[test]
fn fifty_calls_at_once_get_ten_comparisons() {
    let mut world = World::new();
    let compared = (0..50).filter(|_| world.wrong(&bound()).is_ok()).count();
    assert_eq!(compared, 10);
}

#[test]
fn a_right_pin_among_calls_at_once_is_still_right() {
    let mut world = World::new();
    world.wrong_times(PAIR_FAILURES, &bound());
    let rows = world.lockout.success(world.now, &bound());
    assert!(rows.iter().all(CounterRow::is_clear));
    assert_eq!(world.locked(&bound()), None);
}

/// Argon2's queue is bounded: when it is full nothing is compared, and no failure counted.
#[test]
fn a_try_that_was_never_compared_is_taken_back_and_no_other() {
    let mut world = World::new();
    world.wrong_times(PAIR_FAILURES - 1, &bound());
    for _ in 0..100 {
        assert_eq!(world.wrong(&bound()), Ok(()), "the tenth, which is not compared");
        assert!(world.locked(&bound()).is_some());
        let rows = world.lockout.withdraw(world.now, &bound());
        assert_eq!((rows[0].failures, rows[0].locks), (PAIR_FAILURES - 1, 0));
        world.keep(rows);
    }
    world.restart(MINUTE);
    world.wrong_times(1, &bound());
    assert!(world.locked(&bound()).is_some());
}

#[test]
fn an_unbound_try_that_was_never_compared_blocks_nobody() {
    let mut world = World::new();
    for source in 0..200 {
        let attempt = stranger(source, source);
        assert_eq!(world.wrong(&attempt), Ok(()), "{source}");
        let rows = world.lockout.withdraw(world.now, &attempt);
        world.keep(rows);
    }
    assert!(world.lockout.is_empty());
}

#[test]
fn taking_a_try_back_leaves_a_person_blocked_for_the_others() {
    let mut world = World::new();
    for source in 0..PERSON_FAILURES as u8 {
        assert_eq!(world.wrong(&stranger(1, source)), Ok(()));
    }
    world.wait(LOCK_FIRST);
    assert_eq!(world.wrong(&stranger(1, 50)), Ok(()));
    world.lockout.withdraw(world.now, &stranger(1, 50));
    let locked = world.locked(&stranger(1, 51)).unwrap();
    assert_eq!((locked.by, locked.remaining), (LockKey::Person(person(1)), Some(LOCK_FIRST)));
}

#[test]
fn killing_the_server_between_tries_resets_nothing() {
    let mut world = World::new();
    for _ in 0..PAIR_FAILURES {
        assert_eq!(world.wrong(&bound()), Ok(()));
        world.restart(MINUTE);
    }
    assert!(world.wrong(&bound()).is_err());
}

#[test]
fn a_restart_neither_ends_nor_shortens_a_lock() {
    let mut world = World::new();
    world.wrong_times(PAIR_FAILURES, &bound());
    world.wait(10 * MINUTE);
    world.restart(24 * HOUR);
    assert_eq!(world.locked(&bound()).and_then(|locked| locked.remaining), Some(5 * MINUTE));
}

#[test]
fn a_clock_step_does_not_unlock() {
    let mut world = World::new();
    world.wrong_times(PAIR_FAILURES, &bound());
    for utc in ["2000-01-01T00:00:00Z", "2099-01-01T00:00:00Z"] {
        world.now.utc = utc.parse().unwrap();
        assert_eq!(world.locked(&bound()).and_then(|locked| locked.remaining), Some(LOCK_FIRST));
    }
}

#[test]
fn a_stranger_cannot_lock_the_owner_out_of_their_own_telephone() {
    let mut world = World::new();
    for source in 0..20 {
        while world.wrong(&stranger(1, source)).is_ok() {}
    }
    assert!(world.locked(&stranger(1, 99)).is_some());
    assert_eq!(world.right(&bound()), Ok(()));
}

#[test]
fn an_owner_who_mistypes_locks_no_stranger_and_no_other_owner() {
    let mut world = World::new();
    while world.wrong(&bound()).is_ok() {}
    assert_eq!(world.locked(&Try::bound(person(2), device(1))), None);
    assert_eq!(world.locked(&Try::bound(person(1), device(2))), None);
    assert_eq!(world.locked(&stranger(1, 1)), None);
}

#[test]
fn five_unbound_failures_in_a_row_block_a_person_and_ten_until_it_is_lifted() {
    let mut world = World::new();
    let mut source = 0;
    let mut attempt = || {
        source += 1;
        stranger(1, source)
    };
    for _ in 0..PERSON_FAILURES {
        assert_eq!(world.wrong(&attempt()), Ok(()));
    }
    for minutes in [15, 30, 60, 120, 240] {
        let locked = world.locked(&attempt()).unwrap();
        assert_eq!(locked.by, LockKey::Person(person(1)));
        assert_eq!(locked.remaining, Some(minutes * MINUTE));
        assert!(!locked.is_spoken(), "it would say that the number exists");
        world.wait(minutes * MINUTE);
        assert_eq!(world.wrong(&attempt()), Ok(()));
    }
    let locked = world.locked(&attempt()).unwrap();
    assert_eq!((locked.by, locked.remaining), (LockKey::Person(person(1)), None));
    world.wait(10 * LOCK_LONGEST);
    world.restart(HOUR);
    assert!(world.locked(&attempt()).is_some(), "{PERSON_FAILURES_HARD} in a row");
    assert!(world.lockout.unlock(LockKey::Person(person(1))).unwrap().is_clear());
    assert_eq!(world.locked(&attempt()), None);
}

#[test]
fn ten_failures_within_ten_minutes_block_a_source_for_an_hour() {
    let mut world = World::new();
    // Two persons, so that neither is blocked first.
    for index in 0..SOURCE_FAILURES {
        let person = 1 + u8::from(index % 3 == 0) + 2 * u8::from(index % 3 == 1);
        assert_eq!(world.wrong(&stranger(person, 1)), Ok(()), "{index}");
    }
    let locked = world.locked(&stranger(9, 1)).unwrap();
    assert_eq!(locked.by, LockKey::Source(trunk(1)));
    assert_eq!(locked.remaining, Some(SOURCE_LOCK));
    assert_eq!(world.locked(&stranger(9, 2)), None);
    world.wait(SOURCE_LOCK);
    for index in 0..SOURCE_NUMBERS as u8 - 1 {
        assert_eq!(world.wrong(&stranger(20 + index, 1)), Ok(()), "it begins anew");
    }
}

#[test]
fn failures_further_apart_do_not_block_a_source() {
    let mut world = World::new();
    for index in 0..100 {
        assert_eq!(world.wrong(&stranger(index % 50, 1)), Ok(()), "{index}");
        world.wait(WINDOW / 2);
    }
}

/// hipaa-controls 5.5: a spray over 200 boxes is blocked by the source's counter after 5.
#[test]
fn a_spray_over_many_numbers_is_blocked_after_five() {
    let mut world = World::new();
    let spray = |index: u8| stranger(index, 1);
    let compared = (0..200).filter(|index| world.wrong(&spray(*index)).is_ok()).count();
    assert_eq!(compared, SOURCE_NUMBERS as usize);
}

#[test]
fn numbers_that_nobody_has_count_as_those_that_somebody_has() {
    let unknown = |index: u8| Try::unbound(None, &number(index.into()), trunk(1));
    let mut world = World::new();
    assert_eq!((0..200).filter(|index| world.wrong(&unknown(*index)).is_ok()).count(), 5);
    // And one number that is tried again is one number.
    let mut world = World::new();
    let compared = (0..200).filter(|_| world.wrong(&unknown(1)).is_ok()).count();
    assert_eq!(compared, SOURCE_FAILURES as usize);
}

#[test]
fn a_spray_from_many_sources_stops_unbound_logins_and_no_others() {
    let mut world = World::new();
    let compared = (0..200).filter(|index| world.wrong(&stranger(*index, *index)).is_ok()).count();
    assert_eq!(compared, GLOBAL_NUMBERS as usize);
    let locked = world.locked(&stranger(201, 201)).unwrap();
    assert_eq!((locked.by, locked.remaining), (LockKey::Global, Some(SOURCE_LOCK)));
    assert_eq!(world.right(&bound()), Ok(()));
    assert_eq!(world.right(&Try::operator(Some(person(1)), 0)), Ok(()));
}

#[test]
fn ones_own_right_login_between_does_not_cover_for_a_spray() {
    let mut world = World::new();
    let compared = (10..200).filter(|index| {
        let _ = world.right(&stranger(1, 1));
        world.wrong(&stranger(*index, 1)).is_ok()
    });
    assert_eq!(compared.count(), SOURCE_NUMBERS as usize);
}

#[test]
fn colleagues_who_log_in_from_one_source_do_not_block_it() {
    let mut world = World::new();
    for index in 0..100 {
        assert_eq!(world.right(&stranger(index, 1)), Ok(()), "{index}");
    }
}

#[test]
fn a_source_that_is_blocked_stays_so_after_a_restart() {
    let mut world = World::new();
    while world.wrong(&stranger(1, 1)).is_ok() {}
    for index in 0..SOURCE_NUMBERS as u8 {
        let _ = world.wrong(&stranger(index, 1));
    }
    assert!(world.locked(&stranger(77, 1)).is_some());
    world.wait(20 * MINUTE);
    world.restart(24 * HOUR);
    assert_eq!(
        world.locked(&stranger(77, 1)).and_then(|locked| locked.remaining),
        Some(40 * MINUTE)
    );
}

#[test]
fn a_window_is_not_reset_by_killing_the_server() {
    let mut world = World::new();
    let compared = (0..200).filter(|index| {
        let compared = world.wrong(&stranger(*index, 1)).is_ok();
        world.restart(Duration::from_secs(1));
        compared
    });
    assert_eq!(compared.count(), SOURCE_NUMBERS as usize);
}

#[test]
fn a_user_of_the_machine_is_locked_with_the_person_they_try_and_nobody_else_is() {
    let mut world = World::new();
    let operator = Try::operator(Some(person(1)), 1000);
    while world.wrong(&operator).is_ok() {}
    assert!(world.locked(&operator).unwrap().is_spoken());
    assert_eq!(world.locked(&Try::operator(Some(person(1)), 1001)), None);
    assert_eq!(world.locked(&bound()), None);
    let nobody = Try::operator(None, 1000);
    let compared = (0..50).filter(|_| world.wrong(&nobody).is_ok()).count();
    assert_eq!(compared, PAIR_FAILURES as usize);
}

#[test]
fn failures_before_a_success_can_be_told() {
    let mut world = World::new();
    world.wrong_times(3, &bound());
    assert_eq!(world.lockout.failures(&bound()), 3);
    assert_eq!(world.right(&bound()), Ok(()));
    assert_eq!(world.lockout.failures(&bound()), 0);
}

#[test]
fn what_has_passed_is_forgotten() {
    let mut world = World::new();
    assert_eq!(world.right(&bound()), Ok(()));
    assert!(world.lockout.is_empty());
    assert_eq!(world.wrong(&Try::unbound(None, &number(1), trunk(1))), Ok(()));
    world.wait(WINDOW);
    assert!(world.lockout.is_empty());
}

#[test]
fn sources_are_bounded_however_many_addresses_there_are() {
    let mut world = World::new();
    let from = |index: u32| SourceId::Address(std::net::Ipv4Addr::from_bits(index).into());
    let max = u32::try_from(SOURCES_MAX).unwrap();
    for index in 0..2 * max {
        let attempt = Try::unbound(None, &number(index % 2), from(index));
        let rows = world.lockout.count(world.now, &attempt);
        world.keep(rows);
    }
    assert_eq!(world.lockout.len(), SOURCES_MAX + 1);
    world.kept.retain(|_, row| !CounterRow::from_bytes(row).unwrap().unwrap().is_clear());
    assert_eq!(world.kept.len(), SOURCES_MAX + 1, "what was forgotten is cleared in the file too");
    // Those that are locked are kept, and no further ones come.
    for index in 0..max {
        for _ in 0..SOURCE_FAILURES {
            world.lockout.count(world.now, &Try::unbound(None, &number(1), from(max + index)));
        }
    }
    world.lockout.count(world.now, &Try::unbound(None, &number(1), from(0)));
    assert_eq!(world.lockout.len(), SOURCES_MAX + 1);
}

/// What may happen next.
#[derive(Clone, Debug)]
enum Act {
    Wrong { person: u8, device: u8 },
    Right { person: u8, device: u8 },
    Stranger { person: u8, source: u8 },
    Wait(u64),
    Kill(u64),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        8 => (0..2_u8, 0..2_u8).prop_map(|(person, device)| Act::Wrong { person, device }),
        1 => (0..2_u8, 0..2_u8).prop_map(|(person, device)| Act::Right { person, device }),
        6 => (0..8_u8, 0..3_u8).prop_map(|(person, source)| Act::Stranger { person, source }),
        2 => (1..40_u64).prop_map(Act::Wait),
        1 => (0..10_000_u64).prop_map(Act::Kill),
    ];
    proptest::collection::vec(act, 1..120)
}

/// What a pair must do: a count in a row, and minutes of running time that it is still locked.
#[derive(Clone, Copy, Default)]
struct Reference {
    failures: u32,
    locks: u32,
    minutes: u64,
}

proptest! {
    #[test]
    fn pairs_lock_as_the_reference_says_whatever_strangers_and_restarts_do(acts in acts()) {
        let mut world = World::new();
        let mut pairs: BTreeMap<(u8, u8), Reference> = BTreeMap::new();
        for act in acts {
            match act {
                Act::Wrong { person: p, device: d } | Act::Right { person: p, device: d } => {
                    let pair = pairs.entry((p, d)).or_default();
                    let attempt = Try::bound(person(p), device(d));
                    let right = matches!(act, Act::Right { .. });
                    let answer = if right { world.right(&attempt) } else { world.wrong(&attempt) };
                    prop_assert_eq!(answer.is_ok(), pair.minutes == 0);
                    if answer.is_err() {
                        continue;
                    }
                    if right {
                        *pair = Reference::default();
                        continue;
                    }
                    pair.failures += 1;
                    if pair.failures == 10 {
                        pair.failures = 0;
                        pair.minutes = (15 << pair.locks.min(20)).min(24 * 60);
                        pair.locks += 1;
                    }
                }
                Act::Stranger { person, source } => {
                    let _ = world.wrong(&stranger(person, source));
                }
                Act::Wait(minutes) => {
                    world.wait(u32::try_from(minutes).unwrap() * MINUTE);
                    for pair in pairs.values_mut() {
                        pair.minutes = pair.minutes.saturating_sub(minutes);
                    }
                }
                Act::Kill(down) => world.restart(Duration::from_secs(down)),
            }
        }
    }
}
