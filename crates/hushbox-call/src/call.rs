//! One call: its leg and its dialogue, joined to signalling, spool, index, objects, keys and the audit log.
//!
//! [`Call::handle_input`] takes what happened, [`Call::poll_output`] gives what is wanted, down to
//! [`Output::Timeout`]. Replies come in the order of their requests, each kind for itself; the call never has more than a
//! few of each under way. It ends with exactly one [`Output::Ended`].

mod access;
mod announcement;
mod deposit;
mod interface;
mod listening;
mod retrieval;
mod speaker;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use hushbox_audit::{Event as AuditEvent, EventName, Who};
use hushbox_media::{Leg, LegConfig};
use hushbox_policy::{Binding, CallId, MessageId, Now};
use hushbox_sip::retargeting::ReasonCause;
use hushbox_sip::{Reason, Rejection, RequestId};
use hushbox_store::Directory;
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore as _, SeedableRng as _};

use crate::limits::SETTLE_MAX;
use crate::setup::{CallSetup, Caller, Chosen, FromSignalling, Purpose, ToSignalling};
use crate::tui::announcement::Announcement;
use crate::tui::login::{LockAnswer, PinAnswer, Refusal, Source};
use crate::tui::menu::Ticket;
use crate::{EndReason, tui};
use announcement::AnnouncementCall;
use deposit::DepositCall;
pub use interface::{
    CallReport, Input, LogInReply, LogInRequest, Output, Parts, Recording, SpoolReply,
    SpoolRequest, Unplayable,
};
use retrieval::{RetrievalCall, SaveKind};
use speaker::Speaker;

/// One call.
pub struct Call {
    id: CallId,
    started: Instant,
    directory: Arc<Directory>,
    /// None only where the offer was refused.
    media: Option<Speaker>,
    dialogue: Dialogue,
    confirmed: bool,
    /// Our offer was in the 200 (of the call, or of a re-INVITE): the answer comes with the ACK.
    awaits_answer: bool,
    /// A re-INVITE that was answered, and whether with an offer of ours; it may have been cancelled before.
    reinvited: Option<(RequestId, bool)>,
    /// An answer of the peer's could not be taken: whatever the dialogue makes of it, that is why the call ends.
    answer_refused: bool,
    session_over: bool,
    /// Why the caller ended it.
    cause: Option<ReasonCause>,
    purpose: &'static str,
    caller: Caller,
    /// What named the mailbox.
    chosen: Option<Chosen>,
    /// The dialogue's last state before it was over.
    last_stage: &'static str,
    leg_deadline: Option<Instant>,
    audits: VecDeque<AuditWait>,
    outputs: VecDeque<Output>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Talking,
    /// Hung up for this reason; something is still to be written, until then at the latest.
    Settling(EndReason, Instant),
    Ended,
}

enum Dialogue {
    Deposit(Box<DepositCall>),
    Retrieval(Box<RetrievalCall>),
    Announcement(AnnouncementCall),
}

/// What a dialogue may touch of its call.
struct Context<'a> {
    call: CallId,
    media: &'a mut Speaker,
    directory: &'a Directory,
    outputs: &'a mut VecDeque<Output>,
    audits: &'a mut VecDeque<AuditWait>,
}

/// What the log is asked for and has not answered, oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AuditWait {
    /// Nobody waits for it.
    Event,
    /// A log-in's answer, which nobody hears before it is written down.
    Lock(LockAnswer),
    Pin(PinAnswer),
    Open,
    Listen(Ticket),
    Save(SaveKind),
    Delete(usize),
    Undelete(usize),
}

