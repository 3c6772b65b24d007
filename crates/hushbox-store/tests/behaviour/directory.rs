//! Look-ups, and every rule that a change of the directory must keep.

use std::net::IpAddr;

use hushbox_policy::{
    AccountId, Binding, DeviceId, GrantId, MailboxId, Number, PersonId, Profile, TrunkId,
};
use hushbox_store::keys::{DigestUser, RootKey, WrappedKey};
use hushbox_store::model::{
    Account, CertificateBinding, Device, Entity, Grant, Mailbox, Person, Trunk,
};
use hushbox_store::row::hash_of;
use hushbox_store::signing::NodeKey;
use hushbox_store::{
    CertificateOwner, Directory, DirectoryError, DirectoryRow, NamedCertificate, RowId, RowKind,
};
use jiff::{SignedDuration, Timestamp};

use crate::support::{ACCOUNT, Installation, MAILBOX, entities, utc};

const OTHER: AccountId = AccountId::from_bytes([0xa9; 16]);
const TRUNK: TrunkId = TrunkId::from_bytes([0xf1; 16]);
const DEVICE: DeviceId = DeviceId::from_bytes([0xd1; 16]);

/// What may be changed before it is checked.
struct Draft {
    account: Account,
    mailbox: Mailbox,
    person: Person,
    grant: Grant,
    device: Device,
    trunk: Trunk,
    rest: Vec<Entity>,
}

impl Draft {
    fn new() -> Draft {
        let root = RootKey::from_bytes(&[0x11; 32]);
        let mut draft: Vec<Entity> = entities(&root, &NodeKey::generate().unwrap());
        let mut take = |kind| {
            let at = draft.iter().position(|entity| entity.row().kind == kind).unwrap();
            draft.remove(at)
        };
        let Entity::Account(account) = take(RowKind::Account) else { panic!() };
        let Entity::Mailbox(mailbox) = take(RowKind::Mailbox) else { panic!() };
        let Entity::Person(person) = take(RowKind::Person) else { panic!() };
        let Entity::Grant(grant) = take(RowKind::Grant) else { panic!() };
        let device = Device {
            id: DEVICE,
            account: ACCOUNT,
            username: "phone1".into(),
            bound: Binding::Persons(vec![person.id]),
            digest_sha256: None,
            digest_sha512_256: None,
            digest_md5: None,
            certificate: Some(name(None, "sip:phone1@clinic.example")),
        };
        let trunk = Trunk {
            id: TRUNK,
            name: "pbx".into(),
            certificate: Some(name(Some([9; 32]), "sip:pbx.clinic.example")),
            digest_sha256: None,
            accounts: vec![ACCOUNT],
            lab_addresses: vec![address("127.0.0.1")],
            addressing: Default::default(),
            calls_max: None,
            mwi: None,
        };
        Draft { account, mailbox, person, grant, device, trunk, rest: draft }
    }

    /// A second account with the given things in it.
    fn other_account(&mut self) -> Account {
        let account = Account {
            id: OTHER,
            name: "trial".into(),
            domain: "trial.example".into(),
            profile: Profile::Standard,
            ..self.account.clone()
        };
        self.rest.push(Entity::Account(account.clone()));
        account
    }

    fn entities(self) -> Vec<Entity> {
        let mut entities = self.rest;
        entities.extend([
            Entity::Account(self.account),
            Entity::Mailbox(self.mailbox),
            Entity::Person(self.person),
            Entity::Grant(self.grant),
            Entity::Device(self.device),
            Entity::Trunk(self.trunk),
        ]);
        entities
    }

    fn build(self) -> Directory {
        Directory::of(self.entities()).unwrap()
    }

    fn errors(self) -> Vec<DirectoryError> {
        Directory::of(self.entities()).unwrap_err()
    }

    fn error(self) -> DirectoryError {
        let mut errors = self.errors();
        assert_eq!(errors.len(), 1, "{errors:?}");
        errors.remove(0)
    }
}

