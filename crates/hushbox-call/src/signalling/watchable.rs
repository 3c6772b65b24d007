//! Whose lamps somebody may have: a telephone those of its persons' mailboxes or of its own shared one, a PBX those of
//! its accounts, unless its password is all that is known of it.

use hushbox_policy::{Addressing, Binding, GrantKind, MailboxId, Now, Profile};
use hushbox_sip::{Subscribe, Transport};
use hushbox_store::model::{Device, Grant, Mailbox, MailboxPurpose, Trunk};

use super::Signalling;
use crate::addressing::{self, Asker, Question, RETRIEVAL};
use crate::setup::Caller;

impl Signalling {
    /// The mailbox that a SUBSCRIBE is about, if its sender may watch it.
    pub(super) fn watched(&self, now: Now, subscribe: &Subscribe, who: Caller) -> Option<&Mailbox> {
        let lab = subscribe.request.flow.transport != Transport::Tls;
        let mailbox = match who {
            Caller::Device(id) => {
                self.watched_by_device(now, subscribe, self.directory.device(id)?)
            }
            Caller::Trunk(id) => {
                self.named(subscribe, Asker::Trunk(self.directory.trunk(id)?), lab)
            }
        }?;
        self.may_watch(now, who, mailbox.id, lab).then_some(mailbox)
    }

    /// Whether that still holds: grants end, and records are removed.
    pub(super) fn may_watch(&self, now: Now, who: Caller, mailbox: MailboxId, lab: bool) -> bool {
        let Some(mailbox) = self.directory.mailbox(mailbox) else { return false };
        let account = self.directory.account(mailbox.account);
        let is_here = account.is_some_and(|a| !lab || a.profile == Profile::Standard);
        is_here
            && match who {
                Caller::Device(id) => self.directory.device(id).is_some_and(|device| {
                    self.watchable(now, device).any(|(watchable, _)| watchable.id == mailbox.id)
                }),
                Caller::Trunk(id) => {
                    let trunk = self.directory.trunk(id);
                    trunk.is_some_and(|trunk| serves(trunk, mailbox) && !trunk.is_by_digest())
                }
            }
    }

    /// The mailboxes of a telephone, each with whether it is somebody's own.
    fn watchable<'a>(
        &'a self,
        now: Now,
        device: &'a Device,
    ) -> impl Iterator<Item = (&'a Mailbox, bool)> {
        let (shared, persons) = match &device.bound {
            Binding::Mailbox(mailbox) => (Some(*mailbox), &[][..]),
            Binding::Persons(persons) => (None, persons.as_slice()),
        };
        let shared = shared.into_iter().map(|mailbox| (mailbox, true));
        let enabled = persons.iter().filter(|person| {
            self.directory.person(**person).is_some_and(|person| !person.disabled)
        });
        let grants = enabled.flat_map(move |person| self.directory.grants_of(*person, now.utc));
        let granted = grants.map(|grant: &Grant| (grant.mailbox, grant.kind == GrantKind::Owner));
        shared
            .chain(granted)
            .filter_map(|(id, own)| Some((self.directory.mailbox(id)?, own)))
            .filter(|(mailbox, _)| mailbox.account == device.account)
    }

    /// A telephone names a mailbox, or itself, or nothing: then its own is meant.
    fn watched_by_device(
        &self,
        now: Now,
        subscribe: &Subscribe,
        device: &Device,
    ) -> Option<&Mailbox> {
        let lab = subscribe.request.flow.transport != Transport::Tls;
        let device = self.directory.device(device.id)?;
        if let Some(named) = self.named(subscribe, Asker::Device(device), lab) {
            return Some(named);
        }
        let user = subscribe.request.request_uri.user().unwrap_or_default();
        if !user.is_empty() && user != RETRIEVAL && user != device.username {
            return None;
        }
        only(self.watchable(now, device).filter(|(_, own)| *own))
            .or_else(|| only(self.watchable(now, device)))
    }

    /// The mailbox that the Request-URI names; To, where the Request-URI is the voicemail's own number or has none.
    fn named<'a>(
        &'a self,
        subscribe: &Subscribe,
        asker: Asker<'a>,
        lab: bool,
    ) -> Option<&'a Mailbox> {
        let question = Question { directory: &self.directory, asker, lab, product: &self.product };
        // A trunk's digit rules hold here too; what else it says of a call has no meaning.
        let addressing = match asker {
            Asker::Trunk(trunk) => Addressing {
                digits: trunk.addressing.digits.clone(),
                hosts: trunk.addressing.hosts.clone(),
                ..Addressing::request_uri_only()
            },
            Asker::Device(_) => Addressing::request_uri_only(),
        };
        addressing::watched(&question, &addressing, &subscribe.request, &subscribe.to_uri)
    }
}

/// Whether a PBX is told of a mailbox. Doctor's is as a number that nobody has.
pub(super) fn serves(trunk: &Trunk, mailbox: &Mailbox) -> bool {
    trunk.accounts.contains(&mailbox.account) && mailbox.purpose == MailboxPurpose::Normal
}

/// The one mailbox, where there is one; it may come by several grants.
fn only<'a>(mut mailboxes: impl Iterator<Item = (&'a Mailbox, bool)>) -> Option<&'a Mailbox> {
    let (first, _) = mailboxes.next()?;
    mailboxes.all(|(mailbox, _)| mailbox.id == first.id).then_some(first)
}
