//! Whether there is room for a call that is otherwise right: the facts that policy judges by.

use hushbox_policy::{AdmissionFacts, CallerNumber, NoRoom, Now, Wish, admit};
use hushbox_sip::{Invite, OverloadControl, Rejection};
use hushbox_store::model::MailboxPurpose;
use rand_core::RngCore as _;

use super::{Signalling, Why};
use crate::limits;
use crate::setup::{Caller, Purpose};

impl Signalling {
    /// Lets a call in, or says why not. One too many of a caller's messages becomes a call that hears only that.
    pub(super) fn find_room(
        &mut self,
        now: Now,
        invite: &Invite,
        caller: Caller,
        purpose: Purpose,
    ) -> Result<Purpose, NoRoom> {
        let (number, _) = self.shown_caller(invite, caller);
        let wish = self.wish(now, &purpose, number.as_ref());
        admit(&self.admission_facts(wish, caller, invite.restrains_itself))?;
        Ok(match (wish, purpose) {
            (Wish::TooManyDeposits, Purpose::Deposit { mailbox, profile, .. }) => {
                Purpose::RefusedDeposit { mailbox, profile }
            }
            (Wish::Deposit, Purpose::Deposit { mailbox, profile, cause, why }) => {
                self.flood.count(now.monotonic, mailbox.id, number.as_ref());
                Purpose::Deposit { mailbox, profile, cause, why }
            }
            (_, purpose) => purpose,
        })
    }

    fn wish(&self, now: Now, purpose: &Purpose, number: Option<&CallerNumber>) -> Wish {
        match purpose {
            Purpose::Retrieval(_) => Wish::Retrieval,
            Purpose::RefusedRetrieval(_) => Wish::HopelessRetrieval,
            Purpose::RefusedDeposit { .. } => Wish::TooManyDeposits,
            // Who asks the doctor every few seconds is its own telephone alone.
            Purpose::Deposit { mailbox, .. }
                if mailbox.purpose == MailboxPurpose::Doctor
                    || self.flood.allows(now.monotonic, mailbox.id, number) =>
            {
                Wish::Deposit
            }
            Purpose::Deposit { .. } => Wish::TooManyDeposits,
        }
    }

    fn admission_facts(
        &mut self,
        wish: Wish,
        caller: Caller,
        restrains_itself: bool,
    ) -> AdmissionFacts {
        let trunk = match caller {
            Caller::Trunk(id) => self
                .directory
                .trunk(id)
                .and_then(|trunk| trunk.calls_max)
                .map(|max| self.places.of_trunk(id, usize::try_from(max).unwrap_or(usize::MAX))),
            Caller::Device(_) => None,
        };
        AdmissionFacts {
            wish,
            calls: self.places.calls(),
            retrievals: self.places.retrievals(),
            trunk,
            announcements: self.places.announcements(),
            shed_percent: self.overload.percent(),
            restrains_itself,
            lot: u8::try_from(self.rng.next_u32() % 100).unwrap_or(0),
            draining: self.draining,
            disk_full: self.disk_full,
        }
    }

    /// How a call is refused for which there is no room.
    pub(super) fn no_room(&mut self, why: NoRoom) -> Rejection {
        let least = match why {
            NoRoom::Draining | NoRoom::DiskFull | NoRoom::Flood => limits::RETRY_AFTER_LONG_SECS,
            NoRoom::Full | NoRoom::TrunkFull | NoRoom::Overloaded => limits::RETRY_AFTER_SECS,
        };
        let after = least + self.rng.next_u32() % (least + 1);
        Rejection::new(why.status()).with_retry_after(after)
    }

    /// Why a caller who wants to leave a message would be refused now, whoever it is: what readiness says. A share
    /// that is refused for load is no answer to that until it is all.
    pub fn refuses(&self) -> Option<Why> {
        let facts = AdmissionFacts {
            wish: Wish::Deposit,
            calls: self.places.calls(),
            retrievals: self.places.retrievals(),
            trunk: None,
            announcements: self.places.announcements(),
            shed_percent: self.overload.percent(),
            restrains_itself: false,
            lot: 99,
            draining: self.draining,
            disk_full: self.disk_full,
        };
        admit(&facts).err().map(Why::from)
    }

    /// Of a hundred new calls so many are refused for load.
    pub fn shed_percent(&self) -> u8 {
        self.overload.percent()
    }

    /// What PBXs that take part in overload control hear from now on.
    pub(super) fn tell_neighbours(&mut self, now: Now) {
        let millis = u64::try_from(now.utc.as_millisecond()).unwrap_or(0);
        self.endpoint.set_overload(OverloadControl {
            loss_percent: self.overload.percent(),
            validity: limits::OVERLOAD_VALIDITY,
            sequence: (millis / 1000, u16::try_from(millis % 1000).unwrap_or(0)),
        });
    }
}
