//! A real full disk: a tmpfs of a few MiB, mounted in a mount namespace of its own.
//!
//! The test starts itself again under `unshare`; where that or mounting is not allowed it says so and ends. What a full
//! disk must do is also tested everywhere on the simulated one.

#![expect(clippy::disallowed_methods, reason = "a test composes what the server composes")]

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hushbox_audit::{Event, EventName, Log, Verifier, Who};
use hushbox_backend::volume::folder::free_bytes;
use hushbox_backend::{
    AuditFile, AuditOptions, AuditSpace, Folder, FolderLock, FolderObjects, LockoutFile, Spool,
    SpoolOptions, SqliteIndex,
};
use hushbox_policy::lockout::{CounterRow, Hold, LockKey};
use hushbox_policy::{DeviceId, PersonId};
use hushbox_store::spool::{Record, RecordKind};
use hushbox_store::{
    Index, IndexError, IndexReply, IndexRequest, ObjectKey, Objects, ObjectsError, ObjectsReply,
    ObjectsRequest,
};

use crate::support::{Installation, MAILBOX, NODE, message, now};

const FOLDER: &str = "HUSHBOX_TEST_SMALL_DISK";
const MOUNT: &str = "mount -t tmpfs -o size=12m,mode=0700 tmpfs \"$HUSHBOX_TEST_SMALL_DISK\" || exit 77; exec \"$0\" \"$@\"";

#[expect(clippy::print_stdout, reason = "who runs the test is told that it did not run")]
fn not_run(why: &str) {
    println!("not run: {why}");
}

/// The small disk, or none in the process that only starts the one that has it.
fn small_disk(test: &str) -> Option<PathBuf> {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return Some(folder.into());
    }
    let folder = tempfile::tempdir().unwrap();
    let status = Command::new("unshare")
        .args(["--map-root-user", "--mount", "sh", "-c", MOUNT])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(FOLDER, folder.path())
        .status();
    match status.map(|status| status.code()) {
        Ok(Some(0)) => {}
        Ok(Some(77)) => not_run("mounting is not allowed here"),
        // unshare's own; a test that fails ends with 101.
        Ok(Some(1)) => not_run("unshare is not allowed here, as in many containers"),
        Err(error) => not_run(&format!("no unshare here ({error})")),
        Ok(code) => panic!("the test on the small disk failed: {code:?}"),
    }
    None
}

/// Fills the disk but for `left` bytes.
fn fill(folder: &Path, left: u64) -> PathBuf {
    let path = folder.join("filler");
    let mut file = File::create(&path).unwrap();
    let piece = vec![7; 4096];
    while free_bytes(folder).unwrap() > left {
        match file.write_all(&piece) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::StorageFull => break,
            Err(error) => panic!("{error}"),
        }
    }
    path
}

fn record(kind: RecordKind, byte: u8, index: u32) -> Record {
    Record { kind, message: message(byte), index, body: Bytes::from(vec![byte; 8000]) }
}

