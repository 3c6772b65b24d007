//! What the store asks of the place where audio objects lie, and what it is told. The shell runs the requests.

use std::fmt;
use std::ops::Range;

use bytes::Bytes;
use hushbox_policy::MessageId;
use serde::{Deserialize, Serialize};

use crate::error::ObjectsError;
use crate::future::BoxFuture;

/// An object's name: segments of lower-case hex, digits, `-` and `.`, parted by `/`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ObjectKey(String);

impl ObjectKey {
    /// The object of a message. The folder is the id's last two digits, since the first ones are the time.
    pub fn of_message(message: MessageId) -> ObjectKey {
        let id = message.as_uuid().simple().to_string();
        let folder = id.get(id.len().saturating_sub(2)..).unwrap_or_default();
        ObjectKey(format!("messages/{folder}/{id}.hba"))
    }

    /// The message that this is the object of.
    pub fn message(&self) -> Option<MessageId> {
        let name = self.0.strip_prefix("messages/")?.split_once('/')?.1.strip_suffix(".hba")?;
        let id = MessageId::from_uuid(uuid::Uuid::try_parse(name).ok()?);
        (ObjectKey::of_message(id) == *self).then_some(id)
    }

    /// From a listing or a row.
    pub fn from_stored(key: impl Into<String>) -> ObjectKey {
        ObjectKey(key.into())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ObjectsRequest {
    /// Store it, durable when answered. Storing the same bytes again is no error.
    Put {
        /// Where.
        key: ObjectKey,
        /// What.
        bytes: Bytes,
    },
    /// Read a range; one that reaches beyond the end is cut there, one that begins there is empty.
    Get {
        /// Which.
        key: ObjectKey,
        /// The bytes wanted.
        range: Range<u64>,
    },
    /// Remove it; removing what is not there is no error.
    Delete {
        /// Which.
        key: ObjectKey,
    },
    /// Every key there is.
    List,
}

/// What is answered, one for each request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ObjectsReply {
    /// It is stored and synced.
    Put,
    /// The bytes.
    Bytes(Bytes),
    /// It is not there any more.
    Deleted,
    /// The keys, sorted.
    Keys(Vec<ObjectKey>),
}

/// A place for objects: a folder, an S3-compatible store, memory.
pub trait Objects: Send + Sync {
    /// Runs one request.
    fn run(&self, request: ObjectsRequest) -> BoxFuture<'_, Result<ObjectsReply, ObjectsError>>;
}
