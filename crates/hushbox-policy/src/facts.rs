//! What a decision stands on: facts that the caller of [`authorise`](crate::authorise) has looked up and checked.
//!
//! Whoever makes facts can make permits, so [`Facts::new`] and [`Facts::pin_verified`] are listed in the
//! workspace's clippy.toml, and one module of each crate that decides lifts them.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::action::MessageRef;
use crate::ids::{AccountId, DeviceId, GrantId, MailboxId, PersonId};
use crate::profile::Profile;
use crate::retention::Waiting;
use crate::role::Role;

/// Where a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Surface {
    /// A telephone, over TLS and SRTP.
    Phone,
    /// A telephone on a `lab` listener: nothing of a `hipaa` account exists there.
    LabPhone,
    /// A command over the control socket.
    Operator,
    /// The server's own tasks.
    Service,
}

/// A person, as the directory knows them.
#[derive(Clone, Debug)]
pub struct PersonFacts {
    /// Who.
    pub person: PersonId,
    /// Their account.
    pub account: AccountId,
    /// Whether they were disabled.
    pub disabled: bool,
    /// Their roles.
    pub roles: BTreeSet<Role>,
}

/// To what extent a grant opens a mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GrantKind {
    /// The person's own mailbox, or a shared one that they work from.
    Owner,
    /// Somebody else's, for supervision: hears, reveals and exports, deletes nothing.
    Supervisor,
}

/// A grant, as the directory knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GrantFacts {
    /// Which.
    pub grant: GrantId,
    /// Who holds it.
    pub person: PersonId,
    /// What it opens.
    pub mailbox: MailboxId,
    /// How far.
    pub kind: GrantKind,
    /// When it begins.
    pub from: Timestamp,
    /// When it ends; at that second it opens nothing any more.
    pub until: Option<Timestamp>,
}

impl GrantFacts {
    fn holds_at(&self, utc: Timestamp) -> bool {
        self.from <= utc && self.until.is_none_or(|until| utc < until)
    }
}

/// To whom a device is bound.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Binding {
    /// The persons who use it.
    Persons(Vec<PersonId>),
    /// A mailbox: then everybody with a grant on it.
    Mailbox(MailboxId),
}

/// The device that proved itself for this call.
#[derive(Clone, Debug)]
pub struct DeviceFacts {
    /// Which.
    pub device: DeviceId,
    /// Its account.
    pub account: AccountId,
    /// To whom it is bound.
    pub bound: Binding,
}

/// A mailbox, as the directory knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MailboxFacts {
    /// Which.
    pub mailbox: MailboxId,
    /// Its account.
    pub account: AccountId,
    /// That account's profile.
    pub profile: Profile,
}

/// A message, as the index knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageFacts {
    /// Which, and where it belongs.
    pub message: MessageRef,
    /// The profile it was recorded under.
    pub profile: Profile,
    /// The rule it waits under, if one does.
    pub waiting: Option<Waiting>,
}

/// Everything a decision may look at.
#[derive(Clone, Debug)]
pub struct Facts {
    pub(crate) utc: Timestamp,
    pub(crate) surface: Surface,
    pub(crate) person: Option<PersonFacts>,
    pub(crate) pin_of: Option<PersonId>,
    pub(crate) device: Option<DeviceFacts>,
    pub(crate) grants: Vec<GrantFacts>,
    pub(crate) mailbox: Option<MailboxFacts>,
    pub(crate) message: Option<MessageFacts>,
    pub(crate) system_account: Option<AccountId>,
}

impl Facts {
    /// Nothing is known yet but when and where. What is never said stays denied.
    #[must_use]
    pub const fn new(utc: Timestamp, surface: Surface) -> Self {
        Self {
            utc,
            surface,
            person: None,
            pin_of: None,
            device: None,
            grants: Vec::new(),
            mailbox: None,
            message: None,
            system_account: None,
        }
    }

    /// The person who says to act.
    #[must_use]
    pub fn person(mut self, person: PersonFacts) -> Self {
        self.person = Some(person);
        self
    }

    /// This person's PIN was entered in this log-in and compared equal.
    #[must_use]
    pub const fn pin_verified(mut self, person: PersonId) -> Self {
        self.pin_of = Some(person);
        self
    }

    /// The device that this call or connection has proved.
    #[must_use]
    pub fn device(mut self, device: DeviceFacts) -> Self {
        self.device = Some(device);
        self
    }

    /// Grants that may matter; those of others, on others, and those out of date are passed over.
    #[must_use]
    pub fn grants(mut self, grants: impl IntoIterator<Item = GrantFacts>) -> Self {
        self.grants.extend(grants);
        self
    }

    /// The mailbox that the request is about.
    #[must_use]
    pub const fn mailbox(mut self, mailbox: MailboxFacts) -> Self {
        self.mailbox = Some(mailbox);
        self
    }

    /// The message that the request is about.
    #[must_use]
    pub const fn message(mut self, message: MessageFacts) -> Self {
        self.message = Some(message);
        self
    }

    /// The built-in account `system`: its security-admins change accounts and trunks.
    #[must_use]
    pub const fn system_account(mut self, account: AccountId) -> Self {
        self.system_account = Some(account);
        self
    }

    /// Under which profile the object of these facts stands: the stricter of its account's and its own. What is not
    /// known stands under `hipaa`.
    #[must_use]
    pub fn strictness(&self) -> Strictness<'_> {
        match (&self.mailbox, &self.message) {
            (Some(mailbox), Some(message))
                if mailbox.profile.stricter(message.profile) == Profile::Standard =>
            {
                Strictness::Standard(Standard { facts: self })
            }
            _ => Strictness::Hipaa(Hipaa { _private: () }),
        }
    }

    pub(crate) fn has_grant(
        &self,
        person: PersonId,
        mailbox: MailboxId,
        kinds: &[GrantKind],
    ) -> bool {
        self.grants.iter().any(|grant| {
            grant.person == person
                && grant.mailbox == mailbox
                && kinds.contains(&grant.kind)
                && grant.holds_at(self.utc)
        })
    }
}

/// What [`Facts::strictness`] answers.
#[derive(Debug)]
pub enum Strictness<'f> {
    /// The object stands under `hipaa`.
    Hipaa(Hipaa),
    /// Both the account and the message are `standard`.
    Standard(Standard<'f>),
}

/// The object of some facts stands under `hipaa`. Nothing that is locked there takes this.
#[derive(Debug)]
pub struct Hipaa {
    _private: (),
}

/// Witness that account and message of these facts are both `standard`. It is made nowhere else.
#[derive(Debug)]
pub struct Standard<'f> {
    pub(crate) facts: &'f Facts,
}