impl Call {
    /// Answers or refuses the offer of an admitted call.
    pub fn new(now: Now, setup: CallSetup, parts: Parts) -> Self {
        let config = LegConfig { security: setup.security(), ..parts.leg };
        let surface = setup.surface();
        let mut outputs = VecDeque::new();
        let (leg, rejection) = match &setup.offer {
            Some(offer) => match Leg::answer(now.monotonic, config, offer) {
                Ok((leg, sdp)) => {
                    outputs.push_back(Output::Signalling(ToSignalling::Answer(sdp)));
                    (Some(leg), None)
                }
                Err(error) => (None, Some(rejection(&error))),
            },
            None => {
                let (leg, sdp) = Leg::offer(now.monotonic, config);
                outputs.push_back(Output::Signalling(ToSignalling::Answer(sdp)));
                (Some(leg), None)
            }
        };
        let awaits_answer = setup.offer.is_none();
        let mut rng = ChaCha20Rng::from_seed(parts.seed);
        let mut chosen = None;
        let (dialogue, purpose) = match setup.purpose {
            Purpose::Deposit { mailbox, profile, cause, why } => {
                chosen = Some(why);
                let mut random = [0; 10];
                rng.fill_bytes(&mut random);
                let millis = u64::try_from(now.utc.as_millisecond()).unwrap_or(0);
                let deposit = DepositCall::new(
                    mailbox,
                    profile,
                    cause,
                    (setup.caller_number, setup.caller_name),
                    MessageId::from_parts(millis, random),
                    parts.message_key,
                    parts.recording,
                );
                (Dialogue::Deposit(Box::new(deposit)), "deposit")
            }
            Purpose::RefusedDeposit { .. } => {
                let announcement = AnnouncementCall::new(Announcement::too_many_messages());
                (Dialogue::Announcement(announcement), "refused-deposit")
            }
            Purpose::Retrieval(device) => {
                let who = match parts.directory.device(device).map(|device| &device.bound) {
                    Some(Binding::Persons(persons)) if persons.len() == 1 => Source::OnePerson,
                    Some(_) => Source::AnyPerson,
                    None => Source::Refused(Refusal::NotFromThisTelephone),
                };
                let retrieval = RetrievalCall::new(now, who, Some((surface, device)), rng);
                (Dialogue::Retrieval(Box::new(retrieval)), "retrieval")
            }
            Purpose::RefusedRetrieval(refusal) => {
                let retrieval = RetrievalCall::new(now, Source::Refused(refusal), None, rng);
                (Dialogue::Retrieval(Box::new(retrieval)), "refused-retrieval")
            }
        };
        let mut call = Self {
            id: setup.id,
            started: now.monotonic,
            directory: parts.directory,
            media: leg.map(|leg| Speaker::new(leg, parts.prompts)),
            dialogue,
            confirmed: false,
            awaits_answer,
            reinvited: None,
            answer_refused: false,
            session_over: false,
            cause: None,
            purpose,
            caller: setup.caller,
            chosen,
            last_stage: "Unconfirmed",
            leg_deadline: None,
            audits: VecDeque::new(),
            outputs,
            state: State::Talking,
        };
        match rejection {
            Some(rejection) => {
                call.outputs.push_back(Output::Signalling(ToSignalling::Reject(rejection)));
                call.session_over = true;
                call.end(now, EndReason::OfferRefused);
            }
            None => call.run(now),
        }
        call
    }

    /// Its id.
    pub fn id(&self) -> CallId {
        self.id
    }

    /// Whether [`Output::Ended`] was given out.
    pub fn is_over(&self) -> bool {
        self.state == State::Ended
    }

