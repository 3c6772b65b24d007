//! What commands ask about the directory: lists, and changes in a security-admin's name.
//!
//! Records are named as people name them: accounts and trunks by name, mailboxes and persons by NUMBER or
//! ACCOUNT/NUMBER (a bare number is of the administrator's account), devices by user name, grants by id, aliases by
//! alias. In a change, what is `None` stays as it is.

use std::collections::BTreeSet;
use std::net::IpAddr;

use hushbox_policy::{
    AddressRule, DigitRule, Diverted, GrantKind, NotifyTarget, Profile, RecordKind, Role,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Secret;

/// A question or a change.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum DirectoryRequest {
    /// The records of one kind.
    List(RecordKind),
    /// A change of one record.
    Change(Box<ChangeRequest>),
}

/// A change, and in whose name it is made.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangeRequest {
    /// The administrator: NUMBER or ACCOUNT/NUMBER.
    pub person: String,
    /// The administrator's PIN.
    pub pin: Secret,
    /// Why.
    pub reason: Option<String>,
    /// What.
    pub change: Change,
}

/// What is done to a record.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Change {
    /// Make it.
    Add(Fields),
    /// Change what is given.
    Set(Fields),
    /// Remove it.
    Remove {
        /// What it is.
        kind: RecordKind,
        /// What it is called.
        name: String,
    },
}

/// The fields of a record, with what it is called.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Fields {
    /// An account.
    Account(AccountFields),
    /// A mailbox.
    Mailbox(MailboxFields),
    /// A person.
    Person(PersonFields),
    /// A grant.
    Grant(GrantFields),
    /// A device.
    Device(DeviceFields),
    /// A trunk.
    Trunk(TrunkFields),
    /// An alias.
    Alias(AliasFields),
}

impl Fields {
    /// Whether these say nothing but what the record is called; of a grant, a reason is one of its fields.
    pub fn is_empty(&self, reason: bool) -> bool {
        match self {
            Self::Account(AccountFields { name: _, profile, domain, baa, admin }) => {
                profile.is_none() && domain.is_none() && baa.is_none() && admin.is_none()
            }
            Self::Mailbox(MailboxFields { number: _, time_zone }) => time_zone.is_none(),
            Self::Person(PersonFields { number: _, roles, disabled, new_pin }) => {
                roles.is_none() && disabled.is_none() && !new_pin
            }
            Self::Grant(GrantFields { id: _, mailbox, person, kind, from, until, approver }) => {
                mailbox.is_none()
                    && person.is_none()
                    && kind.is_none()
                    && from.is_none()
                    && until.is_none()
                    && approver.is_none()
                    && !reason
            }
            Self::Device(DeviceFields { username: _, bound, password, certificate }) => {
                bound.is_none() && password.is_none() && certificate.is_none()
            }
            Self::Trunk(TrunkFields {
                name: _,
                certificate,
                password,
                accounts,
                lab_addresses,
                addressing,
                calls_max,
                mwi,
            }) => {
                certificate.is_none()
                    && password.is_none()
                    && accounts.is_none()
                    && lab_addresses.is_none()
                    && addressing.is_empty()
                    && calls_max.is_none()
                    && mwi.is_none()
            }
            Self::Alias(AliasFields { alias: _, mailbox }) => mailbox.is_none(),
        }
    }
}

impl AddressingFields {
    fn is_empty(&self) -> bool {
        let Self { order, trusted, diverted, hosts, digits, catch_all } = self;
        order.is_none()
            && trusted.is_none()
            && diverted.is_none()
            && hosts.is_none()
            && digits.is_none()
            && catch_all.is_none()
    }
}

/// Of an account.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountFields {
    /// Its name.
    pub name: String,
    /// What it is held to.
    pub profile: Option<Profile>,
    /// The domain of its SIP addresses.
    pub domain: Option<String>,
    /// The business associate agreement.
    pub baa: Option<String>,
    /// The number of a new security-admin.
    pub admin: Option<String>,
}

/// Of a mailbox.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MailboxFields {
    /// Its number.
    pub number: String,
    /// The time zone in which its times are spoken.
    pub time_zone: Option<String>,
}

