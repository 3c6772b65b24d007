//! Logging in: number, PIN, three tries, answers at fixed moments.

use std::collections::VecDeque;
use std::fmt;
use std::time::Instant;

use crate::end::EndReason;
use crate::limits::{
    FAREWELL_MAX, LOG_OFF_FAREWELL_MAX, LOGIN_ANSWER_STEP, LOGIN_ANSWERS, LOGIN_TRIES,
    NUMBER_DIGITS_MAX, PIN_DIGITS_MAX, SESSION_MAX,
};
use crate::prompt::{self, PromptId, Utterance};
use crate::tui::digits::{Digits, Keyed, Keys};
use crate::tui::idle::{Expired, Idle};
use crate::tui::say;

/// Who may log in from where the call comes from. The source alone decides it, before a number is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A device that is bound to one person: the PIN alone.
    OnePerson,
    /// A device that several persons use: number, then PIN.
    AnyPerson,
    /// Nobody.
    Refused(Refusal),
}

/// Why nobody may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Nobody's factors could suffice from here.
    NotFromThisTelephone,
    /// This server can't open messages now.
    CannotBeOpened,
}

/// What happens to a log-in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// The caller acknowledged the answer: media may flow.
    Confirmed,
    /// A key.
    Digit(char),
    /// All that was to be said has been said.
    PromptFinished,
    /// The answer to [`Output::CheckLock`].
    Lock(LockAnswer),
    /// The answer to [`Output::TryPin`].
    Pin(PinAnswer),
    /// The call is over on the caller's side, or neither media nor the person's rights last.
    HungUp(EndReason),
    /// Time has passed.
    Timeout,
}

impl fmt::Debug for Input {
    // A key may be one of a PIN.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Input::Confirmed => f.write_str("Confirmed"),
            Input::Digit(_) => f.write_str("Digit(…)"),
            Input::PromptFinished => f.write_str("PromptFinished"),
            Input::Lock(answer) => f.debug_tuple("Lock").field(answer).finish(),
            Input::Pin(answer) => f.debug_tuple("Pin").field(answer).finish(),
            Input::HungUp(reason) => f.debug_tuple("HungUp").field(reason).finish(),
            Input::Timeout => f.write_str("Timeout"),
        }
    }
}

/// Whether this number may try from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockAnswer {
    /// It may.
    Free,
    /// Too many wrong tries.
    Locked,
    /// The counters can't be kept now.
    Unavailable,
}

/// What came of a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PinAnswer {
    /// The person is who they say.
    Accepted,
    /// They are not, or their factors can't suffice from here.
    Refused,
    /// Too many log-ins at once: the try was not counted.
    Busy,
    /// Counters or audit log can't be kept now.
    Unavailable,
}

/// What a log-in asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Say this after what is being said.
    Say(Vec<Utterance>),
    /// Say no more.
    StopSpeaking,
    /// May this number try? `None` is the one person of the device.
    CheckLock {
        /// The number that was keyed.
        number: Option<String>,
    },
    /// Count the try, then compare.
    TryPin {
        /// The number that was keyed.
        number: Option<String>,
        /// The PIN that was keyed.
        pin: Digits,
    },
    /// The person is logged in. Keys that they pressed since the PIN follow.
    LoggedIn {
        /// Those keys, in order.
        type_ahead: Keys,
    },
    /// The dialogue is over: send BYE unless the caller did.
    HangUp(EndReason),
}

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

