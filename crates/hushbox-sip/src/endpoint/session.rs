//! A session: from its INVITE to its end.

use super::owed::Owed;
use super::respond::Answerable;
use super::session_timer::SessionTimer;
use super::timers::Timer;
use super::{Endpoint, Output};
use crate::dialog::Dialog;
use crate::event::{Event, Failure, RequestId, Session, Usage};
use crate::limits::{T1, T2, TIMEOUT};
use crate::message::method::Method;
use crate::message::{CSeq, Message};
use crate::rejection::Reason;
use crate::transaction::{Due, InviteClient, Key, NonInviteClient};
use crate::transport::{Flow, Transport};
use bytes::Bytes;
use rand_core::RngCore;
use std::time::{Duration, Instant};

pub(super) struct Call {
    /// The INVITE that it began with.
    pub(super) transaction: Key,
    pub(super) phase: Phase,
    pub(super) dialog: Dialog,
    pub(super) dialog_key: Key,
    /// Where what we send goes.
    pub(super) flow: Flow,
    /// Where what the peer sends comes from: without `rport` another port than the former.
    pub(super) source: Flow,
    /// Whose connection it came over, where that is known.
    pub(super) identity: Option<u64>,
    /// 2xx responses whose ACK has not come.
    pub(super) unacknowledged: Vec<Unacknowledged>,
    /// A request that changes the session and waits for the application.
    pub(super) change: Option<Change>,
    /// The description that we gave last, for a refresh.
    pub(super) local_sdp: Bytes,
    pub(super) timer: Option<SessionTimer>,
    /// When we refresh next.
    pub(super) refresh_at: Option<Instant>,
    /// When the session is over if nobody has refreshed it.
    pub(super) give_up_at: Option<Instant>,
    /// Whether a re-INVITE of ours has no final response.
    pub(super) is_offering: bool,
    /// The transaction of our last request.
    pub(super) asking: Option<Key>,
    /// A request of ours that waits for a connection.
    pub(super) owed: Option<Owed>,
    /// How often BYE was sent.
    pub(super) byes: u32,
}

/// A request of ours.
pub(super) struct Client {
    pub(super) transaction: ClientTransaction,
    pub(super) session: Session,
    pub(super) cseq: u32,
    pub(super) purpose: Purpose,
}

pub(super) enum ClientTransaction {
    Invite(InviteClient),
    NonInvite(NonInviteClient),
}

pub(super) enum Purpose {
    Bye {
        reason: Reason,
    },
    Refresh {
        /// The ACK of a refused re-INVITE.
        acknowledgement: Option<Bytes>,
    },
}

impl ClientTransaction {
    pub(super) fn flow(&self) -> Flow {
        match self {
            ClientTransaction::Invite(client) => client.flow(),
            ClientTransaction::NonInvite(client) => client.flow(),
        }
    }