/// Of a person.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PersonFields {
    /// The number.
    pub number: String,
    /// All roles.
    pub roles: Option<Vec<Role>>,
    /// Whether the person may do anything.
    pub disabled: Option<bool>,
    /// Make a new PIN.
    pub new_pin: bool,
}

/// Of a grant.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrantFields {
    /// Its id; a new one has none.
    pub id: Option<String>,
    /// The mailbox.
    pub mailbox: Option<String>,
    /// The person.
    pub person: Option<String>,
    /// How far it goes.
    pub kind: Option<GrantKind>,
    /// When it begins.
    pub from: Option<Timestamp>,
    /// When it ends.
    pub until: Option<Until>,
    /// Who approved it.
    pub approver: Option<String>,
}

/// When a grant ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Until {
    /// Not by itself.
    Never,
    /// Then.
    At(Timestamp),
}

/// Of a device.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceFields {
    /// Its user name.
    pub username: String,
    /// Whose it is.
    pub bound: Option<Bound>,
    /// Its password for digest.
    pub password: Option<Password>,
    /// Its certificate.
    pub certificate: Option<Certificate>,
}

/// Whose a device is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// These persons'.
    Persons(Vec<String>),
    /// A mailbox's: then everybody's with a grant on it.
    Mailbox(String),
}

/// A device's password for digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Password {
    /// None: the certificate alone.
    None,
    /// A new one.
    New {
        /// Also for MD5, which only `lab` listeners take.
        md5: bool,
    },
}

/// A trunk's password for digest, by SHA-256 over TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrunkPassword {
    /// None.
    None,
    /// A new one.
    New,
}

/// How a certificate is recognised.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Certificate {
    /// None.
    None,
    /// By its public key: SHA-256 of the SubjectPublicKeyInfo, in hexadecimal.
    KeyHash(String),
    /// By its name.
    Name {
        /// SHA-256 of the authority's certificate, in hexadecimal; any configured one without it.
        authority: Option<String>,
        /// `sip:user@domain`, `sip:domain` or `dns:name`.
        name: String,
    },
}

/// Of a trunk.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrunkFields {
    /// Its name.
    pub name: String,
    /// Its certificate.
    pub certificate: Option<Certificate>,
    /// Its password, where it can have no certificate.
    #[serde(default)]
    pub password: Option<TrunkPassword>,
    /// The accounts that it serves.
    pub accounts: Option<Vec<String>>,
    /// The addresses that are this trunk on `lab` listeners.
    pub lab_addresses: Option<Vec<IpAddr>>,
    /// How it names mailboxes.
    #[serde(default)]
    pub addressing: AddressingFields,
    /// Calls at once.
    pub calls_max: Option<CallsMax>,
    /// Where it is told of lamps unasked.
    pub mwi: Option<Unasked>,
}

/// Whether a trunk is told of lamps without having subscribed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Unasked {
    /// It is not.
    Never,
    /// There.
    To(NotifyTarget),
}

/// A trunk's own limit of calls at once.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum CallsMax {
    /// It has none.
    None,
    /// So many.
    Calls(u32),
}

/// How a trunk names mailboxes.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddressingFields {
    /// What is looked at, in this order.
    pub order: Option<Vec<AddressRule>>,
    /// What is believed.
    pub trusted: Option<BTreeSet<AddressRule>>,
    /// Which of several diversions counts.
    pub diverted: Option<Diverted>,
    /// Host names that stand for the trunk.
    pub hosts: Option<Vec<String>>,
    /// How its numbers become ours.
    pub digits: Option<Vec<DigitRule>>,
    /// Whose calls that name nobody are.
    pub catch_all: Option<CatchAll>,
}

/// The mailbox of calls that name none.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum CatchAll {
    /// They are answered 404.
    None,
    /// ACCOUNT/NUMBER.
    Mailbox(String),
}

/// Of an alias.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AliasFields {
    /// The alias.
    pub alias: String,
    /// The mailbox that it reaches.
    pub mailbox: Option<String>,
}
