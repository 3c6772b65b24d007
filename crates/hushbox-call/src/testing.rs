//! A small installation for unit tests: the accounts of a trial, with keys that open nothing.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Instant;

use hushbox_policy::{
    AccountId, Addressing, Binding, DeviceId, GrantId, GrantKind, MailboxId, Now, Number, PersonId,
    PinVerifier, Profile, TrunkId,
};
use hushbox_sip::{Algorithm, auth::ha1};
use hushbox_store::Directory;
use hushbox_store::keys::{DigestAlgorithm, DigestUser, ServiceKey, WrappedKey};
use hushbox_store::model::{
    Account, Device, Entity, Grant, Mailbox, MailboxPurpose, Person, Trunk,
};

pub(crate) const REALM: &str = "hushbox";
pub(crate) const CLINIC: AccountId = AccountId::from_bytes([1; 16]);
pub(crate) const TRIAL: AccountId = AccountId::from_bytes([2; 16]);
pub(crate) const TRUNK: TrunkId = TrunkId::from_bytes([3; 16]);
/// The trunk that serves `trial` alone.
pub(crate) const OTHER_TRUNK: TrunkId = TrunkId::from_bytes([4; 16]);

/// The trunk `hosted`, which serves both accounts and has a password.
pub(crate) const DIGEST_TRUNK: TrunkId = TrunkId::from_bytes([5; 16]);

pub(crate) fn now() -> Now {
    #[expect(clippy::disallowed_methods, reason = "any origin will do in a test")]
    let monotonic = Instant::now();
    Now { monotonic, utc: "2026-03-09T12:00:00Z".parse().unwrap() }
}

pub(crate) fn number(text: &str) -> Number {
    Number::new(text).unwrap()
}

fn id(kind: u8, number: &str) -> [u8; 16] {
    let mut id = [kind; 16];
    let digits = number.as_bytes();
    id[..digits.len().min(8)].copy_from_slice(&digits[..digits.len().min(8)]);
    id
}

pub(crate) fn mailbox_id(number: &str) -> MailboxId {
    MailboxId::from_bytes(id(10, number))
}

pub(crate) fn person_id(number: &str) -> PersonId {
    PersonId::from_bytes(id(11, number))
}

pub(crate) fn device_id(username: &str) -> DeviceId {
    DeviceId::from_bytes(id(12, username))
}

pub(crate) fn service_key() -> ServiceKey {
    ServiceKey::from_bytes(&[7; 32])
}

fn account(id: AccountId, name: &str, profile: Profile) -> Entity {
    Entity::Account(Account {
        id,
        name: name.to_owned(),
        profile,
        domain: format!("{name}.example"),
        wrapped_key: WrappedKey::from_bytes(vec![0; 64]),
        baa: None,
    })
}

fn mailbox(account: AccountId, text: &str) -> Entity {
    mailbox_for(account, text, MailboxPurpose::Normal)
}

fn mailbox_for(account: AccountId, text: &str, purpose: MailboxPurpose) -> Entity {
    let (public_key, _) = hushbox_store::hpke::generate_mailbox_keys().unwrap();
    Entity::Mailbox(Mailbox {
        id: mailbox_id(text),
        account,
        number: number(text),
        time_zone: "America/New_York".to_owned(),
        epoch: 1,
        public_key,
        wrapped_private_key: WrappedKey::from_bytes(vec![0; 64]),
        purpose,
    })
}

fn person(account: AccountId, text: &str, disabled: bool) -> Entity {
    Entity::Person(Person {
        id: person_id(text),
        account,
        number: number(text),
        verifier: PinVerifier::decoy([1; 16]),
        roles: [].into(),
        disabled,
    })
}

fn grant(person: &str, mailbox: &str) -> Entity {
    Entity::Grant(Grant {
        id: GrantId::from_bytes(id(13, &format!("{person}{mailbox}"))),
        mailbox: mailbox_id(mailbox),
        person: person_id(person),
        kind: GrantKind::Owner,
        from: jiff::Timestamp::UNIX_EPOCH,
        until: None,
        approver: "test".to_owned(),
        reason: "test".to_owned(),
    })
}

/// Everybody's password is `secret`.
fn sealed(
    user: DigestUser,
    username: &str,
    kind: DigestAlgorithm,
    algorithm: Algorithm,
) -> Option<WrappedKey> {
    let secret = ha1(algorithm, username, REALM, "secret");
    Some(service_key().seal_digest_secret(user, kind, &secret, [9; 12]).unwrap())
}

