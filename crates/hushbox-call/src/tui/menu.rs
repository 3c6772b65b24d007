//! The menu: one list of messages, on the keys that Asterisk's users know.

mod keys;
mod playing;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use jiff::Zoned;

use crate::end::EndReason;
use crate::limits::{FAREWELL_MAX, LOG_OFF_FAREWELL_MAX, MAILBOX_CHOICES_MAX, SESSION_MAX};
use crate::prompt::{self, PromptId, Utterance};
use crate::speech;
use crate::tui::digits::Keys;
use crate::tui::idle::{Expired, Idle};
use crate::tui::{OVER, say};

/// A message as the menu knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it stands in the mailbox.
    pub state: EntryState,
    /// When its recording started, in the mailbox's time zone.
    pub received: Zoned,
    /// How long it is.
    pub length: Duration,
    /// Whether its end was lost.
    pub truncated: bool,
    /// Whether it is marked for deletion at the call's end.
    pub deleted: bool,
}

/// The states that the list shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EntryState {
    /// Nobody has heard it.
    New,
    /// Played to its end, saved or deleted.
    Heard,
    /// Without voice: in no count, after all others.
    Quiet,
}

/// The messages of a mailbox, when it is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// New, heard, quiet; each oldest first.
    pub entries: Vec<Entry>,
    /// Now, in the mailbox's time zone.
    pub now: Zoned,
    /// Whether the owner should be warned that the mailbox is nearly full.
    pub nearly_full: bool,
}

/// Names one listening to one message: answers to an earlier one are stale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(u64);

/// What happens to a session. Its `Debug` hides keys: what is keyed ahead may be a PIN that came too late.
#[derive(Clone, PartialEq, Eq)]
pub enum Input {
    /// A key.
    Digit(char),
    /// All that was to be said has been said.
    PromptFinished,
    /// The answer to [`Output::Open`]; `None` if it can't be opened.
    Opened(Option<Opened>),
    /// The message of this ticket may be played and is whole.
    Ready(Ticket),
    /// It can't be played: not permitted, not whole, not there.
    CannotPlay(Ticket),
    /// It has been played to its end.
    MessageFinished(Ticket),
    /// The answer to [`Output::Save`], [`Output::Delete`] or [`Output::Undelete`]: whether it was done.
    Done(bool),
    /// Nothing can be written down any more (audit, index): nothing more may happen.
    Unavailable,
    /// The call is over on the caller's side, or the person's rights are.
    HungUp(EndReason),
    /// The person's rights ended: say so no more, end.
    Revoked,
    /// Time has passed.
    Timeout,
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Input::Digit(_) => f.write_str("Digit(…)"),
            Input::PromptFinished => f.write_str("PromptFinished"),
            Input::Opened(opened) => f.debug_tuple("Opened").field(opened).finish(),
            Input::Ready(ticket) => f.debug_tuple("Ready").field(ticket).finish(),
            Input::CannotPlay(ticket) => f.debug_tuple("CannotPlay").field(ticket).finish(),
            Input::MessageFinished(ticket) => {
                f.debug_tuple("MessageFinished").field(ticket).finish()
            }
            Input::Done(done) => f.debug_tuple("Done").field(done).finish(),
            Input::Unavailable => f.write_str("Unavailable"),
            Input::HungUp(reason) => f.debug_tuple("HungUp").field(reason).finish(),
            Input::Revoked => f.write_str("Revoked"),
            Input::Timeout => f.write_str("Timeout"),
        }
    }
}

/// What a session asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Say this after what is being said.
    Say(Vec<Utterance>),
    /// Say no more.
    StopSpeaking,
    /// Open the mailbox at this place of the choice.
    Open(usize),
    /// Get permission, write it down, open and verify the message at this place of the list.
    Listen(Ticket, usize),
    /// Play it from its start.
    Play(Ticket),
    /// Play it no more.
    StopPlaying,
    /// Go on somewhere else in it.
    Skip(Skip),
    /// Play on later.
    Pause,
    /// Play on.
    Resume,
    /// It was played to its end: it is heard.
    Heard(usize),
    /// Save it.
    Save(usize),
    /// Mark it.
    Delete(usize),
    /// Unmark it.
    Undelete(usize),
    /// The dialogue is over: send BYE unless the caller did.
    HangUp(EndReason),
}

/// A jump in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skip {
    /// Three seconds on.
    Forward,
    /// Three seconds back.
    Back,
    /// To its start.
    Restart,
}

