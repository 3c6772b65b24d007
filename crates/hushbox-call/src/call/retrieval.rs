//! A session: log-in, then the menu over an opened mailbox.

mod acts;
mod answers;
mod playing;
mod settling;

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use hushbox_audit::{Authorised, EventName, Outcome};
use hushbox_media::Event as LegEvent;
use hushbox_policy::{Delete, DeviceId, MailboxId, Now, PersonId, Pin, SessionId, Surface};
use hushbox_store::{MessageRow, OpenMailbox};
use rand_chacha::ChaCha20Rng;
use rand_core::RngCore as _;

use super::access::Source;
use super::listening::{Fed, Listening, Reads};
use super::speaker::Sounding;
use super::{AuditWait, Context, LogInReply, LogInRequest, Output};
use crate::EndReason;
use crate::limits::SESSION_MAX;
use crate::tui::digits::Keys;
use crate::tui::login::{self, LockAnswer, Login, PinAnswer};
use crate::tui::menu::{self, Menu, Ticket};

pub(super) struct RetrievalCall {
    stage: Dialogue,
    source: Option<Source>,
    rng: ChaCha20Rng,
    ends_at: Instant,
    /// Whom the last try was for; who is logged in, once it was right.
    candidate: Option<PersonId>,
    person: Option<(PersonId, SessionId)>,
    choices: Vec<MailboxId>,
    mailbox: Option<MailboxId>,
    open: Option<OpenMailbox>,
    rows: Vec<MessageRow>,
    /// Marked for deletion: applied when the call ends.
    marks: BTreeMap<usize, Authorised<Delete>>,
    listening: Option<Listening>,
    reads: Reads,
    manifests: VecDeque<Ticket>,
    index_waits: VecDeque<IndexWait>,
    pub(super) heard: usize,
    pub(super) lost_changes: usize,
    pub(super) over: Option<EndReason>,
    settling: Settling,
}

enum Dialogue {
    Login(Box<Login>),
    Menu(Box<Menu>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum IndexWait {
    Messages,
    /// The dialogue waits for it.
    Saved,
    /// Nobody waits for it.
    Unawaited,
}

/// What is still to be done after the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Settling {
    /// What was asked for before is answered first.
    Answers,
    /// The marks are applied and the session's end is written down.
    Marks,
    Done,
}

impl RetrievalCall {
    pub(super) fn new(
        now: Now,
        who: login::Source,
        source: Option<(Surface, DeviceId)>,
        rng: ChaCha20Rng,
    ) -> Self {
        Self {
            stage: Dialogue::Login(Box::new(Login::new(now.monotonic, who))),
            source: source.map(|(surface, device)| Source { surface, device }),
            rng,
            ends_at: now.monotonic + SESSION_MAX,
            candidate: None,
            person: None,
            choices: Vec::new(),
            mailbox: None,
            open: None,
            rows: Vec::new(),
            marks: BTreeMap::new(),
            listening: None,
            reads: Reads::default(),
            manifests: VecDeque::new(),
            index_waits: VecDeque::new(),
            heard: 0,
            lost_changes: 0,
            over: None,
            settling: Settling::Answers,
        }
    }

    pub(super) fn stage(&self) -> &'static str {
        match &self.stage {
            Dialogue::Login(login) => login.state(),
            Dialogue::Menu(menu) => menu.state(),
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        match &self.stage {
            Dialogue::Login(login) => login.deadline(),
            Dialogue::Menu(menu) => menu.deadline(),
        }
    }

    pub(super) fn confirmed(&mut self, now: Now, context: &mut Context<'_>) {
        self.ends_at = now.monotonic + SESSION_MAX;
        self.login_input(now, context, login::Input::Confirmed);
    }

    pub(super) fn timeout(&mut self, now: Now, context: &mut Context<'_>) {
        match self.stage {
            Dialogue::Login(_) => self.login_input(now, context, login::Input::Timeout),
            Dialogue::Menu(_) => self.menu_input(now, context, menu::Input::Timeout),
        }
    }

    /// The far end is gone, or has to go.
    pub(super) fn hung_up(&mut self, now: Now, context: &mut Context<'_>, reason: EndReason) {
        match self.stage {
            Dialogue::Login(_) => self.login_input(now, context, login::Input::HungUp(reason)),
            Dialogue::Menu(_) => self.menu_input(now, context, menu::Input::HungUp(reason)),
        }
    }

