//! The spool without threads: appends, jobs that a helper runs, and what their results mean.
//!
//! A job holds all that it needs, so it can run anywhere; at most one is out at a time, and syncs go before
//! overwriting. A sync that fails is never tried again on the same bytes: Linux may have dropped them and would report
//! success. What was not synced by then is lost as a promise (it may still be readable, and is delivered as far as it
//! is), and appends go on in a fresh segment.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use hushbox_policy::MessageId;
use hushbox_store::spool::{self, Record, RecordKind};

use super::SpoolOptions;
use super::job::{Job, JobDone, Outcome, Task};
use super::reader::MessageReader;
use super::recovery::{self, Recovered};
use super::segment::{self, Blank, Segment};
use crate::error::BackendError;
use crate::limits;
use crate::volume::Volume;

/// How many blank segments are kept; more are removed.
const BLANKS_KEPT: usize = 2;

/// A place in the order of all appends of one run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position(u64);

/// What a finished sync means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncReport {
    /// Every record up to here is durable, but for those of `lost`.
    pub synced: Position,
    /// Messages of which something could not be synced: none of them may be announced as saved.
    pub lost: BTreeSet<MessageId>,
}

/// How much may still be appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// In segments that are there: no disk can refuse it.
    pub in_segments: u64,
    /// What the disk has besides.
    pub on_disk: u64,
}

impl Room {
    /// Both together.
    pub fn total(&self) -> u64 {
        self.in_segments.saturating_add(self.on_disk)
    }
}

/// Where one record stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) generation: u64,
    pub(super) offset: u64,
    pub(super) body_len: usize,
    pub(super) kind: RecordKind,
    pub(super) index: u32,
}

#[derive(Debug, Default)]
pub(super) struct Entry {
    pub(super) places: Vec<Place>,
    /// The last record is there, or the one that drops the message.
    pub(super) finished: bool,
    /// Where the mark of delivery was appended.
    pub(super) delivered: Option<Position>,
    /// The last append.
    pub(super) last: Position,
    /// A sync of something of it failed.
    pub(super) lost: bool,
}

/// A spool without its helper thread.
#[derive(Debug)]
pub struct SpoolLog {
    volume: Arc<dyn Volume>,
    options: SpoolOptions,
    segments: BTreeMap<u64, Segment>,
    active: Option<u64>,
    blanks: Vec<Blank>,
    next_generation: u64,
    next_number: u32,
    messages: BTreeMap<MessageId, Entry>,
    appended: Position,
    synced: Position,
    /// Segments written to since the last sync began.
    unsynced: BTreeSet<u64>,
    /// Making a segment ahead failed: not tried again before the next append needs one.
    blank_failed: bool,
    buffer: Vec<u8>,
}

impl SpoolLog {
    /// Opens a volume and reads what an earlier run left there.
    pub fn open(
        volume: Arc<dyn Volume>,
        options: SpoolOptions,
    ) -> Result<(SpoolLog, Recovered), BackendError> {
        let segment_bytes = options.segment_bytes.max(limits::SPOOL_SEGMENT_BYTES_MIN);
        let found = recovery::read(volume.as_ref())?;
        let mut log = SpoolLog {
            volume,
            options: SpoolOptions { segment_bytes },
            segments: found.segments,
            active: None,
            blanks: found.blanks,
            next_generation: found.next_generation,
            next_number: found.next_number,
            messages: found.messages,
            appended: Position::default(),
            synced: Position::default(),
            unsynced: BTreeSet::new(),
            blank_failed: false,
            buffer: Vec::new(),
        };
        log.free_all()?;
        log.prepare();
        Ok((log, found.recovered))
    }

