//! SUBSCRIBE, from the side that is watched (RFC 6665 §4.2.1).

use super::Endpoint;
use super::receive::Incoming;
use super::respond::Answerable;
use super::subscriptions::{Asked, Watch};
use super::timers::Timer;
use crate::auth::Challenge;
use crate::dialog::{self, Dialog};
use crate::event::{Event, RequestId};
use crate::invite::{InviteBody, OwnedUri};
use crate::limits;
use crate::message::Message;
use crate::message::event_package::{EventPackage, delta_seconds};
use crate::message::name::Name;
use crate::mwi::EVENT_PACKAGE;
use crate::rejection::Rejection;
use crate::subscription::{Subscribe, Subscription, Unsubscribed};
use crate::tap::Overflow;
use crate::transaction::{Key, NonInviteServer};
use crate::transport::Flow;
use bytes::Bytes;
use rand_core::RngCore;
use std::time::{Duration, Instant};

impl Endpoint {
    pub(super) fn handle_subscribe(&mut self, incoming: &Incoming<'_>) {
        let message = incoming.message;
        // RFC 6665 §4.2.1.1: the package first. It says nothing of anybody, and a telephone that asks for presence
        // and for dialogs meets no challenge for them. No Event at all is RFC 2848's, which is not served.
        let event = message.values(Name::Event).next().and_then(EventPackage::parse);
        let Some(event) = event.filter(|event| event.is(EVENT_PACKAGE)) else {
            let rejection = Rejection::new(489).with_header("Allow-Events", EVENT_PACKAGE);
            return self.respond_stateless(incoming, &rejection);
        };
        // RFC 6665 §4.1.2.1, §8.2.4: exactly one Contact, to which NOTIFYs go.
        if !message.contact().is_some_and(|contact| contact.is_sip()) {
            return self.respond_stateless(incoming, &Rejection::new(400));
        }
        let expires = match message.values(Name::Expires).next().map(delta_seconds) {
            None => None,
            Some(Some(expires)) => Some(expires),
            Some(None) => return self.respond_stateless(incoming, &Rejection::new(400)),
        };
        let subscription = match message.to().tag() {
            None => None,
            Some(_) => match self.find_subscription(message, event.id()) {
                Some(found) => Some(found),
                // RFC 6665 §4.2.1: one that is over, or another package's dialog.
                None => return self.respond_stateless(incoming, &Rejection::new(481)),
            },
        };
        let is_from_subscriber = subscription
            .is_some_and(|subscription| self.is_subscriber(subscription, incoming.flow));
        if is_from_subscriber && subscription.is_some_and(|s| self.is_late(s, message)) {
            return self.respond_stateless(incoming, &Rejection::new(500));
        }
        if let Some(why) = self.transactions_overflow(incoming.flow) {
            self.show_refused(incoming.flow, why);
            let after = self.retry_after();
            return self.respond_stateless(incoming, &Rejection::new(503).with_retry_after(after));
        }
        self.next_id += 1;
        let request = RequestId(self.next_id);
        let asked = self.asked(incoming, subscription, event.id());
        self.non_invite_servers.insert(incoming.key, NonInviteServer::new(incoming.reply_to));
        if subscription.is_none() {
            let merged = self.keys.merged(message);
            self.merges.insert(merged, incoming.key);
            self.merge_of.insert(incoming.key, merged);
        }
        self.notifier.asked.insert(request, asked);
        self.timers.set(Timer::Subscribe(request), Some(incoming.now + limits::TIMEOUT));
        let subscribe = Box::new(Subscribe {
            request: self.describe(incoming, InviteBody::None),
            subscription,
            is_from_subscriber,
            expires,
            refuses_summary: !message.accepts_summary(),
            to_uri: OwnedUri::from(&message.to().uri()),
        });
        self.emit(Event::Subscribe { request, subscribe });
    }

    fn asked(
        &self,
        incoming: &Incoming<'_>,
        subscription: Option<Subscription>,
        event_id: Option<&[u8]>,
    ) -> Asked {
        let message = incoming.message;
        let tag = self.keys.tag(&incoming.key);
        let scheme = incoming.request.uri.scheme();
        Asked {
            transaction: incoming.key,
            reply_to: incoming.reply_to,
            answerable: Answerable::new(message, &incoming.reach, &tag),
            flow: Flow { remote: incoming.reply_to.remote, ..incoming.flow },
            source: incoming.flow,
            subscription,
            dialog: Dialog::new(message, &tag, scheme),
            local_tag: tag.into_bytes(),
            remote_tag: message.from().tag().unwrap_or_default().to_vec(),
            cseq: message.cseq().number,
            target: dialog::target_of(message),
            event_id: event_id.map(<[u8]>::to_vec),
        }
    }

    fn find_subscription(&self, message: &Message<'_>, id: Option<&[u8]>) -> Option<Subscription> {
        let found = *self.notifier.dialogs.get(&self.dialog_of(message)?)?;
        let watch = self.notifier.watches.get(&found)?;
        (watch.event_id.as_deref() == id && watch.ending.is_none()).then_some(found)
    }

    fn is_subscriber(&self, subscription: Subscription, flow: Flow) -> bool {
        let Some(watch) = self.notifier.watches.get(&subscription) else { return false };
        let same_flow = match flow.connection {
            Some(_) => watch.flow.connection == flow.connection,
            None => watch.source.remote == flow.remote && watch.flow.transport == flow.transport,
        };
        let identity = self.identity_of(flow);
        same_flow || identity.is_some() && identity == watch.identity
    }

