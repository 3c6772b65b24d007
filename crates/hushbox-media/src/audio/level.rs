//! Levels in dBm0, and what they say about a recording.

use std::time::Duration;

use super::samples_to_duration;
use crate::limits::{VOICE_DURATION, VOICE_LEVEL_DBM0};

/// The root mean square of 0 dBm0 in 16-bit PCM: a full mu-law sine (peak 32124) is +3.17 dBm0.
const RMS_OF_0_DBM0: f64 = 15_770.0;
/// Levels are judged over pieces of this many samples, whatever the packets' size.
const WINDOW_SAMPLES: usize = 160;
/// The largest sample that is digital silence: A-law's least step is 8.
const DIGITAL_SILENCE: u16 = 8;

/// The level of `samples`; digital silence is minus infinity.
pub fn dbm0(samples: &[i16]) -> f64 {
    if samples.is_empty() {
        return f64::NEG_INFINITY;
    }
    let energy: f64 = samples.iter().map(|&sample| f64::from(sample).powi(2)).sum();
    20.0 * ((energy / samples.len() as f64).sqrt() / RMS_OF_0_DBM0).log10()
}

/// The peak of a sine of that level.
pub(crate) fn amplitude_of_dbm0(dbm0: f64) -> f64 {
    RMS_OF_0_DBM0 * std::f64::consts::SQRT_2 * 10f64.powf(dbm0 / 20.0)
}

/// Listens to a recording's level: was there voice, when was it loud last, was it all zeros?
#[derive(Debug, Clone)]
pub struct LevelDetector {
    threshold_energy: u64,
    window_energy: u64,
    window_samples: usize,
    loud_run: Duration,
    voiced: bool,
    only_digital_silence: bool,
}

impl Default for LevelDetector {
    fn default() -> Self {
        let mean_square = RMS_OF_0_DBM0.powi(2) * 10f64.powf(VOICE_LEVEL_DBM0 / 10.0);
        Self {
            threshold_energy: (mean_square * WINDOW_SAMPLES as f64) as u64,
            window_energy: 0,
            window_samples: 0,
            loud_run: Duration::ZERO,
            voiced: false,
            only_digital_silence: true,
        }
    }
}

impl LevelDetector {
    /// Hears `samples`; says whether a window that ended in them was above the threshold.
    pub fn hear(&mut self, samples: impl IntoIterator<Item = i16>) -> bool {
        let mut loud = false;
        for sample in samples {
            self.only_digital_silence &= sample.unsigned_abs() <= DIGITAL_SILENCE;
            self.window_energy += u64::from(sample.unsigned_abs()).pow(2);
            self.window_samples += 1;
            if self.window_samples == WINDOW_SAMPLES {
                loud |= self.end_window();
            }
        }
        loud
    }

    /// What was heard so far is not continued by what follows: lost packets, hold.
    pub fn interrupt(&mut self) {
        self.window_energy = 0;
        self.window_samples = 0;
        self.loud_run = Duration::ZERO;
    }

    /// Whether 100 ms in one piece were above -45 dBm0.
    pub fn voiced(&self) -> bool {
        self.voiced
    }

    /// Whether nothing but zeros was heard, or nothing at all.
    pub fn digital_silence(&self) -> bool {
        self.only_digital_silence
    }

    fn end_window(&mut self) -> bool {
        let loud = self.window_energy > self.threshold_energy;
        if loud {
            self.loud_run += samples_to_duration(WINDOW_SAMPLES as u64);
            self.voiced |= self.loud_run >= VOICE_DURATION;
        } else {
            self.loud_run = Duration::ZERO;
        }
        self.window_energy = 0;
        self.window_samples = 0;
        loud
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::tone::tone;

    fn hears(level: f64, millis: u64) -> LevelDetector {
        let mut detector = LevelDetector::default();
        detector.hear(tone(1000.0, level, Duration::from_millis(millis)));
        detector
    }

    #[test]
    fn a_tenth_of_a_second_above_the_threshold_is_voice() {
        assert!(hears(-44.0, 140).voiced());
        assert!(!hears(-46.0, 2000).voiced());
        assert!(!hears(-20.0, 80).voiced());
    }

    #[test]
    fn clicks_do_not_add_up_to_voice() {
        let mut detector = LevelDetector::default();
        for _ in 0..20 {
            detector.hear(tone(1000.0, -10.0, Duration::from_millis(40)));
            detector.hear([0; 320]);
        }
        assert!(!detector.voiced());
    }

    #[test]
    fn zeros_of_either_law_are_digital_silence_and_faint_noise_is_not() {
        let mut detector = LevelDetector::default();
        detector.hear([0, 8, -8]);
        assert!(detector.digital_silence());
        detector.hear([24]);
        assert!(!detector.digital_silence());
    }

    #[test]
    fn small_packets_are_judged_like_large_ones() {
        let mut detector = LevelDetector::default();
        for piece in tone(200.0, -40.0, Duration::from_millis(200)).chunks(7) {
            detector.hear(piece.iter().copied());
        }
        assert!(detector.voiced());
    }
}
