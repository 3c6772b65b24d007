//! Who may call whom, judged on INVITEs as the endpoint gives them.

use super::*;
use crate::testing::{
    DIGEST_TRUNK, OTHER_TRUNK, REALM, TRUNK, device_id, directory, now, service_key,
};
use crate::tui::login::Refusal;
use hushbox_policy::Wish;
use hushbox_sip::rate::Allowance;
use hushbox_sip::{Algorithm, Authorization, OwnedUri, Transport, auth::ha1};
use hushbox_store::keys::WrappedKey;
use std::net::SocketAddr;
use std::time::Duration;

pub(super) fn signalling() -> Signalling {
    limited(hushbox_sip::Limits::default())
}

pub(super) fn limited(limits: hushbox_sip::Limits) -> Signalling {
    let sip =
        hushbox_sip::Config { product: "Hushbox/test".to_owned(), listeners: Vec::new(), limits };
    let config = Config {
        sip,
        realm: REALM.to_owned(),
        service_key: service_key(),
        admission: Admission {
            calls_max: 4,
            retrieval_reserved_percent: 25,
            deposits_per_caller: Some(Allowance::new(3, Duration::from_secs(600))),
        },
        record_only: false,
        mwi: MwiConfig::default(),
    };
    Signalling::new(config, directory(), [5; 32])
}

pub(super) fn flow(transport: Transport, remote: &str) -> Flow {
    let local: SocketAddr = "192.0.2.1:5061".parse().unwrap();
    let connection = (transport != Transport::Udp).then_some(ConnectionId(1));
    Flow { transport, local, remote: format!("{remote}:40000").parse().unwrap(), connection }
}

fn invite(transport: Transport, remote: &str, uri: &str) -> Invite {
    Invite::new(flow(transport, remote), OwnedUri::parse(uri).unwrap())
}

/// What becomes of an INVITE to this URI over TLS from this peer.
fn judged(peer: Peer, uri: &str) -> String {
    let mut signalling = signalling();
    signalling.connected(flow(Transport::Tls, "198.51.100.7"), peer);
    judge(&mut signalling, &invite(Transport::Tls, "198.51.100.7", uri))
}

/// The same on a lab listener, from an address.
fn judged_on_lab(remote: &str, from: Option<&str>, uri: &str) -> String {
    let mut invite = invite(Transport::Udp, remote, uri);
    invite.from_user = from.map(ToOwned::to_owned);
    judge(&mut signalling(), &invite)
}

fn judge(signalling: &mut Signalling, invite: &Invite) -> String {
    match signalling.judge(now(), invite).map(|(_, purpose)| purpose) {
        Ok(Purpose::Deposit { mailbox, profile, .. }) => {
            format!("deposit {} {profile:?}", mailbox.number)
        }
        Ok(Purpose::Retrieval(device)) => {
            assert!(signalling.directory.device(device).is_some());
            "retrieval".to_owned()
        }
        Ok(Purpose::RefusedDeposit { mailbox, .. }) => format!("too many for {}", mailbox.number),
        Ok(Purpose::RefusedRetrieval(refusal)) => format!("{refusal:?}"),
        Err(Judgement::Reject(rejection, _)) => match rejection.retry_after {
            Some(_) => format!("{} Retry-After", rejection.status),
            None => rejection.status.to_string(),
        },
        Err(Judgement::Challenge(Lack::Credentials)) => "401".to_owned(),
        Err(Judgement::Challenge(Lack::FreshNonce)) => "401 stale".to_owned(),
        Err(Judgement::Challenge(Lack::RightDigest)) => "401 wrong".to_owned(),
    }
}

pub(super) fn device(name: &str) -> Peer {
    Peer::Device(device_id(name))
}

#[test]
fn a_stranger_on_tls_gets_401_whatever_the_number() {
    for uri in [
        "sip:1001@clinic.example",
        "sip:9999@nowhere",
        "sip:*97@clinic.example",
        "sip:clinic.example",
    ] {
        assert_eq!(judged(Peer::Nobody, uri), "401", "{uri}");
    }
}

