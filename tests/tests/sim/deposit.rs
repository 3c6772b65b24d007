//! Leaving messages.

use std::time::Duration;

use hushbox_store::MessageState;
use hushbox_tests::world::World;

use crate::support::{CM, GCM, SECOND, beep, bye, call, hears, leave, pbx, press, voice};

#[test]
fn a_caller_leaves_a_message_and_hears_that_it_is_saved() {
    let mut world = World::new();
    let caller = pbx(&mut world);
    assert_eq!(call(&mut world, caller, "sip:1001@clinic.example", GCM), 200);
    beep(&mut world);
    let heard = world.caller(caller).take_prompts();
    assert_eq!(
        heard,
        [
            "greeting-default",
            "1",
            "0",
            "0",
            "1",
            "greeting-unavailable",
            "notice-hipaa",
            "leave-message-after-beep",
            "a tone or voice"
        ]
    );
    world.with(caller, |c, _, _| c.speak(&voice(1, 5)));
    world.run_for(5 * SECOND);
    press(&mut world, caller, "#");
    hears(&mut world, caller, "saved", SECOND);
    world.run_until("BYE", 10 * SECOND, |w| w.caller(caller).hung_up_on);
    world.run_for(SECOND);
    let rows: Vec<_> = world.server.rows().cloned().collect();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].state, MessageState::New);
    let length = rows[0].duration();
    assert!(length >= 5 * SECOND && length < 5 * SECOND + Duration::from_millis(120), "{length:?}");
    assert_eq!(world.reports().len(), 1);
    assert_eq!(world.reports()[0].end.to_string(), "completed");
    assert!(world.server.is_quiet(), "tables are empty when quiet");
    assert_eq!(world.caller(caller).broken_packets(), 0);
    println!("{}", world.transcript());
}

#[test]
fn hanging_up_saves_what_was_said() {
    let mut world = World::new();
    let caller = pbx(&mut world);
    assert_eq!(call(&mut world, caller, "sip:1001@clinic.example", CM), 200);
    beep(&mut world);
    world.with(caller, |c, _, _| c.speak(&voice(1, 3)));
    world.run_for(3 * SECOND);
    bye(&mut world, caller);
    assert_eq!(world.server.rows().count(), 1);
    assert_eq!(world.reports()[0].end.to_string(), "caller-hung-up");
    assert!(world.reports()[0].saved.is_some());
}

#[test]
fn two_messages_are_two() {
    let mut world = World::new();
    leave(&mut world, "sip:1001@clinic.example", &voice(1, 2));
    leave(&mut world, "sip:2001@trial.example", &voice(2, 2));
    assert_eq!(world.server.rows().count(), 2);
}
