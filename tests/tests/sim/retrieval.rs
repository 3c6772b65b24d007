//! Hearing messages: log-in, list, playing, keys.

use std::time::Duration;

use hushbox_audit::EventName;
use hushbox_call::call::Unplayable;
use hushbox_store::{MessageState, ObjectsError};
use hushbox_tests::world::installation::{PIN_7001, PIN_7002};
use hushbox_tests::world::{CallerId, World};

use crate::support::{GCM, SECOND, bye, call, find, hears, leave, pbx, press, telephone, voice};

/// Calls `*97` from a telephone of one person and logs in.
fn log_in(world: &mut World, name: &str, pin: &str) -> CallerId {
    let owner = telephone(world, name);
    assert_eq!(call(world, owner, "sip:*97@clinic.example", GCM), 200);
    hears(world, owner, "enter-pin", SECOND);
    press(world, owner, &format!("{pin}#"));
    owner
}

/// Presses a key that starts a message, and waits until it is announced.
fn announced(world: &mut World, owner: CallerId, key: &str) {
    press(world, owner, key);
    world.run_until("its announcement", SECOND, |w| w.server.stage() == Some("Announcing"));
}

/// Waits until a message sounds.
fn sounds(world: &mut World, owner: CallerId) {
    world.run_until("the message", 10 * SECOND, |w| w.server.stage() == Some("Playing"));
    world.run_until("its sound", SECOND, |w| w.caller(owner).hears_voice());
}

fn events(world: &World) -> Vec<EventName> {
    world.server.records().iter().map(|record| record.event.name).collect()
}

#[test]
fn an_owner_hears_the_message_octet_for_octet() {
    let mut world = World::new();
    let message = voice(7, 5);
    leave(&mut world, "sip:1001@clinic.example", &message);
    let owner = log_in(&mut world, "c7001", PIN_7001);
    hears(&mut world, owner, "menu-main", 10 * SECOND);
    press(&mut world, owner, "1");
    sounds(&mut world, owner);
    hears(&mut world, owner, "menu-message", 10 * SECOND);
    let heard = world.caller(owner).heard();
    let (_, same) = find(&heard, &message).expect("the message is heard");
    assert_eq!(same, message.len(), "every octet of it");
    world.run_for(SECOND / 10);
    assert_eq!(world.server.rows().next().unwrap().state, MessageState::Heard);
    press(&mut world, owner, "#");
    world.run_until("BYE", 5 * SECOND, |w| w.caller(owner).hung_up_on);
    world.run_for(SECOND);
    assert_eq!(world.reports()[1].end.to_string(), "logged-off");
    assert!(world.server.is_quiet());
    assert_eq!(world.caller(owner).broken_packets(), 0);
}

#[test]
fn counts_and_announcement_are_spoken_with_the_time_of_the_mailbox() {
    let mut world = World::new();
    leave(&mut world, "sip:1001@clinic.example", &voice(1, 2));
    leave(&mut world, "sip:1001@clinic.example", &voice(2, 2));
    let owner = log_in(&mut world, "c7001", PIN_7001);
    world.run_for(8 * SECOND);
    assert_eq!(world.caller(owner).take_prompts(), ["you-have", "2", "new-messages", "menu-main"]);
    press(&mut world, owner, "1");
    sounds(&mut world, owner);
    // 16:05 UTC is 12:05 in New York, four hours behind since the day before.
    assert_eq!(
        world.caller(owner).take_prompts(),
        ["first", "message", "received", "today", "at", "12", "oh", "5", "pm", "a tone or voice"]
    );
    announced(&mut world, owner, "6");
    sounds(&mut world, owner);
    let announced = world.caller(owner).take_prompts();
    assert_eq!(announced[..3], ["last", "message", "received"]);
    bye(&mut world, owner);
    world.run_for(SECOND);
    let states: Vec<_> = world.server.rows().map(|row| row.state).collect();
    assert_eq!(states, [MessageState::New, MessageState::New], "neither was heard to its end");
}

