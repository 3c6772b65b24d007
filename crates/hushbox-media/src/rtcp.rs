//! RTCP (RFC 3550 §6): sender and receiver reports, SDES with a random CNAME, BYE.

use crate::rtp::{Block, Ssrc};

const VERSION: u8 = 2;
const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const SOURCE_DESCRIPTION: u8 = 202;
const GOODBYE: u8 = 203;
const CNAME: u8 = 1;
/// Characters of our CNAME: 96 random bits (RFC 7022 §4.2), neither a user's nor a machine's name.
const CNAME_BYTES: usize = 24;
/// Room for the longest packet of ours with its SRTCP trailer.
pub(crate) const BUFFER_BYTES: usize = 192;

/// What a compound packet of the peer's says that matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Received {
    /// The middle 32 bits of a sender report's NTP timestamp.
    pub sender_report: Option<u32>,
    /// Whether a source says goodbye.
    pub goodbye: bool,
}

/// Why bytes are no RTCP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an RTCP packet")]
pub struct NotRtcp;

/// Reads a compound packet (RFC 3550 §6.1, appendix A.2).
pub fn parse(bytes: &[u8]) -> Result<Received, NotRtcp> {
    let mut received = Received::default();
    let mut rest = bytes;
    let mut first = true;
    while !rest.is_empty() {
        let header: &[u8; 4] = rest.first_chunk().ok_or(NotRtcp)?;
        let length = 4 + 4 * usize::from(u16::from_be_bytes([header[2], header[3]]));
        let (packet, following) = rest.split_at_checked(length).ok_or(NotRtcp)?;
        if header[0] >> 6 != VERSION || !(192..=223).contains(&header[1]) {
            return Err(NotRtcp);
        }
        match header[1] {
            SENDER_REPORT => {
                // SSRC, then the NTP timestamp.
                let ntp = packet.get(8..16).ok_or(NotRtcp)?;
                received.sender_report = Some(u32::from_be_bytes([ntp[2], ntp[3], ntp[4], ntp[5]]));
            }
            GOODBYE => received.goodbye = true,
            _ => {}
        }
        rest = following;
        first = false;
    }
    if first { Err(NotRtcp) } else { Ok(received) }
}

/// What we say of what we send.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SenderInfo {
    /// 32 bits of seconds, 32 bits of fraction. RFC 3550 §6.4.1: time since joining will do.
    pub(crate) ntp: u64,
    pub(crate) timestamp: u32,
    pub(crate) packets: u32,
    pub(crate) octets: u32,
}

/// When the peer's last sender report came.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct LastReport {
    pub(crate) lsr: u32,
    /// In 1/65536 seconds.
    pub(crate) delay: u32,
}

/// A compound packet of ours.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Report<'a> {
    pub(crate) ssrc: Ssrc,
    pub(crate) sender: Option<SenderInfo>,
    pub(crate) block: Option<Block>,
    pub(crate) last: LastReport,
    pub(crate) cname: &'a [u8; CNAME_BYTES],
    pub(crate) goodbye: bool,
}

impl Report<'_> {
    /// Writes it; gives its length.
    pub(crate) fn write(&self, buffer: &mut [u8; BUFFER_BYTES]) -> usize {
        let mut writer = Writer { buffer, length: 0 };
        let blocks = u8::from(self.block.is_some());
        match self.sender {
            Some(info) => {
                writer.header(blocks, SENDER_REPORT, 6 + 6 * u16::from(blocks));
                writer.put(&self.ssrc.0.to_be_bytes());
                writer.put(&info.ntp.to_be_bytes());
                writer.put(&info.timestamp.to_be_bytes());
                writer.put(&info.packets.to_be_bytes());
                writer.put(&info.octets.to_be_bytes());
            }
            None => {
                writer.header(blocks, RECEIVER_REPORT, 1 + 6 * u16::from(blocks));
                writer.put(&self.ssrc.0.to_be_bytes());
            }
        }
        if let Some(block) = self.block {
            writer.put(&block.ssrc.0.to_be_bytes());
            let [_, lost @ ..] = block.cumulative_lost.to_be_bytes();
            writer.put(&[block.fraction_lost]);
            writer.put(&lost);
            writer.put(&block.highest.to_be_bytes());
            writer.put(&block.jitter.to_be_bytes());
            writer.put(&self.last.lsr.to_be_bytes());
            writer.put(&self.last.delay.to_be_bytes());
        }
        // RFC 3550 §6.5: SSRC, CNAME item, and a zero octet that ends the list, padded to a word.
        writer.header(1, SOURCE_DESCRIPTION, 8);
        writer.put(&self.ssrc.0.to_be_bytes());
        writer.put(&[CNAME, CNAME_BYTES as u8]);
        writer.put(self.cname);
        writer.put(&[0, 0]);
        if self.goodbye {
            writer.header(1, GOODBYE, 1);
            writer.put(&self.ssrc.0.to_be_bytes());
        }
        writer.length
    }
}

