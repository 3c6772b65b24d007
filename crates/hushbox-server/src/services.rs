//! What the tasks share: the clock, the log, the index, the objects, the keys, the directory of the moment.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use hushbox_policy::NodeId;
use hushbox_store::signing::NodeKey;
use hushbox_store::{Directory, Index, IndexError, IndexReply, IndexRequest, KeyProvider, Objects};

use crate::audit_task::Audit;
use crate::clock::Clock;
use crate::locks::Locks;
use crate::pin_pool::PinPool;

/// Everything that a task may need. What is absent in record-only mode is an `Option`.
pub struct Services {
    /// The clocks.
    pub clock: Arc<Clock>,
    /// The audit log.
    pub audit: Audit,
    /// The index.
    pub index: Arc<dyn Index>,
    /// The audio objects.
    pub objects: Arc<dyn Objects>,
    /// The lock-out counters.
    pub locks: Locks,
    /// What opens messages; absent where the server only records.
    pub opening: Option<Opening>,
    /// This node.
    pub node: NodeId,
    /// Signs this node's manifests.
    pub node_key: NodeKey,
    directory: RwLock<Arc<Directory>>,
}

/// The secrets of a server that does more than record.
pub struct Opening {
    /// Unwraps mailboxes' keys.
    pub keys: Arc<dyn KeyProvider>,
    /// Compares PINs.
    pub pins: PinPool,
}

impl fmt::Debug for Services {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Services").field("node", &self.node).finish_non_exhaustive()
    }
}

/// What [`Services`] are made from.
pub struct Parts {
    /// The clocks.
    pub clock: Arc<Clock>,
    /// The audit log.
    pub audit: Audit,
    /// The index.
    pub index: Arc<dyn Index>,
    /// The audio objects.
    pub objects: Arc<dyn Objects>,
    /// The lock-out counters.
    pub locks: Locks,
    /// What opens messages.
    pub opening: Option<Opening>,
    /// This node.
    pub node: NodeId,
    /// Its key.
    pub node_key: NodeKey,
    /// The directory as it stands.
    pub directory: Arc<Directory>,
}

impl Services {
    /// Puts the parts together.
    pub fn new(parts: Parts) -> Self {
        let Parts { clock, audit, index, objects, locks, opening, node, node_key, directory } =
            parts;
        let directory = RwLock::new(directory);
        Self { clock, audit, index, objects, locks, opening, node, node_key, directory }
    }

    /// The directory of the moment.
    pub fn directory(&self) -> Arc<Directory> {
        Arc::clone(&self.directory.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Asks the index; a reply of another kind than was asked for is a failure of the engine.
    pub async fn index<T>(
        &self,
        request: IndexRequest,
        read: impl FnOnce(IndexReply) -> Option<T>,
    ) -> Result<T, IndexError> {
        let reply = self.index.run(request).await?;
        read(reply).ok_or_else(|| {
            IndexError::Unavailable("it answered something else than it was asked".to_owned())
        })
    }
}
