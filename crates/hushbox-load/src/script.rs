//! What a caller does, as a list of steps, and the text that writes it down.
//!
//! ```text
//! beep                  wait until a beep has ended           beep within 30s
//! say FILE.wav          say a recording (16-bit mono, 8 kHz)
//! voice 5s              say something that sounds like speech
//! press 1               press keys (0-9 * # A-D)
//! press @pin            press the keys of a secret handed over on stdin
//! hear 5s               listen
//! speech                listen until something is heard            speech within 5s
//! quiet 2s              listen until nobody has spoken for so long    quiet 2s within 60s
//! hold / resume         by re-INVITE
//! bye                   wait until the other side hangs up     bye within 10s
//! hangup                hang up
//! ```
//!
//! Steps are separated by `;` or line ends; `#` at the start of a line begins a comment.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::error::Error;
use crate::limits::{CALL_MAX, STEPS_MAX};
use crate::rtp::telephone_event;
use crate::timeline::samples_in;
use crate::voice;

/// One step.
#[derive(Clone)]
pub enum Step {
    /// Wait until a beep has ended.
    Beep {
        /// Give up after this.
        within: Duration,
    },
    /// Say something.
    Say(Arc<[i16]>),
    /// Press keys.
    Press(Keys),
    /// Listen.
    Hear(Duration),
    /// Listen until nothing was heard for `quiet`, after something was.
    Quiet {
        /// How long nobody must have spoken.
        quiet: Duration,
        /// Give up after this.
        within: Duration,
    },
    /// Listen until something is heard.
    Speech {
        /// Give up after this.
        within: Duration,
    },
    /// Listen until this has been heard whole; after each message that is not it, press `next`.
    Find {
        /// What to listen for.
        sound: Arc<[i16]>,
        /// The keys for the next message.
        next: Keys,
        /// Messages to listen to.
        tries: usize,
        /// Give each up after this.
        within: Duration,
    },
    /// Put the call on hold.
    Hold,
    /// Take it back.
    Resume,
    /// Wait until the other side hangs up.
    Bye {
        /// Give up after this.
        within: Duration,
    },
    /// Hang up.
    HangUp,
}

/// Keys to press. Debug shows how many.
#[derive(Clone, PartialEq, Eq)]
pub struct Keys(String);

impl Keys {
    /// Keys of a telephone.
    pub fn new(keys: &str) -> Result<Self, Error> {
        let known = |c| telephone_event(c, false, 0).is_some();
        if keys.is_empty() || keys.len() > crate::limits::DIGITS_MAX || !keys.chars().all(known) {
            return Err(Error::Script("press takes 1 to 32 of 0-9 * # A-D".into()));
        }
        Ok(Self(keys.to_owned()))
    }

    /// For the media only.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} keys", self.0.len())
    }
}

impl Step {
    /// The step's name, without what it carries.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Beep { .. } => "beep",
            Self::Say(_) => "say",
            Self::Press(_) => "press",
            Self::Hear(_) => "hear",
            Self::Quiet { .. } => "quiet",
            Self::Speech { .. } => "speech",
            Self::Find { .. } => "find",
            Self::Hold => "hold",
            Self::Resume => "resume",
            Self::Bye { .. } => "bye",
            Self::HangUp => "hangup",
        }
    }
}

/// Reads a script; `press @NAME` takes NAME from `secrets`, `say` reads files below `folder`.
pub fn parse(
    text: &str,
    folder: &Path,
    secrets: &BTreeMap<String, String>,
) -> Result<Vec<Step>, Error> {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    let mut steps = Vec::new();
    for step in lines.flat_map(|line| line.split(';')).map(str::trim).filter(|s| !s.is_empty()) {
        if steps.len() == STEPS_MAX {
            return Err(Error::Script(format!("more than {STEPS_MAX} steps")));
        }
        steps.push(parse_step(step, folder, secrets)?);
    }
    if steps.is_empty() {
        return Err(Error::Script("no steps".into()));
    }
    Ok(steps)
}

