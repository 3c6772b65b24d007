//! Changes of the directory: planned whole or refused, signed only for whoever was authorised.
#![expect(clippy::disallowed_methods, reason = "a test composes what the server composes")]

use hushbox_policy::{
    AccountId, Actor, AliasId, Binding, ChangeDirectory, DeviceId, GrantKind, Number, PersonFacts,
    PersonId, PinVerifier, Profile, RecordKind, RecordRef, Request, Role, SYSTEM_ACCOUNT,
};
use hushbox_store::directory::Edit;
use hushbox_store::keys::{RootKey, WrappedKey};
use hushbox_store::model::{
    Account, Alias, AliasName, BaaRecord, Device, Entity, Grant, Kept, Mailbox, Person,
};
use hushbox_store::row::hash_of;
use hushbox_store::signing::{DirectoryKey, NodeKey};
use hushbox_store::{Directory, DirectoryError, DirectoryRow, KeyError, RowId, RowKind};

use crate::support::{ACCOUNT, Installation, MAILBOX, PERSON, entities, utc};

const SYSTEM: AccountId = AccountId::from_bytes([0xa8; 16]);
const ADMIN: PersonId = PersonId::from_bytes([0xb8; 16]);

/// A stored directory with the built-in account, and the key that signs it.
struct Stored {
    key: DirectoryKey,
    rows: Vec<DirectoryRow>,
}

fn number(text: &str) -> Number {
    Number::new(text).unwrap()
}

fn baa() -> Option<BaaRecord> {
    Some(BaaRecord { text: "self-hosted".into(), recorded_at: utc() })
}

fn person(id: u8, account: AccountId, text: &str, role: Role) -> Person {
    Person {
        id: PersonId::from_bytes([id; 16]),
        account,
        number: number(text),
        verifier: PinVerifier::decoy([7; 16]),
        roles: [role].into(),
        disabled: false,
    }
}

fn put(entity: Entity) -> Edit {
    Edit::put(entity)
}

fn remove(kind: RowKind, id: uuid::Uuid) -> Edit {
    Edit::Remove { row: RowId { kind, id }, at: utc() }
}

impl Stored {
    fn new() -> Stored {
        let mut all = entities(&RootKey::from_bytes(&[0x11; 32]), &NodeKey::generate().unwrap());
        let Some(Entity::Account(clinic)) = all.first().cloned() else { panic!("an account") };
        all.push(Entity::Account(Account {
            id: SYSTEM,
            name: SYSTEM_ACCOUNT.into(),
            domain: "system.invalid".into(),
            ..clinic
        }));
        let admin = person(0xb8, SYSTEM, "9000", Role::SecurityAdmin);
        all.push(Entity::Person(Person { id: ADMIN, ..admin }));
        let key = DirectoryKey::generate().unwrap();
        let rows = all.iter().map(|entity| DirectoryRow::sign(entity, 1, &key).unwrap()).collect();
        Stored { key, rows }
    }

    fn directory(&self) -> Directory {
        Directory::build(&self.rows, &self.key.public()).unwrap()
    }

    /// Plans, authorises, signs and stores a change.
    fn change(&mut self, edits: &[Edit]) -> RecordRef {
        let planned = self.directory().plan(&self.rows, edits).unwrap();
        let (record, after) = (planned.record(), planned.after());
        assert_eq!(planned.before(), hash_of(&self.rows));
        let authorised = authorised(record);
        for row in planned.sign(authorised, &self.key).unwrap() {
            self.rows.retain(|there| there.row != row.row);
            self.rows.push(row);
        }
        assert_eq!(hash_of(&self.rows), after, "what was written down is what is stored");
        record
    }

    fn refused(&self, edits: &[Edit]) -> Vec<String> {
        let errors = self.directory().plan(&self.rows, edits).unwrap_err();
        errors.iter().map(ToString::to_string).collect()
    }

