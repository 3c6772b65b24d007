//! What this crate asks of policy, and the facts it gives for it: commands over the control socket, and the rules.
//!
//! Whoever makes facts makes permits, so this is the one module of the crate that makes any. Each function looks the
//! facts up itself, in the directory and the index's row, so that none can be handed in.

use hushbox_policy::retention::RetentionRule;
use hushbox_policy::{
    Actor, ChangeDirectory, Denied, Destroy, Export, Facts, ListDirectory, ListMailbox, MailboxId,
    MessageRef, Now, Permit, PersonId, Reason, RecordKind, RecordRef, Request, Reveal, Role,
    Surface, authorise,
};
use hushbox_store::{Directory, MessageRow};

/// That a person's PIN was compared equal in this command. Made by [`crate::operator`] alone, after a comparison.
#[derive(Clone, Copy, Debug)]
pub struct PinCompared {
    person: PersonId,
    uid: u32,
}

impl PinCompared {
    /// Says so: the caller has compared.
    pub(crate) fn equal(person: PersonId, uid: u32) -> Self {
        Self { person, uid }
    }

    /// Whose it was.
    pub fn person(&self) -> PersonId {
        self.person
    }
}

/// A listing by a command without `--as`.
pub fn list(
    uid: u32,
    mailbox: Option<MailboxId>,
    directory: &Directory,
    now: Now,
) -> Result<Permit<ListMailbox>, Denied> {
    let request = Request::<ListMailbox>::new(Actor::Operator { uid }, mailbox).uid(uid);
    let facts = about(Surface::Operator, mailbox, directory, now);
    authorise(&request, &facts)
}

/// A listing of the directory's records by a command without `--as`.
#[expect(clippy::disallowed_methods, reason = "this crate's one module that makes facts")]
pub fn list_directory(
    uid: u32,
    kind: RecordKind,
    now: Now,
) -> Result<Permit<ListDirectory>, Denied> {
    let request = Request::<ListDirectory>::new(Actor::Operator { uid }, kind).uid(uid);
    authorise(&request, &Facts::new(now.utc, Surface::Operator))
}

/// Changing a record of the directory, in a person's name.
#[expect(
    clippy::disallowed_methods,
    reason = "this crate's one module that makes facts; the PIN was compared"
)]
pub fn change_directory(
    by: PinCompared,
    reason: Option<&Reason>,
    record: RecordRef,
    directory: &Directory,
    now: Now,
) -> Result<Permit<ChangeDirectory>, Denied> {
    let mut request = Request::<ChangeDirectory>::new(Actor::Person(by.person), record).uid(by.uid);
    if let Some(reason) = reason {
        request = request.reason(reason.clone());
    }
    let mut facts = Facts::new(now.utc, Surface::Operator);
    if let Some(system) = directory.system_account() {
        facts = facts.system_account(system.id);
    }
    if let Some(person) = directory.person(by.person) {
        facts = facts.person(person.facts()).pin_verified(by.person);
    }
    authorise(&request, &facts)
}

/// Whether somebody may change anything of the directory; [`change_directory`] says what.
pub fn administers(person: PersonId, directory: &Directory) -> Result<(), Denied> {
    let person = directory.person(person).ok_or(Denied::UnknownPerson)?;
    let may = person.roles.contains(&Role::SecurityAdmin);
    if may { Ok(()) } else { Err(Denied::RoleMissing) }
}

/// Showing who called, in a person's name.
pub fn reveal(
    by: PinCompared,
    reason: &Reason,
    row: &MessageRow,
    directory: &Directory,
    now: Now,
) -> Result<Permit<Reveal>, Denied> {
    let request = Request::<Reveal>::new(Actor::Person(by.person), row.message_ref())
        .uid(by.uid)
        .reason(reason.clone());
    authorise(&request, &in_the_name_of(by, row, directory, now))
}

/// Exporting a message, in a person's name.
pub fn export(
    by: PinCompared,
    reason: &Reason,
    row: &MessageRow,
    directory: &Directory,
    now: Now,
) -> Result<Permit<Export>, Denied> {
    let request = Request::<Export>::new(Actor::Person(by.person), row.message_ref())
        .uid(by.uid)
        .reason(reason.clone());
    authorise(&request, &in_the_name_of(by, row, directory, now))
}

/// Destroying a message whose time under a rule is over.
pub fn destroy(
    rule: RetentionRule,
    row: &MessageRow,
    directory: &Directory,
    now: Now,
) -> Result<Permit<Destroy>, Denied> {
    let object: MessageRef = row.message_ref();
    let request = Request::<Destroy>::new(rule.actor(), object);
    let facts = about(Surface::Service, Some(row.mailbox), directory, now).message(row.facts());
    authorise(&request, &facts)
}

#[expect(clippy::disallowed_methods, reason = "this crate's one module that makes facts")]
fn about(surface: Surface, mailbox: Option<MailboxId>, directory: &Directory, now: Now) -> Facts {
    let facts = Facts::new(now.utc, surface);
    let known = mailbox
        .and_then(|id| directory.mailbox(id))
        .and_then(|mailbox| Some(mailbox.facts(directory.account(mailbox.account)?)));
    match known {
        Some(mailbox) => facts.mailbox(mailbox),
        None => facts,
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "this crate's one module that makes facts; the PIN was compared"
)]
fn in_the_name_of(by: PinCompared, row: &MessageRow, directory: &Directory, now: Now) -> Facts {
    let facts = about(Surface::Operator, Some(row.mailbox), directory, now)
        .message(row.facts())
        .grants(directory.grants_on(row.mailbox).map(|grant| grant.facts()));
    match directory.person(by.person) {
        Some(person) => facts.person(person.facts()).pin_verified(by.person),
        None => facts,
    }
}
