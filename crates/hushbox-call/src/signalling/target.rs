//! What a call is for: `*97`, or the mailbox that it names ([`addressing`](crate::addressing)), if this caller can
//! reach it.

use hushbox_policy::{Binding, Now};
use hushbox_sip::{Invite, Transport};
use hushbox_store::model::{Mailbox, MailboxPurpose};

use super::Signalling;
use crate::addressing::{self, Asker, Loop, Outcome, Question};
use crate::setup::{Caller, Chosen, Purpose};
use crate::tui::login::Refusal;

/// The caller can't reach it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unreachable {
    /// Not a device's: the same whether it exists or not.
    Forbidden,
    /// None of a trunk's.
    NotFound,
    /// A voicemail server calls another.
    Loop(Loop),
}

impl Signalling {
    pub(super) fn target(
        &self,
        now: Now,
        invite: &Invite,
        caller: Caller,
    ) -> Result<Purpose, Unreachable> {
        let (asker, nobody) = match caller {
            Caller::Device(id) => {
                let device = self.directory.device(id).ok_or(Unreachable::Forbidden)?;
                (Asker::Device(device), Unreachable::Forbidden)
            }
            Caller::Trunk(id) => {
                let trunk = self.directory.trunk(id).ok_or(Unreachable::NotFound)?;
                (Asker::Trunk(trunk), Unreachable::NotFound)
            }
        };
        let question = Question {
            directory: &self.directory,
            asker,
            lab: invite.flow.transport != Transport::Tls,
            product: &self.product,
        };
        let resolution = addressing::resolve(&question, invite);
        match resolution.outcome {
            Outcome::Retrieval => Ok(self.retrieval(now, caller)),
            Outcome::Nobody => Err(nobody),
            Outcome::Loop(found) => Err(Unreachable::Loop(found)),
            Outcome::Deposit(chosen) => {
                let mailbox = chosen.mailbox;
                if mailbox.purpose == MailboxPurpose::Doctor
                    && !self.is_doctor(now, mailbox, caller)
                {
                    // As a number that nobody has.
                    return Err(nobody);
                }
                let account = self.directory.account(mailbox.account).ok_or(nobody)?;
                Ok(Purpose::Deposit {
                    mailbox: Box::new(mailbox.clone()),
                    profile: account.profile,
                    cause: chosen.cause,
                    why: Chosen { rule: chosen.rule, against: resolution.conflicts() },
                })
            }
        }
    }

    /// Whether it is the telephone of somebody who may open this mailbox.
    fn is_doctor(&self, now: Now, mailbox: &Mailbox, caller: Caller) -> bool {
        let Caller::Device(id) = caller else { return false };
        let Some(Binding::Persons(persons)) = self.directory.device(id).map(|d| &d.bound) else {
            return false;
        };
        self.directory
            .grants_on(mailbox.id)
            .any(|grant| grant.holds_at(now.utc) && persons.contains(&grant.person))
    }

    /// Whether anybody's factors could suffice from this source: decided before a number is asked.
    fn retrieval(&self, now: Now, caller: Caller) -> Purpose {
        if self.record_only {
            return Purpose::RefusedRetrieval(Refusal::CannotBeOpened);
        }
        let refused = Purpose::RefusedRetrieval(Refusal::NotFromThisTelephone);
        // Extensions that a trunk asserts, and TOTP, come later: until then nobody can log in over a trunk. Over one that
        // is known by its password nobody ever will.
        let Caller::Device(id) = caller else { return refused };
        let Some(device) = self.directory.device(id) else { return refused };
        let enabled = |person: &hushbox_policy::PersonId| {
            self.directory.person(*person).is_some_and(|person| !person.disabled)
        };
        let anybody = match &device.bound {
            Binding::Persons(persons) => persons.iter().any(enabled),
            Binding::Mailbox(mailbox) => self
                .directory
                .grants_on(*mailbox)
                .any(|grant| grant.holds_at(now.utc) && enabled(&grant.person)),
        };
        if anybody { Purpose::Retrieval(id) } else { refused }
    }
}
