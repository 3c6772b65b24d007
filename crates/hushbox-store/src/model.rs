//! What the directory is about: accounts, mailboxes, persons, grants, devices, trunks, nodes, aliases, and what was
//! removed.

mod alias;
mod tombstone;

use std::collections::BTreeSet;
use std::net::IpAddr;

use hushbox_policy::{
    AccountId, Addressing, Binding, DeviceFacts, DeviceId, GrantFacts, GrantId, GrantKind,
    MailboxFacts, MailboxId, NodeId, NotifyTarget, Number, PersonFacts, PersonId, PinVerifier,
    Profile, Role, TrunkId,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::hex_serde;
use crate::keys::{MailboxPublicKey, WrappedKey};
use crate::row::{RowId, RowKind};
use crate::signing::VerifyingKey;

pub use alias::{Alias, AliasName};
pub use tombstone::{Kept, Tombstone};

/// A tenant: everything but trunks and nodes belongs to one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// Its id.
    pub id: AccountId,
    /// Its name, unique: `clinic`.
    pub name: String,
    /// What it is held to.
    pub profile: Profile,
    /// The domain of its SIP addresses, unique.
    pub domain: String,
    /// The account's key, wrapped by the root key.
    pub wrapped_key: WrappedKey,
    /// The business associate agreement that lets a `hipaa` account be served.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baa: Option<BaaRecord>,
}

/// A business associate agreement, or why there needs to be none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BaaRecord {
    /// The parties, or "self-hosted".
    pub text: String,
    /// When it was put on record.
    pub recorded_at: Timestamp,
}

/// Why a mailbox is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MailboxPurpose {
    /// For callers.
    #[default]
    Normal,
    /// For `hushbox doctor` alone.
    Doctor,
}

/// A mailbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mailbox {
    /// Its id.
    pub id: MailboxId,
    /// Its account.
    pub account: AccountId,
    /// The number that reaches it.
    pub number: Number,
    /// The IANA name of the time zone in which its times are spoken.
    pub time_zone: String,
    /// The epoch of its key; it counts from 1.
    pub epoch: u32,
    /// What is left in it is sealed with this.
    pub public_key: MailboxPublicKey,
    /// What opens it, wrapped by the account's key.
    pub wrapped_private_key: WrappedKey,
    /// Why it is there.
    #[serde(default)]
    pub purpose: MailboxPurpose,
}

/// A person: a number, a PIN, roles.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Person {
    /// Its id.
    pub id: PersonId,
    /// The account.
    pub account: AccountId,
    /// The number that the person says to be.
    pub number: Number,
    /// Checks the PIN.
    pub verifier: PinVerifier,
    /// Roles.
    #[serde(default)]
    pub roles: BTreeSet<Role>,
    /// May do nothing any more; the number stays taken.
    #[serde(default)]
    pub disabled: bool,
}

impl Person {
    /// What policy wants to know.
    pub fn facts(&self) -> PersonFacts {
        PersonFacts {
            person: self.id,
            account: self.account,
            disabled: self.disabled,
            roles: self.roles.clone(),
        }
    }
}

/// Opens a mailbox to a person between two dates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// Its id.
    pub id: GrantId,
    /// The mailbox.
    pub mailbox: MailboxId,
    /// The person.
    pub person: PersonId,
    /// As what.
    pub kind: GrantKind,
    /// From then on.
    pub from: Timestamp,
    /// Until then; none is for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Who approved it.
    pub approver: String,
    /// Why.
    pub reason: String,
}

impl Grant {
    /// What policy wants to know.
    pub fn facts(&self) -> GrantFacts {
        GrantFacts {
            grant: self.id,
            person: self.person,
            mailbox: self.mailbox,
            kind: self.kind,
            from: self.from,
            until: self.until,
        }
    }

    /// Whether it holds at that moment; at its end it holds no more.
    pub fn holds_at(&self, utc: Timestamp) -> bool {
        self.from <= utc && self.until.is_none_or(|until| utc < until)
    }
}

/// A telephone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Device {
    /// Its id.
    pub id: DeviceId,
    /// The account.
    pub account: AccountId,
    /// Its digest user name, unique on the server.
    pub username: String,
    /// The persons who use it, or the mailbox it stands for.
    pub bound: Binding,
    /// HA1 for SHA-256, sealed by the service key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest_sha256: Option<WrappedKey>,
    /// HA1 for SHA-512/256, sealed by the service key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest_sha512_256: Option<WrappedKey>,
    /// HA1 for MD5, sealed by the service key: for `lab` listeners only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest_md5: Option<WrappedKey>,
    /// Its client certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<CertificateBinding>,
}

impl Device {
    /// What policy wants to know.
    pub fn facts(&self) -> DeviceFacts {
        DeviceFacts { device: self.id, account: self.account, bound: self.bound.clone() }
    }
}

/// How a client certificate is recognised.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum CertificateBinding {
    /// By its public key (SHA-256 of the SubjectPublicKeyInfo); no authority is asked.
    KeyHash(#[serde(with = "hex_serde")] [u8; 32]),
    /// By its authority and its name.
    AuthorityAndName {
        /// SHA-256 of the authority's certificate; none for any that the server is configured with.
        #[serde(default, skip_serializing_if = "Option::is_none", with = "optional_hash")]
        authority: Option<[u8; 32]>,
        /// `sip:user@domain` for a device, `sip:domain` or a DNS name for a trunk.
        name: String,
    },
}

