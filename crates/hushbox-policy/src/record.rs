//! What commands change in the directory, as rules see it.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::ids::AccountId;

/// The account whose security-admins change accounts and trunks. It is built in and holds nothing but them.
pub const SYSTEM_ACCOUNT: &str = "system";

/// A kind of record that commands change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecordKind {
    /// An account.
    Account,
    /// A mailbox.
    Mailbox,
    /// A person.
    Person,
    /// A grant.
    Grant,
    /// A device.
    Device,
    /// A trunk.
    Trunk,
    /// Another name of a mailbox.
    Alias,
}

impl RecordKind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::Account,
        Self::Mailbox,
        Self::Person,
        Self::Grant,
        Self::Device,
        Self::Trunk,
        Self::Alias,
    ];

    /// Whether records of this kind stand above the accounts.
    #[must_use]
    pub const fn is_above_accounts(self) -> bool {
        match self {
            Self::Account | Self::Trunk => true,
            Self::Mailbox | Self::Person | Self::Grant | Self::Device | Self::Alias => false,
        }
    }

    /// The name, as commands and the audit log have it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Mailbox => "mailbox",
            Self::Person => "person",
            Self::Grant => "grant",
            Self::Device => "device",
            Self::Trunk => "trunk",
            Self::Alias => "alias",
        }
    }
}

/// One record of the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RecordRef {
    /// What it is.
    pub kind: RecordKind,
    /// Its id.
    pub id: Uuid,
    /// The account that it belongs to, or is; a trunk has none.
    pub account: Option<AccountId>,
}
