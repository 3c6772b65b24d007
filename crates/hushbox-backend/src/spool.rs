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

pub mod job;
pub mod log;
mod reader;
mod recovery;
mod segment;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;

use hushbox_policy::MessageId;
use hushbox_store::spool::Record;
use tokio::sync::mpsc as async_mpsc;

use crate::error::BackendError;
use crate::limits;
use crate::volume::Volume;
use crate::volume::folder::Folder;
use job::{Job, JobDone};
use log::SpoolLog;

pub use log::{Position, Room, SyncReport};
pub use reader::MessageReader;
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
    /// None only while it is being dropped.
    jobs: Option<mpsc::Sender<Job>>,
    helper: Option<JoinHandle<()>>,
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
        let helper = std::thread::Builder::new()
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
        let (jobs, helper) = (Some(jobs), Some(helper));
        Ok((Spool { log, jobs, helper, done, running: 0, wanted: false }, recovered))
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
            if self.jobs.as_ref().is_some_and(|jobs| jobs.send(job).is_ok()) {
                self.running += 1;
            }
        }
    }
}

impl Drop for Spool {
    /// Waits for the job that is running: whoever opens the folder next must not meet a helper in it.
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(helper) = self.helper.take() {
            // A helper that panicked has said so on its own.
            let _ = helper.join();
        }
    }
}

#[cfg(test)]
mod tests;