#[test]
fn each_listen_is_written_down_before_anything_is_heard() {
    let mut world = World::new();
    leave(&mut world, "sip:1001@clinic.example", &voice(1, 2));
    let owner = log_in(&mut world, "c7001", PIN_7001);
    hears(&mut world, owner, "menu-main", 10 * SECOND);
    press(&mut world, owner, "1");
    world.run_until("playing", 10 * SECOND, |w| w.server.stage() == Some("Playing"));
    assert_eq!(events(&world).last(), Some(&EventName::MsgPlayStart));
    bye(&mut world, owner);
    world.run_for(SECOND);
    let names = events(&world);
    for name in [
        EventName::AuthOk,
        EventName::SessionStart,
        EventName::MsgPlayStart,
        EventName::MsgPlayStop,
        EventName::SessionEnd,
    ] {
        assert_eq!(names.iter().filter(|n| **n == name).count(), 1, "{name}");
    }
}

#[test]
fn nothing_is_played_when_it_cannot_be_written_down() {
    let mut world = World::new();
    leave(&mut world, "sip:1001@clinic.example", &voice(1, 2));
    let owner = log_in(&mut world, "c7001", PIN_7001);
    hears(&mut world, owner, "menu-main", 10 * SECOND);
    world.server.audit_fails = true;
    press(&mut world, owner, "1");
    hears(&mut world, owner, "system-unavailable", 5 * SECOND);
    world.run_until("BYE", 10 * SECOND, |w| w.caller(owner).hung_up_on);
    world.run_for(SECOND);
    assert!(find(&world.caller(owner).heard(), &voice(1, 2)).is_none());
    assert_eq!(world.reports()[1].end.to_string(), "unavailable");
}

#[test]
fn a_deleted_message_leaves_the_list_when_the_call_ends() {
    let mut world = World::new();
    leave(&mut world, "sip:1001@clinic.example", &voice(1, 2));
    leave(&mut world, "sip:1001@clinic.example", &voice(2, 2));
    let owner = log_in(&mut world, "c7001", PIN_7001);
    hears(&mut world, owner, "menu-main", 10 * SECOND);
    press(&mut world, owner, "1");
    sounds(&mut world, owner);
    press(&mut world, owner, "7");
    hears(&mut world, owner, "deleted", 5 * SECOND);
    announced(&mut world, owner, "6");
    sounds(&mut world, owner);
    press(&mut world, owner, "7");
    hears(&mut world, owner, "deleted", 5 * SECOND);
    press(&mut world, owner, "7");
    hears(&mut world, owner, "undeleted", 5 * SECOND);
    assert!(world.server.rows().all(|row| row.state == MessageState::New), "not before the end");
    bye(&mut world, owner);
    world.run_for(SECOND);
    let states: Vec<_> = world.server.rows().map(|row| row.state).collect();
    assert_eq!(states, [MessageState::Deleted, MessageState::New]);
    let owner = log_in(&mut world, "c7001", PIN_7001);
    world.run_for(8 * SECOND);
    assert_eq!(world.caller(owner).take_prompts()[..3], ["you-have", "1", "new-message"]);
}

#[test]
fn nine_saves_at_once() {
    let mut world = World::new();
    leave(&mut world, "sip:1001@clinic.example", &voice(1, 2));
    let owner = log_in(&mut world, "c7001", PIN_7001);
    hears(&mut world, owner, "menu-main", 10 * SECOND);
    press(&mut world, owner, "1");
    sounds(&mut world, owner);
    press(&mut world, owner, "9");
    hears(&mut world, owner, "saved-message", 5 * SECOND);
    assert_eq!(world.server.rows().next().unwrap().state, MessageState::Heard);
}