    /// Appends a record.
    pub fn append(&mut self, record: &Record) -> Result<Position, BackendError> {
        let content =
            matches!(record.kind, RecordKind::First | RecordKind::Chunk | RecordKind::Last);
        if content && self.messages.get(&record.message).is_some_and(|entry| entry.lost) {
            return Err(BackendError::Unsynced { path: self.volume.path().to_owned() });
        }
        let framed_len = record.framed_len() as u64;
        let generation = match self.active_for(framed_len) {
            Ok(generation) => generation,
            // Overwriting the segments of what is delivered is what makes room: it must not wait for room for a mark.
            // Without one, a crash before that only means that the message is delivered again.
            Err(error) if error.is_full() && !content => {
                if let Some(entry) = self.messages.get_mut(&record.message) {
                    entry.delivered = Some(self.appended);
                }
                return Ok(self.appended);
            }
            Err(error) => return Err(error),
        };
        let Some(segment) = self.segments.get_mut(&generation) else {
            return Err(BackendError::NoMessage { path: self.volume.path().to_owned() });
        };
        self.buffer.clear();
        spool::frame(generation, record, &mut self.buffer);
        segment
            .file
            .write_at(&self.buffer, segment.used)
            .map_err(BackendError::io("write", &self.volume.path().join(&segment.name)))?;
        let position = Position(self.appended.0 + 1);
        self.appended = position;
        self.unsynced.insert(generation);
        let place = Place {
            generation,
            offset: segment.used,
            body_len: record.body.len(),
            kind: record.kind,
            index: record.index,
        };
        segment.used += framed_len;
        segment.last = position;
        if content {
            segment.messages.insert(record.message);
        } else {
            segment.marks.insert(record.message);
        }
        let entry = self.messages.entry(record.message).or_default();
        entry.note(place);
        entry.last = position;
        if !content {
            entry.delivered = Some(position);
        }
        Ok(position)
    }

    /// The next thing for a helper to do: a sync if one is asked for and anything was appended, else housekeeping.
    pub fn next_job(&mut self, sync: bool) -> Option<Job> {
        if sync {
            let generations = std::mem::take(&mut self.unsynced);
            let files = generations
                .iter()
                .filter_map(|generation| self.segments.get(generation))
                .map(|segment| Arc::clone(&segment.file))
                .collect();
            return Some(Job(Task::Sync { files, generations, upto: self.appended }));
        }
        if let Some((generation, segment)) = self.first_free() {
            segment.freeing = true;
            let (file, used) = (Arc::clone(&segment.file), segment.used);
            return Some(Job(Task::Overwrite { generation, file, used }));
        }
        if self.blanks.is_empty() && !self.blank_failed {
            let number = self.take_number();
            let (volume, len) = (Arc::clone(&self.volume), self.options.segment_bytes);
            return Some(Job(Task::Prepare { volume, number, len }));
        }
        None
    }

    /// Takes a job's result. A report only for a sync.
    pub fn finish(&mut self, done: JobDone) -> Option<SyncReport> {
        match done.0 {
            Outcome::Synced { upto, generations, result } => {
                Some(self.finish_sync(upto, &generations, result))
            }
            Outcome::Overwritten { generation, result } => {
                self.finish_overwrite(generation, result);
                None
            }
            Outcome::Prepared(Ok(blank)) => {
                self.blanks.push(blank);
                None
            }
            Outcome::Prepared(Err(error)) => {
                tracing::warn!(%error, "no spool segment could be made ahead");
                self.blank_failed = true;
                None
            }
        }
    }

    /// Syncs here and now, and does all housekeeping: for one thread, and for tests.
    pub fn sync_now(&mut self) -> SyncReport {
        let mut report = SyncReport { synced: self.synced, lost: BTreeSet::new() };
        let mut job = self.next_job(true);
        while let Some(next) = job {
            if let Some(synced) = self.finish(next.run()) {
                report = synced;
            }
            job = self.next_job(false);
        }
        report
    }

    /// What is needed to read a message back, on any thread.
    pub fn reader(&self, message: MessageId) -> Option<MessageReader> {
        let entry = self.messages.get(&message).filter(|entry| entry.delivered.is_none())?;
        let mut records = Vec::with_capacity(entry.places.len());
        for place in &entry.places {
            let segment = self.segments.get(&place.generation)?;
            records.push((Arc::clone(&segment.file), *place));
        }
        Some(MessageReader { message, path: self.volume.path().to_owned(), records })
    }

    /// How much may still be appended.
    pub fn room(&self) -> Room {
        let active = self
            .active
            .and_then(|generation| self.segments.get(&generation))
            .map_or(0, |segment| segment.len.saturating_sub(segment.used));
        let blanks: u64 = self.blanks.iter().map(|blank| blank.len).sum();
        Room { in_segments: active + blanks, on_disk: self.volume.free_bytes().unwrap_or(0) }
    }

    /// Messages that are not delivered yet.
    pub fn undelivered(&self) -> usize {
        self.messages.values().filter(|entry| entry.delivered.is_none()).count()
    }

