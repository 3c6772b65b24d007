//! The one place where a request is decided: a table of what is allowed, and the checks each line asks for.

use crate::action::{Action, EitherProfile, StandardOnly, Target};
use crate::facts::{Binding, Facts, GrantKind, MailboxFacts, PersonFacts, Standard, Surface};
use crate::ids::{MailboxId, PersonId};
use crate::permit::{Actor, Denied, Grounds, Permit, Request};
use crate::profile::Profile;
use crate::record::RecordRef;
use crate::retention::RetentionRule;
use crate::role::Role;

/// Decides a request.
///
/// # Errors
///
/// [`Denied`] for everything that no line of the table allows.
pub fn authorise<A: EitherProfile>(
    request: &Request<A>,
    facts: &Facts,
) -> Result<Permit<A>, Denied> {
    decide(request, facts)
}

/// Whether a request would be decided well once its person's PIN was compared and right: what a log-in asks before it
/// takes one, and how it finds the mailboxes to choose from. It gives no permit.
///
/// # Errors
///
/// [`Denied`] where no PIN could help.
pub fn could_authorise<A: EitherProfile>(
    request: &Request<A>,
    facts: &Facts,
) -> Result<(), Denied> {
    let Actor::Person(person) = request.actor else {
        return decide(request, facts).map(drop);
    };
    let supposed = Facts { pin_of: Some(person), ..facts.clone() };
    decide(request, &supposed).map(drop)
}

/// Decides a request for what only `standard` knows. The witness carries the facts, so it cannot be used with others.
///
/// # Errors
///
/// [`Denied`] for everything that no line of the table allows; in this build that is all of them.
pub fn authorise_on_standard<A: StandardOnly>(
    request: &Request<A>,
    standard: &Standard<'_>,
) -> Result<Permit<A>, Denied> {
    decide(request, standard.facts)
}

/// One line of what is allowed. No line, no permit.
struct Allow {
    rule: &'static str,
    actions: &'static [&'static str],
    from: &'static [Surface],
    to: To,
}