    pub(super) fn leg_event(&mut self, now: Now, context: &mut Context<'_>, event: LegEvent) {
        match event {
            LegEvent::Digit(key) => match self.stage {
                Dialogue::Login(_) => self.login_input(now, context, login::Input::Digit(key)),
                Dialogue::Menu(_) => self.menu_input(now, context, menu::Input::Digit(key)),
            },
            LegEvent::PlaybackLow => self.feed(now, context),
            LegEvent::PlaybackFinished => {
                if context.media.sounding() == Sounding::Message {
                    self.feed(now, context);
                } else if context.media.finished() == Sounding::Words {
                    match self.stage {
                        Dialogue::Login(_) => {
                            self.login_input(now, context, login::Input::PromptFinished);
                        }
                        Dialogue::Menu(_) => {
                            self.menu_input(now, context, menu::Input::PromptFinished);
                        }
                    }
                }
            }
            LegEvent::HeldTooLong => self.hung_up(now, context, EndReason::HeldTooLong),
            LegEvent::MediaDead => self.hung_up(now, context, EndReason::MediaDead),
            LegEvent::Frames(_)
            | LegEvent::RecordingEnded(_)
            | LegEvent::Held
            | LegEvent::Resumed => {}
        }
    }

    /// Who is logged in, and may they still?
    pub(super) fn directory_changed(&mut self, now: Now, context: &mut Context<'_>) {
        let (Some((person, _)), Some(source)) = (self.person, self.source) else { return };
        let still = source.mailboxes(now, context.directory, person);
        let may = match self.mailbox {
            Some(mailbox) => still.contains(&mailbox),
            None => !still.is_empty(),
        };
        if !may {
            match &self.stage {
                Dialogue::Login(_) => {
                    self.login_input(now, context, login::Input::HungUp(EndReason::Revoked));
                }
                Dialogue::Menu(_) => self.menu_input(now, context, menu::Input::Revoked),
            }
        }
    }

    fn login_input(&mut self, now: Now, context: &mut Context<'_>, input: login::Input) {
        let Dialogue::Login(login) = &mut self.stage else { return };
        login.handle_input(now.monotonic, input);
        loop {
            let Dialogue::Login(login) = &mut self.stage else { return };
            let Some(output) = login.poll_output() else { return };
            match output {
                login::Output::Say(words) => context.media.say(now.monotonic, &words),
                login::Output::StopSpeaking => context.media.stop(now.monotonic),
                login::Output::CheckLock { number } => {
                    self.check_lock(now, context, number.as_deref());
                }
                login::Output::TryPin { number, pin } => {
                    self.try_pin(now, context, number.as_deref(), pin.as_str());
                }
                login::Output::LoggedIn { type_ahead } => {
                    return self.logged_in(now, context, type_ahead);
                }
                login::Output::HangUp(reason) => self.over = Some(reason),
            }
        }
    }

    fn check_lock(&mut self, now: Now, context: &mut Context<'_>, number: Option<&str>) {
        match self.look_up(now, context, number) {
            Some(candidate) => {
                self.candidate = candidate.person;
                context.outputs.push_back(Output::LogIn(LogInRequest::Check(candidate.attempt)))
            }
            None => {
                self.login_input(now, context, login::Input::Lock(LockAnswer::Unavailable));
            }
        }
    }

    fn try_pin(&mut self, now: Now, context: &mut Context<'_>, number: Option<&str>, pin: &str) {
        let candidate = self.look_up(now, context, number);
        let (Some(candidate), Ok(pin)) = (candidate, Pin::new(pin)) else {
            return self.login_input(now, context, login::Input::Pin(PinAnswer::Unavailable));
        };
        self.candidate = candidate.person;
        context.outputs.push_back(Output::LogIn(LogInRequest::Try {
            attempt: candidate.attempt,
            pin,
            verifier: Box::new(candidate.verifier),
            bound: candidate.bound,
        }));
    }

    fn look_up(
        &mut self,
        now: Now,
        context: &Context<'_>,
        number: Option<&str>,
    ) -> Option<super::access::Candidate> {
        let mut salt = [0; 16];
        self.rng.fill_bytes(&mut salt);
        self.source?.candidate(now, context.directory, number, salt)
    }

