//! When whom is told what, in virtual time.

use super::*;
use crate::testing::mailbox_id;

const SECOND: Duration = Duration::from_secs(1);

fn new(new: u32) -> VoiceMessages {
    VoiceMessages { new, ..VoiceMessages::default() }
}

fn watcher(number: u64) -> Subscription {
    Subscription(number)
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
    told: Vec<(Duration, Subscription, u32)>,
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
        let number = |Subscription(number)| number;
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
    assert!(world.lamps.waits_for_ways());
    assert!(world.lamps.report(box_1())[0].pending);
    world.advance(10 * SECOND);
    world.has_way = true;
    assert_eq!(world.take_told(), []);
    world.lamps.reachable(world.at(), watcher(1));
    world.run();
    assert_eq!(world.take_told(), [(10, 1, 0)]);
    assert!(!world.lamps.waits_for_ways());
    world.has_way = false;
    world.change(box_1(), 1);
    world.answer(1, Answer::Taken);
    world.advance(2 * SECOND);
    world.lamps.remove(watcher(1));
    assert!(!world.lamps.waits_for_ways());
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