mod optional_hash {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        hash: &Option<[u8; 32]>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match hash {
            Some(hash) => serializer.serialize_str(&hex::encode(hash)),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<[u8; 32]>, D::Error> {
        let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
        let mut hash = [0; 32];
        hex::decode_to_slice(text, &mut hash)
            .map_err(|_| serde::de::Error::custom("not 32 bytes in hex"))?;
        Ok(Some(hash))
    }
}

/// A PBX that hands calls over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trunk {
    /// Its id.
    pub id: TrunkId,
    /// Its name, unique: `pbx`.
    pub name: String,
    /// Its certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<CertificateBinding>,
    /// Without a certificate: HA1 for SHA-256, its name being the user name, sealed by the service key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest_sha256: Option<WrappedKey>,
    /// The accounts it serves.
    pub accounts: Vec<AccountId>,
    /// Addresses that are this trunk on `lab` listeners.
    #[serde(default)]
    pub lab_addresses: Vec<IpAddr>,
    /// How it names mailboxes.
    #[serde(default, skip_serializing_if = "is_usual")]
    pub addressing: Addressing,
    /// Calls at once, where it has a limit of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calls_max: Option<u32>,
    /// Where it takes NOTIFYs of its accounts' lamps without having asked for them, where it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mwi: Option<NotifyTarget>,
}

impl Trunk {
    /// Whether a password is all that proves it. Then it leaves messages, by TLS, and nothing else; what it says of
    /// who calls and who was called is no more than a telephone's word.
    pub fn is_by_digest(&self) -> bool {
        self.digest_sha256.is_some()
    }
}

fn is_usual(addressing: &Addressing) -> bool {
    *addressing == Addressing::default()
}

/// A server of this installation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// Its id.
    pub id: NodeId,
    /// Checks its manifests.
    pub public_key: VerifyingKey,
}

/// Anything that stands in a directory row.
#[derive(Clone, Debug, PartialEq)]
pub enum Entity {
    /// An account.
    Account(Account),
    /// A mailbox.
    Mailbox(Mailbox),
    /// A person.
    Person(Person),
    /// A grant.
    Grant(Grant),
    /// A device.
    Device(Device),
    /// A trunk.
    Trunk(Trunk),
    /// A node.
    Node(Node),
    /// Another name of a mailbox.
    Alias(Alias),
    /// What is left of something that was removed.
    Removed(Tombstone),
}

impl Entity {
    /// The account that it is or belongs to, if its row alone says so: a grant is its mailbox's.
    pub fn account(&self) -> Option<AccountId> {
        match self {
            Entity::Account(account) => Some(account.id),
            Entity::Mailbox(mailbox) => Some(mailbox.account),
            Entity::Person(person) => Some(person.account),
            Entity::Device(device) => Some(device.account),
            Entity::Alias(alias) => Some(alias.account),
            Entity::Grant(_) | Entity::Trunk(_) | Entity::Node(_) | Entity::Removed(_) => None,
        }
    }

    /// The row it stands in.
    pub fn row(&self) -> RowId {
        match self {
            Entity::Account(account) => RowId { kind: RowKind::Account, id: account.id.as_uuid() },
            Entity::Mailbox(mailbox) => RowId { kind: RowKind::Mailbox, id: mailbox.id.as_uuid() },
            Entity::Person(person) => RowId { kind: RowKind::Person, id: person.id.as_uuid() },
            Entity::Grant(grant) => RowId { kind: RowKind::Grant, id: grant.id.as_uuid() },
            Entity::Device(device) => RowId { kind: RowKind::Device, id: device.id.as_uuid() },
            Entity::Trunk(trunk) => RowId { kind: RowKind::Trunk, id: trunk.id.as_uuid() },
            Entity::Node(node) => RowId { kind: RowKind::Node, id: node.id.as_uuid() },
            Entity::Alias(alias) => RowId { kind: RowKind::Alias, id: alias.id.as_uuid() },
            Entity::Removed(tombstone) => tombstone.row,
        }
    }

    pub(crate) fn to_json(&self) -> Vec<u8> {
        let json = match self {
            Entity::Account(account) => serde_json::to_vec(account),
            Entity::Mailbox(mailbox) => serde_json::to_vec(mailbox),
            Entity::Person(person) => serde_json::to_vec(person),
            Entity::Grant(grant) => serde_json::to_vec(grant),
            Entity::Device(device) => serde_json::to_vec(device),
            Entity::Trunk(trunk) => serde_json::to_vec(trunk),
            Entity::Node(node) => serde_json::to_vec(node),
            Entity::Alias(alias) => serde_json::to_vec(alias),
            Entity::Removed(tombstone) => tombstone.to_json(),
        };
        json.expect("the model has only string keys and no failing Serialize")
    }

    pub(crate) fn from_json(kind: RowKind, json: &[u8]) -> Result<Entity, serde_json::Error> {
        if let Some(tombstone) = Tombstone::from_json(kind, json)? {
            return Ok(Entity::Removed(tombstone));
        }
        Ok(match kind {
            RowKind::Account => Entity::Account(serde_json::from_slice(json)?),
            RowKind::Mailbox => Entity::Mailbox(serde_json::from_slice(json)?),
            RowKind::Person => Entity::Person(serde_json::from_slice(json)?),
            RowKind::Grant => Entity::Grant(serde_json::from_slice(json)?),
            RowKind::Device => Entity::Device(serde_json::from_slice(json)?),
            RowKind::Trunk => Entity::Trunk(serde_json::from_slice(json)?),
            RowKind::Node => Entity::Node(serde_json::from_slice(json)?),
            RowKind::Alias => Entity::Alias(serde_json::from_slice(json)?),
        })
    }
}

impl Mailbox {
    /// What policy wants to know: its account's profile is part of it.
    pub fn facts(&self, account: &Account) -> MailboxFacts {
        MailboxFacts { mailbox: self.id, account: self.account, profile: account.profile }
    }
}