fn parse_step(
    text: &str,
    folder: &Path,
    secrets: &BTreeMap<String, String>,
) -> Result<Step, Error> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let step = match words.as_slice() {
        ["beep"] => Step::Beep { within: Duration::from_secs(60) },
        ["beep", "within", within] => Step::Beep { within: duration(within)? },
        ["say", file] => Step::Say(voice::read_wav(&folder.join(file))?.into()),
        ["voice", length] => {
            let mut seed = [0; 32];
            crate::client::fill_random(&mut seed)?;
            Step::Say(voice::babble(seed, samples_in(duration(length)?)).into())
        }
        ["press", keys] => match keys.strip_prefix('@') {
            None => Step::Press(Keys::new(keys)?),
            Some(name) => {
                let secret = secrets.get(name);
                let secret =
                    secret.ok_or_else(|| Error::Script(format!("no secret named {name}")))?;
                Step::Press(Keys::new(secret)?)
            }
        },
        ["hear", length] => Step::Hear(duration(length)?),
        ["quiet", quiet] => {
            Step::Quiet { quiet: duration(quiet)?, within: Duration::from_secs(120) }
        }
        ["quiet", quiet, "within", within] => {
            Step::Quiet { quiet: duration(quiet)?, within: duration(within)? }
        }
        ["speech"] => Step::Speech { within: Duration::from_secs(20) },
        ["speech", "within", within] => Step::Speech { within: duration(within)? },
        ["hold"] => Step::Hold,
        ["resume"] => Step::Resume,
        ["bye"] => Step::Bye { within: Duration::from_secs(30) },
        ["bye", "within", within] => Step::Bye { within: duration(within)? },
        ["hangup"] => Step::HangUp,
        // What stands there may be digits that somebody mistyped: only the first word is repeated.
        [first, ..] => {
            let first: String =
                first.chars().filter(|c| c.is_ascii_alphabetic()).take(20).collect();
            return Err(Error::Script(format!("no such step: {first}")));
        }
        [] => return Err(Error::Script("an empty step".into())),
    };
    Ok(step)
}

/// A time: `5s`, `1.5s`, `300ms`, `2m`.
pub fn duration(text: &str) -> Result<Duration, Error> {
    let wrong = || Error::Script("a time is 300ms, 5s, 1.5s or 2m".into());
    let number_end = text.find(|c: char| c != '.' && !c.is_ascii_digit()).ok_or_else(wrong)?;
    let number: f64 = text[..number_end].parse().map_err(|_| wrong())?;
    let seconds = match &text[number_end..] {
        "ms" => number / 1000.0,
        "s" => number,
        "m" => number * 60.0,
        _ => return Err(wrong()),
    };
    Duration::try_from_secs_f64(seconds).ok().filter(|d| *d <= CALL_MAX).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Result<Vec<&'static str>, Error> {
        let secrets = BTreeMap::from([("pin".to_owned(), "1234".to_owned())]);
        Ok(parse(text, Path::new("."), &secrets)?.iter().map(Step::name).collect())
    }

    #[test]
    fn a_script_is_read_step_by_step() {
        let text = "# a caller\nbeep within 20s; voice 1.5s\n press 12#;press @pin\nhear 300ms\nquiet 2s;hold;resume;bye;hangup";
        let steps = names(text).expect("reads");
        assert_eq!(
            steps,
            ["beep", "say", "press", "press", "hear", "quiet", "hold", "resume", "bye", "hangup"]
        );
    }

    #[test]
    fn what_is_wrong_is_said_without_repeating_digits() {
        for text in [
            "",
            "#",
            "jump",
            "press",
            "press x",
            "press @nobody",
            "hear 5",
            "hear -1s",
            "hear 99999m",
            "say no.wav",
        ] {
            assert!(names(text).is_err(), "{text}");
        }
        let error = names("pres 12345678").expect_err("no such step").to_string();
        assert!(!error.contains("1234"), "{error}");
        assert!(names("press 12x45678").is_err_and(|e| !e.to_string().contains("45678")));
        assert_eq!(format!("{:?}", Keys::new("1234#").expect("keys")), "5 keys");
        assert!(names(&"hear 1s;".repeat(STEPS_MAX + 1)).is_err());
    }
}