    /// The dialogue's state, for transcripts.
    pub fn stage(&self) -> &'static str {
        match &self.dialogue {
            Dialogue::Deposit(deposit) => deposit.stage(),
            Dialogue::Retrieval(retrieval) => retrieval.stage(),
            Dialogue::Announcement(announcement) => announcement.stage(),
        }
    }

    /// Takes what happened. Drain [`Call::poll_output`] afterwards.
    pub fn handle_input(&mut self, now: Now, input: Input<'_>) {
        if self.state == State::Ended {
            return;
        }
        match input {
            Input::Rtp { from, bytes } => {
                self.leg_input(now, hushbox_media::Input::Rtp { from, bytes });
            }
            Input::Rtcp { from, bytes } => {
                self.leg_input(now, hushbox_media::Input::Rtcp { from, bytes });
            }
            Input::Timeout => {
                self.leg_input(now, hushbox_media::Input::Timeout);
                self.with_dialogue(|dialogue, context| match dialogue {
                    Dialogue::Deposit(deposit) => {
                        deposit.input(now, context, tui::deposit::Input::Timeout);
                    }
                    Dialogue::Retrieval(retrieval) => retrieval.timeout(now, context),
                    Dialogue::Announcement(announcement) => {
                        announcement.input(now, context, tui::announcement::Input::Timeout);
                    }
                });
            }
            Input::Signalling(says) => self.signalling(now, says),
            Input::Spool(reply) => self.with_dialogue(|dialogue, context| {
                if let Dialogue::Deposit(deposit) = dialogue {
                    deposit.spool(now, context, reply);
                }
            }),
            Input::Audit(reply) => {
                if let Some(wait) = self.audits.pop_front() {
                    self.with_retrieval(|retrieval, context| {
                        retrieval.audit(now, context, wait, reply);
                    });
                }
            }
            Input::AuditedManifest(hash) => {
                self.with_retrieval(|retrieval, context| retrieval.manifest(now, context, hash));
            }
            Input::LogIn(reply) => {
                self.with_retrieval(|retrieval, context| retrieval.log_in(now, context, reply));
            }
            Input::Key(reply) => {
                self.with_retrieval(|retrieval, context| retrieval.key(now, context, reply));
            }
            Input::Index(reply) => {
                self.with_retrieval(|retrieval, context| retrieval.index(now, context, reply));
            }
            Input::Object(reply) => {
                self.with_retrieval(|retrieval, context| retrieval.object(now, context, reply));
            }
            Input::Directory(directory) => {
                self.directory = directory;
                self.with_retrieval(|retrieval, context| retrieval.directory_changed(now, context));
            }
            Input::ShutDown => self.with_dialogue(|dialogue, context| match dialogue {
                Dialogue::Deposit(deposit) => {
                    deposit.input(now, context, tui::deposit::Input::Shutdown);
                }
                Dialogue::Retrieval(retrieval) => {
                    retrieval.hung_up(now, context, EndReason::Shutdown);
                }
                Dialogue::Announcement(announcement) => {
                    announcement.input(now, context, tui::announcement::Input::Shutdown);
                }
            }),
        }
        self.run(now);
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Output {
        if let Some(output) = self.outputs.pop_front() {
            return output;
        }
        let dialogue = match (self.state, &self.dialogue) {
            (State::Talking, Dialogue::Deposit(deposit)) => deposit.deadline(),
            (State::Talking, Dialogue::Retrieval(retrieval)) => retrieval.deadline(),
            (State::Talking, Dialogue::Announcement(announcement)) => announcement.deadline(),
            (State::Settling(_, until), _) => Some(until),
            (State::Ended, _) => None,
        };
        let leg = self.leg_deadline.filter(|_| self.state == State::Talking);
        Output::Timeout(leg.into_iter().chain(dialogue).min())
    }

    fn signalling(&mut self, now: Now, says: FromSignalling) {
        match says {
            FromSignalling::Acknowledged { answer } => self.acknowledged(now, answer.as_deref()),
            FromSignalling::Reinvite { request, offer } => {
                let Some(media) = &mut self.media else { return };
                let says = match media.leg.prepare_reoffer(offer.as_deref()) {
                    Ok(sdp) => {
                        self.reinvited = Some((request, offer.is_none()));
                        ToSignalling::AnswerReinvite { request, sdp }
                    }
                    Err(error) => {
                        ToSignalling::RejectReinvite { request, rejection: rejection(&error) }
                    }
                };
                self.outputs.push_back(Output::Signalling(says));
            }
            FromSignalling::Changed { request } => {
                let Some(media) = &mut self.media else { return };
                if let Some((_, offered)) = self.reinvited.take_if(|(asked, _)| *asked == request) {
                    self.awaits_answer = offered;
                    media.leg.commit_reoffer(now.monotonic);
                }
            }
            FromSignalling::Refreshed { answer } => self.refreshed(now, answer.as_deref()),
            FromSignalling::Cause(cause) => self.cause = Some(cause),
            FromSignalling::Ended(reason) => {
                if !self.session_over {
                    self.session_over = true;
                    self.session_ended(now, reason);
                }
            }
        }
    }

    fn acknowledged(&mut self, now: Now, answer: Option<&[u8]>) {
        let Some(media) = &mut self.media else { return };
        if self.awaits_answer {
            self.awaits_answer = false;
            let taken =
                answer.is_some_and(|sdp| media.leg.handle_answer(now.monotonic, sdp).is_ok());
            if !taken {
                // RFC 3261 §13.2.1, RFC 3264 §4: without an answer there is no session. Nor does what was agreed
                // before a re-INVITE go on: the 200 was sent, and the peer may have changed already (RFC 3261 §14.1
                // keeps it only for a refusal).
                return self.refuse_answer(now);
            }
        }
        if self.confirmed || self.state != State::Talking {
            return;
        }
        self.confirmed = true;
        media.leg.start(now.monotonic);
        let (purpose, caller, chosen) = (self.purpose, self.caller, self.chosen.take());
        self.with_dialogue(|dialogue, context| {
            let mut event = AuditEvent::new(EventName::CallIn, Who::Stranger);
            event.call = Some(context.call);
            event.detail = event.detail.with("purpose", purpose);
            caller.note_in(&mut event);
            if let Some(chosen) = &chosen {
                event.detail = chosen.noted_in(event.detail);
            }
            context.audit(event);
            match dialogue {
                Dialogue::Deposit(deposit) => {
                    deposit.input(now, context, tui::deposit::Input::Confirmed);
                }
                Dialogue::Retrieval(retrieval) => retrieval.confirmed(now, context),
                Dialogue::Announcement(announcement) => {
                    announcement.input(now, context, tui::announcement::Input::Confirmed);
                }
            }
        });
    }

    /// RFC 3264 §8, RFC 4568 §7.1.4; RFC 3261 §13.2.2.4: a 2xx that can't be taken is acknowledged, and BYE follows.
    fn refreshed(&mut self, now: Now, answer: Option<&[u8]>) {
        let Some(media) = &mut self.media else { return };
        let taken =
            answer.is_some_and(|sdp| media.leg.handle_refresh_answer(now.monotonic, sdp).is_ok());
        if !taken {
            self.refuse_answer(now);
        }
    }

    fn refuse_answer(&mut self, now: Now) {
        self.answer_refused = true;
        self.session_ended(now, EndReason::AnswerRefused);
    }

    fn session_ended(&mut self, now: Now, reason: EndReason) {
        self.with_dialogue(|dialogue, context| match dialogue {
            Dialogue::Deposit(deposit) => {
                deposit.input(now, context, tui::deposit::Input::HungUp(reason));
            }
            Dialogue::Retrieval(retrieval) => retrieval.hung_up(now, context, reason),
            Dialogue::Announcement(announcement) => {
                announcement.input(now, context, tui::announcement::Input::HungUp(reason));
            }
        });
    }

    fn leg_input(&mut self, now: Now, input: hushbox_media::Input<'_>) {
        if let Some(media) = self.media.as_mut().filter(|_| self.state == State::Talking) {
            media.leg.handle_input(now.monotonic, input);
        }
    }

    fn with_dialogue(&mut self, act: impl FnOnce(&mut Dialogue, &mut Context<'_>)) {
        let stage = self.stage();
        if stage != tui::OVER {
            self.last_stage = stage;
        }
        let Some(media) = &mut self.media else { return };
        let mut context = Context {
            call: self.id,
            media,
            directory: &self.directory,
            outputs: &mut self.outputs,
            audits: &mut self.audits,
        };
        act(&mut self.dialogue, &mut context);
    }

    fn with_retrieval(&mut self, act: impl FnOnce(&mut RetrievalCall, &mut Context<'_>)) {
        self.with_dialogue(|dialogue, context| {
            if let Dialogue::Retrieval(retrieval) = dialogue {
                act(retrieval, context);
            }
        });
    }

    /// Lets what happened take its course: the leg's events to the dialogue, until neither has more to say.
    fn run(&mut self, now: Now) {
        while let Some(media) = &mut self.media {
            match media.leg.poll_output() {
                hushbox_media::Output::TransmitRtp { to, bytes } => {
                    self.outputs.push_back(Output::TransmitRtp { to, bytes });
                }
                hushbox_media::Output::TransmitRtcp { to, bytes } => {
                    self.outputs.push_back(Output::TransmitRtcp { to, bytes });
                }
                hushbox_media::Output::Event(event) => {
                    self.with_dialogue(|dialogue, context| match dialogue {
                        Dialogue::Deposit(deposit) => deposit.leg_event(now, context, event),
                        Dialogue::Retrieval(retrieval) => retrieval.leg_event(now, context, event),
                        Dialogue::Announcement(announcement) => {
                            announcement.leg_event(now, context, &event);
                        }
                    });
                }
                hushbox_media::Output::Timeout(deadline) => {
                    self.leg_deadline = deadline;
                    let before = self.outputs.len();
                    self.with_dialogue(|dialogue, context| {
                        if let Dialogue::Deposit(deposit) = dialogue {
                            deposit.leg_drained(now, context);
                        }
                    });
                    // What the dialogue says now may have put more into the leg.
                    if self.outputs.len() == before {
                        break;
                    }
                }
            }
        }
        self.finish(now);
    }

    fn finish(&mut self, now: Now) {
        let over = match &self.dialogue {
            Dialogue::Deposit(deposit) => deposit.over,
            Dialogue::Retrieval(retrieval) => retrieval.over,
            Dialogue::Announcement(announcement) => announcement.over,
        };
        if let (State::Talking, Some(reason)) = (self.state, over) {
            let reason = if self.answer_refused { EndReason::AnswerRefused } else { reason };
            if let Some(media) = &mut self.media {
                media.leg.hang_up(now.monotonic);
                self.flush_leg();
            }
            if !self.session_over {
                let says = ToSignalling::HangUp(bye_reason(reason));
                self.outputs.push_back(Output::Signalling(says));
            }
            self.state = State::Settling(reason, now.monotonic + SETTLE_MAX);
        }
        if let State::Settling(reason, until) = self.state {
            // A deposit waits for nothing but its spool, and that has answered.
            let mut settled = true;
            self.with_dialogue(|dialogue, context| {
                if let Dialogue::Retrieval(retrieval) = dialogue {
                    settled = retrieval.settle(now, context);
                    if !settled && now.monotonic >= until {
                        retrieval.give_up();
                        settled = true;
                    }
                }
            });
            if settled {
                self.end(now, reason);
            }
        }
    }

    /// The last packets: RTCP BYE.
    fn flush_leg(&mut self) {
        let Some(media) = &mut self.media else { return };
        loop {
            match media.leg.poll_output() {
                hushbox_media::Output::TransmitRtp { to, bytes } => {
                    self.outputs.push_back(Output::TransmitRtp { to, bytes });
                }
                hushbox_media::Output::TransmitRtcp { to, bytes } => {
                    self.outputs.push_back(Output::TransmitRtcp { to, bytes });
                }
                hushbox_media::Output::Event(_) => {}
                hushbox_media::Output::Timeout(_) => return,
            }
        }
    }

    fn end(&mut self, now: Now, reason: EndReason) {
        let (saved, heard, lost_changes) = match &self.dialogue {
            Dialogue::Deposit(deposit) => (deposit.saved, 0, 0),
            Dialogue::Retrieval(retrieval) => (None, retrieval.heard, retrieval.lost_changes),
            Dialogue::Announcement(_) => (None, 0, 0),
        };
        self.outputs.push_back(Output::Signalling(ToSignalling::Over));
        self.outputs.push_back(Output::Ended(Box::new(CallReport {
            call: self.id,
            purpose: self.purpose,
            end: reason,
            cause: self.cause,
            stage: self.last_stage,
            duration: now.monotonic.saturating_duration_since(self.started),
            saved,
            heard,
            lost_changes,
            leg: self.media.as_ref().map(|media| media.leg.report()),
        })));
        self.state = State::Ended;
    }
}

fn rejection(error: &hushbox_media::OfferError) -> Rejection {
    let (code, text) = error.warning();
    Rejection::new(error.status()).with_warning(code, text)
}

/// RFC 3326: why we hang up.
fn bye_reason(reason: EndReason) -> Reason {
    match reason {
        EndReason::AnswerRefused => Reason::sip(488, "Not Acceptable Here"),
        // Q.850: 102 is recovery on timer expiry, 41 temporary failure.
        EndReason::MediaDead | EndReason::HeldTooLong => Reason::q850(102, "Media timeout"),
        EndReason::SaveFailed | EndReason::Unavailable => Reason::q850(41, "Temporary failure"),
        _ => Reason::normal_clearing(),
    }
}

#[cfg(test)]
mod tests;
