//! Calls over a bad link: time stays true, what came is kept as it came, nothing that was forged or doubled counts.

use std::collections::HashMap;
use std::time::Duration;

use hushbox_tests::world::installation::PIN_7001;
use hushbox_tests::world::{Link, World};

use crate::support::{CM, GCM, SECOND, beep, bye, call, hears, pbx, press, telephone, voice};

fn bad(seed: u64) -> Link {
    Link { loss_percent: 10, duplicate_percent: 5, jitter: Duration::from_millis(30), seed }
}

#[test]
fn a_tenth_of_the_packets_lost_others_late_or_doubled_leaves_the_length_right() {
    for (seed, offer) in [(1, GCM), (2, CM), (3, GCM)] {
        let mut world = World::new();
        let message = voice(5, 20);
        let caller = pbx(&mut world);
        call(&mut world, caller, "sip:1001@clinic.example", offer);
        beep(&mut world);
        world.set_link(bad(seed));
        world.with(caller, |c, _, _| c.speak(&message));
        world.run_for(20 * SECOND);
        bye(&mut world, caller);
        world.set_link(Link::default());
        let length = world.server.rows().next().expect("a message").duration();
        let difference = length.abs_diff(20 * SECOND);
        assert!(difference <= Duration::from_millis(100), "{length:?}");

        let owner = telephone(&mut world, "c7001");
        call(&mut world, owner, "sip:*97@clinic.example", offer);
        hears(&mut world, owner, "enter-pin", SECOND);
        press(&mut world, owner, &format!("{PIN_7001}#1"));
        world.run_until("playing", 20 * SECOND, |w| w.server.stage() == Some("Playing"));
        world.run_until("its end", 30 * SECOND, |w| w.server.stage() == Some("Main"));
        let heard = world.caller(owner).heard();
        // Where a piece of it stands tells where all of it does: each packet that came is in its place.
        let places: HashMap<&[u8], usize> =
            message.windows(24).enumerate().map(|(place, piece)| (piece, place)).collect();
        let found = heard
            .windows(24)
            .enumerate()
            .find_map(|(at, piece)| at.checked_sub(*places.get(piece)?));
        let start = found.expect("the message is heard");
        let packets = message.chunks(160).enumerate();
        let right =
            packets.filter(|(i, p)| heard.get(start + i * 160..start + (i + 1) * 160) == Some(p));
        let right = right.count();
        assert!(right > 850 && right < 950, "{right} of 1000 packets in their place");
    }
}

#[test]
fn keys_over_a_bad_link_are_each_one_key() {
    for seed in 0..5 {
        let mut world = World::new();
        let owner = telephone(&mut world, "c7001");
        call(&mut world, owner, "sip:*97@clinic.example", GCM);
        hears(&mut world, owner, "enter-pin", SECOND);
        world.set_link(bad(seed));
        press(&mut world, owner, &format!("{PIN_7001}#"));
        world.run_until("opened", 10 * SECOND, |w| w.server.stage() == Some("Main"));
        assert_eq!(world.server.comparisons, 1);
    }
}
