//! What every place for objects must do.

use bytes::Bytes;
use hushbox_backend::{FolderObjects, MemoryObjects};
use hushbox_store::{ObjectKey, Objects, ObjectsError, ObjectsReply, ObjectsRequest};

use crate::support::message;

/// Runs every case on a fresh place.
async fn conforms<O: Objects>(mut fresh: impl FnMut() -> O) {
    an_object_reads_back_whole_and_by_ranges(&fresh()).await;
    storing_again_is_no_error_and_storing_another_is(&fresh()).await;
    what_is_not_there_is_said_so(&fresh()).await;
    a_deleted_object_is_gone_and_can_be_deleted_again(&fresh()).await;
    every_key_is_listed_in_order(&fresh()).await;
}

fn key(byte: u8) -> ObjectKey {
    ObjectKey::of_message(message(byte))
}

fn sound() -> Bytes {
    (0..100_000_u32).map(|at| (at % 251).to_le_bytes()[0]).collect()
}

async fn put(objects: &impl Objects, byte: u8, bytes: Bytes) -> Result<ObjectsReply, ObjectsError> {
    objects.run(ObjectsRequest::Put { key: key(byte), bytes }).await
}

async fn an_object_reads_back_whole_and_by_ranges(objects: &impl Objects) {
    put(objects, 1, sound()).await.unwrap();
    for range in [0..100_000, 0..1, 10..70_000, 99_999..100_000] {
        let (from, to) =
            (usize::try_from(range.start).unwrap(), usize::try_from(range.end).unwrap());
        let got = objects.run(ObjectsRequest::Get { key: key(1), range }).await;
        assert_eq!(got, Ok(ObjectsReply::Bytes(sound().slice(from..to))));
    }
    let cut = objects.run(ObjectsRequest::Get { key: key(1), range: 99_990..200_000 }).await;
    assert_eq!(cut, Ok(ObjectsReply::Bytes(sound().slice(99_990..))));
    for range in [100_000..100_001, 300_000..400_000, 5..5] {
        let empty = objects.run(ObjectsRequest::Get { key: key(1), range }).await;
        assert_eq!(empty, Ok(ObjectsReply::Bytes(Bytes::new())));
    }
    put(objects, 2, Bytes::new()).await.unwrap();
    let empty = objects.run(ObjectsRequest::Get { key: key(2), range: 0..10 }).await;
    assert_eq!(empty, Ok(ObjectsReply::Bytes(Bytes::new())));
}

async fn storing_again_is_no_error_and_storing_another_is(objects: &impl Objects) {
    assert_eq!(put(objects, 1, sound()).await, Ok(ObjectsReply::Put));
    assert_eq!(put(objects, 1, sound()).await, Ok(ObjectsReply::Put));
    let other = put(objects, 1, Bytes::from_static(b"other")).await;
    assert!(matches!(other, Err(ObjectsError::Unavailable(_))), "{other:?}");
    let got = objects.run(ObjectsRequest::Get { key: key(1), range: 0..100_000 }).await;
    assert_eq!(got, Ok(ObjectsReply::Bytes(sound())), "what stood there still does");
}

async fn what_is_not_there_is_said_so(objects: &impl Objects) {
    let got = objects.run(ObjectsRequest::Get { key: key(9), range: 0..10 }).await;
    assert_eq!(got, Err(ObjectsError::NotFound));
}

async fn a_deleted_object_is_gone_and_can_be_deleted_again(objects: &impl Objects) {
    put(objects, 1, sound()).await.unwrap();
    for _ in 0..2 {
        let deleted = objects.run(ObjectsRequest::Delete { key: key(1) }).await;
        assert_eq!(deleted, Ok(ObjectsReply::Deleted));
    }
    let got = objects.run(ObjectsRequest::Get { key: key(1), range: 0..10 }).await;
    assert_eq!(got, Err(ObjectsError::NotFound));
}

async fn every_key_is_listed_in_order(objects: &impl Objects) {
    assert_eq!(objects.run(ObjectsRequest::List).await, Ok(ObjectsReply::Keys(vec![])));
    for byte in [7, 3, 5] {
        put(objects, byte, Bytes::from_static(b"x")).await.unwrap();
    }
    let mut keys = vec![key(3), key(5), key(7)];
    keys.sort();
    assert_eq!(objects.run(ObjectsRequest::List).await, Ok(ObjectsReply::Keys(keys)));
}

#[tokio::test]
async fn objects_in_memory_conform() {
    conforms(MemoryObjects::new).await;
}

#[tokio::test]
async fn objects_in_a_folder_conform() {
    let mut folders = Vec::new();
    conforms(|| {
        folders.push(tempfile::tempdir().unwrap());
        FolderObjects::open(folders.last().unwrap().path()).unwrap()
    })
    .await;
}

#[tokio::test]
async fn objects_in_a_folder_outlive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    put(&FolderObjects::open(folder.path()).unwrap(), 1, sound()).await.unwrap();
    let objects = FolderObjects::open(folder.path()).unwrap();
    let got = objects.run(ObjectsRequest::Get { key: key(1), range: 0..100_000 }).await;
    assert_eq!(got, Ok(ObjectsReply::Bytes(sound())));
}
