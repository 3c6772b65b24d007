//! Leaving messages.

use std::time::Duration;

use hushbox_call::call::Recording;
use hushbox_call::signalling::Peer;
use hushbox_sip::Transport;
use hushbox_store::MessageState;
use hushbox_tests::world::World;
use hushbox_tests::world::caller::Offer;

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
    assert_eq!(world.reports()[0].stage, "Committing");
    assert!(world.reports()[0].saved.is_some());
}

#[test]
fn two_messages_are_two() {
    let mut world = World::new();
    leave(&mut world, "sip:1001@clinic.example", &voice(1, 2));
    leave(&mut world, "sip:2001@trial.example", &voice(2, 2));
    assert_eq!(world.server.rows().count(), 2);
}

#[test]
fn on_a_standard_mailbox_over_plain_rtp_there_is_no_notice() {
    let mut world = World::new();
    let caller = world.connect(Transport::Udp, Peer::Nobody);
    assert_eq!(call(&mut world, caller, "sip:2001@trial.example", Offer::Plain), 200);
    beep(&mut world);
    assert!(!world.caller(caller).take_prompts().contains(&"notice-hipaa"));
    world.with(caller, |c, _, _| c.speak(&voice(1, 3)));
    world.run_for(3 * SECOND);
    bye(&mut world, caller);
    assert_eq!(world.server.rows().count(), 1);
}

#[test]
fn an_offer_without_srtp_on_tls_gets_488_and_leaves_nothing() {
    let mut world = World::new();
    let caller = pbx(&mut world);
    assert_eq!(call(&mut world, caller, "sip:1001@clinic.example", Offer::Plain), 488);
    let warning = world.caller(caller).answer().unwrap().field("Warning").map(ToOwned::to_owned);
    assert!(warning.is_some_and(|text| text.starts_with("399 ") || text.starts_with("30")));
    world.run_for(40 * SECOND);
    assert_eq!(world.reports()[0].end.to_string(), "offer-refused");
    assert!(world.server.is_quiet());
}

#[test]
fn an_invite_without_an_offer_gets_ours_and_the_ack_brings_the_answer() {
    let mut world = World::new();
    let caller = pbx(&mut world);
    assert_eq!(call(&mut world, caller, "sip:1001@clinic.example", Offer::Nothing), 200);
    beep(&mut world);
    world.with(caller, |c, _, _| c.speak(&voice(1, 3)));
    world.run_for(3 * SECOND);
    bye(&mut world, caller);
    assert_eq!(world.server.rows().count(), 1);
    assert_eq!(world.caller(caller).broken_packets(), 0);
}

#[test]
fn hash_skips_greeting_and_notice_but_not_the_beep() {
    let mut world = World::new();
    let caller = pbx(&mut world);
    call(&mut world, caller, "sip:1001@clinic.example", GCM);
    world.run_for(SECOND / 2);
    press(&mut world, caller, "#");
    hears(&mut world, caller, "a tone or voice", SECOND / 2);
    assert_eq!(world.server.stage(), Some("Beep"));
}

#[test]
fn ten_seconds_of_silence_end_the_message_and_stay_in_it() {
    let mut world = World::new();
    let caller = pbx(&mut world);
    call(&mut world, caller, "sip:1001@clinic.example", GCM);
    beep(&mut world);
    world.with(caller, |c, _, _| c.speak(&voice(1, 3)));
    hears(&mut world, caller, "saved", 15 * SECOND);
    world.run_for(2 * SECOND);
    let length = world.server.rows().next().unwrap().duration();
    assert!(length >= 12_900 * SECOND / 1000 && length <= 13_200 * SECOND / 1000, "{length:?}");
}

#[test]
fn a_message_ends_after_180_seconds() {
    let mut world = World::new();
    let caller = pbx(&mut world);
    call(&mut world, caller, "sip:1001@clinic.example", GCM);
    beep(&mut world);
    world.with(caller, |c, _, _| c.speak(&voice(1, 200)));
    hears(&mut world, caller, "saved", 185 * SECOND);
    world.run_for(2 * SECOND);
    let length = world.server.rows().next().unwrap().duration();
    assert!(length >= 179 * SECOND && length <= 181 * SECOND, "{length:?}");
}

#[test]
fn without_a_packet_or_with_digital_silence_alone_there_is_no_message() {
    for sending in [false, true] {
        let mut world = World::new();
        let caller = pbx(&mut world);
        call(&mut world, caller, "sip:1001@clinic.example", GCM);
        beep(&mut world);
        world.with(caller, |c, _, _| c.set_sending(sending));
        world.run_until("BYE", 60 * SECOND, |w| w.caller(caller).hung_up_on);
        world.run_for(SECOND);
        assert_eq!(world.server.rows().count(), 0);
        assert_eq!(world.reports()[0].end.to_string(), "nothing-recorded");
        assert!(!world.caller(caller).take_prompts().contains(&"saved"));
        // A crash afterwards brings nothing back.
        let world = World::on(world.crash(3));
        assert_eq!(world.server.rows().count(), 0);
    }
}

