//! What an earlier run left in a spool.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use hushbox_policy::MessageId;
use hushbox_store::FormatError;
use hushbox_store::spool::{RecordKind, SEGMENT_HEADER_LEN, Scan, generation_of, segment_header};

use super::log::{Entry, Place, Position};
use super::segment::{self, Blank, Segment, number_of};
use crate::error::BackendError;
use crate::volume::{Volume, read_all};

/// What a start found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Messages to be delivered, oldest first.
    pub messages: Vec<RecoveredMessage>,
    /// Messages whose first record is gone: their chunks can't be opened by anybody, and are overwritten.
    pub headless: Vec<MessageId>,
    /// Segments that end in a torn record: normal after a crash.
    pub torn_segments: u32,
    /// Damaged places with whole records after them. After a crash of the machine these can be writes that were not
    /// synced; else the disk is failing.
    pub holes: u32,
}

/// A message to be delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecoveredMessage {
    /// Its id.
    pub message: MessageId,
    /// Its last record is there: it was saved, or was about to be.
    pub finished: bool,
}

pub(super) struct Found {
    pub(super) segments: BTreeMap<u64, Segment>,
    pub(super) blanks: Vec<Blank>,
    pub(super) messages: BTreeMap<MessageId, Entry>,
    pub(super) next_generation: u64,
    pub(super) next_number: u32,
    pub(super) recovered: Recovered,
}

/// Reads every segment of a volume.
pub(super) fn read(volume: &dyn Volume) -> Result<Found, BackendError> {
    let mut found = Found {
        segments: BTreeMap::new(),
        blanks: Vec::new(),
        messages: BTreeMap::new(),
        next_generation: 1,
        next_number: 1,
        recovered: Recovered::default(),
    };
    let names = volume.names().map_err(BackendError::io("list", volume.path()))?;
    for name in names {
        let Some(number) = number_of(&name) else { continue };
        found.next_number = found.next_number.max(number.saturating_add(1));
        found.read_segment(volume, name)?;
    }
    found.sort_messages();
    Ok(found)
}

impl Found {
    fn read_segment(&mut self, volume: &dyn Volume, name: String) -> Result<(), BackendError> {
        let path = volume.path().join(&name);
        let file = volume.open(&name).map_err(BackendError::io("open", &path))?;
        let bytes = read_all(file.as_ref(), u64::from(u32::MAX))
            .map_err(BackendError::io("read", &path))?;
        let len = bytes.len() as u64;
        let mut bytes = bytes;
        match generation_of(&bytes) {
            Ok(_) => {}
            Err(FormatError::Version(version)) => {
                return Err(BackendError::UnknownVersion { path, version: version.into() });
            }
            // No header: it was never begun (whatever stands in it was not synced), or its overwriting was cut short.
            Err(_) if bytes.iter().take(SEGMENT_HEADER_LEN).all(|byte| *byte == 0) => {
                segment::overwrite(file.as_ref(), len)
                    .map_err(BackendError::io("overwrite", &path))?;
                self.blanks.push(Blank { name, file, len });
                return Ok(());
            }
            // A crash does not leave half a header, but a failing disk may, and behind it stand messages.
            Err(error) => {
                repair_header(&mut bytes).ok_or_else(|| BackendError::Damaged {
                    path: path.clone(),
                    what: format!("{error}; move it away if nothing in it is needed"),
                })?;
                self.recovered.holes += 1;
            }
        }
        let bytes = Bytes::from(bytes);
        let mut scan = Scan::new(bytes)
            .map_err(|error| BackendError::Damaged { path, what: error.to_string() })?;
        let generation = scan.generation();
        let mut messages = BTreeSet::new();
        let mut marks = BTreeSet::new();
        while let Some(record) = scan.next() {
            let start = scan.end().saturating_sub(record.framed_len());
            let entry = self.messages.entry(record.message).or_default();
            entry.note(Place {
                generation,
                offset: start as u64,
                body_len: record.body.len(),
                kind: record.kind,
                index: record.index,
            });
            match record.kind {
                RecordKind::First | RecordKind::Chunk | RecordKind::Last => {
                    messages.insert(record.message);
                }
                RecordKind::Delivered | RecordKind::Discarded => {
                    entry.delivered = Some(Position::default());
                    marks.insert(record.message);
                }
            }
        }
        let damage = scan.damage();
        self.recovered.holes += damage.holes;
        self.recovered.torn_segments += u32::from(damage.torn_tail);
        self.next_generation = self.next_generation.max(generation + 1);
        // Bytes after the last whole record may be part of a torn one: all of it is overwritten when it is freed.
        let last = Position::default();
        let segment = Segment { name, file, len, used: len, messages, marks, last, freeing: false };
        self.segments.insert(generation, segment);
        Ok(())
    }

    fn sort_messages(&mut self) {
        for (id, entry) in &mut self.messages {
            // Segments were read by name; a message's records follow the generations.
            entry.places.sort_by_key(|place| (place.generation, place.offset));
            if entry.delivered.is_some() {
                continue;
            }
            if entry.places.iter().any(|place| place.kind == RecordKind::First) {
                let finished = entry.finished;
                self.recovered.messages.push(RecoveredMessage { message: *id, finished });
            } else {
                self.recovered.headless.push(*id);
                entry.delivered = Some(Position::default());
            }
        }
    }
}

/// Puts a header back by the generation that the first record names, if that makes it whole again.
fn repair_header(segment: &mut [u8]) -> Option<()> {
    // A record begins with its length (4 bytes), then its generation (8).
    let (header, records) = segment.split_first_chunk_mut::<SEGMENT_HEADER_LEN>()?;
    let generation = u64::from_be_bytes(*records.get(4..)?.first_chunk::<8>()?);
    *header = segment_header(generation);
    let mut scan = Scan::new(Bytes::copy_from_slice(segment)).ok()?;
    scan.next().map(|_| ())
}