    fn refused_for(&self, edits: &[Edit], rule: &str) {
        let errors = self.refused(edits);
        assert!(errors.iter().any(|error| error.contains(rule)), "{errors:?}");
    }

    fn version(&self, kind: RowKind, id: uuid::Uuid) -> u64 {
        self.rows.iter().find(|row| row.row == RowId { kind, id }).unwrap().version
    }
}

fn authorised(record: RecordRef) -> hushbox_audit::Authorised<ChangeDirectory> {
    let account = record.account.unwrap_or(SYSTEM);
    let account = if record.kind.is_above_accounts() { SYSTEM } else { account };
    let facts = hushbox_policy::Facts::new(utc(), hushbox_policy::Surface::Operator)
        .person(PersonFacts {
            person: ADMIN,
            account,
            disabled: false,
            roles: [Role::SecurityAdmin].into(),
        })
        .pin_verified(ADMIN)
        .system_account(SYSTEM);
    Installation::new().authorised(&Request::new(Actor::Person(ADMIN), record), &facts)
}

#[test]
fn a_change_bumps_its_rows_version_and_leaves_the_others() {
    let mut stored = Stored::new();
    let before = stored.directory();
    let changed = Person { disabled: true, ..before.person(PERSON).unwrap().clone() };
    let record = stored.change(&[put(Entity::Person(changed))]);
    assert_eq!((record.kind, record.account), (RecordKind::Person, Some(ACCOUNT)));
    assert_eq!(stored.version(RowKind::Person, PERSON.as_uuid()), 2);
    assert_eq!(stored.version(RowKind::Mailbox, MAILBOX.as_uuid()), 1);
    assert!(stored.directory().person(PERSON).unwrap().disabled);
    assert!(!before.person(PERSON).unwrap().disabled, "who holds the old one sees no half of it");
}

#[test]
fn a_removed_record_leaves_its_id_and_a_person_the_number() {
    let mut stored = Stored::new();
    let newcomer = person(0x51, ACCOUNT, "7003", Role::User);
    stored.change(&[put(Entity::Person(newcomer.clone()))]);
    stored.change(&[remove(RowKind::Person, newcomer.id.as_uuid())]);
    assert!(stored.directory().person(newcomer.id).is_none());
    assert_eq!(stored.version(RowKind::Person, newcomer.id.as_uuid()), 2);

    stored.refused_for(&[put(Entity::Person(newcomer.clone()))], "it was removed");
    let another = Person { id: PersonId::from_bytes([0x52; 16]), ..newcomer.clone() };
    stored.refused_for(&[put(Entity::Person(another))], "its number 7003 is already that of");
    stored.refused_for(&[remove(RowKind::Person, newcomer.id.as_uuid())], "not in the directory");
    // The same number in another account is somebody else's.
    stored.change(&[put(Entity::Person(person(0x53, SYSTEM, "7003", Role::SecurityAdmin)))]);
}

#[test]
fn a_removed_mailbox_keeps_its_key_for_a_message_that_was_being_left() {
    let mut stored = Stored::new();
    let there = stored.directory().mailbox(MAILBOX).unwrap().clone();
    let remove_mailbox = remove(RowKind::Mailbox, MAILBOX.as_uuid());
    let errors = stored.refused(std::slice::from_ref(&remove_mailbox));
    assert_eq!(errors.len(), 1, "its grant: {errors:?}");
    let grant = stored.directory().grants().next().unwrap().id;
    stored.change(&[remove(RowKind::Grant, grant.as_uuid())]);
    stored.change(&[remove_mailbox]);
    let kept = stored.directory().entities().find_map(|entity| match entity {
        Entity::Removed(tombstone) => match tombstone.kept {
            Kept::Mailbox(mailbox) => Some(*mailbox),
            _ => None,
        },
        _ => None,
    });
    assert_eq!(kept, Some(there));
    assert!(stored.directory().mailbox_by_number(&number("1001"), &[ACCOUNT]).is_none());
}

