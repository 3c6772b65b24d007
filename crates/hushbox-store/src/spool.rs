//! The spool's format: segments of records, appended and synced, read again after a crash.
//!
//! ```text
//! segment header  magic "HBSPOOL" version(1) | generation(8) | zero(12) | crc(4)                       = 32 bytes
//! record          body length(4) | generation(8) | kind(1) zero(3) | message(16) | index(4) | crc(4)   = 40 bytes
//!                 | body, then zeros up to a multiple of 8
//! ```
//!
//! A record's crc (CRC-32, ISO-HDLC) covers its head but for the crc, and the body. A segment is preallocated, so what
//! follows its last record is zeros or, in a segment that was used before, records of an older generation. Reading
//! stops at neither a torn record nor a damaged one: records after it that fit are found again, since what was synced
//! after the damage must not be lost with it. The crc finds accidents; forgery is the seals' and the manifest's matter.

use bytes::Bytes;
use crc::{CRC_32_ISO_HDLC, Crc, Table};
use hushbox_policy::MessageId;

use crate::error::FormatError;
use crate::limits;
use crate::wire::{Reader, len_u32};

const MAGIC: &[u8; 7] = b"HBSPOOL";
const VERSION: u8 = 1;
/// Bytes of a segment's header.
pub const SEGMENT_HEADER_LEN: usize = 32;
/// Bytes of a record before its body.
pub const RECORD_HEAD_LEN: usize = 40;
/// Records begin at multiples of this.
pub const ALIGNMENT: usize = 8;

const CRC: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISO_HDLC);

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RecordKind {
    /// A message begins: ids, sealed key, sealed envelope ([`crate::deposit::First`]).
    First,
    /// A sealed chunk.
    Chunk,
    /// A message ended ([`crate::deposit::Last`]): once this is synced, it is saved.
    Last,
    /// The message is in the index: the spool may forget it.
    Delivered,
    /// Nothing was recorded (no packet, or digital silence): the spool may forget it.
    Discarded,
}

impl RecordKind {
    fn code(self) -> u8 {
        match self {
            RecordKind::First => 1,
            RecordKind::Chunk => 2,
            RecordKind::Last => 3,
            RecordKind::Delivered => 4,
            RecordKind::Discarded => 5,
        }
    }

    fn of(code: u8) -> Option<RecordKind> {
        match code {
            1 => Some(RecordKind::First),
            2 => Some(RecordKind::Chunk),
            3 => Some(RecordKind::Last),
            4 => Some(RecordKind::Delivered),
            5 => Some(RecordKind::Discarded),
            _ => None,
        }
    }
}

/// One record, before a segment's generation is put on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// What it is.
    pub kind: RecordKind,
    /// The message it belongs to.
    pub message: MessageId,
    /// A chunk's place in its message; zero for other kinds.
    pub index: u32,
    /// Its body, sealed already where it must be.
    pub body: Bytes,
}

impl Record {
    /// The record that frees a delivered message's place.
    pub fn delivered(message: MessageId) -> Record {
        Record { kind: RecordKind::Delivered, message, index: 0, body: Bytes::new() }
    }

    /// Bytes that it takes in a segment.
    pub fn framed_len(&self) -> usize {
        (RECORD_HEAD_LEN + self.body.len()).next_multiple_of(ALIGNMENT)
    }
}

/// A segment's header.
pub fn segment_header(generation: u64) -> [u8; SEGMENT_HEADER_LEN] {
    let mut header = [0; SEGMENT_HEADER_LEN];
    header[..7].copy_from_slice(MAGIC);
    header[7] = VERSION;
    header[8..16].copy_from_slice(&generation.to_be_bytes());
    let crc = CRC.checksum(&header[..28]);
    header[28..].copy_from_slice(&crc.to_be_bytes());
    header
}

/// Appends a record to `out` as it stands in a segment of that generation.
pub fn frame(generation: u64, record: &Record, out: &mut Vec<u8>) {
    debug_assert!(
        record.body.len() <= limits::SPOOL_PAYLOAD_BYTES_MAX,
        "the makers of records keep the limit"
    );
    let framed = record.framed_len();
    out.reserve(framed);
    let start = out.len();
    out.extend_from_slice(&len_u32(record.body.len()).to_be_bytes());
    out.extend_from_slice(&generation.to_be_bytes());
    out.extend_from_slice(&[record.kind.code(), 0, 0, 0]);
    out.extend_from_slice(record.message.as_bytes());
    out.extend_from_slice(&record.index.to_be_bytes());
    let mut crc = CRC.digest();
    crc.update(&out[start..]);
    crc.update(&record.body);
    out.extend_from_slice(&crc.finalize().to_be_bytes());
    out.extend_from_slice(&record.body);
    out.resize(start + framed, 0);
}

