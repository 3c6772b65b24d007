//! Calls of half an hour, past the SRTP rollover (RFC 3711 §3.3.1), in seconds.

use std::time::Duration;

use hushbox_call::call::Recording;
use hushbox_tests::world::World;
use hushbox_tests::world::caller::Offer;
use hushbox_tests::world::installation::PIN_7001;

use crate::support::{CM, GCM, SECOND, beep, call, find, hears, pbx, press, telephone, voice};

/// The sequence number wraps after 65,536 packets of 20 ms: 21 min 51 s.
const MINUTES: u64 = 24;

fn across_the_rollover(offer: Offer) {
    let mut world = World::new();
    world
        .server
        .set_recording(Recording { max: Duration::from_secs(1800), ..Recording::default() });
    let message = voice(11, usize::try_from(MINUTES * 60).expect("small"));
    let caller = pbx(&mut world);
    assert_eq!(call(&mut world, caller, "sip:1001@clinic.example", offer), 200);
    beep(&mut world);
    world.with(caller, |c, _, _| c.speak(&message));
    world.run_for(Duration::from_secs(MINUTES * 60));
    press(&mut world, caller, "#");
    hears(&mut world, caller, "saved", 2 * SECOND);
    world.run_for(2 * SECOND);
    let length = world.server.rows().next().expect("a message").duration();
    let sent = Duration::from_secs(MINUTES * 60);
    assert!(length >= sent && length < sent + SECOND / 5, "{length:?}");

    let owner = telephone(&mut world, "c7001");
    assert_eq!(call(&mut world, owner, "sip:*97@clinic.example", offer), 200);
    hears(&mut world, owner, "enter-pin", SECOND);
    press(&mut world, owner, &format!("{PIN_7001}#1"));
    world.run_until("playing", 20 * SECOND, |w| w.server.stage() == Some("Playing"));
    world.run_until("its end", sent + 5 * SECOND, |w| w.server.stage() != Some("Playing"));
    assert_eq!(world.server.stage(), Some("Main"), "{}", world.transcript());
    let heard = world.caller(owner).heard();
    let (_, same) = find(&heard, &message).expect("the message is heard");
    assert_eq!(same, message.len(), "every octet of {MINUTES} minutes");
    assert_eq!(world.caller(owner).broken_packets(), 0);
}

#[test]
fn aes_256_gcm_records_and_plays_across_the_rollover() {
    across_the_rollover(GCM);
}

#[test]
fn aes_128_counter_mode_records_and_plays_across_the_rollover() {
    across_the_rollover(CM);
}
