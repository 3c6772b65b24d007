//! A session: log-in, then the menu over an opened mailbox.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use bytes::Bytes;
use hushbox_audit::{
    AuditError, AuditReply, AuditRequest, Authorised, Event as AuditEvent, EventName, Hash,
    Outcome, Who,
};
use hushbox_media::Event as LegEvent;
use hushbox_policy::{
    Delete, DeviceId, EitherProfile, Listen, MailboxId, MessageRef, Now, OpenMailbox as Open,
    Permit, PersonId, Pin, Save, SessionId, Surface, Undelete,
};
use hushbox_store::{
    IndexError, IndexReply, IndexRequest, KeyError, KeyReply, KeyRequest, Listing, MailboxKeys,
    MessageRow, MessageState, ObjectsError, OpenMailbox, StateChange,
};
use jiff::tz::TimeZone;
use rand_chacha::ChaCha20Rng;
use rand_core::RngCore as _;

use super::access::Source;
use super::listening::{Broken, Fed, Listening, Playback, Reads, Stage};
use super::speaker::Sounding;
use super::{AuditWait, Context, LogInReply, LogInRequest, Output};
use crate::EndReason;
use crate::limits::{MAILBOX_NEARLY_FULL, SESSION_MAX};
use crate::tui::digits::Keys;
use crate::tui::login::{self, LockAnswer, Login, PinAnswer};
use crate::tui::menu::{self, Entry, EntryState, Menu, Opened, Ticket};

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
                self.event(context, EventName::AuthFail, Outcome::Refused);
                login::Input::Lock(LockAnswer::Locked)
            }
            LogInReply::Accepted => {
                if let Some(person) = self.candidate {
                    let mut random = [0; 10];
                    self.rng.fill_bytes(&mut random);
                    let millis = u64::try_from(now.utc.as_millisecond()).unwrap_or(0);
                    self.person = Some((person, SessionId::from_parts(millis, random)));
                }
                self.event(context, EventName::AuthOk, Outcome::Done);
                login::Input::Pin(PinAnswer::Accepted)
            }
            LogInReply::Refused => {
                self.event(context, EventName::AuthFail, Outcome::Failed);
                login::Input::Pin(PinAnswer::Refused)
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

    /// Asks policy about a message of the open mailbox.
    fn permit<A: EitherProfile<Object = MessageRef>>(
        &self,
        now: Now,
        context: &Context<'_>,
        index: usize,
    ) -> Option<Permit<A>> {
        let (row, who) = (self.rows.get(index)?, self.person?);
        self.source?
            .permit(now, context.directory, who, row.mailbox, Some(row.facts()), row.message_ref())
            .ok()
    }

    fn ask(&mut self, context: &mut Context<'_>, wait: AuditWait, request: AuditRequest) {
        context.audits.push_back(wait);
        context.outputs.push_back(Output::Audit(request));
    }

    fn open(&mut self, now: Now, context: &mut Context<'_>, choice: usize) {
        let permit = self.choices.get(choice).copied().and_then(|mailbox| {
            self.mailbox = Some(mailbox);
            let (source, who) = (self.source?, self.person?);
            source.permit::<Open>(now, context.directory, who, mailbox, None, mailbox).ok()
        });
        match permit {
            Some(permit) => self.ask(context, AuditWait::Open, permit.into()),
            None => {
                self.event(context, EventName::AccessRefused, Outcome::Refused);
                self.menu_input(now, context, menu::Input::Opened(None));
            }
        }
    }

    fn save(&mut self, now: Now, context: &mut Context<'_>, index: usize, kind: SaveKind) {
        match self.permit::<Save>(now, context, index) {
            Some(permit) => self.ask(context, AuditWait::Save(kind), permit.into()),
            None => self.refused(now, context, kind == SaveKind::Saved),
        }
    }

    fn delete(&mut self, now: Now, context: &mut Context<'_>, index: usize) {
        match self.permit::<Delete>(now, context, index) {
            Some(permit) => self.ask(context, AuditWait::Delete(index), permit.into()),
            None => self.refused(now, context, true),
        }
    }

    fn undelete(&mut self, now: Now, context: &mut Context<'_>, index: usize) {
        match self.permit::<Undelete>(now, context, index) {
            Some(permit) => self.ask(context, AuditWait::Undelete(index), permit.into()),
            None => self.refused(now, context, true),
        }
    }

    fn refused(&mut self, now: Now, context: &mut Context<'_>, awaited: bool) {
        self.event(context, EventName::AccessRefused, Outcome::Refused);
        if awaited {
            self.menu_input(now, context, menu::Input::Done(false));
        }
    }

    fn listen(&mut self, now: Now, context: &mut Context<'_>, ticket: Ticket, index: usize) {
        self.reads.restart();
        match self.permit::<Listen>(now, context, index) {
            Some(permit) => {
                self.listening = Some(Listening { ticket, index, stage: Stage::Audit });
                self.ask(context, AuditWait::Listen(ticket), permit.into());
            }
            None => {
                self.event(context, EventName::AccessRefused, Outcome::Refused);
                self.menu_input(now, context, menu::Input::CannotPlay(ticket));
            }
        }
    }

    /// The log has answered.
    pub(super) fn audit(
        &mut self,
        now: Now,
        context: &mut Context<'_>,
        wait: AuditWait,
        reply: Result<AuditReply, AuditError>,
    ) {
        match (wait, reply) {
            (AuditWait::Event, _) => {}
            (AuditWait::Open, Ok(AuditReply::OpenMailbox(authorised))) => {
                match MailboxKeys::in_directory(context.directory, *authorised.object()) {
                    Some(keys) => context
                        .outputs
                        .push_back(Output::Key(KeyRequest::OpenMailbox { authorised, keys })),
                    None => self.menu_input(now, context, menu::Input::Opened(None)),
                }
            }
            (AuditWait::Listen(ticket), Ok(AuditReply::Listen(authorised))) => {
                self.authorised(context, ticket, authorised);
            }
            (AuditWait::Save(kind), Ok(AuditReply::Save(authorised))) => {
                let (wait, change) = match kind {
                    SaveKind::Heard => (IndexWait::Unawaited, StateChange::heard(authorised)),
                    SaveKind::Saved => (IndexWait::Saved, StateChange::saved(authorised)),
                };
                self.index_waits.push_back(wait);
                context.outputs.push_back(Output::Index(IndexRequest::ChangeState(change)));
            }
            (AuditWait::Delete(index), Ok(AuditReply::Delete(authorised))) => {
                self.marks.insert(index, authorised);
                self.menu_input(now, context, menu::Input::Done(true));
            }
            (AuditWait::Undelete(index), Ok(AuditReply::Undelete(_))) => {
                // Marked in this call, so there is nothing to undo in the index.
                self.marks.remove(&index);
                self.menu_input(now, context, menu::Input::Done(true));
            }
            // Not written down, so not done; and nothing more can be.
            (
                AuditWait::Open
                | AuditWait::Listen(_)
                | AuditWait::Save(_)
                | AuditWait::Delete(_)
                | AuditWait::Undelete(_),
                _,
            ) => self.menu_input(now, context, menu::Input::Unavailable),
        }
    }

    fn authorised(
        &mut self,
        context: &mut Context<'_>,
        ticket: Ticket,
        authorised: Authorised<Listen>,
    ) {
        let Some(listening) = self.listening.as_mut().filter(|l| l.ticket == ticket) else {
            return;
        };
        let Some(row) = self.rows.get(listening.index) else { return };
        listening.stage = Stage::Manifest(authorised);
        self.manifests.push_back(ticket);
        context.outputs.push_back(Output::AuditedManifest { message: row.id, seq: row.audit_seq });
    }

    pub(super) fn manifest(&mut self, now: Now, context: &mut Context<'_>, audited: Option<Hash>) {
        let asked = self.manifests.pop_front();
        let Some(mut listening) = self.listening.take() else { return };
        if asked != Some(listening.ticket) {
            self.listening = Some(listening);
            return;
        }
        let opened = match (listening.stage, self.rows.get(listening.index), &self.open) {
            (Stage::Manifest(authorised), Some(row), Some(open)) => {
                open.open(authorised, row, context.directory, audited).ok()
            }
            _ => None,
        };
        match opened {
            Some(player) => {
                self.reads.restart();
                self.reads.ask(context, &player);
                listening.stage = Stage::Verifying(player);
                self.listening = Some(listening);
            }
            None => self.broken(now, context, listening.ticket, listening.index),
        }
    }

    /// A piece of an object has been read.
    pub(super) fn object(
        &mut self,
        now: Now,
        context: &mut Context<'_>,
        reply: Result<Bytes, ObjectsError>,
    ) {
        if !self.reads.answered() {
            return;
        }
        let Some(mut listening) = self.listening.take() else { return };
        let (ticket, index) = (listening.ticket, listening.index);
        let Ok(bytes) = reply else { return self.broken(now, context, ticket, index) };
        match listening.stage {
            Stage::Verifying(mut player) => {
                if player.push(&bytes).is_err() {
                    return self.broken(now, context, ticket, index);
                }
                if player.verified() {
                    listening.stage = Stage::Whole(player);
                    self.listening = Some(listening);
                    self.menu_input(now, context, menu::Input::Ready(ticket));
                } else {
                    self.reads.ask(context, &player);
                    listening.stage = Stage::Verifying(player);
                    self.listening = Some(listening);
                }
            }
            Stage::Playing(mut playback) => {
                let pushed = playback.push(&bytes);
                listening.stage = Stage::Playing(playback);
                self.listening = Some(listening);
                match pushed {
                    Ok(()) => self.feed(now, context),
                    Err(Broken) => self.broken(now, context, ticket, index),
                }
            }
            stage => {
                listening.stage = stage;
                self.listening = Some(listening);
            }
        }
    }

    fn play(&mut self, now: Now, context: &mut Context<'_>, ticket: Ticket) {
        let Some(mut listening) = self.listening.take_if(|l| l.ticket == ticket) else { return };
        if let Stage::Whole(player) = listening.stage {
            listening.stage = Stage::Playing(Box::new(Playback::new(player)));
            self.listening = Some(listening);
            self.playback(now, context, |playback, context, reads| {
                playback.go_to(now, context, reads, 0)
            });
        }
    }

    fn feed(&mut self, now: Now, context: &mut Context<'_>) {
        self.playback(now, context, |playback, context, reads| playback.feed(now, context, reads));
    }

    /// Does something with what is being heard, and acts on how that went.
    fn playback(
        &mut self,
        now: Now,
        context: &mut Context<'_>,
        act: impl FnOnce(&mut Playback, &mut Context<'_>, &mut Reads) -> Result<Fed, Broken>,
    ) {
        let Some(listening) = &mut self.listening else { return };
        let (ticket, index) = (listening.ticket, listening.index);
        let Stage::Playing(playback) = &mut listening.stage else { return };
        match act(playback, context, &mut self.reads) {
            Ok(Fed::On) => {}
            Ok(Fed::Over) => {
                self.stop_playing(now, context);
                self.menu_input(now, context, menu::Input::MessageFinished(ticket));
            }
            Err(Broken) => self.broken(now, context, ticket, index),
        }
    }

    /// The message is not what was recorded, or not there: said, written down, passed over.
    fn broken(&mut self, now: Now, context: &mut Context<'_>, ticket: Ticket, index: usize) {
        self.stop_playing(now, context);
        self.message_event(context, EventName::IntegrityFailure, Outcome::Failed, index, None);
        self.menu_input(now, context, menu::Input::CannotPlay(ticket));
    }

    fn stop_playing(&mut self, now: Now, context: &mut Context<'_>) {
        self.reads.restart();
        if let Some(Listening { index, stage: Stage::Playing(playback), .. }) =
            self.listening.take()
        {
            let heard = playback.position_ms(context);
            context.media.stop(now.monotonic);
            self.message_event(context, EventName::MsgPlayStop, Outcome::Done, index, Some(heard));
        }
    }

    pub(super) fn key(
        &mut self,
        now: Now,
        context: &mut Context<'_>,
        reply: Result<KeyReply, KeyError>,
    ) {
        match reply {
            Ok(KeyReply::Mailbox(open)) => {
                let states = [MessageState::New, MessageState::Heard, MessageState::Quiet];
                let listing = Listing::opened(&open, states);
                self.open = Some(open);
                self.index_waits.push_back(IndexWait::Messages);
                context.outputs.push_back(Output::Index(IndexRequest::Messages(listing)));
            }
            Ok(_) | Err(_) => {
                self.event(context, EventName::KeyUnwrapDenied, Outcome::Failed);
                self.menu_input(now, context, menu::Input::Opened(None));
            }
        }
    }

    pub(super) fn index(
        &mut self,
        now: Now,
        context: &mut Context<'_>,
        reply: Result<IndexReply, IndexError>,
    ) {
        match (self.index_waits.pop_front(), reply) {
            (Some(IndexWait::Messages), Ok(IndexReply::Messages(rows))) => {
                self.listed(now, context, rows);
            }
            (Some(IndexWait::Messages), _) => {
                self.menu_input(now, context, menu::Input::Unavailable);
            }
            (Some(IndexWait::Saved), Ok(_)) => {
                self.menu_input(now, context, menu::Input::Done(true));
            }
            (Some(IndexWait::Saved), Err(_)) => {
                self.lost_changes += 1;
                self.menu_input(now, context, menu::Input::Done(false));
            }
            (Some(IndexWait::Unawaited), Err(_)) => self.lost_changes += 1,
            (Some(IndexWait::Unawaited), Ok(_)) | (None, _) => {}
        }
    }

    /// New, then heard, then quiet; each oldest first, as the index gives them.
    fn listed(&mut self, now: Now, context: &mut Context<'_>, mut rows: Vec<MessageRow>) {
        rows.retain(|row| entry_state(row.state).is_some());
        rows.sort_by_key(|row| (entry_state(row.state), row.received_at, row.id));
        let zone = self
            .mailbox
            .and_then(|mailbox| context.directory.mailbox(mailbox))
            .and_then(|mailbox| TimeZone::get(&mailbox.time_zone).ok())
            .unwrap_or(TimeZone::UTC);
        let entries = rows
            .iter()
            .filter_map(|row| {
                Some(Entry {
                    state: entry_state(row.state)?,
                    received: row.received_at.to_zoned(zone.clone()),
                    length: row.duration(),
                    truncated: row.truncated,
                    deleted: false,
                })
            })
            .collect();
        let nearly_full = rows.len() >= MAILBOX_NEARLY_FULL;
        self.rows = rows;
        let opened = Opened { entries, now: now.utc.to_zoned(zone), nearly_full };
        self.menu_input(now, context, menu::Input::Opened(Some(opened)));
    }

    /// After the call: what was asked for is answered, marks are applied, the end is written down. True when nothing
    /// is left to wait for.
    pub(super) fn settle(&mut self, now: Now, context: &mut Context<'_>) -> bool {
        loop {
            let waiting = !context.audits.is_empty() || !self.index_waits.is_empty();
            match self.settling {
                Settling::Answers => {
                    self.stop_playing(now, context);
                    // Events that were written on the way out are waited for with the rest.
                    let waiting = !context.audits.is_empty() || !self.index_waits.is_empty();
                    if waiting {
                        return false;
                    }
                    for (_, authorised) in std::mem::take(&mut self.marks) {
                        self.index_waits.push_back(IndexWait::Unawaited);
                        let change = StateChange::deleted(authorised);
                        context.outputs.push_back(Output::Index(IndexRequest::ChangeState(change)));
                    }
                    if self.open.take().is_some() {
                        self.session_end(context);
                    }
                    self.settling = Settling::Marks;
                }
                Settling::Marks if waiting => return false,
                Settling::Marks => self.settling = Settling::Done,
                Settling::Done => return true,
            }
        }
    }

    /// Nobody answered for a minute: what was not applied is told to whoever reads the log.
    pub(super) fn give_up(&mut self) {
        self.lost_changes += self.marks.len() + self.index_waits.len();
        self.settling = Settling::Done;
    }

    fn session_end(&mut self, context: &mut Context<'_>) {
        let reason = self.over.map_or("unknown", EndReason::as_str);
        let mut event = self.session_event(context, EventName::SessionEnd);
        event.detail = event.detail.with("reason", reason);
        context.audit(event);
    }

    fn event(&mut self, context: &mut Context<'_>, name: EventName, outcome: Outcome) {
        let mut event = self.session_event(context, name);
        event.outcome = outcome;
        context.audit(event);
    }

    fn message_event(
        &mut self,
        context: &mut Context<'_>,
        name: EventName,
        outcome: Outcome,
        index: usize,
        heard_ms: Option<u64>,
    ) {
        let mut event = self.session_event(context, name);
        event.outcome = outcome;
        event.message = self.rows.get(index).map(|row| row.id);
        if let Some(heard_ms) = heard_ms {
            event.detail = event.detail.with("heard_ms", heard_ms);
        }
        context.audit(event);
    }

    /// Who could not prove to be a person stays a stranger in the log, with whom they tried to be beside it.
    fn session_event(&self, context: &Context<'_>, name: EventName) -> AuditEvent {
        let who = self.person.map_or(Who::Stranger, |(person, _)| Who::Person(person));
        let mut event = AuditEvent::new(name, who);
        if self.person.is_none()
            && let Some(tried) = self.candidate
        {
            event.detail = event.detail.with("person", tried.as_uuid());
        }
        event.session = self.person.map(|(_, session)| session);
        event.device = self.source.map(|source| source.device);
        event.mailbox = self.mailbox;
        event.account = self
            .source
            .and_then(|source| context.directory.device(source.device))
            .map(|device| device.account);
        event.call = Some(context.call);
        event
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

fn entry_state(state: MessageState) -> Option<EntryState> {
    match state {
        MessageState::New => Some(EntryState::New),
        MessageState::Heard => Some(EntryState::Heard),
        MessageState::Quiet => Some(EntryState::Quiet),
        MessageState::Deleted => None,
    }
}
