//! The subscriptions, by what they are asked for by: a request that comes in walks those of its sender and its mailbox,
//! never all.

use std::collections::{BTreeMap, BTreeSet};

use hushbox_policy::{MailboxId, SubscriptionId};
use hushbox_sip::Subscription;
use hushbox_sip::mwi::Account;
use jiff::Timestamp;

use crate::setup::Caller;

/// What is known of a subscription here.
#[derive(Debug)]
pub(super) struct Watching {
    pub(super) id: SubscriptionId,
    pub(super) owner: Caller,
    pub(super) mailbox: MailboxId,
    /// As the subscriber knows it: what a telephone does not recognise lights no lamp.
    pub(super) account: Option<Account>,
    pub(super) lab: bool,
    pub(super) expires: Timestamp,
}

/// All of them.
#[derive(Default)]
pub(super) struct Watches {
    all: BTreeMap<Subscription, Watching>,
    by_owner: BTreeSet<(Caller, MailboxId, Subscription)>,
    /// Those that could not be told, for want of a way.
    unreached: BTreeSet<(Caller, Subscription)>,
}

const FIRST: MailboxId = MailboxId::from_bytes([0; 16]);
const LAST: MailboxId = MailboxId::from_bytes([0xff; 16]);

impl Watches {
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        assert_eq!(self.by_owner.len(), self.all.len(), "the index is whole");
        self.all.len()
    }

    pub(super) fn get(&self, subscription: Subscription) -> Option<&Watching> {
        self.all.get(&subscription)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Subscription, &Watching)> {
        self.all.iter().map(|(subscription, watching)| (*subscription, watching))
    }

    pub(super) fn insert(&mut self, subscription: Subscription, watching: Watching) {
        self.by_owner.insert((watching.owner, watching.mailbox, subscription));
        self.all.insert(subscription, watching);
    }

    /// It goes on. False if it is not there.
    pub(super) fn refresh(
        &mut self,
        subscription: Subscription,
        lab: bool,
        expires: Timestamp,
    ) -> bool {
        let Some(watching) = self.all.get_mut(&subscription) else { return false };
        watching.lab = lab;
        watching.expires = expires;
        true
    }

    pub(super) fn remove(&mut self, subscription: Subscription) -> Option<Watching> {
        let watching = self.all.remove(&subscription)?;
        self.by_owner.remove(&(watching.owner, watching.mailbox, subscription));
        self.unreached.remove(&(watching.owner, subscription));
        Some(watching)
    }

    /// Those of one owner.
    pub(super) fn of(&self, owner: Caller) -> impl Iterator<Item = Subscription> {
        self.between((owner, FIRST), (owner, LAST))
    }

    /// Those of one owner at one mailbox.
    pub(super) fn at(
        &self,
        owner: Caller,
        mailbox: MailboxId,
    ) -> impl Iterator<Item = Subscription> {
        self.between((owner, mailbox), (owner, mailbox))
    }

    fn between(
        &self,
        first: (Caller, MailboxId),
        last: (Caller, MailboxId),
    ) -> impl Iterator<Item = Subscription> {
        let first = (first.0, first.1, Subscription(0));
        let last = (last.0, last.1, Subscription(u64::MAX));
        self.by_owner.range(first..=last).map(|(.., subscription)| *subscription)
    }

    /// Whether there was a way to it.
    pub(super) fn note(&mut self, subscription: Subscription, has_way: bool) {
        let Some(watching) = self.all.get(&subscription) else { return };
        let entry = (watching.owner, subscription);
        if has_way {
            self.unreached.remove(&entry);
        } else {
            self.unreached.insert(entry);
        }
    }

    /// The owner is there again: those of its that could not be told, each once.
    pub(super) fn take_unreached(&mut self, owner: Caller) -> Vec<Subscription> {
        let all = (owner, Subscription(0))..=(owner, Subscription(u64::MAX));
        let theirs: Vec<_> = self.unreached.range(all).copied().collect();
        for entry in &theirs {
            self.unreached.remove(entry);
        }
        theirs.into_iter().map(|(_, subscription)| subscription).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{OTHER_TRUNK, TRUNK, device_id, mailbox_id, now};

    fn watching(owner: Caller, mailbox: &str) -> Watching {
        Watching {
            id: SubscriptionId::from_bytes([1; 16]),
            owner,
            mailbox: mailbox_id(mailbox),
            account: None,
            lab: false,
            expires: now().utc,
        }
    }

    #[test]
    fn each_owner_has_its_own_and_none_of_its_neighbours() {
        let owners =
            [Caller::Trunk(TRUNK), Caller::Trunk(OTHER_TRUNK), Caller::Device(device_id("c7001"))];
        let mut watches = Watches::default();
        let mut next = 0..;
        for owner in owners {
            for mailbox in ["1001", "1002", "1001"] {
                watches.insert(Subscription(next.next().unwrap()), watching(owner, mailbox));
            }
        }
        let ids = |of: Vec<Subscription>| of.iter().map(|s| s.0).collect::<BTreeSet<u64>>();
        for (at, owner) in (0..).zip(owners) {
            let theirs = BTreeSet::from([3 * at, 3 * at + 1, 3 * at + 2]);
            assert_eq!(ids(watches.of(owner).collect()), theirs);
            let at_1001 = ids(watches.at(owner, mailbox_id("1001")).collect());
            assert_eq!(at_1001, BTreeSet::from([3 * at, 3 * at + 2]));
        }
        assert!(watches.remove(Subscription(3)).is_some());
        assert!(watches.remove(Subscription(3)).is_none());
        assert_eq!(ids(watches.of(owners[1]).collect()), BTreeSet::from([4, 5]));
        assert_eq!(watches.len(), 8);
    }

    #[test]
    fn who_could_not_be_told_is_found_once_and_only_by_its_owner() {
        let (one, other) = (Caller::Trunk(TRUNK), Caller::Trunk(OTHER_TRUNK));
        let mut watches = Watches::default();
        for (number, owner) in [(1, one), (2, one), (3, other), (4, one)] {
            watches.insert(Subscription(number), watching(owner, "1001"));
            watches.note(Subscription(number), false);
        }
        watches.note(Subscription(2), true);
        assert!(watches.remove(Subscription(4)).is_some());
        assert_eq!(watches.take_unreached(one), [Subscription(1)]);
        assert_eq!(watches.take_unreached(one), []);
        assert_eq!(watches.take_unreached(other), [Subscription(3)]);
        watches.note(Subscription(4), false);
        assert_eq!(watches.take_unreached(one), [], "one that is gone is nobody's");
    }
}