#[test]
fn a_message_without_a_voice_is_kept_as_quiet() {
    let mut world = World::new();
    let caller = pbx(&mut world);
    call(&mut world, caller, "sip:1001@clinic.example", GCM);
    beep(&mut world);
    // Not digital silence, and far below -45 dBm0.
    world.with(caller, |c, _, _| c.speak(&[0xf8, 0x78].repeat(16_000)));
    world.run_for(4 * SECOND);
    bye(&mut world, caller);
    assert_eq!(world.server.rows().next().unwrap().state, MessageState::Quiet);
}

#[test]
fn hold_pauses_the_recording_and_five_minutes_of_it_end_the_call_with_the_message_saved() {
    let mut world = World::new();
    let caller = pbx(&mut world);
    call(&mut world, caller, "sip:1001@clinic.example", GCM);
    beep(&mut world);
    world.with(caller, |c, _, _| c.speak(&voice(1, 3)));
    world.run_for(3 * SECOND);
    world.with(caller, |c, now, agenda| c.hold(now, agenda, true));
    world.run_for(60 * SECOND);
    assert_eq!(world.server.stage(), Some("Recording"), "the timer rests too");
    world.run_until("BYE", 250 * SECOND, |w| w.caller(caller).hung_up_on);
    world.run_for(SECOND);
    assert_eq!(world.reports()[0].end.to_string(), "held-too-long");
    let length = world.server.rows().next().unwrap().duration();
    assert!(length >= 2900 * SECOND / 1000 && length < 3200 * SECOND / 1000, "{length:?}");
}

#[test]
fn what_is_said_after_a_hold_follows_what_was_said_before_it() {
    let mut world = World::new();
    let caller = pbx(&mut world);
    call(&mut world, caller, "sip:1001@clinic.example", GCM);
    beep(&mut world);
    world.with(caller, |c, _, _| c.speak(&voice(1, 3)));
    world.run_for(3 * SECOND);
    world.with(caller, |c, now, agenda| c.hold(now, agenda, true));
    world.run_for(20 * SECOND);
    world.with(caller, |c, now, agenda| c.hold(now, agenda, false));
    world.run_for(SECOND / 10);
    world.with(caller, |c, _, _| c.speak(&voice(2, 3)));
    world.run_for(3 * SECOND);
    bye(&mut world, caller);
    let length = world.server.rows().next().unwrap().duration();
    assert!(length >= 6 * SECOND && length < 6500 * SECOND / 1000, "{length:?}");
}

#[test]
fn dead_media_saves_what_was_said_and_ends_the_call() {
    let mut world = World::new();
    let caller = pbx(&mut world);
    world.server.set_recording(Recording { silence: 300 * SECOND, ..Recording::default() });
    call(&mut world, caller, "sip:1001@clinic.example", GCM);
    beep(&mut world);
    world.with(caller, |c, _, _| c.speak(&voice(1, 3)));
    world.run_for(3 * SECOND);
    world.with(caller, |c, _, _| c.set_sending(false));
    world.run_until("BYE", 35 * SECOND, |w| w.caller(caller).hung_up_on);
    world.run_for(SECOND);
    assert_eq!(world.reports()[0].end.to_string(), "media-dead");
    assert_eq!(world.server.rows().count(), 1);
}

#[test]
fn a_lost_connection_saves_what_was_said() {
    let mut world = World::new();
    let caller = world.connect(Transport::Tcp, Peer::Nobody);
    call(&mut world, caller, "sip:2001@trial.example", Offer::Plain);
    beep(&mut world);
    world.with(caller, |c, _, _| c.speak(&voice(1, 3)));
    world.run_for(3 * SECOND);
    world.disconnect(caller);
    world.run_for(60 * SECOND);
    assert_eq!(world.server.rows().count(), 1, "{}", world.transcript());
    assert!(world.reports()[0].saved.is_some());
}