/// The dialogue after the log-in.
#[derive(Debug)]
pub struct Menu {
    state: State,
    mailboxes: Vec<String>,
    entries: Vec<Entry>,
    now_there: Option<Zoned>,
    current: Option<usize>,
    next_ticket: u64,
    speaking: bool,
    idle: Idle,
    ends_at: Instant,
    type_ahead: Keys,
    outputs: VecDeque<Output>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Choosing,
    Opening,
    Main,
    /// The message's place and time are said while it is opened.
    Announcing {
        ticket: Ticket,
        index: usize,
        said: bool,
        ready: bool,
    },
    Playing {
        ticket: Ticket,
        index: usize,
        paused: bool,
        until: Instant,
    },
    /// An act is being written down.
    Acting {
        act: Act,
        index: usize,
    },
    Farewell {
        reason: EndReason,
        until: Instant,
    },
    Over,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Save,
    Delete,
    Undelete,
}

impl Menu {
    /// A session for these mailboxes (their numbers), at most nine of them. `ends_at` is the latest end of the call;
    /// `type_ahead` what was keyed since the PIN.
    pub fn new(now: Instant, ends_at: Instant, mailboxes: Vec<String>, type_ahead: Keys) -> Self {
        let mut menu = Self {
            state: State::Choosing,
            mailboxes,
            entries: Vec::new(),
            now_there: None,
            current: None,
            next_ticket: 0,
            speaking: false,
            idle: Idle::new(now),
            ends_at: ends_at.min(now + SESSION_MAX),
            type_ahead,
            outputs: VecDeque::new(),
        };
        menu.mailboxes.truncate(MAILBOX_CHOICES_MAX);
        if menu.mailboxes.len() == 1 {
            menu.open(0);
        } else {
            menu.ask_for_mailbox();
            menu.take_type_ahead(now);
        }
        menu
    }

    /// Takes what happened.
    pub fn handle_input(&mut self, now: Instant, input: Input) {
        match input {
            Input::Digit(key) => {
                self.idle.activity(now);
                if self.type_ahead.is_empty() {
                    self.key(now, key);
                } else {
                    self.type_ahead.push(key);
                }
            }
            Input::PromptFinished => {
                self.speaking = false;
                self.idle.spoken(now);
                self.prompt_finished(now);
            }
            Input::Opened(opened) => self.opened(now, opened),
            Input::Ready(ticket) => self.ready(now, ticket),
            Input::CannotPlay(ticket) => self.cannot_play(now, ticket),
            Input::MessageFinished(ticket) => self.message_finished(now, ticket),
            Input::Done(done) => self.done(now, done),
            Input::Unavailable => self.unavailable(now),
            Input::Revoked => self.end(EndReason::Revoked),
            Input::HungUp(reason) => {
                let reason = match self.state {
                    State::Farewell { reason, .. } => reason,
                    _ => reason,
                };
                self.end(reason);
            }
            Input::Timeout => self.timeout(now),
        }
        self.take_type_ahead(now);
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to come back with [`Input::Timeout`].
    pub fn deadline(&self) -> Option<Instant> {
        let idle = self.idle.deadline(self.speaking);
        match self.state {
            State::Choosing | State::Main | State::Playing { paused: true, .. } => {
                Some(idle.min(self.ends_at))
            }
            State::Announcing { .. } => Some(self.idle.deadline(true).min(self.ends_at)),
            State::Playing { until, .. } => Some(until.min(self.ends_at)),
            State::Opening | State::Acting { .. } => Some(self.ends_at),
            State::Farewell { until, .. } => Some(until),
            State::Over => None,
        }
    }

    /// The messages, with what was done to them in this session.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The state's name, for transcripts.
    pub fn state(&self) -> &'static str {
        match self.state {
            State::Choosing => "Choosing",
            State::Opening => "Opening",
            State::Main => "Main",
            State::Announcing { .. } => "Announcing",
            State::Playing { paused: true, .. } => "Paused",
            State::Playing { .. } => "Playing",
            State::Acting { .. } => "Acting",
            State::Farewell { .. } => "Farewell",
            State::Over => OVER,
        }
    }

    fn ask_for_mailbox(&mut self) {
        let mut words = vec![prompt::CHOOSE_MAILBOX];
        for (i, number) in self.mailboxes.iter().enumerate() {
            words.push(prompt::FOR_MAILBOX);
            words.extend(speech::digits(number));
            words.push(prompt::PRESS);
            words.extend(speech::number(i as u32 + 1));
        }
        self.state = State::Choosing;
        self.say(words);
    }

    fn open(&mut self, choice: usize) {
        self.state = State::Opening;
        self.outputs.push_back(Output::Open(choice));
    }

