//! Checking a log without a server: every record in its place, unchanged, none missing, none twice.
//!
//! Records cut off at the end leave a shorter log that fits in itself: only an [`Anchor`] that was kept elsewhere
//! shows it.

use std::fmt;

use hushbox_policy::NodeId;
use jiff::Timestamp;

use crate::hash::{Hash, leaf_hash};
use crate::log::Resume;
use crate::record::Record;
use crate::segment::{FrameReader, SEGMENT_HEADER_LENGTH, SegmentHeader};

/// A log holds good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Whose log it is; `None` where there was no segment.
    pub node: Option<NodeId>,
    /// How many records were checked.
    pub count: u64,
    /// The place of the first, and when it was written.
    pub first: Option<(u64, Timestamp)>,
    /// The place of the last, and when it was written.
    pub last: Option<(u64, Timestamp)>,
    /// The leaf hash of the last record: what an anchor keeps.
    pub last_hash: Hash,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.first, self.last) {
            (Some((first, since)), Some((last, until))) => write!(
                f,
                "{} records, {first} ({since}) to {last} ({until}), last hash {}",
                self.count, self.last_hash
            ),
            _ => f.write_str("no records"),
        }
    }
}

/// A log does not hold good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the audit log is broken at record {seq}: {what}")]
pub struct Broken {
    /// The first place that does not hold good.
    pub seq: u64,
    /// In what way.
    pub what: Damage,
}

/// What is wrong at that place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// A segment has no header, or one that does not follow the segment before.
    #[error("the segment's header does not fit")]
    Header,
    /// The record was changed, or its hash was.
    #[error("the record does not fit its hash")]
    Record,
    /// Another record stands here: some are missing, moved or twice.
    #[error("another record stands in its place")]
    Order,
    /// The record does not follow the one before.
    #[error("the record does not follow the one before")]
    Chain,
    /// The record is of another node.
    #[error("the record is of another log")]
    Node,
    /// The record ends in the middle, or something stands behind the last one. A crash leaves this until the next
    /// start, and so does a record that is being written right now.
    #[error("the record is incomplete")]
    Incomplete,
    /// The record that an anchor names is another one.
    #[error("the record is not the one that was anchored")]
    AnchorDiffers,
    /// The log ends before the record that an anchor names.
    #[error("the log ends before a record that was anchored")]
    AnchorMissing,
}

/// A record that was noted outside of the log: that it is there shows that the log was not cut or rolled back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// Its place.
    pub seq: u64,
    /// Its leaf hash.
    pub hash: Hash,
}

/// Checks segments, in order, from bytes as they are read.
#[derive(Debug, Default)]
pub struct Verifier {
    node: Option<NodeId>,
    next: Option<Resume>,
    count: u64,
    first: Option<(u64, Timestamp)>,
    last: Option<(u64, Timestamp)>,
    anchors: Vec<Anchor>,
    header: Vec<u8>,
    frames: FrameReader,
}

impl Verifier {
    /// A verifier that knows nothing of the log yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One that also looks for these records.
    #[must_use]
    pub fn with_anchors(anchors: impl IntoIterator<Item = Anchor>) -> Self {
        Self { anchors: anchors.into_iter().collect(), ..Self::default() }
    }

    /// More bytes of the segment at hand.
    ///
    /// # Errors
    ///
    /// [`Broken`] at the first place that does not hold good. It is of no use to go on.
    pub fn push(&mut self, mut bytes: &[u8]) -> Result<(), Broken> {
        if self.header.len() < SEGMENT_HEADER_LENGTH {
            let missing = (SEGMENT_HEADER_LENGTH - self.header.len()).min(bytes.len());
            let (header, rest) = bytes.split_at(missing);
            self.header.extend_from_slice(header);
            bytes = rest;
            if self.header.len() < SEGMENT_HEADER_LENGTH {
                return Ok(());
            }
            self.begin()?;
        }
        self.frames.push(bytes);
        let mut frames = std::mem::take(&mut self.frames);
        loop {
            match frames.next_frame() {
                Ok(Some(frame)) => self.record(frame.record, frame.leaf)?,
                Ok(None) => break,
                Err(_) => return Err(self.broken(Damage::Incomplete)),
            }
        }
        self.frames = frames;
        Ok(())
    }

