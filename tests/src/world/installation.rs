//! An installation as `quickstart` makes one, with its disks, in memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use hushbox_backend::volume::sim::SimVolume;
use hushbox_call::signalling::Admission;
use hushbox_policy::{
    AccountId, Addressing, Binding, DeviceId, GrantId, GrantKind, MailboxId, MessageId, NodeId,
    Number, Pepper, PersonId, Pin, PinVerifier, Profile, SubscriptionId, TrunkId,
};
use hushbox_sip::{Algorithm, auth::ha1};
use hushbox_store::keys::{
    AccountKey, DigestAlgorithm, DigestUser, RootKey, ServiceKey, WrappedKey,
};
use hushbox_store::model::{
    Account, Device, Entity, Grant, Mailbox, MailboxPurpose, Node, Person, Trunk,
};
use hushbox_store::signing::NodeKey;
use hushbox_store::{Directory, MessageRow, ObjectKey, SubscriptionRow};
use jiff::Timestamp;

/// The digest realm.
pub const REALM: &str = "hushbox";
/// The PIN of person 7001.
pub const PIN_7001: &str = "48151623";
/// The PIN of person 7002.
pub const PIN_7002: &str = "90210455";
/// The PIN of person 7101.
pub const PIN_7101: &str = "31415926";
/// The PBX.
pub const TRUNK: TrunkId = TrunkId::from_bytes([3; 16]);
/// The PBX `hosted`, which serves both accounts too and has a password.
pub const DIGEST_TRUNK: TrunkId = TrunkId::from_bytes([4; 16]);
/// The node.
pub const NODE: NodeId = NodeId::from_bytes([9; 16]);

const CLINIC: AccountId = AccountId::from_bytes([1; 16]);
const TRIAL: AccountId = AccountId::from_bytes([2; 16]);
const DISK_BYTES: u64 = 1 << 30;

/// What outlives a crash: keys, directory, disks.
pub struct Installation {
    /// The directory.
    pub directory: Arc<Directory>,
    /// Wraps the accounts' keys.
    pub root: RootKey,
    /// Signs manifests.
    pub node_key: NodeKey,
    /// Belongs to the PIN verifiers.
    pub pepper: Pepper,
    /// The spool's disk.
    pub spool: SimVolume,
    /// The audit log's synced bytes.
    pub audit: Vec<u8>,
    /// The index.
    pub rows: BTreeMap<MessageId, MessageRow>,
    /// The subscriptions that are kept.
    pub subscriptions: BTreeMap<SubscriptionId, SubscriptionRow>,
    /// The audio objects.
    pub objects: BTreeMap<ObjectKey, Bytes>,
    /// How many calls its servers let in.
    pub admission: Admission,
    /// How often a server was started on it: nothing random comes twice.
    pub starts: u64,
    /// The time when it was last used: a machine's clock goes on while it is off.
    pub utc: Timestamp,
}

/// The device of that user name.
pub fn device(name: &str) -> DeviceId {
    DeviceId::from_bytes(id(12, name))
}

/// The mailbox of that number.
pub fn mailbox(number: &str) -> MailboxId {
    MailboxId::from_bytes(id(10, number))
}

fn person(number: &str) -> PersonId {
    PersonId::from_bytes(id(11, number))
}

fn id(kind: u8, name: &str) -> [u8; 16] {
    let mut id = [kind; 16];
    for (to, from) in id.iter_mut().zip(name.bytes().take(12)) {
        *to = from;
    }
    id
}

fn number(text: &str) -> Number {
    Number::new(text).expect("a number")
}

impl Installation {
    /// `clinic` (hipaa: 1001, 1002; 7001, 7002) and `trial` (standard: 2001; 7101), a device each, one shared by 7001
    /// and 7002, and two PBXs for both, one known by a password. Person 7002 may also hear 1001.
    pub fn new() -> Self {
        let root = RootKey::from_bytes(&[21; 32]);
        let pepper = Pepper::new([22; 32]);
        let node_key = NodeKey::generate().expect("a key");
        let entities = [
            account(&root, CLINIC, "clinic", Profile::Hipaa),
            account(&root, TRIAL, "trial", Profile::Standard),
            a_mailbox(CLINIC, "1001"),
            a_mailbox(CLINIC, "1002"),
            a_mailbox(TRIAL, "2001"),
            a_person(&pepper, CLINIC, "7001", PIN_7001),
            a_person(&pepper, CLINIC, "7002", PIN_7002),
            a_person(&pepper, TRIAL, "7101", PIN_7101),
            grant("7001", "1001"),
            grant("7002", "1002"),
            grant("7002", "1001"),
            grant("7101", "2001"),
            a_device(CLINIC, "c7001", &["7001"]),
            a_device(CLINIC, "c7002", &["7002"]),
            a_device(CLINIC, "cward", &["7001", "7002"]),
            a_device(TRIAL, "t7101", &["7101"]),
            desk_device(),
            Entity::Trunk(Trunk {
                lab_addresses: vec![std::net::Ipv4Addr::LOCALHOST.into()],
                ..a_trunk(TRUNK, "pbx")
            }),
            Entity::Trunk(Trunk {
                digest_sha256: sealed(
                    DigestUser::Trunk(DIGEST_TRUNK),
                    "hosted",
                    (DigestAlgorithm::Sha256, Algorithm::Sha256),
                ),
                addressing: Addressing::request_uri_only(),
                ..a_trunk(DIGEST_TRUNK, "hosted")
            }),
            Entity::Node(Node { id: NODE, public_key: node_key.public() }),
        ];
        Self {
            directory: Arc::new(Directory::of(entities).expect("a directory")),
            root,
            node_key,
            pepper,
            spool: SimVolume::new(DISK_BYTES),
            audit: Vec::new(),
            rows: BTreeMap::new(),
            subscriptions: BTreeMap::new(),
            objects: BTreeMap::new(),
            admission: Admission {
                calls_max: 100,
                retrieval_reserved_percent: 5,
                deposits_per_caller: None,
            },
            starts: 0,
            utc: "2026-03-09T16:05:00Z".parse().expect("a time"),
        }
    }

