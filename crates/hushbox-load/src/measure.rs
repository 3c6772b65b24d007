//! Measuring sound: is it the same, where does it begin, how long is it, where are tones and speech.

mod fft;

use std::time::Duration;

use fft::{Complex, transform};

use crate::timeline::{RATE, samples_in};

/// Where a piece of sound was found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Match {
    /// The sample at which it begins.
    pub offset: usize,
    /// The normalised cross-correlation there: 1 is the same.
    pub correlation: f64,
}

/// How a recording compares with what was sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Comparison {
    /// Where the whole of it was found.
    pub whole: Match,
    /// How much longer it has become between its first and its last half second, in samples.
    pub stretched: i64,
}

impl Comparison {
    /// The same audio, and as long: the bar for every recording.
    pub fn is_same(&self) -> bool {
        self.whole.correlation > 0.99
            && self.stretched.unsigned_abs() as usize <= samples_in(LENGTH_TOLERANCE)
    }
}

/// How far the length of a recording may be off.
pub const LENGTH_TOLERANCE: Duration = Duration::from_millis(20);

/// Finds `wanted` in `heard`, at every sample: correlation by FFT, each place normalised by its own energy.
/// What is heard is taken to be silent before and after.
pub fn find(wanted: &[i16], heard: &[i16]) -> Option<Match> {
    let energy = |samples: &[i16]| samples.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>();
    let wanted_energy = energy(wanted);
    if wanted.is_empty() || heard.len() < wanted.len() || wanted_energy == 0.0 {
        return None;
    }
    let size = (heard.len() + wanted.len()).next_power_of_two();
    // Two real signals in one complex transform: what is heard in the real, what is wanted (reversed in
    // time by taking the conjugate) in the imaginary part.
    let mut both = vec![Complex::default(); size];
    for (place, sample) in both.iter_mut().zip(heard) {
        place.re = f64::from(*sample);
    }
    for (place, sample) in both.iter_mut().zip(wanted) {
        place.im = f64::from(*sample);
    }
    transform(&mut both, false);
    let mut product = vec![Complex::default(); size];
    for k in 0..size {
        let (z, mirror) = (both[k], both[(size - k) % size].conjugate());
        let heard_k = (z + mirror).scaled(0.5);
        let wanted_k = (z - mirror).over_i().scaled(0.5);
        product[k] = heard_k * wanted_k.conjugate();
    }
    transform(&mut product, true);
    let mut window = energy(&heard[..wanted.len()]);
    let mut best = Match { offset: 0, correlation: f64::MIN };
    for offset in 0..=heard.len() - wanted.len() {
        // Windows that are nearly silent correlate with anything; a millionth of what is wanted is silent.
        if window > wanted_energy * 1e-6 {
            let correlation = product[offset].re / size as f64 / (window * wanted_energy).sqrt();
            if correlation > best.correlation {
                best = Match { offset, correlation };
            }
        }
        if let Some(next) = heard.get(offset + wanted.len()) {
            window += f64::from(*next).powi(2) - f64::from(heard[offset]).powi(2);
        }
    }
    (best.correlation > f64::MIN).then_some(best)
}

/// Compares what was sent with what was heard of it: the whole, and head and tail each by itself.
pub fn compare(sent: &[i16], heard: &[i16]) -> Option<Comparison> {
    let whole = find(sent, heard)?;
    let part = (RATE / 2).min(sent.len());
    let slack = RATE / 2;
    let around = |from: usize| {
        let begin = (whole.offset + from).saturating_sub(slack);
        let end = (whole.offset + from + part + slack).min(heard.len());
        let found = find(&sent[from..from + part], &heard[begin..end])?;
        Some((begin + found.offset) as i64 - from as i64)
    };
    let stretched = around(sent.len() - part)? - around(0)?;
    Some(Comparison { whole, stretched })
}

/// A stretch of a longer source that was heard whole.
#[derive(Debug, Clone, PartialEq)]
pub struct Extent {
    /// The stretch, in the source.
    pub source: std::ops::Range<usize>,
    /// Where it begins in what was heard.
    pub heard: usize,
    /// The normalised cross-correlation of the whole stretch.
    pub correlation: f64,
}

/// How far what was heard is the source: from a piece of it that is known to be there, frame by frame to both
/// sides until it is something else.
pub fn extent(source: &[i16], piece: std::ops::Range<usize>, heard: &[i16]) -> Option<Extent> {
    let seed = find(&source[piece.clone()], heard)?;
    let shift = seed.offset as i64 - piece.start as i64;
    let heard_at = |at: usize| usize::try_from(at as i64 + shift).ok();
    let same = |from: usize, to: usize| {
        let there = heard_at(from).and_then(|h| heard.get(h..h + (to - from)));
        there.is_some_and(|there| correlation(&source[from..to], there) > 0.9)
    };
    let std::ops::Range { mut start, mut end } = piece;
    while start >= FRAME && same(start - FRAME, start) {
        start -= FRAME;
    }
    while end + FRAME <= source.len() && same(end, end + FRAME) {
        end += FRAME;
    }
    let from = heard_at(start)?;
    let there = heard.get(from..from + (end - start))?;
    let correlation = correlation(&source[start..end], there);
    Some(Extent { source: start..end, heard: from, correlation })
}

