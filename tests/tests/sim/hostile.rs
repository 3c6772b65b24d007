//! What must change nothing, and what must be refused: forged packets, downgrades, missing keys, lost objects.

use std::net::SocketAddr;

use hushbox_store::keys::RootKey;
use hushbox_tests::world::World;
use hushbox_tests::world::installation::{PIN_7001, PIN_7002};

use crate::support::{
    GCM, SECOND, beep, bye, call, find, hears, leave, pbx, press, telephone, voice,
};

fn stranger() -> SocketAddr {
    "203.0.113.66:4000".parse().expect("an address")
}

/// A packet of PCMU in clear, with this sequence number.
fn plain(sequence: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x80, 0];
    packet.extend_from_slice(&sequence.to_be_bytes());
    packet.extend_from_slice(&[0, 1, 0, 0, 0x12, 0x34, 0, 1]);
    packet.extend_from_slice(payload);
    packet
}

#[test]
fn packets_in_clear_or_forged_change_nothing_in_an_srtp_call() {
    let mut world = World::new();
    let caller = pbx(&mut world);
    call(&mut world, caller, "sip:1001@clinic.example", GCM);
    beep(&mut world);
    world.with(caller, |c, _, _| c.speak(&voice(1, 4)));
    for n in 0..200u16 {
        world.run_for(SECOND / 50);
        world.inject(stranger(), &plain(n, &[0x10; 160]));
        // A key press in clear: `#` would end the message.
        let mut key = plain(n, &[11, 0x8a, 3, 0x20]);
        key[1] = 101;
        world.inject(stranger(), &key);
        world.inject(stranger(), &[0x80; 300]);
    }
    assert_eq!(world.server.stage(), Some("Recording"));
    bye(&mut world, caller);
    let report = world.reports()[0].leg.expect("a leg");
    assert!(report.auth_failures + report.dropped + report.replays >= 600, "{report:?}");
    let owner = telephone(&mut world, "c7001");
    call(&mut world, owner, "sip:*97@clinic.example", GCM);
    hears(&mut world, owner, "enter-pin", SECOND);
    press(&mut world, owner, &format!("{PIN_7001}#1"));
    world.run_until("playing", 20 * SECOND, |w| w.server.stage() == Some("Playing"));
    world.run_until("its end", 30 * SECOND, |w| w.server.stage() == Some("Main"));
    let (_, same) = find(&world.caller(owner).heard(), &voice(1, 4)).expect("the message");
    assert_eq!(same, voice(1, 4).len(), "nothing of what was injected is in it");
}

#[test]
fn a_downgrade_to_plain_rtp_in_a_call_gets_488_and_the_call_goes_on() {
    let mut world = World::new();
    let caller = pbx(&mut world);
    call(&mut world, caller, "sip:1001@clinic.example", GCM);
    beep(&mut world);
    world.with(caller, |c, _, _| c.speak(&voice(1, 4)));
    world.run_for(SECOND);
    let plain: String = world
        .caller(caller)
        .description()
        .replace("RTP/SAVP", "RTP/AVP")
        .lines()
        .filter(|line| !line.starts_with("a=crypto"))
        .map(|line| format!("{line}\r\n"))
        .collect();
    world.with(caller, |c, now, agenda| c.reinvite(now, agenda, &plain));
    world.run_for(3 * SECOND);
    let answer = world.caller(caller).answer().expect("an answer").status;
    assert_eq!(answer, 488);
    assert_eq!(world.server.stage(), Some("Recording"));
    bye(&mut world, caller);
    let length = world.server.rows().next().expect("a message").duration();
    assert!(length >= 4 * SECOND, "{length:?}");
}

#[test]
fn garbage_in_a_connection_or_a_datagram_disturbs_no_call() {
    let mut world = World::new();
    let caller = pbx(&mut world);
    call(&mut world, caller, "sip:1001@clinic.example", GCM);
    beep(&mut world);
    world.with(caller, |c, _, _| c.speak(&voice(1, 2)));
    for n in 0..100u8 {
        let bytes: Vec<u8> = (0..500u16).map(|i| (i as u8).wrapping_mul(n) ^ n).collect();
        world.garbage(&bytes);
        world.inject(stranger(), &bytes);
        world.run_for(SECOND / 50);
    }
    assert_eq!(world.server.stage(), Some("Recording"));
    bye(&mut world, caller);
    assert_eq!(world.server.rows().count(), 1);
}

