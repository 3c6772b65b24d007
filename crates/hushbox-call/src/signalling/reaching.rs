//! Calls and subscriptions of PBXs whose connection is gone: another one is opened, to where the dialog goes next. A
//! telephone sits behind its NAT: it is told once it has connected again.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hushbox_policy::{Now, TrunkId};
use hushbox_sip::{Destination, Usage};
use hushbox_store::model::CertificateBinding;

use super::{LookUp, Output, Signalling};
use crate::limits;
use crate::mwi::Watcher;

/// PBXs that are being connected to.
#[derive(Default)]
pub(super) struct Reaching {
    /// Whose they are, until it is known whether there is a way: a call may be over by then.
    sought: BTreeMap<Usage, TrunkId>,
    look_ups: BTreeMap<LookUp, Usage>,
    /// Those that did not take a connection, until they are tried again.
    down: BTreeMap<TrunkId, Instant>,
}

impl Reaching {
    /// A call or a subscription is over.
    pub(super) fn forget(&mut self, usage: Usage) {
        self.sought.remove(&usage);
    }

    /// Whether a request inside a call waits for a connection.
    pub(super) fn is_for_calls(&self) -> bool {
        // Sessions come before subscriptions.
        self.sought.first_key_value().is_some_and(|(usage, _)| matches!(usage, Usage::Session(_)))
    }
}

impl Signalling {
    /// There is no way to a peer.
    pub(super) fn reach(&mut self, now: Now, usage: Usage) {
        let at = now.monotonic;
        let Some(trunk) = self.trunk_of(usage) else {
            // Its lamps wait until it is there again; a call that ends does not.
            if let Usage::Session(_) = usage {
                self.endpoint.connect_to(at, usage, Vec::new());
            }
            return;
        };
        if let Some(until) = self.reaching.down.get(&trunk).copied().filter(|until| at < *until) {
            return self.unreached(at, usage, Some(until - at));
        }
        if self.reaching.sought.insert(usage, trunk).is_some() {
            return;
        }
        let Some(target) = self.endpoint.next_hop(usage) else {
            self.reaching.sought.remove(&usage);
            return self.unreached(at, usage, None);
        };
        let look_up = self.registrations.new_look_up();
        self.reaching.look_ups.insert(look_up, usage);
        self.outputs.push_back(Output::Locate { look_up, target });
    }

    /// Where that is. False if nobody here has asked.
    pub(super) fn located_next_hop(
        &mut self,
        now: Now,
        look_up: LookUp,
        destinations: &[Destination],
    ) -> bool {
        let Some(usage) = self.reaching.look_ups.remove(&look_up) else { return false };
        let trunk = self.reaching.sought.get(&usage).and_then(|trunk| self.directory.trunk(*trunk));
        // Nobody is connected to whose record is gone.
        let destinations = if trunk.is_some() { destinations } else { &[] };
        // A Contact is often a bare address, and the certificate a name's: the trunk's record has that name.
        let name = trunk.and_then(|trunk| match trunk.certificate.as_ref()? {
            CertificateBinding::AuthorityAndName { name, .. } => {
                Some(name.split_once(':').map_or(name.as_str(), |(_, name)| name).to_owned())
            }
            CertificateBinding::KeyHash(_) => None,
        });
        let destinations = destinations.iter().cloned().map(|mut destination| {
            destination.name = name.clone().or(destination.name);
            destination
        });
        self.endpoint.connect_to(now.monotonic, usage, destinations.collect());
        true
    }

    /// There is a way now, or none was to be had.
    pub(super) fn reached(&mut self, now: Now, usage: Usage, found: bool) {
        if !found {
            return self.not_reached(now, usage);
        }
        if let Some(trunk) = self.reaching.sought.remove(&usage) {
            self.reaching.down.remove(&trunk);
        }
        if let Usage::Subscription(subscription) = usage {
            self.watching.note(subscription, true);
            self.lamps.reachable(now.monotonic, Watcher::Subscription(subscription));
        }
    }

    fn not_reached(&mut self, now: Now, usage: Usage) {
        // One that was not sought has no way, and nobody has tried.
        if let Some(trunk) = self.reaching.sought.remove(&usage) {
            self.reaching.down.retain(|_, until| now.monotonic < *until);
            self.reaching.down.insert(trunk, now.monotonic + limits::NOTIFY_WAIT_FIRST);
        }
        if let Usage::Subscription(subscription) = usage {
            let watcher = Watcher::Subscription(subscription);
            self.lamps.unreached(now.monotonic, watcher, None);
        }
    }

    /// There is no way, and none is tried for this time.
    fn unreached(&mut self, at: Instant, usage: Usage, after: Option<Duration>) {
        match usage {
            Usage::Session(_) => self.endpoint.connect_to(at, usage, Vec::new()),
            Usage::Subscription(subscription) => {
                self.lamps.unreached(at, Watcher::Subscription(subscription), after);
            }
        }
    }

    fn trunk_of(&self, usage: Usage) -> Option<TrunkId> {
        let owner = match usage {
            Usage::Session(session) => self.callers.get(self.sessions.get(&session)?)?,
            Usage::Subscription(subscription) => &self.watching.get(subscription)?.owner,
        };
        owner.trunk()
    }
}
