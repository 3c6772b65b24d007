//! The log's file under crashes, full disks and failing syncs.

use std::ops::ControlFlow;
use std::time::Instant;

use hushbox_audit::{Event, EventName, Log, Verifier, Who};
use hushbox_policy::Now;

use super::*;
use crate::volume::folder::Folder;
use crate::volume::sim::SimVolume;

const NODE: NodeId = NodeId::from_bytes([7; 16]);

fn small() -> AuditOptions {
    AuditOptions { segment_bytes: 2000, reserve_bytes: 4096, step_bytes: 512 }
}

fn now() -> Now {
    Now { monotonic: Instant::now(), utc: jiff::Timestamp::UNIX_EPOCH }
}

#[expect(clippy::disallowed_methods, reason = "the test is the one writer of its log")]
fn log(opened: &OpenedAudit) -> Log {
    Log::new(NODE, opened.resume, now())
}

fn event() -> Event {
    Event::new(EventName::ALL[0], Who::System)
}

fn batch(log: &mut Log, records: usize) -> Batch {
    for _ in 0..records {
        log.append_event(now(), event());
    }
    log.take_batch().unwrap()
}

fn count(reader: &AuditReader) -> u64 {
    reader.verify(Verifier::new()).unwrap().count
}

#[test]
fn a_log_in_a_real_folder_goes_on_after_a_restart_over_several_segments() {
    let folder = tempfile::tempdir().unwrap();
    let open = || {
        let volume = Arc::new(Folder::open_or_create(folder.path()).unwrap());
        AuditFile::open(volume, NODE, small()).unwrap()
    };
    for start in 0..5_u64 {
        let (mut file, opened) = open();
        assert_eq!(opened, OpenedAudit { resume: opened.resume, torn_bytes: 0 });
        assert_eq!(opened.resume.next_seq, start * 21);
        let mut log = log(&opened);
        for _ in 0..7 {
            file.append(&batch(&mut log, 3)).unwrap();
        }
        assert_eq!(count(&file.reader()), (start + 1) * 21);
    }
    assert!(std::fs::read_dir(folder.path()).unwrap().count() > 1);
    let (file, _) = open();
    let reader = file.reader();
    for seq in [0, 1, 50, 104, 3] {
        assert_eq!(reader.record(seq).unwrap().unwrap().seq, seq);
    }
    assert_eq!(reader.record(105).unwrap(), None);
    let mut seen = 0;
    reader
        .each(&mut |record| {
            assert_eq!(record.seq, seen);
            seen += 1;
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(seen, 105);
}

#[test]
fn what_was_confirmed_is_there_after_every_crash_and_what_was_torn_is_cut_off() {
    for seed in 0..200 {
        let disk = SimVolume::new(1 << 20);
        let (mut file, opened) = AuditFile::open(Arc::new(disk.clone()), NODE, small()).unwrap();
        let mut log = log(&opened);
        let confirmed = seed % 30;
        for _ in 0..confirmed {
            file.append(&batch(&mut log, 1)).unwrap();
        }
        // Written and not synced when the power fails.
        let unsynced = batch(&mut log, 5);
        if let Some(segment) = &file.current {
            segment.file.write_at(unsynced.bytes(), segment.len).unwrap();
        }
        disk.crash(seed);
        let (mut file, opened) = AuditFile::open(Arc::new(disk.clone()), NODE, small()).unwrap();
        assert!(opened.resume.next_seq >= confirmed, "seed {seed}: a confirmed record is gone");
        assert_eq!(count(&file.reader()), opened.resume.next_seq, "seed {seed}");
        let mut log = super::tests::log(&opened);
        file.append(&batch(&mut log, 2)).unwrap();
        assert_eq!(count(&file.reader()), opened.resume.next_seq + 2, "seed {seed}");
    }
}

#[test]
fn a_full_disk_leaves_the_reserve_and_then_nothing_and_loses_nothing() {
    let disk = SimVolume::new(1 << 20);
    let options = AuditOptions { segment_bytes: 1 << 16, ..small() };
    let (mut file, opened) = AuditFile::open(Arc::new(disk.clone()), NODE, options).unwrap();
    let mut log = log(&opened);
    file.append(&batch(&mut log, 1)).unwrap();
    assert_eq!(file.space(), AuditSpace::Plenty);
    disk.set_capacity(0);
    let mut written = 1;
    let refused = loop {
        let next = batch(&mut log, 1);
        match file.append(&next) {
            Ok(()) => written += 1,
            Err(error) => break (next, error),
        }
        assert!(matches!(
            file.space(),
            AuditSpace::Plenty | AuditSpace::Reserve { .. } | AuditSpace::Full
        ));
    };
    assert!(refused.1.is_full());
    log.rollback(refused.0);
    assert!(written > 20, "the reserve took {written} records");
    assert_eq!(count(&file.reader()), written);

    // A restart on the full disk: the log is whole, and still takes what the reserve has left.
    let (mut file, opened) = AuditFile::open(Arc::new(disk.clone()), NODE, options).unwrap();
    assert_eq!(opened.resume, log.head());
    assert_ne!(file.space(), AuditSpace::Plenty);

    disk.set_capacity(1 << 20);
    assert_eq!(file.space(), AuditSpace::Plenty);
    file.append(&batch(&mut log, 1)).unwrap();
    assert_eq!(count(&file.reader()), written + 1);
}

#[test]
fn on_the_reserve_the_space_that_is_left_is_told_and_shrinks() {
    let disk = SimVolume::new(1 << 20);
    let options = AuditOptions { segment_bytes: 1 << 16, ..small() };
    let (mut file, opened) = AuditFile::open(Arc::new(disk.clone()), NODE, options).unwrap();
    let mut log = log(&opened);
    file.append(&batch(&mut log, 1)).unwrap();
    disk.set_capacity(0);
    let mut before = u64::MAX;
    for _ in 0..10 {
        file.append(&batch(&mut log, 2)).unwrap();
        if let AuditSpace::Reserve { left } = file.space() {
            assert!(left < before && left <= options.reserve_bytes);
            before = left;
        }
    }
    assert_ne!(before, u64::MAX);
}

#[test]
fn a_failed_sync_takes_the_batch_back_and_the_log_goes_on_in_another_segment() {
    let disk = SimVolume::new(1 << 20);
    let (mut file, opened) = AuditFile::open(Arc::new(disk.clone()), NODE, small()).unwrap();
    let mut log = log(&opened);
    file.append(&batch(&mut log, 2)).unwrap();
    disk.set_syncs_fail(true);
    let failed = batch(&mut log, 1);
    file.append(&failed).unwrap_err();
    log.rollback(failed);
    disk.set_syncs_fail(false);
    file.append(&batch(&mut log, 1)).unwrap();
    assert_eq!(count(&file.reader()), 3);
    assert_eq!(disk.names().unwrap().len(), 2);
    let (_, opened) = AuditFile::open(Arc::new(disk), NODE, small()).unwrap();
    assert_eq!(opened.resume, log.head());
}

#[test]
fn a_changed_record_and_another_nodes_log_are_refused() {
    let disk = SimVolume::new(1 << 20);
    let (mut file, opened) = AuditFile::open(Arc::new(disk.clone()), NODE, small()).unwrap();
    let mut log = log(&opened);
    file.append(&batch(&mut log, 3)).unwrap();
    let other = NodeId::from_bytes([8; 16]);
    let error = AuditFile::open(Arc::new(disk.clone()), other, small()).unwrap_err();
    assert!(error.to_string().contains("it is the log of node"), "{error}");
    let name = disk.names().unwrap().remove(0);
    disk.flip(&name, SEGMENT_HEADER_LENGTH + 20);
    let error = AuditFile::open(Arc::new(disk.clone()), NODE, small()).unwrap_err();
    assert!(matches!(error, BackendError::Damaged { .. }), "{error}");
    assert!(file.reader().verify(Verifier::new()).is_err());
}

#[test]
fn a_real_file_system_keeps_the_reserve_without_lengthening_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let volume = Arc::new(Folder::open_or_create(folder.path()).unwrap());
    let (mut file, opened) = AuditFile::open(volume, NODE, AuditOptions::default()).unwrap();
    let mut log = log(&opened);
    let batch = batch(&mut log, 1);
    file.append(&batch).unwrap();
    let segment = file.current.as_ref().unwrap();
    let len = (SEGMENT_HEADER_LENGTH + batch.bytes().len()) as u64;
    assert_eq!(std::fs::metadata(&segment.path).unwrap().len(), len);
    assert!(
        segment.allocated >= len + limits::AUDIT_RESERVE_BYTES || segment.allocated == u64::MAX
    );
}
