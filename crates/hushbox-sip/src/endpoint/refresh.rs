//! Our own requests that keep a session alive (RFC 4028 §7.4, §10): UPDATE where the peer takes
//! it, else a re-INVITE that repeats what was agreed.

use super::Endpoint;
use super::owed::Owed;
use super::session::{Call, Client, ClientTransaction, Phase, Purpose};
use super::session_timer;
use super::timers::Timer;
use crate::event::{Event, Failure, Session};
use crate::invite::InviteBody;
use crate::limits::T2;
use crate::message::Message;
use crate::message::lex;
use crate::message::name::Name;
use crate::rejection::Reason;
use crate::transaction::{Answer, InviteClient, Key, NonInviteClient};
use crate::transport::Flow;
use bytes::Bytes;
use rand_core::RngCore;
use std::time::{Duration, Instant};

impl Endpoint {
    /// Ends a session that was not refreshed.
    pub(super) fn expire(&mut self, now: Instant, session: Session) {
        let Some(call) = self.calls.get_mut(&session) else { return };
        call.restart_timer(now, None);
        if !matches!(call.phase, Phase::Answered { .. }) {
            return;
        }
        self.emit(Event::Failed { session, failure: Failure::SessionExpired });
        // Q.850: recovery on timer expiry.
        self.send_bye(now, session, &Reason::q850(102, "Session timer expired"));
    }

    /// Refreshes; not while the peer is changing the session, which does it as well.
    pub(super) fn send_refresh(&mut self, now: Instant, session: Session) {
        let Some(call) = self.calls.get_mut(&session) else { return };
        if call.change.is_some() || !call.unacknowledged.is_empty() {
            call.refresh_at = Some(now + T2);
            return;
        }
        let offer = (!call.dialog.allows_update()).then(|| call.local_sdp.clone());
        let Some(flow) = self.take_way(session) else {
            return self.owe(session, Owed::Refresh);
        };
        let branch = self.new_branch();
        let contact = self.contact_of(session, flow);
        let via = self.via(flow, &branch);
        let product = self.config.product.clone();
        let Some(call) = self.calls.get_mut(&session) else { return };
        call.is_offering = offer.is_some();
        let method = if offer.is_some() { "INVITE" } else { "UPDATE" };
        let mut writer = call.dialog.request(method, format_args!("{via}"));
        writer.field("Contact", contact);
        if let Some(timer) = &call.timer {
            timer.write_request(&mut writer);
        }
        writer.field("Allow", super::respond::ALLOW);
        writer.field("Supported", super::respond::SUPPORTED.join(", "));
        writer.field("User-Agent", product);
        let (bytes, transaction) = match &offer {
            Some(sdp) => {
                let bytes = writer.finish_sdp(sdp);
                let client = InviteClient::new(now, flow, bytes.clone());
                (bytes, ClientTransaction::Invite(client))
            }
            None => {
                let bytes = writer.finish();
                let client = NonInviteClient::new(now, flow, bytes.clone());
                (bytes, ClientTransaction::NonInvite(client))
            }
        };
        let acknowledgement = offer.map(|_| call.dialog.ack(format_args!("{via}")).finish());
        let cseq = call.dialog.local_cseq();
        let client =
            Client { transaction, session, cseq, purpose: Purpose::Refresh { acknowledgement } };
        self.insert_client(self.keys.client(branch.as_bytes()), client);
        self.schedule(session);
        self.transmit(flow, bytes);
    }

    /// A response to a refresh.
    pub(super) fn handle_refresh_response(
        &mut self,
        now: Instant,
        key: Key,
        message: &Message<'_>,
        status: u16,
    ) {
        let Some(client) = self.clients.get_mut(&key) else { return };
        let session = client.session;
        let is_first = match &mut client.transaction {
            ClientTransaction::NonInvite(client) => client.handle_response(now, status),
            ClientTransaction::Invite(invite) => {
                let flow = invite.flow();
                let answer = invite.handle_response(now, status);
                let acknowledgement = match &client.purpose {
                    Purpose::Refresh { acknowledgement } => acknowledgement.clone(),
                    Purpose::Bye { .. } => None,
                };
                if matches!(answer, Answer::First | Answer::Again) {
                    self.acknowledge(flow, session, status, acknowledgement, message);
                }
                answer == Answer::First
            }
        };
        self.schedule_client(key);
        if is_first {
            self.judge_refresh(now, session, message, status);
        }
    }