    fn opened(&mut self, now: Instant, opened: Option<Opened>) {
        if self.state != State::Opening {
            return;
        }
        self.idle.activity(now);
        let Some(opened) = opened else {
            self.say_farewell(
                now,
                EndReason::Unavailable,
                &[prompt::CANNOT_BE_OPENED, prompt::GOODBYE],
            );
            return;
        };
        self.entries = opened.entries;
        self.now_there = Some(opened.now);
        self.state = State::Main;
        if self.type_ahead.is_empty() {
            let mut words = self.counts();
            if opened.nearly_full {
                words.push(prompt::MAILBOX_NEARLY_FULL);
            }
            words.push(prompt::MENU_MAIN);
            self.say(words);
        }
    }

    fn counts(&self) -> Vec<PromptId> {
        let count =
            |state| self.entries.iter().filter(|e| e.state == state && !e.deleted).count() as u32;
        speech::counts(count(EntryState::New), count(EntryState::Heard), count(EntryState::Quiet))
    }

    fn prompt_finished(&mut self, now: Instant) {
        match self.state {
            State::Announcing { ticket, index, ready, .. } => {
                if ready {
                    self.play(now, ticket, index);
                } else {
                    self.state = State::Announcing { ticket, index, said: true, ready };
                }
            }
            State::Farewell { reason, .. } => self.end(reason),
            _ => {}
        }
    }

    fn done(&mut self, now: Instant, done: bool) {
        let State::Acting { act, index } = self.state else {
            return;
        };
        self.idle.activity(now);
        self.state = State::Main;
        if !done {
            self.say([prompt::NOT_AVAILABLE]);
            return;
        }
        let entry = &mut self.entries[index];
        let word = match act {
            Act::Save => {
                entry.state = EntryState::Heard;
                prompt::SAVED_MESSAGE
            }
            Act::Delete => {
                entry.deleted = true;
                prompt::DELETED
            }
            Act::Undelete => {
                entry.deleted = false;
                prompt::UNDELETED
            }
        };
        self.say([word]);
    }

    fn unavailable(&mut self, now: Instant) {
        if matches!(self.state, State::Farewell { .. } | State::Over) {
            return;
        }
        self.stop();
        self.say_farewell(
            now,
            EndReason::Unavailable,
            &[prompt::SYSTEM_UNAVAILABLE, prompt::GOODBYE],
        );
    }

    fn timeout(&mut self, now: Instant) {
        if let State::Farewell { reason, until } = self.state {
            if now >= until {
                self.end(reason);
            }
            return;
        }
        if self.state == State::Over {
            return;
        }
        if now >= self.ends_at {
            self.log_off(now, EndReason::SessionLimit);
            return;
        }
        match self.state {
            // Longer than the message takes: the peer holds or hears nothing. That is no activity.
            State::Playing { paused: false, until, .. } if now >= until => {
                self.stop();
                self.state = State::Main;
                self.log_off(now, EndReason::Idle);
            }
            State::Playing { paused: false, .. } => {}
            State::Choosing | State::Main | State::Playing { .. } | State::Announcing { .. } => {
                let speaking = self.speaking || matches!(self.state, State::Announcing { .. });
                match self.idle.expired(now, speaking) {
                    Expired::No => {}
                    Expired::Remind => self.say([prompt::REMINDER]),
                    Expired::LogOff => self.log_off(now, EndReason::Idle),
                }
            }
            _ => {}
        }
    }

    /// Stops message and prompt alike.
    fn stop(&mut self) {
        if matches!(self.state, State::Announcing { .. } | State::Playing { .. }) {
            self.outputs.push_back(Output::StopPlaying);
        }
        self.barge_in();
    }

    fn barge_in(&mut self) {
        if self.speaking {
            self.speaking = false;
            self.outputs.push_back(Output::StopSpeaking);
        }
    }

    fn say<I: IntoIterator<Item = PromptId>>(&mut self, words: I) {
        self.speaking = true;
        self.outputs.push_back(Output::Say(say(words)));
    }

    /// Keys that were typed while something was awaited, one by one, as long as nothing is.
    fn take_type_ahead(&mut self, now: Instant) {
        while !matches!(self.state, State::Opening | State::Acting { .. }) {
            let Some(key) = self.type_ahead.pop() else {
                return;
            };
            self.key(now, key);
        }
    }

    fn log_off(&mut self, now: Instant, reason: EndReason) {
        self.stop();
        self.say([prompt::GOODBYE]);
        self.state = State::Farewell { reason, until: now + LOG_OFF_FAREWELL_MAX };
    }

    fn say_farewell(&mut self, now: Instant, reason: EndReason, words: &[PromptId]) {
        self.say(words.iter().copied());
        self.state = State::Farewell { reason, until: now + FAREWELL_MAX };
    }

    fn end(&mut self, reason: EndReason) {
        if self.state != State::Over {
            if matches!(self.state, State::Announcing { .. } | State::Playing { .. }) {
                self.outputs.push_back(Output::StopPlaying);
            }
            self.state = State::Over;
            self.outputs.push_back(Output::HangUp(reason));
        }
    }
}
