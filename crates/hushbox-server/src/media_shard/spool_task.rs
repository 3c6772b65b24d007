//! A shard's spool: appends of every call, one sync for all that wait, and readers for deliveries.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hushbox_backend::spool::{Position, Recovered, Spool, SyncReport};
use hushbox_call::call::SpoolReply;
use hushbox_policy::{CallId, MessageId};
use hushbox_store::spool::Record;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::requests::Inbox;
use super::strain::Syncing;
use super::{Shared, ToShard};
use crate::delivery::Job;
use crate::metrics;
use crate::signalling::ToSignallingTask;

/// How often what was appended is synced, whether or not somebody waits for it.
const SYNCED_EVERY: Duration = Duration::from_millis(500);
/// What one more recording may need, beside its audio: records' heads, chunk tags, the envelope.
const OVERHEAD_BYTES: u64 = 256 * 1024;
/// Octets of audio a second, as recorded, with a margin.
const AUDIO_BYTES_A_SECOND: u64 = 10_000;
/// What stays free for the index, the objects and everything else on the disk.
const KEPT_FREE_BYTES: u64 = 64 * 1024 * 1024;

enum Request {
    Append(CallId, Record, Inbox),
    Sync(CallId, Inbox),
    Saved(CallId, MessageId),
    Over(CallId),
    Abandoned(CallId, MessageId),
    Failed(CallId),
    Delivered(MessageId),
}

/// The way to the spool's task, for the calls of its shard.
#[derive(Clone)]
pub(super) struct SpoolHandle(mpsc::UnboundedSender<Request>);

impl SpoolHandle {
    /// Appends a record; answered only if it fails.
    pub(super) fn append(&self, call: CallId, record: Record, inbox: &Inbox) {
        self.send(Request::Append(call, record, inbox.clone()));
    }

    /// Syncs what this call appended; answered.
    pub(super) fn sync(&self, call: CallId, inbox: &Inbox) {
        self.send(Request::Sync(call, inbox.clone()));
    }

    /// A message is saved: it is delivered now.
    pub(super) fn saved(&self, call: CallId, message: MessageId) {
        self.send(Request::Saved(call, message));
    }

    /// A call has ended: it asks for nothing more.
    pub(super) fn over(&self, call: CallId) {
        self.send(Request::Over(call));
    }

    /// A message could not be saved whole: what there is of it is delivered now.
    pub(super) fn abandoned(&self, call: CallId, message: MessageId) {
        self.send(Request::Abandoned(call, message));
    }

    /// A call panicked: what there is of its recording is delivered now.
    pub(super) fn failed(&self, call: CallId) {
        self.send(Request::Failed(call));
    }

    /// A message was delivered: its place is freed.
    pub(super) fn delivered(&self, message: MessageId) {
        self.send(Request::Delivered(message));
    }

    fn send(&self, request: Request) {
        // The task ends with the shard.
        let _gone = self.0.send(request);
    }
}

pub(super) struct SpoolTask {
    spool: Spool,
    shared: Rc<Shared>,
    number: u16,
    shard: mpsc::Sender<ToShard>,
    requests: mpsc::UnboundedReceiver<Request>,
    /// The last append of each live call that has not asked for a sync since.
    appended: BTreeMap<CallId, (Position, MessageId)>,
    /// The recordings of live calls that are neither saved nor abandoned.
    recording: BTreeMap<CallId, MessageId>,
    waiting: Vec<Waiting>,
    dirty: bool,
    full: bool,
    syncing: Syncing,
}

struct Waiting {
    position: Position,
    message: MessageId,
    inbox: Inbox,
}

impl SpoolTask {
    /// Starts the task on the shard's own thread.
    pub(super) fn start(
        spool: Spool,
        recovered: Recovered,
        shared: &Rc<Shared>,
        number: u16,
        shard: mpsc::Sender<ToShard>,
        syncing: Syncing,
    ) -> SpoolHandle {
        let (sender, requests) = mpsc::unbounded_channel();
        let mut task = Self {
            spool,
            shared: Rc::clone(shared),
            number,
            shard,
            requests,
            appended: BTreeMap::new(),
            recording: BTreeMap::new(),
            waiting: Vec::new(),
            dirty: false,
            full: false,
            syncing,
        };
        for message in recovered.messages {
            let _found = task.deliver(message.message);
        }
        let guard = shared.fatal.guard("the spool");
        tokio::task::spawn_local(async move {
            let _guard = guard;
            task.run().await;
        });
        SpoolHandle(sender)
    }