#[test]
fn with_another_root_key_nothing_opens_and_the_caller_hears_so() {
    let mut world = World::new();
    leave(&mut world, "sip:1001@clinic.example", &voice(1, 2));
    world.server.installation_mut().root = RootKey::from_bytes(&[99; 32]);
    let owner = telephone(&mut world, "c7001");
    call(&mut world, owner, "sip:*97@clinic.example", GCM);
    hears(&mut world, owner, "enter-pin", SECOND);
    press(&mut world, owner, &format!("{PIN_7001}#"));
    hears(&mut world, owner, "cannot-be-opened", 10 * SECOND);
    world.run_until("BYE", 10 * SECOND, |w| w.caller(owner).hung_up_on);
    world.run_for(SECOND);
    assert_eq!(world.reports()[1].end.to_string(), "unavailable");
    // Messages are taken all the same.
    leave(&mut world, "sip:1001@clinic.example", &voice(2, 2));
    assert_eq!(world.server.rows().count(), 2);
}

#[test]
fn a_lost_object_is_said_and_passed_over() {
    let mut world = World::new();
    leave(&mut world, "sip:1001@clinic.example", &voice(1, 2));
    world.server.installation_mut().objects.clear();
    let owner = telephone(&mut world, "c7001");
    call(&mut world, owner, "sip:*97@clinic.example", GCM);
    hears(&mut world, owner, "enter-pin", SECOND);
    press(&mut world, owner, &format!("{PIN_7001}#1"));
    hears(&mut world, owner, "cannot-play", 10 * SECOND);
    assert_eq!(world.server.stage(), Some("Main"), "the session goes on");
}

#[test]
fn a_message_that_the_log_does_not_know_is_not_played() {
    let mut world = World::new();
    leave(&mut world, "sip:1001@clinic.example", &voice(1, 2));
    // Delivered, and its place in the spool freed: nothing makes its record anew.
    world.server.sync_spool();
    world.server.sync_spool();
    let mut installation = world.crash(1);
    installation.audit.clear();
    let mut world = World::on(installation);
    let owner = telephone(&mut world, "c7001");
    call(&mut world, owner, "sip:*97@clinic.example", GCM);
    hears(&mut world, owner, "enter-pin", SECOND);
    press(&mut world, owner, &format!("{PIN_7001}#1"));
    hears(&mut world, owner, "cannot-play", 10 * SECOND);
}

#[test]
fn a_row_moved_to_another_mailbox_does_not_open_there() {
    let mut world = World::new();
    leave(&mut world, "sip:1001@clinic.example", &voice(1, 2));
    for row in world.server.installation_mut().rows.values_mut() {
        row.mailbox = hushbox_tests::world::installation::mailbox("1002");
    }
    let owner = telephone(&mut world, "c7002");
    call(&mut world, owner, "sip:*97@clinic.example", GCM);
    hears(&mut world, owner, "enter-pin", SECOND);
    press(&mut world, owner, &format!("{PIN_7002}#2"));
    hears(&mut world, owner, "menu-main", 10 * SECOND);
    press(&mut world, owner, "1");
    hears(&mut world, owner, "cannot-play", 10 * SECOND);
    assert!(find(&world.caller(owner).heard(), &voice(1, 2)).is_none());
}

#[test]
fn a_desk_telephone_opens_its_mailbox_to_whoever_has_a_grant_and_to_nobody_else() {
    let mut world = World::new();
    leave(&mut world, "sip:1001@clinic.example", &voice(1, 2));
    leave(&mut world, "sip:1002@clinic.example", &voice(2, 2));
    let desk = telephone(&mut world, "cdesk");
    call(&mut world, desk, "sip:*97@clinic.example", GCM);
    hears(&mut world, desk, "enter-number", SECOND);
    // 7002 has two mailboxes; this telephone is bound to one, so nothing is to be chosen.
    press(&mut world, desk, &format!("7002#{PIN_7002}#"));
    hears(&mut world, desk, "you-have", 20 * SECOND);
    world.run_for(SECOND);
    assert_eq!(world.caller(desk).take_prompts()[..2], ["1", "new-message"]);
    bye(&mut world, desk);
    // Person 7101 is of another account: unknown here, whatever the PIN.
    let desk = telephone(&mut world, "cdesk");
    call(&mut world, desk, "sip:*97@clinic.example", GCM);
    hears(&mut world, desk, "enter-number", SECOND);
    press(&mut world, desk, "7101#31415926#");
    hears(&mut world, desk, "wrong-login", 20 * SECOND);
}
