//! Subscriptions: their NOTIFYs, their time, their end (RFC 6665 §4.2.2, §4.4).

use super::Endpoint;
use super::respond::Answerable;
use super::timers::Timer;
use crate::dialog::Dialog;
use crate::event::{Event, RequestId, Usage};
use crate::limits;
use crate::message::Message;
use crate::message::method::Method;
use crate::message::name::Name;
use crate::mwi::{CONTENT_TYPE, EVENT_PACKAGE};
use crate::outgoing::retry_after;
use crate::subscription::{
    EndReason, KeptSubscription, Notified, Sending, Subscription, Unsubscribed, event_value,
};
use crate::transaction::{Due, Key, NonInviteClient};
use crate::transport::Flow;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::time::Instant;

/// Everything about subscriptions.
#[derive(Default)]
pub(super) struct Notifier {
    /// SUBSCRIBEs that wait for the application.
    pub(super) asked: BTreeMap<RequestId, Asked>,
    pub(super) watches: BTreeMap<Subscription, Watch>,
    pub(super) dialogs: BTreeMap<Key, Subscription>,
    /// NOTIFYs without a final answer.
    clients: BTreeMap<Key, NotifyClient>,
}

/// A SUBSCRIBE that waits for the application.
pub(super) struct Asked {
    pub(super) transaction: Key,
    pub(super) reply_to: Flow,
    pub(super) answerable: Answerable,
    pub(super) flow: Flow,
    pub(super) source: Flow,
    pub(super) subscription: Option<Subscription>,
    pub(super) dialog: Dialog,
    pub(super) local_tag: Vec<u8>,
    pub(super) remote_tag: Vec<u8>,
    pub(super) cseq: u32,
    pub(super) target: Vec<u8>,
    pub(super) event_id: Option<Vec<u8>>,
}

/// A subscription.
pub(super) struct Watch {
    pub(super) dialog: Dialog,
    pub(super) dialog_key: Key,
    pub(super) local_tag: Vec<u8>,
    pub(super) remote_tag: Vec<u8>,
    /// Where NOTIFYs go.
    pub(super) flow: Flow,
    /// Where SUBSCRIBEs come from.
    pub(super) source: Flow,
    /// Whose connection it came over, where that is known.
    pub(super) identity: Option<u64>,
    pub(super) event_id: Option<Vec<u8>>,
    /// When it ends; once it ends, how long it waits for its last state.
    pub(super) until: Instant,
    /// It is over but for the last NOTIFY.
    pub(super) ending: Option<Unsubscribed>,
}

struct NotifyClient {
    transaction: NonInviteClient,
    subscription: Subscription,
    cseq: u32,
}

impl Notifier {
    pub(super) fn transactions(&self) -> usize {
        self.clients.len()
    }

    pub(super) fn subscriptions(&self) -> usize {
        self.watches.len()
    }

    pub(super) fn recognise(&mut self, subscription: Subscription, identity: u64) {
        if let Some(watch) = self.watches.get_mut(&subscription) {
            watch.identity = Some(identity);
        }
    }

    pub(super) fn is_same_place(&self, one: Subscription, other: Subscription) -> bool {
        let target = |id| self.watches.get(&id).map(|watch: &Watch| watch.dialog.remote_target());
        target(one).is_some() && target(one) == target(other)
    }

    /// What else is held.
    pub(super) fn others(&self) -> usize {
        self.asked.len() + self.dialogs.len()
    }
}

impl Endpoint {
    /// Sends a NOTIFY with this body, the last one where the subscription ends.
    pub(super) fn send_state(
        &mut self,
        now: Instant,
        subscription: Subscription,
        body: Option<&Bytes>,
    ) -> Sending {
        let Some(watch) = self.notifier.watches.get(&subscription) else { return Sending::Gone };
        let state = match watch.ending {
            // RFC 6665 §4.4.1, §4.1.3: the same reason for one that was asked to end.
            Some(_) => "terminated;reason=timeout".to_owned(),
            None => {
                let left = watch.until.saturating_duration_since(now).as_secs();
                format!("active;expires={left}")
            }
        };
        let ending = watch.ending;
        let sending = self.send_notify(now, subscription, &state, body);
        if let Some(how) = ending {
            // With nobody to tell it is over as well.
            self.unsubscribe(subscription, how);
        }
        sending
    }

    /// Ends a subscription with a NOTIFY that says why.
    pub(super) fn revoke(
        &mut self,
        now: Instant,
        subscription: Subscription,
        reason: EndReason,
        body: Option<&Bytes>,
    ) {
        let state = format!("terminated;reason={}", reason.as_str());
        self.send_notify(now, subscription, &state, body);
        self.unsubscribe(subscription, Unsubscribed::Revoked);
    }

