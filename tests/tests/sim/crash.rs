//! The machine dies: what was announced as saved is there, and what was being said is there up to the last second.

use std::time::Duration;

use hushbox_store::MessageState;
use hushbox_tests::world::installation::PIN_7001;
use hushbox_tests::world::{CallerId, World};

use crate::support::{GCM, SECOND, beep, call, find, hears, pbx, press, telephone, voice};

/// A caller speaks for so long; the spool is synced each second, as the shard does it.
fn speaking(world: &mut World, message: &[u8], millis: u64) -> CallerId {
    let caller = pbx(world);
    assert_eq!(call(world, caller, "sip:1001@clinic.example", GCM), 200);
    beep(world);
    world.with(caller, |c, _, _| c.speak(message));
    let mut left = Duration::from_millis(millis);
    while left > Duration::ZERO {
        let step = left.min(SECOND);
        world.run_for(step);
        left -= step;
        if step == SECOND {
            world.server.sync_spool();
        }
    }
    caller
}

fn hear(world: &mut World) -> Vec<u8> {
    let owner = telephone(world, "c7001");
    call(world, owner, "sip:*97@clinic.example", GCM);
    hears(world, owner, "enter-pin", SECOND);
    press(world, owner, &format!("{PIN_7001}#1"));
    world.run_until("playing", 20 * SECOND, |w| w.server.stage() == Some("Playing"));
    world.run_until("its end", 60 * SECOND, |w| w.server.stage() == Some("Main"));
    world.caller(owner).heard()
}

#[test]
fn a_message_that_was_being_recorded_is_there_up_to_the_last_second() {
    for (seed, millis) in [(1, 3_300), (2, 5_900), (3, 10_050), (4, 1_990)] {
        let message = voice(seed, 20);
        let mut world = World::new();
        speaking(&mut world, &message, millis);
        let mut world = World::on(world.crash(u64::from(seed)));
        let row = world.server.rows().next().expect("recovered").clone();
        assert_eq!(row.state, MessageState::New);
        assert!(row.truncated);
        let heard = hear(&mut world);
        let (_, same) = find(&heard, &message).expect("the message is heard");
        let kept = Duration::from_micros(u64::try_from(same).unwrap() * 125);
        assert!(kept + 1500 * SECOND / 1000 >= Duration::from_millis(millis), "{millis}: {kept:?}");
    }
}

#[test]
fn what_was_announced_as_saved_survives_at_every_moment_after() {
    let message = voice(9, 4);
    for after in [0, 1, 3, 5, 20, 400, 2000] {
        let mut world = World::new();
        let caller = speaking(&mut world, &message, 4_000);
        press(&mut world, caller, "#");
        hears(&mut world, caller, "saved", SECOND);
        world.run_for(Duration::from_millis(after));
        let mut world = World::on(world.crash(after + 1));
        let rows: Vec<_> = world.server.rows().cloned().collect();
        assert_eq!(rows.len(), 1, "once, after {after} ms");
        assert!(!rows[0].truncated);
        let heard = hear(&mut world);
        assert_eq!(find(&heard, &message).expect("heard").1, message.len());
    }
}

#[test]
fn a_crash_between_the_key_and_the_sync_announces_nothing_and_loses_no_more_than_a_second() {
    let message = voice(10, 6);
    for millis in [0, 1, 2, 3, 4] {
        let mut world = World::new();
        let caller = speaking(&mut world, &message, 6_000);
        press(&mut world, caller, "#");
        world.run_until("committing", SECOND, |w| w.server.stage() == Some("Committing"));
        world.run_for(Duration::from_millis(millis));
        assert!(!world.caller(caller).take_prompts().contains(&"saved"));
        let world = World::on(world.crash(millis + 20));
        assert_eq!(world.server.rows().count(), 1);
    }
}
