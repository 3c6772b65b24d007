//! The leg, and what it plays at this moment: words of the dialogue, or a message.

use std::sync::Arc;
use std::time::Instant;

use hushbox_media::Leg;
use hushbox_media::audio::{Audio, duration_to_samples};

use crate::prompt::{Prompts, Utterance};

pub(super) struct Speaker {
    pub(super) leg: Leg,
    prompts: Arc<Prompts>,
    sounding: Sounding,
}

/// Whose end the next `PlaybackFinished` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sounding {
    Nothing,
    Words,
    Message,
}

impl Speaker {
    pub(super) fn new(leg: Leg, prompts: Arc<Prompts>) -> Self {
        Self { leg, prompts, sounding: Sounding::Nothing }
    }

    pub(super) fn sounding(&self) -> Sounding {
        self.sounding
    }

    pub(super) fn say(&mut self, now: Instant, words: &[Utterance]) {
        self.sounding = Sounding::Words;
        for word in words {
            let audio = match word {
                Utterance::Prompt(id) => {
                    self.prompts.clip(*id).map(|clip| Audio::Clip(Arc::clone(clip)))
                }
                Utterance::Beep => Some(Audio::Clip(Arc::clone(self.prompts.beep()))),
                Utterance::Pause(pause) => Some(Audio::Silence(*pause)),
            };
            if let Some(audio) = audio {
                self.leg.play(now, audio);
            }
        }
    }

    pub(super) fn stop(&mut self, now: Instant) {
        self.sounding = Sounding::Nothing;
        self.leg.stop_playing(now);
    }

    /// From here on a message is played: its position counts from now.
    pub(super) fn begin_message(&mut self, now: Instant) {
        self.leg.stop_playing(now);
        self.sounding = Sounding::Message;
    }

    pub(super) fn play_samples(&mut self, now: Instant, samples: Vec<i16>) {
        self.leg.play(now, Audio::Samples(samples));
    }

    /// What was played since [`Speaker::begin_message`], in samples.
    pub(super) fn played_samples(&self) -> u64 {
        duration_to_samples(self.leg.played())
    }

    /// All that was to be played has been. An end that something new has overtaken is none.
    pub(super) fn finished(&mut self) -> Sounding {
        if self.leg.queued().is_zero() {
            std::mem::replace(&mut self.sounding, Sounding::Nothing)
        } else {
            Sounding::Nothing
        }
    }
}
