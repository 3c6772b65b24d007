//! An index and objects in memory, for simulations and tests: the same answers as the real ones, at once and without a
//! runtime ([`MemoryIndex::apply`], [`MemoryObjects::apply`]), and failing when told to.
//!
//! They pass the conformance suite that the real ones pass (`tests/backend`). Nothing here is for production.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hushbox_audit::Hash;
use hushbox_policy::{MessageId, SubscriptionId};
use hushbox_store::row::hash_of;
use hushbox_store::{
    BoxFuture, Counts, DirectoryRow, Index, IndexError, IndexReply, IndexRequest, Listing,
    MessageRow, ObjectKey, Objects, ObjectsError, ObjectsReply, ObjectsRequest, RowId, StateChange,
    SubscriptionRow,
};

/// An index in memory; clones share it.
#[derive(Clone, Debug, Default)]
pub struct MemoryIndex(Arc<Mutex<Rows>>);

#[derive(Debug, Default)]
struct Rows {
    messages: BTreeMap<MessageId, MessageRow>,
    directory: BTreeMap<RowId, DirectoryRow>,
    subscriptions: BTreeMap<SubscriptionId, SubscriptionRow>,
    meta: BTreeMap<String, Vec<u8>>,
    failure: Option<IndexError>,
}

impl MemoryIndex {
    /// An empty one.
    pub fn new() -> MemoryIndex {
        MemoryIndex::default()
    }

    /// Runs a request at once.
    pub fn apply(&self, request: IndexRequest) -> Result<IndexReply, IndexError> {
        let mut rows = locked(&self.0);
        if let Some(failure) = &rows.failure {
            return Err(failure.clone());
        }
        rows.apply(request)
    }

    /// Makes every request fail like this from now on, or none.
    pub fn fail(&self, failure: Option<IndexError>) {
        locked(&self.0).failure = failure;
    }
}

impl Index for MemoryIndex {
    fn run(&self, request: IndexRequest) -> BoxFuture<'_, Result<IndexReply, IndexError>> {
        let reply = self.apply(request);
        Box::pin(std::future::ready(reply))
    }
}

impl Rows {
    fn apply(&mut self, request: IndexRequest) -> Result<IndexReply, IndexError> {
        match request {
            IndexRequest::InsertMessage(row) => match self.messages.get(&row.id) {
                Some(there) if there.manifest.bytes != row.manifest.bytes => {
                    Err(IndexError::Conflict(row.id))
                }
                Some(_) => Ok(IndexReply::Inserted),
                None => {
                    self.messages.insert(row.id, *row);
                    Ok(IndexReply::Inserted)
                }
            },
            IndexRequest::Messages(listing) => Ok(IndexReply::Messages(self.list(&listing))),
            IndexRequest::Message(id) => {
                Ok(IndexReply::Message(self.messages.get(&id).cloned().map(Box::new)))
            }
            IndexRequest::ChangeState(change) => self.change(&change),
            IndexRequest::Counts(mailbox) => {
                let mut counts = Counts::default();
                for row in self.messages.values().filter(|row| row.mailbox == mailbox) {
                    counts.add(row.state, 1);
                }
                Ok(IndexReply::Counts(counts))
            }
            IndexRequest::Destroy(destruction) => {
                let message = destruction.message();
                if self
                    .messages
                    .get(&message.message)
                    .is_some_and(|row| row.message_ref() == message)
                {
                    self.messages.remove(&message.message);
                }
                Ok(IndexReply::Destroyed)
            }
            IndexRequest::ObjectKeys => {
                let rows = self.messages.values();
                let mut keys: Vec<_> =
                    rows.map(|row| (row.object_key.clone(), row.account)).collect();
                keys.sort();
                Ok(IndexReply::ObjectKeys(keys))
            }
            IndexRequest::SpendRunningTime(spent) => Ok(IndexReply::Due(self.spend(spent))),
            IndexRequest::DirectoryLoad => {
                Ok(IndexReply::Directory(self.directory.values().cloned().collect()))
            }
            IndexRequest::DirectoryPut { rows, before } => self.put_directory(rows, before),
            IndexRequest::SubscriptionPut(row) => {
                self.subscriptions.insert(row.id, *row);
                Ok(IndexReply::SubscriptionPut)
            }
            IndexRequest::SubscriptionRemove(id) => {
                self.subscriptions.remove(&id);
                Ok(IndexReply::SubscriptionRemoved)
            }
            IndexRequest::Subscriptions => {
                Ok(IndexReply::Subscriptions(self.subscriptions.values().cloned().collect()))
            }
            IndexRequest::MetaGet(key) => Ok(IndexReply::Meta(self.meta.get(&key).cloned())),
            IndexRequest::MetaPut { key, value } => {
                self.meta.insert(key, value);
                Ok(IndexReply::MetaPut)
            }
        }
    }

