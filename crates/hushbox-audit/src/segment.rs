//! The log's files: a header, then frames, then zeros where space was kept.
//!
//! ```text
//! header: magic "HBAUDIT\x01" 8 | node 16 | seq of the first record 8 | leaf hash of the record before it 32
//! frame:  length of the record 4 | record | its leaf hash 32
//! ```

use hushbox_policy::NodeId;

use crate::hash::{Hash, leaf_hash};
use crate::log::Resume;
use crate::record::Record;
use crate::verify::{Broken, Damage};
use crate::{Error, limits};

const MAGIC: &[u8; 8] = b"HBAUDIT\x01";

/// Length of a segment's header.
pub const SEGMENT_HEADER_LENGTH: usize = 64;

/// What a segment begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// Whose log it is.
    pub node: NodeId,
    /// Where the segment goes on.
    pub from: Resume,
}

impl SegmentHeader {
    /// The header as bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; SEGMENT_HEADER_LENGTH] {
        let mut bytes = [0; SEGMENT_HEADER_LENGTH];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..24].copy_from_slice(self.node.as_bytes());
        bytes[24..32].copy_from_slice(&self.from.next_seq.to_be_bytes());
        bytes[32..].copy_from_slice(self.from.prev_hash.as_bytes());
        bytes
    }

    /// The header that these bytes begin with.
    ///
    /// # Errors
    ///
    /// [`Error::Header`] if they begin with none.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let (header, _) =
            bytes.split_first_chunk::<SEGMENT_HEADER_LENGTH>().ok_or(Error::Header)?;
        let (magic, rest) = header.split_at(8);
        let (node, rest) = rest.split_at(16);
        let (seq, prev) = rest.split_at(8);
        if magic != MAGIC {
            return Err(Error::Header);
        }
        Ok(Self {
            node: NodeId::from_bytes(node.try_into().map_err(|_| Error::Header)?),
            from: Resume {
                next_seq: u64::from_be_bytes(seq.try_into().map_err(|_| Error::Header)?),
                prev_hash: Hash::from_bytes(prev.try_into().map_err(|_| Error::Header)?),
            },
        })
    }
}

/// A frame as it stands in a file. Nothing about it is checked yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'b> {
    /// The record's bytes.
    pub record: &'b [u8],
    /// The leaf hash that stands behind it.
    pub leaf: Hash,
}

/// Reads frames from bytes as they come in.
#[derive(Debug, Default)]
pub struct FrameReader {
    buffer: Vec<u8>,
    read: usize,
    ended: bool,
}

impl FrameReader {
    /// A reader that stands behind a segment's header.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// More bytes of the segment.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.read);
        self.read = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame; `None` where more bytes are needed, or where the kept zeros begin.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] for a length that no record has, and for anything but zeros behind the last frame.
    pub fn next_frame(&mut self) -> Result<Option<Frame<'_>>, Error> {
        let rest = &self.buffer[self.read..];
        if self.ended {
            if rest.iter().any(|byte| *byte != 0) {
                return Err(Error::Length);
            }
            self.read = self.buffer.len();
            return Ok(None);
        }
        let Some((length, _)) = rest.split_first_chunk::<4>() else { return Ok(None) };
        let length = u32::from_be_bytes(*length) as usize;
        if length == 0 {
            self.ended = true;
            return if rest.iter().all(|byte| *byte == 0) { Ok(None) } else { Err(Error::Length) };
        }
        if length > limits::RECORD_LENGTH_MAX {
            return Err(Error::Length);
        }
        let from = self.read;
        let Some(frame) = frame_at(&self.buffer[from..], length) else { return Ok(None) };
        self.read += length + limits::FRAME_OVERHEAD;
        Ok(Some(frame))
    }

    /// Bytes that belong to no whole frame.
    #[must_use]
    pub fn rest(&self) -> &[u8] {
        let rest = &self.buffer[self.read..];
        if self.ended || rest.iter().all(|byte| *byte == 0) { &[] } else { rest }
    }
}

fn frame_at(bytes: &[u8], length: usize) -> Option<Frame<'_>> {
    let record = bytes.get(4..4 + length)?;
    let leaf = bytes.get(4 + length..limits::FRAME_OVERHEAD + length)?;
    Some(Frame { record, leaf: Hash::from_bytes(leaf.try_into().ok()?) })
}

/// What a crash left of the last segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// Its header.
    pub header: SegmentHeader,
    /// Where the log goes on.
    pub resume: Resume,
    /// Bytes of the segment, its header with them, that hold good: what is behind is to be cut.
    pub valid_length: usize,
    /// Bytes behind them that were being written and are lost. Not zero is an `audit.gap`.
    pub torn: usize,
}

/// Finds the end of the last segment.
///
/// A crash leaves records that were not synced incomplete or as zeros, at the end and nowhere else. A record that was
/// changed while the one behind it still fits is not what a crash does.
///
/// # Errors
///
/// [`Broken`] where the segment has no header, or is damaged otherwise than by a crash.
pub fn recover(segment: &[u8]) -> Result<Recovered, Broken> {
    let header =
        SegmentHeader::from_bytes(segment).map_err(|_| Broken { seq: 0, what: Damage::Header })?;
    let mut resume = header.from;
    let mut at = SEGMENT_HEADER_LENGTH;
    while let Some((frame, next)) = good_frame(segment, at, &header, resume) {
        resume = next;
        at += frame;
    }
    let torn = segment[at..].iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    if torn > limits::TORN_MAX || changed_within(&segment[at..]) {
        return Err(Broken { seq: resume.next_seq, what: Damage::Record });
    }
    Ok(Recovered { header, resume, valid_length: at, torn })
}

/// The frame at a place, if it is whole and goes on from the one before: its length, and where it leads.
fn good_frame(
    segment: &[u8],
    at: usize,
    header: &SegmentHeader,
    from: Resume,
) -> Option<(usize, Resume)> {
    let length = length_at(segment.get(at..)?)?;
    let frame = frame_at(&segment[at..], length)?;
    let record = Record::from_bytes(frame.record).ok()?;
    let fits = leaf_hash(frame.record) == frame.leaf
        && record.node == header.node
        && record.seq == from.next_seq
        && record.prev == from.prev_hash;
    let next = Resume { next_seq: from.next_seq.checked_add(1)?, prev_hash: frame.leaf };
    fits.then_some((length + limits::FRAME_OVERHEAD, next))
}

/// Whether the frame that does not fit is followed by one that names its hash: then it was whole once.
fn changed_within(rest: &[u8]) -> bool {
    let followed = || {
        let length = length_at(rest)?;
        let changed = frame_at(rest, length)?;
        let behind = rest.get(length + limits::FRAME_OVERHEAD..)?;
        let next = frame_at(behind, length_at(behind)?)?;
        let record = Record::from_bytes(next.record).ok()?;
        Some(leaf_hash(next.record) == next.leaf && record.prev == changed.leaf)
    };
    followed().unwrap_or(false)
}

fn length_at(bytes: &[u8]) -> Option<usize> {
    let length = u32::from_be_bytes(*bytes.first_chunk::<4>()?) as usize;
    (1..=limits::RECORD_LENGTH_MAX).contains(&length).then_some(length)
}
