//! What is queued to be played, sample by sample.

use std::collections::VecDeque;

use super::{Audio, Codec};

/// A queue of audio, given out in packets' worth.
#[derive(Debug, Default)]
pub(crate) struct Playout {
    queue: VecDeque<Item>,
    queued: usize,
}

#[derive(Debug)]
struct Item {
    audio: Audio,
    /// Samples given out.
    offset: usize,
}

impl Playout {
    /// Appends; nothing stands between two pieces.
    pub(crate) fn push(&mut self, audio: Audio) {
        let samples = audio.samples();
        if samples > 0 {
            self.queued = self.queued.saturating_add(samples);
            self.queue.push_back(Item { audio, offset: 0 });
        }
    }

    pub(crate) fn clear(&mut self) {
        self.queue.clear();
        self.queued = 0;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queued == 0
    }

    /// Samples that wait.
    pub(crate) fn queued(&self) -> usize {
        self.queued
    }

    /// Fills a packet's payload; what the queue lacks is silence. Gives the samples from the queue.
    pub(crate) fn fill(&mut self, codec: Codec, payload: &mut [u8]) -> usize {
        let mut filled = 0;
        while filled < payload.len()
            && let Some(item) = self.queue.front_mut()
        {
            let count = item.copy_to(codec, &mut payload[filled..]);
            item.offset += count;
            filled += count;
            self.queued -= count;
            if item.offset == item.audio.samples() {
                self.queue.pop_front();
            }
        }
        payload[filled..].fill(codec.silence());
        filled
    }
}

impl Item {
    fn copy_to(&self, codec: Codec, payload: &mut [u8]) -> usize {
        let count = payload.len().min(self.audio.samples() - self.offset);
        let payload = &mut payload[..count];
        let range = self.offset..self.offset + count;
        match &self.audio {
            Audio::Clip(clip) => payload.copy_from_slice(&clip.encoded(codec)[range]),
            Audio::Samples(samples) => {
                for (octet, &sample) in payload.iter_mut().zip(&samples[range]) {
                    *octet = codec.encode(sample);
                }
            }
            Audio::Silence(_) => payload.fill(codec.silence()),
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::audio::EncodedClip;

    #[test]
    fn pieces_follow_each_other_without_a_gap() {
        let mut playout = Playout::default();
        playout.push(Audio::Clip(Arc::new(EncodedClip::from_pcm(&[1000; 3]))));
        playout.push(Audio::Silence(Duration::from_micros(250)));
        playout.push(Audio::Samples(vec![-1000; 4]));
        assert_eq!(playout.queued(), 9);
        let (up, quiet, down) =
            (Codec::Pcma.encode(1000), Codec::Pcma.silence(), Codec::Pcma.encode(-1000));
        let mut payload = [0; 6];
        assert_eq!(playout.fill(Codec::Pcma, &mut payload), 6);
        assert_eq!(payload, [up, up, up, quiet, quiet, down]);
        assert_eq!(playout.fill(Codec::Pcma, &mut payload), 3);
        assert_eq!(payload, [down, down, down, quiet, quiet, quiet]);
        assert!(playout.is_empty());
    }
}
