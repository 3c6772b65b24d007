//! The end of a server: no new calls, time for the live ones, what is being recorded saved, everything delivered.

use std::sync::Arc;
use std::time::Duration;

use hushbox_audit::{Event, EventExtra, EventName, Who};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

use crate::audit_head;
use crate::delivery::Watched;
use crate::media_shard::{Shard, ToShard};
use crate::ops::health::Health;
use crate::services::Services;
use crate::signalling::{Load, ToSignallingTask};

/// How long saving and saying goodbye may take.
const GOODBYE_MAX: Duration = Duration::from_secs(10);
/// How long SIP transactions of ended calls may take.
const QUIET_MAX: Duration = Duration::from_secs(2);
/// How long deliveries may take; what is not delivered then stays in the spool for the next start.
const DELIVERIES_MAX: Duration = Duration::from_secs(5);

/// What asks a server to stop.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub(super) fn new() -> std::io::Result<Self> {
        // Whether or not there are certificates to read again: it must not end the process.
        let _handled = signal(SignalKind::hangup())?;
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// What is ended.
pub(super) struct Ending {
    pub(super) health: Arc<Health>,
    pub(super) says: mpsc::UnboundedSender<ToSignallingTask>,
    pub(super) shards: Vec<Shard>,
    pub(super) loaded: watch::Receiver<Load>,
    pub(super) delivering: Watched,
    pub(super) drain: Duration,
    pub(super) services: Arc<Services>,
}

impl Ending {
    /// Waits for a signal, then ends everything in its order.
    pub(super) async fn run(mut self, signals: &mut Signals) {
        signals.next().await;
        // Readiness first: who asks it should hear of the end before a call does.
        self.health.stopping();
        let calls = self.loaded.borrow().calls;
        tracing::info!(calls, drain_secs = self.drain.as_secs(), "stopping: no new calls");
        let _gone = self.says.send(ToSignallingTask::Drain);
        // What is left to say (a registration to give back, perhaps) counts only once signalling has heard of the end.
        let (heard, has_heard) = oneshot::channel();
        let _gone = self.says.send(ToSignallingTask::Ping(heard));
        let _ended = timeout(QUIET_MAX, has_heard).await;
        tokio::select! {
            _ = timeout(self.drain, no_calls(&mut self.loaded)) => {}
            () = signals.next() => tracing::info!("stopping at once"),
        }
        for shard in &self.shards {
            shard.say(ToShard::ShutDown).await;
        }
        if timeout(GOODBYE_MAX, no_calls(&mut self.loaded)).await.is_err() {
            tracing::warn!(
                "some calls did not end in time; what they recorded is found at the next start"
            );
        }
        let _late = timeout(QUIET_MAX, self.loaded.wait_for(|load| load.quiet)).await;
        if timeout(DELIVERIES_MAX, self.delivering.wait_for(|progress| progress.pending == 0))
            .await
            .is_err()
        {
            tracing::warn!(
                "some messages are still in the spool; they are delivered after the next start"
            );
        }
        let stop = Event::new(EventName::ServiceStop, Who::System);
        if self.services.audit.write(stop.into(), EventExtra::default()).await.is_err() {
            tracing::warn!("the stop could not be written to the audit log");
        }
        if let Err(error) = audit_head::keep(&self.services).await {
            tracing::warn!(%error, "the end of the audit log could not be kept");
        }
    }
}

async fn no_calls(loaded: &mut watch::Receiver<Load>) {
    // An error means that signalling has ended: then there are none.
    let _ended = loaded.wait_for(|load| load.calls == 0).await;
}
