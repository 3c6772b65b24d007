//! The INVITE that begins a session, and the CANCEL that takes it back.

use super::Endpoint;
use super::receive::Incoming;
use super::respond::{Answerable, SUPPORTED};
use super::session::{Call, Phase, Unacknowledged};
use super::session_timer::{self, Asked};
use super::timers::Timer;
use crate::auth::{Authorization, Challenge};
use crate::dialog::Dialog;
use crate::event::{Event, Session};
use crate::invite::{CallIdHash, Headers, Invite, InviteBody, OwnedUri};
use crate::limits;
use crate::message::Message;
use crate::message::lex;
use crate::message::method::Method;
use crate::message::name::Name;
use crate::message::write::Writer;
use crate::rejection::Rejection;
use crate::retargeting::ReasonCause;
use crate::tap::Overflow;
use crate::transaction::{InviteServer, Key};
use crate::transport::Flow;
use bytes::Bytes;
use std::borrow::Cow;
use std::time::Instant;

impl Endpoint {
    pub(super) fn handle_invite(&mut self, incoming: &Incoming<'_>) {
        let message = incoming.message;
        if let Some(why) = self.overflow(incoming.flow) {
            self.show_refused(incoming.flow, why);
            let after = self.retry_after();
            return self.respond_stateless(incoming, &Rejection::new(503).with_retry_after(after));
        }
        let body = match message.classify_body() {
            Ok(body) => body,
            Err(error) => return self.respond_to_bad_body(incoming, error),
        };
        // RFC 3261 §8.1.1.8: a Contact is one SIP URI.
        if message.contact().is_some_and(|c| !c.is_sip()) {
            return self.refuse(incoming, &Rejection::new(400));
        }
        let asked = match session_timer::asked(message) {
            Ok(asked) => asked,
            Err(error) => return self.refuse(incoming, &Rejection::new(error.status())),
        };
        self.next_id += 1;
        let session = Session(self.next_id);
        let tag = self.keys.tag(&incoming.key);
        let trying = self.begin_invite_transaction(incoming, session);
        let merge_key = self.keys.merged(message);
        self.merges.insert(merge_key, incoming.key);
        self.merge_of.insert(incoming.key, merge_key);

        let remote_tag = message.from().tag().unwrap_or_default();
        let dialog_key = self.keys.dialog(message.call_id(), tag.as_bytes(), remote_tag);
        let identity = self.identity_of(incoming.flow);
        let flow = Flow { remote: incoming.reply_to.remote, ..incoming.flow };
        let mut call = Call {
            transaction: incoming.key,
            phase: Phase::Ringing {
                answerable: Answerable::new(message, &incoming.reach, &tag),
                offered: matches!(body, InviteBody::Sdp(_)),
                cseq: message.cseq().number,
            },
            dialog: Dialog::new(message, &tag, incoming.request.uri.scheme()),
            dialog_key,
            flow,
            source: incoming.flow,
            identity,
            unacknowledged: Vec::new(),
            change: None,
            local_sdp: Bytes::new(),
            timer: match asked {
                Asked::Timer(timer) => Some(timer),
                Asked::Nothing | Asked::TooShort => None,
            },
            refresh_at: None,
            give_up_at: None,
            is_offering: false,
            asking: None,
            owed: None,
            byes: 0,
        };
        Self::note_allowed(&mut call, message);
        self.dialogs.insert(dialog_key, session);
        if let Some(connection) = flow.connection {
            self.by_connection.insert((connection, session));
        }
        self.calls.insert(session, call);
        let mut invite = Box::new(self.describe(incoming, body));
        invite.interval_too_short = asked == Asked::TooShort;
        self.emit(Event::Invite { session, invite });
        // After the event: where it is challenged at once, there is nothing to wait for.
        self.transmit(incoming.reply_to, trying);
    }

    /// Keeps the transaction; the 100 to send.
    pub(super) fn begin_invite_transaction(
        &mut self,
        incoming: &Incoming<'_>,
        session: Session,
    ) -> Bytes {
        // RFC 3261 §8.2.6.1: no tag, and the Timestamp as it came.
        let mut trying = Writer::response(100);
        trying.copied(incoming.message, &incoming.reach, None);
        if let Some(timestamp) = incoming.message.values(Name::Timestamp).next() {
            trying.echo("Timestamp", timestamp);
        }
        let trying = trying.finish();
        let transaction = InviteServer::new(incoming.reply_to, trying.clone());
        self.invite_servers.insert(incoming.key, transaction);
        self.by_transaction.insert(incoming.key, session);
        trying
    }

