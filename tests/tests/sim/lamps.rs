//! Lamps: on with a message, off when it is heard or deleted, right again after whatever a link and a crash do, and gone
//! when they end.

use std::time::Duration;

use hushbox_store::MessageState;
use hushbox_tests::world::installation::{PIN_7101, mailbox};
use hushbox_tests::world::lamp::{LampId, Told};
use hushbox_tests::world::{Link, World};

use crate::support::{GCM, Random, SECOND, bye, call, hears, leave, press, telephone, voice};

const MAILBOX: &str = "sip:2001@trial.example";
/// How long a subscription here lasts.
const LASTS: Duration = Duration::from_secs(120);
/// 64*T1, and what the slowest timer of ours adds (RFC 3261 §17.1.2.2).
const ALL_TIMERS: Duration = Duration::from_secs(33);

/// What the lamp was told last: new and heard messages.
fn last(world: &mut World, lamp: LampId) -> Option<(u64, u64)> {
    world.lamp(lamp).told().last().map(|told| (told.new, told.old))
}

#[track_caller]
fn shows(world: &mut World, lamp: LampId, new: u64, old: u64) {
    // At most one NOTIFY a second and subscription: the next one may have to wait.
    world.run_until("the lamp", 3 * SECOND, |w| last(w, lamp) == Some((new, old)));
}

fn subscribe(world: &mut World, lamp: LampId) {
    world.with_lamp(lamp, |lamp, now, agenda| lamp.subscribe(now, agenda));
}

/// The owner hears the first message, and perhaps deletes it.
fn hear(world: &mut World, deletes: bool) {
    let owner = telephone(world, "t7101");
    assert_eq!(call(world, owner, "sip:*97@trial.example", GCM), 200);
    hears(world, owner, "enter-pin", SECOND);
    press(world, owner, &format!("{PIN_7101}#"));
    world.run_until("the menu", 20 * SECOND, |w| w.server.stage() == Some("Main"));
    press(world, owner, "1");
    world.run_until("playing", 20 * SECOND, |w| w.server.stage() == Some("Playing"));
    world.run_until("its end", 20 * SECOND, |w| w.server.stage() == Some("Main"));
    if deletes {
        press(world, owner, "7");
        world.run_for(3 * SECOND);
    }
    bye(world, owner);
}

fn counts(world: &World) -> (u64, u64) {
    let count = |state| world.server.rows().filter(|row| row.state == state).count() as u64;
    (count(MessageState::New), count(MessageState::Heard))
}

#[test]
fn a_lamp_goes_on_with_a_message_and_off_when_the_last_one_is_heard_or_deleted() {
    let mut world = World::new();
    let lamp = world.add_lamp(MAILBOX, LASTS);
    subscribe(&mut world, lamp);
    shows(&mut world, lamp, 0, 0);
    leave(&mut world, MAILBOX, &voice(1, 2));
    shows(&mut world, lamp, 1, 0);
    leave(&mut world, MAILBOX, &voice(2, 2));
    shows(&mut world, lamp, 2, 0);
    hear(&mut world, false);
    shows(&mut world, lamp, 1, 1);
    hear(&mut world, true);
    shows(&mut world, lamp, 0, 1);

    world.with_lamp(lamp, |lamp, now, agenda| lamp.end(now, agenda));
    world.run_for(SECOND);
    let told = world.lamp(lamp).told().last().copied();
    assert_eq!(told, Some(Told { new: 0, old: 1, is_last: true }));
    assert!(!world.server.is_empty(), "transactions run out by themselves");
    world.run_for(ALL_TIMERS);
    assert!(world.server.is_empty(), "nothing is left after 64*T1");
    assert!(world.lamp(lamp).statuses().iter().all(|status| *status == 200));
}

#[test]
fn a_lamp_that_has_lost_its_power_is_forgotten_when_its_time_is_over() {
    let mut world = World::new();
    let lamp = world.add_lamp(MAILBOX, LASTS);
    subscribe(&mut world, lamp);
    shows(&mut world, lamp, 0, 0);
    world.lamp(lamp).is_dark = true;
    world.run_for(LASTS - 2 * SECOND);
    assert!(!world.server.is_empty());
    // The state of that moment is told to nobody, for 64*T1.
    world.run_for(2 * SECOND + ALL_TIMERS);
    assert!(world.server.is_empty());
}

