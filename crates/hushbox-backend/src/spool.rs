//! The spool on a disk: a shard's folder of segments, appended to by the shard's thread and synced by a helper thread.
//!
//! ```text
//! DATA/spool/SHARD/NNNNNNNN.seg     store::spool has the bytes inside
//! ```
//!
//! - A segment has its full length from the beginning and is zeros before it is used, so an append allocates nothing
//!   and a sync writes no metadata. One segment is kept ready ahead.
//! - One sync covers everything that every call of the shard appended until then; while one runs, the next gathers.
//! - After a start nothing is appended to what was there: a new segment begins, the old ones are read, delivered, and
//!   freed.
//! - A segment is freed when all of its messages are delivered, also the one in use: its header is overwritten and
//!   synced first, so that a crash can't bring half of it back, then every byte that was used. Sealed message keys must
//!   not outlive their deletion in the index, which is why this does not wait for the segment to fill up.
//! - The mark that a message is delivered may stand in a later segment than the message. Such a segment waits until
//!   the message's own segments are gone.
//!
//! [`log::SpoolLog`] is all of this without threads; [`Spool`] adds the helper thread.

pub mod log;
mod recovery;
mod segment;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc;

use hushbox_policy::MessageId;
use hushbox_store::spool::Record;
use tokio::sync::mpsc as async_mpsc;

use crate::error::BackendError;
use crate::limits;
use crate::volume::Volume;
use crate::volume::folder::Folder;
use log::{Job, JobDone, SpoolLog};

pub use log::{MessageReader, Position, Room, SyncReport};
pub use recovery::{Recovered, RecoveredMessage};

/// How a spool is laid out.
#[derive(Clone, Copy, Debug)]
pub struct SpoolOptions {
    /// Bytes of a new segment; an existing one keeps its own.
    pub segment_bytes: u64,
}

impl Default for SpoolOptions {
    fn default() -> Self {
        SpoolOptions { segment_bytes: limits::SPOOL_SEGMENT_BYTES }
    }
}

/// A shard's folder in the data folder.
pub fn shard_folder(data_folder: &Path, shard: u16) -> PathBuf {
    data_folder.join("spool").join(format!("{shard:03}"))
}

/// The shards that have a folder: one that no longer runs may still hold messages.
pub fn shards_on_disk(data_folder: &Path) -> Vec<u16> {
    (0..limits::SHARDS_MAX).filter(|shard| shard_folder(data_folder, *shard).is_dir()).collect()
}

/// A shard's spool, owned by its thread.
#[derive(Debug)]
pub struct Spool {
    log: SpoolLog,
    jobs: mpsc::Sender<Job>,
    done: async_mpsc::UnboundedReceiver<JobDone>,
    /// Jobs that the helper has and has not answered.
    running: usize,
    wanted: bool,
}

impl Spool {
    /// Opens the shard's folder, reads what an earlier run left there, and starts the helper thread.
    pub fn open(
        data_folder: &Path,
        shard: u16,
        options: SpoolOptions,
    ) -> Result<(Spool, Recovered), BackendError> {
        let folder = Folder::open_or_create(&shard_folder(data_folder, shard))?;
        Spool::on(Arc::new(folder), options)
    }

    /// The same on any volume.
    pub fn on(
        volume: Arc<dyn Volume>,
        options: SpoolOptions,
    ) -> Result<(Spool, Recovered), BackendError> {
        let path = volume.path().to_owned();
        let (log, recovered) = SpoolLog::open(volume, options)?;
        let (jobs, inbox) = mpsc::channel::<Job>();
        let (outbox, done) = async_mpsc::unbounded_channel();
        std::thread::Builder::new()
            .name("spool-sync".to_owned())
            .spawn(move || {
                // Both ends live as long as the spool: when it is dropped, the loop and the thread end.
                while let Ok(job) = inbox.recv() {
                    if outbox.send(job.run()).is_err() {
                        break;
                    }
                }
            })
            .map_err(BackendError::io("start a thread for", &path))?;
        Ok((Spool { log, jobs, done, running: 0, wanted: false }, recovered))
    }

