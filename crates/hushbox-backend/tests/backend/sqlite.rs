//! What is SQLite's alone: durability settings, what is overwritten, and files that can't be used.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use hushbox_backend::index::sqlite::INDEX_FILE;
use hushbox_backend::{BackendError, SqliteIndex};
use hushbox_store::{Destruction, Index, IndexReply, IndexRequest, MessageRow, MessageState};

use crate::support::{Installation, MAILBOX};

async fn insert(index: &SqliteIndex, row: &MessageRow) {
    index.run(IndexRequest::InsertMessage(Box::new(row.clone()))).await.unwrap();
}

async fn there(index: &SqliteIndex, row: &MessageRow) -> bool {
    let reply = index.run(IndexRequest::Message(row.id)).await.unwrap();
    matches!(reply, IndexReply::Message(Some(_)))
}

/// Everything that stands in the index's files.
fn every_byte(folder: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        bytes.extend(std::fs::read(entry.unwrap().path()).unwrap());
    }
    bytes
}

fn holds(bytes: &[u8], what: &[u8]) -> bool {
    bytes.windows(what.len()).any(|window| window == what)
}

#[tokio::test]
async fn a_row_is_there_after_the_process_dies_without_closing() {
    let folder = tempfile::tempdir().unwrap();
    let row = Installation::new().delivered(1, MAILBOX, 1).0;
    let index = SqliteIndex::create(folder.path()).await.unwrap();
    insert(&index, &row).await;
    // A process that was killed leaves the file and its write-ahead log as they are at this moment.
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        if !entry.file_name().to_string_lossy().ends_with("-shm") {
            std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
        }
    }
    let index = SqliteIndex::open(copy.path()).await.unwrap();
    assert!(there(&index, &row).await);
}

#[tokio::test]
async fn the_key_of_a_destroyed_message_stands_in_no_file_any_more() {
    let folder = tempfile::tempdir().unwrap();
    let mut house = Installation::new();
    let index = SqliteIndex::create(folder.path()).await.unwrap();
    let mut rows = Vec::new();
    for byte in 1..=40 {
        let row = MessageRow {
            state: MessageState::Deleted,
            previous_state: Some(MessageState::New),
            remaining: Some(std::time::Duration::ZERO),
            ..house.delivered(byte, MAILBOX, 1).0
        };
        insert(&index, &row).await;
        rows.push(row);
    }
    let kept = rows.split_off(20);
    for row in &rows {
        let destruction = Destruction::new(house.destroy(row));
        index.run(IndexRequest::Destroy(destruction)).await.unwrap();
    }
    let bytes = every_byte(folder.path());
    for row in &rows {
        assert!(!holds(&bytes, &row.sealed_key));
        assert!(!holds(&bytes, &row.sealed_envelope));
    }
    for row in &kept {
        assert!(holds(&bytes, &row.sealed_key), "the search works");
        assert!(there(&index, row).await);
    }
}

#[tokio::test]
async fn the_file_is_private_and_says_whose_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let row = Installation::new().delivered(1, MAILBOX, 1).0;
    let index = SqliteIndex::create(folder.path()).await.unwrap();
    insert(&index, &row).await;
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", entry.file_name().to_string_lossy());
    }
    index.close().await;
    let bytes = std::fs::read(folder.path().join(INDEX_FILE)).unwrap();
    // https://www.sqlite.org/fileformat.html §1.3.16: the application id stands at offset 68.
    assert_eq!(&bytes[68..72], b"HBX1");
}

#[tokio::test]
async fn an_index_of_a_later_program_and_a_file_that_is_none_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let index = SqliteIndex::create(folder.path()).await.unwrap();
    index.close().await;
    let path = folder.path().join(INDEX_FILE);
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path);
    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (3, 'later', 1, x'00', 0)",
    )
    .execute(&pool)
    .await
    .unwrap();
    pool.close().await;
    let error = SqliteIndex::open(folder.path()).await.unwrap_err();
    assert!(matches!(error, BackendError::UnknownVersion { version: 3, .. }), "{error}");

    std::fs::write(&path, vec![b'x'; 10_000]).unwrap();
    let error = SqliteIndex::open(folder.path()).await.unwrap_err();
    assert!(matches!(error, BackendError::Damaged { .. }), "{error}");
    assert!(error.to_string().contains(INDEX_FILE), "{error}");
}

