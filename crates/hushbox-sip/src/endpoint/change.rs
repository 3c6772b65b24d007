//! Requests that change a session: re-INVITE (RFC 3261 §14.2) and UPDATE (RFC 3311 §5.2).

use super::Endpoint;
use super::receive::Incoming;
use super::respond::Answerable;
use super::session::{Call, Change, Phase, Unacknowledged};
use super::session_timer::{self, Asked, SessionTimer};
use super::timers::Timer;
use crate::dialog;
use crate::event::{Event, RequestId, Session};
use crate::invite::InviteBody;
use crate::limits;
use crate::message::method::Method;
use crate::rejection::Rejection;
use crate::transaction::NonInviteServer;
use bytes::Bytes;
use rand_core::RngCore;
use std::time::Instant;

impl Endpoint {
    pub(super) fn handle_reinvite(&mut self, incoming: &Incoming<'_>, session: Session) {
        if self.refuse_glare(incoming, session) || self.refuse_extensions(incoming) {
            return;
        }
        let Some((offer, timer)) = self.read_change(incoming) else { return };
        // Its ACK brings an answer, and must not be mistaken for that of the first 200, which brings none.
        let awaits_first_ack = self.calls.get(&session).is_some_and(Call::awaits_first_ack);
        if offer.is_none() && awaits_first_ack {
            return self.refuse(incoming, &Rejection::new(491));
        }
        let trying = self.begin_invite_transaction(incoming, session);
        self.transmit(incoming.reply_to, trying);
        self.begin_change(incoming, session, offer, timer);
    }

    pub(super) fn handle_update(&mut self, incoming: &Incoming<'_>, session: Session) {
        if self.refuse_extensions(incoming) {
            return;
        }
        let Some((offer, timer)) = self.read_change(incoming) else { return };
        if offer.is_some() {
            if !self.refuse_glare(incoming, session) {
                let server = NonInviteServer::new(incoming.reply_to);
                self.non_invite_servers.insert(incoming.key, server);
                self.begin_change(incoming, session, offer, timer);
            }
            return;
        }
        // RFC 3311 §5.2, RFC 4028 §10: without an offer it refreshes, and nobody has to be asked.
        let Some(call) = self.calls.get_mut(&session) else { return };
        if matches!(call.phase, Phase::Ending) {
            return self.refuse(incoming, &Rejection::new(481));
        }
        if matches!(call.phase, Phase::Answered { .. }) {
            call.restart_timer(incoming.now, timer);
        }
        call.dialog.refresh_target(dialog::target_of(incoming.message));
        Self::note_allowed(call, incoming.message);
        let tag = self.keys.tag(&incoming.key);
        let answerable = Answerable::new(incoming.message, &incoming.reach, &tag);
        let bytes = self.success(&answerable, session, incoming.reply_to, None);
        self.schedule(session);
        self.finish_non_invite(incoming, bytes);
    }

    /// An offer that can't be taken now. True if it was refused.
    fn refuse_glare(&mut self, incoming: &Incoming<'_>, session: Session) -> bool {
        // Retry-After of 0 to 10 seconds (RFC 3261 §14.2).
        let soon = self.rng.next_u32() % 11;
        let Some(call) = self.calls.get(&session) else { return true };
        let is_ours = |u: &Unacknowledged| u.is_offer;
        let too_many = call.unacknowledged.len() >= limits::MAX_UNACKNOWLEDGED;
        let rejection = match &call.phase {
            Phase::Ending => Rejection::new(481),
            // RFC 3261 §14.2, RFC 3311 §5.2: the peer's former offer has no answer yet.
            Phase::Ringing { .. } => Rejection::new(500).with_retry_after(soon),
            Phase::Answered { .. } if call.change.is_some() => {
                Rejection::new(500).with_retry_after(soon)
            }
            // RFC 3261 §14.2, RFC 5407 §3.1.4: ours has none. Else the ACK may simply be late.
            Phase::Answered { .. } if call.unacknowledged.iter().any(is_ours) => {
                Rejection::new(491)
            }
            Phase::Answered { .. } if call.is_offering || too_many => Rejection::new(491),
            // We are about to hang up.
            Phase::Answered { hang_up: Some(_) } => Rejection::new(491),
            Phase::Answered { hang_up: None } => return false,
        };
        self.refuse(incoming, &rejection);
        true
    }

