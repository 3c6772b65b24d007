//! How far a piece of a recording reaches.

use super::{HEADER_BYTES, Kind, MAGIC};

/// The place, in samples since the start, at which whole records end; 0 where there is none. What is no record is
/// passed over: this is for our own writer's output, as it is given out.
pub fn recorded_samples(records: &[u8]) -> u64 {
    let mut rest = records.strip_prefix(&MAGIC).unwrap_or(records);
    let mut end = 0;
    while let Some((header, payload)) = rest.split_first_chunk::<HEADER_BYTES>() {
        let place = u64::from(u32::from_be_bytes([header[1], header[2], header[3], header[4]]));
        let length = u16::from_be_bytes([header[5], header[6]]);
        let samples = match Kind::from_octet(header[0]) {
            // One octet is one sample in every codec so far.
            Some(Kind::Frame(_)) => u64::from(length),
            Some(Kind::Until) | None => 0,
        };
        end = end.max(place + samples);
        let Some(next) = payload.get(usize::from(length)..) else { break };
        rest = next;
    }
    end
}

#[cfg(test)]
mod tests {
    use super::super::FrameWriter;
    use super::*;
    use crate::audio::Codec;

    #[test]
    fn a_piece_reaches_as_far_as_its_last_frame_or_mark() {
        let mut writer = FrameWriter::default();
        writer.frame(Codec::Pcmu, 0, &[0xff; 160]);
        writer.frame(Codec::Pcmu, 320, &[0xff; 160]);
        writer.frame(Codec::Pcmu, 160, &[0xff; 160]);
        assert_eq!(recorded_samples(&writer.take()), 480);
        writer.until(8000);
        assert_eq!(recorded_samples(&writer.take()), 8000);
        assert_eq!(recorded_samples(&[]), 0);
        assert_eq!(recorded_samples(&[1, 2, 3]), 0);
    }
}
