//! The log-in by script: keys and answers in, what is said and asked for out.

use super::*;
use crate::prompt::Utterance;
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
    for (answer, delay) in
        [(PinAnswer::Accepted, Duration::ZERO), (PinAnswer::Refused, Duration::from_millis(900))]
    {
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

#[test]
fn nothing_that_was_keyed_is_printed() {
    let outputs = [
        Output::CheckLock { number: Some("4815".to_owned()) },
        Output::TryPin { number: Some("4815".to_owned()), pin: Digits::new(12) },
    ];
    assert_eq!(format!("{outputs:?}"), "[CheckLock(number: true), TryPin(number: true, …)]");
    for state in [
        State::Checking { number: Some("4815".to_owned()) },
        State::Pin { number: Some("4815".to_owned()), digits: Digits::new(12) },
    ] {
        assert_eq!(format!("{state:?}"), state.name());
    }
    let keys = (
        Input::Digit('7'),
        crate::tui::menu::Input::Digit('7'),
        crate::tui::deposit::Input::Digit('7'),
    );
    assert_eq!(format!("{keys:?}"), "(Digit(…), Digit(…), Digit(…))");
}