    fn send_notify(
        &mut self,
        now: Instant,
        subscription: Subscription,
        state: &str,
        body: Option<&Bytes>,
    ) -> Sending {
        let Some(watch) = self.notifier.watches.get(&subscription) else { return Sending::Gone };
        let Some(flow) = self.way_in(&watch.dialog, watch.flow, watch.identity) else {
            return Sending::NoWay;
        };
        let contact = self.contact(flow, watch.dialog.is_secure());
        let branch = self.new_branch();
        let key = self.keys.client(branch.as_bytes());
        let via = self.via(flow, &branch);
        let product = self.config.product.clone();
        let Some(watch) = self.notifier.watches.get_mut(&subscription) else {
            return Sending::Gone;
        };
        let mut writer = watch.dialog.request("NOTIFY", format_args!("{via}"));
        writer.field("Contact", contact);
        writer.echo("Event", &event_value(watch.event_id.as_deref()));
        writer.field("Subscription-State", state);
        writer.field("Allow-Events", EVENT_PACKAGE);
        writer.field("User-Agent", product);
        let bytes = match body {
            Some(body) => writer.finish_as(CONTENT_TYPE, body),
            None => writer.finish(),
        };
        let client = NotifyClient {
            transaction: NonInviteClient::new(now, flow, bytes.clone()),
            subscription,
            cseq: watch.dialog.local_cseq(),
        };
        self.timers.set(Timer::Notify(key), Some(client.transaction.deadline()));
        self.notifier.clients.insert(key, client);
        self.touch(now, flow);
        self.transmit(flow, bytes);
        Sending::Sent
    }

    /// A response to a NOTIFY; false if it is to something else.
    pub(super) fn handle_notify_response(
        &mut self,
        now: Instant,
        key: Key,
        message: &Message<'_>,
        status: u16,
    ) -> bool {
        let Some(client) = self.notifier.clients.get_mut(&key) else { return false };
        let cseq = message.cseq();
        if message.via_count() != 1 || cseq.number != client.cseq || cseq.method != Method::Notify {
            return true;
        }
        let is_first = client.transaction.handle_response(now, status);
        let subscription = client.subscription;
        self.timers.set(Timer::Notify(key), Some(client.transaction.deadline()));
        if is_first {
            self.judge_answer(subscription, message, status);
        }
        true
    }

    fn judge_answer(&mut self, subscription: Subscription, message: &Message<'_>, status: u16) {
        // The last NOTIFY of one that is over may be answered as it likes.
        if !self.notifier.watches.contains_key(&subscription) {
            return;
        }
        let after = message.values(Name::RetryAfter).next().and_then(retry_after);
        match status {
            200..=299 => self.emit(Event::Notified { subscription, how: Notified::Taken }),
            _ if ends(status) && after.is_none() => {
                self.unsubscribe(subscription, Unsubscribed::Refused(status));
            }
            _ => {
                let how = Notified::Later { status, after };
                self.emit(Event::Notified { subscription, how });
            }
        }
    }

    pub(super) fn handle_notify_timeout(&mut self, now: Instant, key: Key) {
        let Some(client) = self.notifier.clients.get_mut(&key) else { return };
        let (flow, subscription) = (client.transaction.flow(), client.subscription);
        match client.transaction.handle_timeout(now) {
            Due::Transmit(bytes) => self.transmit(flow, bytes),
            Due::Nothing => {}
            Due::Terminated => {
                self.notifier.clients.remove(&key);
            }
            Due::TimedOut => {
                self.notifier.clients.remove(&key);
                // RFC 6665 §4.2.2: who answers no NOTIFY gets no more.
                self.unsubscribe(subscription, Unsubscribed::NoAnswer);
            }
        }
        let deadline = self.notifier.clients.get(&key).map(|c| c.transaction.deadline());
        self.timers.set(Timer::Notify(key), deadline);
    }

    pub(super) fn handle_subscription_timeout(&mut self, now: Instant, subscription: Subscription) {
        let Some(watch) = self.notifier.watches.get(&subscription) else { return };
        if now < watch.until {
            let until = watch.until;
            return self.timers.set(Timer::Subscription(subscription), Some(until));
        }
        if watch.ending.is_none() {
            self.wait_for_last_state(now, subscription, Unsubscribed::Expired);
            return self.emit(Event::SubscriptionEnding { subscription });
        }
        // Nobody knows the state: better none than one that may be wrong.
        self.send_state(now, subscription, None);
    }

