//! Reading the log: one record by its place, the records of some messages, or all of it for a verifier.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};

use hushbox_audit::{FrameReader, Record, SEGMENT_HEADER_LENGTH, Summary, Verifier};

use super::segment_names;
use crate::error::BackendError;
use crate::volume::{Volume, VolumeFile};

/// Bytes that are read at once.
const PIECE_BYTES: usize = 256 * 1024;
/// The place of every so-manieth record is kept, so that the next look-up begins near it.
const MARK_EVERY: u64 = 256;

/// Reads the log, also while it is being written. Clones share what they have learnt of it. Its calls block.
#[derive(Clone, Debug)]
pub struct AuditReader {
    volume: Arc<dyn Volume>,
    /// Where records stand: by seq, the segment's first seq and the offset.
    marks: Arc<Mutex<BTreeMap<u64, (u64, u64)>>>,
}

impl AuditReader {
    /// A reader of the log in a volume; it needs no writer.
    pub fn new(volume: Arc<dyn Volume>) -> AuditReader {
        AuditReader { volume, marks: Arc::default() }
    }

    /// The record at a place; none if the log does not have it. Whether it was changed since is `audit verify`'s
    /// matter.
    pub fn record(&self, seq: u64) -> Result<Option<Record>, BackendError> {
        let segments = segment_names(self.volume.as_ref())?;
        let Some((first, name)) = segments.into_iter().rev().find(|(first, _)| *first <= seq)
        else {
            return Ok(None);
        };
        let mark = self.mark_before(seq);
        let (from, offset) = match mark {
            Some((at, (segment, offset))) if segment == first => (at, offset),
            _ => (first, SEGMENT_HEADER_LENGTH as u64),
        };
        let mut found = None;
        let _ = self.walk(&name, first, from, offset, &mut |record| {
            if record.seq >= seq {
                found = Some(record).filter(|record| record.seq == seq);
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        })?;
        Ok(found)
    }

    /// Every record from the first to the last, until `each` has enough.
    pub fn each(
        &self,
        each: &mut dyn FnMut(Record) -> ControlFlow<()>,
    ) -> Result<(), BackendError> {
        for (first, name) in segment_names(self.volume.as_ref())? {
            if self.walk(&name, first, first, SEGMENT_HEADER_LENGTH as u64, each)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Checks the whole log.
    pub fn verify(&self, mut verifier: Verifier) -> Result<Summary, AuditCheckError> {
        let mut piece = vec![0; PIECE_BYTES];
        for (_, name) in segment_names(self.volume.as_ref())? {
            let file = self.open(&name)?;
            let mut at = 0;
            loop {
                let read = self.read(file.as_ref(), &name, &mut piece, at)?;
                if read == 0 {
                    break;
                }
                at += read as u64;
                verifier.push(piece.get(..read).unwrap_or_default())?;
            }
            verifier.end_segment()?;
        }
        Ok(verifier.finish()?)
    }

    /// Reads records of one segment from an offset, where the record `from` stands.
    fn walk(
        &self,
        name: &str,
        first: u64,
        from: u64,
        offset: u64,
        each: &mut dyn FnMut(Record) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, BackendError> {
        let file = self.open(name)?;
        let mut frames = FrameReader::new();
        let mut piece = vec![0; PIECE_BYTES];
        let (mut at, mut seq, mut read_at) = (offset, from, offset);
        loop {
            let read = self.read(file.as_ref(), name, &mut piece, read_at)?;
            if read == 0 {
                return Ok(ControlFlow::Continue(()));
            }
            read_at += read as u64;
            frames.push(piece.get(..read).unwrap_or_default());
            // A damaged tail ends the walk: what stands before it is read.
            while let Ok(Some(frame)) = frames.next_frame() {
                let Ok(record) = Record::from_bytes(frame.record) else {
                    return Ok(ControlFlow::Continue(()));
                };
                if seq.is_multiple_of(MARK_EVERY) {
                    self.mark(seq, first, at);
                }
                at += (frame.record.len() + hushbox_audit::limits::FRAME_OVERHEAD) as u64;
                seq += 1;
                if each(record).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
    }

    fn mark_before(&self, seq: u64) -> Option<(u64, (u64, u64))> {
        let marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        marks.range(..=seq).next_back().map(|(at, place)| (*at, *place))
    }

    fn mark(&self, seq: u64, first: u64, offset: u64) {
        let mut marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        marks.insert(seq, (first, offset));
    }

    fn open(&self, name: &str) -> Result<Arc<dyn VolumeFile>, BackendError> {
        self.volume.open(name).map_err(BackendError::io("open", &self.volume.path().join(name)))
    }

    fn read(
        &self,
        file: &dyn VolumeFile,
        name: &str,
        piece: &mut [u8],
        at: u64,
    ) -> Result<usize, BackendError> {
        file.read_at(piece, at).map_err(BackendError::io("read", &self.volume.path().join(name)))
    }
}

/// The log could not be checked, or does not hold good.
#[derive(Debug, thiserror::Error)]
pub enum AuditCheckError {
    /// It could not be read.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// It does not hold good.
    #[error(transparent)]
    Broken(#[from] hushbox_audit::Broken),
}