    /// RFC 3261 §13.2.2.4, §17.1.1.3: the ACK of a 2xx is a request of its own, that of a refusal
    /// belongs to the transaction.
    fn acknowledge(
        &mut self,
        flow: Flow,
        session: Session,
        status: u16,
        prepared: Option<Bytes>,
        response: &Message<'_>,
    ) {
        if status >= 300 {
            if let Some(bytes) = prepared {
                self.transmit(flow, bytes);
            }
            return;
        }
        let branch = self.new_branch();
        let via = self.via(flow, &branch);
        let Some(call) = self.calls.get_mut(&session) else { return };
        if let Some(contact) = response.contact().filter(|c| c.is_sip()) {
            call.dialog.refresh_target(contact.uri().without_headers().to_vec());
        }
        let bytes = call.dialog.ack_of(response.cseq().number, format_args!("{via}")).finish();
        self.transmit(flow, bytes);
    }

    fn judge_refresh(
        &mut self,
        now: Instant,
        session: Session,
        message: &Message<'_>,
        status: u16,
    ) {
        let Some(call) = self.calls.get_mut(&session) else { return };
        let has_offered = std::mem::take(&mut call.is_offering);
        let timer = call.timer;
        let is_answered = matches!(call.phase, Phase::Answered { .. });
        if has_offered && is_answered && (200..300).contains(&status) {
            self.tell_answer(session, message);
        }
        let (Some(call), Some(timer)) = (self.calls.get_mut(&session), timer) else { return };
        match status {
            200..=299 => {
                let value = message.values(Name::SessionExpires).next();
                call.restart_timer(now, timer.refreshed(value));
            }
            // RFC 4028 §7.3: again, with what the peer can bear; once for each Min-SE.
            422 if session_timer::min_se(message) > timer.min_se_secs => {
                call.timer = Some(timer.at_least(session_timer::min_se(message)));
                call.refresh_at = Some(now);
            }
            // RFC 3261 §14.1: we do not own the Call-ID, so 0 to 2 s in units of 10 ms.
            491 | 500 => {
                let wait = Duration::from_millis(u64::from(self.rng.next_u32() % 200) * 10);
                call.refresh_at = Some(now + wait);
            }
            // The peer lost the dialog (RFC 3261 §12.2.1.2).
            408 | 481 => return self.expire(now, session),
            // UPDATE will not do after all.
            405 | 501 if call.dialog.allows_update() => {
                call.dialog.set_allows_update(false);
                call.refresh_at = Some(now);
            }
            // The session goes on as it was, for as long as it was to go on.
            _ => {}
        }
        self.schedule(session);
    }

    /// RFC 3264 §8: the answer to our offer may bring another address or another key. A 2xx without any leaves what
    /// was agreed, which is what we had offered.
    fn tell_answer(&mut self, session: Session, message: &Message<'_>) {
        let answer = match message.classify_body() {
            Ok(InviteBody::None) => return,
            Ok(InviteBody::Sdp(sdp)) => Some(sdp),
            Ok(InviteBody::Unsupported) | Err(_) => None,
        };
        self.emit(Event::Refreshed { session, answer });
    }

    /// Nobody answered a refresh: as if 408 had come.
    pub(super) fn handle_refresh_timeout(&mut self, now: Instant, session: Session) {
        let Some(call) = self.calls.get_mut(&session) else { return };
        call.is_offering = false;
        if call.timer.is_some() {
            self.expire(now, session);
        }
    }

    /// Notes from a peer's request what it takes.
    pub(super) fn note_allowed(call: &mut Call, request: &Message<'_>) {
        let allowed = |value: &[u8]| value.split(|b| *b == b',').any(|m| lex::trim(m) == b"UPDATE");
        let allows = request.values(Name::Allow).map(allowed).reduce(|a, b| a || b);
        if let Some(allows) = allows {
            call.dialog.set_allows_update(allows);
        }
    }

    pub(super) fn insert_client(&mut self, key: Key, client: Client) {
        if let Some(call) = self.calls.get_mut(&client.session) {
            call.asking = Some(key);
        }
        self.clients.insert(key, client);
        self.schedule_client(key);
    }

    pub(super) fn schedule_client(&mut self, key: Key) {
        let deadline = self.clients.get(&key).and_then(|c| c.transaction.deadline());
        self.timers.set(Timer::Client(key), deadline);
    }
}
