use std::time::Duration;

use super::*;
use crate::audio::tone::tone;
use crate::recording::Decoder;
use crate::test_support::epoch;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

struct Bench {
    epoch: Instant,
    now: Instant,
    recorder: Recorder,
    frames: Vec<u8>,
}

impl Bench {
    fn new(limits: RecordingLimits) -> Self {
        let epoch = epoch();
        Self { epoch, now: epoch, recorder: Recorder::new(epoch, limits), frames: Vec::new() }
    }

    fn packet(&mut self, timestamp: u32, samples: usize) {
        self.packet_of(1, timestamp, false, &vec![Codec::Pcmu.encode(8000); samples]);
    }

    fn packet_of(&mut self, ssrc: u32, timestamp: u32, late: bool, payload: &[u8]) {
        let header =
            Header { marker: false, payload_type: 0, sequence: 0, timestamp, ssrc: Ssrc(ssrc) };
        self.recorder.audio(self.now, &header, late, Codec::Pcmu, payload);
    }

    fn wait(&mut self, duration: Duration) -> Option<RecordingEnd> {
        self.now += duration;
        let end = self.recorder.handle_timeout(self.now);
        self.frames.extend(self.recorder.frames(self.now).unwrap_or_default());
        end
    }

    /// Packets of 20 ms from this timestamp on.
    fn packets(&mut self, timestamp: u32, count: u32) {
        for index in 0..count {
            self.packet(timestamp.wrapping_add(160 * index), 160);
            self.wait(20 * MS);
        }
    }

    fn finish(mut self) -> (RecordingSummary, Vec<i16>) {
        let (summary, frames) = self.recorder.finish();
        self.frames.extend(frames.unwrap_or_default());
        let mut decoder = Decoder::default();
        decoder.push(&self.frames).unwrap();
        decoder.finish();
        let mut samples = Vec::new();
        loop {
            let piece = decoder.pull();
            if piece.is_empty() {
                return (summary, samples);
            }
            samples.extend(piece);
        }
    }
}

fn limits(max: u64, silence: u64) -> RecordingLimits {
    RecordingLimits { max: Duration::from_secs(max), silence: Duration::from_secs(silence) }
}

#[test]
fn what_comes_is_kept_to_the_sample_whatever_the_packets_size() {
    let mut bench = Bench::new(limits(180, 10));
    let mut timestamp = u32::MAX - 500;
    for samples in [80, 160, 240, 480, 1, 160] {
        bench.packet(timestamp, samples);
        timestamp = timestamp.wrapping_add(samples as u32);
        bench.wait(samples_to_duration(samples as u64));
    }
    let (summary, audio) = bench.finish();
    assert_eq!(summary.samples, 1121);
    assert_eq!(audio.len(), 1121);
    assert!(audio.iter().all(|&sample| sample != 0));
}

#[test]
fn lost_packets_are_silence_of_their_length() {
    let mut bench = Bench::new(limits(180, 10));
    bench.packets(0, 10);
    bench.wait(60 * MS);
    bench.packets(160 * 13, 10);
    let (summary, audio) = bench.finish();
    assert_eq!((summary.samples, summary.packets), (160 * 23, 20));
    assert!(audio[1600..2080].iter().all(|&sample| sample == 0));
    assert!(audio[2080..].iter().all(|&sample| sample != 0));
}

#[test]
fn three_seconds_without_packets_are_three_seconds_of_silence() {
    let mut bench = Bench::new(limits(180, 10));
    bench.packets(0, 50);
    bench.wait(3 * SECOND);
    bench.packets(160 * 200, 50);
    assert_eq!(bench.finish().0.samples, 5 * 8000);
}

#[test]
fn a_jump_of_an_hour_that_did_not_pass_adds_nothing() {
    for jump in [3600 * 8000, u32::MAX / 2, u32::MAX - 8 * 3600, 0u32.wrapping_sub(3 * 8000)] {
        let mut bench = Bench::new(limits(180, 10));
        bench.packets(1_000_000, 50);
        bench.packets(1_000_000u32.wrapping_add(50 * 160).wrapping_add(jump), 50);
        let (summary, audio) = bench.finish();
        assert_eq!(summary.samples, 2 * 8000, "{jump}");
        assert_eq!(audio.len(), 2 * 8000);
    }
}

#[test]
fn jumps_that_are_believed_cannot_pile_up() {
    let mut bench = Bench::new(limits(180, 10));
    for index in 0..50 {
        bench.packet(index * 15_000, 160);
        bench.wait(20 * MS);
    }
    assert!(bench.recorder.length() <= 4 * SECOND, "{:?}", bench.recorder.length());
}

#[test]
fn a_new_source_follows_after_the_time_that_was_between() {
    let mut bench = Bench::new(limits(180, 10));
    bench.packets(0, 50);
    bench.wait(500 * MS);
    bench.packet_of(2, 77_777, false, &[0; 160]);
    bench.wait(20 * MS);
    bench.packet_of(3, 5, false, &[0; 160]);
    assert_eq!(bench.finish().0.samples, 8000 + 4000 + 320);
}

