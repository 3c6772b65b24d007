//! SUBSCRIBE, judged as a call is; the NOTIFYs that [`crate::mwi`] asks for; and what is kept of subscriptions.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use hushbox_policy::{MailboxId, Now, SubscriptionId};
use hushbox_sip::mwi::{Account, MessageSummary, VoiceMessages};
use hushbox_sip::{
    EndReason, Flow, Notified, Rejection, RequestId, Sending, Subscribe, Subscription, Transport,
    Usage,
};
use hushbox_store::model::Mailbox;
use hushbox_store::{CertificateOwner, Counts, SubscriptionRow};
use jiff::Timestamp;
use rand_core::RngCore as _;

use super::guard::Challenged;
use super::identity::{Shown, Verdict};
use super::watches::Watching;
use super::{Asked, Judgement, Lack, Output, Peer, Signalling, Why, kept, unix_millis};
use crate::addressing::RETRIEVAL;
use crate::limits;
use crate::mwi::{Answer, LampReport, Watcher};
use crate::setup::Caller;

/// A lamp, for who asks why it is on or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lamp {
    /// The subscription's id and its end; none where a PBX is told unasked.
    pub subscription: Option<(SubscriptionId, Timestamp)>,
    /// Whose it is.
    pub owner: CertificateOwner,
    /// What it was told.
    pub report: LampReport,
}

impl Caller {
    fn owner(self) -> CertificateOwner {
        match self {
            Caller::Device(id) => CertificateOwner::Device(id),
            Caller::Trunk(id) => CertificateOwner::Trunk(id),
        }
    }

    pub(super) fn of_peer(peer: Peer) -> Option<Self> {
        match peer {
            Peer::Nobody | Peer::Ambiguous => None,
            Peer::Device(id) => Some(Caller::Device(id)),
            Peer::Trunk(id) => Some(Caller::Trunk(id)),
        }
    }

    fn of(owner: CertificateOwner) -> Self {
        match owner {
            CertificateOwner::Device(id) => Caller::Device(id),
            CertificateOwner::Trunk(id) => Caller::Trunk(id),
        }
    }
}

impl Signalling {
    /// The lamps of a mailbox, and its version.
    pub fn lamps(&self, mailbox: MailboxId) -> (u64, Vec<Lamp>) {
        let lamp = |report: LampReport| match report.watcher {
            Watcher::Subscription(subscription) => {
                let watching = self.watching.get(subscription)?;
                Some(Lamp {
                    subscription: Some((watching.id, watching.expires)),
                    owner: watching.owner.owner(),
                    report,
                })
            }
            Watcher::Unasked(trunk, _) => {
                Some(Lamp { subscription: None, owner: CertificateOwner::Trunk(trunk), report })
            }
        };
        let lamps = self.lamps.report(mailbox).into_iter().filter_map(lamp).collect();
        (self.lamps.version(mailbox), lamps)
    }

    pub(super) fn subscribe(&mut self, now: Now, request: RequestId, subscribe: &Subscribe) {
        match self.judge_subscribe(now, subscribe) {
            Ok((owner, mailbox, account)) => {
                self.accept(now, request, subscribe, owner, mailbox, account);
            }
            Err(Judgement::Reject(rejection, why)) => {
                self.refused(Asked::Subscription, Shown::from(subscribe), rejection.status, why);
                self.endpoint.reject_subscribe(now.monotonic, request, rejection);
            }
            Err(Judgement::Challenge(lack)) => {
                let challenged = Challenged::Subscribe(request);
                self.ask_again(now, Shown::from(subscribe), challenged, lack);
            }
        }
    }

    /// Who, what for, understood: as for a call.
    pub(super) fn judge_subscribe(
        &mut self,
        now: Now,
        subscribe: &Subscribe,
    ) -> Result<(Caller, MailboxId, Option<Account>), Judgement> {
        let reject = |status, why| Err(Judgement::Reject(Rejection::new(status), why));
        let lab = subscribe.request.flow.transport != Transport::Tls;
        let known = subscribe.subscription.and_then(|known| self.watching.get(known));
        let known = known.map(|watching| (watching.owner, watching.mailbox));
        let owner = match known {
            Some((owner, _)) if subscribe.is_from_subscriber => owner,
            Some((owner, _)) => match self.identify(now, Shown::from(subscribe)) {
                Verdict::Known(who) if who == owner => owner,
                // Who uses digest can still show it; to anybody else there is no such subscription.
                verdict if self.uses_digest(owner, subscribe.request.flow.transport) => {
                    return Err(Judgement::Challenge(verdict.lack()));
                }
                _ => return reject(481, Why::NoSubscription),
            },
            None => match self.identify(now, Shown::from(subscribe)) {
                Verdict::Known(who) => who,
                Verdict::Ambiguous => return reject(403, Why::AmbiguousCertificate),
                verdict => return Err(Judgement::Challenge(verdict.lack())),
            },
        };
        let found = match known {
            Some((_, mailbox)) if self.may_watch(now, owner, mailbox, lab) => Some((mailbox, None)),
            Some(_) => None,
            None => self
                .watched(now, subscribe, owner)
                .map(|mailbox| (mailbox.id, self.account_of(subscribe, mailbox))),
        };
        let Some((mailbox, account)) = found else {
            return match owner {
                Caller::Device(_) => reject(403, Why::NotThisDevices),
                Caller::Trunk(_) if self.is_by_digest(owner) => reject(403, Why::NotThisDevices),
                Caller::Trunk(_) => reject(404, Why::NoSuchNumber),
            };
        };
        match subscribe.after_authentication(limits::SUBSCRIPTION_SHORTEST) {
            Some(rejection) => Err(Judgement::Reject(rejection, Why::NotUnderstood)),
            None => Ok((owner, mailbox, account)),
        }
    }

