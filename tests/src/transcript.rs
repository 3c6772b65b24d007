//! What a caller heard, as the names of prompts: a recording of a call turned back into what was said.
//!
//! Prompts travel as G.711 and nothing is mixed into them, so without loss what is heard is a prompt's own
//! samples, one by one: a short piece of each is looked for as it stands.

use std::collections::BTreeMap;
use std::path::Path;

use hushbox_call::prompt;
use hushbox_load::g711::Codec;
use hushbox_load::measure;
use hushbox_media::audio::opus_clip::decode_ogg;

/// A prompt that was heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spoken {
    /// Its name; of prompts that sound the same, the first.
    pub name: String,
    /// The sample at which it began.
    pub at: usize,
    /// How many of its samples were heard.
    pub heard: usize,
    /// It was heard to its end.
    pub whole: bool,
}

/// The prompts that are shipped, as they sound through a codec.
pub struct Voice {
    prompts: BTreeMap<String, Vec<i16>>,
}

/// What is looked for: so many samples of each prompt.
const PIECE: usize = 120;

impl Voice {
    /// Loads the shipped English prompts.
    ///
    /// # Panics
    ///
    /// When one is missing or damaged.
    #[must_use]
    pub fn english(codec: Codec) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/prompts/en");
        let mut prompts: BTreeMap<String, Vec<i16>> = BTreeMap::new();
        for id in prompt::all() {
            let name = id.as_str().to_owned();
            let bytes = std::fs::read(folder.join(format!("{name}.opus"))).expect("the prompt");
            let samples = decode_ogg(&bytes).expect("Opus");
            let samples = codec.decode(&codec.encode(&samples));
            if !prompts.values().any(|other| *other == samples) {
                prompts.insert(name, samples);
            }
        }
        Self { prompts }
    }

    /// The prompts in what was heard, in their order; a beep is `beep`.
    #[must_use]
    pub fn transcript(&self, heard: &[i16]) -> Vec<Spoken> {
        let mut found: Vec<Spoken> = measure::tones(heard)
            .into_iter()
            .map(|tone| Spoken {
                name: "beep".into(),
                at: tone.range.start,
                heard: tone.range.len(),
                whole: true,
            })
            .collect();
        // Every place where a piece begins, by its first four samples.
        let mut places: BTreeMap<[i16; 4], Vec<usize>> = BTreeMap::new();
        for (at, start) in heard.windows(4).enumerate() {
            if start.iter().any(|s| s.abs() > 300) {
                places.entry([start[0], start[1], start[2], start[3]]).or_default().push(at);
            }
        }
        for (name, samples) in &self.prompts {
            let from = piece(samples);
            let wanted = &samples[from..from + PIECE];
            let start = [wanted[0], wanted[1], wanted[2], wanted[3]];
            for at in places.get(&start).into_iter().flatten() {
                if heard[*at..].starts_with(wanted) && *at >= from {
                    let rest = &heard[*at..];
                    let same =
                        rest.iter().zip(&samples[from..]).take_while(|(a, b)| a == b).count();
                    let whole = from + same == samples.len();
                    found.push(Spoken {
                        name: name.clone(),
                        at: at - from,
                        heard: from + same,
                        whole,
                    });
                }
            }
        }
        // Prompts can begin alike ("twenty ..."): the longest holds.
        found.sort_by_key(|spoken| (spoken.at, std::cmp::Reverse(spoken.heard)));
        let mut until = 0;
        found.retain(|spoken| {
            let after = spoken.at >= until;
            until = until.max(spoken.at + spoken.heard);
            after
        });
        found
    }

    /// The names alone, separated by spaces; what was cut off ends in `…`.
    #[must_use]
    pub fn words(&self, heard: &[i16]) -> String {
        let words = self.transcript(heard).into_iter();
        let words = words.map(|s| if s.whole { s.name } else { format!("{}…", s.name) });
        words.collect::<Vec<_>>().join(" ")
    }
}

/// The first piece that is loud all through, and begins with a sample that stands out.
fn piece(samples: &[i16]) -> usize {
    let loud = |from: &usize| {
        let piece = &samples[*from..from + PIECE];
        piece[..4].iter().any(|s| s.abs() > 300) && measure::level_dbfs(piece) > -28.0
    };
    (0..samples.len() - PIECE).find(loud).unwrap_or(samples.len() / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_read_back_word_by_word() {
        let voice = Voice::english(Codec::Pcmu);
        let mut heard = vec![0; 777];
        for name in ["you-have", "2", "new-messages", "and", "1", "heard-message"] {
            heard.extend(&voice.prompts[name]);
        }
        heard.extend(&voice.prompts["menu-main"][..30_000]);
        heard.extend([0; 500]);
        heard.extend(&voice.prompts["goodbye"]);
        assert_eq!(
            voice.words(&heard),
            "you-have 2 new-messages and 1 heard-message menu-main… goodbye"
        );
        assert_eq!(voice.transcript(&heard)[0].at, 777);
    }

    #[test]
    fn every_prompt_is_told_from_every_other() {
        let voice = Voice::english(Codec::Pcma);
        for (name, samples) in &voice.prompts {
            assert_eq!(voice.words(samples), *name);
        }
    }
}
