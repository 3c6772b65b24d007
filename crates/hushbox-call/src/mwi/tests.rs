//! When whom is told what, in virtual time.

use super::*;
use crate::testing::mailbox_id;

const SECOND: Duration = Duration::from_secs(1);

fn new(new: u32) -> VoiceMessages {
    VoiceMessages { new, ..VoiceMessages::default() }
}

fn watcher(number: u64) -> Watcher {
    Watcher::Subscription(Subscription(number))
}

fn box_1() -> MailboxId {
    mailbox_id("1001")
}

/// Lamps, a clock, and a store that counts at once.
struct World {
    lamps: Lamps,
    start: Now,
    now: Now,
    counts: BTreeMap<MailboxId, u32>,
    /// The store is slow: counts are asked for, and nobody answers.
    holds: bool,
    asked: Vec<MailboxId>,
    /// Who was told what, and when.
    told: Vec<(Duration, Watcher, u32)>,
    /// Whether NOTIFYs can be sent.
    has_way: bool,
}

impl World {
    fn new() -> Self {
        Self::with(Lamps::new(1000, 300 * SECOND))
    }

    fn with(lamps: Lamps) -> Self {
        let now = crate::testing::now();
        let (counts, asked, told) = (BTreeMap::new(), Vec::new(), Vec::new());
        World { lamps, start: now, now, counts, holds: false, asked, told, has_way: true }
    }

    fn at(&self) -> Instant {
        self.now.monotonic
    }

    fn add(&mut self, number: u64, mailbox: MailboxId) {
        self.lamps.add(self.at(), watcher(number), mailbox);
        self.run();
    }

    fn change(&mut self, mailbox: MailboxId, new: u32) {
        self.counts.insert(mailbox, new);
        self.lamps.changed(self.at(), mailbox);
        self.run();
    }

    fn answer(&mut self, number: u64, answer: Answer) {
        self.lamps.answered(self.at(), watcher(number), answer, None);
        self.run();
    }

    fn advance(&mut self, time: Duration) {
        let until = self.at() + time;
        while let Some(at) = self.lamps.deadline().filter(|at| *at <= until) {
            assert!(at >= self.at(), "a deadline in the past");
            self.now.monotonic = at;
            self.run();
        }
        self.now.monotonic = until;
    }

    fn run(&mut self) {
        while let Some(mailbox) = self.lamps.poll(self.at()) {
            self.asked.push(mailbox);
            if !self.holds {
                let counts = self.counts.get(&mailbox).copied().unwrap_or_default();
                self.counted(mailbox, counts);
            }
        }
    }

    fn counted(&mut self, mailbox: MailboxId, counts: u32) {
        let counts = new(counts);
        for watcher in self.lamps.counted(self.at(), mailbox, Some(counts)) {
            if self.has_way {
                self.told.push((self.at() - self.start.monotonic, watcher, counts.new));
            }
            self.lamps.sent(self.now, watcher, counts, self.has_way);
        }
    }

    fn take_told(&mut self) -> Vec<(u64, u64, u32)> {
        let number = |watcher| match watcher {
            Watcher::Subscription(Subscription(number)) => number,
            Watcher::Unasked(..) => 0,
        };
        let told = std::mem::take(&mut self.told).into_iter();
        told.map(|(at, who, new)| (at.as_secs(), number(who), new)).collect()
    }
}

#[test]
fn a_new_lamp_is_told_at_once_and_then_each_change() {
    let mut world = World::new();
    world.add(1, box_1());
    assert_eq!(world.take_told(), [(0, 1, 0)]);
    world.answer(1, Answer::Taken);
    world.advance(10 * SECOND);
    world.change(box_1(), 1);
    assert_eq!(world.take_told(), [(10, 1, 1)]);
    world.answer(1, Answer::Taken);
    world.change(mailbox_id("1002"), 5);
    world.advance(10 * SECOND);
    assert_eq!(world.take_told(), [], "another mailbox is none of its business");
}