    /// Whether no final response has come.
    pub(super) fn is_waiting(&self) -> bool {
        match self {
            ClientTransaction::Invite(client) => client.is_waiting(),
            ClientTransaction::NonInvite(client) => client.is_waiting(),
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        match self {
            ClientTransaction::Invite(client) => client.deadline(),
            ClientTransaction::NonInvite(client) => Some(client.deadline()),
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) -> Due {
        match self {
            ClientTransaction::Invite(client) => client.handle_timeout(now),
            ClientTransaction::NonInvite(client) => client.handle_timeout(now),
        }
    }
}

pub(super) enum Phase {
    /// The application has not answered.
    Ringing { answerable: Answerable, offered: bool, cseq: u32 },
    /// Answered with 200. A reason to hang up waits here for the ACK (RFC 3261 §15).
    Answered { hang_up: Option<Reason> },
    /// BYE is sent, or owed.
    Ending,
}

/// A 2xx that is repeated until its ACK comes, on every transport (RFC 3261 §13.3.1.4).
pub(super) struct Unacknowledged {
    pub(super) cseq: u32,
    pub(super) reply_to: Flow,
    pub(super) response: Bytes,
    pub(super) next: Instant,
    pub(super) interval: Duration,
    pub(super) until: Instant,
    /// Whether the ACK must carry an answer to our offer.
    pub(super) is_offer: bool,
    /// Whether it answers the first INVITE.
    pub(super) is_first: bool,
}

/// A re-INVITE or UPDATE that waits for the application.
pub(super) struct Change {
    pub(super) request: RequestId,
    pub(super) transaction: Key,
    pub(super) answerable: Answerable,
    pub(super) cseq: u32,
    pub(super) target: Vec<u8>,
    pub(super) offered: bool,
    pub(super) is_update: bool,
    pub(super) timer: Option<SessionTimer>,
}

impl Unacknowledged {
    pub(super) fn new(now: Instant, cseq: u32, reply_to: Flow, response: Bytes) -> Self {
        Unacknowledged {
            cseq,
            reply_to,
            response,
            next: now + T1,
            interval: T1,
            until: now + TIMEOUT,
            is_offer: false,
            is_first: false,
        }
    }
}

impl Call {
    /// Whether this is the connection of the dialog, on UDP its address and port.
    pub(super) fn is_its_flow(&self, flow: Flow) -> bool {
        match flow.connection {
            Some(_) => self.flow.connection == flow.connection,
            None => self.source.remote == flow.remote && self.flow.transport == flow.transport,
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let ack = self.unacknowledged.iter().map(|u| u.next.min(u.until)).min();
        let owed = self.owed.as_ref().and_then(Owed::deadline);
        ack.into_iter().chain(owed).chain(self.refresh_at).chain(self.give_up_at).min()
    }

    /// The session was refreshed, or is now without a timer.
    pub(super) fn restart_timer(&mut self, now: Instant, timer: Option<SessionTimer>) {
        // RFC 4028 §7.4: the largest Min-SE of the whole dialog.
        let min_se_secs = self.timer.map_or(0, |before| before.min_se_secs);
        let timer = timer.map(|timer| timer.remembering(min_se_secs));
        self.timer = timer;
        self.refresh_at = timer.and_then(|timer| timer.refresh_at(now));
        self.give_up_at = timer.map(|timer| timer.give_up_at(now));
    }

    /// Whether the first 200 still waits for its ACK.
    pub(super) fn awaits_first_ack(&self) -> bool {
        self.unacknowledged.iter().any(|u| u.is_first)
    }
}

impl Endpoint {
    /// Begins to repeat a 2xx that was just sent.
    pub(super) fn await_ack(&mut self, session: Session, sent: Unacknowledged) {
        if let Some(call) = self.calls.get_mut(&session) {
            call.unacknowledged.push(sent);
        }
        self.schedule(session);
    }

    pub(super) fn schedule(&mut self, session: Session) {
        let deadline = self.calls.get(&session).and_then(Call::deadline);
        self.timers.set(Timer::Session(session), deadline);
    }

    pub(super) fn handle_session_timeout(&mut self, now: Instant, session: Session) {
        let Some(call) = self.calls.get_mut(&session) else { return };
        if call.unacknowledged.iter().any(|u| now >= u.until) {
            // RFC 3261 §13.3.1.4: the dialog is confirmed, and the session is over.
            call.unacknowledged.clear();
            let reason = match &mut call.phase {
                Phase::Answered { hang_up } => hang_up.take(),
                Phase::Ringing { .. } | Phase::Ending => None,
            };
            if reason.is_none() {
                self.emit(Event::Failed { session, failure: Failure::NoAck });
            }
            let reason = reason.unwrap_or_else(|| Reason::sip(408, "No ACK"));
            return self.send_bye(now, session, &reason);
        }
        if call.owed.as_ref().and_then(Owed::deadline).is_some_and(|at| now >= at) {
            return self.give_up_owed(now, session);
        }
        if call.give_up_at.is_some_and(|at| now >= at) {
            return self.expire(now, session);
        }
        if call.refresh_at.is_some_and(|at| now >= at) {
            call.refresh_at = None;
            self.send_refresh(now, session);
            return self.schedule(session);
        }
        let identity = call.identity;
        let mut repeated = Vec::new();
        for unacknowledged in call.unacknowledged.iter_mut().filter(|u| now >= u.next) {
            unacknowledged.interval = (unacknowledged.interval * 2).min(T2);
            unacknowledged.next = now + unacknowledged.interval;
            repeated.push((unacknowledged.reply_to, unacknowledged.response.clone()));
        }
        for (reply_to, bytes) in repeated {
            // RFC 3261 §18.2.2: over another connection of the peer where this one is gone.
            let flow = self.way(reply_to, identity).unwrap_or(reply_to);
            self.transmit(flow, bytes);
        }
        self.schedule(session);
    }

    /// Sends BYE and waits for its answer (RFC 3261 §15.1.1).
    pub(super) fn send_bye(&mut self, now: Instant, session: Session, reason: &Reason) {
        self.refuse_change(now, session, 487);
        let Some(call) = self.calls.get_mut(&session) else { return };
        call.unacknowledged.clear();
        call.restart_timer(now, None);
        call.phase = Phase::Ending;
        let Some(flow) = self.take_way(session) else {
            return self.owe(session, Owed::bye(now, reason));
        };
        let branch = self.new_branch();
        let key = self.keys.client(branch.as_bytes());
        let via = self.via(flow, &branch);
        let product = self.config.product.clone();
        let Some(call) = self.calls.get_mut(&session) else { return };
        call.byes += 1;
        let mut writer = call.dialog.request("BYE", format_args!("{via}"));
        writer.reason(reason);
        writer.field("User-Agent", product);
        let bytes = writer.finish();
        let cseq = call.dialog.local_cseq();
        let client = NonInviteClient::new(now, flow, bytes.clone());
        let transaction = ClientTransaction::NonInvite(client);
        let purpose = Purpose::Bye { reason: reason.clone() };
        self.insert_client(key, Client { transaction, session, cseq, purpose });
        self.schedule(session);
        self.transmit(flow, bytes);
    }

    /// How to reach a peer now: by its flow, or by another connection of the same identity.
    pub(super) fn way_to(&self, call: &Call) -> Option<Flow> {
        self.way_in(&call.dialog, call.flow, call.identity)
    }

    /// How our next request in a dialog reaches its peer.
    pub(super) fn way_in(
        &self,
        dialog: &Dialog,
        flow: Flow,
        identity: Option<u64>,
    ) -> Option<Flow> {
        // RFC 3261 §12.2.1.1: without a connection, to the proxy that wants to stay between. Without such a proxy, or
        // where it is a name: to the source. A Contact of a telephone behind NAT leads nowhere, and its source leads
        // there (RFC 3581, RFC 5626 §1).
        let proxy = match flow.transport {
            Transport::Udp => dialog.proxy_address(flow.remote),
            Transport::Tcp | Transport::Tls => None,
        };
        proxy.map(|remote| Flow { remote, ..flow }).or_else(|| self.way(flow, identity))
    }

    /// How to reach whoever was reached by this flow.
    pub(super) fn way(&self, flow: Flow, identity: Option<u64>) -> Option<Flow> {
        if flow.transport == Transport::Udp {
            return Some(flow);
        }
        if flow.connection.is_some_and(|c| self.connections.contains_key(&c)) {
            return Some(flow);
        }
        let identity = identity?;
        let others = self.identities.iter().filter(|(_, i)| **i == identity);
        others.filter_map(|(id, _)| self.connections.get(id)).map(|c| c.flow).next()
    }

    /// RFC 3261 §17.1.3, §18.1.2: a response with one Via, ours, and the CSeq that we sent.
    pub(super) fn handle_response(&mut self, now: Instant, message: &Message<'_>, status: u16) {
        let Some(branch) = message.via().branch() else { return };
        let key = self.keys.client(branch);
        if self.handle_request_response(now, key, message, status)
            || self.handle_notify_response(now, key, message, status)
        {
            return;
        }
        let Some(client) = self.clients.get_mut(&key) else { return };
        let method = match (&client.purpose, &client.transaction) {
            (Purpose::Bye { .. }, _) => Method::Bye,
            (Purpose::Refresh { .. }, ClientTransaction::Invite(_)) => Method::Invite,
            (Purpose::Refresh { .. }, ClientTransaction::NonInvite(_)) => Method::Update,
        };
        let cseq = CSeq { number: client.cseq, method };
        if message.via_count() != 1 || message.cseq() != cseq {
            return;
        }
        let session = client.session;
        let (Purpose::Bye { .. }, ClientTransaction::NonInvite(bye)) =
            (&client.purpose, &mut client.transaction)
        else {
            return self.handle_refresh_response(now, key, message, status);
        };
        let is_final = bye.handle_response(now, status);
        self.schedule_client(key);
        if is_final {
            self.terminate(session);
        }
    }

    /// Ends a session whose BYE was never answered.
    pub(super) fn handle_bye_timeout(&mut self, session: Session) {
        if self.calls.contains_key(&session) {
            self.emit(Event::Failed { session, failure: Failure::ByeTimeout });
            self.terminate(session);
        }
    }

    /// Forgets a session and says so. Its transactions run out by themselves.
    pub(super) fn terminate(&mut self, session: Session) {
        let Some(call) = self.calls.remove(&session) else { return };
        self.dialogs.remove(&call.dialog_key);
        self.by_transaction.remove(&call.transaction);
        if let Some(change) = &call.change {
            self.changes.remove(&change.request);
            self.by_transaction.remove(&change.transaction);
        }
        if let Some(connection) = call.flow.connection {
            self.by_connection.remove(&(connection, session));
        }
        self.reaching.remove(&Usage::Session(session));
        self.timers.set(Timer::Session(session), None);
        self.emit(Event::Terminated { session });
    }

    pub(super) fn emit(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    pub(super) fn new_branch(&mut self) -> String {
        let mut bytes = [0; 16];
        self.rng.fill_bytes(&mut bytes);
        format!("z9hG4bK{}", hex::encode(bytes))
    }
}