#[test]
fn a_change_is_signed_only_for_what_was_authorised() {
    let stored = Stored::new();
    let person = stored.directory().person(PERSON).unwrap().clone();
    let planned = stored.directory().plan(&stored.rows, &[put(Entity::Person(person))]).unwrap();
    let other = RecordRef { id: ADMIN.as_uuid(), ..planned.record() };
    let signed = planned.sign(authorised(other), &stored.key);
    assert_eq!(signed, Err(KeyError::NotThisRecord));
}

#[test]
fn a_change_is_planned_on_the_rows_that_the_directory_was_built_from() {
    let stored = Stored::new();
    let directory = stored.directory();
    let person = directory.person(PERSON).unwrap().clone();
    let fewer = &stored.rows[1..];
    let planned = directory.plan(fewer, &[put(Entity::Person(person))]);
    assert_eq!(planned.unwrap_err(), [DirectoryError::OtherRows]);
}

#[test]
fn who_administers_holds_no_mailbox() {
    let mut stored = Stored::new();
    let directory = stored.directory();
    let promoted = directory.person(PERSON).unwrap().clone();
    let promoted = Person { roles: [Role::SecurityAdmin].into(), ..promoted };
    stored.refused_for(&[put(Entity::Person(promoted))], "administrative role");
    let admin = person(0x54, ACCOUNT, "7902", Role::SecurityAdmin);
    stored.change(&[put(Entity::Person(admin.clone()))]);
    let grant = Grant {
        id: hushbox_policy::GrantId::from_bytes([0x92; 16]),
        mailbox: MAILBOX,
        person: admin.id,
        kind: GrantKind::Owner,
        from: utc(),
        until: None,
        approver: "x".into(),
        reason: "x".into(),
    };
    stored.refused_for(&[put(Entity::Grant(grant))], "administrative role");
}

#[test]
fn the_built_in_account_stays_with_an_administrator_and_holds_nothing_else() {
    let stored = Stored::new();
    let directory = stored.directory();
    let admin = directory.person(ADMIN).unwrap().clone();
    let disabled = Person { disabled: true, ..admin.clone() };
    stored.refused_for(&[put(Entity::Person(disabled))], "no security-admin left");
    stored.refused_for(&[remove(RowKind::Person, ADMIN.as_uuid())], "no security-admin left");
    let system = directory.account(SYSTEM).unwrap().clone();
    let renamed = Account { name: "other".into(), ..system };
    stored.refused_for(&[put(Entity::Account(renamed))], "keeps its name");
    let device = Device {
        id: DeviceId::from_bytes([0xd2; 16]),
        account: SYSTEM,
        username: "phone-9000".into(),
        bound: Binding::Persons(vec![ADMIN]),
        digest_sha256: None,
        digest_sha512_256: None,
        digest_md5: None,
        certificate: None,
    };
    stored.refused_for(&[put(Entity::Device(device))], "holds persons only");
}

#[test]
fn what_contradicts_the_profile_hipaa_is_refused() {
    let mut stored = Stored::new();
    let clinic = stored.directory().account(ACCOUNT).unwrap().clone();
    stored.refused_for(&[put(Entity::Account(clinic.clone()))], "needs a BAA record");
    let device = Device {
        id: DeviceId::from_bytes([0xd3; 16]),
        account: ACCOUNT,
        username: "old-phone".into(),
        bound: Binding::Mailbox(MAILBOX),
        digest_sha256: None,
        digest_sha512_256: None,
        digest_md5: Some(WrappedKey::from_bytes(vec![1; 40])),
        certificate: None,
    };
    stored.refused_for(&[put(Entity::Device(device.clone()))], "MD5");
    let standard = Account { profile: Profile::Standard, ..clinic.clone() };
    stored.change(&[put(Entity::Account(standard))]);
    stored.change(&[put(Entity::Device(device))]);
    stored.refused_for(&[put(Entity::Account(Account { baa: baa(), ..clinic }))], "MD5");
}