/// Reads a segment: an iterator over its records, and what it met on the way.
#[derive(Clone, Debug)]
pub struct Scan {
    segment: Bytes,
    generation: u64,
    at: usize,
    end: usize,
    damage: Damage,
    in_damage: bool,
}

/// What a scan met that was neither a record nor unused space.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Damage {
    /// Damaged places with whole records after them: synced bytes were lost. An operator must hear of this.
    pub holes: u32,
    /// The segment ends in a torn record or garbage: normal after a crash, nothing synced is lost.
    pub torn_tail: bool,
}

impl Scan {
    /// Begins to read a segment's bytes. A segment that never got its header (zeros) has no records.
    pub fn new(segment: Bytes) -> Result<Scan, FormatError> {
        let generation = generation_of(&segment)?;
        Ok(Scan {
            segment,
            generation,
            at: SEGMENT_HEADER_LEN,
            end: SEGMENT_HEADER_LEN,
            damage: Damage::default(),
            in_damage: false,
        })
    }

    /// The segment's generation.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Where the last record so far ended.
    pub fn end(&self) -> usize {
        self.end
    }

    /// What was met; complete once the iterator has ended.
    pub fn damage(&self) -> Damage {
        self.damage
    }

    fn record_at(&self, at: usize) -> Option<(Record, usize)> {
        let bytes = self.segment.get(at..)?;
        let mut reader = Reader::new(bytes);
        let len = usize::try_from(reader.u32()?).ok()?;
        let generation = reader.u64()?;
        if generation != self.generation || len > limits::SPOOL_PAYLOAD_BYTES_MAX {
            return None;
        }
        let kind = RecordKind::of(reader.u8()?)?;
        if reader.array::<3>()? != [0; 3] {
            return None;
        }
        let message = MessageId::from_bytes(reader.array()?);
        let index = reader.u32()?;
        let stored = reader.u32()?;
        let body = reader.take(len)?;
        let mut crc = CRC.digest();
        crc.update(bytes.get(..RECORD_HEAD_LEN - 4)?);
        crc.update(body);
        if crc.finalize() != stored {
            return None;
        }
        let record = Record { kind, message, index, body: self.segment.slice_ref(body) };
        let next = at + record.framed_len();
        Some((record, next))
    }

    /// Unused space: a whole step of zeros, as preallocation and overwriting leave it, or a record's beginning with
    /// an older generation.
    fn unused_at(&self, at: usize) -> bool {
        let Some(bytes) = self.segment.get(at..) else { return true };
        let mut reader = Reader::new(bytes);
        match (reader.u32(), reader.u64()) {
            (Some(0), Some(0)) => true,
            (Some(_), Some(generation)) => generation != 0 && generation < self.generation,
            _ => bytes.iter().all(|byte| *byte == 0),
        }
    }
}

impl Iterator for Scan {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        while self.at < self.segment.len() {
            if let Some((record, next)) = self.record_at(self.at) {
                if self.in_damage {
                    self.damage.holes = self.damage.holes.saturating_add(1);
                    self.damage.torn_tail = false;
                    self.in_damage = false;
                }
                self.at = next;
                self.end = next;
                return Some(record);
            }
            // The first step after a record tells whether the log ends cleanly here.
            if !self.in_damage {
                self.in_damage = true;
                self.damage.torn_tail = !self.unused_at(self.at);
            }
            self.at += ALIGNMENT;
        }
        None
    }
}

