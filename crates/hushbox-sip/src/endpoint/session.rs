//! A session: from its INVITE to its end.

use super::respond::Answerable;
use super::timers::Timer;
use super::{Endpoint, Output};
use crate::dialog::Dialog;
use crate::event::{Event, Failure, RequestId, Session};
use crate::limits::{T1, T2, TIMEOUT};
use crate::rejection::Reason;
use crate::transaction::{Key, NonInviteClient};
use crate::transport::Flow;
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
}

pub(super) enum Phase {
    /// The application has not answered.
    Ringing { answerable: Answerable, offered: bool, cseq: u32 },
    /// Answered with 200. A reason to hang up waits here for the ACK (RFC 3261 §15).
    Answered { hang_up: Option<Reason> },
    /// BYE is sent.
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

/// A re-INVITE that waits for the application.
pub(super) struct Change {
    pub(super) request: RequestId,
    pub(super) transaction: Key,
    pub(super) answerable: Answerable,
    pub(super) cseq: u32,
    pub(super) target: Vec<u8>,
    pub(super) offered: bool,
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
    fn deadline(&self) -> Option<Instant> {
        self.unacknowledged.iter().map(|u| u.next.min(u.until)).min()
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
        let mut repeated = Vec::new();
        for unacknowledged in call.unacknowledged.iter_mut().filter(|u| now >= u.next) {
            unacknowledged.interval = (unacknowledged.interval * 2).min(T2);
            unacknowledged.next = now + unacknowledged.interval;
            repeated.push((unacknowledged.reply_to, unacknowledged.response.clone()));
        }
        for (reply_to, bytes) in repeated {
            self.transmit(reply_to, bytes);
        }
        self.schedule(session);
    }

    /// Sends BYE and waits for its answer (RFC 3261 §15.1.1).
    pub(super) fn send_bye(&mut self, now: Instant, session: Session, reason: &Reason) {
        self.refuse_change(now, session, 487);
        let branch = self.new_branch();
        let key = self.keys.client(branch.as_bytes());
        let Some(flow) = self.calls.get(&session).and_then(|call| self.way_to(call)) else {
            return self.terminate(session);
        };
        let advertised = self.advertised(flow);
        let product = self.config.product.clone();
        let Some(call) = self.calls.get_mut(&session) else { return };
        let via = flow.transport.via_name();
        let rport = if flow.transport.is_reliable() { "" } else { ";rport" };
        let mut writer = call
            .dialog
            .request("BYE", format_args!("SIP/2.0/{via} {advertised};branch={branch}{rport}"));
        writer.reason(reason);
        writer.field("User-Agent", product);
        let bytes = writer.finish();
        call.unacknowledged.clear();
        call.phase = Phase::Ending;
        let client = NonInviteClient::new(now, flow, bytes.clone());
        self.timers.set(Timer::NonInviteClient(key), Some(client.deadline()));
        self.clients.insert(key, (client, session));
        self.schedule(session);
        self.transmit(flow, bytes);
    }

    /// How to reach a peer now: by its flow, or by another connection of the same identity.
    fn way_to(&self, call: &Call) -> Option<Flow> {
        let Some(connection) = call.flow.connection else { return Some(call.flow) };
        if self.connections.contains_key(&connection) {
            return Some(call.flow);
        }
        let identity = call.identity?;
        let others = self.identities.iter().filter(|(_, i)| **i == identity);
        others.filter_map(|(id, _)| self.connections.get(id)).map(|c| c.flow).next()
    }

    pub(super) fn handle_bye_response(&mut self, now: Instant, key: Key, status: u16) {
        let Some((client, session)) = self.clients.get_mut(&key) else { return };
        let (is_final, session) = (client.handle_response(now, status), *session);
        self.timers.set(Timer::NonInviteClient(key), Some(client.deadline()));
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
        self.timers.set(Timer::Session(session), None);
        self.emit(Event::Terminated { session });
    }

    pub(super) fn emit(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    fn new_branch(&mut self) -> String {
        let mut bytes = [0; 16];
        self.rng.fill_bytes(&mut bytes);
        format!("z9hG4bK{}", hex::encode(bytes))
    }
}