#[test]
fn a_stopping_server_saves_what_is_recorded_and_takes_no_new_call() {
    let mut world = World::new();
    let caller = pbx(&mut world);
    call(&mut world, caller, "sip:1001@clinic.example", GCM);
    beep(&mut world);
    world.with(caller, |c, _, _| c.speak(&voice(1, 3)));
    world.run_for(3 * SECOND);
    world.shut_down();
    world.run_until("BYE", SECOND, |w| w.caller(caller).hung_up_on);
    world.run_for(SECOND);
    assert_eq!(world.server.rows().count(), 1);
    assert_eq!(world.reports()[0].end.to_string(), "shutdown");
    let late = pbx(&mut world);
    assert_eq!(call(&mut world, late, "sip:1001@clinic.example", GCM), 503);
    assert!(world.caller(late).answer().unwrap().field("Retry-After").is_some());
}

#[test]
fn a_failing_spool_is_never_called_saved() {
    let mut world = World::new();
    let caller = pbx(&mut world);
    call(&mut world, caller, "sip:1001@clinic.example", GCM);
    beep(&mut world);
    world.with(caller, |c, _, _| c.speak(&voice(1, 5)));
    world.run_for(3 * SECOND);
    world.server.spool_fails = true;
    hears(&mut world, caller, "system-unavailable", 5 * SECOND);
    world.run_until("BYE", 5 * SECOND, |w| w.caller(caller).hung_up_on);
    assert!(!world.caller(caller).take_prompts().contains(&"saved"));
    world.run_for(SECOND);
    assert_eq!(world.reports()[0].end.to_string(), "save-failed");
    assert!(world.reports()[0].saved.is_none());
    let row = world.server.rows().next().expect("what was said before is delivered at once");
    assert!(row.truncated && row.samples >= 8000, "{} samples", row.samples);
    let installation = world.crash(1);
    assert_eq!(World::on(installation).server.rows().count(), 1, "and not once more");
}

#[test]
fn a_spool_that_fails_from_the_start_leaves_no_message() {
    let mut world = World::new();
    let caller = pbx(&mut world);
    call(&mut world, caller, "sip:1001@clinic.example", GCM);
    world.server.spool_fails = true;
    beep(&mut world);
    world.with(caller, |c, _, _| c.speak(&voice(1, 5)));
    hears(&mut world, caller, "system-unavailable", 5 * SECOND);
    world.run_until("BYE", 5 * SECOND, |w| w.caller(caller).hung_up_on);
    world.run_for(SECOND);
    assert_eq!(world.server.rows().count(), 0);
}

#[test]
fn a_caller_who_never_acknowledges_is_hung_up_on_and_leaves_nothing() {
    let mut world = World::new();
    let caller = pbx(&mut world);
    world.with(caller, |c, _, _| c.acknowledges = false);
    call(&mut world, caller, "sip:1001@clinic.example", GCM);
    world.run_for(40 * SECOND);
    assert_eq!(world.reports()[0].end.to_string(), "no-ack");
    assert_eq!(world.server.rows().count(), 0);
    world.run_for(60 * SECOND);
    assert!(world.server.is_quiet(), "{}", world.transcript());
}

#[test]
fn a_stranger_is_challenged_whatever_the_number() {
    let mut world = World::new();
    for uri in ["sip:1001@clinic.example", "sip:*97@clinic.example", "sip:none@nowhere.example"] {
        let stranger = world.connect(Transport::Tls, Peer::Nobody);
        assert_eq!(call(&mut world, stranger, uri, GCM), 401);
        let challenge = world.caller(stranger).answer().unwrap().field("WWW-Authenticate");
        assert!(challenge.is_some_and(|text| text.contains("SHA-256") && !text.contains("MD5")));
    }
    world.run_for(60 * SECOND);
    assert!(world.server.is_quiet());
}

#[test]
fn nothing_of_a_message_or_its_caller_stands_unsealed_on_the_disk() {
    let mut world = World::new();
    let marker = b"SO THIS IS A MARKER ".repeat(2000);
    let caller = pbx(&mut world);
    world.with(caller, |c, _, _| c.number = "5557654321".to_owned());
    call(&mut world, caller, "sip:1001@clinic.example", GCM);
    beep(&mut world);
    world.with(caller, |c, _, _| c.speak(&marker));
    world.run_for(3 * SECOND);
    let mut bytes = world.server.installation().spool.every_byte();
    world.run_for(2 * SECOND);
    bye(&mut world, caller);
    assert_eq!(world.server.rows().count(), 1);
    let installation = world.crash(5);
    bytes.extend(installation.spool.every_byte());
    bytes.extend(&installation.audit);
    installation.objects.values().for_each(|object| bytes.extend(object));
    for row in installation.rows.values() {
        bytes.extend(format!("{row:?}").into_bytes());
        bytes.extend(&row.sealed_envelope);
    }
    for secret in [b"SO THIS IS".as_slice(), b"5557654321", b"Mary Major"] {
        assert!(!bytes.windows(secret.len()).any(|piece| piece == secret));
    }
}
