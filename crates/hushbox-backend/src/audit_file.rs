//! The audit log on a disk.
//!
//! ```text
//! AUDIT/NNNNNNNNNNNNNNNNNNNN.log    segments, named by the seq of their first record; hushbox-audit has the bytes
//! ```
//!
//! - A batch is written behind the last record and synced; only then is it durable. A batch that could not be written
//!   or synced is cut off again, and [`Log::rollback`](hushbox_audit::Log::rollback) takes it back.
//! - Space for 4 MiB is allocated ahead of the end, without changing the file's length: a reader sees records to the
//!   end of the file, and a full disk still takes log-ins and listening for a while ([`AuditSpace`]).
//! - A torn last record is cut off at the start, and reported: it was never confirmed to anybody.

mod reader;

use std::path::PathBuf;
use std::sync::Arc;

use hushbox_audit::{Batch, Resume, SEGMENT_HEADER_LENGTH, SegmentHeader, recover};
use hushbox_policy::NodeId;

use crate::error::BackendError;
use crate::limits;
use crate::volume::{Volume, VolumeFile, read_all};

pub use reader::{AuditCheckError, AuditReader};

const SUFFIX: &str = ".log";

/// How the log is laid out.
#[derive(Clone, Copy, Debug)]
pub struct AuditOptions {
    /// A segment that is longer gets a successor.
    pub segment_bytes: u64,
    /// Space kept ahead.
    pub reserve_bytes: u64,
    /// The reserve is topped up in steps of so much.
    pub step_bytes: u64,
}

impl Default for AuditOptions {
    fn default() -> Self {
        AuditOptions {
            segment_bytes: limits::AUDIT_SEGMENT_BYTES,
            reserve_bytes: limits::AUDIT_RESERVE_BYTES,
            step_bytes: limits::AUDIT_ALLOCATION_STEP_BYTES,
        }
    }
}

/// How much the log may still grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditSpace {
    /// The reserve is whole: everything may be written down.
    Plenty,
    /// The disk is full and the reserve is used: log-ins and listening go on, deliveries wait.
    Reserve {
        /// Bytes that are left of it.
        left: u64,
    },
    /// Nothing is left: nothing that must be written down may be done.
    Full,
}

/// What a start found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenedAudit {
    /// Where the log goes on.
    pub resume: Resume,
    /// Bytes that were being written in a crash and were cut off. Not zero is to be recorded.
    pub torn_bytes: u64,
}

/// The log's file, with the one writer. Its calls block: keep it off the threads that carry media.
#[derive(Debug)]
pub struct AuditFile {
    volume: Arc<dyn Volume>,
    node: NodeId,
    options: AuditOptions,
    current: Option<Segment>,
    /// The current segment takes no more, since a sync of it failed.
    broken: bool,
    space: AuditSpace,
}

#[derive(Debug)]
struct Segment {
    path: PathBuf,
    file: Arc<dyn VolumeFile>,
    len: u64,
    /// Writing up to here can't meet a full disk.
    allocated: u64,
}