#[test]
fn two_lamps_of_a_mailbox_are_told_and_the_store_is_asked_once() {
    let mut world = World::new();
    for number in [1, 2] {
        world.add(number, box_1());
        world.answer(number, Answer::Taken);
    }
    world.take_told();
    world.asked.clear();
    world.advance(10 * SECOND);
    world.holds = true;
    world.change(box_1(), 3);
    assert_eq!(world.asked, [box_1()]);
    world.counted(box_1(), 3);
    assert_eq!(world.take_told(), [(10, 1, 3), (10, 2, 3)]);
}

#[test]
fn changes_of_a_second_become_one_notify_with_the_last_state() {
    let mut world = World::new();
    world.add(1, box_1());
    world.answer(1, Answer::Taken);
    world.take_told();
    for n in 1..=5 {
        world.change(box_1(), n);
    }
    assert_eq!(world.take_told(), []);
    world.advance(SECOND);
    assert_eq!(world.take_told(), [(1, 1, 5)]);
    // The answer to that one is late: what changes meanwhile waits for it.
    world.change(box_1(), 6);
    world.advance(5 * SECOND);
    assert_eq!(world.take_told(), []);
    world.answer(1, Answer::Taken);
    assert_eq!(world.take_told(), [(6, 1, 6)]);
}

#[test]
fn a_change_that_is_taken_back_is_not_told() {
    let mut world = World::new();
    world.add(1, box_1());
    world.answer(1, Answer::Taken);
    world.take_told();
    world.change(box_1(), 1);
    world.change(box_1(), 0);
    world.advance(10 * SECOND);
    assert_eq!(world.take_told(), []);
}

#[test]
fn a_refresh_is_told_even_what_is_known() {
    let mut world = World::new();
    world.add(1, box_1());
    world.answer(1, Answer::Taken);
    world.advance(10 * SECOND);
    world.take_told();
    world.lamps.refresh(world.at(), watcher(1));
    world.run();
    assert_eq!(world.take_told(), [(10, 1, 0)]);
}

#[test]
fn what_changes_while_the_store_counts_is_told_once_more() {
    let mut world = World::new();
    world.add(1, box_1());
    world.answer(1, Answer::Taken);
    world.advance(10 * SECOND);
    world.take_told();
    world.holds = true;
    world.change(box_1(), 1);
    world.change(box_1(), 2);
    // The store had looked before the second change.
    world.counted(box_1(), 1);
    assert_eq!(world.take_told(), [(10, 1, 1)]);
    world.holds = false;
    world.answer(1, Answer::Taken);
    world.advance(SECOND);
    assert_eq!(world.take_told(), [(11, 1, 2)]);
}

#[test]
fn a_lamp_that_does_not_show_what_the_store_has_heals_by_itself() {
    let mut world = World::new();
    world.add(1, box_1());
    world.answer(1, Answer::Taken);
    world.take_told();
    // Nobody said that it changed.
    world.counts.insert(box_1(), 4);
    world.advance(299 * SECOND);
    assert_eq!(world.take_told(), []);
    world.advance(2 * SECOND);
    assert_eq!(world.take_told(), [(300, 1, 4)]);
    world.answer(1, Answer::Taken);
    world.advance(1000 * SECOND);
    assert_eq!(world.take_told(), [], "it shows it now");
}

#[test]
fn a_notify_that_failed_is_sent_again_later_and_later() {
    let mut world = World::new();
    world.add(1, box_1());
    for _ in 0..8 {
        world.answer(1, Answer::Later(503));
        world.advance(700 * SECOND);
    }
    let at: Vec<u64> = world.take_told().iter().map(|told| told.0).collect();
    let waits: Vec<u64> = (0..8).map(|n| at[n + 1] - 700 * n as u64).collect();
    assert_eq!(waits, [15, 30, 60, 120, 240, 480, 600, 600]);
    world.answer(1, Answer::Taken);
    let now = world.at();
    world.lamps.refresh(now, watcher(1));
    world.run();
    world.lamps.answered(now, watcher(1), Answer::Later(503), Some(100 * SECOND));
    world.take_told();
    world.advance(99 * SECOND);
    assert_eq!(world.take_told(), [], "Retry-After");
    world.advance(SECOND);
    assert_eq!(world.take_told().len(), 1);
}

