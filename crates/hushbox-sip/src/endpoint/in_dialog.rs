//! Requests inside a dialog, and ACK (RFC 3261 §12.2.2, §13.3.1.4, §15.1.2).

use super::Endpoint;
use super::receive::Incoming;
use super::session::{Call, Phase};
use super::timers::Timer;
use crate::event::{Event, Session};
use crate::invite::InviteBody;
use crate::message::Message;
use crate::message::method::Method;
use crate::rejection::Rejection;
use crate::retargeting::ReasonCause;
use crate::transaction::{Key, NonInviteServer};
use crate::transport::Flow;
use bytes::Bytes;
use std::time::Instant;

impl Endpoint {
    pub(super) fn handle_in_dialog(&mut self, incoming: &Incoming<'_>) {
        let Some(session) = self.find_dialog(incoming) else {
            // Nothing is kept of it: whoever invents a tag would fill the table, and a forged source be flooded.
            return self.respond_stateless(incoming, &Rejection::new(481));
        };
        // Only from the dialog's connection, or from another one of the same peer.
        if !self.is_from_peer(session, incoming.flow) {
            return self.ask_whose(incoming, session);
        }
        self.handle_from_peer(incoming, session);
    }

    pub(super) fn handle_from_peer(&mut self, incoming: &Incoming<'_>, session: Session) {
        self.follow_peer(session, incoming);
        let method = incoming.request.method;
        let number = incoming.message.cseq().number;
        let Some(call) = self.calls.get_mut(&session) else { return };
        let may_repeat = !matches!(method, Method::Invite);
        if !call.dialog.take_cseq(number, may_repeat) {
            return self.refuse(incoming, &Rejection::new(500));
        }
        match method {
            Method::Bye | Method::Options if self.refuse_extensions(incoming) => {}
            Method::Bye => self.handle_bye(incoming, session),
            Method::Invite => self.handle_reinvite(incoming, session),
            Method::Update => self.handle_update(incoming, session),
            // RFC 3262 §3: it acknowledges nothing, since nothing provisional is reliable.
            Method::Prack => self.refuse(incoming, &Rejection::new(481)),
            _ => self.handle_options(incoming),
        }
        if self.owes(session) {
            self.reached_us(session);
            self.settle(incoming.now, session);
        }
    }

    pub(super) fn find_dialog(&self, incoming: &Incoming<'_>) -> Option<Session> {
        self.dialogs.get(&self.dialog_of(incoming.message)?).copied()
    }

    /// The dialog that a request names, whether or not it is there.
    pub(super) fn dialog_of(&self, message: &Message<'_>) -> Option<Key> {
        let local_tag = message.to().tag()?;
        let remote_tag = message.from().tag().unwrap_or_default();
        Some(self.keys.dialog(message.call_id(), local_tag, remote_tag))
    }

    fn is_from_peer(&self, session: Session, flow: Flow) -> bool {
        let Some(call) = self.calls.get(&session) else { return false };
        let identity = self.identity_of(flow);
        call.is_its_flow(flow) || identity.is_some() && identity == call.identity
    }

    /// The peer came by another connection: what we send goes there from now on.
    fn follow_peer(&mut self, session: Session, incoming: &Incoming<'_>) {
        let Some(call) = self.calls.get_mut(&session) else { return };
        if call.is_its_flow(incoming.flow) {
            return;
        }
        self.move_to(session, Flow { remote: incoming.reply_to.remote, ..incoming.flow });
        if let Some(call) = self.calls.get_mut(&session) {
            call.source = incoming.flow;
        }
    }

    /// RFC 3261 §15.1.2.
    fn handle_bye(&mut self, incoming: &Incoming<'_>, session: Session) {
        let mut writer = self.start_response(incoming, 200);
        writer.field("Server", &self.config.product);
        let bytes = writer.finish();
        self.finish_non_invite(incoming, bytes);
        // A request that waits is told that the session is over.
        self.refuse_change(incoming.now, session, 487);
        let cause = ReasonCause::of_message(incoming.message);
        let Some(call) = self.calls.get(&session) else { return };
        match call.phase {
            // Both ends hung up at once: our own BYE is answered by this as well.
            Phase::Ending => {}
            Phase::Ringing { .. } => {
                self.refuse_first(incoming.now, session, &Rejection::new(487));
                self.emit(Event::Cancelled { session, cause });
            }
            Phase::Answered { .. } => self.emit(Event::Bye { session, cause }),
        }
        self.terminate(session);
    }

    /// Answers in a transaction, so that a repetition is answered when the session is gone.
    pub(super) fn finish_non_invite(&mut self, incoming: &Incoming<'_>, bytes: Bytes) {
        self.finish_server(incoming.now, incoming.key, incoming.reply_to, bytes);
    }

    /// The same, for a request that is gone.
    pub(super) fn finish_server(&mut self, now: Instant, key: Key, reply_to: Flow, bytes: Bytes) {
        let mut server = NonInviteServer::new(reply_to);
        if server.handle_final(now, bytes.clone()) {
            self.timers.set(Timer::NonInviteServer(key), server.deadline());
            self.non_invite_servers.insert(key, server);
        } else {
            self.remove_non_invite_server(key);
        }
        self.transmit(reply_to, bytes);
    }

    pub(super) fn remove_non_invite_server(&mut self, key: Key) {
        self.non_invite_servers.remove(&key);
        self.timers.set(Timer::NonInviteServer(key), None);
        self.forget_merge(key);
    }

    /// RFC 3261 §13.3.1.4, §17.2.1: the ACK of a refusal belongs to its transaction, that of a
    /// 2xx to the dialog. One that fits nothing is ignored.
    pub(super) fn handle_ack(&mut self, incoming: &Incoming<'_>) {
        let key = self.transaction_of(incoming.flow, incoming.message, Method::Invite);
        if let Some(server) = self.invite_servers.get_mut(&key)
            && server.handle_ack(incoming.now)
        {
            let deadline = server.deadline();
            return self.timers.set(Timer::InviteServer(key), deadline);
        }
        let Some(session) = self.find_dialog(incoming) else { return };
        let is_from_peer = self.is_from_peer(session, incoming.flow);
        let number = incoming.message.cseq().number;
        let Some(call) = self.calls.get_mut(&session) else { return };
        let Some(of) = call.unacknowledged.iter().find(|u| u.cseq == number) else { return };
        let is_offer = of.is_offer;
        // From elsewhere it can confirm what was agreed, and agree to nothing.
        if !is_from_peer && (is_offer || !incoming.message.body().is_empty()) {
            return;
        }
        let was_first = call.awaits_first_ack();
        // The peer has gone on: what came before is not waited for any longer.
        call.unacknowledged.retain(|u| u.cseq > number);
        let answer = match incoming.message.classify_body() {
            Ok(InviteBody::Sdp(sdp)) if is_offer => Some(sdp),
            _ => None,
        };
        let hang_up = take_hang_up(call);
        self.schedule(session);
        match hang_up {
            Some(reason) => self.send_bye(incoming.now, session, &reason),
            None if was_first || is_offer => self.emit(Event::Acknowledged { session, answer }),
            None => {}
        }
    }
}

fn take_hang_up(call: &mut Call) -> Option<crate::rejection::Reason> {
    if call.awaits_first_ack() {
        return None;
    }
    match &mut call.phase {
        Phase::Answered { hang_up } => hang_up.take(),
        Phase::Ringing { .. } | Phase::Ending => None,
    }
}
