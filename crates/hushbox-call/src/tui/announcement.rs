//! A call that hears one sentence and ends: there is nothing for it here.

use std::collections::VecDeque;
use std::time::Instant;

use crate::end::EndReason;
use crate::limits::FAREWELL_MAX;
use crate::prompt::{self, PromptId, Utterance};
use crate::tui::{OVER, say};

/// What happens to an announcement. Keys mean nothing here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// The caller acknowledged the answer: media may flow.
    Confirmed,
    /// All that was to be said has been said.
    PromptFinished,
    /// The call is over on the caller's side, or its media is.
    HungUp(EndReason),
    /// The server stops.
    Shutdown,
    /// Time has passed.
    Timeout,
}

/// What an announcement asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Say this.
    Say(Vec<Utterance>),
    /// The dialogue is over: send BYE unless the caller did.
    HangUp(EndReason),
}

/// The dialogue.
#[derive(Debug)]
pub struct Announcement {
    sentence: PromptId,
    reason: EndReason,
    state: State,
    outputs: VecDeque<Output>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Unconfirmed,
    Farewell { until: Instant },
    Over,
}

impl Announcement {
    /// "Too many messages were left from this number."
    pub fn too_many_messages() -> Self {
        Self {
            sentence: prompt::TOO_MANY_MESSAGES,
            reason: EndReason::TooManyMessages,
            state: State::Unconfirmed,
            outputs: VecDeque::new(),
        }
    }

    /// Takes what happened.
    pub fn handle_input(&mut self, now: Instant, input: Input) {
        self.state = match (self.state, input) {
            (State::Unconfirmed, Input::Confirmed) => {
                self.outputs.push_back(Output::Say(say([self.sentence])));
                State::Farewell { until: now + FAREWELL_MAX }
            }
            (State::Unconfirmed, Input::HungUp(reason)) => self.end(reason),
            (State::Unconfirmed, Input::Shutdown) => self.end(EndReason::Shutdown),
            (
                State::Farewell { .. },
                Input::PromptFinished | Input::HungUp(_) | Input::Shutdown,
            ) => self.end(self.reason),
            (State::Farewell { until }, Input::Timeout) if now >= until => self.end(self.reason),
            (state, _) => state,
        };
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to come back with [`Input::Timeout`].
    pub fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Farewell { until } => Some(until),
            State::Unconfirmed | State::Over => None,
        }
    }

    /// The state's name, for transcripts.
    pub fn state(&self) -> &'static str {
        match self.state {
            State::Unconfirmed => "Unconfirmed",
            State::Farewell { .. } => "Farewell",
            State::Over => OVER,
        }
    }

    fn end(&mut self, reason: EndReason) -> State {
        self.outputs.push_back(Output::HangUp(reason));
        State::Over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn t0() -> Instant {
        #[expect(clippy::disallowed_methods, reason = "any origin will do in a test")]
        Instant::now()
    }

    fn after(inputs: &[Input]) -> Vec<Output> {
        let now = t0();
        let mut announcement = Announcement::too_many_messages();
        for input in inputs {
            announcement.handle_input(now, *input);
        }
        std::iter::from_fn(|| announcement.poll_output()).collect()
    }

    #[test]
    fn one_sentence_is_said_and_the_call_ends() {
        let said = Output::Say(say([prompt::TOO_MANY_MESSAGES]));
        let end = Output::HangUp(EndReason::TooManyMessages);
        assert_eq!(after(&[Input::Confirmed, Input::PromptFinished]), [said.clone(), end.clone()]);
        let hung_up = Input::HungUp(EndReason::CallerHungUp);
        assert_eq!(after(&[Input::Confirmed, hung_up]), [said, end]);
        assert_eq!(after(&[hung_up]), [Output::HangUp(EndReason::CallerHungUp)]);
        assert_eq!(after(&[Input::Shutdown]), [Output::HangUp(EndReason::Shutdown)]);
    }

    #[test]
    fn a_peer_that_holds_is_not_waited_for() {
        let now = t0();
        let mut announcement = Announcement::too_many_messages();
        announcement.handle_input(now, Input::Confirmed);
        let until = announcement.deadline().unwrap();
        announcement.handle_input(until, Input::Timeout);
        assert_eq!(announcement.state(), OVER);
        assert!(until <= now + FAREWELL_MAX);
    }
}
