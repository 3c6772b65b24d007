//! The spool under crashes, full disks, failing syncs and failing disks.

use std::collections::BTreeSet;

use bytes::Bytes;
use hushbox_store::spool::{RecordKind, SEGMENT_HEADER_LEN};

use super::*;
use crate::volume::sim::SimVolume;

const DISK: u64 = 1 << 22;

fn id(message: u8) -> MessageId {
    MessageId::from_parts(1_700_000_000_000 + u64::from(message), [message; 10])
}

fn record(kind: RecordKind, message: u8, index: u32) -> Record {
    let body = vec![message ^ index.to_le_bytes()[0]; 3000 + usize::from(message)];
    Record { kind, message: id(message), index, body: Bytes::from(body) }
}

fn options() -> SpoolOptions {
    SpoolOptions { segment_bytes: limits::SPOOL_SEGMENT_BYTES_MIN }
}

fn open(disk: &SimVolume) -> (SpoolLog, Recovered) {
    SpoolLog::open(Arc::new(disk.clone()), options()).unwrap()
}

fn ids(recovered: &Recovered) -> Vec<MessageId> {
    recovered.messages.iter().map(|message| message.message).collect()
}

/// Appends a whole message of so many chunks.
fn append_message(spool: &mut SpoolLog, message: u8, chunks: u32) {
    spool.append(&record(RecordKind::First, message, 0)).unwrap();
    for index in 0..chunks {
        spool.append(&record(RecordKind::Chunk, message, index)).unwrap();
    }
    spool.append(&record(RecordKind::Last, message, 0)).unwrap();
}

fn assert_whole(spool: &SpoolLog, message: u8, chunks: u32) {
    let records = spool.reader(id(message)).unwrap().read().unwrap();
    let mut wanted = vec![record(RecordKind::First, message, 0)];
    wanted.extend((0..chunks).map(|index| record(RecordKind::Chunk, message, index)));
    wanted.push(record(RecordKind::Last, message, 0));
    assert_eq!(records, wanted);
}

#[test]
fn what_was_synced_is_there_after_every_crash() {
    for seed in 0..40 {
        let disk = SimVolume::new(DISK);
        let (mut spool, _) = open(&disk);
        // Over three segments, several messages at a time.
        append_message(&mut spool, 1, 30);
        append_message(&mut spool, 2, 60);
        assert!(spool.sync_now().lost.is_empty());
        append_message(&mut spool, 3, 20);
        spool.append(&record(RecordKind::First, 4, 0)).unwrap();
        disk.crash(seed);
        let (spool, recovered) = open(&disk);
        assert!(ids(&recovered).starts_with(&[id(1), id(2)]), "seed {seed}: {recovered:?}");
        assert!(recovered.messages.iter().take(2).all(|message| message.finished));
        assert_whole(&spool, 1, 30);
        assert_whole(&spool, 2, 60);
    }
}

#[test]
fn a_killed_process_loses_nothing_that_it_appended() {
    let disk = SimVolume::new(DISK);
    let (mut spool, _) = open(&disk);
    append_message(&mut spool, 1, 5);
    spool.append(&record(RecordKind::First, 2, 0)).unwrap();
    spool.append(&record(RecordKind::Chunk, 2, 0)).unwrap();
    disk.kill();
    let (spool, recovered) = open(&disk);
    assert_eq!(ids(&recovered), [id(1), id(2)]);
    assert!(!recovered.messages[1].finished);
    assert_whole(&spool, 1, 5);
    assert_eq!(spool.reader(id(2)).unwrap().read().unwrap().len(), 2);
}

#[test]
fn a_delivered_message_stays_away_and_every_byte_of_it_is_overwritten() {
    let disk = SimVolume::new(DISK);
    let (mut spool, _) = open(&disk);
    append_message(&mut spool, 0x51, 60);
    spool.sync_now();
    let needle = [0x51_u8; 64];
    let holds = |disk: &SimVolume| disk.every_byte().windows(64).any(|bytes| bytes == needle);
    assert!(holds(&disk), "the search works");
    spool.append(&Record::delivered(id(0x51))).unwrap();
    spool.sync_now();
    assert!(!holds(&disk), "a sealed key must not outlive its message");
    assert!(spool.reader(id(0x51)).is_none());
    for seed in 0..20 {
        disk.crash(seed);
        assert!(ids(&open(&disk).1).is_empty());
    }
}

