//! What the tasks share: the clock, the log, the index, the objects, the keys, the directory of the moment.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use hushbox_audit::{AuditError, Hash};
use hushbox_backend::audit_file::AuditReader;
use hushbox_policy::{MessageId, NodeId};
use hushbox_store::signing::NodeKey;
use hushbox_store::{
    Audited, Directory, Index, IndexError, IndexReply, IndexRequest, KeyProvider, Objects,
};

use crate::audit_task::Audit;
use crate::clock::Clock;
use crate::log_in::LogIns;
use crate::trace::Trace;

/// Everything that a task may need. What is absent in record-only mode is an `Option`.
pub struct Services {
    /// The clocks.
    pub clock: Arc<Clock>,
    /// The audit log, to write.
    pub audit: Audit,
    /// The audit log, to read.
    pub audit_reader: AuditReader,
    /// The index.
    pub index: Arc<dyn Index>,
    /// The audio objects.
    pub objects: Arc<dyn Objects>,
    /// What opens messages; absent where the server only records.
    pub opening: Option<Opening>,
    /// This node.
    pub node: NodeId,
    /// Signs this node's manifests.
    pub node_key: NodeKey,
    /// The last calls' SIP messages, reduced.
    pub trace: Arc<Trace>,
    directory: RwLock<Arc<Directory>>,
}

/// The secrets of a server that does more than record.
pub struct Opening {
    /// Unwraps mailboxes' keys.
    pub keys: Arc<dyn KeyProvider>,
    /// Tries PINs.
    pub log_ins: LogIns,
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
    /// The audit log, to write.
    pub audit: Audit,
    /// The audit log, to read.
    pub audit_reader: AuditReader,
    /// The index.
    pub index: Arc<dyn Index>,
    /// The audio objects.
    pub objects: Arc<dyn Objects>,
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
        let Parts {
            clock,
            audit,
            audit_reader,
            index,
            objects,
            opening,
            node,
            node_key,
            directory,
        } = parts;
        let directory = RwLock::new(directory);
        let trace = Arc::default();
        Self {
            clock,
            audit,
            audit_reader,
            index,
            objects,
            opening,
            node,
            node_key,
            trace,
            directory,
        }
    }

    /// The directory of the moment.
    pub fn directory(&self) -> Arc<Directory> {
        Arc::clone(&self.directory.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces the directory. [`crate::directory_writer`] alone does, and tells everybody else.
    pub fn set_directory(&self, directory: Arc<Directory>) {
        *self.directory.write().unwrap_or_else(PoisonError::into_inner) = directory;
    }

    /// The manifest's hash that the log has for a message under a sequence number; an error where it can't be read.
    pub async fn audited_manifest(
        &self,
        message: MessageId,
        seq: u64,
    ) -> Result<Option<Hash>, AuditError> {
        let reader = self.audit_reader.clone();
        let read = tokio::task::spawn_blocking(move || reader.record(seq)).await;
        let record = read.map_err(|_| AuditError::Unavailable)?.map_err(|error| {
            tracing::error!(%error, "the audit log cannot be read");
            AuditError::Unavailable
        })?;
        let audited = record.as_ref().and_then(Audited::in_record);
        Ok(audited.filter(|(about, _)| *about == message).map(|(_, audited)| audited.manifest))
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