    /// Message-Account: the address as the subscriber has it in To (protocols.md §6: one with another domain lights no
    /// lamp). The mailbox's own where that says nothing.
    fn account_of(&self, subscribe: &Subscribe, mailbox: &Mailbox) -> Option<Account> {
        let to = &subscribe.to_uri;
        let user = to.user().filter(|user| !user.is_empty() && *user != RETRIEVAL);
        let is_name = !to.host().is_empty() && to.host().parse::<IpAddr>().is_err();
        let domain = self.directory.account(mailbox.account).map(|a| a.domain.as_str());
        let host = if is_name { to.host() } else { domain? };
        Account::new(user.unwrap_or(mailbox.number.as_str()), host)
    }

    fn accept(
        &mut self,
        now: Now,
        request: RequestId,
        subscribe: &Subscribe,
        owner: Caller,
        mailbox: MailboxId,
        account: Option<Account>,
    ) {
        let longest = limits::SUBSCRIPTION_LONGEST;
        let lasts = subscribe.expires.map_or(longest, |asked| asked.min(longest));
        let at = now.monotonic;
        let subscription = match self.endpoint.accept_subscribe(at, request, lasts) {
            Ok(subscription) => subscription,
            Err(status) => {
                let why = match status {
                    503 => Why::Full,
                    500 => Why::Overtaken,
                    _ => Why::NoSubscription,
                };
                return self.refused(Asked::Subscription, Shown::from(subscribe), status, why);
            }
        };
        let flow = subscribe.request.flow;
        let expires = now.utc + lasts;
        if let (Caller::Device(_), Some(number)) = (owner, owner.number()) {
            self.endpoint.recognise_subscriber(subscription, number);
        }
        let lab = flow.transport != Transport::Tls;
        if self.watching.refresh(subscription, lab, expires) {
            self.lamps.refresh(at, Watcher::Subscription(subscription));
        } else {
            let mut random = [0; 10];
            self.rng.fill_bytes(&mut random);
            let id = SubscriptionId::from_parts(unix_millis(now), random);
            let watching = Watching { id, owner, mailbox, account, lab, expires };
            self.watching.insert(subscription, watching);
            // It is kept before it is told anything.
            self.lamps.add_afresh(at, Watcher::Subscription(subscription), mailbox);
            self.replace_earlier(now, subscription);
        }
        self.keep(subscription);
        if flow.connection.is_some() {
            self.outputs.push_back(Output::Known { flow });
        }
    }

    /// A telephone that has started again subscribes anew: its earlier subscription is nobody's. And one telephone has
    /// only so many.
    fn replace_earlier(&mut self, now: Now, new: Subscription) {
        let Some(watching) = self.watching.get(new) else { return };
        let (owner, mailbox) = (watching.owner, watching.mailbox);
        let is_earlier = |id: &Subscription| *id != new && self.endpoint.is_same_place(*id, new);
        for earlier in self.watching.at(owner, mailbox).filter(is_earlier).collect::<Vec<_>>() {
            self.endpoint.forget_subscription(earlier);
            self.unsubscribed(earlier);
        }
        // Of a PBX there may be many, and they are not counted.
        if let Caller::Device(_) = owner
            && self.watching.of(owner).count() > limits::SUBSCRIPTIONS_OF_A_DEVICE_MAX
            && let Some(oldest) = self.watching.of(owner).filter(|id| *id != new).min()
        {
            self.endpoint.end_subscription(now.monotonic, oldest, EndReason::GiveUp, None);
        }
    }

    pub(super) fn notified(&mut self, now: Now, subscription: Subscription, how: Notified) {
        let (answer, after) = match how {
            Notified::Taken => (Answer::Taken, None),
            Notified::Later { status, after } => (Answer::Later(status), after),
        };
        let watcher = Watcher::Subscription(subscription);
        self.lamps.answered(now.monotonic, watcher, answer, after);
    }

    pub(super) fn unsubscribed(&mut self, subscription: Subscription) {
        self.lamps.remove(Watcher::Subscription(subscription));
        self.reaching.forget(Usage::Subscription(subscription));
        if let Some(watching) = self.watching.remove(subscription) {
            self.outputs.push_back(Output::ForgetSubscription(watching.id));
        }
    }

