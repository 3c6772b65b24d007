//! Leaving a message: greeting, notice, beep, recording, and "saved" once it is.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fmt;
use std::time::Instant;

use crate::addressing::Cause;
use crate::end::EndReason;
use crate::limits::FAREWELL_MAX;
use crate::prompt::{self, Utterance};
use crate::speech;
use crate::tui::{OVER, say};

/// What happens to a deposit. Its `Debug` hides keys: somebody may key a PIN here.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// The caller acknowledged the answer: media may flow.
    Confirmed,
    /// A key.
    Digit(char),
    /// All that was to be said has been said.
    PromptFinished,
    /// The recorder stopped by itself.
    RecordingEnded(Stop),
    /// The message is saved: its last record is synced.
    Saved,
    /// Nothing was recorded: no packet, or digital silence alone.
    Dropped,
    /// The message could not be saved.
    SaveFailed,
    /// The call is over on the caller's side.
    HungUp(EndReason),
    /// The server stops.
    Shutdown,
    /// Time has passed.
    Timeout,
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Input::Confirmed => f.write_str("Confirmed"),
            Input::Digit(_) => f.write_str("Digit(…)"),
            Input::PromptFinished => f.write_str("PromptFinished"),
            Input::RecordingEnded(stop) => f.debug_tuple("RecordingEnded").field(stop).finish(),
            Input::Saved => f.write_str("Saved"),
            Input::Dropped => f.write_str("Dropped"),
            Input::SaveFailed => f.write_str("SaveFailed"),
            Input::HungUp(reason) => f.debug_tuple("HungUp").field(reason).finish(),
            Input::Shutdown => f.write_str("Shutdown"),
            Input::Timeout => f.write_str("Timeout"),
        }
    }
}

/// Why the recorder stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The longest length is reached.
    MaxLength,
    /// Ten seconds without voice.
    Silence,
    /// On hold for too long.
    HeldTooLong,
    /// Neither RTP nor RTCP for too long.
    MediaDead,
}

/// How a message ended, as its last record has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// `#`.
    Hash,
    /// The caller hung up, or the connection was lost.
    HungUp,
    /// The recorder stopped.
    Stopped(Stop),
    /// The server stopped.
    Shutdown,
}

/// What a deposit asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Say this after what is being said.
    Say(Vec<Utterance>),
    /// Say no more.
    StopSpeaking,
    /// Record from now on.
    Record,
    /// Stop recording and save; [`Input::Saved`], `Dropped` or `SaveFailed` answers.
    Commit(Ending),
    /// The dialogue is over: send BYE unless the caller did.
    HangUp(EndReason),
}

/// What a greeting depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Greeting {
    /// The mailbox's number, spoken in the default greeting.
    pub mailbox: String,
    /// Whether the `hipaa` notice follows it.
    pub notice: bool,
    /// Why the person did not take the call, where that is known.
    pub cause: Option<Cause>,
}

/// The dialogue with a caller.
#[derive(Debug)]
pub struct Deposit {
    state: State,
    greeting: Greeting,
    outputs: VecDeque<Output>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Unconfirmed,
    Greeting,
    Beep,
    Recording,
    /// A hang-up does not leave this state: it only says how to go on.
    Committing(After),
    Farewell {
        reason: EndReason,
        until: Instant,
    },
    Over,
}

/// What follows a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    /// The caller is there and hears that it is saved.
    Announce,
    /// Nobody hears it any more.
    End(EndReason),
}

impl Deposit {
    /// A dialogue that waits for the caller's ACK.
    pub fn new(greeting: Greeting) -> Self {
        Self { state: State::Unconfirmed, greeting, outputs: VecDeque::new() }
    }