    fn list(&self, listing: &Listing) -> Vec<MessageRow> {
        let wanted = |row: &&MessageRow| {
            listing.mailbox().is_none_or(|mailbox| row.mailbox == mailbox)
                && listing.states().contains(&row.state)
        };
        oldest_first(self.messages.values().filter(wanted))
    }

    fn change(&mut self, change: &StateChange) -> Result<IndexReply, IndexError> {
        let id = change.message().message;
        let row = self.messages.get_mut(&id).ok_or(IndexError::NoMessage(id))?;
        if !change.apply(row) {
            return Err(IndexError::NoMessage(id));
        }
        Ok(IndexReply::Changed(Box::new(row.clone())))
    }

    fn spend(&mut self, spent: Duration) -> Vec<MessageRow> {
        for remaining in self.messages.values_mut().filter_map(|row| row.remaining.as_mut()) {
            *remaining = remaining.saturating_sub(spent);
        }
        oldest_first(self.messages.values().filter(|row| row.remaining == Some(Duration::ZERO)))
    }

    fn put_directory(
        &mut self,
        rows: Vec<DirectoryRow>,
        before: Hash,
    ) -> Result<IndexReply, IndexError> {
        let there: Vec<DirectoryRow> = self.directory.values().cloned().collect();
        if hash_of(&there) != before {
            return Err(IndexError::DirectoryChanged);
        }
        self.directory.extend(rows.into_iter().map(|row| (row.row, row)));
        Ok(IndexReply::DirectoryPut)
    }
}

fn oldest_first<'r>(rows: impl Iterator<Item = &'r MessageRow>) -> Vec<MessageRow> {
    let mut rows: Vec<MessageRow> = rows.cloned().collect();
    rows.sort_by_key(|row| (row.received_at, row.id));
    rows
}

/// Objects in memory; clones share them.
#[derive(Clone, Debug, Default)]
pub struct MemoryObjects(Arc<Mutex<Stored>>);

#[derive(Debug, Default)]
struct Stored {
    objects: BTreeMap<ObjectKey, Bytes>,
    failure: Option<ObjectsError>,
}

impl MemoryObjects {
    /// An empty one.
    pub fn new() -> MemoryObjects {
        MemoryObjects::default()
    }

    /// Runs a request at once.
    pub fn apply(&self, request: ObjectsRequest) -> Result<ObjectsReply, ObjectsError> {
        let mut stored = locked(&self.0);
        if let Some(failure) = &stored.failure {
            return Err(failure.clone());
        }
        match request {
            ObjectsRequest::Put { key, bytes } => match stored.objects.get(&key) {
                Some(there) if *there != bytes => Err(ObjectsError::Unavailable(format!(
                    "another object stands under {key}; it is not overwritten"
                ))),
                _ => {
                    stored.objects.insert(key, bytes);
                    Ok(ObjectsReply::Put)
                }
            },
            ObjectsRequest::Get { key, range } => {
                let object = stored.objects.get(&key).ok_or(ObjectsError::NotFound)?;
                let at =
                    |place: u64| usize::try_from(place).unwrap_or(usize::MAX).min(object.len());
                let (from, to) = (at(range.start), at(range.end));
                Ok(ObjectsReply::Bytes(object.slice(from..to.max(from))))
            }
            ObjectsRequest::Delete { key } => {
                stored.objects.remove(&key);
                Ok(ObjectsReply::Deleted)
            }
            ObjectsRequest::List => {
                Ok(ObjectsReply::Keys(stored.objects.keys().cloned().collect()))
            }
        }
    }

    /// Makes every request fail like this from now on, or none.
    pub fn fail(&self, failure: Option<ObjectsError>) {
        locked(&self.0).failure = failure;
    }

    /// Changes an object behind the store's back.
    pub fn tamper(&self, key: &ObjectKey, change: impl FnOnce(&mut Vec<u8>)) {
        if let Some(object) = locked(&self.0).objects.get_mut(key) {
            let mut bytes = object.to_vec();
            change(&mut bytes);
            *object = Bytes::from(bytes);
        }
    }
}

impl Objects for MemoryObjects {
    fn run(&self, request: ObjectsRequest) -> BoxFuture<'_, Result<ObjectsReply, ObjectsError>> {
        let reply = self.apply(request);
        Box::pin(std::future::ready(reply))
    }
}

/// A panic of another test's thread leaves whole values here.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
