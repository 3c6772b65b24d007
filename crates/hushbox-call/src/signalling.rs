//! The signalling of a server: the SIP endpoint, and who may call whom.
//!
//! Bytes and time in; bytes, new calls and their events out. Each INVITE is judged in this order: who calls
//! (`identity`), what for (`target`), whether the request can be understood, whether there is room. What is admitted
//! becomes a [`CallSetup`] for a [`Call`](crate::Call) somewhere else; the two talk by [`FromSignalling`] and
//! [`ToSignalling`].

mod admission;
mod elsewhere;
mod flood;
mod guard;
mod identity;
mod interface;
mod kept;
mod overload;
mod places;
mod reaching;
#[cfg(test)]
mod reaching_tests;
mod registrations;
mod shown_caller;
#[cfg(test)]
mod subscription_tests;
mod subscriptions;
mod target;
#[cfg(test)]
mod tests;
mod unasked;
#[cfg(test)]
mod unasked_tests;
mod watchable;
mod watches;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use hushbox_policy::{CallId, Now};
use hushbox_sip::retargeting::ReasonCause;
use hushbox_sip::{
    Authenticator, Challenge, ConnectionId, Endpoint, Event, Failure, Flow, Invite, InviteBody,
    Reason, Rejection, Session, Tap, Usage,
};
use hushbox_store::Directory;
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore as _, SeedableRng as _};

use crate::EndReason;
use crate::mwi::{Lamps, Watcher};
use crate::setup::{CallSetup, Caller, FromSignalling, Purpose, ToSignalling};
use flood::Flood;
use guard::{Challenged, Guard};
use identity::{Connection, Secrets, Shown, Verdict};
pub use interface::{
    Admission, Asked, Config, Input, LookUp, MwiConfig, MwiNews, Output, Peer, Refused, Why,
};
use overload::Overload;
pub use overload::{Part, Strain};
use places::Places;
use reaching::Reaching;
use registrations::Registrations;
pub use subscriptions::Lamp;
use unasked::Unasked;
use watches::Watches;

/// The signalling of a server.
pub struct Signalling {
    endpoint: Endpoint,
    authenticator: Authenticator,
    secrets: Secrets,
    /// Ours, as others see it: a call from it goes round.
    product: String,
    directory: Arc<Directory>,
    rng: ChaCha20Rng,
    connections: BTreeMap<ConnectionId, Connection>,
    calls: BTreeMap<CallId, Option<Session>>,
    sessions: BTreeMap<Session, CallId>,
    callers: BTreeMap<CallId, Caller>,
    guard: Guard,
    watching: Watches,
    lamps: Lamps,
    unasked: Unasked,
    reaching: Reaching,
    places: Places,
    flood: Flood,
    overload: Overload,
    registrations: Registrations,
    record_only: bool,
    disk_full: bool,
    draining: bool,
    outputs: VecDeque<Output>,
}

impl Signalling {
    /// Signalling for this directory. The seed must be fresh and secret.
    pub fn new(config: Config, directory: Arc<Directory>, seed: [u8; 32]) -> Self {
        let mut rng = ChaCha20Rng::from_seed(seed);
        let mut seed = || {
            let mut bytes = [0; 32];
            rng.fill_bytes(&mut bytes);
            bytes
        };
        let mut endpoint = Endpoint::new(config.sip.clone(), seed());
        endpoint.set_neighbour_addresses(directory.lab_addresses());
        let authenticator = Authenticator::new(&config.realm, seed());
        endpoint.set_realm(authenticator.realm());
        Self {
            product: config.sip.product,
            endpoint,
            authenticator,
            directory,
            flood: Flood::new(config.admission.deposits_per_caller, &seed()),
            rng: ChaCha20Rng::from_seed(seed()),
            secrets: Secrets::new(config.service_key, &seed()),
            connections: BTreeMap::new(),
            calls: BTreeMap::new(),
            sessions: BTreeMap::new(),
            callers: BTreeMap::new(),
            guard: Guard::default(),
            watching: Watches::default(),
            lamps: Lamps::new(config.mwi.notifies_per_second, config.mwi.compare_every),
            unasked: Unasked::default(),
            reaching: Reaching::default(),
            places: Places::new(&config.admission),
            overload: Overload::default(),
            registrations: Registrations::default(),
            record_only: config.record_only,
            disk_full: false,
            draining: false,
            outputs: VecDeque::new(),
        }
    }