#[test]
fn forward_back_pause_and_restart_move_the_ear() {
    let mut world = World::new();
    let message = voice(3, 12);
    leave(&mut world, "sip:1001@clinic.example", &message);
    let owner = log_in(&mut world, "c7001", PIN_7001);
    hears(&mut world, owner, "menu-main", 10 * SECOND);
    press(&mut world, owner, "1");
    sounds(&mut world, owner);
    let place = |world: &mut World| {
        let heard = world.caller(owner).heard();
        let last = &heard[heard.len() - 160..];
        let at = message.windows(160).position(|piece| piece == last).expect("a piece of it");
        Duration::from_micros(u64::try_from(at).unwrap() * 125)
    };
    world.run_for(SECOND);
    let before = place(&mut world);
    press(&mut world, owner, "#");
    world.run_for(SECOND);
    let after = place(&mut world);
    let jumped = after - before;
    assert!(jumped > 3 * SECOND && jumped < 4200 * SECOND / 1000, "{jumped:?}");
    press(&mut world, owner, "*");
    world.run_for(SECOND);
    let back = place(&mut world);
    assert!(after - back > 1800 * SECOND / 1000 && after - back < 2200 * SECOND / 1000, "{back:?}");
    press(&mut world, owner, "0");
    world.run_until("a pause", SECOND, |w| w.server.stage() == Some("Paused"));
    world.run_for(SECOND / 10);
    let heard = world.caller(owner).heard().len();
    world.run_for(3 * SECOND);
    assert_eq!(world.caller(owner).heard().len(), heard);
    press(&mut world, owner, "0");
    world.run_for(SECOND);
    let resumed = place(&mut world);
    assert!(resumed > back && resumed - back < 2 * SECOND, "{back:?} {resumed:?}");
    press(&mut world, owner, "2");
    world.run_for(SECOND);
    assert!(place(&mut world) < 1200 * SECOND / 1000);
}

#[test]
fn a_flipped_bit_is_never_heard() {
    let mut world = World::new();
    leave(&mut world, "sip:1001@clinic.example", &voice(1, 5));
    leave(&mut world, "sip:1001@clinic.example", &voice(2, 5));
    let mut installation = world.crash(1);
    let first = installation.rows.values().next().unwrap().object_key.clone();
    let mut object = installation.objects[&first].to_vec();
    let middle = object.len() / 2;
    object[middle] ^= 1;
    installation.objects.insert(first, object.into());
    let mut world = World::on(installation);
    let owner = log_in(&mut world, "c7001", PIN_7001);
    hears(&mut world, owner, "menu-main", 10 * SECOND);
    press(&mut world, owner, "1");
    hears(&mut world, owner, "cannot-play", 10 * SECOND);
    assert!(
        events(&world).contains(&EventName::IntegrityFailure) || {
            world.run_for(SECOND);
            events(&world).contains(&EventName::IntegrityFailure)
        }
    );
    assert!(matches!(world.server.unplayable[..], [(_, Unplayable::Damaged(_))]), "and it is said");
    announced(&mut world, owner, "6");
    sounds(&mut world, owner);
    world.run_for(6 * SECOND);
    let heard = world.caller(owner).heard();
    assert!(find(&heard, &voice(1, 5)).is_none(), "nothing of the bad one");
    assert!(find(&heard, &voice(2, 5)).is_some(), "the next one is fine");
}

#[test]
fn audio_that_is_gone_is_a_failure_of_integrity() {
    let mut world = World::new();
    leave(&mut world, "sip:1001@clinic.example", &voice(1, 5));
    let owner = log_in(&mut world, "c7001", PIN_7001);
    hears(&mut world, owner, "menu-main", 10 * SECOND);
    world.server.objects_fail = Some(ObjectsError::NotFound);
    press(&mut world, owner, "1");
    hears(&mut world, owner, "cannot-play", 10 * SECOND);
    world.run_for(SECOND);
    assert!(events(&world).contains(&EventName::IntegrityFailure));
    assert!(matches!(world.server.unplayable[..], [(_, Unplayable::Gone)]));
}

#[test]
fn audio_that_cannot_be_read_now_is_not_called_damaged() {
    let mut world = World::new();
    leave(&mut world, "sip:1001@clinic.example", &voice(1, 5));
    let owner = log_in(&mut world, "c7001", PIN_7001);
    hears(&mut world, owner, "menu-main", 10 * SECOND);
    world.server.objects_fail = Some(ObjectsError::Unavailable("a bad sector".to_owned()));
    press(&mut world, owner, "1");
    hears(&mut world, owner, "cannot-play", 10 * SECOND);
    world.run_for(SECOND);
    assert!(matches!(world.server.unplayable[..], [(_, Unplayable::Objects(_))]));
    let written = events(&world);
    assert!(!written.contains(&EventName::IntegrityFailure), "{written:?}");
    assert!(written.contains(&EventName::MsgPlayStop), "the log says that it was not heard");
}