enum To {
    /// A person at a telephone: PIN, a device bound to them or to the mailbox, and one of these grants.
    PersonAtPhone(&'static [GrantKind]),
    /// A person named by `--as`: PIN, one of these grants, and what else is asked.
    PersonByCommand { grants: &'static [GrantKind], role: Option<Role>, reason: bool },
    /// A person named by `--as` who changes the directory: PIN and the role `security-admin`.
    SecurityAdmin,
    /// A command without `--as`.
    Operator,
    /// A retention rule whose time has come.
    Retention,
}

use GrantKind::{Owner, Supervisor};
use Surface::{LabPhone, Operator, Phone, Service};

const TABLE: &[Allow] = &[
    Allow {
        rule: "access.hear",
        actions: &["open-mailbox", "listen", "save"],
        from: &[Phone, LabPhone],
        to: To::PersonAtPhone(&[Owner, Supervisor]),
    },
    Allow {
        rule: "access.own",
        actions: &["delete", "undelete"],
        from: &[Phone, LabPhone],
        to: To::PersonAtPhone(&[Owner]),
    },
    Allow {
        rule: "access.export",
        actions: &["export"],
        from: &[Operator],
        to: To::PersonByCommand {
            grants: &[Supervisor],
            role: Some(Role::Supervisor),
            reason: true,
        },
    },
    Allow {
        rule: "access.reveal",
        actions: &["reveal"],
        from: &[Operator],
        to: To::PersonByCommand { grants: &[Owner, Supervisor], role: None, reason: true },
    },
    Allow {
        rule: "access.list-granted",
        actions: &["list-mailbox"],
        from: &[Operator],
        to: To::PersonByCommand { grants: &[Owner, Supervisor], role: None, reason: false },
    },
    Allow {
        rule: "access.list",
        actions: &["list-mailbox", "list-directory"],
        from: &[Operator],
        to: To::Operator,
    },
    Allow {
        rule: "access.administer",
        actions: &["change-directory"],
        from: &[Operator],
        to: To::SecurityAdmin,
    },
    Allow { rule: "access.retention", actions: &["destroy"], from: &[Service], to: To::Retention },
];

fn decide<A: Action>(request: &Request<A>, facts: &Facts) -> Result<Permit<A>, Denied> {
    let line = TABLE
        .iter()
        .find(|line| {
            line.actions.contains(&A::NAME)
                && line.from.contains(&facts.surface)
                && line.to.is_for(request.actor)
        })
        .ok_or(Denied::NoRule)?;
    let target = A::target(&request.object);
    let rule = match (&line.to, request.actor) {
        (To::PersonAtPhone(grants), Actor::Person(person)) => {
            let (person, mailbox) = person_and_mailbox(person, &target, facts)?;
            lab_serves(mailbox, facts)?;
            pin(person, facts)?;
            held(person, mailbox.mailbox, request, facts)?;
            grant(person.person, mailbox.mailbox, grants, facts)?;
            line.rule
        }
        (To::PersonByCommand { grants, role, reason }, Actor::Person(person)) => {
            let (person, mailbox) = person_and_mailbox(person, &target, facts)?;
            pin(person, facts)?;
            if role.is_some_and(|role| !person.roles.contains(&role)) {
                return Err(Denied::RoleMissing);
            }
            grant(person.person, mailbox.mailbox, grants, facts)?;
            if *reason && request.reason.is_none() {
                return Err(Denied::ReasonMissing);
            }
            line.rule
        }
        (To::SecurityAdmin, Actor::Person(person)) => {
            security_admin(person, &target, facts)?;
            line.rule
        }
        (To::Operator, Actor::Operator { .. }) => {
            if target != Target::Everything {
                object(&target, facts)?;
            }
            line.rule
        }
        (To::Retention, Actor::Rule { id, .. }) => {
            object(&target, facts)?;
            due(id, facts)?
        }
        _ => return Err(Denied::NoRule),
    };
    Ok(Permit::new(grounds(request, target, facts, rule), request.object.clone()))
}

impl To {
    const fn is_for(&self, actor: Actor) -> bool {
        matches!(
            (self, actor),
            (
                Self::PersonAtPhone(_) | Self::PersonByCommand { .. } | Self::SecurityAdmin,
                Actor::Person(_)
            ) | (Self::Operator, Actor::Operator { .. })
                | (Self::Retention, Actor::Rule { .. })
        )
    }
}

/// The person of the request and the mailbox of its object, if they are who and what the facts are about, and of
/// one account.
fn person_and_mailbox<'f>(
    person: PersonId,
    target: &Target,
    facts: &'f Facts,
) -> Result<(&'f PersonFacts, &'f MailboxFacts), Denied> {
    let person = enabled(person, facts)?;
    // hipaa-controls 0: who administers cannot listen.
    if person.roles.iter().any(|role| role.is_administrative()) {
        return Err(Denied::AdministrativeRole);
    }
    let mailbox = object(target, facts)?;
    if person.account != mailbox.account {
        return Err(Denied::OtherAccount);
    }
    Ok((person, mailbox))
}

/// The person of the request, if the facts are about them and they are not disabled.
fn enabled(person: PersonId, facts: &Facts) -> Result<&PersonFacts, Denied> {
    let known = facts.person.as_ref().filter(|known| known.person == person);
    let person = known.ok_or(Denied::UnknownPerson)?;
    if person.disabled { Err(Denied::Disabled) } else { Ok(person) }
}

/// design.md decision 8: accounts and trunks are the built-in account's to change; others change what is their own
/// account's.
fn security_admin(person: PersonId, target: &Target, facts: &Facts) -> Result<(), Denied> {
    let person = enabled(person, facts)?;
    pin(person, facts)?;
    if !person.roles.contains(&Role::SecurityAdmin) {
        return Err(Denied::RoleMissing);
    }
    let Target::Record(RecordRef { kind, account, .. }) = target else {
        return Err(Denied::UnknownObject);
    };
    if kind.is_above_accounts() {
        let of_system = facts.system_account == Some(person.account);
        return if of_system { Ok(()) } else { Err(Denied::SystemAccountOnly) };
    }
    if *account == Some(person.account) { Ok(()) } else { Err(Denied::OtherAccount) }
}

/// The mailbox of the object, if the facts are about this object.
fn object<'f>(target: &Target, facts: &'f Facts) -> Result<&'f MailboxFacts, Denied> {
    let mailbox = facts.mailbox.as_ref().ok_or(Denied::UnknownObject)?;
    let same = match target {
        Target::Everything | Target::Record(_) => false,
        Target::Mailbox(id) => *id == mailbox.mailbox,
        Target::Message(message) => {
            facts.message.is_some_and(|known| known.message == *message)
                && message.mailbox == mailbox.mailbox
                && message.account == mailbox.account
        }
    };
    if same { Ok(mailbox) } else { Err(Denied::UnknownObject) }
}