#[test]
fn an_ambiguous_certificate_gets_403() {
    assert_eq!(judged(Peer::Ambiguous, "sip:1001@clinic.example"), "403");
}

#[test]
fn a_device_reaches_the_mailboxes_of_its_own_account_and_gets_403_for_all_else() {
    let phone = device("c7001");
    assert_eq!(judged(phone, "sip:1001@clinic.example"), "deposit 1001 Hipaa");
    assert_eq!(judged(phone, "sip:1002@192.0.2.1"), "deposit 1002 Hipaa");
    for uri in [
        "sip:2001@trial.example",
        "sip:2001@192.0.2.1",
        "sip:1001@trial.example",
        "sip:9999@clinic.example",
        "sip:alice@clinic.example",
        "sip:clinic.example",
    ] {
        assert_eq!(judged(phone, uri), "403", "{uri}");
    }
}

#[test]
fn the_doctors_mailbox_is_there_for_the_doctors_telephone_alone() {
    let uri = "sip:1099@clinic.example";
    assert_eq!(judged(device("c7099"), uri), "deposit 1099 Hipaa");
    for other in ["c7001", "cboth", "cdesk", "cnone", "t7101"] {
        let unknown = judged(device(other), "sip:9999@clinic.example");
        assert_eq!(judged(device(other), uri), unknown, "{other}");
    }
    for other in [TRUNK, OTHER_TRUNK] {
        let unknown = judged(Peer::Trunk(other), "sip:9999@clinic.example");
        assert_eq!(judged(Peer::Trunk(other), uri), unknown);
    }
}

#[test]
fn a_trunk_reaches_its_accounts_by_domain_or_by_number_and_gets_404_for_all_else() {
    let trunk = Peer::Trunk(TRUNK);
    for (uri, expected) in [
        ("sip:1001@clinic.example", "deposit 1001 Hipaa"),
        ("sip:2001@TRIAL.example", "deposit 2001 Standard"),
        ("sip:1001@192.0.2.1", "deposit 1001 Hipaa"),
        ("sip:2001@192.0.2.1;user=phone", "deposit 2001 Standard"),
        ("sip:2001@clinic.example", "404"),
        ("sip:9999@192.0.2.1", "404"),
        ("sip:+15551234567@192.0.2.1", "404"),
        ("sip:192.0.2.1", "404"),
    ] {
        assert_eq!(judged(trunk, uri), expected, "{uri}");
    }
    let other = Peer::Trunk(OTHER_TRUNK);
    assert_eq!(judged(other, "sip:1001@clinic.example"), "404", "known, but not this trunk's");
    assert_eq!(judged(other, "sip:1001@192.0.2.1"), "404");
    assert_eq!(judged(other, "sip:2001@192.0.2.1"), "deposit 2001 Standard");
}

#[test]
fn on_lab_nothing_of_a_hipaa_account_exists() {
    for (uri, expected) in [
        ("sip:2001@trial.example", "deposit 2001 Standard"),
        ("sip:2001@127.0.0.1", "deposit 2001 Standard"),
        ("sip:1001@clinic.example", "404"),
        ("sip:2001@clinic.example", "404"),
        ("sip:1001@127.0.0.1", "404"),
    ] {
        assert_eq!(judged_on_lab("127.0.0.1", Some("5551234"), uri), expected, "{uri}");
    }
    let inside_ipv6 = judged_on_lab("[::ffff:127.0.0.1]", None, "sip:2001@trial.example");
    assert_eq!(inside_ipv6, "deposit 2001 Standard", "an IPv4 peer of a socket for both");
    assert_eq!(judged_on_lab("203.0.113.5", None, "sip:2001@trial.example"), "401");
}

