//! RTP and RTCP packets (RFC 3550), as much as a telephone sends and reads.

/// What of an RTP packet matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Payload type.
    pub payload_type: u8,
    /// The marker bit.
    pub marker: bool,
    /// Sequence number.
    pub sequence_number: u16,
    /// RTP time.
    pub timestamp: u32,
    /// The stream.
    pub ssrc: u32,
    /// What it carries.
    pub payload: &'a [u8],
}

/// Reads an RTP packet: CSRCs, a header extension and padding are left out (RFC 3550 §5.1).
pub fn parse(bytes: &[u8]) -> Option<Packet<'_>> {
    let [first, second, ..] = *bytes else { return None };
    if bytes.len() < 12 || first >> 6 != 2 {
        return None;
    }
    let mut start = 12 + usize::from(first & 0x0f) * 4;
    if first & 0x10 != 0 {
        let length = bytes.get(start + 2..start + 4)?;
        start += 4 + usize::from(u16::from_be_bytes([length[0], length[1]])) * 4;
    }
    let mut end = bytes.len();
    if first & 0x20 != 0 {
        end = end.checked_sub(usize::from(*bytes.last()?))?;
    }
    let word =
        |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    Some(Packet {
        payload_type: second & 0x7f,
        marker: second & 0x80 != 0,
        sequence_number: u16::from_be_bytes([bytes[2], bytes[3]]),
        timestamp: word(4),
        ssrc: word(8),
        payload: bytes.get(start..end)?,
    })
}

/// Writes an RTP packet without CSRCs, extension or padding.
pub fn write(packet: &Packet<'_>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(12 + packet.payload.len());
    bytes.push(0x80);
    bytes.push(u8::from(packet.marker) << 7 | packet.payload_type);
    bytes.extend_from_slice(&packet.sequence_number.to_be_bytes());
    bytes.extend_from_slice(&packet.timestamp.to_be_bytes());
    bytes.extend_from_slice(&packet.ssrc.to_be_bytes());
    bytes.extend_from_slice(packet.payload);
    bytes
}

/// A compound of sender report and CNAME (RFC 3550 §6.4.1, §6.5), with a BYE (§6.6) at the end of a stream.
/// `since_1900` is NTP time: seconds in the upper, fraction in the lower 32 bits.
pub fn report(
    ssrc: u32,
    since_1900: u64,
    timestamp: u32,
    packets: u32,
    octets: u32,
    bye: bool,
) -> Vec<u8> {
    let mut bytes = vec![0x80, 200, 0, 6];
    bytes.extend_from_slice(&ssrc.to_be_bytes());
    bytes.extend_from_slice(&since_1900.to_be_bytes());
    for word in [timestamp, packets, octets] {
        bytes.extend_from_slice(&word.to_be_bytes());
    }
    // RFC 7022 §4.2: a random CNAME says nothing about whose telephone it is; the SSRC is random.
    let name = format!("{ssrc:08x}");
    bytes.extend_from_slice(&[0x81, 202, 0, 4]);
    bytes.extend_from_slice(&ssrc.to_be_bytes());
    bytes.extend_from_slice(&[1, name.len() as u8]);
    bytes.extend_from_slice(name.as_bytes());
    // The list of items ends by a zero, and the chunk at a word.
    bytes.extend_from_slice(&[0, 0]);
    if bye {
        bytes.extend_from_slice(&[0x81, 203, 0, 1]);
        bytes.extend_from_slice(&ssrc.to_be_bytes());
    }
    bytes
}

/// The packet types of a compound, or nothing if its lengths do not add up (RFC 3550 appendix A.2).
pub fn rtcp_types(mut bytes: &[u8]) -> Option<Vec<u8>> {
    let mut types = Vec::new();
    while !bytes.is_empty() {
        let [first, kind, high, low, ..] = *bytes else { return None };
        if first >> 6 != 2 {
            return None;
        }
        let length = (usize::from(u16::from_be_bytes([high, low])) + 1) * 4;
        types.push(kind);
        bytes = bytes.get(length..)?;
    }
    Some(types)
}

/// RFC 4733 §2.3: the payload of a telephone event.
pub fn telephone_event(digit: char, end: bool, duration: u16) -> Option<[u8; 4]> {
    let event = match digit {
        '0'..='9' => digit as u8 - b'0',
        '*' => 10,
        '#' => 11,
        'A'..='D' => digit as u8 - b'A' + 12,
        _ => return None,
    };
    // -10 dBm0, as most telephones say.
    let [high, low] = duration.to_be_bytes();
    Some([event, u8::from(end) << 7 | 10, high, low])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let packet = Packet {
            payload_type: 101,
            marker: true,
            sequence_number: 65_535,
            timestamp: 0xffff_fff0,
            ssrc: 7,
            payload: b"abcd",
        };
        assert_eq!(parse(&write(&packet)), Some(packet));
    }

    #[test]
    fn csrcs_extension_and_padding_are_left_out() {
        let mut bytes = vec![0xb1, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 9, 9, 9, 9];
        bytes.extend_from_slice(&[0xbe, 0xde, 0, 1, 1, 2, 3, 4]);
        bytes.extend_from_slice(b"sound");
        bytes.extend_from_slice(&[0, 0, 3]);
        assert_eq!(parse(&bytes).map(|p| p.payload), Some(&b"sound"[..]));
        assert_eq!(parse(&bytes[..18]), None);
    }

    #[test]
    fn a_report_is_a_compound_that_adds_up() {
        assert_eq!(rtcp_types(&report(1, 2, 3, 4, 5, false)), Some(vec![200, 202]));
        assert_eq!(rtcp_types(&report(1, 2, 3, 4, 5, true)), Some(vec![200, 202, 203]));
        assert_eq!(rtcp_types(&[0x80, 200, 0, 9]), None);
    }

    #[test]
    fn the_pound_key_is_event_eleven() {
        assert_eq!(telephone_event('#', true, 1280), Some([11, 0x8a, 5, 0]));
        assert_eq!(telephone_event('x', true, 1280), None);
    }

    proptest::proptest! {
        #[test]
        fn no_octets_make_the_parsers_panic(bytes in proptest::collection::vec(0u8.., 0..80)) {
            let _ = (parse(&bytes), rtcp_types(&bytes));
        }
    }
}