/// Nothing of a `hipaa` account, and no message of one, exists on a lab listener.
fn lab_serves(mailbox: &MailboxFacts, facts: &Facts) -> Result<(), Denied> {
    let hipaa = profile(mailbox, facts) == Profile::Hipaa;
    if facts.surface == LabPhone && hipaa { Err(Denied::ProfileForbids) } else { Ok(()) }
}

fn pin(person: &PersonFacts, facts: &Facts) -> Result<(), Denied> {
    if facts.pin_of == Some(person.person) { Ok(()) } else { Err(Denied::PinMissing) }
}

/// Something that the person holds: the device of this request, bound to them or to this mailbox. Both profiles ask
/// for it.
fn held<A: Action>(
    person: &PersonFacts,
    mailbox: MailboxId,
    request: &Request<A>,
    facts: &Facts,
) -> Result<(), Denied> {
    let held = facts.device.as_ref().is_some_and(|device| {
        request.device == Some(device.device)
            && device.account == person.account
            && match &device.bound {
                Binding::Persons(persons) => persons.contains(&person.person),
                Binding::Mailbox(bound) => *bound == mailbox,
            }
    });
    if held { Ok(()) } else { Err(Denied::SecondFactorMissing) }
}

fn grant(
    person: PersonId,
    mailbox: MailboxId,
    kinds: &[GrantKind],
    facts: &Facts,
) -> Result<(), Denied> {
    if facts.has_grant(person, mailbox, kinds) { Ok(()) } else { Err(Denied::NoGrant) }
}

/// The retention rule of this id, if the message waits under it and its time has come.
fn due(id: &str, facts: &Facts) -> Result<&'static str, Denied> {
    let rule = RetentionRule::ALL.into_iter().find(|rule| rule.id() == id).ok_or(Denied::NoRule)?;
    let waiting = facts.message.and_then(|message| message.waiting).ok_or(Denied::NotDue)?;
    if waiting.rule == rule && waiting.remaining.is_zero() {
        Ok(rule.id())
    } else {
        Err(Denied::NotDue)
    }
}

fn profile(mailbox: &MailboxFacts, facts: &Facts) -> Profile {
    facts.message.map_or(mailbox.profile, |message| mailbox.profile.stricter(message.profile))
}

fn grounds<A: Action>(
    request: &Request<A>,
    target: Target,
    facts: &Facts,
    rule: &'static str,
) -> Grounds {
    let about = facts
        .mailbox
        .as_ref()
        .filter(|_| matches!(target, Target::Mailbox(_) | Target::Message(_)));
    Grounds {
        actor: request.actor,
        account: match target {
            Target::Record(record) => record.account,
            Target::Everything | Target::Mailbox(_) | Target::Message(_) => {
                about.map(|mailbox| mailbox.account)
            }
        },
        mailbox: about.map(|mailbox| mailbox.mailbox),
        message: match target {
            Target::Message(message) => Some(message.message),
            Target::Everything | Target::Mailbox(_) | Target::Record(_) => None,
        },
        profile: about.map(|mailbox| profile(mailbox, facts)),
        device: request.device,
        session: request.session,
        uid: request.uid,
        reason: request.reason.clone(),
        rule,
    }
}