    /// Takes what happened. Drain [`Signalling::poll_output`] afterwards.
    pub fn handle_input(&mut self, now: Now, input: Input<'_>) {
        let at = now.monotonic;
        match input {
            Input::Datagram { flow, bytes } => {
                self.endpoint.handle_input(at, hushbox_sip::Input::Datagram { flow, bytes });
            }
            Input::Connected { flow, peer } => self.connected(flow, peer),
            Input::StreamData { flow, bytes } => {
                self.endpoint.handle_input(at, hushbox_sip::Input::StreamData { flow, bytes });
                self.heard_from(at, flow);
            }
            Input::StreamClosed { flow } => {
                self.endpoint.handle_input(at, hushbox_sip::Input::StreamClosed { flow });
                if let Some(connection) = flow.connection {
                    self.connections.remove(&connection);
                    self.registrations_lost(now, connection);
                }
            }
            Input::Opened { attempt, flow, peer } => {
                self.connected(flow, peer);
                self.endpoint.handle_input(at, hushbox_sip::Input::Connected { attempt, flow });
            }
            Input::Unopened { attempt } => {
                self.endpoint.handle_input(at, hushbox_sip::Input::Unconnected { attempt });
            }
            Input::Directory(directory) => self.directory_changed(now, directory),
            Input::MailboxChanged(mailbox) => self.lamps.changed(at, mailbox),
            Input::Counted { mailbox, counts } => self.counted(now, mailbox, counts),
            Input::Restore(rows) => self.restore(now, rows),
            Input::DiskFull(full) => self.disk_full = full,
            Input::RecordOnly(record_only) => self.record_only = record_only,
            Input::Strain { part, strain } => {
                if self.overload.report(at, part, strain) {
                    self.tell_neighbours(now);
                }
            }
            Input::Drain => {
                self.draining = true;
                self.unregister(now);
            }
            Input::Register(settings) => self.register(now, settings),
            Input::Located { look_up, destinations } => {
                if !self.located_unasked(now, look_up, &destinations)
                    && !self.located_next_hop(now, look_up, &destinations)
                {
                    self.located(now, look_up, destinations);
                }
            }
            Input::Call { call, says } => self.call_says(at, call, says),
            Input::Timeout => {
                self.endpoint.handle_input(at, hushbox_sip::Input::Timeout);
                self.registrations_due(now);
                for (challenged, challenges) in self.guard.due(at) {
                    self.challenge(at, challenged, challenges);
                }
            }
        }
        self.pump(now);
        while let Some(mailbox) = self.lamps.poll(at) {
            self.outputs.push_back(Output::Count(mailbox));
        }
        self.locate_unasked(now);
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Output {
        if let Some(output) = self.outputs.pop_front() {
            return output;
        }
        // The pump has drained the endpoint: this is its deadline.
        let endpoint = match self.endpoint.poll_output() {
            hushbox_sip::Output::Timeout(deadline) => deadline,
            hushbox_sip::Output::Transmit { flow, bytes } => {
                return Output::Transmit { flow, bytes };
            }
            hushbox_sip::Output::Disconnect { flow } => return Output::Disconnect { flow },
            hushbox_sip::Output::Connect { attempt, destination } => {
                return Output::Connect { attempt, destination };
            }
            hushbox_sip::Output::Event(_) => None,
        };
        let others = [self.guard.deadline(), self.lamps.deadline(), self.registrations.deadline()];
        Output::Timeout(endpoint.into_iter().chain(others.into_iter().flatten()).min())
    }

    /// Calls at this moment.
    pub fn calls(&self) -> usize {
        self.calls.len()
    }

    /// Whether nothing is left in its tables: no call, no session, and at the end no registration.
    pub fn is_quiet(&self) -> bool {
        let registered = self.draining && !self.registrations.are_over();
        let says_goodbye = self.reaching.is_for_calls();
        self.calls.is_empty() && self.sessions.is_empty() && !registered && !says_goodbye
    }

    /// Shows `tap` every SIP message that comes in from now on.
    pub fn set_tap(&mut self, tap: Box<dyn Tap>) {
        self.endpoint.set_tap(tap);
    }

    /// How much the SIP endpoint holds.
    pub fn endpoint_load(&self) -> hushbox_sip::Load {
        self.endpoint.load()
    }

    fn seed(&mut self) -> [u8; 32] {
        let mut bytes = [0; 32];
        self.rng.fill_bytes(&mut bytes);
        bytes
    }

    fn pump(&mut self, now: Now) {
        loop {
            match self.endpoint.poll_output() {
                hushbox_sip::Output::Transmit { flow, bytes } => {
                    self.outputs.push_back(Output::Transmit { flow, bytes });
                }
                hushbox_sip::Output::Disconnect { flow } => {
                    self.outputs.push_back(Output::Disconnect { flow });
                }
                hushbox_sip::Output::Connect { attempt, destination } => {
                    self.outputs.push_back(Output::Connect { attempt, destination });
                }
                hushbox_sip::Output::Event(event) => self.event(now, event),
                hushbox_sip::Output::Timeout(_) => return,
            }
        }
    }

    fn connected(&mut self, flow: Flow, peer: Peer) {
        let Some(connection) = flow.connection else { return };
        self.connections.insert(connection, Connection { flow, peer, shown: None });
        if let Some(identity) = peer.number() {
            self.endpoint.identify(connection, identity);
        }
        if matches!(peer, Peer::Trunk(_)) {
            self.endpoint.add_neighbour(connection);
        }
    }

    /// Removing a record ends its calls and closes its connections (design.md "Who may call").
    fn directory_changed(&mut self, now: Now, directory: Arc<Directory>) {
        let before = std::mem::replace(&mut self.directory, directory);
        self.endpoint.set_neighbour_addresses(self.directory.lab_addresses());
        let is_outdated =
            |connection: &&Connection| connection.is_outdated(&before, &self.directory);
        let closing: Vec<Flow> = self
            .connections
            .values()
            .filter(is_outdated)
            .map(|connection| connection.flow)
            .collect();
        self.end_calls_of_removed(now.monotonic);
        self.end_forbidden_subscriptions(now);
        self.follow_directory(now, Some(&before));
        // The BYEs go out before the connections close.
        self.pump(now);
        self.outputs.extend(closing.into_iter().map(|flow| Output::Disconnect { flow }));
    }

    fn end_calls_of_removed(&mut self, at: Instant) {
        let there = |caller: &Caller| match caller {
            Caller::Device(id) => self.directory.device(*id).is_some(),
            Caller::Trunk(id) => self.directory.trunk(*id).is_some(),
        };
        let ended = self.callers.iter().filter(|(_, caller)| !there(caller));
        let ended: Vec<CallId> = ended.map(|(call, _)| *call).collect();
        for call in ended {
            self.callers.remove(&call);
            if let Some(Some(session)) = self.calls.get(&call).copied() {
                // The call hears it as a hang-up: what was recorded is saved.
                self.tell(session, FromSignalling::Ended(EndReason::Revoked));
                self.endpoint.hang_up(at, session, Reason::sip(403, "Access was removed"));
            }
        }
    }

    fn event(&mut self, now: Now, event: Event) {
        match event {
            Event::Invite { session, invite } => self.invite(now, session, &invite),
            Event::Acknowledged { session, answer } => {
                self.tell(session, FromSignalling::Acknowledged { answer });
            }
            Event::Reinvite { session, request, offer, .. } => {
                self.tell(session, FromSignalling::Reinvite { request, offer });
            }
            Event::Refreshed { session, answer } => {
                self.tell(session, FromSignalling::Refreshed { answer });
            }
            Event::Subscribe { request, subscribe } => self.subscribe(now, request, &subscribe),
            Event::Notified { subscription, how } => self.notified(now, subscription, how),
            Event::SubscriptionEnding { subscription } => {
                self.lamps.refresh(now.monotonic, Watcher::Subscription(subscription));
            }
            Event::NoWay { session } => self.reach(now, Usage::Session(session)),
            Event::Reached { usage, found } => self.reached(now, usage, found),
            Event::Unsubscribed { subscription, .. } => self.unsubscribed(subscription),
            Event::Elsewhere { session, id, request } => {
                self.elsewhere(now, session, id, &request);
            }
            Event::Cancelled { session, cause } => {
                self.guard.forget(session);
                self.tell_cause(session, cause);
                self.tell(session, FromSignalling::Ended(EndReason::Cancelled));
            }
            Event::Bye { session, cause } => {
                self.tell_cause(session, cause);
                self.tell(session, FromSignalling::Ended(EndReason::CallerHungUp));
            }
            Event::Failed { session, failure } => {
                let reason = match failure {
                    Failure::NoAck => EndReason::NoAck,
                    Failure::ConnectionLost | Failure::SessionExpired => EndReason::ConnectionLost,
                    // The call has ended already, for a reason of its own.
                    Failure::ByeTimeout => return,
                };
                self.tell(session, FromSignalling::Ended(reason));
            }
            Event::Answered { request, response } => {
                if !self.unasked_answered(now, request, Ok(&response)) {
                    self.registrar_answered(now, request, Ok(&response));
                }
            }
            Event::Unanswered { request, why } => {
                if !self.unasked_answered(now, request, Err(why)) {
                    self.registrar_answered(now, request, Err(why));
                }
            }
            Event::Terminated { session } => {
                self.guard.forget(session);
                self.reaching.forget(Usage::Session(session));
                if let Some(call) = self.sessions.remove(&session)
                    && let Some(known) = self.calls.get_mut(&call)
                {
                    *known = None;
                    // Whatever ended it, the call hears of it; one that ended before ignores this.
                    self.outputs.push_back(Output::ToCall {
                        call,
                        says: FromSignalling::Ended(EndReason::ConnectionLost),
                    });
                }
            }
        }
    }

    fn tell(&mut self, session: Session, says: FromSignalling) {
        if let Some(call) = self.sessions.get(&session) {
            self.outputs.push_back(Output::ToCall { call: *call, says });
        }
    }

    fn tell_cause(&mut self, session: Session, cause: Option<ReasonCause>) {
        if let Some(cause) = cause {
            self.tell(session, FromSignalling::Cause(cause));
        }
    }

    fn call_says(&mut self, at: Instant, call: CallId, says: ToSignalling) {
        if says == ToSignalling::Over {
            self.callers.remove(&call);
            self.places.leave(call);
            if let Some(Some(session)) = self.calls.remove(&call) {
                self.sessions.remove(&session);
            }
            return;
        }
        let Some(Some(session)) = self.calls.get(&call).copied() else { return };
        match says {
            ToSignalling::Answer(sdp) => self.endpoint.answer(at, session, sdp),
            ToSignalling::Reject(rejection) => self.endpoint.reject(at, session, rejection),
            ToSignalling::AnswerReinvite { request, sdp } => {
                if self.endpoint.answer_reinvite(at, request, sdp) {
                    self.tell(session, FromSignalling::Changed { request });
                }
            }
            ToSignalling::RejectReinvite { request, rejection } => {
                self.endpoint.reject_reinvite(at, request, rejection);
            }
            ToSignalling::HangUp(reason) => self.endpoint.hang_up(at, session, reason),
            ToSignalling::Over => {}
        }
    }

    fn invite(&mut self, now: Now, session: Session, invite: &Invite) {
        match self.judge(now, invite) {
            Ok((caller, purpose)) => self.start(now, session, invite, caller, purpose),
            Err(Judgement::Reject(rejection, why)) => {
                self.refused(Asked::Call, Shown::from(invite), rejection.status, why);
                self.endpoint.reject(now.monotonic, session, rejection);
            }
            Err(Judgement::Challenge(lack)) => {
                self.ask_again(now, Shown::from(invite), Challenged::Invite(session), lack);
            }
        }
    }

    /// 401: at once, later or never, as the address deserves.
    fn ask_again(&mut self, now: Now, shown: Shown<'_>, challenged: Challenged, lack: Lack) {
        let offered = identity::algorithms(shown.flow.transport);
        let stale = lack == Lack::FreshNonce;
        let challenges = self.authenticator.challenges(unix_secs(now), offered, stale);
        let (at, ip) = (now.monotonic, shown.flow.remote.ip());
        let asked = challenged.asked();
        let (why, answer) = match lack {
            Lack::Credentials => (Why::Challenged, guard::Answer::AtOnce),
            Lack::FreshNonce => (Why::StaleNonce, guard::Answer::AtOnce),
            Lack::RightDigest => (Why::WrongDigest, self.guard.wrong(at, ip)),
        };
        match answer {
            guard::Answer::AtOnce => {
                self.refused(asked, shown, 401, why);
                self.challenge(at, challenged, challenges);
            }
            guard::Answer::Later => {
                self.refused(asked, shown, 401, why);
                self.guard.hold(at, ip, challenged, challenges);
            }
            guard::Answer::Drop => {
                self.refused(asked, shown, 0, Why::TooManyWrongDigests);
                match challenged {
                    Challenged::Invite(session) => self.endpoint.discard(at, session),
                    Challenged::Elsewhere(id) => self.endpoint.discard_elsewhere(id),
                    Challenged::Subscribe(id) => self.endpoint.discard_subscribe(at, id),
                }
            }
        }
    }

    fn challenge(&mut self, at: Instant, challenged: Challenged, challenges: Vec<Challenge>) {
        match challenged {
            Challenged::Invite(session) => self.endpoint.challenge(at, session, challenges),
            Challenged::Elsewhere(id) => self.endpoint.challenge_elsewhere(at, id, &challenges),
            Challenged::Subscribe(id) => self.endpoint.challenge_subscribe(at, id, challenges),
        }
    }

    /// Who, what for, understood, room: in this order (RFC 3261 §8.2, protocols.md "Order of checks").
    fn judge(&mut self, now: Now, invite: &Invite) -> Result<(Caller, Purpose), Judgement> {
        let reject = |status, why| Err(Judgement::Reject(Rejection::new(status), why));
        let caller = match self.identify(now, Shown::from(invite)) {
            Verdict::Known(caller) => caller,
            Verdict::Stranger => return Err(Judgement::Challenge(Lack::Credentials)),
            Verdict::Stale => return Err(Judgement::Challenge(Lack::FreshNonce)),
            Verdict::Wrong => return Err(Judgement::Challenge(Lack::RightDigest)),
            Verdict::Ambiguous => return reject(403, Why::AmbiguousCertificate),
        };
        let purpose = match self.target(now, invite, caller) {
            Ok(purpose) => purpose,
            Err(target::Unreachable::Forbidden) => return reject(403, Why::NotThisDevices),
            Err(target::Unreachable::NotFound) => return reject(404, Why::NoSuchNumber),
            Err(target::Unreachable::Loop(found)) => return reject(found.status(), Why::Loop),
        };
        if let Some(rejection) = invite.after_authentication() {
            return Err(Judgement::Reject(rejection, Why::NotUnderstood));
        }
        match self.find_room(now, invite, caller, purpose) {
            Ok(purpose) => Ok((caller, purpose)),
            Err(why) => Err(Judgement::Reject(self.no_room(why), why.into())),
        }
    }

    fn start(
        &mut self,
        now: Now,
        session: Session,
        invite: &Invite,
        caller: Caller,
        purpose: Purpose,
    ) {
        let mut random = [0; 10];
        self.rng.fill_bytes(&mut random);
        let id = CallId::from_parts(unix_millis(now), random);
        self.calls.insert(id, Some(session));
        self.callers.insert(id, caller);
        self.places.take(id, purpose.wish(), caller.trunk());
        self.sessions.insert(session, id);
        // Whatever showed it, the certificate, a digest or an address: the call outlives its connection.
        if let Some(number) = caller.number() {
            self.endpoint.recognise(session, number);
        }
        let offer = match &invite.body {
            InviteBody::Sdp(sdp) => Some(sdp.clone()),
            InviteBody::None | InviteBody::Unsupported => None,
        };
        let (caller_number, caller_name) = self.shown_caller(invite, caller);
        self.outputs.push_back(Output::Start(Box::new(CallSetup {
            id,
            purpose,
            offer,
            caller_number,
            caller_name,
            transport: invite.flow.transport,
            peer: invite.flow.remote.ip(),
            call_id_hash: invite.call_id_hash,
            caller,
        })));
        if invite.flow.connection.is_some() {
            self.outputs.push_back(Output::Known { flow: invite.flow });
        }
    }

    fn refused(&mut self, asked: Asked, shown: Shown<'_>, status: u16, why: Why) {
        let (call_id_hash, trunk) = (shown.call_id_hash, self.trunk_at(shown.flow));
        let refused = Refused { asked, status, why, call_id_hash, trunk };
        self.outputs.push_back(Output::Refused(refused));
    }
}

enum Judgement {
    Reject(Rejection, Why),
    Challenge(Lack),
}

/// What a request that is challenged lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lack {
    Credentials,
    FreshNonce,
    RightDigest,
}

fn unix_secs(now: Now) -> u64 {
    u64::try_from(now.utc.as_second()).unwrap_or(0)
}

fn unix_millis(now: Now) -> u64 {
    u64::try_from(now.utc.as_millisecond()).unwrap_or(0)
}
