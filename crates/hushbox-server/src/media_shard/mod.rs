//! The media shards: a thread per core, each with an event loop, a spool and the calls that live on it.
//!
//! Shards share nothing but the free ports and counters. A call is a task of its shard: its leg, its dialogue and its
//! recording never leave the thread.

mod call_task;
mod requests;
mod spool_task;
pub(crate) mod strain;

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hushbox_backend::spool::{Recovered, Spool};
use hushbox_call::call::Recording;
use hushbox_call::prompt::Prompts;
use hushbox_call::setup::{CallSetup, FromSignalling, ToSignalling};
use hushbox_call::signalling::Why;
use hushbox_policy::{CallId, MessageId};
use hushbox_sip::{Reason, Rejection};
use hushbox_store::{Audited, Directory};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::task::LocalSet;

use crate::delivery::Deliveries;
use crate::fatal::Fatal;
use crate::metrics::{self, TrunkName};
use crate::rtp_ports::PortPairs;
use crate::services::Services;
use crate::signalling::ToSignallingTask;
use crate::sockets::MediaAddress;
use crate::trace::refusal;
use call_task::CallTask;
use requests::Inbox;
use spool_task::SpoolTask;
use strain::Syncing;

/// What may wait for a shard.
pub const QUEUE_MAX: usize = 4096;

/// What is said to a shard.
#[derive(Debug)]
pub enum ToShard {
    /// A call was admitted, of this trunk.
    Start(Box<CallSetup>, Option<TrunkName>),
    /// Signalling says something to a call.
    ToCall(CallId, FromSignalling),
    /// A message of this shard's spool was delivered.
    Delivered(MessageId),
    /// The directory has changed.
    Directory(Arc<Directory>),
    /// The server stops: save what is being recorded, and hang up.
    ShutDown,
    /// Somebody wants a sign of life.
    Ping(oneshot::Sender<()>),
}

/// What every shard is made with.
#[derive(Clone)]
pub struct Shared {
    /// Clock, log, index, objects, keys.
    pub services: Arc<Services>,
    /// The language.
    pub prompts: Arc<Prompts>,
    /// Free media ports.
    pub ports: PortPairs,
    /// What stands in SDP.
    pub media_address: MediaAddress,
    /// When a recording ends by itself.
    pub recording: Recording,
    /// The signalling task. What calls say to it is bounded by the number of calls.
    pub signalling: mpsc::UnboundedSender<ToSignallingTask>,
    /// The delivery task.
    pub deliveries: Deliveries,
    /// Where index, objects and keys are asked.
    pub runtime: Handle,
    /// Calls on all shards.
    pub live: Arc<AtomicUsize>,
    /// The thread and the spool of each shard are parts without which the server cannot go on.
    pub fatal: Fatal,
    /// What the audit log has about messages that an earlier run left in the spools.
    pub audited: Arc<BTreeMap<MessageId, Audited>>,
}

/// The way to a shard.
#[derive(Clone, Debug)]
pub struct Shard {
    queue: mpsc::Sender<ToShard>,
    live: Arc<AtomicUsize>,
}

impl Shard {
    /// Starts a shard's thread on its spool. What an earlier run left in it is delivered.
    pub fn start(
        number: u16,
        spool: Spool,
        recovered: Recovered,
        shared: Shared,
    ) -> std::io::Result<Self> {
        let (queue, says) = mpsc::channel(QUEUE_MAX);
        let live = Arc::new(AtomicUsize::new(0));
        let shard = Self { queue: queue.clone(), live: Arc::clone(&live) };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        shared.fatal.clone().thread(format!("media-{number}"), "a media thread", move || {
            let local = LocalSet::new();
            local.block_on(&runtime, run(number, spool, recovered, shared, live, queue, says));
        })?;
        Ok(shard)
    }

    /// Calls on this shard.
    pub fn live(&self) -> usize {
        self.live.load(Ordering::Relaxed)
    }

    /// Room to say something; none when the shard is overwhelmed or gone.
    pub fn room(&self) -> Option<mpsc::OwnedPermit<ToShard>> {
        self.queue.clone().try_reserve_owned().ok()
    }

    /// Says something, and waits for room.
    pub async fn say(&self, says: ToShard) {
        // A shard ends only with the process.
        let _gone = self.queue.send(says).await;
    }
}