    /// Appends a record. It survives a crash of the process from now on, one of the machine once it is synced.
    pub fn append(&mut self, record: &Record) -> Result<Position, BackendError> {
        self.log.append(record)
    }

    /// Marks a message as delivered: its place is overwritten some time after the next sync.
    pub fn delivered(&mut self, message: MessageId) -> Result<Position, BackendError> {
        let position = self.log.append(&Record::delivered(message))?;
        self.sync();
        Ok(position)
    }

    /// Asks that everything appended so far be synced. [`Spool::synced`] tells when it is.
    pub fn sync(&mut self) {
        self.wanted = true;
        self.submit();
    }

    /// The next finished sync. Safe to cancel; pends for ever while none is asked for.
    pub async fn synced(&mut self) -> SyncReport {
        loop {
            let Some(done) = self.done.recv().await else {
                // The helper is gone only when it panicked; nothing more will ever be synced.
                std::future::pending::<()>().await;
                continue;
            };
            self.running = self.running.saturating_sub(1);
            let report = self.log.finish(done);
            self.submit();
            if let Some(report) = report {
                return report;
            }
        }
    }

    /// What is needed to read a message back, on any thread.
    pub fn reader(&self, message: MessageId) -> Option<MessageReader> {
        self.log.reader(message)
    }

    /// How much may still be appended.
    pub fn room(&self) -> Room {
        self.log.room()
    }

    /// Messages that are not delivered yet: the lag.
    pub fn undelivered(&self) -> usize {
        self.log.undelivered()
    }

    fn submit(&mut self) {
        if self.running > 0 {
            return;
        }
        let sync = std::mem::take(&mut self.wanted);
        if let Some(job) = self.log.next_job(sync) {
            // A helper that is gone leaves the sync unanswered, and nothing is announced as saved.
            if self.jobs.send(job).is_ok() {
                self.running += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use hushbox_store::spool::RecordKind;

    use super::*;

    fn record(kind: RecordKind, message: u8, index: u32) -> Record {
        let message = MessageId::from_parts(1_700_000_000_000, [message; 10]);
        Record { kind, message, index, body: Bytes::from(vec![0xa5; 500]) }
    }

    fn small() -> SpoolOptions {
        SpoolOptions { segment_bytes: limits::SPOOL_SEGMENT_BYTES_MIN }
    }

    #[tokio::test]
    async fn a_message_in_a_real_folder_survives_a_restart_until_it_is_delivered() {
        let data = tempfile::tempdir().unwrap();
        let first = record(RecordKind::First, 1, 0);
        {
            let (mut spool, recovered) = Spool::open(data.path(), 0, small()).unwrap();
            assert!(recovered.messages.is_empty());
            spool.append(&first).unwrap();
            spool.append(&record(RecordKind::Chunk, 1, 0)).unwrap();
            let last = spool.append(&record(RecordKind::Last, 1, 0)).unwrap();
            spool.sync();
            let report = spool.synced().await;
            assert!(report.synced >= last && report.lost.is_empty());
        }
        assert_eq!(shards_on_disk(data.path()), [0]);
        {
            let (mut spool, recovered) = Spool::open(data.path(), 0, small()).unwrap();
            assert_eq!(recovered.messages.len(), 1);
            assert!(recovered.messages[0].finished);
            let records = spool.reader(first.message).unwrap().read().unwrap();
            assert_eq!(records.len(), 3);
            assert_eq!(records[0], first);
            spool.delivered(first.message).unwrap();
            spool.synced().await;
        }
        let (spool, recovered) = Spool::open(data.path(), 0, small()).unwrap();
        assert!(recovered.messages.is_empty());
        assert!(spool.reader(first.message).is_none());
    }

    #[tokio::test]
    async fn one_sync_serves_all_that_was_appended_while_the_last_one_ran() {
        let data = tempfile::tempdir().unwrap();
        let (mut spool, _) = Spool::open(data.path(), 0, small()).unwrap();
        let mut last = Position::default();
        for call in 0..100 {
            last = spool.append(&record(RecordKind::First, call, 0)).unwrap();
            spool.sync();
        }
        let mut reports = 0;
        while spool.synced().await.synced < last {
            reports += 1;
        }
        assert!(reports <= 2, "{reports} syncs for a hundred appends");
    }
}