    fn active_for(&mut self, framed_len: u64) -> Result<u64, BackendError> {
        if let Some(generation) = self.active
            && let Some(segment) = self.segments.get(&generation)
            && segment.used + framed_len <= segment.len
        {
            return Ok(generation);
        }
        let blank = match self.blanks.pop() {
            Some(blank) => blank,
            None => {
                let number = self.take_number();
                Blank::create(self.volume.as_ref(), number, self.options.segment_bytes)?
            }
        };
        self.blank_failed = false;
        let generation = self.next_generation;
        self.next_generation += 1;
        self.segments.insert(generation, blank.begin(self.volume.as_ref(), generation)?);
        self.active = Some(generation);
        Ok(generation)
    }

    fn take_number(&mut self) -> u32 {
        let number = self.next_number;
        self.next_number = self.next_number.wrapping_add(1);
        number
    }

    fn finish_sync(
        &mut self,
        upto: Position,
        generations: &BTreeSet<u64>,
        result: io::Result<()>,
    ) -> SyncReport {
        if let Err(error) = result {
            tracing::error!(%error, spool = %self.volume.path().display(), "a sync of the spool failed");
            for generation in generations {
                let Some(segment) = self.segments.get(generation) else { continue };
                for message in &segment.messages {
                    if let Some(entry) = self.messages.get_mut(message)
                        && entry.last > self.synced
                    {
                        entry.lost = true;
                    }
                }
            }
            self.active = None;
        }
        self.synced = self.synced.max(upto);
        let lost =
            self.messages.iter().filter(|(_, entry)| entry.lost && entry.delivered.is_none());
        SyncReport { synced: self.synced, lost: lost.map(|(id, _)| *id).collect() }
    }

    /// The first segment that nothing needs any more.
    fn first_free(&mut self) -> Option<(u64, &mut Segment)> {
        let (segments, messages) = (&self.segments, &self.messages);
        let generation = segments.iter().find(|(generation, segment)| {
            !segment.freeing
                && segment.used > spool::SEGMENT_HEADER_LEN as u64
                && segment.last <= self.synced
                && segment.messages.iter().all(|id| {
                    messages
                        .get(id)
                        .is_none_or(|entry| entry.delivered.is_some_and(|at| at <= self.synced))
                })
                && segment.marks.iter().all(|id| {
                    messages.get(id).is_none_or(|entry| {
                        entry.places.iter().all(|place| place.generation == **generation)
                    })
                })
        });
        let generation = *generation?.0;
        if self.active == Some(generation) {
            self.active = None;
        }
        self.segments.get_mut(&generation).map(|segment| (generation, segment))
    }

    fn finish_overwrite(&mut self, generation: u64, result: io::Result<()>) {
        let Some(segment) = self.segments.remove(&generation) else { return };
        if let Err(error) = result {
            // It stays on the disk and is not used again; the next start tries once more.
            tracing::error!(%error, segment = segment.name, "a free spool segment could not be overwritten");
            return;
        }
        for id in segment.messages.iter().chain(&segment.marks) {
            if let Some(entry) = self.messages.get_mut(id) {
                entry.places.retain(|place| place.generation != generation);
                if entry.places.is_empty() && entry.delivered.is_some() {
                    self.messages.remove(id);
                }
            }
        }
        self.keep_or_remove(Blank { name: segment.name, file: segment.file, len: segment.len });
    }

    fn keep_or_remove(&mut self, blank: Blank) {
        if self.blanks.len() < BLANKS_KEPT && blank.len == self.options.segment_bytes {
            self.blanks.push(blank);
        } else if let Err(error) = self.volume.remove(&blank.name) {
            tracing::warn!(%error, segment = blank.name, "an empty spool segment could not be removed");
        }
    }

    /// Sees to it that the first append finds a segment ready. A full disk is no reason not to start.
    fn prepare(&mut self) {
        if let Some(job) = self.next_job(false) {
            self.finish(job.run());
        }
    }

    /// Frees what an earlier run had no time for, before anything is appended.
    fn free_all(&mut self) -> Result<(), BackendError> {
        let blanks = std::mem::take(&mut self.blanks);
        for blank in blanks {
            self.keep_or_remove(blank);
        }
        while let Some((generation, segment)) = self.first_free() {
            let result = segment::overwrite(segment.file.as_ref(), segment.used);
            self.finish_overwrite(generation, result);
        }
        Ok(())
    }
}

impl Entry {
    pub(super) fn note(&mut self, place: Place) {
        match place.kind {
            RecordKind::First | RecordKind::Chunk => self.places.push(place),
            RecordKind::Last => {
                self.finished = true;
                self.places.push(place);
            }
            RecordKind::Delivered | RecordKind::Discarded => self.finished = true,
        }
    }
}
