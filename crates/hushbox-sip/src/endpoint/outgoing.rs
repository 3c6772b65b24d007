//! Requests of our own outside of the calls: each destination in turn (RFC 3263 §4.3), until one
//! answers with anything but 503.

use super::Endpoint;
use super::timers::Timer;
use crate::event::{Event, RequestId};
use crate::limits;
use crate::message::Message;
use crate::message::address::Address;
use crate::message::write::Writer;
use crate::outgoing::{Attempt, Destination, Outgoing, Response, Undelivered};
use crate::transaction::{Due, Key, NonInviteClient};
use crate::transport::{ConnectionId, Flow, Transport};
use bytes::Bytes;
use rand_core::RngCore;
use std::time::Instant;

/// A request that has no final answer yet.
pub(super) struct Request {
    outgoing: Outgoing,
    call_id: Vec<u8>,
    /// From with its tag.
    from: Vec<u8>,
    cseq: u32,
    /// The destination that is being tried.
    at: usize,
    stage: Stage,
    /// A 503, to be told of if nobody says anything better.
    unavailable: Option<Response>,
    /// How the destination before this one failed.
    failure: Undelivered,
}

enum Stage {
    /// A connection is being opened.
    Opening(Attempt),
    /// It was sent. An old connection may turn out to be dead: then a new one is tried.
    Sent { key: Key, connection: Option<ConnectionId>, is_reused: bool },
}

/// A transaction of ours, which outlives its request by timer K.
pub(super) struct RequestClient {
    request: RequestId,
    method: &'static str,
    cseq: u32,
    transaction: NonInviteClient,
}

impl Endpoint {
    /// Sends a request to its destinations in turn. [`Event::Answered`] or [`Event::Unanswered`]
    /// follows, exactly once.
    pub fn send(&mut self, now: Instant, outgoing: Outgoing) -> RequestId {
        self.fire_timers(now);
        let id = RequestId(self.next_id);
        self.next_id += 1;
        if self.requests.len() >= limits::MAX_REQUESTS {
            self.emit(Event::Unanswered { request: id, why: Undelivered::TooMany });
            return id;
        }
        let call_id = outgoing.call_id.clone().unwrap_or_else(|| self.new_identifier());
        let mut from = outgoing.from.clone();
        if Address::parse_single(&from).is_none_or(|address| address.tag().is_none()) {
            let tag = self.new_identifier();
            from.extend_from_slice(b";tag=");
            from.extend_from_slice(&tag);
        }
        let request = Request {
            call_id,
            from,
            cseq: outgoing.cseq.unwrap_or(1),
            at: 0,
            stage: Stage::Opening(Attempt(u64::MAX)),
            unavailable: None,
            failure: Undelivered::NoDestination,
            outgoing,
        };
        self.requests.insert(id, request);
        self.try_destination(now, id);
        id
    }

    /// Sends to the destination whose turn it is, or to the first after it that can be sent to.
    fn try_destination(&mut self, now: Instant, id: RequestId) {
        loop {
            let Some(request) = self.requests.get(&id) else { return };
            let Some(destination) = request.outgoing.destinations.get(request.at).cloned() else {
                return self.give_up(id);
            };
            if let Some((flow, is_reused)) = self.way_to_destination(&destination) {
                return self.send_request(now, id, flow, is_reused);
            }
            if destination.transport != Transport::Udp
                && let Some(attempt) = self.open(now, &destination)
            {
                if let Some(request) = self.requests.get_mut(&id) {
                    request.stage = Stage::Opening(attempt);
                }
                return;
            }
            self.pass_on(id, Undelivered::NoDestination);
        }
    }

    /// The next destination is to be tried.
    fn pass_on(&mut self, id: RequestId, failure: Undelivered) {
        if let Some(request) = self.requests.get_mut(&id) {
            request.at += 1;
            request.failure = failure;
        }
    }

    fn fail_over(&mut self, now: Instant, id: RequestId, failure: Undelivered) {
        self.pass_on(id, failure);
        self.try_destination(now, id);
    }

    fn give_up(&mut self, id: RequestId) {
        let Some(request) = self.requests.remove(&id) else { return };
        self.emit(match request.unavailable {
            Some(response) => Event::Answered { request: id, response: Box::new(response) },
            None => Event::Unanswered { request: id, why: request.failure },
        });
    }

