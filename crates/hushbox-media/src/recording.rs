//! Recorded frames: their format, and the timeline that comes out of them again.
//!
//! What the caller sent is kept octet for octet, with its place in time. A stream starts with
//! [`MAGIC`] (its last octet is the version) and goes on with records: kind (1 octet), place in
//! samples since the start (4, big-endian), length (2), that many octets of the codec's payload.
//! Records may overlap, and be out of order by up to
//! [`REORDER_WINDOW`](crate::limits::REORDER_WINDOW). What no record covers was lost and is silence.

mod decoder;
mod length;
mod recorder;
mod writer;

pub use decoder::{Decoder, FormatError};
pub use length::recorded_samples;
pub(crate) use recorder::Recorder;
pub use writer::FrameWriter;

use crate::audio::Codec;

/// What every stream of recorded frames starts with.
pub const MAGIC: [u8; 8] = *b"HBFRAME\x01";

/// Octets of a record before its payload.
const HEADER_BYTES: usize = 7;
/// The longest payload of a record.
const PAYLOAD_MAX: usize = crate::limits::PAYLOAD_BYTES;

/// What a record holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A payload as it came.
    Frame(Codec),
    /// Nothing; the recording lasts at least until this place.
    Until,
}

impl Kind {
    fn to_octet(self) -> u8 {
        match self {
            Self::Frame(Codec::Pcmu) => 1,
            Self::Frame(Codec::Pcma) => 2,
            Self::Until => 0,
        }
    }

    fn from_octet(octet: u8) -> Option<Self> {
        match octet {
            0 => Some(Self::Until),
            1 => Some(Self::Frame(Codec::Pcmu)),
            2 => Some(Self::Frame(Codec::Pcma)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_one_is_readable_and_written_to_the_octet() {
        // A golden stream: one mu-law frame, one A-law frame after a gap, and the end.
        let golden = [
            MAGIC.as_slice(),
            &[1, 0, 0, 0, 0, 0, 2, 0x80, 0x00],
            &[2, 0, 0, 0, 4, 0, 1, 0xaa],
            &[0, 0, 0, 0, 7, 0, 0],
        ]
        .concat();
        let mut writer = FrameWriter::default();
        writer.frame(Codec::Pcmu, 0, &[0x80, 0x00]);
        writer.frame(Codec::Pcma, 4, &[0xaa]);
        writer.until(7);
        assert_eq!(writer.take(), golden);
        let mut decoder = Decoder::default();
        decoder.push(&golden).expect("golden stream");
        decoder.finish();
        assert_eq!(decoder.pull(), [32_124, -32_124, 0, 0, 32_256, 0, 0]);
    }
}
