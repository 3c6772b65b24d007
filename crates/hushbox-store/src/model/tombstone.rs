//! What is left in the row of something that was removed, so that its id is never used again.

use hushbox_policy::{AccountId, Number};
use jiff::Timestamp;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Account, Entity, Mailbox};
use crate::row::{RowId, RowKind};

/// The row of something that was removed.
#[derive(Clone, Debug, PartialEq)]
pub struct Tombstone {
    /// The row.
    pub row: RowId,
    /// When it was removed.
    pub removed_at: Timestamp,
    /// What has to be known of it still.
    pub kept: Kept,
}

/// What has to be known of something that was removed.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Kept {
    /// That it was there.
    #[default]
    Nothing,
    /// A person's number stays taken: what the audit log says of it is said of one person only.
    PersonNumber {
        /// The account.
        account: AccountId,
        /// The number.
        number: Number,
    },
    /// An account with its wrapped key, since a removed mailbox's key is wrapped by it.
    Account(Box<Account>),
    /// A mailbox with its wrapped key: a message that was being left when it was removed is sealed to it.
    Mailbox(Box<Mailbox>),
}

impl Tombstone {
    /// What is left of this entity.
    pub fn of(entity: &Entity, removed_at: Timestamp) -> Tombstone {
        let kept = match entity {
            Entity::Account(account) => Kept::Account(Box::new(account.clone())),
            Entity::Mailbox(mailbox) => Kept::Mailbox(Box::new(mailbox.clone())),
            Entity::Person(person) => {
                Kept::PersonNumber { account: person.account, number: person.number.clone() }
            }
            Entity::Removed(tombstone) => tombstone.kept.clone(),
            Entity::Grant(_)
            | Entity::Device(_)
            | Entity::Trunk(_)
            | Entity::Node(_)
            | Entity::Alias(_) => Kept::Nothing,
        };
        Tombstone { row: entity.row(), removed_at, kept }
    }

    pub(super) fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut body = Body {
            removed_at: self.removed_at,
            id: self.row.id,
            number: None,
            account: None,
            mailbox: None,
        };
        match &self.kept {
            Kept::Nothing => {}
            Kept::PersonNumber { account, number } => {
                body.number = Some(NumberBody { account: *account, number: number.clone() });
            }
            Kept::Account(account) => body.account = Some(account.clone()),
            Kept::Mailbox(mailbox) => body.mailbox = Some(mailbox.clone()),
        }
        serde_json::to_vec(&body)
    }

    /// The tombstone that a body is, if it is one.
    pub(super) fn from_json(
        kind: RowKind,
        json: &[u8],
    ) -> Result<Option<Tombstone>, serde_json::Error> {
        let Probe { removed_at } = serde_json::from_slice(json)?;
        if removed_at.is_none() {
            return Ok(None);
        }
        let body: Body = serde_json::from_slice(json)?;
        let kept = match (body.number, body.account, body.mailbox) {
            (Some(NumberBody { account, number }), None, None) => {
                Kept::PersonNumber { account, number }
            }
            (None, Some(account), None) => Kept::Account(account),
            (None, None, Some(mailbox)) => Kept::Mailbox(mailbox),
            (None, None, None) => Kept::Nothing,
            _ => return Err(serde::de::Error::custom("a removed row keeps one thing at most")),
        };
        let row = RowId { kind, id: body.id };
        Ok(Some(Tombstone { row, removed_at: body.removed_at, kept }))
    }
}

/// Tells a tombstone from what was there before: nothing else has this field.
#[derive(Deserialize)]
struct Probe {
    #[serde(default)]
    removed_at: Option<IgnoredAny>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    removed_at: Timestamp,
    id: Uuid,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    number: Option<NumberBody>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    account: Option<Box<Account>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mailbox: Option<Box<Mailbox>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct NumberBody {
    account: AccountId,
    number: Number,
}
