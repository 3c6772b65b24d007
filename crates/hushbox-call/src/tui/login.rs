//! Logging in: number, PIN, three tries, answers at fixed moments.

mod interface;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fmt;
use std::time::Instant;

use crate::end::EndReason;
use crate::limits::{
    FAREWELL_MAX, LOG_OFF_FAREWELL_MAX, LOGIN_ANSWER_STEP, LOGIN_ANSWERS, LOGIN_TRIES,
    NUMBER_DIGITS_MAX, PIN_DIGITS_MAX, SESSION_MAX,
};
use crate::prompt::{self, PromptId};
use crate::tui::digits::{Digits, Keyed, Keys};
use crate::tui::idle::{Expired, Idle};
use crate::tui::{OVER, say};
pub use interface::{Input, LockAnswer, Output, PinAnswer, Refusal, Source};

/// The dialogue up to the log-in.
#[derive(Debug)]
pub struct Login {
    state: State,
    source: Source,
    failures: usize,
    /// Spoken before the next question.
    before: Option<PromptId>,
    speaking: bool,
    idle: Idle,
    ends_at: Instant,
    type_ahead: Keys,
    outputs: VecDeque<Output>,
}

enum State {
    Unconfirmed,
    Number(Digits),
    Checking {
        number: Option<String>,
    },
    Pin {
        number: Option<String>,
        digits: Digits,
    },
    Verifying {
        due: Instant,
        answer: Option<PinAnswer>,
        /// The PIN ended without `#`: one that follows belongs to it.
        swallow_hash: bool,
    },
    Farewell {
        reason: EndReason,
        until: Instant,
    },
    Over,
}

impl State {
    fn name(&self) -> &'static str {
        match self {
            State::Unconfirmed => "Unconfirmed",
            State::Number(_) => "Number",
            State::Checking { .. } => "Checking",
            State::Pin { .. } => "Pin",
            State::Verifying { .. } => "Verifying",
            State::Farewell { .. } => "Farewell",
            State::Over => OVER,
        }
    }
}

impl fmt::Debug for State {
    // The number or the PIN may be in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Login {
    /// A log-in that waits for the caller's ACK.
    pub fn new(now: Instant, source: Source) -> Self {
        Self {
            state: State::Unconfirmed,
            source,
            failures: 0,
            before: None,
            speaking: false,
            idle: Idle::new(now),
            ends_at: now + SESSION_MAX,
            type_ahead: Keys::new(),
            outputs: VecDeque::new(),
        }
    }

    /// Takes what happened.
    pub fn handle_input(&mut self, now: Instant, input: Input) {
        match input {
            Input::Digit(_) => self.idle.activity(now),
            Input::PromptFinished => {
                self.speaking = false;
                self.idle.spoken(now);
            }
            Input::HungUp(reason) => {
                let reason = match self.state {
                    State::Farewell { reason, .. } => reason,
                    _ => reason,
                };
                return self.end(reason);
            }
            _ => {}
        }
        self.state = match std::mem::replace(&mut self.state, State::Over) {
            State::Unconfirmed => self.unconfirmed(now, input),
            State::Number(digits) => self.number(now, digits, input),
            State::Checking { number } => self.checking(now, number, input),
            State::Pin { number, digits } => self.pin(now, number, digits, input),
            State::Verifying { due, answer, swallow_hash } => {
                self.verifying(now, due, answer, swallow_hash, input)
            }
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
        let idle = self.idle.deadline(self.speaking);
        match &self.state {
            State::Unconfirmed | State::Over => None,
            State::Checking { .. } => Some(self.ends_at),
            State::Number(digits) | State::Pin { digits, .. } => Some(
                digits
                    .deadline()
                    .filter(|_| !digits.is_empty())
                    .map_or(idle, |entry| entry.min(idle))
                    .min(self.ends_at),
            ),
            State::Verifying { due, .. } => Some(*due),
            State::Farewell { until, .. } => Some(*until),
        }
    }

    /// The state's name, for transcripts.
    pub fn state(&self) -> &'static str {
        self.state.name()
    }

    fn unconfirmed(&mut self, now: Instant, input: Input) -> State {
        if input != Input::Confirmed {
            return State::Unconfirmed;
        }
        self.idle.activity(now);
        self.ends_at = now + SESSION_MAX;
        match self.source {
            Source::Refused(Refusal::NotFromThisTelephone) => self.say_farewell(
                now,
                EndReason::NotFromThisTelephone,
                &[prompt::NOT_FROM_THIS_TELEPHONE],
            ),
            Source::Refused(Refusal::CannotBeOpened) => {
                self.say_farewell(now, EndReason::RecordOnly, &[prompt::CANNOT_BE_OPENED])
            }
            Source::OnePerson | Source::AnyPerson => self.begin_try(),
        }
    }