#[test]
fn who_can_not_be_reached_is_told_when_there_is_a_way_again() {
    let mut world = World::new();
    world.has_way = false;
    world.add(1, box_1());
    assert!(world.lamps.report(box_1())[0].pending);
    world.advance(10 * SECOND);
    world.has_way = true;
    assert_eq!(world.take_told(), []);
    world.lamps.reachable(world.at(), watcher(1));
    world.run();
    assert_eq!(world.take_told(), [(10, 1, 0)]);
    world.answer(1, Answer::Taken);
    assert!(!world.lamps.report(box_1())[0].pending);
}

#[test]
fn a_store_that_can_not_count_is_asked_again() {
    let mut world = World::new();
    world.holds = true;
    world.add(1, box_1());
    assert_eq!(world.lamps.counted(world.at(), box_1(), None), []);
    world.holds = false;
    world.advance(4 * SECOND);
    assert_eq!(world.take_told(), []);
    world.advance(SECOND);
    assert_eq!(world.take_told(), [(5, 1, 0)]);
}

#[test]
fn after_a_restart_lamps_are_told_at_the_pace_of_the_house_and_in_turn() {
    let mut world = World::with(Lamps::new(10, 300 * SECOND));
    for number in 0..40 {
        world.add(number, mailbox_id(&(1000 + number).to_string()));
    }
    world.advance(4 * SECOND);
    let told = world.take_told();
    let in_second = |second| told.iter().filter(|told| told.0 == second).count();
    assert_eq!(told.len(), 40);
    assert_eq!([in_second(0), in_second(1), in_second(2), in_second(3)], [19, 10, 10, 1]);
    assert_eq!(told.iter().map(|told| told.1).collect::<Vec<_>>(), (0..40).collect::<Vec<_>>());
}

#[test]
fn what_is_removed_leaves_nothing() {
    let mut world = World::new();
    world.holds = true;
    world.add(1, box_1());
    world.lamps.remove(watcher(1));
    world.counted(box_1(), 1);
    assert_eq!(world.take_told(), []);
    assert_eq!(world.lamps.deadline(), None);
    assert!(world.lamps.mailboxes.is_empty() && world.lamps.queue.is_empty());
    world.add(1, box_1());
    world.counted(box_1(), 1);
    world.lamps.remove(watcher(1));
    assert!(world.lamps.mailboxes.is_empty());
    assert_eq!(world.lamps.watchers().count(), 0);
}

#[test]
fn a_report_says_what_was_told_and_taken_and_of_which_version() {
    let mut world = World::new();
    world.add(1, box_1());
    world.answer(1, Answer::Taken);
    world.advance(2 * SECOND);
    world.change(box_1(), 2);
    let report = world.lamps.report(box_1());
    let told = report[0].told.expect("told");
    assert_eq!((told.counts, told.version, told.answer), (new(2), 1, None));
    assert_eq!(report[0].taken, Some(new(0)));
    assert!(report[0].pending);
    assert_eq!(world.lamps.version(box_1()), 1);
    world.answer(1, Answer::Taken);
    let report = world.lamps.report(box_1());
    assert_eq!((report[0].taken, report[0].pending), (Some(new(2)), false));
}

#[test]
fn a_change_does_not_wait_for_the_comparison_of_others() {
    let mut world = World::with(Lamps::new(10, 300 * SECOND));
    for number in 0..600 {
        world.add(number, mailbox_id(&(1000 + number).to_string()));
        world.advance(SECOND / 5);
        world.answer(number, Answer::Taken);
    }
    world.take_told();
    world.advance(181 * SECOND);
    world.change(mailbox_id("1599"), 7);
    world.answer(599, Answer::Taken);
    assert_eq!(world.take_told(), [(301, 599, 7)], "at once, in the middle of it");
    world.asked.clear();
    world.advance(300 * SECOND);
    assert_eq!(world.asked.len(), 599, "each of the others is compared once in that time");
}

