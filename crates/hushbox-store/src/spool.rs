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