    pub(super) fn log_in(&mut self, now: Now, context: &mut Context<'_>, reply: LogInReply) {
        let input = match reply {
            LogInReply::Free => login::Input::Lock(LockAnswer::Free),
            LogInReply::Locked => {
                let wait = AuditWait::Lock(LockAnswer::Locked);
                return self.decided(context, wait, EventName::AuthLock, Outcome::Refused);
            }
            LogInReply::Accepted => {
                if let Some(person) = self.candidate {
                    let mut random = [0; 10];
                    self.rng.fill_bytes(&mut random);
                    let millis = u64::try_from(now.utc.as_millisecond()).unwrap_or(0);
                    self.person = Some((person, SessionId::from_parts(millis, random)));
                }
                let wait = AuditWait::Pin(PinAnswer::Accepted);
                return self.decided(context, wait, EventName::AuthOk, Outcome::Done);
            }
            LogInReply::Refused | LogInReply::RefusedAndLocked => {
                let wait = AuditWait::Pin(PinAnswer::Refused);
                self.decided(context, wait, EventName::AuthFail, Outcome::Failed);
                if reply == LogInReply::RefusedAndLocked {
                    self.event(context, EventName::AuthLock, Outcome::Refused);
                }
                return;
            }
            LogInReply::RefusedByLock => {
                let wait = AuditWait::Pin(PinAnswer::Refused);
                return self.decided(context, wait, EventName::AuthLock, Outcome::Refused);
            }
            LogInReply::Busy => login::Input::Pin(PinAnswer::Busy),
            LogInReply::Unavailable => {
                let checking = matches!(&self.stage, Dialogue::Login(l) if l.state() == "Checking");
                if checking {
                    login::Input::Lock(LockAnswer::Unavailable)
                } else {
                    login::Input::Pin(PinAnswer::Unavailable)
                }
            }
        };
        self.login_input(now, context, input);
    }

    fn logged_in(&mut self, now: Now, context: &mut Context<'_>, type_ahead: Keys) {
        self.choices = match (self.person, self.source) {
            (Some((person, _)), Some(source)) => source.mailboxes(now, context.directory, person),
            _ => Vec::new(),
        };
        let numbers: Vec<String> = self
            .choices
            .iter()
            .filter_map(|id| context.directory.mailbox(*id))
            .map(|mailbox| mailbox.number.as_str().to_owned())
            .collect();
        if numbers.is_empty() {
            // The last grant ended while the PIN was compared.
            self.over = Some(EndReason::Revoked);
            return;
        }
        let menu = Menu::new(now.monotonic, self.ends_at, numbers, type_ahead);
        self.stage = Dialogue::Menu(Box::new(menu));
        self.menu_outputs(now, context);
    }

    fn menu_input(&mut self, now: Now, context: &mut Context<'_>, input: menu::Input) {
        if let Dialogue::Menu(menu) = &mut self.stage {
            menu.handle_input(now.monotonic, input);
            self.menu_outputs(now, context);
        }
    }

    fn menu_outputs(&mut self, now: Now, context: &mut Context<'_>) {
        loop {
            let Dialogue::Menu(menu) = &mut self.stage else { return };
            let Some(output) = menu.poll_output() else { return };
            match output {
                menu::Output::Say(words) => context.media.say(now.monotonic, &words),
                menu::Output::StopSpeaking => context.media.stop(now.monotonic),
                menu::Output::Open(choice) => self.open(now, context, choice),
                menu::Output::Listen(ticket, index) => self.listen(now, context, ticket, index),
                menu::Output::Play(ticket) => self.play(now, context, ticket),
                menu::Output::StopPlaying => self.stop_playing(now, context),
                menu::Output::Skip(skip) => {
                    self.playback(now, context, |playback, context, reads| {
                        playback.skip(now, context, reads, skip)
                    });
                }
                menu::Output::Pause => {
                    self.playback(now, context, |playback, context, _| {
                        playback.pause(now, context);
                        Ok(Fed::On)
                    });
                }
                menu::Output::Resume => {
                    self.playback(now, context, |playback, context, reads| {
                        playback.resume(now, context, reads)
                    });
                }
                menu::Output::Heard(index) => {
                    self.heard += 1;
                    self.save(now, context, index, SaveKind::Heard);
                }
                menu::Output::Save(index) => self.save(now, context, index, SaveKind::Saved),
                menu::Output::Delete(index) => self.delete(now, context, index),
                menu::Output::Undelete(index) => self.undelete(now, context, index),
                menu::Output::HangUp(reason) => self.over = Some(reason),
            }
        }
    }
}

/// Why a message becomes heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SaveKind {
    /// It was played to its end.
    Heard,
    /// Somebody said so.
    Saved,
}