#[test]
fn on_lab_a_telephone_is_challenged_before_its_address_counts_as_the_trunk() {
    assert_eq!(judged_on_lab("127.0.0.1", Some("t7101"), "sip:2001@trial.example"), "401");
    // A device of a hipaa account does not exist there.
    assert_eq!(
        judged_on_lab("127.0.0.1", Some("c7001"), "sip:2001@trial.example"),
        "deposit 2001 Standard"
    );
}

#[test]
fn retrieval_is_served_everywhere_and_refused_where_nobodys_factors_could_suffice() {
    for uri in ["sip:*97@clinic.example", "sip:%2A97@192.0.2.1", "sip:%2a97@trial.example"] {
        assert_eq!(judged(device("c7001"), uri), "retrieval", "{uri}");
        assert_eq!(judged(Peer::Trunk(TRUNK), uri), "NotFromThisTelephone", "{uri}");
    }
    for (name, expected) in [
        ("cboth", "retrieval"),
        ("cdesk", "retrieval"),
        ("cgone", "NotFromThisTelephone"),
        ("cnone", "NotFromThisTelephone"),
    ] {
        assert_eq!(judged(device(name), "sip:*97@clinic.example"), expected, "{name}");
    }
    assert_eq!(judged_on_lab("127.0.0.1", None, "sip:*97@127.0.0.1"), "NotFromThisTelephone");
    assert_eq!(judged_on_lab("203.0.113.5", None, "sip:*97@127.0.0.1"), "401");
}

#[test]
fn a_server_that_only_records_says_so_at_star_97_and_takes_messages() {
    let mut signalling = signalling();
    signalling.record_only = true;
    signalling.connected(flow(Transport::Tls, "198.51.100.7"), device("c7001"));
    let mut ask = |uri: &str| judge(&mut signalling, &invite(Transport::Tls, "198.51.100.7", uri));
    assert_eq!(ask("sip:*97@clinic.example"), "CannotBeOpened");
    assert_eq!(ask("sip:1001@clinic.example"), "deposit 1001 Hipaa");
}

#[test]
fn a_full_disk_stops_deposits_and_a_draining_or_full_server_all_calls() {
    let mut signalling = signalling();
    signalling.connected(flow(Transport::Tls, "198.51.100.7"), device("c7001"));
    let ask = |signalling: &mut Signalling, uri: &str| {
        judge(signalling, &invite(Transport::Tls, "198.51.100.7", uri))
    };
    assert_eq!(signalling.refuses(), None);
    signalling.disk_full = true;
    assert_eq!(signalling.refuses(), Some(Why::DiskFull));
    assert_eq!(ask(&mut signalling, "sip:1001@clinic.example"), "503 Retry-After");
    assert_eq!(ask(&mut signalling, "sip:*97@clinic.example"), "retrieval");
    assert_eq!(ask(&mut signalling, "sip:9999@clinic.example"), "403", "known first");
    signalling.disk_full = false;
    signalling.draining = true;
    assert_eq!(signalling.refuses(), Some(Why::Draining));
    assert_eq!(ask(&mut signalling, "sip:*97@clinic.example"), "503 Retry-After");
    signalling.draining = false;
    for n in 0..4 {
        signalling.places.take(CallId::from_bytes([n; 16]), Wish::Deposit, None);
    }
    assert_eq!(signalling.refuses(), Some(Why::Full));
    assert_eq!(ask(&mut signalling, "sip:*97@clinic.example"), "503 Retry-After");
}

#[test]
fn what_is_not_understood_is_said_only_to_who_is_known() {
    let mut signalling = signalling();
    signalling.connected(flow(Transport::Tls, "198.51.100.7"), device("c7001"));
    let mut strange = invite(Transport::Tls, "198.51.100.7", "sip:1001@clinic.example");
    strange.unsupported = vec!["nothing".to_owned()];
    assert_eq!(judge(&mut signalling, &strange), "420");
    signalling.connected(flow(Transport::Tls, "198.51.100.7"), Peer::Nobody);
    assert_eq!(judge(&mut signalling, &strange), "401");
    strange.unsupported.clear();
    strange.body = InviteBody::Unsupported;
    signalling.connected(flow(Transport::Tls, "198.51.100.7"), device("c7001"));
    assert_eq!(judge(&mut signalling, &strange), "415");
}