#[test]
fn a_lamp_that_comes_while_its_mailbox_is_counted_is_told_what_is_counted_after_it() {
    let mut world = World::new();
    world.holds = true;
    world.lamps.add_afresh(world.at(), watcher(1), box_1());
    world.run();
    world.lamps.add_afresh(world.at(), watcher(2), box_1());
    world.run();
    assert_eq!(world.asked, [box_1()], "one count is under way");
    world.counted(box_1(), 1);
    assert_eq!(world.take_told(), [(0, 1, 1)]);
    world.run();
    assert_eq!(world.asked, [box_1(), box_1()]);
    world.counted(box_1(), 1);
    assert_eq!(world.take_told(), [(0, 2, 1)]);
    // One that goes before its turn leaves nothing.
    world.lamps.changed(world.at(), box_1());
    world.run();
    world.lamps.add_afresh(world.at(), watcher(3), box_1());
    world.run();
    for number in 1..=3 {
        world.lamps.remove(watcher(number));
    }
    world.counted(box_1(), 1);
    assert!(world.lamps.mailboxes.is_empty() && world.lamps.queue.is_empty());
}

mod unasked {
    //! A PBX that is told of its mailboxes without having subscribed.

    use super::*;
    use crate::testing::{OTHER_TRUNK, TRUNK};

    fn pbx(number: u64) -> Watcher {
        Watcher::Unasked(TRUNK, mailbox(number))
    }

    fn mailbox(number: u64) -> MailboxId {
        mailbox_id(&(1000 + number).to_string())
    }

    impl World {
        /// A PBX with so many mailboxes that is found at once.
        fn of_pbx(mailboxes: u64) -> Self {
            let mut world = World::new();
            for number in 0..mailboxes {
                world.lamps.add(world.at(), pbx(number), mailbox(number));
            }
            world.run();
            assert_eq!(world.take_told(), [], "nobody knows where it is");
            assert_eq!(world.find(true), [TRUNK]);
            world
        }

        fn find(&mut self, found: bool) -> Vec<TrunkId> {
            let wanted = self.lamps.seek(self.at());
            for trunk in &wanted {
                self.lamps.located(self.at(), *trunk, found);
            }
            self.run();
            wanted
        }

        fn told_of(&mut self) -> Vec<(u64, Watcher)> {
            let told = std::mem::take(&mut self.told).into_iter();
            told.map(|(at, who, _)| (at.as_secs(), who)).collect()
        }

        fn says(&mut self, who: Watcher, answer: Answer) {
            self.lamps.answered(self.at(), who, answer, None);
            self.run();
        }

        /// Time passes, and the PBX is found whenever that is wanted.
        fn advance_and_find(&mut self, time: Duration) {
            let until = self.at() + time;
            while let Some(at) = self.lamps.deadline().filter(|at| *at <= until) {
                self.now.monotonic = at;
                self.run();
                self.find(true);
            }
            self.now.monotonic = until;
        }
    }

    #[test]
    fn it_is_told_of_every_mailbox_and_has_only_so_many_notifies_at_once() {
        let mut world = World::of_pbx(100);
        let mut told = world.told_of();
        assert_eq!(told.len(), limits::UNASKED_AT_ONCE);
        for at in 0..100 {
            let (_, who) = told[at];
            world.says(who, Answer::Taken);
            told.extend(world.told_of());
        }
        told.sort();
        assert_eq!(told, (0..100).map(|number| (0, pbx(number))).collect::<Vec<_>>());
        world.advance_and_find(290 * SECOND);
        assert_eq!(world.told_of(), [], "it knows everything");
        world.counts.insert(mailbox(7), 1);
        world.lamps.changed(world.at(), mailbox(7));
        world.run();
        world.find(true);
        assert_eq!(world.told_of(), [(290, pbx(7))]);
    }