/// The generation in a segment's header.
pub fn generation_of(segment: &[u8]) -> Result<u64, FormatError> {
    let header =
        segment.get(..SEGMENT_HEADER_LEN).ok_or(FormatError::Malformed("segment header"))?;
    let mut reader = Reader::new(header);
    if reader.take(MAGIC.len()) != Some(MAGIC) {
        return Err(FormatError::Magic);
    }
    let version = reader.u8().unwrap_or_default();
    if version != VERSION {
        return Err(FormatError::Version(version));
    }
    let generation = reader.u64().ok_or(FormatError::Malformed("segment header"))?;
    if header != segment_header(generation) {
        return Err(FormatError::Malformed("segment header"));
    }
    Ok(generation)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record(kind: RecordKind, message: u8, index: u32, body: &[u8]) -> Record {
        Record {
            kind,
            message: MessageId::from_bytes([message; 16]),
            index,
            body: Bytes::copy_from_slice(body),
        }
    }

    fn three() -> Vec<Record> {
        vec![
            record(RecordKind::First, 1, 0, b"first"),
            record(RecordKind::Chunk, 1, 0, &[7; 100]),
            record(RecordKind::Last, 1, 0, b"the last one"),
        ]
    }

    fn segment(generation: u64, records: &[Record]) -> Vec<u8> {
        let mut bytes = segment_header(generation).to_vec();
        for record in records {
            frame(generation, record, &mut bytes);
        }
        bytes
    }

    fn scanned(bytes: &[u8]) -> (Vec<Record>, Damage, usize) {
        let mut scan = Scan::new(Bytes::copy_from_slice(bytes)).unwrap();
        let records: Vec<Record> = scan.by_ref().collect();
        (records, scan.damage(), scan.end())
    }

    #[test]
    fn records_read_back_from_a_preallocated_segment() {
        let mut bytes = segment(3, &three());
        let written = bytes.len();
        bytes.resize(4096, 0);
        assert_eq!(scanned(&bytes), (three(), Damage::default(), written));
    }

    #[test]
    fn a_torn_record_ends_the_log() {
        let bytes = segment(3, &three());
        let torn = &bytes[..bytes.len() - 9];
        let mut padded = torn.to_vec();
        padded.resize(4096, 0);
        for bytes in [torn, padded.as_slice()] {
            let (records, damage, _) = scanned(bytes);
            assert_eq!(records, three()[..2]);
            assert_eq!(damage, Damage { holes: 0, torn_tail: true });
        }
    }

    #[test]
    fn garbage_after_the_last_record_is_no_record() {
        let mut bytes = segment(3, &three());
        bytes.extend((0..999_u32).map(|at| u8::try_from(at * 31 % 251).unwrap()));
        let (records, damage, _) = scanned(&bytes);
        assert_eq!(records, three());
        assert_eq!(damage, Damage { holes: 0, torn_tail: true });
    }

    #[test]
    fn what_an_older_generation_left_is_not_read() {
        let old = segment(2, &[three(), three(), three()].concat());
        let mut bytes = segment(3, &three());
        let written = bytes.len();
        bytes.extend_from_slice(&old[written..]);
        assert_eq!(scanned(&bytes), (three(), Damage::default(), written));
    }

    #[test]
    fn records_behind_a_damaged_one_are_found_again() {
        let mut bytes = segment(3, &three());
        let second = SEGMENT_HEADER_LEN + three()[0].framed_len();
        bytes[second + RECORD_HEAD_LEN + 5] ^= 1;
        let (records, damage, end) = scanned(&bytes);
        assert_eq!(records, [three()[0].clone(), three()[2].clone()]);
        assert_eq!(damage, Damage { holes: 1, torn_tail: false });
        assert_eq!(end, bytes.len());
    }

    #[test]
    fn a_segment_with_a_damaged_header_is_refused() {
        let bytes = segment(3, &three());
        for at in 0..SEGMENT_HEADER_LEN {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            assert!(Scan::new(damaged.into()).is_err(), "byte {at}");
        }
        assert_eq!(generation_of(&bytes), Ok(3));
        assert_eq!(generation_of(&[0; 64]), Err(FormatError::Magic));
    }

    fn any_record() -> impl Strategy<Value = Record> {
        let kind = prop_oneof![
            Just(RecordKind::First),
            Just(RecordKind::Chunk),
            Just(RecordKind::Last),
            Just(RecordKind::Delivered),
            Just(RecordKind::Discarded),
        ];
        (kind, any::<u8>(), any::<u32>(), proptest::collection::vec(any::<u8>(), 0..90))
            .prop_map(|(kind, message, index, body)| record(kind, message, index, &body))
    }

    proptest! {
        #[test]
        fn any_prefix_of_a_segment_gives_a_prefix_of_its_records(
            records in proptest::collection::vec(any_record(), 0..8),
            cut in any::<prop::sample::Index>(),
            padding in 0..100_usize,
        ) {
            let bytes = segment(9, &records);
            let mut prefix = bytes[..SEGMENT_HEADER_LEN.max(cut.index(bytes.len() + 1))].to_vec();
            let mut whole = 0;
            let mut at = SEGMENT_HEADER_LEN;
            for record in &records {
                // What is cut off the padding behind a record does not matter.
                if at + RECORD_HEAD_LEN + record.body.len() > prefix.len() {
                    break;
                }
                at += record.framed_len();
                whole += 1;
            }
            prefix.resize(prefix.len() + padding, 0);
            let (read, damage, _) = scanned(&prefix);
            prop_assert!(read.len() >= whole);
            prop_assert_eq!(&read[..], &records[..read.len()]);
            prop_assert_eq!(damage.holes, 0);
        }

        #[test]
        fn any_bytes_are_scanned_to_the_end(
            bytes in proptest::collection::vec(any::<u8>(), 0..600),
            records in proptest::collection::vec(any_record(), 0..4),
            changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        ) {
            let mut segment = segment(9, &records);
            segment.extend_from_slice(&bytes);
            for (at, byte) in changes {
                let at = at.index(segment.len());
                segment[at] = byte;
            }
            if let Ok(scan) = Scan::new(segment.clone().into()) {
                prop_assert!(scan.count() <= segment.len() / RECORD_HEAD_LEN);
            }
            let _ = Scan::new(bytes.into()).map(Iterator::count);
        }
    }
}