/// Credentials as a telephone computes them (RFC 7616 §3.4.1), from a challenge of ours.
fn credentials(
    signalling: &mut Signalling,
    transport: Transport,
    algorithm: Algorithm,
    (user, password): (&str, &str),
    uri: &str,
) -> Authorization {
    let offered = identity::algorithms(transport);
    let challenges = signalling.authenticator.challenges(unix_secs(now()), offered, false);
    let value = challenges
        .iter()
        .find(|c| c.algorithm() == algorithm)
        .map_or_else(|| challenges[0].value().to_owned(), |challenge| challenge.value().to_owned());
    let nonce = value.split("nonce=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let hash = |text: String| hex::encode(ha1_of_text(algorithm, &text));
    let secret = hex::encode(ha1(algorithm, user, REALM, password));
    let ha2 = hash(format!("INVITE:{uri}"));
    let response = hash(format!("{secret}:{nonce}:00000001:cnonce:auth:{ha2}"));
    let name = algorithm.name();
    Authorization::parse(
        format!(
            "Digest username=\"{user}\", realm=\"{REALM}\", nonce=\"{nonce}\", uri=\"{uri}\", \
             response=\"{response}\", algorithm={name}, cnonce=\"cnonce\", qop=auth, nc=00000001"
        )
        .as_bytes(),
    )
    .unwrap()
}

/// The hash of an algorithm, by way of the one helper that is public: `user:realm:password` is any text with two colons.
fn ha1_of_text(algorithm: Algorithm, text: &str) -> Vec<u8> {
    let mut parts = text.splitn(3, ':').chain(["", ""]);
    let (a, b, c) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
    if text.matches(':').count() >= 2 {
        ha1(algorithm, a, b, c)
    } else {
        // INVITE:sip:user@host has two colons as well; nothing else is hashed here.
        unreachable!()
    }
}

#[test]
fn digest_on_tls_is_sha_2_alone_and_on_lab_md5_too() {
    for (transport, user, uri, algorithm, expected) in [
        (
            Transport::Tls,
            "c7001",
            "sip:1001@clinic.example",
            Algorithm::Sha256,
            "deposit 1001 Hipaa",
        ),
        (
            Transport::Tls,
            "c7001",
            "sip:1001@clinic.example",
            Algorithm::Sha512_256,
            "deposit 1001 Hipaa",
        ),
        (Transport::Tls, "c7001", "sip:1001@clinic.example", Algorithm::Md5, "401 wrong"),
        (
            Transport::Udp,
            "t7101",
            "sip:2001@trial.example",
            Algorithm::Sha256,
            "deposit 2001 Standard",
        ),
        (
            Transport::Udp,
            "t7101",
            "sip:2001@trial.example",
            Algorithm::Md5,
            "deposit 2001 Standard",
        ),
        (Transport::Udp, "c7001", "sip:2001@trial.example", Algorithm::Sha256, "401 wrong"),
        (Transport::Tls, "nobody", "sip:1001@clinic.example", Algorithm::Sha256, "401 wrong"),
        // A trunk's password is for SHA-256 over TLS.
        (
            Transport::Tls,
            "hosted",
            "sip:1001@clinic.example",
            Algorithm::Sha256,
            "deposit 1001 Hipaa",
        ),
        (Transport::Tls, "hosted", "sip:2001@trial.example", Algorithm::Sha512_256, "401 wrong"),
        (Transport::Udp, "hosted", "sip:2001@trial.example", Algorithm::Sha256, "401 wrong"),
    ] {
        let mut signalling = signalling();
        let mut call = invite(transport, "127.0.0.1", uri);
        call.authorization =
            Some(credentials(&mut signalling, transport, algorithm, (user, "secret"), uri));
        assert_eq!(judge(&mut signalling, &call), expected, "{transport:?} {user} {algorithm:?}");
        call.authorization =
            Some(credentials(&mut signalling, transport, algorithm, (user, "wrong"), uri));
        assert_eq!(judge(&mut signalling, &call), "401 wrong", "{transport:?} {user}");
    }
}

#[test]
fn on_lab_credentials_that_are_not_valid_are_not_excused_by_the_address() {
    let mut signalling = signalling();
    let uri = "sip:2001@trial.example";
    let mut call = invite(Transport::Udp, "127.0.0.1", uri);
    call.authorization = Some(credentials(
        &mut signalling,
        Transport::Udp,
        Algorithm::Md5,
        ("somebody", "else"),
        uri,
    ));
    assert_eq!(judge(&mut signalling, &call), "401 wrong");
}

#[test]
fn credentials_are_good_once() {
    let mut signalling = signalling();
    let uri = "sip:1001@clinic.example";
    let mut call = invite(Transport::Tls, "198.51.100.7", uri);
    call.authorization = Some(credentials(
        &mut signalling,
        Transport::Tls,
        Algorithm::Sha256,
        ("c7001", "secret"),
        uri,
    ));
    assert_eq!(judge(&mut signalling, &call), "deposit 1001 Hipaa");
    assert_eq!(judge(&mut signalling, &call), "401 stale");
}

/// An INVITE over TLS of somebody who shows this password.
fn by_password(signalling: &mut Signalling, user: &str, uri: &str) -> Invite {
    let sha256 = Algorithm::Sha256;
    let shown = credentials(signalling, Transport::Tls, sha256, (user, "secret"), uri);
    let mut call = invite(Transport::Tls, "198.51.100.7", uri);
    call.authorization = Some(shown);
    call
}

#[test]
fn a_trunk_with_a_password_asserts_neither_who_calls_nor_who_was_called() {
    let mut signalling = signalling();
    let mut call = by_password(&mut signalling, "hosted", "sip:1001@clinic.example");
    call.from_user = Some("5551234".to_owned());
    let field = |name: &str, value: &'static str| (name.to_owned(), value.into());
    call.headers = hushbox_sip::Headers::new(vec![
        field("P-Asserted-Identity", "<tel:+15550000001>"),
        field("Diversion", "<sip:1002@clinic.example>;reason=user-busy"),
    ]);
    assert_eq!(judge(&mut signalling, &call), "deposit 1001 Hipaa");
    let number = |caller| {
        let (number, _) = signalling.shown_caller(&call, caller);
        number.map(|number| number.expose().to_owned())
    };
    assert_eq!(number(Caller::Trunk(DIGEST_TRUNK)).as_deref(), Some("5551234"));
    assert_eq!(number(Caller::Trunk(TRUNK)).as_deref(), Some("+15550000001"));
}

#[test]
fn what_is_refused_is_said_of_the_trunk_that_showed_its_password() {
    let mut signalling = signalling();
    signalling.connected(flow(Transport::Tls, "198.51.100.7"), Peer::Nobody);
    let call = by_password(&mut signalling, "hosted", "sip:9999@clinic.example");
    assert_eq!(signalling.trunk_at(call.flow), None);
    assert_eq!(judge(&mut signalling, &call), "404");
    assert_eq!(signalling.trunk_at(call.flow), Some(DIGEST_TRUNK));
}

#[test]
fn a_password_that_goes_takes_its_connection_with_it() {
    use hushbox_store::model::Entity;
    for (user, uri) in [("hosted", "sip:9999@clinic.example"), ("c7001", "sip:1001@clinic.example")]
    {
        let closed_by = |change: fn(&mut Entity) -> bool| {
            let mut signalling = signalling();
            signalling.connected(flow(Transport::Tls, "198.51.100.7"), Peer::Nobody);
            let call = by_password(&mut signalling, user, uri);
            judge(&mut signalling, &call);
            let mut after: Vec<Entity> = directory().entities().collect();
            after.retain_mut(change);
            let after = Arc::new(Directory::of(after).unwrap());
            signalling.handle_input(now(), Input::Directory(after));
            std::iter::from_fn(|| match signalling.poll_output() {
                Output::Timeout(_) => None,
                output => Some(output),
            })
            .any(|output| matches!(output, Output::Disconnect { .. }))
        };
        assert!(!closed_by(|_| true), "{user}: nothing has changed");
        assert!(
            closed_by(|entity| {
                !matches!(entity, Entity::Trunk(trunk) if trunk.id == DIGEST_TRUNK)
                    && !matches!(entity, Entity::Device(device) if device.username == "c7001")
            }),
            "{user}: removed"
        );
        assert!(
            closed_by(|entity| {
                match entity {
                    Entity::Trunk(trunk) if trunk.id == DIGEST_TRUNK => {
                        trunk.digest_sha256 = Some(WrappedKey::from_bytes(vec![1; 64]));
                    }
                    Entity::Device(device) => {
                        device.digest_sha256 = Some(WrappedKey::from_bytes(vec![1; 64]));
                    }
                    _ => {}
                }
                true
            }),
            "{user}: replaced"
        );
    }
}

#[test]
fn a_changed_record_closes_its_connections() {
    let mut signalling = signalling();
    let known = flow(Transport::Tls, "198.51.100.7");
    signalling.connected(known, device("c7001"));
    signalling.handle_input(now(), Input::Directory(directory()));
    assert!(!matches!(signalling.poll_output(), Output::Disconnect { .. }), "nothing has changed");
    let before = directory();
    let without = before.entities().filter(|entity| {
        !matches!(entity, hushbox_store::model::Entity::Device(d) if d.username == "c7001")
    });
    let without = Arc::new(Directory::of(without.collect::<Vec<_>>()).unwrap());
    signalling.handle_input(now(), Input::Directory(without));
    assert!(matches!(signalling.poll_output(), Output::Disconnect { flow } if flow == known));
    assert_eq!(
        judge(&mut signalling, &invite(Transport::Tls, "198.51.100.7", "sip:1001@clinic.example")),
        "401"
    );
}

#[test]
fn removing_a_device_ends_its_calls_and_no_others() {
    let mut signalling = signalling();
    let call = invite(Transport::Tls, "198.51.100.7", "sip:1001@clinic.example");
    for (session, name) in [(1, "c7001"), (2, "cboth")] {
        let Peer::Device(id) = device(name) else { panic!("a device") };
        let purpose = Purpose::RefusedRetrieval(Refusal::CannotBeOpened);
        signalling.start(now(), Session(session), &call, Caller::Device(id), purpose);
    }
    let mut started = Vec::new();
    loop {
        match signalling.poll_output() {
            Output::Start(setup) => started.push(setup.id),
            Output::Timeout(_) => break,
            _ => {}
        }
    }
    let before = directory();
    let without = before.entities().filter(|entity| {
        !matches!(entity, hushbox_store::model::Entity::Device(d) if d.username == "c7001")
    });
    let without = Arc::new(Directory::of(without.collect::<Vec<_>>()).unwrap());
    signalling.handle_input(now(), Input::Directory(without));
    let Output::ToCall { call, says: FromSignalling::Ended(EndReason::Revoked) } =
        signalling.poll_output()
    else {
        panic!("its call is ended")
    };
    assert_eq!(call, started[0]);
    assert!(!matches!(signalling.poll_output(), Output::ToCall { .. }), "the other goes on");
}

#[test]
fn a_caller_who_withholds_the_number_leaves_none() {
    let mut signalling = signalling();
    let mut call = invite(Transport::Tls, "198.51.100.7", "sip:1001@clinic.example");
    call.from_user = Some("anonymous".to_owned());
    call.from_display = Some("Mary Major".to_owned());
    let purpose = Purpose::RefusedRetrieval(Refusal::CannotBeOpened);
    let Peer::Device(device) = device("c7001") else { panic!("a device") };
    signalling.start(now(), Session(1), &call, Caller::Device(device), purpose);
    let Output::Start(setup) = signalling.poll_output() else { panic!("no call") };
    assert!(setup.caller_number.is_none());
    assert_eq!(setup.caller_name.unwrap().expose(), "Mary Major");
}

/// Asks over TLS, as a trunk or a telephone, until the caller's own number is given.
fn ask(signalling: &mut Signalling, peer: Peer, uri: &str, from: Option<&str>) -> String {
    signalling.connected(flow(Transport::Tls, "198.51.100.7"), peer);
    let mut call = invite(Transport::Tls, "198.51.100.7", uri);
    call.from_user = from.map(ToOwned::to_owned);
    judge(signalling, &call)
}

const ONE: &str = "sip:1001@clinic.example";

#[test]
fn a_caller_who_leaves_too_many_messages_hears_so_and_others_are_not_touched() {
    let mut signalling = signalling();
    let pbx = Peer::Trunk(TRUNK);
    for from in [Some("+15551234567"), Some("anonymous")] {
        for _ in 0..3 {
            assert_eq!(ask(&mut signalling, pbx, ONE, from), "deposit 1001 Hipaa");
        }
        assert_eq!(ask(&mut signalling, pbx, ONE, from), "too many for 1001");
    }
    assert_eq!(ask(&mut signalling, pbx, ONE, None), "too many for 1001", "as anonymous");
    assert_eq!(ask(&mut signalling, pbx, ONE, Some("+15557654321")), "deposit 1001 Hipaa");
    let other = "sip:1002@clinic.example";
    assert_eq!(ask(&mut signalling, pbx, other, Some("anonymous")), "deposit 1002 Hipaa");
    let phone = device("c7099");
    for _ in 0..9 {
        let doctor = ask(&mut signalling, phone, "sip:1099@clinic.example", Some("c7099"));
        assert_eq!(doctor, "deposit 1099 Hipaa", "the doctor asks as often as it likes");
    }
}

#[test]
fn who_is_refused_uses_up_nothing_of_the_quota() {
    let mut signalling = signalling();
    signalling.disk_full = true;
    for _ in 0..9 {
        assert_eq!(ask(&mut signalling, Peer::Trunk(TRUNK), ONE, None), "503 Retry-After");
    }
    signalling.disk_full = false;
    assert_eq!(ask(&mut signalling, Peer::Trunk(TRUNK), ONE, None), "deposit 1001 Hipaa");
}

#[test]
fn the_last_places_are_for_those_who_hear_messages() {
    let mut signalling = signalling();
    for n in 0..3 {
        signalling.places.take(CallId::from_bytes([n; 16]), Wish::Deposit, None);
    }
    let retrieval = "sip:*97@clinic.example";
    assert_eq!(ask(&mut signalling, device("c7001"), ONE, None), "503 Retry-After");
    assert_eq!(ask(&mut signalling, Peer::Trunk(TRUNK), retrieval, None), "503 Retry-After");
    assert_eq!(ask(&mut signalling, device("c7001"), retrieval, None), "retrieval");
}

#[test]
fn a_trunk_has_a_limit_of_its_own_until_a_call_of_it_is_over() {
    let mut signalling = signalling();
    let entities = signalling.directory.entities().map(|entity| match entity {
        hushbox_store::model::Entity::Trunk(mut trunk) => {
            trunk.calls_max = Some(1);
            hushbox_store::model::Entity::Trunk(trunk)
        }
        other => other,
    });
    let limited = Arc::new(Directory::of(entities.collect::<Vec<_>>()).unwrap());
    signalling.handle_input(now(), Input::Directory(limited));
    let call = CallId::from_bytes([1; 16]);
    signalling.places.take(call, Wish::Deposit, Some(TRUNK));
    assert_eq!(ask(&mut signalling, Peer::Trunk(TRUNK), ONE, None), "503 Retry-After");
    assert_eq!(
        ask(&mut signalling, Peer::Trunk(OTHER_TRUNK), "sip:2001@trial.example", None),
        "deposit 2001 Standard"
    );
    assert_eq!(ask(&mut signalling, device("c7001"), ONE, None), "deposit 1001 Hipaa");
    signalling.handle_input(now(), Input::Call { call, says: ToSignalling::Over });
    assert_eq!(ask(&mut signalling, Peer::Trunk(TRUNK), ONE, None), "deposit 1001 Hipaa");
}

#[test]
fn a_server_that_is_behind_refuses_some_messages_and_says_when_to_come_back() {
    let mut signalling = signalling();
    let mut now = now();
    let behind = Strain { late: Duration::from_secs(1), ..Strain::default() };
    for _ in 0..30 {
        now.monotonic += crate::limits::STRAIN_EVERY;
        signalling.handle_input(now, Input::Strain { part: Part::Shard(0), strain: behind });
    }
    assert_eq!(signalling.shed_percent(), 100);
    assert_eq!(signalling.refuses(), Some(Why::Overloaded));
    let mut call = invite(Transport::Tls, "198.51.100.7", ONE);
    call.from_user = Some("+15551234567".to_owned());
    signalling.connected(flow(Transport::Tls, "198.51.100.7"), Peer::Trunk(TRUNK));
    let mut waits = std::collections::BTreeSet::new();
    for _ in 0..50 {
        let Err(Judgement::Reject(rejection, Why::Overloaded)) = signalling.judge(now, &call)
        else {
            panic!("refused")
        };
        waits.insert(rejection.retry_after.unwrap());
        assert_eq!(rejection.status, 503);
    }
    assert!(waits.len() > 3, "they do not all come back at once: {waits:?}");
    assert!(waits.iter().all(|secs| (5..=10).contains(secs)), "{waits:?}");
    let retrieval = ask(&mut signalling, device("c7001"), "sip:*97@clinic.example", None);
    assert_eq!(retrieval, "retrieval", "from the places that are kept");
}

#[test]
fn what_contradicts_itself_in_a_trusted_request_is_part_of_the_call() {
    use hushbox_policy::AddressRule;
    let mut signalling = signalling();
    signalling.connected(flow(Transport::Tls, "198.51.100.7"), Peer::Trunk(TRUNK));
    let mut call = invite(Transport::Tls, "198.51.100.7", ONE);
    let diversion = b"<sip:1002@clinic.example>;reason=user-busy".as_slice();
    call.headers = hushbox_sip::Headers::new(vec![("Diversion".to_owned(), diversion.into())]);
    let Ok((_, Purpose::Deposit { mailbox, why, .. })) = signalling.judge(now(), &call) else {
        panic!("a deposit")
    };
    assert_eq!(mailbox.number.as_str(), "1002");
    assert_eq!(why.rule, Some(AddressRule::Diversion));
    assert_eq!(why.against, std::collections::BTreeSet::from([AddressRule::RequestUri]));
    let detail = why.noted_in(hushbox_audit::Detail::new());
    let said: Vec<String> = detail.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(said, ["against-request-uri=true", "mailbox-by=diversion"]);
    // A telephone is believed its Request-URI alone: nothing contradicts it.
    signalling.connected(flow(Transport::Tls, "198.51.100.7"), device("c7001"));
    let Ok((_, Purpose::Deposit { mailbox, why, .. })) = signalling.judge(now(), &call) else {
        panic!("a deposit")
    };
    assert_eq!(mailbox.number.as_str(), "1001");
    assert!(
        why.against.is_empty() && why.noted_in(hushbox_audit::Detail::new()).iter().count() == 0
    );
}