    /// A try starts with the number, or, where the device tells it, with the lock.
    fn begin_try(&mut self) -> State {
        if self.source == Source::AnyPerson {
            self.ask(prompt::ENTER_NUMBER);
            State::Number(Digits::new(NUMBER_DIGITS_MAX))
        } else {
            self.check_lock(None)
        }
    }

    fn number(&mut self, now: Instant, mut digits: Digits, input: Input) -> State {
        match input {
            Input::Digit(key) => {
                self.barge_in();
                match digits.push(now, key) {
                    Keyed::More => State::Number(digits),
                    Keyed::Hash if digits.is_empty() => {
                        self.ask_again(prompt::ENTER_NUMBER);
                        State::Number(digits)
                    }
                    Keyed::Hash | Keyed::Full => self.check_lock(Some(digits.as_str().to_owned())),
                }
            }
            Input::Timeout => match self.waited(now, &digits) {
                Waited::EntryEnded => self.check_lock(Some(digits.as_str().to_owned())),
                Waited::Remind => {
                    self.ask_again(prompt::ENTER_NUMBER);
                    State::Number(Digits::new(NUMBER_DIGITS_MAX))
                }
                Waited::LogOff(reason) => self.log_off(now, reason),
                Waited::Nothing => State::Number(digits),
            },
            _ => State::Number(digits),
        }
    }

    fn check_lock(&mut self, number: Option<String>) -> State {
        self.outputs.push_back(Output::CheckLock { number: number.clone() });
        State::Checking { number }
    }

    fn checking(&mut self, now: Instant, number: Option<String>, input: Input) -> State {
        match input {
            Input::Digit(key) => {
                self.type_ahead.push(key);
                State::Checking { number }
            }
            Input::Lock(LockAnswer::Free) => {
                self.idle.activity(now);
                if self.type_ahead.is_empty() {
                    self.ask(prompt::ENTER_PIN);
                }
                let mut state = State::Pin { number, digits: Digits::new(PIN_DIGITS_MAX) };
                // The PIN may have been keyed while the lock was looked up.
                while let Some(key) = self.type_ahead.pop() {
                    let State::Pin { number, digits } = state else { break };
                    state = self.pin(now, number, digits, Input::Digit(key));
                    if !matches!(state, State::Pin { .. }) {
                        return self.swallow(state);
                    }
                }
                state
            }
            Input::Lock(LockAnswer::Locked) => {
                self.say_farewell(now, EndReason::Locked, &[prompt::LOCKED, prompt::GOODBYE])
            }
            Input::Lock(LockAnswer::Unavailable) => {
                self.say_farewell(now, EndReason::Unavailable, &[prompt::SYSTEM_UNAVAILABLE])
            }
            Input::Timeout if now >= self.ends_at => self.log_off(now, EndReason::SessionLimit),
            _ => State::Checking { number },
        }
    }

    fn pin(
        &mut self,
        now: Instant,
        number: Option<String>,
        mut digits: Digits,
        input: Input,
    ) -> State {
        match input {
            // `*` asks for another person: not from a telephone that is bound to one.
            Input::Digit('*') => {
                self.barge_in();
                match self.source {
                    Source::AnyPerson => self.begin_try(),
                    _ => {
                        if digits.is_empty() {
                            self.before = Some(prompt::NOT_FROM_THIS_TELEPHONE);
                        }
                        self.ask(prompt::ENTER_PIN);
                        State::Pin { number, digits: Digits::new(PIN_DIGITS_MAX) }
                    }
                }
            }
            Input::Digit(key) => {
                self.barge_in();
                match digits.push(now, key) {
                    Keyed::More => State::Pin { number, digits },
                    Keyed::Hash if digits.is_empty() => {
                        self.ask_again(prompt::ENTER_PIN);
                        State::Pin { number, digits }
                    }
                    Keyed::Hash => self.try_pin(now, number, digits, false),
                    Keyed::Full => self.try_pin(now, number, digits, true),
                }
            }
            Input::Timeout => match self.waited(now, &digits) {
                Waited::EntryEnded => self.try_pin(now, number, digits, true),
                Waited::Remind => {
                    self.ask_again(prompt::ENTER_PIN);
                    State::Pin { number, digits: Digits::new(PIN_DIGITS_MAX) }
                }
                Waited::LogOff(reason) => self.log_off(now, reason),
                Waited::Nothing => State::Pin { number, digits },
            },
            _ => State::Pin { number, digits },
        }
    }

    fn try_pin(
        &mut self,
        now: Instant,
        number: Option<String>,
        pin: Digits,
        swallow_hash: bool,
    ) -> State {
        self.outputs.push_back(Output::TryPin { number, pin });
        State::Verifying {
            due: now + LOGIN_ANSWERS[self.failures.min(LOGIN_TRIES - 1)],
            answer: None,
            swallow_hash,
        }
    }