#[test]
fn a_crash_at_any_moment_of_freeing_brings_no_delivered_message_back() {
    for seed in 0..60 {
        let disk = SimVolume::new(DISK);
        let (mut spool, _) = open(&disk);
        // The mark of 1 stands two segments behind it, beside a message that is not delivered.
        append_message(&mut spool, 1, 10);
        append_message(&mut spool, 2, 80);
        append_message(&mut spool, 3, 3);
        spool.sync_now();
        spool.append(&Record::delivered(id(1))).unwrap();
        spool.append(&Record::delivered(id(2))).unwrap();
        let mut job = spool.next_job(true);
        let mut steps = seed % 6;
        while let Some(next) = job.take().filter(|_| steps > 0) {
            spool.finish(next.run());
            job = spool.next_job(false);
            steps -= 1;
        }
        disk.crash(seed);
        let (spool, recovered) = open(&disk);
        let found: BTreeSet<MessageId> = ids(&recovered).into_iter().collect();
        assert!(found.contains(&id(3)), "seed {seed}");
        if seed % 6 > 0 {
            assert_eq!(found.len(), 1, "seed {seed}: {found:?} after the mark was synced");
        }
        assert_whole(&spool, 3, 3);
    }
}

#[test]
fn segments_are_used_again_and_the_folder_does_not_grow() {
    let disk = SimVolume::new(DISK);
    let (mut spool, _) = open(&disk);
    for round in 0..100 {
        let message = round % 200 + 1;
        append_message(&mut spool, message, 50);
        spool.sync_now();
        spool.append(&Record::delivered(id(message))).unwrap();
        spool.sync_now();
    }
    assert!(disk.names().unwrap().len() <= 4, "{:?}", disk.names());
    assert_eq!(spool.undelivered(), 0);
}

#[test]
fn a_full_disk_refuses_the_next_segment_and_keeps_what_was_accepted() {
    let disk = SimVolume::new(DISK);
    let (mut spool, _) = open(&disk);
    append_message(&mut spool, 1, 5);
    spool.sync_now();
    disk.set_capacity(0);
    let room = spool.room();
    assert_eq!(room.on_disk, 0);
    let mut appended = 0;
    let error = loop {
        let next = record(RecordKind::Chunk, 2, 0);
        match spool.append(&next) {
            Ok(_) => appended += next.framed_len() as u64,
            Err(error) => break error,
        }
    };
    assert!(error.is_full(), "{error}");
    let slack = 2 * record(RecordKind::Chunk, 2, 0).framed_len() as u64;
    assert!(appended + slack >= room.in_segments, "{appended} of {room:?} could be used");
    assert!(spool.sync_now().lost.is_empty());
    assert_whole(&spool, 1, 5);
    disk.set_capacity(DISK);
    append_message(&mut spool, 3, 5);
    spool.sync_now();
    disk.crash(1);
    let (spool, _) = open(&disk);
    assert_whole(&spool, 1, 5);
    assert_whole(&spool, 3, 5);
}

#[test]
fn a_full_disk_at_the_start_still_lets_messages_be_read_and_freed() {
    let disk = SimVolume::new(DISK);
    let (mut spool, _) = open(&disk);
    append_message(&mut spool, 1, 5);
    spool.sync_now();
    disk.kill();
    disk.set_capacity(0);
    let (mut spool, recovered) = open(&disk);
    assert_eq!(ids(&recovered), [id(1)]);
    assert_whole(&spool, 1, 5);
    // The mark goes into the segment that was kept ready; once it is synced there is room again.
    spool.append(&Record::delivered(id(1))).unwrap();
    spool.sync_now();
    append_message(&mut spool, 2, 5);
}