/// The normalised cross-correlation of two stretches of one length.
fn correlation(one: &[i16], other: &[i16]) -> f64 {
    let dot = |a: &[i16], b: &[i16]| -> f64 {
        a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
    };
    dot(one, other) / (dot(one, one) * dot(other, other)).sqrt().max(f64::MIN_POSITIVE)
}

/// The level of some samples: 0 is a full-scale square wave.
pub fn level_dbfs(samples: &[i16]) -> f64 {
    let energy: f64 = samples.iter().map(|s| f64::from(*s).powi(2)).sum();
    10.0 * (energy / samples.len().max(1) as f64 / 32_768f64.powi(2)).max(1e-12).log10()
}

/// Above this a frame is loud: well under the -20 dBFS of the prompts.
const LOUD_DBFS: f64 = -45.0;

/// Is there sound in this frame?
pub fn is_loud(frame: &[i16]) -> bool {
    level_dbfs(frame) > LOUD_DBFS
}

/// The stretches with sound in them, as samples from and to; pauses shorter than `pause` do not end one.
pub fn segments(samples: &[i16], pause: Duration) -> Vec<std::ops::Range<usize>> {
    let mut found: Vec<std::ops::Range<usize>> = Vec::new();
    for (number, frame) in samples.chunks(FRAME).enumerate() {
        if !is_loud(frame) {
            continue;
        }
        let (from, to) = (number * FRAME, number * FRAME + frame.len());
        match found.last_mut() {
            Some(last) if from - last.end <= samples_in(pause) => last.end = to,
            _ => found.push(from..to),
        }
    }
    found
}

/// The frame in which tones and loudness are looked for: 10 ms.
const FRAME: usize = 80;

/// The shortest tone that is taken for a beep: a vowel does not hold one frequency for so long.
const TONE_MIN_FRAMES: usize = 12;

/// A pure tone.
#[derive(Debug, Clone, PartialEq)]
pub struct Tone {
    /// Its samples.
    pub range: std::ops::Range<usize>,
    /// Its frequency.
    pub hertz: f64,
}

/// The pure tones of at least 120 ms.
pub fn tones(samples: &[i16]) -> Vec<Tone> {
    let mut detector = ToneDetector::default();
    let mut found = detector.push(samples);
    found.extend(detector.sounding().cloned());
    found
}

/// Finds tones in sound that arrives piece by piece.
#[derive(Debug, Default)]
pub struct ToneDetector {
    rest: Vec<i16>,
    at: usize,
    running: Option<Tone>,
}

impl ToneDetector {
    /// Takes more sound; gives the tones that have ended in it.
    pub fn push(&mut self, samples: &[i16]) -> Vec<Tone> {
        self.rest.extend_from_slice(samples);
        let mut ended = Vec::new();
        let whole = self.rest.len() / FRAME * FRAME;
        for frame in self.rest[..whole].chunks(FRAME) {
            let range = self.at..self.at + FRAME;
            self.at += FRAME;
            let hertz = frequency(frame);
            match (&mut self.running, hertz) {
                (Some(tone), Some(hertz)) if (hertz / tone.hertz - 1.0).abs() < 0.03 => {
                    tone.range.end = range.end;
                }
                (running, hertz) => {
                    let next = hertz.map(|hertz| Tone { range, hertz });
                    ended.extend(std::mem::replace(running, next).filter(is_long));
                }
            }
        }
        self.rest.drain(..whole);
        ended
    }

    /// The tone that sounds at the end of what was pushed: where nothing follows, it has ended.
    pub fn sounding(&self) -> Option<&Tone> {
        self.running.as_ref().filter(|tone| is_long(tone))
    }
}

fn is_long(tone: &Tone) -> bool {
    tone.range.len() >= TONE_MIN_FRAMES * FRAME
}

