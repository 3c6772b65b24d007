//! Requests, and the answers to them.

use std::fmt;
use std::marker::PhantomData;

use crate::action::Action;
use crate::ids::{AccountId, DeviceId, MailboxId, MessageId, PersonId, SessionId};
use crate::profile::Profile;
use crate::reason::Reason;

/// Who acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// A person, who proved it.
    Person(PersonId),
    /// Whoever runs a command without `--as`: the user at the other end of the control socket.
    Operator {
        /// That user, as the kernel names them.
        uid: u32,
    },
    /// A rule that somebody, or the build, has switched on.
    Rule {
        /// The rule, as `retention` and policy tables name it.
        id: &'static str,
        /// Who answers for it.
        set_by: SetBy,
    },
    /// The server itself, after a crash or at a start. It is permitted nothing; it only reports.
    System,
}

/// Who switched a rule on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetBy {
    /// It is compiled in.
    Build,
    /// A person did.
    Person(PersonId),
}

/// Somebody asks to do something to something.
#[derive(Clone, Debug)]
pub struct Request<A: Action> {
    pub(crate) actor: Actor,
    pub(crate) object: A::Object,
    pub(crate) device: Option<DeviceId>,
    pub(crate) session: Option<SessionId>,
    pub(crate) uid: Option<u32>,
    pub(crate) reason: Option<Reason>,
}

impl<A: Action> Request<A> {
    /// A request with nothing but who and what.
    #[must_use]
    pub const fn new(actor: Actor, object: A::Object) -> Self {
        Self { actor, object, device: None, session: None, uid: None, reason: None }
    }

    /// The device it comes from.
    #[must_use]
    pub const fn device(mut self, device: DeviceId) -> Self {
        self.device = Some(device);
        self
    }

    /// The log-in it belongs to.
    #[must_use]
    pub const fn session(mut self, session: SessionId) -> Self {
        self.session = Some(session);
        self
    }

    /// The user at the other end of the control socket, recorded also when a person acts by `--as`.
    #[must_use]
    pub const fn uid(mut self, uid: u32) -> Self {
        self.uid = Some(uid);
        self
    }

    /// Why.
    #[must_use]
    pub fn reason(mut self, reason: Reason) -> Self {
        self.reason = Some(reason);
        self
    }
}

/// On what a permit stands: what the audit log writes down about it. Knowing it permits nothing.
#[derive(Clone, Debug)]
pub struct Grounds {
    /// Who acts.
    pub actor: Actor,
    /// The account of the object, where it has one.
    pub account: Option<AccountId>,
    /// The mailbox of the object, where it has one.
    pub mailbox: Option<MailboxId>,
    /// The message, where the object is one.
    pub message: Option<MessageId>,
    /// The stricter of the account's and the message's profile.
    pub profile: Option<Profile>,
    /// The device it came from.
    pub device: Option<DeviceId>,
    /// The log-in it belongs to.
    pub session: Option<SessionId>,
    /// The user at the other end of the control socket.
    pub uid: Option<u32>,
    /// Why.
    pub reason: Option<Reason>,
    /// The rule that allows it.
    pub rule: &'static str,
}

/// Proof that policy allows one action on one object, made by [`authorise`](crate::authorise) alone.
///
/// It opens nothing by itself: the audit log takes it and gives back the proof that does. It cannot be copied.
#[must_use = "a permit is handed to the audit log"]
pub struct Permit<A: Action> {
    grounds: Box<Grounds>,
    object: A::Object,
    action: PhantomData<fn() -> A>,
}

impl<A: Action> Permit<A> {
    pub(crate) fn new(grounds: Grounds, object: A::Object) -> Self {
        Self { grounds: Box::new(grounds), object, action: PhantomData }
    }

    /// Who acts.
    #[must_use]
    pub fn actor(&self) -> Actor {
        self.grounds.actor
    }

    /// On what.
    #[must_use]
    pub const fn object(&self) -> &A::Object {
        &self.object
    }

    /// What the log writes down.
    #[must_use]
    pub fn grounds(&self) -> &Grounds {
        &self.grounds
    }

    /// Takes the permit apart. What is left of it proves nothing.
    #[must_use]
    pub fn into_parts(self) -> (Box<Grounds>, A::Object) {
        (self.grounds, self.object)
    }
}

impl<A: Action> fmt::Debug for Permit<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit")
            .field("action", &A::NAME)
            .field("actor", &self.grounds.actor)
            .field("object", &self.object)
            .field("rule", &self.grounds.rule)
            .finish()
    }
}

/// Why policy says no. The text is for operators; a caller at the phone hears the same for all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// Nothing allows this action to this kind of actor from here.
    #[error("nothing allows this")]
    NoRule,
    /// The request's person is unknown, or the facts are about somebody else.
    #[error("the person is unknown")]
    UnknownPerson,
    /// The person is disabled.
    #[error("the person is disabled")]
    Disabled,
    /// The person has an administrative role, and so hears and sees no message under this number.
    #[error("a person with an administrative role may not do this")]
    AdministrativeRole,
    /// The person lacks the role that this needs.
    #[error("this needs a role that the person does not have")]
    RoleMissing,
    /// No PIN of this person was checked.
    #[error("the PIN was not checked")]
    PinMissing,
    /// Nothing that this person holds was proved: no device bound to them, or to the mailbox.
    #[error("the second factor is missing")]
    SecondFactorMissing,
    /// No grant opens the mailbox to this person now.
    #[error("no grant opens this mailbox now")]
    NoGrant,
    /// The object is not what the facts are about, or is not where it is said to be.
    #[error("no such object")]
    UnknownObject,
    /// Accounts and trunks are changed by security-admins of the account `system`.
    #[error("accounts and trunks are changed by security-admins of the account system")]
    SystemAccountOnly,
    /// The actor and the object belong to different accounts.
    #[error("the object belongs to another account")]
    OtherAccount,
    /// No reason was given.
    #[error("a reason is needed")]
    ReasonMissing,
    /// The profile forbids it here.
    #[error("the profile does not allow this here")]
    ProfileForbids,
    /// The retention rule does not concern this message, or not yet.
    #[error("the retention rule does not apply yet")]
    NotDue,
}

impl Denied {
    /// The id of the rule that denies, as records name it.
    #[must_use]
    pub const fn rule(self) -> &'static str {
        match self {
            Self::NoRule => "access.default-deny",
            Self::UnknownPerson => "access.person",
            Self::Disabled => "access.person-disabled",
            Self::AdministrativeRole => "access.administrators-hear-nothing",
            Self::RoleMissing => "access.role",
            Self::PinMissing => "access.pin",
            Self::SecondFactorMissing => "access.two-factors",
            Self::NoGrant => "access.grant",
            Self::UnknownObject => "access.object",
            Self::SystemAccountOnly => "access.system-account",
            Self::OtherAccount => "access.account",
            Self::ReasonMissing => "access.reason",
            Self::ProfileForbids => "access.profile",
            Self::NotDue => "retention.not-due",
        }
    }
}