#[test]
fn on_a_full_disk_without_a_segment_ready_what_is_delivered_makes_room() {
    let disk = SimVolume::new(DISK);
    let (mut spool, _) = open(&disk);
    append_message(&mut spool, 1, 5);
    append_message(&mut spool, 2, 60);
    spool.sync_now();
    disk.kill();
    // The segments that were kept ready are gone, and there is no room for another.
    for name in disk.names().unwrap().split_off(2) {
        disk.remove(&name).unwrap();
    }
    disk.set_capacity(0);
    let (mut spool, recovered) = open(&disk);
    assert_eq!(ids(&recovered), [id(1), id(2)]);
    let refused = spool.append(&record(RecordKind::First, 3, 0));
    assert!(matches!(refused, Err(BackendError::Full { .. })));
    for message in [1, 2] {
        spool.append(&Record::delivered(id(message))).unwrap();
    }
    spool.sync_now();
    append_message(&mut spool, 4, 5);
    spool.sync_now();
    disk.crash(3);
    let (spool, recovered) = open(&disk);
    assert_eq!(ids(&recovered), [id(4)]);
    assert_whole(&spool, 4, 5);
}

#[test]
fn after_a_failed_sync_nothing_of_it_is_promised_and_new_messages_are_safe() {
    let disk = SimVolume::new(DISK);
    let (mut spool, _) = open(&disk);
    append_message(&mut spool, 1, 3);
    assert!(spool.sync_now().lost.is_empty());
    spool.append(&record(RecordKind::First, 2, 0)).unwrap();
    disk.set_syncs_fail(true);
    let report = spool.sync_now();
    assert_eq!(report.lost, [id(2)].into());
    disk.set_syncs_fail(false);
    let refused = spool.append(&record(RecordKind::Last, 2, 0));
    assert!(matches!(refused, Err(BackendError::Unsynced { .. })));
    append_message(&mut spool, 3, 3);
    let report = spool.sync_now();
    assert_eq!(report.lost, [id(2)].into(), "it stays lost");
    disk.crash(7);
    let (spool, recovered) = open(&disk);
    assert!(ids(&recovered).contains(&id(1)) && ids(&recovered).contains(&id(3)));
    assert_whole(&spool, 1, 3);
    assert_whole(&spool, 3, 3);
}

#[test]
fn a_flipped_bit_costs_one_record_and_is_reported() {
    let disk = SimVolume::new(DISK);
    let (mut spool, _) = open(&disk);
    append_message(&mut spool, 1, 5);
    append_message(&mut spool, 2, 5);
    spool.sync_now();
    let name = disk.names().unwrap().remove(0);
    disk.flip(&name, SEGMENT_HEADER_LEN + 3500);
    let (spool, recovered) = open(&disk);
    assert_eq!(ids(&recovered), [id(1), id(2)]);
    assert_eq!(recovered.holes, 1);
    assert_eq!(spool.reader(id(1)).unwrap().read().unwrap().len(), 6, "one chunk is gone");
    assert_whole(&spool, 2, 5);
}

#[test]
fn a_damaged_header_costs_nothing_and_is_reported() {
    for at in 0..SEGMENT_HEADER_LEN {
        let disk = SimVolume::new(DISK);
        let (mut spool, _) = open(&disk);
        append_message(&mut spool, 1, 5);
        spool.sync_now();
        let name = disk.names().unwrap().remove(0);
        disk.flip(&name, at);
        if at == 7 {
            let error = SpoolLog::open(Arc::new(disk), options()).unwrap_err();
            assert!(matches!(error, BackendError::UnknownVersion { .. }), "{error}");
            continue;
        }
        let (spool, recovered) = open(&disk);
        assert_eq!(recovered.holes, 1);
        assert_whole(&spool, 1, 5);
    }
}

#[test]
fn chunks_without_their_first_record_are_reported_and_freed() {
    let disk = SimVolume::new(DISK);
    let (mut spool, _) = open(&disk);
    spool.append(&record(RecordKind::Chunk, 1, 0)).unwrap();
    append_message(&mut spool, 2, 1);
    spool.sync_now();
    let (_, recovered) = open(&disk);
    assert_eq!(recovered.headless, [id(1)]);
    assert_eq!(ids(&recovered), [id(2)]);
}