#[test]
fn a_lamp_is_told_after_a_restart_without_asking() {
    let mut world = World::new();
    let lamp = world.add_lamp(MAILBOX, Duration::from_secs(3600));
    subscribe(&mut world, lamp);
    leave(&mut world, MAILBOX, &voice(1, 2));
    shows(&mut world, lamp, 1, 0);
    let mut world = world.restart(1);
    let told = world.lamp(lamp).told().len();
    world.run_for(3 * SECOND);
    assert!(world.lamp(lamp).told().len() > told, "once more");
    assert_eq!(world.lamp(lamp).statuses(), [200], "it has not asked again");
    hear(&mut world, true);
    shows(&mut world, lamp, 0, 0);
}

/// Whatever a lamp was told was so, and nothing that was so earlier came later.
fn check(world: &mut World, lamps: &[LampId], seed: u64) {
    let mailbox = mailbox("2001");
    let history = world.server.history.iter().filter(|(of, _)| *of == mailbox);
    let mut history: Vec<_> = history.map(|(_, counts)| (counts.new, counts.heard)).collect();
    history.insert(0, (0, 0));
    for lamp in lamps {
        let mut at = 0;
        for told in world.lamp(*lamp).told() {
            let counts = (told.new, told.old);
            let found = history[at..].iter().position(|then| *then == counts);
            at += found.unwrap_or_else(|| panic!("seed {seed}: {counts:?} was not so any more"));
        }
    }
}

fn run(seed: u64) {
    let mut random = Random::new(seed);
    let mut world = World::new();
    let lamps = [(); 3].map(|()| world.add_lamp(MAILBOX, LASTS));
    for lamp in lamps {
        subscribe(&mut world, lamp);
    }
    for step in 0..30 {
        let lamp = lamps[random.index(lamps.len())];
        match random.below(12) {
            0..=2 => leave(&mut world, MAILBOX, &voice(step, 2)),
            3 | 4 if counts(&world) != (0, 0) => hear(&mut world, step % 2 == 0),
            5 | 6 => subscribe(&mut world, lamp),
            7 => world.with_lamp(lamp, |lamp, now, agenda| lamp.end(now, agenda)),
            8 => world.lamp(lamp).is_dark ^= true,
            9 => world = world.restart(seed),
            _ => world.set_lamp_link(Link {
                loss_percent: random.below(40),
                duplicate_percent: random.below(30),
                jitter: Duration::from_millis(random.below(400)),
                seed,
            }),
        }
        let pause = if random.below(4) == 0 { 90_000 } else { 4000 };
        world.run_for(Duration::from_millis(random.below(pause)));
        check(&mut world, &lamps, seed);
    }
    // The link heals: within the time of one subscription every lamp is right.
    world.set_lamp_link(Link::default());
    for lamp in lamps {
        world.lamp(lamp).is_dark = false;
        if !world.lamp(lamp).is_subscribed() {
            subscribe(&mut world, lamp);
        }
    }
    world.run_for(LASTS + ALL_TIMERS);
    let counts = counts(&world);
    for lamp in lamps {
        let shown = last(&mut world, lamp);
        assert_eq!(shown, Some(counts), "seed {seed}, {lamp:?}\n{}", world.transcript());
        assert!(world.lamp(lamp).is_subscribed(), "seed {seed}");
    }
    check(&mut world, &lamps, seed);
    // One ends its subscription, one loses its power, one ends it while the link is bad.
    world.with_lamp(lamps[0], |lamp, now, agenda| lamp.end(now, agenda));
    world.lamp(lamps[1]).is_dark = true;
    world.run_for(SECOND);
    world.set_lamp_link(Link { loss_percent: 50, seed, ..Link::default() });
    world.with_lamp(lamps[2], |lamp, now, agenda| lamp.end(now, agenda));
    world.run_for(LASTS + ALL_TIMERS);
    assert!(world.server.is_empty(), "seed {seed}: something is left\n{}", world.transcript());
}

#[test]
fn whatever_link_and_crash_do_a_lamp_is_right_in_the_end_and_nothing_is_left_of_it() {
    for seed in 1..=8 {
        run(seed);
    }
}

#[test]
#[ignore = "takes minutes: make campaign runs it"]
fn five_hundred_random_runs_of_lamps() {
    for seed in 1000..1500 {
        run(seed);
    }
}
