//! Audio: codecs, levels, tones, prompts, and what is queued to be played.

pub mod g711;
pub mod level;
pub mod opus_clip;
pub(crate) mod playout;
pub mod tone;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

/// An audio codec that is recorded and played.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Codec {
    /// G.711 mu-law (RFC 3551 §4.5.14).
    Pcmu,
    /// G.711 A-law (RFC 3551 §4.5.14).
    Pcma,
}

impl Codec {
    /// The static payload type (RFC 3551 §6).
    pub fn payload_type(self) -> u8 {
        match self {
            Self::Pcmu => 0,
            Self::Pcma => 8,
        }
    }

    /// The encoding name in SDP.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
        }
    }

    /// The octet of digital silence.
    pub fn silence(self) -> u8 {
        match self {
            Self::Pcmu => 0xff,
            Self::Pcma => 0xd5,
        }
    }

    /// One sample as linear PCM.
    pub fn decode(self, octet: u8) -> i16 {
        match self {
            Self::Pcmu => g711::ulaw_decode(octet),
            Self::Pcma => g711::alaw_decode(octet),
        }
    }

    /// One sample of linear PCM as the codec's octet.
    pub fn encode(self, sample: i16) -> u8 {
        match self {
            Self::Pcmu => g711::ulaw_encode(sample),
            Self::Pcma => g711::alaw_encode(sample),
        }
    }
}

/// A prompt, encoded once for every codec and shared by all calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedClip {
    pcmu: Bytes,
    pcma: Bytes,
}

impl EncodedClip {
    /// Encodes 8 kHz mono PCM.
    pub fn from_pcm(samples: &[i16]) -> Self {
        Self {
            pcmu: samples.iter().map(|&sample| g711::ulaw_encode(sample)).collect(),
            pcma: samples.iter().map(|&sample| g711::alaw_encode(sample)).collect(),
        }
    }

    /// The clip in `codec`, an octet a sample.
    pub fn encoded(&self, codec: Codec) -> &Bytes {
        match codec {
            Codec::Pcmu => &self.pcmu,
            Codec::Pcma => &self.pcma,
        }
    }

    /// Its length in samples.
    pub fn samples(&self) -> usize {
        self.pcmu.len()
    }

    /// Its length.
    pub fn duration(&self) -> Duration {
        samples_to_duration(self.samples() as u64)
    }
}

/// Something to play.
#[derive(Clone)]
pub enum Audio {
    /// A prompt.
    Clip(Arc<EncodedClip>),
    /// 8 kHz mono PCM, encoded as it is sent.
    Samples(Vec<i16>),
    /// Silence.
    Silence(Duration),
}

impl std::fmt::Debug for Audio {
    // It may be what a caller said.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Audio({} samples)", self.samples())
    }
}

impl Audio {
    /// Its length in samples.
    pub fn samples(&self) -> usize {
        match self {
            Self::Clip(clip) => clip.samples(),
            Self::Samples(samples) => samples.len(),
            Self::Silence(duration) => {
                usize::try_from(duration_to_samples(*duration)).unwrap_or(usize::MAX)
            }
        }
    }
}

/// How long `samples` last at 8 kHz.
pub fn samples_to_duration(samples: u64) -> Duration {
    // One sample is 125 us.
    Duration::from_micros(samples.saturating_mul(125))
}

/// The whole samples in `duration` at 8 kHz.
pub fn duration_to_samples(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros() / 125).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clip_has_one_octet_a_sample_in_each_codec() {
        let clip = EncodedClip::from_pcm(&[0, 1000, -1000]);
        assert_eq!(clip.samples(), 3);
        assert_eq!(clip.encoded(Codec::Pcmu)[0], Codec::Pcmu.silence());
        assert_eq!(clip.encoded(Codec::Pcma)[0], Codec::Pcma.silence());
        assert_eq!(clip.duration(), Duration::from_micros(375));
    }

    #[test]
    fn samples_and_durations_agree() {
        assert_eq!(duration_to_samples(Duration::from_millis(20)), 160);
        assert_eq!(samples_to_duration(8000), Duration::from_secs(1));
    }
}