#[test]
fn a_person_with_two_mailboxes_chooses_by_key() {
    let mut world = World::new();
    leave(&mut world, "sip:1002@clinic.example", &voice(1, 2));
    let owner = log_in(&mut world, "c7002", PIN_7002);
    hears(&mut world, owner, "choose-mailbox", 5 * SECOND);
    press(&mut world, owner, "2");
    hears(&mut world, owner, "you-have", 5 * SECOND);
    world.run_for(2 * SECOND);
    assert_eq!(world.caller(owner).take_prompts()[..2], ["1", "new-message"]);
}

#[test]
fn three_wrong_pins_end_the_call_and_type_ahead_is_not_tried() {
    let mut world = World::new();
    let owner = telephone(&mut world, "c7001");
    call(&mut world, owner, "sip:*97@clinic.example", GCM);
    for _ in 0..3 {
        hears(&mut world, owner, "enter-pin", 10 * SECOND);
        press(&mut world, owner, "11111111#22#");
    }
    hears(&mut world, owner, "wrong-login", 20 * SECOND);
    world.run_until("BYE", 20 * SECOND, |w| w.caller(owner).hung_up_on);
    world.run_for(SECOND);
    assert_eq!(world.server.comparisons, 3);
    assert_eq!(world.reports()[0].end.to_string(), "login-failed");
    assert_eq!(events(&world).iter().filter(|n| **n == EventName::AuthFail).count(), 3);
}

#[test]
fn ten_wrong_pins_lock_the_telephone_for_that_person_and_the_lock_is_said_first() {
    let mut world = World::new();
    let owner = telephone(&mut world, "c7001");
    let count = |world: &World, name| events(world).iter().filter(|n| **n == name).count();
    let mut tries = 0;
    while tries < 10 {
        call(&mut world, owner, "sip:*97@clinic.example", GCM);
        for _ in 0..3 {
            world.run_until("a question", 10 * SECOND, |w| {
                matches!(w.server.stage(), Some("Pin" | "Farewell") | None)
            });
            if world.server.stage() != Some("Pin") {
                break;
            }
            press(&mut world, owner, "11111111#");
            tries += 1;
            world.run_until("verifying", 5 * SECOND, |w| w.server.stage() == Some("Verifying"));
            world.run_until("an answer", 9 * SECOND, |w| w.server.stage() != Some("Verifying"));
            if tries <= 10 {
                let locks = usize::from(tries == 10);
                assert_eq!(count(&world, EventName::AuthLock), locks, "the tenth brings the lock");
            }
        }
        world.run_until("the end", 20 * SECOND, |w| w.server.is_quiet());
        world.run_for(SECOND);
    }
    assert_eq!(world.server.comparisons, 10);
    assert_eq!(count(&world, EventName::AuthFail), 10);
    let locks = count(&world, EventName::AuthLock);
    call(&mut world, owner, "sip:*97@clinic.example", GCM);
    hears(&mut world, owner, "locked", 5 * SECOND);
    world.run_until("BYE", 20 * SECOND, |w| w.caller(owner).hung_up_on);
    world.run_for(SECOND);
    assert_eq!(world.server.comparisons, 10, "the right PIN would not have been compared");
    assert_eq!(world.reports().last().unwrap().end.to_string(), "locked");
    assert_eq!(count(&world, EventName::AuthFail), 10);
    assert_eq!(count(&world, EventName::AuthLock), locks + 1);
    // The same person from another telephone of theirs is not locked out.
    let ward = telephone(&mut world, "cward");
    call(&mut world, ward, "sip:*97@clinic.example", GCM);
    hears(&mut world, ward, "enter-number", SECOND);
    press(&mut world, ward, &format!("7001#{PIN_7001}#"));
    hears(&mut world, ward, "no-messages", 10 * SECOND);
}

