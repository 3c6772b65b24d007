//! Prompts kept as Ogg Opus (RFC 7845), decoded at 8 kHz.

use std::io::Cursor;

use ogg::PacketReader;
use opus::{Channels, Decoder};

use super::duration_to_samples;
use crate::limits::{CLIP_DURATION, SAMPLE_RATE};

/// Samples of the longest Opus packet, 120 ms (RFC 6716 §3.2.5).
const PACKET_SAMPLES_MAX: usize = 960;
/// Granule positions and pre-skip count at 48 kHz (RFC 7845 §4).
const GRANULE_RATIO: u64 = 48_000 / SAMPLE_RATE as u64;

/// Why a clip could not be decoded.
#[derive(Debug, thiserror::Error)]
pub enum ClipError {
    /// Not Ogg, or cut off.
    #[error("not a readable Ogg stream")]
    Ogg(#[from] ogg::OggReadError),
    /// The Ogg stream is not Opus, or of a kind that no prompt is.
    #[error("not a mono or stereo Ogg Opus stream")]
    Header,
    /// Opus data that does not decode.
    #[error("damaged Opus data")]
    Opus(#[from] opus::Error),
    /// Longer than [`CLIP_DURATION`].
    #[error("clip too long")]
    TooLong,
}

/// Decodes a whole Ogg Opus file to 8 kHz mono.
pub fn decode_ogg(bytes: &[u8]) -> Result<Vec<i16>, ClipError> {
    let mut reader = PacketReader::new(Cursor::new(bytes));
    let head = reader.read_packet()?.ok_or(ClipError::Header)?;
    let (pre_skip, gain) = head_of(&head.data)?;
    // RFC 7845 §5.2: the comment header comes second.
    let tags = reader.read_packet()?.ok_or(ClipError::Header)?;
    if !tags.data.starts_with(b"OpusTags") {
        return Err(ClipError::Header);
    }
    let mut decoder = Decoder::new(SAMPLE_RATE, Channels::Mono)?;
    decoder.set_gain(gain)?;
    let longest = duration_to_samples(CLIP_DURATION) + pre_skip;
    let mut samples = Vec::new();
    let mut end = None;
    while let Some(packet) = reader.read_packet()? {
        let mut piece = [0; PACKET_SAMPLES_MAX];
        let count = decoder.decode(&packet.data, &mut piece, false)?;
        samples.extend_from_slice(&piece[..count]);
        if samples.len() as u64 > longest {
            return Err(ClipError::TooLong);
        }
        if packet.last_in_stream() {
            end = Some(packet.absgp_page() / GRANULE_RATIO);
            break;
        }
    }
    // RFC 7845 §4.4 and §4.2: the last granule position trims the end, pre-skip the start.
    if let Some(end) = end {
        samples.truncate(usize::try_from(end).unwrap_or(usize::MAX));
    }
    samples.drain(..samples.len().min(pre_skip as usize));
    Ok(samples)
}

/// Pre-skip in our samples and output gain of an identification header (RFC 7845 §5.1).
fn head_of(data: &[u8]) -> Result<(u64, i32), ClipError> {
    let head: &[u8; 19] = data.first_chunk().ok_or(ClipError::Header)?;
    let (version, channels, family) = (head[8], head[9], head[18]);
    // The upper four bits of the version are the major one, which must be zero.
    if !head.starts_with(b"OpusHead")
        || version >= 16
        || family != 0
        || !(1..=2).contains(&channels)
    {
        return Err(ClipError::Header);
    }
    let pre_skip = u64::from(u16::from_le_bytes([head[10], head[11]])) / GRANULE_RATIO;
    let gain = i32::from(i16::from_le_bytes([head[16], head[17]]));
    Ok((pre_skip, gain))
}

#[cfg(test)]
mod tests {
    use ogg::{PacketWriteEndInfo, PacketWriter};
    use opus::{Application, Encoder};
    use proptest::prelude::*;

    use super::*;
    use crate::audio::level::dbm0;
    use crate::audio::tone::tone;

    fn encoded(samples: &[i16]) -> Vec<u8> {
        let mut encoder = Encoder::new(SAMPLE_RATE, Channels::Mono, Application::Voip).unwrap();
        let pre_skip = encoder.get_lookahead().unwrap() as u16 * GRANULE_RATIO as u16;
        let mut head = b"OpusHead\x01\x01".to_vec();
        head.extend(pre_skip.to_le_bytes());
        head.extend(SAMPLE_RATE.to_le_bytes());
        head.extend([0, 0, 0]);
        let mut file = Vec::new();
        let mut writer = PacketWriter::new(&mut file);
        writer.write_packet(head, 1, PacketWriteEndInfo::EndPage, 0).unwrap();
        let tags = b"OpusTags\0\0\0\0\0\0\0\0".to_vec();
        writer.write_packet(tags, 1, PacketWriteEndInfo::EndPage, 0).unwrap();
        let mut padded = samples.to_vec();
        padded.resize(samples.len().div_ceil(160) * 160 + 160, 0);
        let count = padded.len() / 160;
        for (index, frame) in padded.chunks(160).enumerate() {
            let last = index + 1 == count;
            let granule = if last {
                samples.len() as u64 * GRANULE_RATIO + u64::from(pre_skip)
            } else {
                (index as u64 + 1) * 160 * GRANULE_RATIO
            };
            let info =
                if last { PacketWriteEndInfo::EndStream } else { PacketWriteEndInfo::NormalPacket };
            let packet = encoder.encode_vec(frame, 400).unwrap();
            writer.write_packet(packet, 1, info, granule).unwrap();
        }
        drop(writer);
        file
    }

    #[test]
    fn a_clip_keeps_its_length_to_the_sample_and_its_level() {
        let samples = tone(440.0, -20.0, std::time::Duration::from_millis(1005));
        let decoded = decode_ogg(&encoded(&samples)).unwrap();
        assert_eq!(decoded.len(), samples.len());
        assert!((dbm0(&decoded[400..7600]) + 20.0).abs() < 1.0);
    }

    #[test]
    fn what_is_no_ogg_opus_is_refused() {
        assert!(decode_ogg(b"").is_err());
        assert!(decode_ogg(b"RIFF....WAVEfmt ").is_err());
        let mut cut = encoded(&[0; 1600]);
        cut.truncate(60);
        assert!(decode_ogg(&cut).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn damaged_files_never_panic(at: usize, octet: u8, cut: usize) {
            let mut file = encoded(&[500; 800]);
            let at = at % file.len();
            file[at] = octet;
            file.truncate(file.len() - cut % 100);
            let _ = decode_ogg(&file);
        }
    }
}
