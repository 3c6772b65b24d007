//! Turns recorded frames into audio.

use std::collections::VecDeque;

use super::{HEADER_BYTES, Kind, MAGIC, PAYLOAD_MAX};
use crate::audio::duration_to_samples;
use crate::limits::REORDER_WINDOW;

/// The most samples that one [`Decoder::pull`] gives: half a second.
const PULL_SAMPLES: usize = 4000;

/// A stream of recorded frames that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// It starts with something else, or with a version from the future.
    #[error("not recorded frames of a known version")]
    Magic,
    /// A record of an unknown kind or of impossible length.
    #[error("damaged record of recorded frames")]
    Record,
}

/// Recorded frames in, 8 kHz PCM out, with silence for what was lost.
///
/// Memory is bounded by what is pushed and not yet pulled: silence is made as it is pulled.
#[derive(Default)]
pub struct Decoder {
    /// Octets of a record that is not complete yet.
    partial: Vec<u8>,
    started: bool,
    finished: bool,
    /// The place of the next sample that `pull` gives.
    place: u64,
    /// Until where the recording is known to last.
    until: u64,
    /// Decoded pieces that were not pulled yet, by place.
    pieces: VecDeque<Piece>,
}

struct Piece {
    place: u64,
    samples: Vec<i16>,
}

impl Piece {
    fn end(&self) -> u64 {
        self.place + self.samples.len() as u64
    }
}

impl std::fmt::Debug for Decoder {
    // What a caller said is not shown.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Decoder({} of {} samples)", self.place, self.until)
    }
}