    /// A way that is open already.
    pub(super) fn way_to_destination(&self, destination: &Destination) -> Option<(Flow, bool)> {
        if destination.transport == Transport::Udp {
            let remote = destination.remote;
            let mut sockets =
                self.config.listeners.iter().filter(|l| {
                    l.transport == Transport::Udp && l.local.is_ipv4() == remote.is_ipv4()
                });
            let local = sockets.next()?.local;
            let flow = Flow { transport: Transport::Udp, local, remote, connection: None };
            return Some((flow, false));
        }
        let open = self.connections.values().find(|c| c.reaches(destination));
        // RFC 5923: a connection that the peer opened does as well, where its certificate says
        // whose it is and it has offered that by `alias`.
        let aliased = || {
            let identity = destination.identity?;
            let ours = self.identities.iter().filter(|(_, i)| **i == identity);
            let mut ours = ours.filter_map(|(id, _)| self.connections.get(id));
            ours.find(|c| {
                c.flow.transport == destination.transport && c.alias == Some(destination.remote)
            })
        };
        Some((open.or_else(aliased)?.flow, true))
    }

    fn send_request(&mut self, now: Instant, id: RequestId, flow: Flow, is_reused: bool) {
        let branch = self.new_branch();
        let key = self.keys.client(branch.as_bytes());
        let Some(request) = self.requests.get(&id) else { return };
        let bytes = self.write_request(request, flow, &branch);
        if flow.transport == Transport::Udp
            && bytes.len() > limits::MAX_UDP_REQUEST_BYTES
            && !request.was_tried_by_tcp()
        {
            return self.try_by_tcp(now, id);
        }
        let (method, cseq) = (request.outgoing.method, request.cseq);
        let transaction = NonInviteClient::new(now, flow, bytes.clone());
        if let Some(request) = self.requests.get_mut(&id) {
            request.stage = Stage::Sent { key, connection: flow.connection, is_reused };
        }
        self.request_clients.insert(key, RequestClient { request: id, method, cseq, transaction });
        self.schedule_request(key);
        self.touch(now, flow);
        self.transmit(flow, bytes);
    }

    /// RFC 3261 §18.1.1: what is too large for a datagram goes by TCP to the same place first.
    fn try_by_tcp(&mut self, now: Instant, id: RequestId) {
        if let Some(request) = self.requests.get_mut(&id)
            && let Some(destination) = request.outgoing.destinations.get(request.at)
        {
            let by_tcp = Destination { transport: Transport::Tcp, ..destination.clone() };
            request.outgoing.destinations.insert(request.at, by_tcp);
        }
        self.try_destination(now, id);
    }

    fn write_request(&self, request: &Request, flow: Flow, branch: &str) -> Bytes {
        let outgoing = &request.outgoing;
        let mut writer = Writer::request(outgoing.method, &outgoing.request_uri);
        writer.field("Via", self.via(flow, branch));
        for route in &outgoing.route {
            writer.echo("Route", route);
        }
        writer.field("Max-Forwards", 70);
        writer.echo("From", &request.from);
        writer.echo("To", &outgoing.to);
        writer.echo("Call-ID", &request.call_id);
        writer.field("CSeq", format_args!("{} {}", request.cseq, outgoing.method));
        if let Some(contact) = &outgoing.contact {
            let host = self.advertised(flow);
            let transport = flow.transport.uri_name();
            let (user, more, params) = (&contact.user, &contact.uri_params, &contact.params);
            writer.field(
                "Contact",
                format_args!("<sip:{user}@{host};transport={transport}{more}>{params}"),
            );
        }
        for (name, value) in &outgoing.headers {
            writer.foreign(name, value);
        }
        writer.field("User-Agent", &self.config.product);
        match &outgoing.body {
            Some((content_type, body)) => writer.finish_with(Some((content_type, body))),
            None => writer.finish(),
        }
    }