    /// A subscription is over but for the NOTIFY that says so, with the state of that moment.
    pub(super) fn wait_for_last_state(
        &mut self,
        now: Instant,
        subscription: Subscription,
        how: Unsubscribed,
    ) {
        let Some(watch) = self.notifier.watches.get_mut(&subscription) else { return };
        watch.ending = Some(how);
        watch.until = now + limits::LAST_STATE_WAIT;
        let until = watch.until;
        self.timers.set(Timer::Subscription(subscription), Some(until));
    }

    /// Forgets a subscription and says so. Its NOTIFYs run out by themselves.
    pub(super) fn unsubscribe(&mut self, subscription: Subscription, how: Unsubscribed) {
        let Some(watch) = self.notifier.watches.remove(&subscription) else { return };
        self.notifier.dialogs.remove(&watch.dialog_key);
        self.reaching.remove(&Usage::Subscription(subscription));
        self.timers.set(Timer::Subscription(subscription), None);
        self.emit(Event::Unsubscribed { subscription, how });
    }

    /// The NOTIFYs that were on a connection which closed: they have to be sent again, when there is another.
    pub(super) fn lose_notifies(&mut self, flow: Flow) {
        let lost = |client: &NotifyClient| client.transaction.flow().connection == flow.connection;
        let keys: Vec<Key> =
            self.notifier.clients.iter().filter(|(_, c)| lost(c)).map(|(k, _)| *k).collect();
        for key in keys {
            self.timers.set(Timer::Notify(key), None);
            let Some(client) = self.notifier.clients.remove(&key) else { continue };
            let subscription = client.subscription;
            if client.transaction.is_waiting() && self.notifier.watches.contains_key(&subscription)
            {
                // RFC 3261 §18.4: a transport that fails is a 503.
                let how = Notified::Later { status: 503, after: None };
                self.emit(Event::Notified { subscription, how });
            }
        }
    }

    pub(super) fn kept(&self, subscription: Subscription) -> Option<KeptSubscription> {
        let watch = self.notifier.watches.get(&subscription)?;
        if watch.ending.is_some() {
            return None;
        }
        let dialog = &watch.dialog;
        Some(KeptSubscription {
            call_id: dialog.call_id().to_vec(),
            local: dialog.local().to_vec(),
            remote: dialog.remote().to_vec(),
            local_tag: watch.local_tag.clone(),
            remote_tag: watch.remote_tag.clone(),
            remote_target: dialog.remote_target().to_vec(),
            route_set: dialog.routes().map(<[u8]>::to_vec).collect(),
            local_cseq: dialog.local_cseq(),
            remote_cseq: dialog.remote_cseq(),
            is_secure: dialog.is_secure(),
            event_id: watch.event_id.clone(),
            flow: Flow { connection: None, ..watch.flow },
            source: watch.source.remote,
            identity: watch.identity,
            until: watch.until,
        })
    }

    pub(super) fn take_back(&mut self, kept: KeptSubscription) -> Option<Subscription> {
        let key = self.keys.dialog(&kept.call_id, &kept.local_tag, &kept.remote_tag);
        let is_full = self.notifier.watches.len() >= self.config.limits.subscriptions_max;
        if is_full || self.notifier.dialogs.contains_key(&key) {
            return None;
        }
        let dialog = Dialog::restore(&kept)?;
        self.next_id += 1;
        let subscription = Subscription(self.next_id);
        let until = kept.until;
        let watch = Watch {
            dialog,
            dialog_key: key,
            local_tag: kept.local_tag,
            remote_tag: kept.remote_tag,
            // A number of an earlier process may be somebody else's connection now.
            flow: Flow { connection: None, ..kept.flow },
            source: Flow { remote: kept.source, connection: None, ..kept.flow },
            identity: kept.identity,
            event_id: kept.event_id,
            until,
            ending: None,
        };
        self.notifier.dialogs.insert(key, subscription);
        self.notifier.watches.insert(subscription, watch);
        self.timers.set(Timer::Subscription(subscription), Some(until));
        Some(subscription)
    }
}

/// Whether an answer to a NOTIFY ends the subscription (RFC 6665 §4.2.2, RFC 5057 §5.1): the subscriber does not know
/// it, will not have it, or can't be reached where it said. What is only a bad moment (500, 503 and the like) ends
/// nothing: a lamp that stays wrong for an hour is worse than a NOTIFY that is sent again.
fn ends(status: u16) -> bool {
    matches!(
        status,
        300..=399
            | 401
            | 403..=405
            | 407
            | 408
            | 410
            | 415
            | 416
            | 481..=485
            | 489
            | 501
            | 502
            | 505
            | 600..=699
    )
}
