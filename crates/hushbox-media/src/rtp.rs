//! RTP packets (RFC 3550 §5.1), and what their sequence numbers say.

mod statistics;

pub(crate) use statistics::{Arrival, Block, Reception};

/// A synchronisation source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ssrc(pub u32);

/// Octets of a header without contributing sources and extension.
pub const HEADER_BYTES: usize = 12;
const VERSION: u8 = 2;

/// The fixed header of an RTP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The marker bit.
    pub marker: bool,
    /// The payload type, 7 bits.
    pub payload_type: u8,
    /// The sequence number.
    pub sequence: u16,
    /// The timestamp.
    pub timestamp: u32,
    /// The source.
    pub ssrc: Ssrc,
}

/// Why bytes are no RTP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an RTP packet")]
pub struct NotRtp;

/// An RTP packet in clear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Its header.
    pub header: Header,
    /// Its payload, without extension and padding.
    pub payload: &'a [u8],
}

impl Header {
    /// Reads the fixed header.
    pub fn parse(bytes: &[u8]) -> Result<Self, NotRtp> {
        let fixed: &[u8; HEADER_BYTES] = bytes.first_chunk().ok_or(NotRtp)?;
        if fixed[0] >> 6 != VERSION {
            return Err(NotRtp);
        }
        Ok(Self {
            marker: fixed[1] & 0x80 != 0,
            payload_type: fixed[1] & 0x7f,
            sequence: u16::from_be_bytes([fixed[2], fixed[3]]),
            timestamp: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
            ssrc: Ssrc(u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]])),
        })
    }

    /// Writes it, without contributing sources, extension or padding.
    pub fn write(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[0] = VERSION << 6;
        bytes[1] = u8::from(self.marker) << 7 | self.payload_type & 0x7f;
        bytes[2..4].copy_from_slice(&self.sequence.to_be_bytes());
        bytes[4..8].copy_from_slice(&self.timestamp.to_be_bytes());
        bytes[8..].copy_from_slice(&self.ssrc.0.to_be_bytes());
        bytes
    }
}

impl<'a> Packet<'a> {
    /// Reads a packet in clear.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, NotRtp> {
        let header = Header::parse(bytes)?;
        let mut payload = bytes.get(payload_offset(bytes)?..).ok_or(NotRtp)?;
        if bytes[0] & 0x20 != 0 {
            // RFC 3550 §5.1: the last octet counts the padding, itself included.
            let padding = usize::from(*payload.last().ok_or(NotRtp)?);
            if padding == 0 {
                return Err(NotRtp);
            }
            payload = &payload[..payload.len().checked_sub(padding).ok_or(NotRtp)?];
        }
        Ok(Self { header, payload })
    }
}

/// Where the payload starts: after contributing sources and the header extension, which stay in
/// clear and are authenticated under SRTP (RFC 3711 §3.1).
pub(crate) fn payload_offset(bytes: &[u8]) -> Result<usize, NotRtp> {
    Header::parse(bytes)?;
    let sources = usize::from(bytes[0] & 0x0f);
    let mut offset = HEADER_BYTES + 4 * sources;
    if bytes[0] & 0x10 != 0 {
        // RFC 3550 §5.3.1: 16 bits for the profile, 16 bits of length in words.
        let extension = bytes.get(offset..).and_then(<[u8]>::first_chunk::<4>).ok_or(NotRtp)?;
        offset += 4 + 4 * usize::from(u16::from_be_bytes([extension[2], extension[3]]));
    }
    if offset > bytes.len() { Err(NotRtp) } else { Ok(offset) }
}

/// Whether a packet on a port for RTP and RTCP is RTCP (RFC 5761 §4).
pub(crate) fn is_rtcp(bytes: &[u8]) -> bool {
    matches!(bytes, [first, 192..=223, ..] if first >> 6 == VERSION)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sources_extension_and_padding_are_not_payload() {
        let header =
            Header { marker: true, payload_type: 8, sequence: 7, timestamp: 9, ssrc: Ssrc(5) };
        let mut bytes = header.write().to_vec();
        bytes[0] |= 0x20 | 0x10 | 2;
        bytes.extend([1; 8]);
        // A one-byte extension header with one element (RFC 8285 §4.2).
        bytes.extend([0xbe, 0xde, 0, 1, 0x10, 0x55, 0, 0]);
        bytes.extend([0xaa, 0xbb, 0, 0, 3]);
        let packet = Packet::parse(&bytes).unwrap();
        assert_eq!(packet, Packet { header, payload: &[0xaa, 0xbb] });
    }

    #[test]
    fn lengths_that_pass_the_end_are_refused() {
        let header =
            Header { marker: false, payload_type: 0, sequence: 0, timestamp: 0, ssrc: Ssrc(0) };
        let plain = header.write();
        assert_eq!(Packet::parse(&plain).unwrap().payload, &[] as &[u8]);
        for flags in [0x81, 0x90, 0xa0, 0x00, 0x40, 0xc0] {
            let mut bytes = plain;
            bytes[0] = flags;
            assert_eq!(Packet::parse(&bytes), Err(NotRtp), "{flags:#x}");
        }
        let mut padded = plain.to_vec();
        padded[0] |= 0x20;
        padded.push(2);
        assert_eq!(Packet::parse(&padded), Err(NotRtp));
    }

    proptest! {
        #[test]
        fn parsing_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = Packet::parse(&bytes);
            let _ = is_rtcp(&bytes);
        }

        #[test]
        fn headers_survive_writing(marker: bool, payload_type in 0u8..128, sequence: u16,
                                   timestamp: u32, ssrc: u32) {
            let header = Header { marker, payload_type, sequence, timestamp, ssrc: Ssrc(ssrc) };
            prop_assert_eq!(Header::parse(&header.write()), Ok(header));
        }
    }
}
