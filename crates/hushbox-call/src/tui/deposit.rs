//! Leaving a message: greeting, notice, beep, recording, and "saved" once it is.

use std::collections::VecDeque;
use std::time::Instant;

use crate::end::EndReason;
use crate::limits::FAREWELL_MAX;
use crate::prompt::{self, Utterance};
use crate::speech;
use crate::tui::say;

/// What happens to a deposit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
            State::Over => "Over",
        }
    }

    fn unconfirmed(&mut self, input: Input) -> State {
        match input {
            Input::Confirmed => {
                let mut words = vec![prompt::GREETING_DEFAULT];
                words.extend(speech::digits(&self.greeting.mailbox));
                words.push(prompt::GREETING_UNAVAILABLE);
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const SECOND: Duration = Duration::from_secs(1);

    fn t0() -> Instant {
        #[expect(clippy::disallowed_methods, reason = "any origin will do in a test")]
        Instant::now()
    }

    fn deposit(notice: bool) -> Deposit {
        Deposit::new(Greeting { mailbox: "1001".to_owned(), notice })
    }

    fn outputs(tui: &mut Deposit) -> Vec<Output> {
        std::iter::from_fn(|| tui.poll_output()).collect()
    }

    fn recording(now: Instant) -> Deposit {
        let mut tui = deposit(true);
        for input in [Input::Confirmed, Input::PromptFinished, Input::PromptFinished] {
            tui.handle_input(now, input);
        }
        assert_eq!(outputs(&mut tui).last(), Some(&Output::Record));
        tui
    }

    fn spoken(output: &Output) -> String {
        match output {
            Output::Say(words) => words
                .iter()
                .map(|w| match w {
                    Utterance::Prompt(id) => id.as_str(),
                    Utterance::Beep => "BEEP",
                    Utterance::Pause(_) => "PAUSE",
                })
                .collect::<Vec<_>>()
                .join(" "),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn a_hipaa_mailbox_speaks_its_notice_before_the_beep() {
        let mut tui = deposit(true);
        tui.handle_input(t0(), Input::Confirmed);
        assert_eq!(
            spoken(&outputs(&mut tui)[0]),
            "greeting-default 1 0 0 1 greeting-unavailable notice-hipaa leave-message-after-beep"
        );
        tui.handle_input(t0(), Input::PromptFinished);
        assert_eq!(spoken(&outputs(&mut tui)[0]), "BEEP");
    }

    #[test]
    fn a_standard_mailbox_speaks_no_notice() {
        let mut tui = deposit(false);
        tui.handle_input(t0(), Input::Confirmed);
        assert!(!spoken(&outputs(&mut tui)[0]).contains("notice"));
    }

    #[test]
    fn nothing_is_said_before_the_ack() {
        let mut tui = deposit(true);
        for input in [Input::Digit('#'), Input::PromptFinished, Input::Timeout] {
            tui.handle_input(t0(), input);
            assert_eq!(tui.poll_output(), None);
        }
    }

    #[test]
    fn hash_skips_the_greeting_but_not_the_beep() {
        let mut tui = deposit(true);
        tui.handle_input(t0(), Input::Confirmed);
        outputs(&mut tui);
        tui.handle_input(t0(), Input::Digit('#'));
        assert_eq!(outputs(&mut tui), [Output::StopSpeaking, Output::Say(vec![Utterance::Beep])]);
        tui.handle_input(t0(), Input::Digit('#'));
        assert_eq!(tui.poll_output(), None, "a second # does not cut the beep");
    }

    #[test]
    fn other_keys_disturb_neither_greeting_nor_recording() {
        let mut tui = recording(t0());
        for key in "0123456789*".chars() {
            tui.handle_input(t0(), Input::Digit(key));
        }
        assert_eq!(tui.poll_output(), None);
        assert!(tui.is_recording());
    }

    #[test]
    fn hanging_up_while_recording_still_stores_the_message() {
        let mut tui = recording(t0());
        tui.handle_input(t0() + 12 * SECOND, Input::HungUp(EndReason::CallerHungUp));
        assert_eq!(outputs(&mut tui), [Output::Commit(Ending::HungUp)]);
        tui.handle_input(t0() + 12 * SECOND, Input::Saved);
        assert_eq!(outputs(&mut tui), [Output::HangUp(EndReason::CallerHungUp)]);
    }

    #[test]
    fn saved_is_said_only_after_the_message_is_saved() {
        let mut tui = recording(t0());
        tui.handle_input(t0(), Input::Digit('#'));
        assert_eq!(outputs(&mut tui), [Output::Commit(Ending::Hash)]);
        tui.handle_input(t0() + SECOND, Input::Timeout);
        tui.handle_input(t0() + SECOND, Input::PromptFinished);
        assert_eq!(tui.poll_output(), None);
        tui.handle_input(t0() + SECOND, Input::Saved);
        assert_eq!(spoken(&outputs(&mut tui)[0]), "saved");
        tui.handle_input(t0() + 4 * SECOND, Input::PromptFinished);
        assert_eq!(outputs(&mut tui), [Output::HangUp(EndReason::Completed)]);
    }

    #[test]
    fn a_hang_up_while_committing_does_not_stop_the_commit() {
        let mut tui = recording(t0());
        tui.handle_input(t0(), Input::Digit('#'));
        outputs(&mut tui);
        tui.handle_input(t0(), Input::HungUp(EndReason::CallerHungUp));
        assert_eq!(tui.poll_output(), None);
        assert_eq!(tui.state(), "Committing");
        tui.handle_input(t0(), Input::Saved);
        assert_eq!(outputs(&mut tui), [Output::HangUp(EndReason::CallerHungUp)]);
    }

    #[test]
    fn hanging_up_before_the_beep_saves_nothing() {
        for steps in 0..3 {
            let mut tui = deposit(true);
            for input in [Input::Confirmed, Input::PromptFinished].into_iter().take(steps) {
                tui.handle_input(t0(), input);
            }
            outputs(&mut tui);
            tui.handle_input(t0(), Input::HungUp(EndReason::CallerHungUp));
            assert_eq!(outputs(&mut tui), [Output::HangUp(EndReason::CallerHungUp)]);
        }
    }

    #[test]
    fn a_message_without_sound_is_not_called_saved() {
        let mut tui = recording(t0());
        tui.handle_input(t0(), Input::RecordingEnded(Stop::Silence));
        tui.handle_input(t0(), Input::Dropped);
        let said = outputs(&mut tui);
        assert_eq!(spoken(&said[1]), "goodbye");
        tui.handle_input(t0(), Input::PromptFinished);
        assert_eq!(outputs(&mut tui), [Output::HangUp(EndReason::NothingRecorded)]);
    }

    #[test]
    fn a_failed_save_is_not_called_saved() {
        let mut tui = recording(t0());
        tui.handle_input(t0(), Input::Digit('#'));
        tui.handle_input(t0(), Input::SaveFailed);
        assert_eq!(spoken(&outputs(&mut tui)[1]), "system-unavailable");
    }

    #[test]
    fn hold_and_dead_media_save_and_end_without_a_word() {
        for (stop, reason) in
            [(Stop::HeldTooLong, EndReason::HeldTooLong), (Stop::MediaDead, EndReason::MediaDead)]
        {
            let mut tui = recording(t0());
            tui.handle_input(t0(), Input::RecordingEnded(stop));
            tui.handle_input(t0(), Input::Saved);
            assert_eq!(
                outputs(&mut tui),
                [Output::Commit(Ending::Stopped(stop)), Output::HangUp(reason)]
            );
        }
    }

    #[test]
    fn a_stopping_server_saves_what_is_being_recorded() {
        let mut tui = recording(t0());
        tui.handle_input(t0(), Input::Shutdown);
        tui.handle_input(t0(), Input::Saved);
        assert_eq!(
            outputs(&mut tui),
            [Output::Commit(Ending::Shutdown), Output::HangUp(EndReason::Shutdown)]
        );
    }

    #[test]
    fn a_farewell_that_nobody_plays_ends_by_itself() {
        let start = t0();
        let mut tui = recording(start);
        tui.handle_input(start, Input::Digit('#'));
        tui.handle_input(start, Input::Saved);
        outputs(&mut tui);
        let until = tui.deadline().unwrap();
        tui.handle_input(until - SECOND, Input::Timeout);
        assert_eq!(tui.poll_output(), None);
        tui.handle_input(until, Input::Timeout);
        assert_eq!(outputs(&mut tui), [Output::HangUp(EndReason::Completed)]);
    }
}