    /// Opens digest secrets.
    pub fn service_key() -> ServiceKey {
        ServiceKey::from_bytes(&[23; 32])
    }
}

impl Default for Installation {
    fn default() -> Self {
        Self::new()
    }
}

fn account_key(id: AccountId) -> AccountKey {
    AccountKey::from_bytes(&[id.as_bytes()[0] | 0x80; 32])
}

fn account(root: &RootKey, id: AccountId, name: &str, profile: Profile) -> Entity {
    let wrapped_key = root.wrap_account_key(id, &account_key(id), [31; 12]).expect("wrapped");
    let (name, domain) = (name.to_owned(), format!("{name}.example"));
    Entity::Account(Account { id, name, profile, domain, wrapped_key, baa: None })
}

fn a_mailbox(account: AccountId, text: &str) -> Entity {
    let (public_key, private) = hushbox_store::hpke::generate_mailbox_keys().expect("keys");
    let id = mailbox(text);
    let wrapped = account_key(account).wrap_mailbox_key(account, id, 1, &private, [32; 12]);
    Entity::Mailbox(Mailbox {
        id,
        account,
        number: number(text),
        time_zone: "America/New_York".to_owned(),
        epoch: 1,
        public_key,
        wrapped_private_key: wrapped.expect("wrapped"),
        purpose: MailboxPurpose::Normal,
    })
}

fn a_person(pepper: &Pepper, account: AccountId, text: &str, pin: &str) -> Entity {
    let pin = Pin::new(pin).expect("a PIN");
    Entity::Person(Person {
        id: person(text),
        account,
        number: number(text),
        verifier: PinVerifier::make(&pin, pepper, [33; 16]),
        roles: [].into(),
        disabled: false,
    })
}

fn grant(who: &str, what: &str) -> Entity {
    Entity::Grant(Grant {
        id: GrantId::from_bytes(id(13, &format!("{who}{what}"))),
        mailbox: mailbox(what),
        person: person(who),
        kind: GrantKind::Owner,
        from: Timestamp::UNIX_EPOCH,
        until: None,
        approver: "test".to_owned(),
        reason: "test".to_owned(),
    })
}

/// A telephone on a desk: it stands for mailbox 1001, and whoever has a grant on that may use it.
fn desk_device() -> Entity {
    let Entity::Device(device) = a_device(CLINIC, "cdesk", &[]) else { unreachable!("a device") };
    Entity::Device(Device { bound: Binding::Mailbox(mailbox("1001")), ..device })
}

/// Everybody's password is `secret`.
fn sealed(
    user: DigestUser,
    username: &str,
    (kind, algorithm): (DigestAlgorithm, Algorithm),
) -> Option<WrappedKey> {
    let secret = ha1(algorithm, username, REALM, "secret");
    Installation::service_key().seal_digest_secret(user, kind, &secret, [34; 12]).ok()
}

/// A PBX of both accounts.
fn a_trunk(id: TrunkId, name: &str) -> Trunk {
    Trunk {
        id,
        name: name.to_owned(),
        certificate: None,
        digest_sha256: None,
        accounts: vec![CLINIC, TRIAL],
        lab_addresses: Vec::new(),
        addressing: Default::default(),
        calls_max: None,
        mwi: None,
    }
}

fn a_device(account: AccountId, username: &str, persons: &[&str]) -> Entity {
    let id = device(username);
    let sealed = |kind, algorithm| sealed(DigestUser::Device(id), username, (kind, algorithm));
    Entity::Device(Device {
        id,
        account,
        username: username.to_owned(),
        bound: Binding::Persons(persons.iter().map(|number| person(number)).collect()),
        digest_sha256: sealed(DigestAlgorithm::Sha256, Algorithm::Sha256),
        digest_sha512_256: sealed(DigestAlgorithm::Sha512_256, Algorithm::Sha512_256),
        digest_md5: sealed(DigestAlgorithm::Md5, Algorithm::Md5),
        certificate: None,
    })
}