    /// The offer and the session timer of a request, unless it has to be refused.
    fn read_change(
        &mut self,
        incoming: &Incoming<'_>,
    ) -> Option<(Option<Bytes>, Option<SessionTimer>)> {
        let timer = match session_timer::asked(incoming.message) {
            Ok(Asked::Timer(timer)) => Some(timer),
            Ok(Asked::Nothing) => None,
            Ok(Asked::TooShort) => {
                let min = limits::MIN_SESSION_EXPIRES_SECS.to_string();
                self.refuse(incoming, &Rejection::new(422).with_header("Min-SE", &min));
                return None;
            }
            Err(error) => {
                self.refuse(incoming, &Rejection::new(error.status()));
                return None;
            }
        };
        match incoming.message.classify_body() {
            Ok(InviteBody::None) => Some((None, timer)),
            Ok(InviteBody::Sdp(sdp)) => Some((Some(sdp), timer)),
            Ok(InviteBody::Unsupported) => {
                self.refuse(incoming, &Rejection::unsupported_body());
                None
            }
            Err(error) => {
                self.respond_to_bad_body(incoming, error);
                None
            }
        }
    }

    /// Asks the application.
    fn begin_change(
        &mut self,
        incoming: &Incoming<'_>,
        session: Session,
        offer: Option<Bytes>,
        timer: Option<SessionTimer>,
    ) {
        self.next_id += 1;
        let request = RequestId(self.next_id);
        let tag = self.keys.tag(&incoming.key);
        let change = Change {
            request,
            transaction: incoming.key,
            answerable: Answerable::new(incoming.message, &incoming.reach, &tag),
            cseq: incoming.message.cseq().number,
            target: dialog::target_of(incoming.message),
            offered: offer.is_some(),
            is_update: incoming.request.method == Method::Update,
            timer,
        };
        if let Some(call) = self.calls.get_mut(&session) {
            call.change = Some(change);
            Self::note_allowed(call, incoming.message);
        }
        self.changes.insert(request, session);
        self.emit(Event::Reinvite { session, request, offer, flow: incoming.flow });
    }

    fn take_change(&mut self, session: Session) -> Option<Change> {
        let change = self.calls.get_mut(&session)?.change.take()?;
        self.changes.remove(&change.request);
        self.by_transaction.remove(&change.transaction);
        Some(change)
    }

    /// True if the answer was sent.
    pub(super) fn answer_change(&mut self, now: Instant, request: RequestId, sdp: &Bytes) -> bool {
        let Some(session) = self.changes.get(&request).copied() else { return false };
        let Some(change) = self.take_change(session) else { return false };
        let Some(call) = self.calls.get_mut(&session) else { return false };
        call.dialog.refresh_target(change.target);
        call.local_sdp = sdp.clone();
        call.restart_timer(now, change.timer);
        let key = change.transaction;
        if change.is_update {
            let Some(reply_to) = self.non_invite_servers.get(&key).map(|s| s.flow()) else {
                return false;
            };
            let response = self.success(&change.answerable, session, reply_to, Some(sdp));
            self.schedule(session);
            self.finish_update(now, key, response);
            return true;
        }
        let Some(server) = self.invite_servers.get_mut(&key) else { return false };
        server.handle_success(now);
        let (reply_to, deadline) = (server.flow(), server.deadline());
        self.timers.set(Timer::InviteServer(key), deadline);
        let response = self.success(&change.answerable, session, reply_to, Some(sdp));
        self.transmit(reply_to, response.clone());
        let is_offer = !change.offered;
        let sent = Unacknowledged::new(now, change.cseq, reply_to, response);
        self.await_ack(session, Unacknowledged { is_offer, ..sent });
        true
    }

    fn finish_update(&mut self, now: Instant, key: crate::transaction::Key, bytes: Bytes) {
        let Some(server) = self.non_invite_servers.get_mut(&key) else { return };
        let reply_to = server.flow();
        if server.handle_final(now, bytes.clone()) {
            let deadline = server.deadline();
            self.timers.set(Timer::NonInviteServer(key), deadline);
        } else {
            self.non_invite_servers.remove(&key);
        }
        self.transmit(reply_to, bytes);
    }

    pub(super) fn reject_change(&mut self, now: Instant, request: RequestId, why: &Rejection) {
        let Some(session) = self.changes.get(&request).copied() else { return };
        let Some(change) = self.take_change(session) else { return };
        let flow = self.calls.get(&session).map(|call| call.flow);
        let agent = flow.map(|flow| self.warn_agent(flow)).unwrap_or_default();
        let bytes = change.answerable.rejection(why, &self.config.product, &agent);
        if change.is_update {
            self.finish_update(now, change.transaction, bytes);
        } else {
            self.finish_invite(now, change.transaction, bytes);
        }
    }

    /// Refuses what waits for the application, if anything does.
    pub(super) fn refuse_change(&mut self, now: Instant, session: Session, status: u16) {
        let request = self.calls.get(&session).and_then(|c| c.change.as_ref()).map(|c| c.request);
        if let Some(request) = request {
            self.reject_change(now, request, &Rejection::new(status));
        }
    }
}
