//! The deposit by script.

use super::*;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn t0() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "any origin will do in a test")]
    Instant::now()
}

fn deposit(notice: bool) -> Deposit {
    Deposit::new(Greeting { mailbox: "1001".to_owned(), notice, cause: None })
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
fn the_cause_picks_the_greeting() {
    for (cause, expected) in [
        (None, "greeting-unavailable"),
        (Some(Cause::Unavailable), "greeting-unavailable"),
        (Some(Cause::Busy), "greeting-busy"),
        (Some(Cause::NoAnswer), "greeting-no-answer"),
        (Some(Cause::Unconditional), "greeting-unconditional"),
    ] {
        let mut tui = Deposit::new(Greeting { mailbox: "1001".to_owned(), notice: false, cause });
        tui.handle_input(t0(), Input::Confirmed);
        assert_eq!(
            spoken(&outputs(&mut tui)[0]),
            format!("greeting-default 1 0 0 1 {expected} leave-message-after-beep")
        );
    }
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

/// A walk over every input in every state: one end at most, one commit at most and only after a recording, and "saved"
/// is said only after the message is.
#[test]
fn a_random_walk_commits_once_and_never_says_saved_too_early() {
    use rand_chacha::ChaCha20Rng;
    use rand_core::{RngCore as _, SeedableRng as _};
    const INPUTS: [Input; 14] = [
        Input::Confirmed,
        Input::Digit('#'),
        Input::Digit('5'),
        Input::PromptFinished,
        Input::PromptFinished,
        Input::RecordingEnded(Stop::MaxLength),
        Input::RecordingEnded(Stop::Silence),
        Input::RecordingEnded(Stop::HeldTooLong),
        Input::RecordingEnded(Stop::MediaDead),
        Input::Saved,
        Input::Dropped,
        Input::SaveFailed,
        Input::HungUp(EndReason::CallerHungUp),
        Input::Timeout,
    ];
    let start = t0();
    for seed in 0..=255u8 {
        let mut rng = ChaCha20Rng::from_seed([seed; 32]);
        let mut tui = deposit(true);
        let (mut recorded, mut commits, mut ends, mut saved) = (false, 0, 0, false);
        for step in 0..60u32 {
            let input = INPUTS[rng.next_u32() as usize % INPUTS.len()];
            let was_committing = tui.state() == "Committing";
            tui.handle_input(start + step * SECOND / 4, input);
            saved |= was_committing && input == Input::Saved;
            for output in outputs(&mut tui) {
                match output {
                    Output::Record => recorded = true,
                    Output::Commit(_) => {
                        assert!(recorded, "{seed}");
                        commits += 1;
                    }
                    Output::HangUp(_) => ends += 1,
                    Output::Say(words) => {
                        let says_saved = words.contains(&Utterance::Prompt(prompt::SAVED));
                        assert!(!says_saved || saved, "{seed}");
                    }
                    Output::StopSpeaking => {}
                }
            }
        }
        assert!(commits <= 1 && ends <= 1, "{seed}: {commits} {ends}");
        assert!(ends == 0 || tui.deadline().is_none());
    }
}
