//! Who sends how much: neighbours, whose calls the application counts, and everybody else, who may only ask so often.

use super::Endpoint;
use super::receive::Incoming;
use crate::limits::{self, Limits};
use crate::message::method::Method;
use crate::message::via::Via;
use crate::message::write::Reach;
use crate::overload::OverloadControl;
use crate::rate::{Allowance, Rates, Source};
use crate::rejection::Rejection;
use crate::tap::Overflow;
use crate::transport::{ConnectionId, Flow, Transport};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// What is kept of sources.
pub(super) struct Sources {
    requests: Option<Rates<Source>>,
    /// Answers to what can't be read, or is above the limit.
    error_replies: Rates<Source>,
    all_error_replies: Rates<()>,
    neighbours: BTreeSet<ConnectionId>,
    /// Neighbours by their address, where nothing proves who sends.
    addresses: BTreeSet<IpAddr>,
    overload: OverloadControl,
}

impl Sources {
    pub(super) fn new(limits: &Limits) -> Self {
        let second = Duration::from_secs(1);
        let of_each = |count| Rates::new(Allowance::new(count, second), limits::MAX_SOURCES);
        Sources {
            requests: limits.requests_per_source.map(of_each),
            error_replies: of_each(limits.error_replies_per_source),
            all_error_replies: Rates::new(
                Allowance::new(limits.error_replies_per_second, second),
                1,
            ),
            neighbours: BTreeSet::new(),
            addresses: BTreeSet::new(),
            overload: OverloadControl::default(),
        }
    }

    pub(super) fn set_addresses(&mut self, addresses: BTreeSet<IpAddr>) {
        self.addresses = addresses;
    }

    pub(super) fn set_overload(&mut self, overload: OverloadControl) {
        self.overload = overload;
    }

    pub(super) fn add_neighbour(&mut self, connection: ConnectionId) {
        self.neighbours.insert(connection);
    }

    pub(super) fn forget(&mut self, connection: ConnectionId) {
        self.neighbours.remove(&connection);
    }

    /// How many connections are remembered here: each is one of the endpoint's.
    pub(super) fn len(&self) -> usize {
        self.neighbours.len()
    }

    pub(super) fn is_neighbour(&self, flow: Flow) -> bool {
        let by_address = flow.transport != Transport::Tls
            && self.addresses.contains(&flow.remote.ip().to_canonical());
        by_address || flow.connection.is_some_and(|id| self.neighbours.contains(&id))
    }

    /// RFC 7339 §5.1, §11: what a neighbour is told that takes part; nobody else.
    pub(super) fn feedback(&self, flow: Flow, via: &Via<'_>) -> Option<OverloadControl> {
        let told = OverloadControl::is_offered(via) && self.is_neighbour(flow);
        told.then_some(self.overload)
    }

    /// Whether one more answer may go to what deserves none.
    pub(super) fn take_error_reply(&mut self, now: Instant, flow: Flow) -> bool {
        let source = Source::from(flow.remote.ip());
        self.error_replies.allows(now, source)
            && self.all_error_replies.take(now, ())
            && self.error_replies.take(now, source)
    }

    fn take_request(&mut self, now: Instant, flow: Flow) -> bool {
        let Some(requests) = &mut self.requests else { return true };
        requests.take(now, Source::from(flow.remote.ip()))
    }
}

impl Endpoint {
    /// RFC 3261 §18.2.1 and RFC 3581 §4, and what RFC 7339 adds.
    pub(super) fn reach(&self, flow: Flow, via: &Via<'_>) -> (Reach, Flow) {
        let (reach, reply_to) = super::respond::reach(flow, via);
        (Reach { overload: self.sources.feedback(flow, via), ..reach }, reply_to)
    }

    /// Whether this flow's owner is known by more than what it sends.
    pub(super) fn is_known(&self, flow: Flow) -> bool {
        self.identity_of(flow).is_some() || self.sources.is_neighbour(flow)
    }

    /// Whose connection this is, where that is known.
    pub(super) fn identity_of(&self, flow: Flow) -> Option<u64> {
        flow.connection.and_then(|id| self.identities.get(&id)).copied()
    }

    /// Closes a stream that nothing sensible comes on. A neighbour carries the mistakes of others.
    pub(super) fn give_up_on(&mut self, flow: Flow) {
        if flow.connection.is_some() && !self.sources.is_neighbour(flow) {
            self.disconnect(flow);
        }
    }

    /// Refuses what begins something new and comes too often from one source. True if it was one too many. What
    /// belongs to something that was let in before is never counted.
    pub(super) fn refuse_flood(&mut self, incoming: &Incoming<'_>) -> bool {
        let belongs =
            |key| self.dialogs.contains_key(&key) || self.notifier.dialogs.contains_key(&key);
        let is_let_in = matches!(incoming.request.method, Method::Ack | Method::Cancel)
            || self.sources.is_neighbour(incoming.flow)
            || self.dialog_of(incoming.message).is_some_and(belongs);
        if is_let_in || self.sources.take_request(incoming.now, incoming.flow) {
            return false;
        }
        self.show_refused(incoming.flow, Overflow::Source);
        // On a stream the answer reaches who asked; a datagram's source may be forged.
        if incoming.flow.transport.is_reliable()
            || self.sources.take_error_reply(incoming.now, incoming.flow)
        {
            let after = self.retry_after();
            self.respond_stateless(incoming, &Rejection::new(503).with_retry_after(after));
        }
        true
    }
}