#[tokio::test]
async fn a_file_that_is_lost_is_not_made_anew_and_one_that_is_there_not_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let names = || std::fs::read_dir(folder.path()).unwrap().count();
    let error = SqliteIndex::open(folder.path()).await.unwrap_err();
    assert!(error.to_string().contains("restore it from a backup"), "{error}");
    assert_eq!(names(), 0, "nothing stands in the way of the backup");
    SqliteIndex::create(folder.path()).await.unwrap().close().await;
    assert!(SqliteIndex::create(folder.path()).await.is_err());
    assert_eq!(names(), 1, "closed, it is one file");
    for stray in ["index.sqlite-wal", "index.sqlite-shm"] {
        std::fs::rename(folder.path().join(INDEX_FILE), folder.path().join(stray)).unwrap();
        for error in [
            SqliteIndex::open(folder.path()).await.unwrap_err(),
            SqliteIndex::create(folder.path()).await.unwrap_err(),
        ] {
            assert!(error.to_string().contains(stray), "{error}");
        }
        assert_eq!(names(), 1);
        std::fs::rename(folder.path().join(stray), folder.path().join(INDEX_FILE)).unwrap();
    }
}

#[tokio::test]
async fn a_closed_index_is_one_file_with_every_row_also_while_somebody_else_reads_it() {
    let folder = tempfile::tempdir().unwrap();
    let row = Installation::new().delivered(1, MAILBOX, 1).0;
    let index = SqliteIndex::create(folder.path()).await.unwrap();
    insert(&index, &row).await;
    let path = folder.path().join(INDEX_FILE);
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path).read_only(true);
    let backup = sqlx::SqlitePool::connect_with(options).await.unwrap();
    sqlx::query("SELECT count(*) FROM message").fetch_one(&backup).await.unwrap();
    index.close().await;
    let copy = tempfile::tempdir().unwrap();
    std::fs::copy(&path, copy.path().join(INDEX_FILE)).unwrap();
    assert!(there(&SqliteIndex::open(copy.path()).await.unwrap(), &row).await);
}

#[tokio::test]
async fn a_value_is_read_beside_a_server_and_without_one_and_nothing_is_left_behind() {
    let folder = tempfile::tempdir().unwrap();
    let names = || {
        let entries = std::fs::read_dir(folder.path()).unwrap();
        entries.map(|entry| entry.unwrap().file_name()).collect::<std::collections::BTreeSet<_>>()
    };
    let error = SqliteIndex::peek(folder.path(), "head").await.unwrap_err();
    assert!(matches!(error, BackendError::Missing { .. }), "{error}");
    let index = SqliteIndex::create(folder.path()).await.unwrap();
    for value in [1, 2] {
        let put = IndexRequest::MetaPut { key: "head".to_owned(), value: vec![value] };
        index.run(put).await.unwrap();
        let before = names();
        assert_eq!(SqliteIndex::peek(folder.path(), "head").await.unwrap(), Some(vec![value]));
        assert_eq!(names(), before);
    }
    index.close().await;
    assert_eq!(SqliteIndex::peek(folder.path(), "head").await.unwrap(), Some(vec![2]));
    assert_eq!(SqliteIndex::peek(folder.path(), "another").await.unwrap(), None);
    assert_eq!(names().len(), 1, "{:?}", names());
}

#[tokio::test]
async fn readers_and_the_writer_work_side_by_side() {
    let folder = tempfile::tempdir().unwrap();
    let mut house = Installation::new();
    let index = SqliteIndex::create(folder.path()).await.unwrap();
    let rows: Vec<MessageRow> = (1..=50).map(|byte| house.delivered(byte, MAILBOX, 1).0).collect();
    let writes = rows.iter().map(|row| insert(&index, row));
    let counts = (0..50).map(|_| async {
        index.run(IndexRequest::Counts(MAILBOX)).await.unwrap();
    });
    tokio::join!(futures_util::future::join_all(writes), futures_util::future::join_all(counts),);
    let reply = index.run(IndexRequest::Counts(MAILBOX)).await.unwrap();
    assert!(matches!(reply, IndexReply::Counts(counts) if counts.new == 50));
}

#[tokio::test]
async fn a_request_that_is_given_up_half_way_does_not_hold_up_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let mut house = Installation::new();
    let index = SqliteIndex::create(folder.path()).await.unwrap();
    for byte in 1..=30_u8 {
        let given_up = house.delivered(byte, MAILBOX, 1).0;
        {
            let request = IndexRequest::InsertMessage(Box::new(given_up.clone()));
            let mut insertion = index.run(request);
            for _ in 0..byte {
                let polled = futures_util::poll!(&mut insertion);
                if polled.is_ready() {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        insert(&index, &given_up).await;
        assert!(there(&index, &given_up).await, "after {byte} polls");
    }
}