impl AuditFile {
    /// Opens the log in a volume, and cuts off what a crash left torn.
    pub fn open(
        volume: Arc<dyn Volume>,
        node: NodeId,
        options: AuditOptions,
    ) -> Result<(AuditFile, OpenedAudit), BackendError> {
        let mut opened = OpenedAudit { resume: Resume::default(), torn_bytes: 0 };
        let mut log = AuditFile {
            volume,
            node,
            options,
            current: None,
            broken: false,
            space: AuditSpace::Plenty,
        };
        let mut names = segment_names(log.volume.as_ref())?;
        while let Some((_, name)) = names.pop() {
            let path = log.volume.path().join(&name);
            let file = log.volume.open(&name).map_err(BackendError::io("open", &path))?;
            let bytes = read_all(file.as_ref(), u64::from(u32::MAX))
                .map_err(BackendError::io("read", &path))?;
            if bytes.iter().take(SEGMENT_HEADER_LENGTH).all(|byte| *byte == 0) {
                // Its making was cut short: the header is synced with the first record.
                log.volume.remove(&name).map_err(BackendError::io("remove", &path))?;
                opened.torn_bytes += bytes.len() as u64;
                continue;
            }
            let found = recover(&bytes).map_err(|broken| BackendError::Damaged {
                path: path.clone(),
                what: broken.to_string(),
            })?;
            if found.header.node != node {
                return Err(BackendError::Damaged {
                    path,
                    what: format!(
                        "it is the log of node {}, and this is {node}",
                        found.header.node
                    ),
                });
            }
            let len = found.valid_length as u64;
            if (bytes.len() as u64) > len {
                file.set_len(len)
                    .and_then(|()| file.sync())
                    .map_err(BackendError::io("cut", &path))?;
            }
            opened.torn_bytes += found.torn as u64;
            opened.resume = found.resume;
            log.current = Some(Segment { path, file, len, allocated: len });
            break;
        }
        log.check_space();
        Ok((log, opened))
    }

    /// Writes a batch and syncs it. On an error nothing of it is in the log.
    pub fn append(&mut self, batch: &Batch) -> Result<(), BackendError> {
        self.append_frames(batch.from(), batch.bytes())
    }

    fn append_frames(&mut self, from: Resume, frames: &[u8]) -> Result<(), BackendError> {
        self.roll(from)?;
        self.keep_ahead(frames.len() as u64);
        let path = self.volume.path().to_owned();
        let Some(segment) = &mut self.current else { return Err(BackendError::Full { path }) };
        let end = segment.len + frames.len() as u64;
        if end > segment.allocated {
            return Err(BackendError::Full { path });
        }
        let doing = BackendError::io("write", &segment.path);
        if let Err(error) = segment.file.write_at(frames, segment.len) {
            self.cut_back();
            return Err(doing(error));
        }
        if let Err(error) = segment.file.sync() {
            // Linux may have dropped what it could not write, and would report success for it next time.
            self.broken = true;
            self.cut_back();
            return Err(doing(error));
        }
        segment.len = end;
        Ok(())
    }

    /// How much may still be written. Asks the disk again if it was full.
    pub fn space(&mut self) -> AuditSpace {
        if self.space != AuditSpace::Plenty {
            self.check_space();
        }
        self.space
    }

    /// Reads the log while it is being written, from any thread.
    pub fn reader(&self) -> AuditReader {
        AuditReader::new(Arc::clone(&self.volume))
    }

    fn check_space(&mut self) {
        self.keep_ahead(0);
        if self.current.is_none() {
            let needed = self.options.reserve_bytes + SEGMENT_HEADER_LENGTH as u64;
            let free = self.volume.free_bytes().unwrap_or(0);
            self.space = if free >= needed { AuditSpace::Plenty } else { AuditSpace::Full };
        }
    }