    /// A response to a request of ours outside of the calls. False if it is none.
    pub(super) fn handle_request_response(
        &mut self,
        now: Instant,
        key: Key,
        message: &Message<'_>,
        status: u16,
    ) -> bool {
        let Some(client) = self.request_clients.get_mut(&key) else { return false };
        let cseq = message.cseq();
        let fits = message.via_count() == 1
            && cseq.number == client.cseq
            && cseq.method.text() == client.method.as_bytes();
        if !fits {
            return true;
        }
        let (id, flow) = (client.request, client.transaction.flow());
        let is_final = client.transaction.handle_response(now, status);
        self.schedule_request(key);
        // A late answer of a destination that was given up changes nothing.
        let is_current = self.requests.get(&id).is_some_and(|request| request.waits_for(key));
        if !is_final || !is_current {
            return true;
        }
        let response = Response::new(status, flow, message);
        if status == 503 {
            if let Some(request) = self.requests.get_mut(&id) {
                request.unavailable = Some(response);
            }
            self.fail_over(now, id, Undelivered::NoDestination);
        } else {
            self.requests.remove(&id);
            self.emit(Event::Answered { request: id, response: Box::new(response) });
        }
        true
    }

    pub(super) fn handle_request_timeout(&mut self, now: Instant, key: Key) {
        let Some(client) = self.request_clients.get_mut(&key) else { return };
        let (id, flow) = (client.request, client.transaction.flow());
        match client.transaction.handle_timeout(now) {
            Due::Transmit(bytes) => self.transmit(flow, bytes),
            Due::Nothing => {}
            Due::Terminated => {
                self.request_clients.remove(&key);
            }
            Due::TimedOut => {
                self.request_clients.remove(&key);
                if self.requests.get(&id).is_some_and(|request| request.waits_for(key)) {
                    self.fail_over(now, id, Undelivered::Timeout);
                }
            }
        }
        self.schedule_request(key);
    }

    fn schedule_request(&mut self, key: Key) {
        let deadline = self.request_clients.get(&key).map(|c| c.transaction.deadline());
        self.timers.set(Timer::Request(key), deadline);
    }

    /// A connection was opened: what waited for it goes out.
    pub(super) fn send_waiting(&mut self, now: Instant, attempt: Attempt, flow: Flow) {
        for id in self.waiting_for(attempt) {
            self.send_request(now, id, flow, false);
        }
        self.reach_by(now, attempt, Some(flow));
    }

    /// A connection could not be opened.
    pub(super) fn fail_waiting(&mut self, now: Instant, attempt: Attempt) {
        for id in self.waiting_for(attempt) {
            self.fail_over(now, id, Undelivered::NoConnection);
        }
        self.reach_by(now, attempt, None);
    }

    fn waiting_for(&self, attempt: Attempt) -> Vec<RequestId> {
        let waits = |request: &Request| matches!(request.stage, Stage::Opening(a) if a == attempt);
        self.requests.iter().filter(|(_, r)| waits(r)).map(|(id, _)| *id).collect()
    }

    /// A connection broke: what was sent on it goes elsewhere (RFC 3261 §17.1.4).
    pub(super) fn fail_sent_on(&mut self, now: Instant, lost: ConnectionId) {
        let on_it = self.requests.iter().filter_map(|(id, request)| match request.stage {
            Stage::Sent { key, connection: Some(c), is_reused } if c == lost => {
                Some((*id, key, is_reused))
            }
            Stage::Sent { .. } | Stage::Opening(_) => None,
        });
        for (id, key, is_reused) in on_it.collect::<Vec<_>>() {
            self.request_clients.remove(&key);
            self.timers.set(Timer::Request(key), None);
            if is_reused {
                self.try_destination(now, id);
            } else {
                self.fail_over(now, id, Undelivered::NoConnection);
            }
        }
    }

    fn new_identifier(&mut self) -> Vec<u8> {
        let mut bytes = [0; 16];
        self.rng.fill_bytes(&mut bytes);
        hex::encode(bytes).into_bytes()
    }
}

impl Request {
    /// Whether the destination before this one was the same by TCP.
    fn was_tried_by_tcp(&self) -> bool {
        let destination = |at: usize| self.outgoing.destinations.get(at);
        let before = self.at.checked_sub(1).and_then(destination);
        before.is_some_and(|before| {
            before.transport == Transport::Tcp
                && destination(self.at).is_some_and(|d| d.remote == before.remote)
        })
    }

    fn waits_for(&self, key: Key) -> bool {
        matches!(self.stage, Stage::Sent { key: of, .. } if of == key)
    }
}