    #[test]
    fn while_it_cannot_be_reached_one_notify_at_a_time_asks_whether_it_is_back() {
        let mut world = World::of_pbx(100);
        for (_, who) in world.told_of() {
            world.says(who, Answer::None);
        }
        world.advance_and_find(14 * SECOND);
        assert_eq!(world.told_of(), []);
        let mut at = Vec::new();
        for _ in 0..8 {
            world.advance_and_find(if at.is_empty() { SECOND } else { 700 * SECOND });
            let told = world.told_of();
            assert_eq!(told.len(), 1, "{told:?}");
            at.push(told[0].0);
            world
                .says(told[0].1, if at.len() % 2 == 0 { Answer::None } else { Answer::Later(503) });
        }
        // Each time the last answer came when the time had passed: the waits are the differences to it.
        let waits: Vec<u64> = (1..8).map(|n| at[n] - (15 + 700 * (n as u64 - 1))).collect();
        assert_eq!(waits, [30, 60, 120, 240, 480, 600, 600]);
        world.advance_and_find(700 * SECOND);
        let mut told = world.told_of();
        assert_eq!(told.len(), 1);
        world.says(told[0].1, Answer::Taken);
        let back = world.at();
        while let Some((_, who)) = world.told_of().first().copied().or_else(|| told.pop()) {
            world.says(who, Answer::Taken);
        }
        world.advance_and_find(700 * SECOND);
        let missing = |number: &u64| world.lamps.lamps[&pbx(*number)].taken.is_none();
        let mut missing: Vec<u64> = (0..100).filter(missing).collect();
        while !missing.is_empty() {
            for (_, who) in world.told_of() {
                world.says(who, Answer::Taken);
            }
            world.advance_and_find(SECOND);
            let still = |number: &u64| world.lamps.lamps[&pbx(*number)].taken.is_none();
            missing.retain(still);
            assert!(world.at() - back < 1000 * SECOND, "everybody is told in the end: {missing:?}");
        }
    }

    #[test]
    fn one_that_is_nowhere_is_looked_for_later_and_later() {
        let mut world = World::new();
        world.lamps.add(world.at(), pbx(0), mailbox(0));
        world.run();
        assert_eq!(world.find(false), [TRUNK]);
        assert_eq!(world.find(false), [], "not again at once");
        let start = world.at();
        let mut at = Vec::new();
        for _ in 0..3 {
            world.now.monotonic = world.lamps.deadline().expect("another try");
            world.run();
            at.push((world.at() - start).as_secs());
            assert_eq!(world.find(false), [TRUNK]);
        }
        assert_eq!(at, [15, 45, 105]);
        assert_eq!(world.told_of(), []);
        let lamp = world.lamps.report(mailbox(0))[0];
        assert!(lamp.pending && lamp.told.is_none());
    }

    #[test]
    fn one_that_refuses_is_asked_now_and_then_and_not_at_each_change() {
        let mut world = World::of_pbx(1);
        let mut at = Vec::new();
        for new in 1..7 {
            for (second, who) in world.told_of() {
                at.push(second);
                world.says(who, Answer::Refused(489));
            }
            world.change(mailbox(0), new);
            world.advance_and_find(3600 * SECOND);
        }
        let hour = 3600;
        let waited = [0, 300, hour + 600, 2 * hour + 1200, 3 * hour + 2400, 4 * hour + 3600];
        assert_eq!(at, waited);
    }

    #[test]
    fn a_mailbox_that_fails_for_itself_keeps_nobody_else_waiting() {
        let mut world = World::of_pbx(2);
        let told = world.told_of();
        assert_eq!(told.len(), 2);
        world.says(pbx(0), Answer::Later(500));
        world.says(pbx(1), Answer::Taken);
        world.advance_and_find(5 * SECOND);
        world.change(mailbox(1), 1);
        assert_eq!(world.told_of(), [(5, pbx(1))]);
    }

    #[test]
    fn one_pbx_that_is_gone_keeps_no_other_waiting() {
        let mut world = World::of_pbx(50);
        let other = Watcher::Unasked(OTHER_TRUNK, mailbox(0));
        world.lamps.add(world.at(), other, mailbox(0));
        world.run();
        assert_eq!(world.find(true), [OTHER_TRUNK]);
        assert_eq!(world.told_of().last(), Some(&(0, other)));
    }

    #[test]
    fn what_is_removed_leaves_its_place_to_another() {
        let mut world = World::of_pbx(100);
        let first = world.told_of();
        for (_, who) in &first {
            world.lamps.remove(*who);
        }
        world.run();
        assert_eq!(world.told_of().len(), limits::UNASKED_AT_ONCE);
        for number in 0..100 {
            world.lamps.remove(pbx(number));
        }
        assert_eq!(world.lamps.deadline(), None);
        assert!(world.lamps.mailboxes.is_empty() && world.lamps.queue.is_empty());
        // An answer that comes after that is nobody's.
        world.says(pbx(0), Answer::Taken);
    }
}
