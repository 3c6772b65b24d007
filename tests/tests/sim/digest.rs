//! Telephones without a certificate: digest, and what wrong ones meet (design.md "Who may call").

use std::time::Duration;

use hushbox_call::signalling::Peer;
use hushbox_load::digest::{Algorithm, Credentials};
use hushbox_sip::Transport;
use hushbox_tests::world::caller::Offer;
use hushbox_tests::world::installation::{PIN_7001, PIN_7101};
use hushbox_tests::world::{CallerId, World};

use crate::support::{GCM, SECOND, bye, call, hears, leave, press, voice};

fn with_password(
    world: &mut World,
    transport: Transport,
    (user, password): (&str, &str),
    algorithm: Option<Algorithm>,
) -> CallerId {
    let id = world.connect(transport, Peer::Nobody);
    let caller = world.caller(id);
    caller.number = user.to_owned();
    caller.credentials =
        Some(Credentials { username: user.to_owned(), password: password.to_owned(), algorithm });
    id
}

#[test]
fn a_telephone_logs_in_by_digest_and_pin_on_tls_and_on_lab() {
    for (transport, user, uri, pin, offer, algorithm) in [
        (Transport::Tls, "c7001", "clinic", PIN_7001, GCM, Algorithm::Sha256),
        (Transport::Udp, "t7101", "trial", PIN_7101, Offer::Plain, Algorithm::Sha256),
        (Transport::Udp, "t7101", "trial", PIN_7101, Offer::Plain, Algorithm::Md5),
        (Transport::Tcp, "t7101", "trial", PIN_7101, Offer::Plain, Algorithm::Md5),
    ] {
        let mut world = World::new();
        leave(&mut world, "sip:1001@clinic.example", &voice(1, 2));
        leave(&mut world, "sip:2001@trial.example", &voice(2, 2));
        let owner = with_password(&mut world, transport, (user, "secret"), Some(algorithm));
        let uri = format!("sip:*97@{uri}.example");
        assert_eq!(call(&mut world, owner, &uri, offer), 200, "{transport:?} {algorithm:?}");
        hears(&mut world, owner, "enter-pin", SECOND);
        press(&mut world, owner, &format!("{pin}#"));
        hears(&mut world, owner, "you-have", 10 * SECOND);
        world.run_for(SECOND);
        assert_eq!(world.caller(owner).take_prompts()[..2], ["1", "new-message"]);
        bye(&mut world, owner);
    }
}

#[test]
fn a_wrong_password_and_an_unknown_user_get_the_same_answer() {
    let mut world = World::new();
    for user in [("c7001", "wrong"), ("nobody", "secret")] {
        let caller = with_password(&mut world, Transport::Tls, user, None);
        assert_eq!(call(&mut world, caller, "sip:*97@clinic.example", GCM), 401);
    }
    // A device of a hipaa account does not exist on lab, whatever its password.
    let caller = with_password(&mut world, Transport::Udp, ("c7001", "secret"), None);
    assert_ne!(call(&mut world, caller, "sip:1001@clinic.example", Offer::Plain), 200);
}

#[test]
fn one_challenge_is_enough_for_a_right_password() {
    let mut world = World::new();
    let caller = with_password(&mut world, Transport::Tls, ("c7001", "secret"), None);
    assert_eq!(call(&mut world, caller, "sip:*97@clinic.example", GCM), 200);
    let challenged = world.server.refused();
    assert_eq!(challenged.len(), 1);
}

#[test]
fn after_ten_wrong_digests_a_minute_the_wrong_ones_wait_and_the_right_ones_do_not() {
    let mut world = World::new();
    let answered_after = |world: &mut World, user: (&str, &str)| {
        let caller = with_password(world, Transport::Tls, user, None);
        let start = world.now().monotonic;
        let status = call(world, caller, "sip:1001@clinic.example", GCM);
        (status, world.now().monotonic - start)
    };
    for _ in 0..10 {
        let (status, after) = answered_after(&mut world, ("c7001", "guess"));
        assert_eq!(status, 401);
        assert!(after < SECOND / 10, "{after:?}");
    }
    let (status, after) = answered_after(&mut world, ("c7001", "guess"));
    assert_eq!(status, 401);
    assert!(after >= SECOND && after < SECOND + Duration::from_millis(100), "{after:?}");
    let (status, after) = answered_after(&mut world, ("c7001", "secret"));
    assert_eq!(status, 200);
    assert!(after < SECOND / 10, "{after:?}");
    world.run_for(60 * SECOND);
    let (_, after) = answered_after(&mut world, ("c7001", "guess"));
    assert!(after < SECOND / 10, "a minute later: {after:?}");
}