    /// What there is no room for.
    pub(super) fn overflow(&self, flow: Flow) -> Option<Overflow> {
        let has_sessions = self.calls.len() < self.config.limits.sessions_max;
        if has_sessions { self.transactions_overflow(flow) } else { Some(Overflow::Sessions) }
    }

    /// Strangers leave a share of the transactions to those who are known.
    pub(super) fn transactions_overflow(&self, flow: Flow) -> Option<Overflow> {
        let transactions = self.invite_servers.len() + self.non_invite_servers.len();
        let all = self.config.limits.transactions_max;
        let max = if self.is_known(flow) { all } else { all - all / limits::KEPT_FOR_KNOWN };
        (transactions >= max).then_some(Overflow::Transactions)
    }

    /// The best credentials: those for us, of an algorithm that we have, the strongest first.
    pub(super) fn authorization(&self, message: &Message<'_>) -> Option<Authorization> {
        let is_for_us =
            |a: &Authorization| self.realm.as_ref().is_none_or(|realm| a.realm() == realm);
        let all = message.values(Name::Authorization).filter_map(Authorization::parse);
        all.min_by_key(|a| (!is_for_us(a), a.algorithm().is_none(), a.algorithm()))
    }

    pub(super) fn describe(&self, incoming: &Incoming<'_>, body: InviteBody) -> Invite {
        let message = incoming.message;
        Invite {
            flow: incoming.flow,
            request_uri: OwnedUri::from(&incoming.request.uri),
            from_user: message.from().uri().user().map(Cow::into_owned),
            from_display: message.from().display().map(Cow::into_owned),
            to_user: message.to().uri().user().map(Cow::into_owned),
            call_id_hash: CallIdHash(self.keys.call_id_hash(message.call_id())),
            authorization: self.authorization(message),
            unsupported: unsupported(message),
            refuses_sdp: !message.accepts_sdp(),
            interval_too_short: false,
            replaces: message.values(Name::Replaces).next().is_some(),
            restrains_itself: incoming.reach.overload.is_some(),
            body,
            headers: Headers::of(message),
        }
    }

    /// RFC 3261 §9.2: 200, and 487 for an INVITE that has no final response yet. Never challenged
    /// (§22.1).
    pub(super) fn handle_cancel(&mut self, incoming: &Incoming<'_>) {
        let invite = self.transaction_of(incoming.flow, incoming.message, Method::Invite);
        let Some(transaction) = self.invite_servers.get(&invite) else {
            return self.respond_stateless(incoming, &Rejection::new(481));
        };
        let is_proceeding = transaction.is_proceeding();
        // The tag of the INVITE's own responses.
        let answered = Incoming { key: invite, ..*incoming };
        let mut writer = self.start_response(&answered, 200);
        writer.field("Server", &self.config.product);
        let bytes = writer.finish();
        self.transmit(incoming.reply_to, bytes);
        if !is_proceeding {
            return;
        }
        let Some(session) = self.by_transaction.get(&invite).copied() else { return };
        let is_first = self.calls.get(&session).is_some_and(|call| call.transaction == invite);
        if is_first {
            self.refuse_first(incoming.now, session, &Rejection::new(487));
            let cause = ReasonCause::of_message(incoming.message);
            self.emit(Event::Cancelled { session, cause });
            self.terminate(session);
        } else {
            self.refuse_change(incoming.now, session, 487);
        }
    }

    pub(super) fn answer_first(&mut self, now: Instant, session: Session, sdp: &Bytes) {
        let Some(call) = self.calls.get_mut(&session) else { return };
        if !matches!(call.phase, Phase::Ringing { .. }) {
            return;
        }
        let before = std::mem::replace(&mut call.phase, Phase::Answered { hang_up: None });
        let Phase::Ringing { answerable, offered, cseq } = before else { return };
        call.local_sdp = sdp.clone();
        call.restart_timer(now, call.timer);
        let transaction = call.transaction;
        let Some(server) = self.invite_servers.get_mut(&transaction) else { return };
        server.handle_success(now);
        let reply_to = server.flow();
        let deadline = server.deadline();
        self.timers.set(Timer::InviteServer(transaction), deadline);
        let response = self.success(&answerable, session, reply_to, Some(sdp));
        self.transmit(reply_to, response.clone());
        let sent = Unacknowledged::new(now, cseq, reply_to, response);
        self.await_ack(session, Unacknowledged { is_offer: !offered, is_first: true, ..sent });
    }

