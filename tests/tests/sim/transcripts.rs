//! Whole calls as text, with simulated times: what changed in a call shows in a diff.
//!
//! `UPDATE_TRANSCRIPTS=1` writes them anew.

use std::path::PathBuf;

use hushbox_call::signalling::Peer;
use hushbox_sip::Transport;
use hushbox_tests::world::World;
use hushbox_tests::world::caller::Offer;
use hushbox_tests::world::installation::PIN_7001;

use crate::support::{
    CM, GCM, SECOND, beep, bye, call, hears, leave, pbx, press, telephone, voice,
};

#[track_caller]
fn compare(name: &str, world: &World) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/sim/transcripts")
        .join(format!("{name}.txt"));
    let now = world.transcript();
    if std::env::var_os("UPDATE_TRANSCRIPTS").is_some() {
        std::fs::write(&path, now).expect("written");
        return;
    }
    let before =
        std::fs::read_to_string(&path).expect("a transcript; UPDATE_TRANSCRIPTS=1 writes it");
    assert!(before == now, "{name} has changed:\n{now}");
}

#[test]
fn a_message_ended_by_the_pound_key() {
    let mut world = World::new();
    leave(&mut world, "sip:1001@clinic.example", &voice(1, 5));
    compare("deposit_pound", &world);
}

#[test]
fn a_message_ended_by_hanging_up() {
    let mut world = World::new();
    let caller = pbx(&mut world);
    call(&mut world, caller, "sip:1001@clinic.example", CM);
    beep(&mut world);
    world.with(caller, |c, _, _| c.speak(&voice(1, 5)));
    world.run_for(5 * SECOND);
    bye(&mut world, caller);
    compare("deposit_hang_up", &world);
}

#[test]
fn a_message_over_plain_rtp_on_lab_with_a_hold() {
    let mut world = World::new();
    let caller = world.connect(Transport::Udp, Peer::Nobody);
    call(&mut world, caller, "sip:2001@trial.example", Offer::Plain);
    press(&mut world, caller, "#");
    beep(&mut world);
    world.with(caller, |c, _, _| c.speak(&voice(1, 4)));
    world.run_for(2 * SECOND);
    world.with(caller, |c, now, agenda| c.hold(now, agenda, true));
    world.run_for(10 * SECOND);
    world.with(caller, |c, now, agenda| c.hold(now, agenda, false));
    world.run_for(2 * SECOND);
    bye(&mut world, caller);
    compare("deposit_lab_hold", &world);
}

#[test]
fn an_offer_without_srtp() {
    let mut world = World::new();
    let caller = pbx(&mut world);
    call(&mut world, caller, "sip:1001@clinic.example", Offer::Plain);
    world.run_for(SECOND);
    compare("offer_refused", &world);
}

#[test]
fn a_caller_who_gives_up_at_once() {
    let mut world = World::new();
    let caller = pbx(&mut world);
    world.with(caller, |c, now, agenda| {
        c.invite(now, agenda, "sip:1001@clinic.example", GCM);
        c.cancel(now, agenda);
    });
    world.run_for(5 * SECOND);
    world.with(caller, |c, now, agenda| c.bye(now, agenda));
    world.run_for(SECOND);
    compare("cancel_too_late", &world);
}

#[test]
fn an_owner_listens_deletes_and_leaves() {
    let mut world = World::new();
    leave(&mut world, "sip:1001@clinic.example", &voice(1, 3));
    leave(&mut world, "sip:1001@clinic.example", &voice(2, 3));
    let owner = telephone(&mut world, "c7001");
    call(&mut world, owner, "sip:*97@clinic.example", GCM);
    hears(&mut world, owner, "enter-pin", SECOND);
    press(&mut world, owner, &format!("{PIN_7001}#"));
    hears(&mut world, owner, "menu-main", 10 * SECOND);
    press(&mut world, owner, "1");
    hears(&mut world, owner, "menu-message", 20 * SECOND);
    press(&mut world, owner, "7");
    hears(&mut world, owner, "deleted", 5 * SECOND);
    press(&mut world, owner, "6");
    hears(&mut world, owner, "menu-message", 20 * SECOND);
    press(&mut world, owner, "9");
    hears(&mut world, owner, "saved-message", 5 * SECOND);
    press(&mut world, owner, "2");
    hears(&mut world, owner, "not-available", 5 * SECOND);
    press(&mut world, owner, "#");
    world.run_for(3 * SECOND);
    compare("retrieval", &world);
}

#[test]
fn somebody_with_a_wrong_pin() {
    let mut world = World::new();
    let ward = telephone(&mut world, "cward");
    call(&mut world, ward, "sip:%2A97@clinic.example", GCM);
    for _ in 0..3 {
        hears(&mut world, ward, "enter-number", 10 * SECOND);
        press(&mut world, ward, "7001#11111111#");
        world.run_for(5 * SECOND);
    }
    world.run_for(10 * SECOND);
    compare("wrong_pin", &world);
}

#[test]
fn a_telephone_left_off_the_hook() {
    let mut world = World::new();
    let owner = telephone(&mut world, "c7001");
    call(&mut world, owner, "sip:*97@clinic.example", GCM);
    hears(&mut world, owner, "enter-pin", SECOND);
    press(&mut world, owner, &format!("{PIN_7001}#"));
    world.run_for(60 * SECOND);
    compare("idle", &world);
}