/// A CNAME from 96 random bits.
pub(crate) fn cname(random: [u8; 12]) -> [u8; CNAME_BYTES] {
    let mut name = [0; CNAME_BYTES];
    for (pair, octet) in name.chunks_mut(2).zip(random) {
        pair[0] = b"0123456789abcdef"[usize::from(octet >> 4)];
        pair[1] = b"0123456789abcdef"[usize::from(octet & 15)];
    }
    name
}

struct Writer<'a> {
    buffer: &'a mut [u8; BUFFER_BYTES],
    length: usize,
}

impl Writer<'_> {
    fn header(&mut self, count: u8, kind: u8, words: u16) {
        self.put(&[VERSION << 6 | count, kind]);
        self.put(&words.to_be_bytes());
    }

    fn put(&mut self, octets: &[u8]) {
        self.buffer[self.length..self.length + octets.len()].copy_from_slice(octets);
        self.length += octets.len();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(sender: bool, block: bool, goodbye: bool) -> Vec<u8> {
        let info = SenderInfo { ntp: 0x0001_0002_0003_0004, timestamp: 5, packets: 6, octets: 7 };
        let received = Block {
            ssrc: Ssrc(9),
            fraction_lost: 1,
            cumulative_lost: 0x01_0203,
            highest: 4,
            jitter: 5,
        };
        let report = Report {
            ssrc: Ssrc(1),
            sender: sender.then_some(info),
            block: block.then_some(received),
            last: LastReport { lsr: 2, delay: 3 },
            cname: &cname([0xab; 12]),
            goodbye,
        };
        let mut buffer = [0; BUFFER_BYTES];
        let length = report.write(&mut buffer);
        buffer[..length].to_vec()
    }

    #[test]
    fn our_packets_are_readable_and_fit_with_their_trailer() {
        for bits in 0..8 {
            let bytes = written(bits & 1 != 0, bits & 2 != 0, bits & 4 != 0);
            assert_eq!(bytes.len() % 4, 0);
            assert!(bytes.len() + 20 <= BUFFER_BYTES);
            let received = parse(&bytes).unwrap();
            assert_eq!(received.sender_report, (bits & 1 != 0).then_some(0x0002_0003));
            assert_eq!(received.goodbye, bits & 4 != 0);
        }
    }

    #[test]
    fn a_receiver_report_reads_as_the_rfc_draws_it() {
        let bytes = written(false, true, false);
        assert_eq!(bytes[..8], [0x81, 201, 0, 7, 0, 0, 0, 1]);
        assert_eq!(bytes[8..20], [0, 0, 0, 9, 1, 1, 2, 3, 0, 0, 0, 4]);
        assert_eq!(bytes[32..42], [0x81, 202, 0, 8, 0, 0, 0, 1, 1, 24]);
        assert_eq!(&bytes[42..46], b"abab");
    }

    #[test]
    fn lengths_that_pass_the_end_are_refused() {
        assert_eq!(parse(&[]), Err(NotRtcp));
        assert_eq!(parse(&[0x80, 200, 0, 6, 0, 0, 0, 1]), Err(NotRtcp));
        assert_eq!(parse(&[0x80, 200, 0, 1, 0, 0, 0, 1]), Err(NotRtcp));
        assert_eq!(parse(&[0x40, 201, 0, 1, 0, 0, 0, 1]), Err(NotRtcp));
    }

    proptest! {
        #[test]
        fn parsing_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn changed_packets_never_panic(at in 0usize..120, octet: u8) {
            let mut bytes = written(true, true, true);
            let at = at % bytes.len();
            bytes[at] = octet;
            let _ = parse(&bytes);
        }
    }
}
