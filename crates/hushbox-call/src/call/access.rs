//! The one place of this crate that makes policy's facts: what a person at a telephone may do.
#![expect(clippy::disallowed_methods, reason = "the module of this crate that decides")]

use hushbox_policy::lockout::{SourceId, Try};
use hushbox_policy::{
    Actor, Binding, Denied, DeviceId, EitherProfile, Facts, MailboxId, MessageFacts, Now, Number,
    OpenMailbox, Permit, PersonId, PinVerifier, Request, SessionId, Surface, authorise,
    could_authorise,
};
use hushbox_store::Directory;
use hushbox_store::model::Person;

/// Where a log-in comes from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source {
    pub(super) surface: Surface,
    pub(super) device: DeviceId,
}

/// Whose PIN a try would have to be, and how it counts.
pub(super) struct Candidate {
    pub(super) person: Option<PersonId>,
    pub(super) attempt: Try,
    pub(super) verifier: PinVerifier,
    pub(super) bound: bool,
}

impl Source {
    /// Finds who is meant by a number (or, without one, by the device), known or not. Whoever can't log in from here
    /// gets a decoy, which no PIN fits: they fail as a wrong PIN does.
    pub(super) fn candidate(
        self,
        now: Now,
        directory: &Directory,
        number: Option<&str>,
        salt: [u8; 16],
    ) -> Option<Candidate> {
        let device = directory.device(self.device)?;
        let (person, number) = match number {
            Some(number) => {
                let number = Number::new(number).ok()?;
                (directory.person_by_number(&number, &[device.account]), Some(number))
            }
            None => match &device.bound {
                Binding::Persons(persons) => {
                    (persons.first().and_then(|person| directory.person(*person)), None)
                }
                Binding::Mailbox(_) => (None, None),
            },
        };
        let bound = person.is_some_and(|person| self.is_bound(now, directory, person));
        let attempt = match (person, number) {
            (Some(person), _) if bound => Try::bound(person.id, device.id),
            (person, Some(number)) => {
                Try::unbound(person.map(|person| person.id), &number, SourceId::Device(device.id))
            }
            (_, None) => return None,
        };
        let suffices = bound
            && person.is_some_and(|person| !self.mailboxes(now, directory, person.id).is_empty());
        let verifier = match person {
            Some(person) if suffices => person.verifier.clone(),
            _ => PinVerifier::decoy(salt),
        };
        Some(Candidate { person: person.map(|person| person.id), attempt, verifier, bound })
    }

    fn is_bound(self, now: Now, directory: &Directory, person: &Person) -> bool {
        match directory.device(self.device).map(|device| &device.bound) {
            Some(Binding::Persons(persons)) => persons.contains(&person.id),
            Some(Binding::Mailbox(mailbox)) => {
                directory.grants_of(person.id, now.utc).any(|grant| grant.mailbox == *mailbox)
            }
            None => false,
        }
    }

    /// The mailboxes that a person with the right PIN could open from here, by number: all of them, however many are
    /// spoken. No PIN need have been compared, and nothing is permitted by it.
    pub(super) fn mailboxes(
        self,
        now: Now,
        directory: &Directory,
        person: PersonId,
    ) -> Vec<MailboxId> {
        let mut found: Vec<_> = directory
            .grants_of(person, now.utc)
            .filter(|grant| {
                let request = self.request::<OpenMailbox>(person, grant.mailbox, None);
                self.facts(now, directory, person, grant.mailbox, None)
                    .is_some_and(|facts| could_authorise(&request, &facts).is_ok())
            })
            .filter_map(|grant| directory.mailbox(grant.mailbox))
            .map(|mailbox| (mailbox.number.clone(), mailbox.id))
            .collect();
        found.sort();
        found.dedup();
        found.into_iter().map(|(_, id)| id).collect()
    }

    /// Asks policy, under the directory of this moment. The PIN of this person was compared equal in this call.
    pub(super) fn permit<A: EitherProfile>(
        self,
        now: Now,
        directory: &Directory,
        (person, session): (PersonId, SessionId),
        mailbox: MailboxId,
        message: Option<MessageFacts>,
        object: A::Object,
    ) -> Result<Permit<A>, Denied> {
        let facts = self
            .facts(now, directory, person, mailbox, message)
            .ok_or(Denied::UnknownObject)?
            .pin_verified(person);
        authorise(&self.request::<A>(person, object, Some(session)), &facts)
    }

    fn request<A: EitherProfile>(
        self,
        person: PersonId,
        object: A::Object,
        session: Option<SessionId>,
    ) -> Request<A> {
        let request = Request::new(Actor::Person(person), object).device(self.device);
        match session {
            Some(session) => request.session(session),
            None => request,
        }
    }

    /// What is known without any PIN.
    fn facts(
        self,
        now: Now,
        directory: &Directory,
        person: PersonId,
        mailbox: MailboxId,
        message: Option<MessageFacts>,
    ) -> Option<Facts> {
        let mailbox = directory.mailbox(mailbox)?;
        let account = directory.account(mailbox.account)?;
        let facts = Facts::new(now.utc, self.surface)
            .person(directory.person(person)?.facts())
            .device(directory.device(self.device)?.facts())
            .grants(directory.grants_of(person, now.utc).map(|grant| grant.facts()))
            .mailbox(mailbox.facts(account));
        Some(match message {
            Some(message) => facts.message(message),
            None => facts,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{device_id, directory_of_mailboxes, mailbox_id, now, person_id};

    #[test]
    fn the_mailboxes_are_found_without_a_pin_and_none_is_left_out() {
        let directory = directory_of_mailboxes(12);
        let source = Source { surface: Surface::Phone, device: device_id("c7001") };
        let person = person_id("7001");
        let found = source.mailboxes(now(), &directory, person);
        assert_eq!(found.len(), 12);
        assert_eq!(found.last(), Some(&mailbox_id("1012")));
        let facts = source.facts(now(), &directory, person, found[0], None).expect("known");
        let request = source.request::<OpenMailbox>(person, found[0], None);
        assert_eq!(authorise(&request, &facts).err(), Some(Denied::PinMissing));
    }
}
