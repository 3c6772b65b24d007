//! Delivering saved messages: from the spool to the objects, the audit log and the index, retried until done.
//!
//! Whatever fails, the spool keeps the message; a message appears in its mailbox once its record is written.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hushbox_audit::AuditError;
use hushbox_backend::BackendError;
use hushbox_backend::spool::MessageReader;
use hushbox_policy::MessageId;
use hushbox_store::{
    Audited, Delivery, IndexError, IndexReply, IndexRequest, KeyError, ObjectsError, ObjectsReply,
    ObjectsRequest, Recovery, SpooledMessage, Step, StepDone,
};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinHandle;

use crate::media_shard::ToShard;
use crate::metrics;
use crate::services::Services;

/// Messages that are delivered at once: each is held in memory meanwhile.
const AT_ONCE: usize = 4;
/// The first wait after a failure; it doubles.
const RETRY_FIRST: Duration = Duration::from_secs(1);
/// The longest wait.
const RETRY_LONGEST: Duration = Duration::from_secs(30);

/// A message to deliver.
#[derive(Debug)]
pub struct Job {
    /// Which.
    pub message: MessageId,
    /// Reads it back from the spool.
    pub reader: MessageReader,
    /// The shard whose spool it is in.
    pub shard: mpsc::Sender<ToShard>,
    /// What the audit log has about it: something only for one that an earlier run had begun to deliver.
    pub audited: Option<Audited>,
}

/// The way to the delivery task. What waits is bounded by the spool's size: a job holds places, no audio.
#[derive(Clone, Debug)]
pub struct Deliveries {
    jobs: mpsc::UnboundedSender<Job>,
    progress: Arc<watch::Sender<Progress>>,
}

/// The other end of [`Deliveries`], for [`run`].
#[derive(Debug)]
pub struct Queue {
    jobs: mpsc::UnboundedReceiver<Job>,
    progress: Arc<watch::Sender<Progress>>,
}

/// How far the task is.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// Messages on their way.
    pub pending: usize,
    /// Messages delivered since the start.
    pub delivered: usize,
    /// Since when each queued message has waited.
    since: BTreeMap<MessageId, Instant>,
}

impl Progress {
    /// How many messages wait, and how long the oldest of them has.
    pub fn waiting(&self) -> (usize, Duration) {
        let oldest = self.since.values().min();
        (self.pending, oldest.map_or(Duration::ZERO, Instant::elapsed))
    }
}

/// Shows how far the task is.
pub type Watched = watch::Receiver<Progress>;

/// How long a start waits for what the last run left in the spool.
const RECOVERY_LONGEST: Duration = Duration::from_secs(10);

/// Waits until what the last run left is in its mailboxes, so that it is there when the first call comes. What can't
/// be delivered in time goes on being tried, beside the calls.
pub async fn recovered(messages: usize, mut progress: Watched) {
    let all = progress.wait_for(|progress| progress.delivered >= messages);
    if tokio::time::timeout(RECOVERY_LONGEST, all).await.is_err() {
        tracing::warn!(messages, "messages of the last run are still waiting in the spool");
    }
}