#[test]
fn a_new_account_comes_with_persons_of_its_own_and_with_nothing_else() {
    let mut stored = Stored::new();
    let clinic = stored.directory().account(ACCOUNT).unwrap().clone();
    let id = AccountId::from_bytes([0xa7; 16]);
    let account = put(Entity::Account(Account {
        id,
        name: "dental".into(),
        domain: "dental.example".into(),
        baa: baa(),
        ..clinic
    }));
    let theirs = put(Entity::Person(person(0x55, id, "7950", Role::SecurityAdmin)));
    let elsewhere = put(Entity::Person(person(0x56, ACCOUNT, "7951", Role::SecurityAdmin)));
    stored.refused_for(&[account.clone(), elsewhere], "a change of its own");
    let there = stored.directory().person(PERSON).unwrap().clone();
    let there = put(Entity::Person(Person { disabled: true, ..there }));
    stored.refused_for(&[account.clone(), there], "a change of its own");
    stored.change(&[account, theirs]);
    assert_eq!(stored.directory().account_by_name("dental").map(|account| account.id), Some(id));
}

#[test]
fn an_alias_reaches_its_mailbox_and_is_unique_in_its_account() {
    let mut stored = Stored::new();
    let alias = |id: u8, name: &str| Alias {
        id: AliasId::from_bytes([id; 16]),
        account: ACCOUNT,
        name: AliasName::new(name).unwrap(),
        mailbox: MAILBOX,
    };
    stored.change(&[put(Entity::Alias(alias(1, "+15551234567")))]);
    stored.change(&[put(Entity::Alias(alias(2, "1002")))]);
    let reached = |stored: &Stored, alias: &str, among: AccountId| {
        let directory = stored.directory();
        directory.mailbox_by_alias(alias, &[among]).map(|mailbox| mailbox.number.to_string())
    };
    assert_eq!(reached(&stored, "+15551234567", ACCOUNT).as_deref(), Some("1001"));
    assert_eq!(reached(&stored, "1001", ACCOUNT), None);
    assert_eq!(reached(&stored, "a@b", ACCOUNT), None);
    assert_eq!(reached(&stored, "+15551234567", SYSTEM), None);
    stored.refused_for(&[put(Entity::Alias(alias(3, "1002")))], "its name 1002 is already that of");
    let stray = Alias { account: SYSTEM, ..alias(4, "x") };
    stored.refused_for(&[put(Entity::Alias(stray))], "its mailbox is of another account");
}

#[test]
fn a_record_stays_in_its_account() {
    let stored = Stored::new();
    let moved = stored.directory().person(PERSON).unwrap().clone();
    let moved = Person { account: SYSTEM, ..moved };
    stored.refused_for(&[put(Entity::Person(moved))], "it stays in its account");
}

#[test]
fn a_change_names_the_fields_that_it_touches_and_never_what_stands_in_them() {
    let stored = Stored::new();
    let directory = stored.directory();
    let there = directory.persons().find(|person| person.id == ADMIN).unwrap().clone();
    let fields = |edit: Edit| {
        let planned = directory.plan(&stored.rows, &[edit]).unwrap();
        planned.fields().to_vec()
    };
    let both = Person { roles: [Role::SecurityAdmin, Role::User].into(), ..there.clone() };
    assert_eq!(fields(Edit::put(Entity::Person(both))), ["changed.roles"]);
    let mailbox = directory.mailboxes().next().unwrap().clone();
    let moved = Mailbox { time_zone: "Europe/Vienna".into(), ..mailbox.clone() };
    assert_eq!(fields(Edit::put(Entity::Mailbox(moved))), ["changed.time_zone"]);
    assert!(fields(Edit::put(Entity::Mailbox(mailbox))).is_empty(), "as it was");
    let new = person(0xc9, SYSTEM, "9009", Role::User);
    assert!(fields(Edit::put(Entity::Person(new))).is_empty(), "a new record has no fields before");
}