    /// Begins a segment where there is none, or the last one is full or broken. When there is no room for another, a
    /// full one goes on.
    fn roll(&mut self, from: Resume) -> Result<(), BackendError> {
        match &self.current {
            Some(segment) if !self.broken && segment.len < self.options.segment_bytes => {
                return Ok(());
            }
            _ => {}
        }
        let usable = self.current.is_some() && !self.broken;
        match self.begin_segment(from) {
            Ok(segment) => {
                if let Some(old) = self.current.replace(segment) {
                    // Gives back what was allocated ahead of its end.
                    let _ = old.file.set_len(old.len);
                }
                self.broken = false;
                Ok(())
            }
            Err(error) if usable => {
                tracing::warn!(%error, "no new audit segment; the last one goes on");
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn begin_segment(&self, from: Resume) -> Result<Segment, BackendError> {
        let name = format!("{:020}{SUFFIX}", from.next_seq);
        let path = self.volume.path().join(&name);
        let doing = BackendError::io("make", &path);
        let made = || -> std::io::Result<(Arc<dyn VolumeFile>, u64)> {
            // One of that name has no record: its first batch was taken back.
            if self.volume.names()?.contains(&name) {
                self.volume.remove(&name)?;
            }
            let file = self.volume.create(&name)?;
            let ahead = SEGMENT_HEADER_LENGTH as u64 + self.options.reserve_bytes;
            let begun = || -> std::io::Result<u64> {
                let allocated = if file.allocate(ahead)? { ahead } else { u64::MAX };
                let header = SegmentHeader { node: self.node, from };
                file.write_at(&header.to_bytes(), 0)?;
                file.sync()?;
                self.volume.sync_names()?;
                Ok(allocated)
            };
            match begun() {
                Ok(allocated) => Ok((file, allocated)),
                Err(error) => {
                    // What could not be begun must not take the space that is short.
                    let _ = self.volume.remove(&name);
                    Err(error)
                }
            }
        };
        let (file, allocated) = made().map_err(doing)?;
        Ok(Segment { path, file, len: SEGMENT_HEADER_LENGTH as u64, allocated })
    }

    /// Sees to it that the reserve stays ahead of the next `more` bytes, and says how it stands.
    fn keep_ahead(&mut self, more: u64) {
        let Some(segment) = &mut self.current else { return };
        let wanted = segment.len + more + self.options.reserve_bytes;
        if segment.allocated >= wanted {
            self.space = AuditSpace::Plenty;
            return;
        }
        let mut result = segment.file.allocate(wanted + self.options.step_bytes);
        if result.is_err() {
            result = segment.file.allocate(wanted);
        }
        match result {
            Ok(true) => {
                let stepped = segment.file.allocated().unwrap_or(wanted);
                segment.allocated = stepped.clamp(wanted, wanted + self.options.step_bytes);
                self.space = AuditSpace::Plenty;
            }
            Ok(false) => {
                tracing::warn!(
                    path = %segment.path.display(),
                    "this file system can't keep space for the audit log: a full disk stops log-ins at once"
                );
                segment.allocated = u64::MAX;
                self.space = AuditSpace::Plenty;
            }
            Err(error) => {
                // After a start the file tells how much is still allocated ahead of its end.
                let on_disk = segment.file.allocated().unwrap_or(0);
                segment.allocated = segment.allocated.max(segment.len).max(on_disk.min(wanted));
                let left = segment.allocated - segment.len;
                let now = if left > more {
                    AuditSpace::Reserve { left: left - more }
                } else {
                    AuditSpace::Full
                };
                if self.space == AuditSpace::Plenty {
                    tracing::warn!(%error, left, "the audit log's disk is full; its reserve is used");
                }
                self.space = now;
            }
        }
    }

    /// Cuts a batch off again that could not be written or synced.
    fn cut_back(&mut self) {
        let Some(segment) = &mut self.current else { return };
        let cut = segment.file.set_len(segment.len).and_then(|()| segment.file.sync());
        if let Err(error) = cut {
            tracing::error!(%error, "the audit log could not be cut back to its last good record");
            self.broken = true;
        }
        // Cutting gives back what was allocated ahead.
        segment.allocated = segment.len;
        self.keep_ahead(0);
    }
}

/// The segments' names, each with the seq that it begins at, in order.
fn segment_names(volume: &dyn Volume) -> Result<Vec<(u64, String)>, BackendError> {
    let names = volume.names().map_err(BackendError::io("list", volume.path()))?;
    let seq_of = |name: &str| name.strip_suffix(SUFFIX)?.parse().ok();
    let mut segments: Vec<(u64, String)> =
        names.into_iter().filter_map(|name| Some((seq_of(&name)?, name))).collect();
    segments.sort();
    Ok(segments)
}

#[cfg(test)]
mod tests;