    /// A 200 to an INVITE or UPDATE.
    pub(super) fn success(
        &self,
        answerable: &Answerable,
        session: Session,
        flow: Flow,
        sdp: Option<&Bytes>,
    ) -> Bytes {
        let mut writer = answerable.response(200);
        writer.field("Contact", self.contact_of(session, flow));
        self.write_capabilities(&mut writer);
        if let Some(timer) = self.calls.get(&session).and_then(|call| call.timer) {
            timer.write_answer(&mut writer);
        }
        match sdp {
            Some(sdp) => writer.finish_sdp(sdp),
            None => writer.finish(),
        }
    }

    /// Forgets an INVITE without a word.
    pub(super) fn discard_first(&mut self, session: Session) {
        if !self.is_ringing(session) {
            return;
        }
        if let Some(transaction) = self.calls.get(&session).map(|call| call.transaction) {
            self.remove_invite_server(transaction);
        }
        self.terminate(session);
    }

    /// Answers the first INVITE with a refusal; the session stays for its caller to end.
    pub(super) fn refuse_first(&mut self, now: Instant, session: Session, why: &Rejection) {
        let Some(call) = self.calls.get(&session) else { return };
        let Phase::Ringing { answerable, .. } = &call.phase else { return };
        let agent = self.warn_agent(call.flow);
        let bytes = answerable.rejection(why, &self.config.product, &agent);
        let transaction = call.transaction;
        self.finish_invite(now, transaction, bytes);
    }

    /// Ends an INVITE transaction with a final response other than 2xx.
    pub(super) fn finish_invite(&mut self, now: Instant, transaction: Key, bytes: Bytes) {
        let Some(server) = self.invite_servers.get_mut(&transaction) else { return };
        if !server.is_proceeding() {
            return;
        }
        server.handle_failure(now, bytes.clone());
        let (reply_to, deadline) = (server.flow(), server.deadline());
        self.timers.set(Timer::InviteServer(transaction), deadline);
        self.transmit(reply_to, bytes);
    }

    pub(super) fn is_ringing(&self, session: Session) -> bool {
        self.calls.get(&session).is_some_and(|c| matches!(c.phase, Phase::Ringing { .. }))
    }

    pub(super) fn reject_first(&mut self, now: Instant, session: Session, why: &Rejection) {
        if self.is_ringing(session) {
            self.refuse_first(now, session, why);
            self.terminate(session);
        }
    }

    pub(super) fn challenge_first(
        &mut self,
        now: Instant,
        session: Session,
        challenges: &[Challenge],
    ) {
        // RFC 3261 §22.2: a user agent server asks with 401; §26.3.2.4: once, so that a forged
        // source is not flooded by its repetitions.
        let rejection = Rejection::challenge(challenges);
        let transaction = self.calls.get(&session).map(|call| call.transaction);
        let trying = transaction.and_then(|key| self.invite_servers.get(&key)?.trying());
        // A caller who has a 100 repeats its INVITE no more (§17.1.1.2), and a 401 that gets lost would be the last word.
        if let Some(trying) = trying {
            self.unsay(&trying);
        }
        self.reject_first(now, session, &rejection);
        if let Some(transaction) = transaction
            && let Some(server) = self.invite_servers.get_mut(&transaction)
        {
            server.calm(now);
            let deadline = server.deadline();
            self.timers.set(Timer::InviteServer(transaction), deadline);
            // Some phones come back with their credentials and the same CSeq.
            self.forget_merge(transaction);
        }
    }
}

/// RFC 3261 §8.2.2.3. Proxy-Require is not for a user agent server.
pub(super) fn unsupported(message: &Message<'_>) -> Vec<String> {
    message
        .option_tags(Name::Require)
        .filter(|tag| !SUPPORTED.iter().any(|s| tag.eq_ignore_ascii_case(s.as_bytes())))
        .take(limits::MAX_OPTION_TAGS)
        .map(|tag| String::from_utf8_lossy(&lex::unfold(tag)).into_owned())
        .collect()
}