#[derive(Debug, thiserror::Error)]
enum DeliveryError {
    #[error("{0}")]
    Spool(#[from] BackendError),
    #[error("{0}")]
    Objects(#[from] ObjectsError),
    #[error("{0}")]
    Audit(#[from] AuditError),
    #[error("{0}")]
    Index(#[from] IndexError),
    #[error("{0}")]
    Key(#[from] KeyError),
    #[error("a store answered something else than it was asked")]
    Confused,
}

impl Deliveries {
    /// A queue, and its other end for [`run`].
    pub fn new() -> (Self, Queue) {
        let (sender, jobs) = mpsc::unbounded_channel();
        let progress = Arc::new(watch::Sender::default());
        (Self { jobs: sender, progress: Arc::clone(&progress) }, Queue { jobs, progress })
    }

    /// How far the task is.
    pub fn watch(&self) -> Watched {
        self.progress.subscribe()
    }

    /// A message is saved and will be queued in a moment: an end waits for it already. [`Deliveries::arrived`]
    /// follows.
    pub fn expect(&self) {
        self.progress.send_modify(|progress| progress.pending += 1);
    }

    /// A message that was expected is queued, or does not come.
    pub fn arrived(&self) {
        self.progress.send_modify(|progress| progress.pending = progress.pending.saturating_sub(1));
    }

    /// Queues a message. It is pending from here on, not only once the task takes it.
    pub fn submit(&self, job: Job) {
        self.expect();
        let now = Instant::now();
        self.progress.send_modify(|progress| {
            progress.since.entry(job.message).or_insert(now);
        });
        // The task ends with the process; what is not delivered then is delivered after the next start.
        let _stopping = self.jobs.send(job);
    }
}

/// Delivers until the process ends.
pub async fn run(queue: Queue, services: Arc<Services>) {
    let Queue { mut jobs, progress } = queue;
    let slots = Arc::new(Semaphore::new(AT_ONCE));
    while let Some(job) = jobs.recv().await {
        let (slots, services, progress) =
            (Arc::clone(&slots), Arc::clone(&services), Arc::clone(&progress));
        let message = job.message;
        let delivering = tokio::spawn(async move { deliver(job, &services, &slots).await });
        tokio::spawn(delivered(message, delivering, progress));
    }
}

/// Counts a message once it is delivered. One whose delivery panics stays pending, which is seen by its age, and in the
/// spool: it does not end the server, which would meet it again at every start.
async fn delivered(
    message: MessageId,
    delivering: JoinHandle<()>,
    progress: Arc<watch::Sender<Progress>>,
) {
    if delivering.await.is_err() {
        metrics::delivery_failed();
        tracing::error!(
            id = %message,
            "a message could not be delivered; this is a mistake in Hushbox: it stays in the spool until the next start"
        );
        return;
    }
    progress.send_modify(|progress| {
        progress.since.remove(&message);
        progress.pending = progress.pending.saturating_sub(1);
        progress.delivered += 1;
    });
}

/// One message, to its end.
async fn deliver(mut job: Job, services: &Services, slots: &Semaphore) {
    let mut wait = RETRY_FIRST;
    loop {
        // Not held while waiting: one message that cannot be delivered stops no other.
        let slot = slots.acquire().await;
        let done = attempt(&mut job, services).await;
        drop(slot);
        match done {
            Ok(()) => return,
            Err(error) => {
                metrics::delivery_failed();
                tracing::warn!(id = %job.message, %error, retry_secs = wait.as_secs(), "a message waits in the spool");
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(RETRY_LONGEST);
            }
        }
    }
}

/// Every step from the first: each may be done twice, but for the audit record.
async fn attempt(job: &mut Job, services: &Services) -> Result<(), DeliveryError> {
    let Some(spooled) = read(job)? else {
        free(job).await;
        return Ok(());
    };
    let mut delivery = Delivery::new(spooled, services.node, &services.node_key, job.audited)?;
    loop {
        let done = match delivery.poll_step() {
            Step::PutObject { key, bytes } => {
                match services.objects.run(ObjectsRequest::Put { key, bytes }).await? {
                    ObjectsReply::Put => StepDone::ObjectPut,
                    _ => return Err(DeliveryError::Confused),
                }
            }
            Step::Audit(event) => {
                let seq = services.audit.delivered(*event).await?;
                // If a later step fails, the next attempt must not write a second record.
                job.audited.get_or_insert(Audited { seq, manifest: delivery.manifest().hash() });
                StepDone::Audited { seq }
            }
            Step::InsertRow(row) => {
                let inserted = |reply| matches!(reply, IndexReply::Inserted).then_some(());
                services.index(IndexRequest::InsertMessage(row), inserted).await?;
                StepDone::RowInserted
            }
            Step::FreeSpool(_) => {
                free(job).await;
                StepDone::SpoolFreed
            }
            Step::Quarantined { message, .. } => {
                tracing::error!(
                    id = %message, "the audit log knows this message as another one: it stays in the spool; look at it");
                return Ok(());
            }
            Step::Done => {
                metrics::message_delivered();
                tracing::info!(id = %job.message, "message delivered");
                return Ok(());
            }
        };
        delivery.handle(done);
    }
}

/// The message as the spool has it; nothing where it holds no audio.
fn read(job: &Job) -> Result<Option<SpooledMessage>, DeliveryError> {
    let mut recovery = Recovery::new();
    for record in tokio::task::block_in_place(|| job.reader.read())? {
        recovery.record(&record);
    }
    let recovered = recovery.finish();
    if !recovered.orphaned.is_empty() {
        tracing::error!(id = %job.message, "the first record of a message is gone: nobody can open it");
    }
    Ok(recovered.messages.into_iter().next())
}

async fn free(job: &Job) {
    let _stopping = job.shard.send(ToShard::Delivered(job.message)).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_pending_before_the_task_takes_it() {
        let (deliveries, _queue) = Deliveries::new();
        let progress = deliveries.watch();
        deliveries.expect();
        assert_eq!(progress.borrow().pending, 1, "nobody has taken it from the queue");
        deliveries.arrived();
        assert_eq!(progress.borrow().pending, 0);
    }

    #[tokio::test]
    async fn a_message_whose_delivery_panics_stays_pending() {
        let (deliveries, queue) = Deliveries::new();
        let message = MessageId::from_bytes([1; 16]);
        deliveries.expect();
        deliveries.expect();
        let panics = tokio::spawn(async { panic!("on purpose") });
        delivered(message, panics, Arc::clone(&queue.progress)).await;
        let done = tokio::spawn(async {});
        delivered(message, done, queue.progress).await;
        let progress = deliveries.watch();
        let progress = progress.borrow();
        assert_eq!((progress.pending, progress.delivered), (1, 1));
    }
}