    /// Takes what happened.
    pub fn handle_input(&mut self, now: Instant, input: Input) {
        self.state = match self.state {
            State::Unconfirmed => self.unconfirmed(input),
            State::Greeting => self.greeting(input),
            State::Beep => self.beep(input),
            State::Recording => self.recording(input),
            State::Committing(after) => self.committing(now, after, input),
            State::Farewell { reason, until } => self.farewell(now, reason, until, input),
            State::Over => State::Over,
        };
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to come back with [`Input::Timeout`].
    pub fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Farewell { until, .. } => Some(until),
            _ => None,
        }
    }

    /// Whether the caller has been heard at all: a hang-up before leaves nothing to save.
    pub fn is_recording(&self) -> bool {
        matches!(self.state, State::Recording)
    }

    /// The state's name, for transcripts.
    pub fn state(&self) -> &'static str {
        match self.state {
            State::Unconfirmed => "Unconfirmed",
            State::Greeting => "Greeting",
            State::Beep => "Beep",
            State::Recording => "Recording",
            State::Committing(_) => "Committing",
            State::Farewell { .. } => "Farewell",
            State::Over => OVER,
        }
    }

    fn unconfirmed(&mut self, input: Input) -> State {
        match input {
            Input::Confirmed => {
                let mut words = vec![prompt::GREETING_DEFAULT];
                words.extend(speech::digits(&self.greeting.mailbox));
                words.push(match self.greeting.cause {
                    Some(Cause::Busy) => prompt::GREETING_BUSY,
                    Some(Cause::NoAnswer) => prompt::GREETING_NO_ANSWER,
                    Some(Cause::Unconditional) => prompt::GREETING_UNCONDITIONAL,
                    Some(Cause::Unavailable) | None => prompt::GREETING_UNAVAILABLE,
                });
                if self.greeting.notice {
                    words.push(prompt::NOTICE_HIPAA);
                }
                words.push(prompt::LEAVE_MESSAGE_AFTER_BEEP);
                self.outputs.push_back(Output::Say(say(words)));
                State::Greeting
            }
            Input::HungUp(reason) => self.end(reason),
            Input::Shutdown => self.end(EndReason::Shutdown),
            _ => State::Unconfirmed,
        }
    }

    fn greeting(&mut self, input: Input) -> State {
        match input {
            Input::PromptFinished => self.sound_beep(),
            Input::Digit('#') => {
                self.outputs.push_back(Output::StopSpeaking);
                self.sound_beep()
            }
            _ => self.before_recording(input, State::Greeting),
        }
    }

    fn beep(&mut self, input: Input) -> State {
        match input {
            Input::PromptFinished => {
                self.outputs.push_back(Output::Record);
                State::Recording
            }
            _ => self.before_recording(input, State::Beep),
        }
    }

    fn before_recording(&mut self, input: Input, stay: State) -> State {
        match input {
            Input::HungUp(reason) => self.end(reason),
            Input::Shutdown => self.end(EndReason::Shutdown),
            Input::RecordingEnded(Stop::HeldTooLong) => self.end(EndReason::HeldTooLong),
            Input::RecordingEnded(Stop::MediaDead) => self.end(EndReason::MediaDead),
            _ => stay,
        }
    }

    fn recording(&mut self, input: Input) -> State {
        match input {
            Input::Digit('#') => self.commit(Ending::Hash, After::Announce),
            Input::RecordingEnded(stop) => {
                let after = match stop {
                    Stop::MaxLength | Stop::Silence => After::Announce,
                    Stop::HeldTooLong => After::End(EndReason::HeldTooLong),
                    Stop::MediaDead => After::End(EndReason::MediaDead),
                };
                self.commit(Ending::Stopped(stop), after)
            }
            Input::HungUp(reason) => self.commit(Ending::HungUp, After::End(reason)),
            Input::Shutdown => self.commit(Ending::Shutdown, After::End(EndReason::Shutdown)),
            // The spool failed while the caller was speaking: what is synced is delivered by recovery.
            Input::SaveFailed => self.commit(Ending::Shutdown, After::Announce),
            _ => State::Recording,
        }
    }

    fn committing(&mut self, now: Instant, after: After, input: Input) -> State {
        match (input, after) {
            (Input::Saved, After::Announce) => {
                self.say_farewell(now, EndReason::Completed, prompt::SAVED)
            }
            (Input::Dropped, After::Announce) => {
                self.say_farewell(now, EndReason::NothingRecorded, prompt::GOODBYE)
            }
            (Input::SaveFailed, After::Announce) => {
                self.say_farewell(now, EndReason::SaveFailed, prompt::SYSTEM_UNAVAILABLE)
            }
            (Input::Saved, After::End(reason)) => self.end(reason),
            (Input::Dropped, After::End(_)) => self.end(EndReason::NothingRecorded),
            (Input::SaveFailed, After::End(_)) => self.end(EndReason::SaveFailed),
            (Input::HungUp(reason), After::Announce) => State::Committing(After::End(reason)),
            (Input::RecordingEnded(Stop::HeldTooLong), After::Announce) => {
                State::Committing(After::End(EndReason::HeldTooLong))
            }
            (Input::RecordingEnded(Stop::MediaDead), After::Announce) => {
                State::Committing(After::End(EndReason::MediaDead))
            }
            (Input::Shutdown, After::Announce) => {
                State::Committing(After::End(EndReason::Shutdown))
            }
            _ => State::Committing(after),
        }
    }

    fn farewell(&mut self, now: Instant, reason: EndReason, until: Instant, input: Input) -> State {
        match input {
            Input::PromptFinished | Input::Shutdown | Input::HungUp(_) => self.end(reason),
            Input::Timeout if now >= until => self.end(reason),
            Input::RecordingEnded(Stop::HeldTooLong | Stop::MediaDead) => self.end(reason),
            _ => State::Farewell { reason, until },
        }
    }

    fn sound_beep(&mut self) -> State {
        self.outputs.push_back(Output::Say(vec![Utterance::Beep]));
        State::Beep
    }

    fn commit(&mut self, ending: Ending, after: After) -> State {
        self.outputs.push_back(Output::Commit(ending));
        State::Committing(after)
    }

    fn say_farewell(&mut self, now: Instant, reason: EndReason, word: prompt::PromptId) -> State {
        self.outputs.push_back(Output::Say(say([word])));
        State::Farewell { reason, until: now + FAREWELL_MAX }
    }

    fn end(&mut self, reason: EndReason) -> State {
        self.outputs.push_back(Output::HangUp(reason));
        State::Over
    }
}