    fn is_late(&self, subscription: Subscription, message: &Message<'_>) -> bool {
        let watch = self.notifier.watches.get(&subscription);
        watch.is_some_and(|watch| message.cseq().number <= watch.dialog.remote_cseq())
    }

    /// RFC 6665 §4.2.1.1: 200 with the time that it lasts. The application's NOTIFY must follow at once, whatever
    /// was asked.
    pub(super) fn accept_asked(
        &mut self,
        now: Instant,
        request: RequestId,
        expires: Duration,
    ) -> Result<Subscription, u16> {
        let asked = self.take_asked(request).ok_or(0_u16)?;
        let (transaction, reply_to) = (asked.transaction, asked.reply_to);
        let answerable = asked.answerable.clone();
        let is_secure = asked.dialog.is_secure();
        let done = match asked.subscription {
            None => self.begin_watch(now, asked, expires),
            Some(subscription) => self.go_on_watching(now, subscription, asked, expires),
        };
        let subscription = match done {
            Ok(subscription) => subscription,
            Err(rejection) => {
                self.refuse_asked(now, transaction, reply_to, &answerable, &rejection);
                return Err(rejection.status);
            }
        };
        let mut writer = answerable.response(200);
        writer.field("Contact", self.contact(reply_to, is_secure));
        writer.field("Expires", expires.as_secs());
        writer.field("Allow", super::respond::ALLOW);
        writer.field("Allow-Events", EVENT_PACKAGE);
        writer.field("Supported", super::respond::SUPPORTED.join(", "));
        writer.field("Server", &self.config.product);
        self.finish_server(now, transaction, reply_to, writer.finish());
        Ok(subscription)
    }

    fn begin_watch(
        &mut self,
        now: Instant,
        asked: Asked,
        expires: Duration,
    ) -> Result<Subscription, Rejection> {
        if self.notifier.watches.len() >= self.config.limits.subscriptions_max {
            self.show_refused(asked.source, Overflow::Subscriptions);
            let after = 60 + self.rng.next_u32() % 60;
            return Err(Rejection::new(503).with_retry_after(after));
        }
        self.next_id += 1;
        let subscription = Subscription(self.next_id);
        let watch = Watch {
            dialog_key: self.keys.dialog(
                asked.dialog.call_id(),
                &asked.local_tag,
                &asked.remote_tag,
            ),
            identity: self.identity_of(asked.source),
            dialog: asked.dialog,
            local_tag: asked.local_tag,
            remote_tag: asked.remote_tag,
            flow: asked.flow,
            source: asked.source,
            event_id: asked.event_id,
            until: now,
            ending: None,
        };
        self.notifier.dialogs.insert(watch.dialog_key, subscription);
        self.notifier.watches.insert(subscription, watch);
        self.lasts(now, subscription, expires);
        Ok(subscription)
    }

    fn go_on_watching(
        &mut self,
        now: Instant,
        subscription: Subscription,
        asked: Asked,
        expires: Duration,
    ) -> Result<Subscription, Rejection> {
        let identity = self.identity_of(asked.source);
        let watch = self.notifier.watches.get_mut(&subscription);
        let Some(watch) = watch.filter(|watch| watch.ending.is_none()) else {
            return Err(Rejection::new(481));
        };
        // RFC 3261 §12.2.2: looked at again, since another may have come while this one was judged.
        if !watch.dialog.take_cseq(asked.cseq, false) {
            return Err(Rejection::new(500));
        }
        watch.dialog.refresh_target(asked.target);
        watch.flow = asked.flow;
        watch.source = asked.source;
        watch.identity = identity.or(watch.identity);
        self.lasts(now, subscription, expires);
        Ok(subscription)
    }

    fn lasts(&mut self, now: Instant, subscription: Subscription, expires: Duration) {
        if expires.is_zero() {
            return self.wait_for_last_state(now, subscription, Unsubscribed::Asked);
        }
        let Some(watch) = self.notifier.watches.get_mut(&subscription) else { return };
        watch.until = now + expires;
        let until = watch.until;
        self.timers.set(Timer::Subscription(subscription), Some(until));
    }

    pub(super) fn reject_asked(&mut self, now: Instant, request: RequestId, why: &Rejection) {
        let Some(asked) = self.take_asked(request) else { return };
        self.refuse_asked(now, asked.transaction, asked.reply_to, &asked.answerable, why);
    }

    pub(super) fn challenge_asked(
        &mut self,
        now: Instant,
        request: RequestId,
        challenges: &[Challenge],
    ) {
        let rejection = Rejection::challenge(challenges);
        let transaction = self.notifier.asked.get(&request).map(|asked| asked.transaction);
        self.reject_asked(now, request, &rejection);
        if let Some(transaction) = transaction {
            // Some phones come back with their credentials and the same CSeq.
            self.forget_merge(transaction);
        }
    }

    /// Forgets a SUBSCRIBE without a word.
    pub(super) fn discard_asked(&mut self, request: RequestId) {
        if let Some(asked) = self.take_asked(request) {
            self.remove_non_invite_server(asked.transaction);
        }
    }

    fn take_asked(&mut self, request: RequestId) -> Option<Asked> {
        self.timers.set(Timer::Subscribe(request), None);
        self.notifier.asked.remove(&request)
    }

    fn refuse_asked(
        &mut self,
        now: Instant,
        transaction: Key,
        reply_to: Flow,
        answerable: &Answerable,
        why: &Rejection,
    ) {
        let agent = self.warn_agent(reply_to);
        let bytes: Bytes = answerable.rejection(why, &self.config.product, &agent);
        self.finish_server(now, transaction, reply_to, bytes);
    }
}