fn device(account: AccountId, username: &str, bound: Binding) -> Entity {
    let id = device_id(username);
    let sealed = |kind, algorithm| sealed(DigestUser::Device(id), username, kind, algorithm);
    Entity::Device(Device {
        id,
        account,
        username: username.to_owned(),
        bound,
        digest_sha256: sealed(DigestAlgorithm::Sha256, Algorithm::Sha256),
        digest_sha512_256: sealed(DigestAlgorithm::Sha512_256, Algorithm::Sha512_256),
        digest_md5: sealed(DigestAlgorithm::Md5, Algorithm::Md5),
        certificate: None,
    })
}

fn trunk(id: TrunkId, name: &str, accounts: &[AccountId], lab: &[IpAddr]) -> Entity {
    Entity::Trunk(Trunk {
        id,
        name: name.to_owned(),
        certificate: None,
        digest_sha256: None,
        accounts: accounts.to_vec(),
        lab_addresses: lab.to_vec(),
        addressing: Default::default(),
        calls_max: None,
        mwi: None,
    })
}

fn digest_trunk() -> Entity {
    let Entity::Trunk(trunk) = trunk(DIGEST_TRUNK, "hosted", &[CLINIC, TRIAL], &[]) else {
        unreachable!("a trunk")
    };
    let user = DigestUser::Trunk(trunk.id);
    let digest_sha256 = sealed(user, &trunk.name, DigestAlgorithm::Sha256, Algorithm::Sha256);
    Entity::Trunk(Trunk { digest_sha256, addressing: Addressing::request_uri_only(), ..trunk })
}

/// `clinic` (hipaa: 1001, 1002, and 1099 for doctor) and `trial` (standard: 2001), a person and a device each; shared devices; a trunk
/// for both, which is 127.0.0.1 on `lab`, one for `trial` alone, and one for both that has a password.
pub(crate) fn directory() -> Arc<Directory> {
    let persons =
        |numbers: &[&str]| Binding::Persons(numbers.iter().map(|n| person_id(n)).collect());
    Arc::new(
        Directory::of([
            account(CLINIC, "clinic", Profile::Hipaa),
            account(TRIAL, "trial", Profile::Standard),
            mailbox(CLINIC, "1001"),
            mailbox(CLINIC, "1002"),
            mailbox_for(CLINIC, "1099", MailboxPurpose::Doctor),
            mailbox(TRIAL, "2001"),
            person(CLINIC, "7001", false),
            person(CLINIC, "7002", false),
            person(CLINIC, "7003", true),
            person(CLINIC, "7099", false),
            person(TRIAL, "7101", false),
            grant("7001", "1001"),
            grant("7002", "1001"),
            grant("7002", "1002"),
            grant("7099", "1099"),
            grant("7101", "2001"),
            device(CLINIC, "c7001", persons(&["7001"])),
            device(CLINIC, "cboth", persons(&["7001", "7002"])),
            device(CLINIC, "cgone", persons(&["7003"])),
            device(CLINIC, "cdesk", Binding::Mailbox(mailbox_id("1002"))),
            device(CLINIC, "c7099", persons(&["7099"])),
            device(CLINIC, "cnone", persons(&[])),
            device(TRIAL, "t7101", persons(&["7101"])),
            trunk(TRUNK, "pbx", &[CLINIC, TRIAL], &[IpAddr::V4(Ipv4Addr::LOCALHOST)]),
            trunk(OTHER_TRUNK, "other", &[TRIAL], &[]),
            digest_trunk(),
        ])
        .unwrap(),
    )
}

/// A clinic whose person 7001 has this many mailboxes, 1001 first, at a telephone of their own.
pub(crate) fn directory_of_mailboxes(count: usize) -> Directory {
    let numbers: Vec<String> = (0..count).map(|i| (1001 + i).to_string()).collect();
    let bound = Binding::Persons(vec![person_id("7001")]);
    let mut entities = vec![
        account(CLINIC, "clinic", Profile::Hipaa),
        person(CLINIC, "7001", false),
        device(CLINIC, "c7001", bound),
    ];
    entities.extend(numbers.iter().map(|number| mailbox(CLINIC, number)));
    entities.extend(numbers.iter().enumerate().map(|(i, number)| {
        let Entity::Grant(grant) = grant("7001", number) else { unreachable!("a grant") };
        let id = GrantId::from_bytes([u8::try_from(i).unwrap(); 16]);
        Entity::Grant(Grant { id, ..grant })
    }));
    Directory::of(entities).unwrap()
}