fn name(authority: Option<[u8; 32]>, name: &str) -> CertificateBinding {
    CertificateBinding::AuthorityAndName { authority, name: name.into() }
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn number(text: &str) -> Number {
    Number::new(text).unwrap()
}

fn taken(error: DirectoryError) -> (RowKind, &'static str) {
    match error {
        DirectoryError::Taken { row, by, what, .. } => {
            assert_ne!(row, by);
            (row.kind, what)
        }
        other => panic!("{other}"),
    }
}

fn invalid(error: DirectoryError) -> (RowKind, &'static str) {
    match error {
        DirectoryError::Invalid { row, what } => (row.kind, what),
        other => panic!("{other}"),
    }
}

fn missing(error: DirectoryError) -> (RowKind, &'static str) {
    match error {
        DirectoryError::Missing { row, what, .. } => (row.kind, what),
        other => panic!("{other}"),
    }
}

#[test]
fn everything_is_found_by_what_it_is_called() {
    let mut draft = Draft::new();
    draft.device.certificate = Some(CertificateBinding::KeyHash([7; 32]));
    let directory = draft.build();
    assert_eq!(directory.account_by_name("clinic").map(|account| account.id), Some(ACCOUNT));
    let by_domain = directory.account_by_domain("CLINIC.example");
    assert_eq!(by_domain.map(|account| account.id), Some(ACCOUNT));
    let mailbox = directory.mailbox_by_number(&number("1001"), &[OTHER, ACCOUNT]);
    assert_eq!(mailbox.map(|mailbox| mailbox.id), Some(MAILBOX));
    assert!(directory.mailbox_by_number(&number("1001"), &[OTHER]).is_none());
    assert!(directory.person_by_number(&number("7001"), &[ACCOUNT]).is_some());
    assert!(directory.person_by_number(&number("1001"), &[ACCOUNT]).is_none());
    assert_eq!(directory.device_by_username("phone1").map(|device| device.id), Some(DEVICE));
    assert!(directory.device_by_username("Phone1").is_none());
    let trunk = |text| directory.trunk_by_lab_address(address(text)).map(|trunk| trunk.id);
    assert_eq!(trunk("127.0.0.1"), Some(TRUNK));
    assert_eq!(trunk("::ffff:127.0.0.1"), Some(TRUNK), "on a socket for both families");
    assert_eq!(trunk("127.0.0.2"), None);
    assert_eq!(directory.certificate_by_key(&[7; 32]), Some(CertificateOwner::Device(DEVICE)));
    assert_eq!(directory.certificate_by_key(&[8; 32]), None);
    let pbx = NamedCertificate { owner: CertificateOwner::Trunk(TRUNK), authority: Some([9; 32]) };
    assert_eq!(directory.certificates_by_name("sip:PBX.clinic.example"), [pbx]);
    assert!(directory.certificates_by_name("sip:pbx.example").is_empty());
}

#[test]
fn the_user_of_a_certificates_name_keeps_its_case_and_the_host_does_not() {
    let directory = Draft::new().build();
    assert_eq!(directory.certificates_by_name("sip:phone1@CLINIC.example").len(), 1);
    assert!(directory.certificates_by_name("sip:PHONE1@clinic.example").is_empty());
}

#[test]
fn a_grant_holds_from_its_first_moment_until_just_before_its_end() {
    let mut draft = Draft::new();
    let person = draft.person.id;
    draft.grant.until = Some(utc() + SignedDuration::from_secs(60));
    let directory = draft.build();
    let at = |seconds: i64| {
        directory.grants_of(person, utc() + SignedDuration::from_secs(seconds)).count()
    };
    assert_eq!([at(-1), at(0), at(59), at(60)], [0, 1, 1, 0]);
    assert_eq!(directory.grants_on(MAILBOX).count(), 1);
}

#[test]
fn rows_are_checked_hashed_and_read_back() {
    let installation = Installation::new();
    let key = installation.directory_key.public();
    let directory = Directory::build(&installation.rows, &key).unwrap();
    assert_eq!(directory.hash(), Some(hash_of(&installation.rows)));
    let again: Vec<Entity> = directory.entities().collect();
    assert_eq!(again.len(), installation.rows.len());
    for entity in again {
        let row = DirectoryRow::sign(&entity, 2, &installation.directory_key).unwrap();
        assert_eq!(row.verify(&key), Ok(entity));
    }
}

#[test]
fn every_row_that_was_changed_by_hand_is_named() {
    let installation = Installation::new();
    let mut rows = installation.rows;
    for at in [1, 4] {
        let body = String::from_utf8(rows[at].body.clone()).unwrap();
        rows[at].body = body.replace("1001", "1009").replace("7900", "7001").into_bytes();
    }
    let errors = Directory::build(&rows, &installation.directory_key.public()).unwrap_err();
    let refused: Vec<RowId> = vec![rows[1].row, rows[4].row];
    let expected: Vec<DirectoryError> =
        refused.into_iter().map(|row| DirectoryError::Signature { row }).collect();
    assert_eq!(errors, expected);
}

#[test]
fn a_row_signed_for_an_unknown_field_is_refused() {
    // A field that this version does not know may be a limit that this version would not keep.
    let json = br#"{"id":"e0e0e0e0-e0e0-e0e0-e0e0-e0e0e0e0e0e0","public_key":"04","roles":[]}"#;
    assert!(serde_json::from_slice::<hushbox_store::model::Node>(json).is_err());
}

#[test]
fn names_and_domains_of_accounts_are_unique() {
    let mut draft = Draft::new();
    let mut other = draft.other_account();
    draft.rest.pop();
    other.name = "clinic".into();
    draft.rest.push(Entity::Account(other));
    assert_eq!(taken(draft.error()), (RowKind::Account, "name"));

    let mut draft = Draft::new();
    let mut other = draft.other_account();
    draft.rest.pop();
    other.domain = "Clinic.Example".into();
    draft.rest.push(Entity::Account(other));
    assert_eq!(taken(draft.error()), (RowKind::Account, "domain"));
}

#[test]
fn numbers_are_unique_in_an_account_each_within_its_kind() {
    let mut draft = Draft::new();
    draft.mailbox.number = number("1002");
    assert_eq!(taken(draft.error()), (RowKind::Mailbox, "number"));

    let mut draft = Draft::new();
    draft.person.number = number("7900");
    assert_eq!(taken(draft.error()), (RowKind::Person, "number"));

    let mut draft = Draft::new();
    draft.person.number = draft.mailbox.number.clone();
    draft.build();
}

#[test]
fn a_disabled_persons_number_stays_taken() {
    let mut draft = Draft::new();
    draft.person.disabled = true;
    let newcomer =
        Person { id: PersonId::from_bytes([0xcc; 16]), disabled: false, ..draft.person.clone() };
    draft.rest.push(Entity::Person(newcomer));
    assert_eq!(taken(draft.error()), (RowKind::Person, "number"));
}

#[test]
fn numbers_are_unique_among_the_accounts_of_every_trunk() {
    let same_number = |served: bool| {
        let mut draft = Draft::new();
        draft.other_account();
        let id = MailboxId::from_bytes([0xb9; 16]);
        let other = Mailbox { id, account: OTHER, ..draft.mailbox.clone() };
        draft.rest.push(Entity::Mailbox(other));
        let id = PersonId::from_bytes([0xc9; 16]);
        let other = Person { id, account: OTHER, ..draft.person.clone() };
        draft.rest.push(Entity::Person(other));
        if served {
            draft.trunk.accounts.push(OTHER);
        }
        draft
    };
    same_number(false).build();
    let errors = same_number(true).errors();
    let numbers: Vec<String> = errors
        .into_iter()
        .map(|error| match error {
            DirectoryError::Ambiguous { row, number, one, other } => {
                assert_eq!(row.kind, RowKind::Trunk);
                assert_ne!(one, other);
                number.to_string()
            }
            other => panic!("{other}"),
        })
        .collect();
    assert_eq!(numbers, ["the mailbox number 1001", "the person number 7001"]);
}

#[test]
fn user_names_certificates_and_lab_addresses_belong_to_one() {
    let another = |draft: &Draft| Device {
        id: DeviceId::from_bytes([0xd9; 16]),
        certificate: None,
        username: "phone9".into(),
        ..draft.device.clone()
    };

    let mut draft = Draft::new();
    let device = Device { username: "phone1".into(), ..another(&draft) };
    draft.rest.push(Entity::Device(device));
    assert_eq!(taken(draft.error()), (RowKind::Device, "user name"));

    let mut draft = Draft::new();
    let certificate = draft.device.certificate.clone();
    draft.rest.push(Entity::Device(Device { certificate, ..another(&draft) }));
    assert_eq!(taken(draft.error()), (RowKind::Device, "certificate name"));

    // A name that any authority may have signed is that name of each: one certificate would fit both.
    let mut draft = Draft::new();
    let certificate = Some(name(Some([9; 32]), "sip:phone1@clinic.example"));
    draft.rest.push(Entity::Device(Device { certificate, ..another(&draft) }));
    assert_eq!(taken(draft.error()), (RowKind::Device, "certificate name"));

    let mut draft = Draft::new();
    draft.device.certificate = Some(CertificateBinding::KeyHash([7; 32]));
    draft.trunk.certificate = Some(CertificateBinding::KeyHash([7; 32]));
    assert_eq!(taken(draft.error()), (RowKind::Trunk, "certificate key"));

    let mut draft = Draft::new();
    let trunk = Trunk {
        id: TrunkId::from_bytes([0xf9; 16]),
        name: "pbx2".into(),
        certificate: None,
        ..draft.trunk.clone()
    };
    draft.rest.push(Entity::Trunk(trunk.clone()));
    assert_eq!(taken(draft.error()), (RowKind::Trunk, "lab address"));

    let mut draft = Draft::new();
    let trunk = Trunk { name: "pbx".into(), lab_addresses: vec![], ..trunk };
    draft.rest.push(Entity::Trunk(trunk));
    assert_eq!(taken(draft.error()), (RowKind::Trunk, "name"));
}

#[test]
fn a_trunk_of_a_hipaa_account_is_told_of_lamps_by_tls_alone() {
    let told = |profile, target: &str| {
        let mut draft = Draft::new();
        draft.account.profile = profile;
        draft.trunk.mwi = Some(target.parse().unwrap());
        draft
    };
    for target in ["sip:pbx.example;transport=udp", "sip:192.0.2.1;transport=tcp"] {
        told(Profile::Standard, target).build();
        let (kind, what) = invalid(told(Profile::Hipaa, target).error());
        assert_eq!(kind, RowKind::Trunk);
        assert!(what.contains("--mwi") && what.contains("TLS"), "{what}");
    }
    told(Profile::Hipaa, "sip:pbx.example:5081").build();
}

#[test]
fn a_trunk_by_digest_has_nothing_else_that_proves_it_and_is_told_of_no_lamps() {
    let by_digest = |change: fn(&mut Trunk)| {
        let mut draft = Draft::new();
        draft.trunk.certificate = None;
        draft.trunk.lab_addresses.clear();
        draft.trunk.digest_sha256 = Some(WrappedKey::from_bytes(vec![0; 64]));
        draft.trunk.addressing.trusted.clear();
        change(&mut draft.trunk);
        draft
    };
    let directory = by_digest(|_| {}).build();
    assert_eq!(directory.digest_user("pbx"), Some(DigestUser::Trunk(TRUNK)));
    assert_eq!(directory.digest_user("phone1"), Some(DigestUser::Device(DEVICE)));
    assert!(directory.device_by_username("pbx").is_none());
    assert_eq!(Draft::new().build().digest_user("pbx"), None, "a trunk without a password");

    for (change, said) in [
        (
            (|trunk| trunk.certificate = Some(CertificateBinding::KeyHash([7; 32])))
                as fn(&mut Trunk),
            "certificate",
        ),
        (|trunk| trunk.lab_addresses = vec![address("127.0.0.1")], "lab address"),
        (|trunk| trunk.mwi = Some("sip:pbx.example".parse().unwrap()), "lamps"),
        (|trunk| trunk.addressing = Default::default(), "--trust"),
    ] {
        let (kind, what) = invalid(by_digest(change).error());
        assert_eq!(kind, RowKind::Trunk);
        assert!(what.contains(said), "{what}");
    }
    assert_eq!(
        taken(by_digest(|trunk| trunk.name = "phone1".into()).error()),
        (RowKind::Trunk, "user name")
    );
}

#[test]
fn a_trunk_s_row_from_before_there_were_unasked_notifies_and_passwords_is_written_as_it_was() {
    let draft = Draft::new();
    let before = serde_json::to_value(&draft.trunk).unwrap();
    assert_eq!((before.get("mwi"), before.get("digest_sha256")), (None, None));
    assert_eq!(serde_json::from_value::<Trunk>(before).unwrap(), draft.trunk);
    let trunk = Trunk { mwi: Some("sip:pbx.example".parse().unwrap()), ..draft.trunk };
    let row = serde_json::to_value(&trunk).unwrap();
    assert_eq!(row["mwi"], "sip:pbx.example;transport=tls");
    assert_eq!(serde_json::from_value::<Trunk>(row).unwrap(), trunk);
}

#[test]
fn a_grant_across_accounts_is_refused() {
    let mut draft = Draft::new();
    draft.other_account();
    let stranger = Person {
        id: PersonId::from_bytes([0xc9; 16]),
        account: OTHER,
        number: number("7101"),
        ..draft.person.clone()
    };
    draft.grant.person = stranger.id;
    draft.rest.push(Entity::Person(stranger));
    let wrong = (RowKind::Grant, "its mailbox and person are of two accounts");
    assert_eq!(invalid(draft.error()), wrong);
}

#[test]
fn a_grant_that_ends_before_it_begins_is_refused() {
    let mut draft = Draft::new();
    draft.grant.until = Some(Timestamp::UNIX_EPOCH);
    assert_eq!(invalid(draft.error()), (RowKind::Grant, "it ends before it begins"));
}

#[test]
fn a_device_bound_outside_of_its_account_is_refused() {
    let mut draft = Draft::new();
    draft.other_account();
    draft.device.account = OTHER;
    let wrong = (RowKind::Device, "it is bound outside of its account");
    assert_eq!(invalid(draft.error()), wrong);

    let mut draft = Draft::new();
    draft.other_account();
    draft.device.account = OTHER;
    draft.device.bound = Binding::Mailbox(MAILBOX);
    assert_eq!(invalid(draft.error()), wrong);
}

#[test]
fn a_trunk_that_names_an_account_twice_is_refused() {
    let mut draft = Draft::new();
    draft.trunk.accounts = vec![ACCOUNT, ACCOUNT];
    assert_eq!(invalid(draft.error()), (RowKind::Trunk, "it names an account twice"));
}

#[test]
fn what_a_row_refers_to_must_be_there() {
    let mut draft = Draft::new();
    draft.trunk.accounts.push(OTHER);
    assert_eq!(missing(draft.error()), (RowKind::Trunk, "account"));

    let mut draft = Draft::new();
    draft.grant.mailbox = MailboxId::from_bytes([1; 16]);
    assert_eq!(missing(draft.error()), (RowKind::Grant, "mailbox"));

    let mut draft = Draft::new();
    draft.device.bound = Binding::Persons(vec![PersonId::from_bytes([1; 16])]);
    assert_eq!(missing(draft.error()), (RowKind::Device, "person"));

    let mut draft = Draft::new();
    draft.mailbox.account = OTHER;
    let errors = draft.errors();
    assert!(errors.iter().any(|error| matches!(
        error,
        DirectoryError::Missing { row, what: "account", .. } if row.kind == RowKind::Mailbox
    )));
}

#[test]
fn a_row_that_is_there_twice_is_refused() {
    let mut draft = Draft::new();
    let again = Grant { reason: "once more".into(), ..draft.grant.clone() };
    assert_eq!(again.id, GrantId::from_bytes([0x91; 16]));
    draft.rest.push(Entity::Grant(again.clone()));
    let row = Entity::Grant(again).row();
    assert_eq!(draft.error(), DirectoryError::Twice { row });
}

#[test]
fn all_mistakes_are_told_at_once() {
    let mut draft = Draft::new();
    draft.mailbox.number = number("1002");
    draft.mailbox.epoch = 0;
    draft.grant.until = Some(Timestamp::UNIX_EPOCH);
    draft.trunk.accounts.push(OTHER);
    assert_eq!(draft.errors().len(), 4);
}