    fn verifying(
        &mut self,
        now: Instant,
        mut due: Instant,
        mut answer: Option<PinAnswer>,
        mut swallow_hash: bool,
        input: Input,
    ) -> State {
        match input {
            Input::Digit('#') if swallow_hash && self.type_ahead.is_empty() => {
                swallow_hash = false;
            }
            Input::Digit(key) => self.type_ahead.push(key),
            Input::Pin(came) => answer = Some(came),
            _ => {}
        }
        // Known and unknown, right and wrong: all are answered at the same moment.
        if now >= due {
            match answer {
                Some(answer) if input == Input::Timeout => return self.answer(now, answer),
                _ => {
                    while due <= now {
                        due += LOGIN_ANSWER_STEP;
                    }
                }
            }
        }
        State::Verifying { due, answer, swallow_hash }
    }

    fn answer(&mut self, now: Instant, answer: PinAnswer) -> State {
        let type_ahead = std::mem::take(&mut self.type_ahead);
        self.idle.activity(now);
        match answer {
            PinAnswer::Accepted => {
                self.outputs.push_back(Output::LoggedIn { type_ahead });
                State::Over
            }
            PinAnswer::Refused => {
                self.failures += 1;
                if self.failures >= LOGIN_TRIES {
                    return self.say_farewell(
                        now,
                        EndReason::LoginFailed,
                        &[prompt::WRONG_LOGIN, prompt::GOODBYE],
                    );
                }
                self.before = Some(prompt::WRONG_LOGIN);
                self.begin_try()
            }
            PinAnswer::Busy => {
                self.before = Some(prompt::TRY_AGAIN_LATER);
                self.begin_try()
            }
            PinAnswer::Unavailable => {
                self.say_farewell(now, EndReason::Unavailable, &[prompt::SYSTEM_UNAVAILABLE])
            }
        }
    }

    fn farewell(&mut self, now: Instant, reason: EndReason, until: Instant, input: Input) -> State {
        let over = match input {
            Input::PromptFinished => true,
            Input::Timeout => now >= until,
            _ => false,
        };
        if over {
            self.outputs.push_back(Output::HangUp(reason));
            State::Over
        } else {
            State::Farewell { reason, until }
        }
    }

    /// What a timeout means while digits are awaited.
    fn waited(&mut self, now: Instant, digits: &Digits) -> Waited {
        if now >= self.ends_at {
            return Waited::LogOff(EndReason::SessionLimit);
        }
        if !digits.is_empty() && digits.deadline().is_some_and(|due| now >= due) {
            return Waited::EntryEnded;
        }
        match self.idle.expired(now, self.speaking) {
            Expired::No => Waited::Nothing,
            Expired::Remind => Waited::Remind,
            Expired::LogOff => Waited::LogOff(EndReason::Idle),
        }
    }

    /// Whatever is being said makes way for a key.
    fn barge_in(&mut self) {
        if self.speaking {
            self.speaking = false;
            self.outputs.push_back(Output::StopSpeaking);
        }
    }

    fn ask(&mut self, question: PromptId) {
        let words = self.before.take().into_iter().chain([question]);
        self.speaking = true;
        self.outputs.push_back(Output::Say(say(words)));
    }

    fn ask_again(&mut self, question: PromptId) {
        self.before = Some(prompt::NOTHING_ENTERED);
        self.ask(question);
    }

    /// Keys that were typed ahead of a PIN's end: the `#` that belongs to a full one is no key of its own.
    fn swallow(&mut self, state: State) -> State {
        match state {
            State::Verifying { due, answer, swallow_hash: true }
                if self.type_ahead.first() == Some('#') =>
            {
                self.type_ahead.pop();
                State::Verifying { due, answer, swallow_hash: false }
            }
            other => other,
        }
    }

    fn log_off(&mut self, now: Instant, reason: EndReason) -> State {
        self.barge_in();
        self.speaking = true;
        self.outputs.push_back(Output::Say(say([prompt::GOODBYE])));
        State::Farewell { reason, until: now + LOG_OFF_FAREWELL_MAX }
    }

    fn say_farewell(&mut self, now: Instant, reason: EndReason, words: &[PromptId]) -> State {
        self.speaking = true;
        self.outputs.push_back(Output::Say(say(words.iter().copied())));
        State::Farewell { reason, until: now + FAREWELL_MAX }
    }

    fn end(&mut self, reason: EndReason) {
        if !matches!(self.state, State::Over) {
            self.state = State::Over;
            self.outputs.push_back(Output::HangUp(reason));
        }
    }
}

enum Waited {
    Nothing,
    EntryEnded,
    Remind,
    LogOff(EndReason),
}