    async fn run(mut self) {
        let mut tick = interval_at(Instant::now(), SYNCED_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                request = self.requests.recv() => match request {
                    Some(request) => self.handle(request),
                    None => return,
                },
                report = self.spool.synced() => self.answer(&report),
                _ = tick.tick() => {
                    if std::mem::take(&mut self.dirty) {
                        self.sync();
                    }
                    self.watch_disk();
                }
            }
        }
    }

    fn handle(&mut self, request: Request) {
        match request {
            Request::Append(call, record, inbox) => match self.spool.append(&record) {
                Ok(position) => {
                    self.dirty = true;
                    self.recording.insert(call, record.message);
                    self.appended.insert(call, (position, record.message));
                }
                Err(error) => {
                    tracing::error!(%call, %error, "a recording could not be written");
                    inbox.spool(SpoolReply::Failed);
                }
            },
            Request::Sync(call, inbox) => match self.appended.remove(&call) {
                Some((position, message)) => {
                    self.waiting.push(Waiting { position, message, inbox });
                    self.dirty = false;
                    self.sync();
                }
                None => inbox.spool(SpoolReply::Synced),
            },
            Request::Saved(call, message) => {
                self.recording.remove(&call);
                if !self.deliver(message) {
                    tracing::error!(id = %message, "a saved message is not in the spool");
                }
                self.shared.deliveries.arrived();
            }
            Request::Over(call) => {
                self.appended.remove(&call);
                self.recording.remove(&call);
            }
            Request::Failed(call) => {
                if let Some(message) = self.recording.remove(&call)
                    && self.deliver(message)
                {
                    tracing::warn!(id = %message, "a recording was cut by a failed call: what there is of it is delivered");
                }
            }
            Request::Abandoned(call, message) => {
                self.recording.remove(&call);
                if self.deliver(message) {
                    tracing::warn!(id = %message, "a recording was cut by the spool: what there is of it is delivered");
                } else {
                    tracing::error!(id = %message, "nothing of a recording reached the spool");
                }
                self.shared.deliveries.arrived();
            }
            Request::Delivered(message) => {
                if let Err(error) = self.spool.delivered(message) {
                    // It is delivered again after the next start, which changes nothing.
                    tracing::warn!(id = %message, %error, "a delivered message could not be marked");
                }
            }
        }
    }

    fn sync(&mut self) {
        if self.syncing.get().is_none() {
            self.syncing.set(Some(Instant::now()));
        }
        self.spool.sync();
    }

    fn answer(&mut self, report: &SyncReport) {
        if let Some(asked) = self.syncing.take() {
            metrics::spool_synced(asked.elapsed());
        }
        let mut still = Vec::new();
        for waiting in self.waiting.drain(..) {
            if report.lost.contains(&waiting.message) {
                waiting.inbox.spool(SpoolReply::Failed);
            } else if waiting.position <= report.synced {
                waiting.inbox.spool(SpoolReply::Synced);
            } else {
                still.push(waiting);
            }
        }
        self.waiting = still;
    }

    /// Queues a message for its delivery; false where the spool has nothing of it.
    fn deliver(&mut self, message: MessageId) -> bool {
        let Some(reader) = self.spool.reader(message) else { return false };
        let (shard, audited) = (self.shard.clone(), self.shared.audited.get(&message).copied());
        self.shared.deliveries.submit(Job { message, reader, shard, audited });
        true
    }

    /// Says when less is free than the live recordings and one more may need, and when there is room again.
    fn watch_disk(&mut self) {
        let one = OVERHEAD_BYTES + AUDIO_BYTES_A_SECOND * self.shared.recording.max.as_secs();
        let recordings = self.shared.live.load(Ordering::Relaxed) as u64 + 1;
        // A message is on the disk twice for a while: in the spool and as an object.
        let wanted = KEPT_FREE_BYTES + recordings.saturating_mul(2 * one);
        let room = self.spool.room().total();
        metrics::spool(self.number, self.spool.undelivered(), room);
        let full = room < wanted;
        if full != self.full {
            self.full = full;
            if full {
                tracing::warn!(
                    "the data disk is full: new messages are refused until there is room"
                );
            } else {
                tracing::info!("the data disk has room again");
            }
            let _stopping = self
                .shared
                .signalling
                .send(ToSignallingTask::DiskFull { shard: self.number, full });
        }
    }
}
