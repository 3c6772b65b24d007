//! Audio objects in a folder: `DATA/objects/messages/NN/ID.hba`, sealed streams whose format is the store's.
//!
//! An object appears under its name whole and synced or not at all: it is written beside (`ID.hba#1`), synced, linked
//! to its name, and the folder is synced. It is never overwritten. What a crash left beside is removed at the next
//! start; the spool still has the message.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::TryStreamExt;
use hushbox_store::{BoxFuture, ObjectKey, Objects, ObjectsError, ObjectsReply, ObjectsRequest};
use object_store::local::LocalFileSystem;
use object_store::path::Path as StorePath;
use object_store::{
    GetOptions, GetRange, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload,
};

use crate::error::BackendError;
use crate::volume::folder::{Folder, sync_folder};

/// The folder's name in the data folder.
pub const OBJECTS_FOLDER: &str = "objects";

/// Objects in a folder.
#[derive(Clone, Debug)]
pub struct FolderObjects {
    store: Arc<LocalFileSystem>,
    folder: PathBuf,
}

impl FolderObjects {
    /// Opens the folder in the data folder, making it when it is not there. This blocks.
    pub fn open(data_folder: &Path) -> Result<FolderObjects, BackendError> {
        let folder = data_folder.join(OBJECTS_FOLDER);
        Folder::open_or_create(&folder)?;
        remove_unfinished(&folder).map_err(BackendError::io("clean up", &folder))?;
        let store = LocalFileSystem::new_with_prefix(&folder).map_err(|error| {
            BackendError::io("open", &folder)(io::Error::other(error.to_string()))
        })?;
        Ok(FolderObjects { store: Arc::new(store.with_fsync(true)), folder })
    }

    async fn request(&self, request: ObjectsRequest) -> Result<ObjectsReply, ObjectsError> {
        match request {
            ObjectsRequest::Put { key, bytes } => self.put(&key, bytes).await,
            ObjectsRequest::Get { key, range } => self.get(&key, range).await,
            ObjectsRequest::Delete { key } => match self.store.delete(&location(&key)?).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(ObjectsReply::Deleted),
                Err(error) => Err(failed(&error)),
            },
            ObjectsRequest::List => {
                let found = self.store.list(None);
                let mut keys: Vec<ObjectKey> = found
                    .map_ok(|object| ObjectKey::from_stored(object.location.to_string()))
                    .try_collect()
                    .await
                    .map_err(|error| failed(&error))?;
                keys.sort();
                Ok(ObjectsReply::Keys(keys))
            }
        }
    }

    async fn put(&self, key: &ObjectKey, bytes: Bytes) -> Result<ObjectsReply, ObjectsError> {
        let location = location(key)?;
        let payload = PutPayload::from_bytes(bytes.clone());
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match self.store.put_opts(&location, payload, options).await {
            Ok(_) => Ok(ObjectsReply::Put),
            Err(object_store::Error::AlreadyExists { .. }) => {
                let there = self.store.get(&location).await.map_err(|error| failed(&error))?;
                let there = there.bytes().await.map_err(|error| failed(&error))?;
                if there != bytes {
                    return Err(ObjectsError::Unavailable(format!(
                        "another object stands under {key}; it is not overwritten"
                    )));
                }
                // Linked by a process that died before it could sync the folder.
                self.sync(key).await?;
                Ok(ObjectsReply::Put)
            }
            Err(error) => Err(failed(&error)),
        }
    }

    async fn get(&self, key: &ObjectKey, range: Range<u64>) -> Result<ObjectsReply, ObjectsError> {
        let location = location(key)?;
        let whole = self.store.head(&location).await.map_err(|error| failed(&error))?;
        let range = range.start..range.end.min(whole.size);
        if range.is_empty() {
            return Ok(ObjectsReply::Bytes(Bytes::new()));
        }
        let options = GetOptions { range: Some(GetRange::Bounded(range)), ..GetOptions::default() };
        let found =
            self.store.get_opts(&location, options).await.map_err(|error| failed(&error))?;
        Ok(ObjectsReply::Bytes(found.bytes().await.map_err(|error| failed(&error))?))
    }

    async fn sync(&self, key: &ObjectKey) -> Result<(), ObjectsError> {
        let path = self.folder.join(key.as_str());
        let synced = tokio::task::spawn_blocking(move || {
            std::fs::File::open(&path)?.sync_all()?;
            path.parent().map_or(Ok(()), sync_folder)
        });
        match synced.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(ObjectsError::Unavailable(error.to_string())),
            Err(error) => Err(ObjectsError::Unavailable(error.to_string())),
        }
    }
}

impl Objects for FolderObjects {
    fn run(&self, request: ObjectsRequest) -> BoxFuture<'_, Result<ObjectsReply, ObjectsError>> {
        Box::pin(self.request(request))
    }
}

fn location(key: &ObjectKey) -> Result<StorePath, ObjectsError> {
    StorePath::parse(key.as_str())
        .map_err(|_| ObjectsError::Unavailable(format!("{key} is no name of an object")))
}

fn failed(error: &object_store::Error) -> ObjectsError {
    if let object_store::Error::NotFound { .. } = error {
        return ObjectsError::NotFound;
    }
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) =
            error.downcast_ref::<io::Error>().map(io::Error::kind)
        {
            return ObjectsError::Full;
        }
        cause = error.source();
    }
    ObjectsError::Unavailable(error.to_string())
}

/// Removes what was being written when an earlier process died: names with a `#`, which no object has.
fn remove_unfinished(folder: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            remove_unfinished(&path)?;
        } else if entry.file_name().to_string_lossy().contains('#') {
            std::fs::remove_file(&path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use hushbox_policy::MessageId;

    use super::*;

    #[tokio::test]
    async fn what_a_dead_process_left_half_written_is_removed_at_the_next_start() {
        let data = tempfile::tempdir().unwrap();
        FolderObjects::open(data.path()).unwrap();
        let key = ObjectKey::of_message(MessageId::from_parts(1, [2; 10]));
        let path = data.path().join(OBJECTS_FOLDER).join(format!("{key}#1"));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, b"half").unwrap();
        let objects = FolderObjects::open(data.path()).unwrap();
        assert!(!path.exists());
        let put = ObjectsRequest::Put { key: key.clone(), bytes: Bytes::from_static(b"whole") };
        assert_eq!(objects.run(put).await, Ok(ObjectsReply::Put));
        assert_eq!(objects.run(ObjectsRequest::List).await, Ok(ObjectsReply::Keys(vec![key])));
    }

    #[tokio::test]
    async fn a_name_that_would_leave_the_folder_is_refused() {
        let data = tempfile::tempdir().unwrap();
        let objects = FolderObjects::open(data.path()).unwrap();
        for name in ["../index.sqlite", "/etc/passwd", "messages/../../x"] {
            let key = ObjectKey::from_stored(name);
            let got = objects.run(ObjectsRequest::Get { key, range: 0..9 }).await;
            assert!(got.is_err(), "{name}: {got:?}");
        }
    }
}