#[derive(Debug)]
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
        match self.state {
            State::Unconfirmed => "Unconfirmed",
            State::Number(_) => "Number",
            State::Checking { .. } => "Checking",
            State::Pin { .. } => "Pin",
            State::Verifying { .. } => "Verifying",
            State::Farewell { .. } => "Farewell",
            State::Over => "Over",
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const SECOND: Duration = Duration::from_secs(1);

    fn t0() -> Instant {
        #[expect(clippy::disallowed_methods, reason = "any origin will do in a test")]
        Instant::now()
    }

    fn keys_of(mut keys: Keys) -> String {
        std::iter::from_fn(|| keys.pop()).collect()
    }

    /// A log-in, driven by a script.
    struct Script {
        now: Instant,
        tui: Login,
        tries: Vec<(Option<String>, String)>,
    }

    impl Script {
        fn new(source: Source) -> Self {
            let now = t0();
            let mut script = Self { now, tui: Login::new(now, source), tries: Vec::new() };
            script.tui.handle_input(now, Input::Confirmed);
            script
        }

        fn input(&mut self, input: Input) -> String {
            self.tui.handle_input(self.now, input);
            self.said()
        }

        /// What was asked for, as one line; the lock is found free at once.
        fn said(&mut self) -> String {
            let mut line = Vec::new();
            while let Some(output) = self.tui.poll_output() {
                match output {
                    Output::Say(words) => {
                        line.extend(words.iter().map(|w| match w {
                            Utterance::Prompt(id) => id.as_str().to_owned(),
                            other => format!("{other:?}"),
                        }));
                    }
                    Output::StopSpeaking => line.push("stop".to_owned()),
                    Output::CheckLock { .. } => line.push("lock?".to_owned()),
                    Output::TryPin { number, pin } => {
                        line.push("try".to_owned());
                        self.tries.push((number, pin.as_str().to_owned()));
                    }
                    Output::LoggedIn { type_ahead } => {
                        line.push(format!("in {}", keys_of(type_ahead)));
                    }
                    Output::HangUp(reason) => line.push(format!("end {reason}")),
                }
            }
            line.join(" ")
        }

        fn keys(&mut self, keys: &str) -> String {
            let mut said = Vec::new();
            for key in keys.chars() {
                said.push(self.input(Input::Digit(key)));
            }
            said.retain(|s| !s.is_empty());
            said.join(" ")
        }

        fn free(&mut self) -> String {
            self.input(Input::Lock(LockAnswer::Free))
        }

        /// Lets time run to the next deadline.
        fn wait(&mut self) -> String {
            self.now = self.now.max(self.tui.deadline().unwrap());
            self.input(Input::Timeout)
        }
    }

    #[test]
    fn a_source_from_which_nobody_can_log_in_is_asked_for_nothing() {
        let mut s = Script::new(Source::Refused(Refusal::NotFromThisTelephone));
        assert_eq!(s.said(), "not-from-this-telephone");
        assert_eq!(s.keys("7001#12345678#"), "");
        assert_eq!(s.input(Input::PromptFinished), "end not-from-this-telephone");
        assert!(s.tries.is_empty());
    }

    #[test]
    fn a_server_that_only_records_says_so_before_any_number() {
        let mut s = Script::new(Source::Refused(Refusal::CannotBeOpened));
        assert_eq!(s.said(), "cannot-be-opened");
        assert_eq!(s.input(Input::PromptFinished), "end record-only");
    }

    #[test]
    fn a_device_of_one_person_asks_for_the_pin_alone() {
        let mut s = Script::new(Source::OnePerson);
        assert_eq!(s.said(), "lock?");
        assert_eq!(s.free(), "enter-pin");
        assert_eq!(s.keys("48151623#"), "stop try");
        assert_eq!(s.tries, [(None, "48151623".to_owned())]);
        assert_eq!(s.input(Input::Pin(PinAnswer::Accepted)), "");
        assert_eq!(s.wait(), "in ");
    }

    #[test]
    fn a_shared_device_asks_for_number_then_pin() {
        let mut s = Script::new(Source::AnyPerson);
        assert_eq!(s.said(), "enter-number");
        assert_eq!(s.keys("7001#"), "stop lock?");
        assert_eq!(s.free(), "enter-pin");
        s.keys("48151623#");
        assert_eq!(s.tries, [(Some("7001".to_owned()), "48151623".to_owned())]);
    }

    #[test]
    fn number_and_pin_can_be_typed_ahead_in_one_go() {
        let mut s = Script::new(Source::AnyPerson);
        s.said();
        assert_eq!(s.keys("7001#48151623#1"), "stop lock?");
        assert_eq!(s.free(), "try");
        s.input(Input::Pin(PinAnswer::Accepted));
        assert_eq!(s.wait(), "in 1");
        assert_eq!(s.tries, [(Some("7001".to_owned()), "48151623".to_owned())]);
    }

    #[test]
    fn a_lock_is_said_before_the_pin() {
        let mut s = Script::new(Source::OnePerson);
        s.said();
        assert_eq!(s.input(Input::Lock(LockAnswer::Locked)), "locked goodbye");
        assert_eq!(s.keys("48151623#"), "");
        assert!(s.tries.is_empty());
        assert_eq!(s.input(Input::PromptFinished), "end locked");
    }

    #[test]
    fn a_pin_ends_by_three_seconds_of_nothing() {
        let mut s = Script::new(Source::OnePerson);
        s.free();
        s.keys("4815");
        assert_eq!(s.tui.deadline(), Some(s.now + 3 * SECOND));
        assert_eq!(s.wait(), "try");
        assert_eq!(s.tries, [(None, "4815".to_owned())]);
    }

    #[test]
    fn a_pin_ends_by_its_twelfth_digit_and_the_hash_after_it_is_no_key() {
        let mut s = Script::new(Source::OnePerson);
        s.free();
        assert!(s.keys("123456789012").ends_with("try"));
        assert_eq!(s.keys("#1"), "");
        s.input(Input::Pin(PinAnswer::Accepted));
        assert_eq!(s.wait(), "in 1");
    }

    #[test]
    fn right_and_wrong_are_answered_at_the_same_fixed_moment() {
        for (answer, delay) in [
            (PinAnswer::Accepted, Duration::ZERO),
            (PinAnswer::Refused, Duration::from_millis(900)),
        ] {
            let mut s = Script::new(Source::OnePerson);
            s.free();
            s.keys("48151623#");
            let asked = s.now;
            s.now += delay;
            assert_eq!(s.input(Input::Pin(answer)), "");
            assert_ne!(s.wait(), "");
            assert_eq!(s.now - asked, SECOND);
        }
    }

    #[test]
    fn a_late_answer_waits_for_the_next_full_step() {
        let mut s = Script::new(Source::OnePerson);
        s.free();
        s.keys("48151623#");
        let asked = s.now;
        assert_eq!(s.wait(), "");
        s.now += Duration::from_millis(350);
        assert_eq!(s.input(Input::Pin(PinAnswer::Accepted)), "");
        assert_eq!(s.wait(), "in ");
        assert_eq!(s.now - asked, 2 * SECOND);
    }

    #[test]
    fn three_wrong_tries_end_the_call_after_one_two_and_four_seconds() {
        let mut s = Script::new(Source::AnyPerson);
        s.said();
        for (seconds, said) in [
            (1, "wrong-login enter-number"),
            (2, "wrong-login enter-number"),
            (4, "wrong-login goodbye"),
        ] {
            s.keys("7001#");
            s.free();
            s.keys("00000000#");
            let asked = s.now;
            s.input(Input::Pin(PinAnswer::Refused));
            assert_eq!(s.wait(), said);
            assert_eq!(s.now - asked, seconds * SECOND);
        }
        assert_eq!(s.input(Input::PromptFinished), "end login-failed");
        assert_eq!(s.tries.len(), 3);
    }

    #[test]
    fn one_long_string_of_digits_is_one_try_at_a_time() {
        let mut s = Script::new(Source::OnePerson);
        s.free();
        s.keys("111111111111222222222222333333333333#444444#");
        assert_eq!(s.tries.len(), 1);
        s.input(Input::Pin(PinAnswer::Refused));
        assert_eq!(s.wait(), "wrong-login lock?".replace("wrong-login ", ""));
        assert_eq!(s.free(), "wrong-login enter-pin");
        assert_eq!(s.tries.len(), 1, "what was typed ahead is gone");
    }

    #[test]
    fn star_on_a_device_of_one_person_is_not_from_this_telephone() {
        let mut s = Script::new(Source::OnePerson);
        s.free();
        assert_eq!(s.keys("*"), "stop not-from-this-telephone enter-pin");
        assert_eq!(s.keys("48*"), "stop enter-pin");
        s.keys("15#");
        assert_eq!(s.tries, [(None, "15".to_owned())]);
    }

    #[test]
    fn busy_is_no_try() {
        let mut s = Script::new(Source::OnePerson);
        for _ in 0..5 {
            s.free();
            s.keys("48151623#");
            s.input(Input::Pin(PinAnswer::Busy));
            assert_eq!(s.wait(), "lock?");
        }
        assert_eq!(s.free(), "try-again-later enter-pin");
    }

    #[test]
    fn silence_before_the_log_in_ends_the_call_within_45_seconds() {
        for source in [Source::OnePerson, Source::AnyPerson] {
            let mut s = Script::new(source);
            if source == Source::OnePerson {
                s.free();
            }
            let start = s.now;
            let mut last = String::new();
            while !last.contains("end") {
                s.now += 2 * SECOND;
                s.input(Input::PromptFinished);
                last = s.wait();
                if last == "goodbye" {
                    last = s.wait();
                }
            }
            assert_eq!(last, "end idle");
            assert!(s.now - start <= 45 * SECOND, "{:?}", s.now - start);
            assert!(s.tries.is_empty());
        }
    }

    #[test]
    fn an_empty_entry_is_asked_for_again_and_not_counted() {
        let mut s = Script::new(Source::OnePerson);
        s.free();
        assert_eq!(s.keys("#"), "stop nothing-entered enter-pin");
        assert!(s.tries.is_empty());
    }

    #[test]
    fn keys_without_end_do_not_outlive_the_session() {
        let mut s = Script::new(Source::OnePerson);
        let start = s.now;
        s.free();
        while s.now - start < SESSION_MAX {
            s.keys("*");
            s.now += 5 * SECOND;
        }
        assert!(s.input(Input::Timeout).ends_with("goodbye"));
        assert_eq!(s.wait(), "end session-limit");
    }

    /// A walk over every input in every state: one end, no state without a deadline but the first and the last, and never
    /// more tries than three.
    #[test]
    fn a_random_walk_ends_once_and_tries_three_times_at_most() {
        use rand_chacha::ChaCha20Rng;
        use rand_core::{RngCore as _, SeedableRng as _};
        for seed in 0..200u8 {
            let mut rng = ChaCha20Rng::from_seed([seed; 32]);
            let mut s = Script::new(match seed % 3 {
                0 => Source::OnePerson,
                1 => Source::AnyPerson,
                _ => Source::Refused(Refusal::NotFromThisTelephone),
            });
            s.said();
            let mut ends = 0;
            let mut refusals = 0;
            for _ in 0..300 {
                let pick = rng.next_u32();
                let said = match pick % 9 {
                    0..4 => {
                        let keys = "0123456789*#A";
                        let key = keys.chars().nth((pick >> 8) as usize % keys.len()).unwrap();
                        s.input(Input::Digit(key))
                    }
                    4 => s.input(Input::PromptFinished),
                    5 => s.free(),
                    6 if s.tui.state() == "Verifying" => {
                        refusals += 1;
                        s.input(Input::Pin(PinAnswer::Refused))
                    }
                    _ if s.tui.deadline().is_some() => s.wait(),
                    _ => String::new(),
                };
                ends += said.matches("end ").count();
                assert_eq!(s.tui.deadline().is_none(), s.tui.state() == "Over");
            }
            assert!(ends <= 1, "{seed}: {ends}");
            assert!(s.tries.len() <= LOGIN_TRIES, "{seed}: {refusals} {:?}", s.tries.len());
        }
    }
}