#[test]
fn right_and_wrong_pins_are_answered_alike_while_tries_cannot_be_written_down() {
    let answers = [PIN_7001, "11111111"].map(|pin| {
        let mut world = World::new();
        let owner = telephone(&mut world, "c7001");
        call(&mut world, owner, "sip:*97@clinic.example", GCM);
        hears(&mut world, owner, "enter-pin", SECOND);
        world.server.audit_fails = true;
        press(&mut world, owner, &format!("{pin}#"));
        world.run_until("BYE", 20 * SECOND, |w| w.caller(owner).hung_up_on);
        world.run_for(SECOND);
        assert_eq!(world.server.comparisons, 1);
        (world.caller(owner).take_prompts(), world.reports()[0].end.to_string())
    });
    assert_eq!(answers[0], answers[1]);
    assert!(answers[0].0.contains(&"system-unavailable"), "{:?}", answers[0]);
    assert_eq!(answers[0].1, "unavailable");
}

#[test]
fn on_a_shared_telephone_number_and_pin_are_judged_together() {
    let mut world = World::new();
    let ward = telephone(&mut world, "cward");
    call(&mut world, ward, "sip:*97@clinic.example", GCM);
    hears(&mut world, ward, "enter-number", SECOND);
    // Nobody has this number; its PIN is asked for all the same, and it is answered as slowly.
    press(&mut world, ward, "7999#12345678#");
    world.run_until("verifying", 20 * SECOND, |w| w.server.stage() == Some("Verifying"));
    let asked = world.now().monotonic;
    hears(&mut world, ward, "wrong-login", 5 * SECOND);
    let unknown = world.now().monotonic - asked;
    world.run_until("number", 5 * SECOND, |w| w.server.stage() == Some("Number"));
    press(&mut world, ward, "7001#12345678#");
    world.run_until("verifying", 20 * SECOND, |w| w.server.stage() == Some("Verifying"));
    let asked = world.now().monotonic;
    hears(&mut world, ward, "wrong-login", 5 * SECOND);
    let known = world.now().monotonic - asked;
    let jitter = Duration::from_millis(40);
    assert!(unknown >= SECOND && unknown < SECOND + jitter, "{unknown:?}");
    assert!(known >= 2 * SECOND && known < 2 * SECOND + jitter, "{known:?}");
}

#[test]
fn from_the_trunk_nobody_is_asked_for_a_number() {
    let mut world = World::new();
    let caller = pbx(&mut world);
    assert_eq!(call(&mut world, caller, "sip:%2A97@clinic.example", GCM), 200);
    world.run_until("BYE", 10 * SECOND, |w| w.caller(caller).hung_up_on);
    assert_eq!(world.caller(caller).take_prompts(), ["not-from-this-telephone"]);
}

#[test]
fn a_silent_owner_is_logged_off_within_45_seconds_also_on_hold() {
    for hold in [false, true] {
        let mut world = World::new();
        let owner = log_in(&mut world, "c7001", PIN_7001);
        hears(&mut world, owner, "no-messages", 10 * SECOND);
        let start = world.now().monotonic;
        if hold {
            world.with(owner, |c, now, agenda| c.hold(now, agenda, true));
        }
        world.run_until("BYE", 60 * SECOND, |w| w.caller(owner).hung_up_on);
        let silent = world.now().monotonic - start;
        assert!(silent <= 45 * SECOND, "{silent:?}");
        world.run_for(SECOND);
        assert_eq!(world.reports()[0].end.to_string(), "idle");
    }
}

#[test]
fn taking_a_grant_away_ends_the_session() {
    let mut world = World::new();
    leave(&mut world, "sip:1001@clinic.example", &voice(1, 20));
    let owner = log_in(&mut world, "c7001", PIN_7001);
    hears(&mut world, owner, "menu-main", 10 * SECOND);
    press(&mut world, owner, "1");
    sounds(&mut world, owner);
    world.change_directory(|entity| !matches!(entity, hushbox_store::model::Entity::Grant(_)));
    world.run_until("BYE", SECOND, |w| w.caller(owner).hung_up_on);
    world.run_for(SECOND);
    assert_eq!(world.reports()[1].end.to_string(), "revoked");
}
