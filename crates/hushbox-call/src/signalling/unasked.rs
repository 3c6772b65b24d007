//! PBXs that are told of lamps without having subscribed: which mailboxes, where the PBX is, and what it answers.
//!
//! When and how often is [`crate::mwi`]'s. The request is one of our own outside of any dialog: to where RFC 3263 says
//! that the PBX is, over a connection that is there or a new one, with the certificate checked against the name.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use hushbox_policy::{MailboxId, NotifyTarget, Now, TrunkId};
use hushbox_sip::mwi::{Account, CONTENT_TYPE, EVENT_PACKAGE, MessageSummary, VoiceMessages};
use hushbox_sip::resolution::Target;
use hushbox_sip::{Destination, Outgoing, OwnContact, OwnedUri, RequestId, Response, Undelivered};
use hushbox_store::Directory;
use hushbox_store::model::Trunk;

use super::watchable::serves;
use super::{LookUp, MwiNews, Output, Peer, Signalling};
use crate::limits;
use crate::mwi::{Answer, Watcher};
use crate::setup::Caller;

/// What is known of these PBXs.
#[derive(Default)]
pub(super) struct Unasked {
    places: BTreeMap<TrunkId, Vec<Destination>>,
    look_ups: BTreeMap<LookUp, TrunkId>,
    requests: BTreeMap<RequestId, Watcher>,
    /// What has been said of them already.
    said: BTreeMap<TrunkId, Said>,
    /// Whether it was said that there are too many lamps.
    is_full: bool,
}

#[derive(Default)]
struct Said {
    unreachable: bool,
    refused: BTreeSet<u16>,
}

impl Unasked {
    fn forget(&mut self, trunk: TrunkId) {
        self.places.remove(&trunk);
        self.said.remove(&trunk);
        self.look_ups.retain(|_, of| *of != trunk);
    }
}

impl Signalling {
    /// Whom the directory wants to be told of what. A PBX that was set anew is told everything again.
    pub(super) fn follow_directory(&mut self, now: Now, before: Option<&Arc<Directory>>) {
        let target = |directory: &Directory, trunk| directory.trunk(trunk)?.mwi.clone();
        let mut there = BTreeSet::new();
        for (watcher, _) in self.lamps.watchers() {
            if let Watcher::Unasked(trunk, _) = watcher {
                there.insert((trunk, watcher));
            }
        }
        let wanted = self.wanted();
        let stays = |trunk: TrunkId| {
            before.is_none_or(|before| target(before, trunk) == target(&self.directory, trunk))
        };
        let goes: Vec<(TrunkId, Watcher)> = there
            .iter()
            .filter(|(trunk, watcher)| !wanted.contains_key(watcher) || !stays(*trunk))
            .copied()
            .collect();
        for (trunk, watcher) in &goes {
            self.lamps.remove(*watcher);
            self.unasked.requests.retain(|_, of| of != watcher);
            there.remove(&(*trunk, *watcher));
        }
        let changed: BTreeSet<TrunkId> = goes.iter().map(|(trunk, _)| *trunk).collect();
        for trunk in changed.into_iter().filter(|trunk| !stays(*trunk)).collect::<Vec<_>>() {
            self.unasked.forget(trunk);
        }
        let mut count = there.len();
        for (watcher, (trunk, mailbox)) in wanted {
            if there.contains(&(trunk, watcher)) {
                continue;
            }
            if count >= limits::UNASKED_LAMPS_MAX {
                return self.too_many();
            }
            count += 1;
            self.lamps.add(now.monotonic, watcher, mailbox);
        }
        self.unasked.is_full = false;
    }

    fn wanted(&self) -> BTreeMap<Watcher, (TrunkId, MailboxId)> {
        let mut wanted = BTreeMap::new();
        for trunk in self.directory.trunks().filter(|trunk| trunk.mwi.is_some()) {
            for mailbox in self.directory.mailboxes().filter(|mailbox| serves(trunk, mailbox)) {
                let watcher = Watcher::Unasked(trunk.id, mailbox.id);
                wanted.insert(watcher, (trunk.id, mailbox.id));
            }
        }
        wanted
    }

    fn too_many(&mut self) {
        if !std::mem::replace(&mut self.unasked.is_full, true) {
            self.outputs.push_back(Output::Mwi { trunk: None, news: MwiNews::TooMany });
        }
    }

    /// Finds the PBXs that somebody is to be told at.
    pub(super) fn locate_unasked(&mut self, now: Now) {
        for trunk in self.lamps.seek(now.monotonic) {
            let target = self.directory.trunk(trunk).and_then(|trunk| trunk.mwi.as_ref());
            let target =
                target.and_then(|target| Target::of(&OwnedUri::parse(&target.to_string()).ok()?));
            match target {
                Some(target) => {
                    let look_up = self.registrations.new_look_up();
                    self.unasked.look_ups.insert(look_up, trunk);
                    self.outputs.push_back(Output::Locate { look_up, target });
                }
                None => self.found(now, trunk, Vec::new()),
            }
        }
    }

    /// Where a PBX is. False if nobody here has asked.
    pub(super) fn located_unasked(
        &mut self,
        now: Now,
        look_up: LookUp,
        destinations: &[Destination],
    ) -> bool {
        let Some(trunk) = self.unasked.look_ups.remove(&look_up) else { return false };
        self.found(now, trunk, destinations.to_vec());
        true
    }