#[test]
fn packets_out_of_order_are_put_right() {
    let mut bench = Bench::new(limits(180, 10));
    let payload = |level: i16| vec![Codec::Pcmu.encode(level); 160];
    bench.packet_of(1, 0, false, &payload(1000));
    bench.wait(40 * MS);
    bench.packet_of(1, 320, false, &payload(3000));
    bench.packet_of(1, 160, true, &payload(2000));
    // Far too late: it is not put at the end.
    bench.wait(SECOND);
    bench.packet_of(1, 8480, false, &payload(4000));
    bench.packet_of(1, 320, true, &payload(-9000));
    let (summary, audio) = bench.finish();
    assert_eq!(summary.samples, 8640);
    assert!(audio[0] < audio[160] && audio[160] < audio[320]);
    assert!(audio.iter().all(|&sample| sample >= 0));
}

#[test]
fn drift_of_the_peers_clock_is_followed() {
    let mut bench = Bench::new(limits(1000, 10));
    // 200 ppm fast for ten minutes.
    for index in 0..30_000u32 {
        bench.packet(index * 160, 160);
        bench.wait(Duration::from_nanos(19_996_000));
    }
    assert_eq!(bench.finish().0.samples, 30_000 * 160);
}

#[test]
fn the_longest_recording_ends_to_the_sample() {
    let mut bench = Bench::new(limits(2, 10));
    for index in 0..120u32 {
        bench.packet(index * 150, 150);
        bench.wait(Duration::from_micros(18_750));
    }
    assert_eq!(bench.recorder.handle_timeout(bench.now), Some(RecordingEnd::MaxLength));
    let (summary, audio) = bench.finish();
    assert_eq!((summary.samples, audio.len()), (16_000, 16_000));
}

#[test]
fn ten_seconds_of_silence_end_it_and_stay_in_it() {
    let mut bench = Bench::new(limits(180, 10));
    bench.packets(0, 50);
    for index in 50..550u32 {
        bench.packet_of(1, index * 160, false, &[0xff; 160]);
        if bench.wait(20 * MS).is_some() {
            break;
        }
    }
    assert_eq!(bench.recorder.handle_timeout(bench.now), Some(RecordingEnd::Silence));
    let (summary, _) = bench.finish();
    let seconds = samples_to_duration(summary.samples);
    assert!(seconds >= 10_900 * MS && seconds <= 11_040 * MS, "{seconds:?}");
    assert!(summary.voiced && !summary.digital_silence);
}

#[test]
fn ten_seconds_without_packets_end_it_and_stay_in_it() {
    let mut bench = Bench::new(limits(180, 10));
    bench.packets(0, 50);
    assert_eq!(bench.wait(9900 * MS), None);
    assert_eq!(bench.wait(100 * MS), Some(RecordingEnd::Silence));
    let (summary, audio) = bench.finish();
    let seconds = samples_to_duration(summary.samples);
    assert!(seconds >= 10_900 * MS && seconds <= 11_040 * MS, "{seconds:?}");
    assert_eq!(audio.len() as u64, summary.samples);
}

#[test]
fn hold_counts_neither_as_length_nor_as_silence() {
    let mut bench = Bench::new(limits(4, 10));
    bench.packets(0, 50);
    bench.recorder.pause(bench.now);
    assert_eq!(bench.wait(20 * SECOND), None);
    bench.packet(160 * 60, 160);
    assert_eq!(bench.recorder.deadline(), None);
    bench.recorder.resume(bench.now);
    bench.packets(160 * 5000, 50);
    assert_eq!(bench.recorder.handle_timeout(bench.now), None);
    assert_eq!(bench.finish().0.samples, 2 * 8000);
}

#[test]
fn nothing_at_all_is_digital_silence() {
    let mut bench = Bench::new(limits(180, 10));
    assert_eq!(bench.recorder.deadline(), Some(bench.epoch + 10 * SECOND));
    bench.wait(SECOND);
    let (summary, audio) = bench.finish();
    assert_eq!(summary.packets, 0);
    assert!(summary.digital_silence && !summary.voiced);
    assert!(audio.is_empty());
}

#[test]
fn frames_are_given_twice_a_second() {
    let mut bench = Bench::new(limits(180, 10));
    let voice = tone(300.0, -20.0, SECOND);
    let mut given = 0;
    for (index, piece) in voice.chunks(160).enumerate() {
        let payload: Vec<u8> = piece.iter().map(|&sample| Codec::Pcmu.encode(sample)).collect();
        bench.packet_of(1, index as u32 * 160, false, &payload);
        let before = bench.frames.len();
        bench.wait(20 * MS);
        given += usize::from(bench.frames.len() > before);
    }
    assert_eq!(given, 2);
}
