//! Sound to send: WAV files, and a voice that says nothing but has the shape of speech.

use std::path::Path;

use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore as _, SeedableRng as _};

use crate::error::Error;
use crate::limits::WAV_MAX_BYTES;
use crate::timeline::RATE;

/// Reads a WAV of 16-bit mono at 8 kHz.
pub fn read_wav(path: &Path) -> Result<Vec<i16>, Error> {
    let size = std::fs::metadata(path).map_err(|e| Error::file(path, e))?.len();
    if size > WAV_MAX_BYTES {
        return Err(Error::content(path, "too long"));
    }
    let wrong = |e: hound::Error| Error::content(path, e.to_string());
    let mut reader = hound::WavReader::open(path).map_err(wrong)?;
    let spec = reader.spec();
    if (spec.channels, spec.sample_rate, spec.bits_per_sample) != (1, RATE as u32, 16) {
        return Err(Error::content(path, "not 16-bit mono at 8 kHz"));
    }
    reader.samples::<i16>().collect::<Result<_, _>>().map_err(wrong)
}

/// Writes a WAV of 16-bit mono at 8 kHz.
pub fn write_wav(path: &Path, samples: &[i16]) -> Result<(), Error> {
    let wrong = |e: hound::Error| Error::content(path, e.to_string());
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: RATE as u32,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(path, spec).map_err(wrong)?;
    for sample in samples {
        writer.write_sample(*sample).map_err(wrong)?;
    }
    writer.finalize().map_err(wrong)
}

/// A babble of syllables: gliding harmonics under moving formants, hisses between them, short pauses, all in
/// a room that is never silent, so that every frame can be told from every other. Each seed gives another.
/// About -20 dBFS.
pub fn babble(seed: [u8; 32], samples: usize) -> Vec<i16> {
    let mut random = Random(ChaCha20Rng::from_seed(seed));
    let mut sound: Vec<f64> = Vec::with_capacity(samples + RATE);
    while sound.len() < samples {
        random.hiss(&mut sound);
        random.vowel(&mut sound);
        let pause = random.between(0.01, 0.09);
        sound.extend(std::iter::repeat_n(0.0, (pause * RATE as f64) as usize));
    }
    sound.truncate(samples);
    let energy: f64 = sound.iter().map(|s| s * s).sum();
    let rms = (energy / samples.max(1) as f64).sqrt().max(f64::EPSILON);
    let gain = 3276.8 / rms;
    let mut room = || random.between(-ROOM, ROOM);
    sound.iter().map(|s| (s * gain + room()).clamp(-30_000.0, 30_000.0) as i16).collect()
}

/// The room's noise: about -40 dBFS.
const ROOM: f64 = 560.0;

struct Random(ChaCha20Rng);

impl Random {
    fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * f64::from(self.0.next_u32()) / f64::from(u32::MAX)
    }

    fn hiss(&mut self, sound: &mut Vec<f64>) {
        let length = (self.between(0.03, 0.08) * RATE as f64) as usize;
        let mut before = 0.0;
        for at in 0..length {
            let noise = self.between(-0.25, 0.25);
            sound.push((noise - before * 0.6) * swell(at, length));
            before = noise;
        }
    }

    fn vowel(&mut self, sound: &mut Vec<f64>) {
        let length = (self.between(0.12, 0.28) * RATE as f64) as usize;
        let (mut pitch, last_pitch) = (self.between(95.0, 200.0), self.between(95.0, 200.0));
        let glide = (last_pitch - pitch) / length as f64;
        let formants =
            [self.between(280.0, 800.0), self.between(900.0, 2200.0), self.between(2300.0, 3100.0)];
        let phase: Vec<f64> = (0..32).map(|_| self.between(0.0, std::f64::consts::TAU)).collect();
        let mut turned = 0.0;
        for at in 0..length {
            pitch += glide;
            turned += std::f64::consts::TAU * pitch / RATE as f64;
            let mut sample = 0.0;
            for (number, phase) in (1..).zip(&phase) {
                let frequency = pitch * f64::from(number);
                if frequency > 3300.0 {
                    break;
                }
                let near = |f: &f64| 1.0 / (1.0 + ((frequency - f) / 120.0).powi(2));
                let strength: f64 = formants.iter().map(near).sum::<f64>() + 0.04;
                sample += strength * (turned * f64::from(number) + phase).sin();
            }
            sound.push(sample * swell(at, length));
        }
    }
}

/// Up and down again, without a click.
fn swell(at: usize, length: usize) -> f64 {
    (std::f64::consts::PI * at as f64 / length as f64).sin().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure;

    #[test]
    fn the_babble_is_loud_enough_and_its_own() {
        let one = babble([1; 32], 4 * RATE);
        assert_eq!(one.len(), 4 * RATE);
        assert_eq!(one, babble([1; 32], 4 * RATE));
        let level = measure::level_dbfs(&one);
        assert!((-23.0..-18.0).contains(&level), "{level}");
        let other = babble([2; 32], 4 * RATE);
        let same = measure::find(&one, &other).map_or(0.0, |m| m.correlation);
        assert!(same < 0.3, "{same}");
        assert!(measure::tones(&one).is_empty(), "no beep in it");
    }

    #[test]
    fn a_wav_is_read_as_it_was_written() {
        let folder = std::env::temp_dir()
            .join(format!("hushbox-load-{}", uuid::Uuid::from_u128(7).simple()));
        std::fs::create_dir_all(&folder).expect("folder");
        let path = folder.join("a.wav");
        let sound = babble([3; 32], 1000);
        write_wav(&path, &sound).expect("writes");
        assert_eq!(read_wav(&path).expect("reads"), sound);
        std::fs::write(&path, b"RIFF no").expect("writes");
        assert!(read_wav(&path).is_err());
        std::fs::remove_dir_all(&folder).expect("removed");
    }
}
