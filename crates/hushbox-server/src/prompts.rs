//! What is spoken: the English prompts that come with the program, and the operator's own in place of any of them.

use std::path::{Path, PathBuf};

use hushbox_call::prompt::{MissingPrompts, Prompts};
use hushbox_media::audio::opus_clip;

include!(concat!(env!("OUT_DIR"), "/english.rs"));

/// The rate of an operator's own prompt.
const SAMPLE_RATE: u32 = 8_000;
/// The longest of them.
const SAMPLES_MAX: u32 = SAMPLE_RATE * 60;

/// Why there is nothing to speak.
#[derive(Debug, thiserror::Error)]
pub enum PromptError {
    /// An operator's own prompt cannot be used.
    #[error("{}: {what}", path.display())]
    Own {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what would be right.
        what: String,
    },
    /// A prompt that came with the program is damaged.
    #[error("the prompt {0} in this program is damaged")]
    Damaged(&'static str),
    /// Some are missing.
    #[error(transparent)]
    Missing(#[from] MissingPrompts),
}

/// Loads every prompt; `own` is the folder with the operator's.
pub fn load(own: Option<&Path>) -> Result<Prompts, PromptError> {
    let mut failed = None;
    let prompts = Prompts::load(|name| {
        let samples = own_prompt(own, name).transpose().or_else(|| built_in(name).transpose());
        samples.transpose().unwrap_or_else(|error| {
            failed.get_or_insert(error);
            // Loading is over; the first failure is what is told.
            Some(Vec::new())
        })
    });
    match failed {
        Some(error) => Err(error),
        None => Ok(prompts?),
    }
}

fn built_in(name: &str) -> Result<Option<Vec<i16>>, PromptError> {
    let Ok(at) = ENGLISH.binary_search_by_key(&name, |(name, _)| name) else { return Ok(None) };
    let (name, bytes) = ENGLISH[at];
    opus_clip::decode_ogg(bytes).map(Some).map_err(|_| PromptError::Damaged(name))
}

fn own_prompt(folder: Option<&Path>, name: &str) -> Result<Option<Vec<i16>>, PromptError> {
    let Some(folder) = folder else { return Ok(None) };
    let path = folder.join(format!("{name}.wav"));
    if !path.exists() {
        return Ok(None);
    }
    let wrong = |what: String| PromptError::Own { path: path.clone(), what };
    let mut reader = hound::WavReader::open(&path).map_err(|error| wrong(error.to_string()))?;
    let spec = reader.spec();
    let fits = spec.channels == 1
        && spec.sample_rate == SAMPLE_RATE
        && spec.bits_per_sample == 16
        && spec.sample_format == hound::SampleFormat::Int;
    if !fits || reader.len() > SAMPLES_MAX {
        return Err(wrong("must be 16-bit PCM, mono, 8000 Hz, at most 60 s".to_owned()));
    }
    reader
        .samples::<i16>()
        .collect::<Result<Vec<_>, _>>()
        .map(Some)
        .map_err(|error| wrong(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_can_speak_every_prompt() {
        load(None).expect("every prompt");
    }

    #[test]
    fn an_operators_own_prompt_wins_and_a_wrong_one_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, sample_rate| {
            let spec = hound::WavSpec {
                channels: 1,
                sample_rate,
                bits_per_sample: 16,
                sample_format: hound::SampleFormat::Int,
            };
            let mut writer =
                hound::WavWriter::create(folder.path().join(name), spec).expect("made");
            writer.write_sample(7_i16).expect("written");
            writer.finalize().expect("finished");
        };
        write("goodbye.wav", 8_000);
        assert_eq!(own_prompt(Some(folder.path()), "goodbye").expect("read"), Some(vec![7]));
        load(Some(folder.path())).expect("every prompt");
        write("saved.wav", 44_100);
        assert!(load(Some(folder.path())).expect_err("refused").to_string().contains("saved.wav"));
    }
}
