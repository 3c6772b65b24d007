//! The shipped prompts: every one that can be spoken is there, decodes, is heard, and is as loud as the others.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use hushbox_call::prompt::{self, Prompts};
use hushbox_load::measure;
use hushbox_load::timeline::time_of;
use hushbox_media::audio::opus_clip::decode_ogg;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn decoded(name: &str) -> Option<Vec<i16>> {
    let bytes = std::fs::read(root().join(format!("config/prompts/en/{name}.opus"))).ok()?;
    Some(decode_ogg(&bytes).unwrap_or_else(|e| panic!("{name}: {e}")))
}

#[test]
fn every_prompt_is_there_and_as_loud_as_the_others() {
    Prompts::load(decoded).expect("none is missing");
    for id in prompt::all() {
        let samples = decoded(id.as_str()).expect("it is there");
        let level = measure::level_dbfs(&samples);
        assert!((-24.0..-17.0).contains(&level), "{}: {level} dBFS", id.as_str());
        let length = time_of(samples.len());
        assert!(length > Duration::from_millis(150), "{}: {length:?}", id.as_str());
        assert!(measure::tones(&samples).is_empty(), "{}: taken for a beep", id.as_str());
    }
}

#[test]
fn a_sentence_of_several_prompts_has_no_holes() {
    for id in prompt::all() {
        let samples = decoded(id.as_str()).expect("it is there");
        let spoken = measure::segments(&samples, Duration::from_secs(2));
        let (first, last) = (spoken.first().expect("speech"), spoken.last().expect("speech"));
        let before = time_of(first.start);
        let after = time_of(samples.len() - last.end);
        // A "th" at the beginning counts as silence.
        let most = Duration::from_millis(250);
        assert!(before < most && after < most, "{}: {before:?} {after:?}", id.as_str());
    }
}

#[test]
fn a_reminder_takes_less_than_four_seconds() {
    let length = time_of(decoded(prompt::REMINDER.as_str()).expect("it is there").len());
    assert!(length < Duration::from_secs(4), "{length:?}");
}

#[test]
fn texts_and_files_belong_together() {
    let check = Command::new(root().join("scripts/make-prompts")).arg("--check").output();
    let check = check.expect("the script runs");
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stderr));
}
