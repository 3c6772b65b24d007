//! Telephones without a certificate: digest, and what wrong ones meet (design.md "Who may call").

use std::time::Duration;

use hushbox_call::EndReason;
use hushbox_call::signalling::Peer;
use hushbox_load::digest::{Algorithm, Credentials};
use hushbox_sip::Transport;
use hushbox_tests::world::caller::Offer;
use hushbox_tests::world::installation::{PIN_7001, PIN_7101, TRUNK, device};
use hushbox_tests::world::{CallerId, World};

use crate::support::{GCM, SECOND, beep, bye, call, hears, leave, pbx, press, telephone, voice};

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
        (Transport::Tls, "c7001", "clinic", PIN_7001, GCM, Algorithm::Sha512_256),
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
fn a_pbx_with_a_password_leaves_messages_over_tls_and_does_nothing_else() {
    let mut world = World::new();
    let sha256 = Some(Algorithm::Sha256);
    let hosted = with_password(&mut world, Transport::Tls, ("hosted", "secret"), sha256);
    assert_eq!(call(&mut world, hosted, "sip:1001@clinic.example", GCM), 200);
    beep(&mut world);
    world.with(hosted, |c, _, _| c.speak(&voice(1, 2)));
    world.run_for(2 * SECOND);
    // Its connection goes in the middle: it hangs up over another, as who it is.
    world.disconnect(hosted);
    let again = with_password(&mut world, Transport::Tls, ("hosted", "secret"), sha256);
    assert_eq!(bye_from_elsewhere(&mut world, again, hosted), [200]);
    world.run_for(SECOND);
    assert_eq!(world.server.rows().count(), 1);

    assert_eq!(call(&mut world, again, "sip:9999@clinic.example", GCM), 404);
    assert_eq!(call(&mut world, again, "sip:*97@clinic.example", GCM), 200);
    hears(&mut world, again, "not-from-this-telephone", SECOND);
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

/// The statuses that a BYE for that caller's call meets, sent over this one's connection.
fn bye_from_elsewhere(world: &mut World, elsewhere: CallerId, caller: CallerId) -> Vec<u16> {
    world.take_over(elsewhere, caller);
    bye(world, elsewhere);
    world.caller(elsewhere).responses().iter().map(|response| response.status).collect()
}

#[test]
fn a_telephone_that_lost_its_connection_hangs_up_over_a_new_one_by_digest() {
    for (transport, user, uri, offer) in [
        (Transport::Tls, "c7001", "sip:*97@clinic.example", GCM),
        (Transport::Tcp, "t7101", "sip:*97@trial.example", Offer::Plain),
        (Transport::Udp, "t7101", "sip:*97@trial.example", Offer::Plain),
    ] {
        let mut world = World::new();
        let owner = with_password(&mut world, transport, (user, "secret"), None);
        assert_eq!(call(&mut world, owner, uri, offer), 200);
        hears(&mut world, owner, "enter-pin", SECOND);
        if transport != Transport::Udp {
            world.disconnect(owner);
        }
        world.run_for(SECOND);
        assert!(world.reports().is_empty(), "the call outlives its connection");
        let again = with_password(&mut world, transport, (user, "secret"), None);
        assert_eq!(bye_from_elsewhere(&mut world, again, owner), [200], "{transport:?}");
        assert_eq!(world.reports()[0].end, EndReason::CallerHungUp);
    }
}

#[test]
fn from_elsewhere_a_wrong_digest_another_telephone_and_no_credentials_get_401_and_the_call_goes_on()
{
    let mut world = World::new();
    let owner = with_password(&mut world, Transport::Tls, ("c7001", "secret"), None);
    assert_eq!(call(&mut world, owner, "sip:*97@clinic.example", GCM), 200);
    for user in [("c7001", "guess"), ("c7002", "secret"), ("nobody", "secret")] {
        let other = with_password(&mut world, Transport::Tls, user, None);
        assert_eq!(bye_from_elsewhere(&mut world, other, owner), [401], "{user:?}");
    }
    for peer in [Peer::Nobody, Peer::Device(device("c7002")), Peer::Trunk(TRUNK)] {
        let other = world.connect(Transport::Tls, peer);
        assert_eq!(bye_from_elsewhere(&mut world, other, owner), [401], "{peer:?}");
    }
    assert!(world.reports().is_empty());
    bye(&mut world, owner);
    assert_eq!(world.reports()[0].end, EndReason::CallerHungUp);
}

#[test]
fn wrong_digests_inside_a_dialog_wait_as_those_of_a_new_call_do() {
    let mut world = World::new();
    let owner = with_password(&mut world, Transport::Tls, ("c7001", "secret"), None);
    assert_eq!(call(&mut world, owner, "sip:*97@clinic.example", GCM), 200);
    for round in 0..12 {
        let other = with_password(&mut world, Transport::Tls, ("c7001", "guess"), None);
        world.take_over(other, owner);
        world.with(other, |c, now, agenda| c.bye(now, agenda));
        world.run_for(Duration::from_millis(100));
        let at_once = world.caller(other).responses().len();
        assert_eq!(at_once, usize::from(round < 10), "{round}");
        world.run_for(SECOND);
        assert_eq!(world.caller(other).responses()[0].status, 401);
    }
    assert!(world.reports().is_empty());
}

#[test]
fn a_telephone_with_a_certificate_hangs_up_over_another_connection_of_its_own() {
    let mut world = World::new();
    let owner = telephone(&mut world, "c7001");
    assert_eq!(call(&mut world, owner, "sip:*97@clinic.example", GCM), 200);
    let again = telephone(&mut world, "c7001");
    assert_eq!(bye_from_elsewhere(&mut world, again, owner), [200]);
    assert_eq!(world.reports()[0].end, EndReason::CallerHungUp);
}

#[test]
fn what_comes_from_elsewhere_into_the_call_of_a_pbx_gets_481_unless_it_is_the_pbx() {
    let mut world = World::new();
    let caller = pbx(&mut world);
    assert_eq!(call(&mut world, caller, "sip:1001@clinic.example", GCM), 200);
    let stranger = world.connect(Transport::Tls, Peer::Nobody);
    assert_eq!(bye_from_elsewhere(&mut world, stranger, caller), [481]);
    let other = with_password(&mut world, Transport::Tls, ("c7001", "secret"), None);
    assert_eq!(bye_from_elsewhere(&mut world, other, caller), [481]);
    let other = telephone(&mut world, "c7001");
    assert_eq!(bye_from_elsewhere(&mut world, other, caller), [481]);
    assert!(world.reports().is_empty());
    let again = pbx(&mut world);
    assert_eq!(bye_from_elsewhere(&mut world, again, caller), [200]);

    // On `lab` the address is what shows who it is.
    let caller = world.connect(Transport::Tcp, Peer::Nobody);
    assert_eq!(call(&mut world, caller, "sip:2001@trial.example", Offer::Plain), 200);
    let again = world.connect(Transport::Udp, Peer::Nobody);
    assert_eq!(bye_from_elsewhere(&mut world, again, caller), [200]);
}