    /// The store has counted: whoever waits for it is told.
    pub(super) fn counted(&mut self, now: Now, mailbox: MailboxId, counts: Option<Counts>) {
        let counts = counts.map(voice_messages);
        for watcher in self.lamps.counted(now.monotonic, mailbox, counts) {
            let Some(counts) = counts else { continue };
            match watcher {
                Watcher::Subscription(subscription) => {
                    self.tell_subscriber(now, subscription, counts)
                }
                Watcher::Unasked(trunk, of) => {
                    self.tell_unasked(now, watcher, (trunk, of), counts);
                }
            }
        }
    }

    fn tell_subscriber(&mut self, now: Now, subscription: Subscription, counts: VoiceMessages) {
        let at = now.monotonic;
        let Some(watching) = self.watching.get(subscription) else { return };
        if !self.may_watch(now, watching.owner, watching.mailbox, watching.lab) {
            return self.endpoint.end_subscription(at, subscription, EndReason::Rejected, None);
        }
        let body = MessageSummary::new(watching.account.clone(), counts).to_bytes();
        let went_out = self.endpoint.notify(at, subscription, &body) == Sending::Sent;
        self.lamps.sent(now, Watcher::Subscription(subscription), counts, went_out);
        self.watching.note(subscription, went_out);
        if !went_out {
            self.reach(now, Usage::Subscription(subscription));
        }
    }

    /// Those who may watch no more are told so.
    pub(super) fn end_forbidden_subscriptions(&mut self, now: Now) {
        let forbidden = |w: &Watching| !self.may_watch(now, w.owner, w.mailbox, w.lab);
        let ended: Vec<_> = self
            .watching
            .iter()
            .filter(|(_, w)| forbidden(w))
            .map(|(id, w)| (id, w.mailbox))
            .collect();
        for (subscription, mailbox) in ended {
            let reason = match self.directory.mailbox(mailbox) {
                Some(_) => EndReason::Rejected,
                None => EndReason::NoResource,
            };
            self.endpoint.end_subscription(now.monotonic, subscription, reason, None);
        }
    }

    /// Somebody has connected again: what could not be sent goes out now.
    pub(super) fn heard_from(&mut self, at: Instant, flow: Flow) {
        let peer = self.connection(flow).map(|connection| connection.peer);
        let Some(who) = peer.and_then(Caller::of_peer) else { return };
        for subscription in self.watching.take_unreached(who) {
            self.lamps.reachable(at, Watcher::Subscription(subscription));
        }
    }

    fn keep(&mut self, subscription: Subscription) {
        let Some(watching) = self.watching.get(subscription) else { return };
        // One that ends with its next NOTIFY is not kept, and what was kept of it goes.
        let dialog = self.endpoint.keep(subscription);
        let dialog = dialog.and_then(|dialog| kept::encode(&dialog, watching.account.as_ref()));
        let output = match dialog {
            None => Output::ForgetSubscription(watching.id),
            Some(dialog) => Output::KeepSubscription(Box::new(SubscriptionRow {
                id: watching.id,
                mailbox: watching.mailbox,
                owner: watching.owner.owner(),
                expires: watching.expires,
                dialog,
            })),
        };
        self.outputs.push_back(output);
    }

    /// Takes back what was kept: each is told the state, as fast as all together may be.
    pub(super) fn restore(&mut self, now: Now, rows: Vec<SubscriptionRow>) {
        for row in rows {
            let id = row.id;
            if self.restore_one(now, row).is_none() {
                self.outputs.push_back(Output::ForgetSubscription(id));
            }
        }
        self.follow_directory(now, None);
    }

    fn restore_one(&mut self, now: Now, row: SubscriptionRow) -> Option<()> {
        let left = row.expires.duration_since(now.utc);
        // A clock that was set back must not make one last for days.
        let left = Duration::try_from(left).ok().filter(|left| !left.is_zero())?;
        let until = now.monotonic + left.min(limits::SUBSCRIPTION_LONGEST);
        let (dialog, account) = kept::decode(&row.dialog, until)?;
        let (owner, lab) = (Caller::of(row.owner), dialog.flow.transport != Transport::Tls);
        if !self.may_watch(now, owner, row.mailbox, lab) {
            return None;
        }
        let subscription = self.endpoint.restore(dialog)?;
        let (id, mailbox, expires) = (row.id, row.mailbox, row.expires);
        let watching = Watching { id, owner, mailbox, account, lab, expires };
        self.watching.insert(subscription, watching);
        self.lamps.add(now.monotonic, Watcher::Subscription(subscription), mailbox);
        Some(())
    }
}

impl Verdict {
    /// What a request that was judged so lacks.
    fn lack(self) -> Lack {
        match self {
            Verdict::Known(_) | Verdict::Ambiguous | Verdict::Stranger => Lack::Credentials,
            Verdict::Stale => Lack::FreshNonce,
            Verdict::Wrong => Lack::RightDigest,
        }
    }
}

/// Quiet and deleted messages light no lamp (design.md "Defaults"). No message is urgent yet.
fn voice_messages(counts: Counts) -> VoiceMessages {
    let fit = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
    VoiceMessages { new: fit(counts.new), old: fit(counts.heard), urgent_new: 0, urgent_old: 0 }
}
