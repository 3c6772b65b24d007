//! What a call is for: `*97`, or the mailbox that the Request-URI names, if this caller can reach it.

use hushbox_policy::{AccountId, Binding, Now, Number};
use hushbox_sip::{Invite, Transport};
use hushbox_store::model::{Device, Mailbox, Trunk};

use super::identity::Caller;
use super::{Signalling, served};
use crate::setup::Purpose;
use crate::tui::login::Refusal;

/// The number that opens mailboxes.
pub(super) const RETRIEVAL: &str = "*97";

/// The caller can't reach it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unreachable {
    /// Not a device's: the same whether it exists or not.
    Forbidden,
    /// None of a trunk's.
    NotFound,
}

impl Signalling {
    pub(super) fn target(
        &self,
        now: Now,
        invite: &Invite,
        caller: Caller,
    ) -> Result<Purpose, Unreachable> {
        // Escapes are resolved already: `%2A97` is the same number.
        let user = invite.request_uri.user();
        if user == Some(RETRIEVAL) {
            return Ok(self.retrieval(now, caller));
        }
        let lab = invite.flow.transport != Transport::Tls;
        let number = user.and_then(|user| Number::new(user).ok());
        let mailbox = match caller {
            Caller::Device(id) => {
                let device = self.directory.device(id).ok_or(Unreachable::Forbidden)?;
                self.mailbox_of_device(invite, device, number.as_ref())
                    .ok_or(Unreachable::Forbidden)?
            }
            Caller::Trunk(id) => {
                let trunk = self.directory.trunk(id).ok_or(Unreachable::NotFound)?;
                self.mailbox_of_trunk(invite, trunk, lab, number.as_ref())
                    .ok_or(Unreachable::NotFound)?
            }
        };
        let account = self.directory.account(mailbox.account).ok_or(Unreachable::NotFound)?;
        Ok(Purpose::Deposit { mailbox: Box::new(mailbox.clone()), profile: account.profile })
    }

    /// A device leaves messages in its own account only.
    fn mailbox_of_device(
        &self,
        invite: &Invite,
        device: &Device,
        number: Option<&Number>,
    ) -> Option<&Mailbox> {
        let named = self.directory.account_by_domain(invite.request_uri.host());
        if named.is_some_and(|account| account.id != device.account) {
            return None;
        }
        self.directory.mailbox_by_number(number?, &[device.account])
    }

    /// The account is that of the domain, if the trunk serves it; else the one of its accounts that has the number.
    fn mailbox_of_trunk(
        &self,
        invite: &Invite,
        trunk: &Trunk,
        lab: bool,
        number: Option<&Number>,
    ) -> Option<&Mailbox> {
        let among: Vec<AccountId> = served(&self.directory, lab, &trunk.accounts);
        match self.directory.account_by_domain(invite.request_uri.host()) {
            Some(account) if among.contains(&account.id) => {
                self.directory.mailbox_by_number(number?, &[account.id])
            }
            Some(_) => None,
            None => self.directory.mailbox_by_number(number?, &among),
        }
    }

    /// Whether anybody's factors could suffice from this source: decided before a number is asked.
    fn retrieval(&self, now: Now, caller: Caller) -> Purpose {
        if self.record_only {
            return Purpose::RefusedRetrieval(Refusal::CannotBeOpened);
        }
        let refused = Purpose::RefusedRetrieval(Refusal::NotFromThisTelephone);
        // Extensions that a trunk asserts, and TOTP, come later: until then nobody can log in over a trunk.
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