impl Decoder {
    /// Takes the next octets of the stream, split anywhere.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), FormatError> {
        self.partial.extend_from_slice(bytes);
        let partial = std::mem::take(&mut self.partial);
        let mut rest = partial.as_slice();
        if !self.started {
            let Some((magic, records)) = rest.split_first_chunk::<8>() else {
                self.partial = partial;
                return Ok(());
            };
            if *magic != MAGIC {
                return Err(FormatError::Magic);
            }
            self.started = true;
            rest = records;
        }
        while let Some(header) = rest.first_chunk::<HEADER_BYTES>() {
            let kind = Kind::from_octet(header[0]).ok_or(FormatError::Record)?;
            let place = u32::from_be_bytes([header[1], header[2], header[3], header[4]]);
            let length = usize::from(u16::from_be_bytes([header[5], header[6]]));
            if length > PAYLOAD_MAX {
                return Err(FormatError::Record);
            }
            let Some(payload) = rest.get(HEADER_BYTES..HEADER_BYTES + length) else { break };
            rest = &rest[HEADER_BYTES + length..];
            self.record(kind, u64::from(place), payload);
        }
        self.partial = rest.to_vec();
        Ok(())
    }

    /// No more octets follow: what was held back for order comes out too.
    pub fn finish(&mut self) {
        self.finished = true;
    }

    /// The next samples, at most half a second of them; none when more octets are needed, or
    /// all was pulled.
    pub fn pull(&mut self) -> Vec<i16> {
        let window = if self.finished { 0 } else { duration_to_samples(REORDER_WINDOW) };
        let limit = self.until.saturating_sub(window);
        let count = limit.saturating_sub(self.place).min(PULL_SAMPLES as u64);
        let mut samples = vec![0; count as usize];
        let end = self.place + count;
        for piece in self.pieces.iter().take_while(|piece| piece.place < end) {
            let from = piece.place.max(self.place);
            let to = piece.end().min(end);
            if from < to {
                let source = (from - piece.place) as usize..(to - piece.place) as usize;
                let target = (from - self.place) as usize..(to - self.place) as usize;
                samples[target].copy_from_slice(&piece.samples[source]);
            }
        }
        self.place = end;
        self.pieces.retain(|piece| piece.end() > end);
        samples
    }

    /// Where the timeline ends, as far as is known.
    pub fn end(&self) -> u64 {
        self.until
    }

    /// Samples given so far.
    pub fn pulled(&self) -> u64 {
        self.place
    }

    fn record(&mut self, kind: Kind, place: u64, payload: &[u8]) {
        let Kind::Frame(codec) = kind else {
            self.until = self.until.max(place);
            return;
        };
        let samples = payload.iter().map(|&octet| codec.decode(octet));
        let end = place + payload.len() as u64;
        self.until = self.until.max(end);
        if end <= self.place {
            return;
        }
        // What follows on the last piece is one with it.
        if let Some(last) = self.pieces.back_mut()
            && last.end() == place
            && last.samples.len() < PULL_SAMPLES
        {
            last.samples.extend(samples);
            return;
        }
        let index = self.pieces.partition_point(|known| known.place <= place);
        self.pieces.insert(index, Piece { place, samples: samples.collect() });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::audio::Codec;
    use crate::recording::FrameWriter;

    fn all(decoder: &mut Decoder) -> Vec<i16> {
        decoder.finish();
        let mut samples = Vec::new();
        loop {
            let piece = decoder.pull();
            if piece.is_empty() {
                return samples;
            }
            samples.extend(piece);
        }
    }

    #[test]
    fn frames_out_of_order_find_their_place() {
        let mut writer = FrameWriter::default();
        writer.frame(Codec::Pcmu, 160, &[0x00; 160]);
        writer.frame(Codec::Pcmu, 0, &[0x80; 160]);
        let mut decoder = Decoder::default();
        decoder.push(&writer.take()).unwrap();
        assert!(decoder.pull().is_empty(), "the window keeps room for order");
        let samples = all(&mut decoder);
        assert_eq!(samples.len(), 320);
        assert_eq!((samples[0], samples[319]), (32_124, -32_124));
    }

    #[test]
    fn lost_frames_are_silence_of_their_length() {
        let mut writer = FrameWriter::default();
        writer.frame(Codec::Pcma, 0, &[0xaa; 160]);
        writer.frame(Codec::Pcma, 480, &[0xaa; 160]);
        let mut decoder = Decoder::default();
        decoder.push(&writer.take()).unwrap();
        let samples = all(&mut decoder);
        assert_eq!(samples.len(), 640);
        assert!(samples[160..480].iter().all(|&sample| sample == 0));
    }

    #[test]
    fn a_long_stream_comes_out_as_it_went_in_whatever_the_rhythm() {
        let octets: Vec<u8> = (0..40_000u32).map(|index| (index * 7 % 251) as u8).collect();
        let mut writer = FrameWriter::default();
        let mut decoder = Decoder::default();
        let mut samples = Vec::new();
        for (index, frame) in octets.chunks(160).enumerate() {
            writer.frame(Codec::Pcma, index as u32 * 160, frame);
            if index % 3 == 0 {
                decoder.push(&writer.take()).unwrap();
                samples.extend(decoder.pull());
            }
        }
        decoder.push(&writer.take()).unwrap();
        samples.extend(all(&mut decoder));
        let expected: Vec<i16> = octets.iter().map(|&octet| Codec::Pcma.decode(octet)).collect();
        assert!(samples == expected);
    }

    #[test]
    fn another_version_is_refused() {
        assert_eq!(Decoder::default().push(b"HBFRAME\x02"), Err(FormatError::Magic));
    }

    proptest! {
        #[test]
        fn a_stream_may_be_split_anywhere(split in 0usize..360) {
            let mut writer = FrameWriter::default();
            writer.frame(Codec::Pcmu, 0, &[0x80; 160]);
            writer.frame(Codec::Pcmu, 160, &[0x00; 160]);
            let stream = writer.take();
            let (first, second) = stream.split_at(split.min(stream.len()));
            let mut decoder = Decoder::default();
            decoder.push(first).unwrap();
            decoder.push(second).unwrap();
            prop_assert_eq!(all(&mut decoder).len(), 320);
        }

        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let mut decoder = Decoder::default();
            let _ = decoder.push(&MAGIC);
            let _ = decoder.push(&bytes);
            decoder.finish();
            for _ in 0..4 {
                prop_assert!(decoder.pull().len() <= PULL_SAMPLES);
            }
        }
    }
}
