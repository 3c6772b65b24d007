//! Tones made, not recorded.

use std::f64::consts::TAU;
use std::time::Duration;

use super::duration_to_samples;
use super::level::amplitude_of_dbm0;
use crate::limits::SAMPLE_RATE;

/// Faded in and out over this long, so that it does not click.
const FADE: Duration = Duration::from_millis(5);

/// A sine of `hertz` at `dbm0` for `duration`.
pub fn tone(hertz: f64, dbm0: f64, duration: Duration) -> Vec<i16> {
    let count = duration_to_samples(duration.min(crate::limits::CLIP_DURATION));
    let fade = duration_to_samples(FADE).min(count / 2).max(1);
    let peak = amplitude_of_dbm0(dbm0);
    (0..count)
        .map(|index| {
            let envelope = (index + 1).min(count - index).min(fade) as f64 / fade as f64;
            let phase = TAU * hertz * index as f64 / f64::from(SAMPLE_RATE);
            (peak * envelope * phase.sin()).round() as i16
        })
        .collect()
}

/// The beep after which the caller speaks: 1000 Hz, 300 ms.
pub fn beep() -> Vec<i16> {
    tone(1000.0, -13.0, Duration::from_millis(300))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::level::dbm0;

    #[test]
    fn a_tone_has_its_length_and_level() {
        let samples = tone(1000.0, -13.0, Duration::from_millis(300));
        assert_eq!(samples.len(), 2400);
        assert!((dbm0(&samples[80..2320]) + 13.0).abs() < 0.1);
        assert_eq!(samples[0], 0);
    }
}