/// The frequency of a frame that holds one sine and nothing else. A sine obeys
/// x[n+1] + x[n-1] = 2 cos(w) x[n]; the best cos(w) is a least-squares fit, and what it leaves says how pure
/// the tone is.
fn frequency(frame: &[i16]) -> Option<f64> {
    if !is_loud(frame) {
        return None;
    }
    let (mut cross, mut power, mut sums) = (0.0, 0.0, 0.0);
    for three in frame.windows(3) {
        let middle = f64::from(three[1]);
        let sum = f64::from(three[0]) + f64::from(three[2]);
        cross += sum * middle;
        power += middle * middle;
        sums += sum * sum;
    }
    if power == 0.0 {
        return None;
    }
    let twice_cosine = cross / power;
    let left = (sums - cross * twice_cosine) / power;
    let hertz = (twice_cosine / 2.0).clamp(-1.0, 1.0).acos() / std::f64::consts::TAU * RATE as f64;
    (left < 0.01 && (300.0..2500.0).contains(&hertz)).then_some(hertz)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::g711::Codec;
    use crate::voice::babble;

    fn sine(hertz: f64, samples: usize, amplitude: f64) -> Vec<i16> {
        let step = std::f64::consts::TAU * hertz / RATE as f64;
        (0..samples).map(|n| ((n as f64 * step).sin() * amplitude) as i16).collect()
    }

    #[test]
    fn a_recording_through_mu_law_is_found_where_it_is_and_is_the_same() {
        let sent = babble([1; 32], 2 * RATE);
        let mut heard = babble([2; 32], RATE + 17);
        heard.extend(Codec::Pcmu.decode(&Codec::Pcmu.encode(&sent)));
        heard.extend(babble([3; 32], 500));
        let comparison = compare(&sent, &heard).expect("found");
        assert_eq!(comparison.whole.offset, RATE + 17);
        assert!(comparison.whole.correlation > 0.999, "{comparison:?}");
        assert_eq!(comparison.stretched, 0);
        assert!(comparison.is_same());
    }

    #[test]
    fn the_fft_gives_what_the_definition_gives() {
        let (wanted, heard) = (babble([1; 32], 90), babble([2; 32], 400));
        let by_definition =
            |offset: usize| correlation(&wanted, &heard[offset..offset + wanted.len()]);
        let found = find(&wanted, &heard).expect("something");
        assert!((found.correlation - by_definition(found.offset)).abs() < 1e-9);
        let best = (0..=heard.len() - wanted.len()).map(by_definition).fold(f64::MIN, f64::max);
        assert!((found.correlation - best).abs() < 1e-9);
    }

    #[test]
    fn the_extent_of_a_stretch_is_found_to_the_frame() {
        let source = babble([1; 32], 6 * RATE);
        let mut heard = babble([2; 32], RATE);
        heard.extend(Codec::Pcma.decode(&Codec::Pcma.encode(&source[12_000..30_400])));
        heard.extend(babble([3; 32], RATE));
        let found = extent(&source, 20_000..24_000, &heard).expect("there");
        assert!(found.source.start.abs_diff(12_000) <= FRAME, "{found:?}");
        assert!(found.source.end.abs_diff(30_400) <= FRAME, "{found:?}");
        assert_eq!(found.heard + 12_000, RATE + found.source.start);
        assert!(found.correlation > 0.99);
    }

    #[test]
    fn forty_lost_milliseconds_are_noticed() {
        let sent = babble([1; 32], 3 * RATE);
        let mut heard = sent.clone();
        heard.drain(RATE..RATE + 320);
        heard.extend([0; 4000]);
        let comparison = compare(&sent, &heard).expect("found");
        assert_eq!(comparison.stretched, -320);
        assert!(!comparison.is_same());
    }

    #[test]
    fn something_else_and_silence_are_not_it() {
        let sent = babble([1; 32], RATE);
        assert!(find(&sent, &babble([2; 32], 3 * RATE)).is_none_or(|m| m.correlation < 0.4));
        assert_eq!(find(&sent, &vec![0; 2 * RATE]), None);
        assert_eq!(find(&sent, &sent[1..]), None);
        assert_eq!(find(&[0; 100], &sent), None);
    }

    #[test]
    fn a_beep_is_found_after_speech_through_both_laws() {
        for codec in [Codec::Pcmu, Codec::Pcma] {
            let mut sound = babble([5; 32], 2 * RATE);
            sound.extend(sine(1000.0, 3200, 5000.0));
            sound.extend([0; 1600]);
            let heard = codec.decode(&codec.encode(&sound));
            let mut detector = ToneDetector::default();
            let found: Vec<Tone> = heard.chunks(37).flat_map(|c| detector.push(c)).collect();
            assert_eq!(found.len(), 1, "{found:?}");
            assert!((found[0].hertz - 1000.0).abs() < 10.0);
            assert!(found[0].range.start.abs_diff(2 * RATE) <= 2 * FRAME);
            assert!(found[0].range.end.abs_diff(2 * RATE + 3200) <= 2 * FRAME);
            assert_eq!(tones(&heard), found);
        }
        assert!(tones(&sine(1000.0, 800, 5000.0)).is_empty(), "too short");
    }

    #[test]
    fn speech_between_silences_is_one_segment() {
        let mut sound = vec![0; RATE];
        sound.extend(babble([1; 32], RATE));
        sound.extend(vec![0; RATE]);
        sound.extend(babble([2; 32], RATE));
        let found = segments(&sound, Duration::from_millis(300));
        assert_eq!(found.len(), 2);
        assert!(found[0].start.abs_diff(RATE) < 400 && found[0].end.abs_diff(2 * RATE) < 1000);
    }
}