#[tokio::test]
async fn a_full_disk_refuses_clearly_and_loses_nothing() {
    let Some(data) = small_disk("full_disk::a_full_disk_refuses_clearly_and_loses_nothing") else {
        return;
    };
    let options = SpoolOptions { segment_bytes: 256 * 1024 };
    let (mut spool, _) = Spool::open(&data, 0, options).unwrap();
    let folder: Arc<Folder> = Arc::new(Folder::open_or_create(&data.join("audit")).unwrap());
    let audit_options = AuditOptions { reserve_bytes: 64 * 1024, ..AuditOptions::default() };
    let (mut audit, opened) = AuditFile::open(folder.clone(), NODE, audit_options).unwrap();
    let mut log = Log::new(NODE, opened.resume, now());
    let (mut lockout, _) = LockoutFile::open(&Folder::open_or_create(&data).unwrap()).unwrap();
    let index = SqliteIndex::create(&data).await.unwrap();
    let objects = FolderObjects::open(&data).unwrap();
    let mut house = Installation::new();
    let before = house.delivered(1, MAILBOX, 1).0;
    index.run(IndexRequest::InsertMessage(Box::new(before.clone()))).await.unwrap();
    spool.append(&record(RecordKind::First, 1, 0)).unwrap();
    spool.append(&record(RecordKind::Last, 1, 0)).unwrap();
    spool.sync();
    spool.synced().await;
    let mut write = |audit: &mut AuditFile| {
        log.append_event(now(), Event::new(EventName::ALL[0], Who::System));
        let batch = log.take_batch().unwrap();
        let result = audit.append(&batch);
        if result.is_err() {
            log.rollback(batch);
        }
        result
    };
    write(&mut audit).unwrap();

    let filler = fill(&data, 0);

    // The spool: what is preallocated is used, then the next segment is refused.
    let error = loop {
        if let Err(error) = spool.append(&record(RecordKind::Chunk, 2, 0)) {
            break error;
        }
    };
    assert!(error.is_full(), "{error}");
    assert!(error.to_string().contains("no space left"), "{error}");
    spool.sync();
    assert!(spool.synced().await.lost.is_empty());

    // The audit log: the reserve is told and used, then nothing goes.
    let mut written = 1_u64;
    let mut on_reserve = false;
    while write(&mut audit).is_ok() {
        written += 1;
        on_reserve |= matches!(audit.space(), AuditSpace::Reserve { .. });
    }
    assert!(on_reserve && written > 100, "{written} records");
    assert_eq!(audit.reader().verify(Verifier::new()).unwrap().count, written);

    // The lock-out counters still count.
    for failures in 1..=10 {
        let key = LockKey::Pair(PersonId::from_bytes([1; 16]), DeviceId::from_bytes([2; 16]));
        let hold = Hold::Locked(Duration::from_secs(900));
        let row = CounterRow { key, failures, locks: 1, numbers: 0, hold };
        lockout.write(&[row]).unwrap();
    }

    // Index and objects say so, and leave nothing half.
    let after = house.delivered(2, MAILBOX, 1).0;
    let mut refused = Ok(IndexReply::Inserted);
    for byte in 3..250 {
        let row = house.delivered(byte, MAILBOX, 1).0;
        refused = index.run(IndexRequest::InsertMessage(Box::new(row))).await;
        if refused.is_err() {
            break;
        }
    }
    assert_eq!(refused, Err(IndexError::Full));
    let put = |bytes: usize| ObjectsRequest::Put {
        key: ObjectKey::of_message(message(2)),
        bytes: Bytes::from(vec![3; bytes]),
    };
    assert_eq!(objects.run(put(1 << 20)).await, Err(ObjectsError::Full));
    assert_eq!(objects.run(ObjectsRequest::List).await, Ok(ObjectsReply::Keys(vec![])));
    FolderLock::take(&data).expect("a full disk does not keep a server from starting");

    // With room again, everything goes on where it was.
    std::fs::remove_file(filler).unwrap();
    assert_eq!(audit.space(), AuditSpace::Plenty);
    write(&mut audit).unwrap();
    spool.append(&record(RecordKind::Last, 3, 0)).unwrap();
    assert_eq!(objects.run(put(1 << 20)).await, Ok(ObjectsReply::Put));
    let inserted = index.run(IndexRequest::InsertMessage(Box::new(after))).await;
    assert_eq!(inserted, Ok(IndexReply::Inserted));
    let found = index.run(IndexRequest::Message(before.id)).await.unwrap();
    assert_eq!(found, IndexReply::Message(Some(Box::new(before))));
    drop((audit, spool));
    let (audit, opened) = AuditFile::open(folder, NODE, audit_options).unwrap();
    assert_eq!((opened.torn_bytes, opened.resume.next_seq), (0, written + 1));
    assert_eq!(audit.reader().verify(Verifier::new()).unwrap().count, written + 1);
    let (spool, recovered) = Spool::open(&data, 0, options).unwrap();
    assert!(recovered.messages.iter().any(|found| found.message == message(1) && found.finished));
    assert_eq!(spool.reader(message(1)).unwrap().read().unwrap().len(), 2);
}