    fn found(&mut self, now: Now, trunk: TrunkId, mut destinations: Vec<Destination>) {
        // RFC 5923: a connection that the PBX has opened, and offers for this, does as well.
        for destination in &mut destinations {
            destination.identity = Peer::Trunk(trunk).number();
        }
        let found = !destinations.is_empty();
        self.unasked.places.insert(trunk, destinations);
        self.lamps.located(now.monotonic, trunk, found);
        if !found {
            self.say_unreachable(trunk);
        }
    }

    /// Tells a PBX what a mailbox holds.
    pub(super) fn tell_unasked(
        &mut self,
        now: Now,
        watcher: Watcher,
        (trunk, mailbox): (TrunkId, MailboxId),
        counts: VoiceMessages,
    ) {
        let Some(outgoing) = self.unasked_notify(now, trunk, mailbox, counts) else {
            return self.lamps.remove(watcher);
        };
        let request = self.endpoint.send(now.monotonic, outgoing);
        self.unasked.requests.insert(request, watcher);
        self.lamps.sent(now, watcher, counts, true);
    }

    fn unasked_notify(
        &self,
        now: Now,
        trunk: TrunkId,
        mailbox: MailboxId,
        counts: VoiceMessages,
    ) -> Option<Outgoing> {
        let record: &Trunk = self.directory.trunk(trunk)?;
        let target = record.mwi.as_ref()?;
        if !self.may_watch(now, Caller::Trunk(trunk), mailbox, !target.is_encrypted()) {
            return None;
        }
        let mailbox = self.directory.mailbox(mailbox)?;
        let domain = &self.directory.account(mailbox.account)?.domain;
        let there = Account::new(mailbox.number.as_str(), target.host())?;
        let from = Account::new(&OwnContact::voicemail().user, domain)?;
        let account = if is_address(target) {
            Account::new(mailbox.number.as_str(), domain)
        } else {
            Some(there.clone())
        };
        let port = target.port().map_or(String::new(), |port| format!(":{port}"));
        let request_uri = format!("{}{port}", there.as_str());
        let destinations = self.unasked.places.get(&trunk).cloned().unwrap_or_default();
        let mut notify = Outgoing::new(
            "NOTIFY",
            request_uri,
            format!("<{}>", from.as_str()),
            format!("<{}>", there.as_str()),
            destinations,
        );
        notify.contact = Some(OwnContact::voicemail());
        notify.headers = vec![
            ("Event".to_owned(), EVENT_PACKAGE.to_owned()),
            ("Subscription-State".to_owned(), "active".to_owned()),
            ("Allow-Events".to_owned(), EVENT_PACKAGE.to_owned()),
        ];
        let body = MessageSummary::new(account, counts).to_bytes();
        notify.body = Some((CONTENT_TYPE.to_owned(), body));
        Some(notify)
    }

    /// A request was answered. False if it is none of these.
    pub(super) fn unasked_answered(
        &mut self,
        now: Now,
        request: RequestId,
        outcome: Result<&Response, Undelivered>,
    ) -> bool {
        let Some(watcher) = self.unasked.requests.remove(&request) else { return false };
        let Watcher::Unasked(trunk, _) = watcher else { return true };
        let (answer, after) = match outcome {
            Ok(response) => judge(response),
            Err(Undelivered::Timeout) => (Answer::None, None),
            Err(Undelivered::NoConnection | Undelivered::NoDestination | Undelivered::TooMany) => {
                (Answer::NoWay, None)
            }
        };
        self.lamps.answered(now.monotonic, watcher, answer, after);
        match answer {
            Answer::None | Answer::NoWay | Answer::Later(503) => self.say_unreachable(trunk),
            Answer::Refused(status) => {
                self.say_reachable(trunk);
                if self.unasked.said.entry(trunk).or_default().refused.insert(status) {
                    self.say(trunk, MwiNews::Refused(status));
                }
            }
            Answer::Taken | Answer::Later(_) => self.say_reachable(trunk),
        }
        true
    }

    fn say_unreachable(&mut self, trunk: TrunkId) {
        let said = self.unasked.said.entry(trunk).or_default();
        if !std::mem::replace(&mut said.unreachable, true) {
            self.say(trunk, MwiNews::Unreachable);
        }
    }

    fn say_reachable(&mut self, trunk: TrunkId) {
        let said = self.unasked.said.get_mut(&trunk);
        if said.is_some_and(|said| std::mem::replace(&mut said.unreachable, false)) {
            self.say(trunk, MwiNews::Reachable);
        }
    }

    fn say(&mut self, trunk: TrunkId, news: MwiNews) {
        self.outputs.push_back(Output::Mwi { trunk: Some(trunk), news });
    }
}

/// What an answer means, and how long it asks to wait.
fn judge(response: &Response) -> (Answer, Option<std::time::Duration>) {
    let (status, after) = (response.status, response.retry_after());
    match status {
        200..=299 => (Answer::Taken, None),
        // A bad moment: of a user behind the PBX (408, 480, 486), or of the PBX.
        408 | 480 | 486 | 491 | 500 | 503 | 504 => (Answer::Later(status), after),
        _ if after.is_some() => (Answer::Later(status), after),
        // 489, 481, 405, 501: it takes none of these NOTIFYs. 404: it has no such number. 403: it may take them and
        // is not set to (CUCM). 401: it asks for a password.
        _ => (Answer::Refused(status), None),
    }
}

fn is_address(target: &NotifyTarget) -> bool {
    let host = target.host().trim_start_matches('[').trim_end_matches(']');
    host.parse::<IpAddr>().is_ok()
}
