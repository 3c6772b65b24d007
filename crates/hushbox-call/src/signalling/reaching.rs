//! Subscriptions of PBXs whose connection is gone: another one is opened, to where the dialog goes next. A telephone
//! sits behind its NAT, and is told once it has connected again.

use std::collections::BTreeMap;
use std::time::Instant;

use hushbox_policy::{Now, TrunkId};
use hushbox_sip::resolution::Target;
use hushbox_sip::{Destination, Subscription, Transport};
use hushbox_store::model::CertificateBinding;

use super::identity::Caller;
use super::{LookUp, Output, Signalling};
use crate::limits;
use crate::mwi::Watcher;

/// PBXs that are being connected to.
#[derive(Default)]
pub(super) struct Reaching {
    look_ups: BTreeMap<LookUp, Subscription>,
    /// Those that did not take a connection, until they are tried again.
    down: BTreeMap<TrunkId, Instant>,
}

impl Signalling {
    /// There is no way to a subscriber.
    pub(super) fn reach(&mut self, now: Now, subscription: Subscription) {
        let Some(trunk) = self.trunk_of(subscription) else { return };
        let at = now.monotonic;
        if let Some(until) = self.reaching.down.get(&trunk).copied().filter(|until| at < *until) {
            let watcher = Watcher::Subscription(subscription);
            return self.lamps.unreached(at, watcher, Some(until - at));
        }
        if self.reaching.look_ups.values().any(|looking| *looking == subscription) {
            return;
        }
        let hop = self.endpoint.next_hop(subscription);
        let Some(target) = hop.and_then(|hop| Target::of(&hop)) else {
            return self.not_reached(now, subscription);
        };
        let look_up = self.registrations.new_look_up();
        self.reaching.look_ups.insert(look_up, subscription);
        self.outputs.push_back(Output::Locate { look_up, target });
    }

    /// Where that is. False if nobody here has asked.
    pub(super) fn located_next_hop(
        &mut self,
        now: Now,
        look_up: LookUp,
        destinations: &[Destination],
    ) -> bool {
        let Some(subscription) = self.reaching.look_ups.remove(&look_up) else { return false };
        let Some(watching) = self.watching.get(&subscription) else { return true };
        // What began over TLS does not go on in the clear.
        let transport = if watching.lab { Transport::Tcp } else { Transport::Tls };
        let trunk = self.trunk_of(subscription).and_then(|trunk| self.directory.trunk(trunk));
        // A Contact is often a bare address, and the certificate a name's: the trunk's record has that name.
        let name = trunk.and_then(|trunk| match trunk.certificate.as_ref()? {
            CertificateBinding::AuthorityAndName { name, .. } => {
                Some(name.split_once(':').map_or(name.as_str(), |(_, name)| name).to_owned())
            }
            CertificateBinding::KeyHash(_) => None,
        });
        let destinations = destinations.iter().filter(|d| d.transport == transport).cloned();
        let destinations = destinations.map(|mut destination| {
            destination.name = name.clone().or(destination.name);
            destination
        });
        self.endpoint.connect_to(now.monotonic, subscription, destinations.collect());
        true
    }

    /// There is a way now, or none was to be had.
    pub(super) fn reached(&mut self, now: Now, subscription: Subscription, found: bool) {
        if !found {
            return self.not_reached(now, subscription);
        }
        if let Some(trunk) = self.trunk_of(subscription) {
            self.reaching.down.remove(&trunk);
        }
        self.lamps.reachable(now.monotonic, Watcher::Subscription(subscription));
    }

    fn not_reached(&mut self, now: Now, subscription: Subscription) {
        if let Some(trunk) = self.trunk_of(subscription) {
            self.reaching.down.retain(|_, until| now.monotonic < *until);
            self.reaching.down.insert(trunk, now.monotonic + limits::NOTIFY_WAIT_FIRST);
        }
        let watcher = Watcher::Subscription(subscription);
        self.lamps.unreached(now.monotonic, watcher, None);
    }

    fn trunk_of(&self, subscription: Subscription) -> Option<TrunkId> {
        match self.watching.get(&subscription)?.owner {
            Caller::Trunk(trunk) => Some(trunk),
            Caller::Device(_) => None,
        }
    }
}
