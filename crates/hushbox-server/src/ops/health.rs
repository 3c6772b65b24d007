//! Whether the server is alive, and whether it takes new calls.
//!
//! Readiness says what signalling itself says: what would be refused is not ready. A server that only records is
//! ready, since it takes messages; so is one whose audit log is full, since they wait in the spool.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use hushbox_call::signalling::Why;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

use crate::limits;
use crate::media_shard::{Shard, ToShard};
use crate::metrics;
use crate::signalling::{Load, ToSignallingTask};

/// The health of this server.
#[derive(Debug, Default)]
pub struct Health {
    stopping: AtomicBool,
    serving: OnceLock<Serving>,
}

/// What is there once calls are accepted.
#[derive(Debug)]
pub struct Serving {
    /// What signalling says of itself.
    pub loaded: watch::Receiver<Load>,
    /// The way to signalling.
    pub says: mpsc::UnboundedSender<ToSignallingTask>,
    /// The media shards.
    pub shards: Vec<Shard>,
    /// Whether messages can't be opened.
    pub record_only: bool,
}

/// Why new calls are not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotReady {
    /// The server has not started yet: what the last run left is being delivered.
    Starting,
    /// It stops.
    Stopping,
    /// Signalling would refuse.
    Refusing(Why),
}

impl NotReady {
    /// Its stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Stopping => Why::Draining.as_str(),
            Self::Refusing(why) => why.as_str(),
        }
    }
}

impl Health {
    /// Calls are accepted from now on.
    pub fn serving(&self, serving: Serving) {
        metrics::record_only(serving.record_only);
        let _second = self.serving.set(serving);
    }

    /// The server stops: said here before anybody is refused.
    pub fn stopping(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Whether new calls are taken.
    pub fn ready(&self) -> Result<(), NotReady> {
        let Some(serving) = self.serving.get() else { return Err(NotReady::Starting) };
        if self.stopping.load(Ordering::Relaxed) {
            return Err(NotReady::Stopping);
        }
        serving.loaded.borrow().refuses.map_or(Ok(()), |why| Err(NotReady::Refusing(why)))
    }

    /// Whether messages can't be opened.
    pub fn record_only(&self) -> bool {
        self.serving.get().is_some_and(|serving| serving.record_only)
    }

    /// Asks every task that carries calls for a sign of life.
    pub async fn live(&self) -> bool {
        // What starts is alive; a start that fails ends the process.
        let Some(serving) = self.serving.get() else { return true };
        timeout(limits::LIVE_MAX, serving.answers()).await.unwrap_or(false)
    }
}

impl Serving {
    async fn answers(&self) -> bool {
        let (sender, answer) = oneshot::channel();
        if self.says.send(ToSignallingTask::Ping(sender)).is_err() || answer.await.is_err() {
            return false;
        }
        for shard in &self.shards {
            let (sender, answer) = oneshot::channel();
            shard.say(ToShard::Ping(sender)).await;
            if answer.await.is_err() {
                return false;
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn serving(
        load: Load,
    ) -> (Health, watch::Sender<Load>, mpsc::UnboundedReceiver<ToSignallingTask>) {
        let (sender, loaded) = watch::channel(load);
        let (says, said) = mpsc::unbounded_channel();
        let health = Health::default();
        assert_eq!(health.ready(), Err(NotReady::Starting));
        health.serving(Serving { loaded, says, shards: Vec::new(), record_only: true });
        (health, sender, said)
    }

    #[test]
    fn readiness_is_what_signalling_would_do() {
        let (health, load, _said) = serving(Load::default());
        assert_eq!(health.ready(), Ok(()), "a server that only records takes messages");
        for why in Why::ALL {
            load.send_modify(|load| load.refuses = Some(why));
            assert_eq!(health.ready(), Err(NotReady::Refusing(why)));
        }
        load.send_modify(|load| load.refuses = None);
        assert_eq!(health.ready(), Ok(()));
    }

    #[test]
    fn a_server_that_stops_is_not_ready_before_signalling_has_heard_of_it() {
        let (health, _load, mut said) = serving(Load::default());
        health.stopping();
        assert_eq!(health.ready(), Err(NotReady::Stopping));
        assert_eq!(NotReady::Stopping.as_str(), "draining");
        assert!(said.try_recv().is_err());
    }

    #[tokio::test]
    async fn a_server_whose_signalling_is_gone_is_not_alive() {
        let (health, _load, mut said) = serving(Load::default());
        let (alive, _) = tokio::join!(health.live(), async {
            if let Some(ToSignallingTask::Ping(answer)) = said.recv().await {
                let _gone = answer.send(());
            }
        });
        assert!(alive);
        drop(said);
        assert!(!health.live().await);
    }
}