async fn run(
    number: u16,
    spool: Spool,
    recovered: Recovered,
    shared: Shared,
    live: Arc<AtomicUsize>,
    itself: mpsc::Sender<ToShard>,
    mut says: mpsc::Receiver<ToShard>,
) {
    let shared = Rc::new(shared);
    let syncing = Syncing::default();
    let watching =
        strain::watch(number, Rc::clone(&shared), Rc::clone(&syncing), itself.downgrade());
    tokio::task::spawn_local(watching);
    let spool = SpoolTask::start(spool, recovered, &shared, number, itself, syncing);
    let mut calls: BTreeMap<CallId, Inbox> = BTreeMap::new();
    let (over, mut ended) = mpsc::unbounded_channel();
    loop {
        tokio::select! {
            Some(call) = ended.recv() => {
                calls.remove(&call);
                spool.over(call);
                live.fetch_sub(1, Ordering::Relaxed);
                shared.live.fetch_sub(1, Ordering::Relaxed);
            }
            said = says.recv() => match said {
                Some(ToShard::Start(setup, trunk)) => {
                    let (id, kind) = (setup.id, metrics::kind(&setup.purpose));
                    let (inbox, task) = match CallTask::new(*setup, &shared, &spool) {
                        Ok(made) => made,
                        Err(error) => {
                            tracing::error!(call = %id, %error, "no media port for a call");
                            refuse(&shared, id, trunk.as_ref());
                            continue;
                        }
                    };
                    metrics::call_admitted(kind, trunk.as_ref());
                    calls.insert(id, inbox);
                    live.fetch_add(1, Ordering::Relaxed);
                    shared.live.fetch_add(1, Ordering::Relaxed);
                    let (over, signalling, spool) =
                        (over.clone(), shared.signalling.clone(), spool.clone());
                    let running = tokio::task::spawn_local(task.run());
                    tokio::task::spawn_local(async move {
                        if running.await.is_err() {
                            abandon(id, &signalling);
                            spool.failed(id);
                        }
                        let _ended = over.send(id);
                    });
                }
                Some(ToShard::ToCall(call, says)) => {
                    if let Some(inbox) = calls.get(&call) {
                        inbox.signalling(says);
                    }
                }
                Some(ToShard::Delivered(message)) => spool.delivered(message),
                Some(ToShard::Directory(directory)) => {
                    for inbox in calls.values() {
                        inbox.directory(Arc::clone(&directory));
                    }
                }
                Some(ToShard::ShutDown) => {
                    for inbox in calls.values() {
                        inbox.shut_down();
                    }
                }
                Some(ToShard::Ping(answer)) => {
                    // Whoever asked may have gone.
                    let _gone = answer.send(());
                }
                None => return,
            },
        }
    }
}

/// A call that panicked is hung up, and its place is free.
fn abandon(call: CallId, signalling: &mpsc::UnboundedSender<ToSignallingTask>) {
    tracing::error!(%call, "a call failed inside; this is a mistake in Hushbox");
    for says in
        [ToSignalling::HangUp(Reason::sip(500, "Server Internal Error")), ToSignalling::Over]
    {
        let _stopping = signalling.send(ToSignallingTask::Call { call, says });
    }
}

/// No port: 503, and the call's place is free.
fn refuse(shared: &Shared, call: CallId, trunk: Option<&TrunkName>) {
    metrics::call_refused(Why::NoMediaPort, trunk);
    shared.services.trace.ended(call, &refusal(Why::NoMediaPort));
    let rejection = Rejection::new(503).with_retry_after(10);
    for says in [ToSignalling::Reject(rejection), ToSignalling::Over] {
        let _stopping = shared.signalling.send(ToSignallingTask::Call { call, says });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_that_is_overwhelmed_or_gone_has_no_room_and_a_place_that_is_kept_counts() {
        let (queue, mut says) = mpsc::channel(1);
        let shard = Shard { queue, live: Arc::default() };
        let place = shard.room().expect("room for one");
        assert!(shard.room().is_none());
        place.send(ToShard::ShutDown);
        assert!(shard.room().is_none());
        assert!(matches!(says.try_recv(), Ok(ToShard::ShutDown)));
        assert!(shard.room().is_some());
        drop(says);
        assert!(shard.room().is_none());
    }
}