#[test]
fn files_of_others_in_the_folder_are_left_alone() {
    let disk = SimVolume::new(DISK);
    disk.create("notes.txt").unwrap().write_at(b"mine", 0).unwrap();
    open(&disk);
    assert!(disk.names().unwrap().contains(&"notes.txt".to_owned()));
}

#[test]
fn random_runs_keep_every_promise() {
    for seed in 1..30_u64 {
        let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut next = |below: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % below
        };
        let disk = SimVolume::new(DISK);
        let (mut spool, _) = open(&disk);
        let mut promised: BTreeSet<u8> = BTreeSet::new();
        let mut finished: BTreeSet<u8> = BTreeSet::new();
        let mut delivered: BTreeSet<u8> = BTreeSet::new();
        let mut message = 0_u8;
        for _ in 0..40 {
            match next(10) {
                0..=4 => {
                    message += 1;
                    append_message(&mut spool, message, u32::try_from(next(25)).unwrap());
                    finished.insert(message);
                }
                5..=6 => {
                    assert!(spool.sync_now().lost.is_empty());
                    promised.append(&mut finished);
                }
                7..=8 => {
                    let oldest = promised.iter().find(|id| !delivered.contains(id)).copied();
                    if let Some(oldest) = oldest {
                        spool.append(&Record::delivered(id(oldest))).unwrap();
                        delivered.insert(oldest);
                    }
                }
                _ => {
                    disk.crash(next(u64::MAX));
                    let (reopened, recovered) = open(&disk);
                    spool = reopened;
                    let found = ids(&recovered);
                    for id_of in promised.difference(&delivered) {
                        assert!(found.contains(&id(*id_of)), "seed {seed}: {id_of} is gone");
                    }
                    // What was not promised may be there or not; from now on it is not this run's.
                    finished.clear();
                    delivered.retain(|delivered| !found.contains(&id(*delivered)));
                }
            }
        }
    }
}

#[tokio::test]
async fn a_message_in_a_real_folder_survives_a_restart_until_it_is_delivered() {
    let data = tempfile::tempdir().unwrap();
    let first = record(RecordKind::First, 1, 0);
    {
        let (mut spool, recovered) = Spool::open(data.path(), 0, options()).unwrap();
        assert!(recovered.messages.is_empty());
        spool.append(&first).unwrap();
        spool.append(&record(RecordKind::Chunk, 1, 0)).unwrap();
        let last = spool.append(&record(RecordKind::Last, 1, 0)).unwrap();
        spool.sync();
        let report = spool.synced().await;
        assert!(report.synced >= last && report.lost.is_empty());
    }
    assert_eq!(shards_on_disk(data.path()), [0]);
    {
        let (mut spool, recovered) = Spool::open(data.path(), 0, options()).unwrap();
        assert_eq!(recovered.messages.len(), 1);
        assert!(recovered.messages[0].finished);
        let records = spool.reader(first.message).unwrap().read().unwrap();
        assert_eq!(records.len(), 3);
        assert_eq!(records[0], first);
        spool.delivered(first.message).unwrap();
        spool.synced().await;
    }
    let (spool, recovered) = Spool::open(data.path(), 0, options()).unwrap();
    assert!(recovered.messages.is_empty());
    assert!(spool.reader(first.message).is_none());
}

#[tokio::test]
async fn one_sync_serves_all_that_was_appended_while_the_last_one_ran() {
    let data = tempfile::tempdir().unwrap();
    let (mut spool, _) = Spool::open(data.path(), 0, options()).unwrap();
    let mut last = Position::default();
    for call in 0..100 {
        last = spool.append(&record(RecordKind::First, call, 0)).unwrap();
        spool.sync();
    }
    let mut reports = 0;
    while spool.synced().await.synced < last {
        reports += 1;
    }
    assert!(reports <= 2, "{reports} syncs for a hundred appends");
}