    /// The segment at hand ends here.
    ///
    /// # Errors
    ///
    /// [`Broken`] if it ends in the middle of something.
    pub fn end_segment(&mut self) -> Result<(), Broken> {
        if self.header.len() < SEGMENT_HEADER_LENGTH {
            return Err(self.broken(Damage::Header));
        }
        if !self.frames.rest().is_empty() {
            return Err(self.broken(Damage::Incomplete));
        }
        self.header.clear();
        self.frames = FrameReader::new();
        Ok(())
    }

    /// The log ends here.
    ///
    /// # Errors
    ///
    /// [`Broken`] if an anchored record is missing.
    pub fn finish(self) -> Result<Summary, Broken> {
        let end = self.next.unwrap_or_default();
        if let Some(anchor) = self.anchors.iter().find(|anchor| anchor.seq >= end.next_seq) {
            return Err(Broken { seq: anchor.seq, what: Damage::AnchorMissing });
        }
        Ok(Summary {
            node: self.node,
            count: self.count,
            first: self.first,
            last: self.last,
            last_hash: end.prev_hash,
        })
    }

    fn begin(&mut self) -> Result<(), Broken> {
        let header = SegmentHeader::from_bytes(&self.header);
        let header = header.map_err(|_| self.broken(Damage::Header))?;
        let node = *self.node.get_or_insert(header.node);
        // The first segment may begin later than the log did: the ones before it were retired.
        let next = *self.next.get_or_insert(header.from);
        if node != header.node || next != header.from {
            return Err(self.broken(Damage::Header));
        }
        if (next.next_seq == 0) != (next.prev_hash == Hash::ZERO) {
            return Err(self.broken(Damage::Header));
        }
        Ok(())
    }

    fn record(&mut self, bytes: &[u8], leaf: Hash) -> Result<(), Broken> {
        let next = self.next.unwrap_or_default();
        if leaf_hash(bytes) != leaf {
            return Err(self.broken(Damage::Record));
        }
        let record = Record::from_bytes(bytes).map_err(|_| self.broken(Damage::Record))?;
        if record.seq != next.next_seq {
            return Err(self.broken(Damage::Order));
        }
        if record.prev != next.prev_hash {
            return Err(self.broken(Damage::Chain));
        }
        if Some(record.node) != self.node {
            return Err(self.broken(Damage::Node));
        }
        if self.anchors.iter().any(|anchor| anchor.seq == record.seq && anchor.hash != leaf) {
            return Err(self.broken(Damage::AnchorDiffers));
        }
        self.count += 1;
        self.first.get_or_insert((record.seq, record.utc));
        self.last = Some((record.seq, record.utc));
        // No log ever gets so far: a header that says so is not one of ours.
        let next_seq = next.next_seq.checked_add(1).ok_or(self.broken(Damage::Order))?;
        self.next = Some(Resume { next_seq, prev_hash: leaf });
        Ok(())
    }

    fn broken(&self, what: Damage) -> Broken {
        Broken { seq: self.next.unwrap_or_default().next_seq, what }
    }
}

/// Checks whole segments, in order.
///
/// # Errors
///
/// [`Broken`] at the first place that does not hold good.
pub fn verify<S: AsRef<[u8]>>(segments: impl IntoIterator<Item = S>) -> Result<Summary, Broken> {
    let mut verifier = Verifier::new();
    for segment in segments {
        verifier.push(segment.as_ref())?;
        verifier.end_segment()?;
    }
    verifier.finish()
}
