//! A spool that was cut at any byte: what was saved is there, whole; what was being recorded is there up to the last
//! chunk that was written; and nothing that reaches a disk says who called or what was said.

use hushbox_policy::MessageId;
use hushbox_store::spool::{Record, RecordKind, SEGMENT_HEADER_LEN, Scan, frame, segment_header};
use hushbox_store::{MessageRow, Recovery, SpooledMessage};
use proptest::prelude::*;

use crate::support::{Installation, MAILBOX, message, played, recorded, second, sound, start};

fn recovered(segment: &[u8]) -> Vec<SpooledMessage> {
    let mut recovery = Recovery::new();
    let scan = Scan::new(segment.to_vec().into()).unwrap();
    scan.for_each(|record| recovery.record(&record));
    let recovered = recovery.finish();
    assert_eq!(recovered.orphaned, Vec::<MessageId>::new());
    recovered.messages
}

/// Several calls into one segment, a record of each in turn.
fn interleaved(calls: &[Vec<Record>]) -> Vec<Record> {
    let longest = calls.iter().map(Vec::len).max().unwrap_or(0);
    (0..longest).flat_map(|at| calls.iter().filter_map(move |call| call.get(at).cloned())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_spool_cut_at_any_byte_gives_back_all_that_was_written(
        lengths in proptest::collection::vec(1..5_u64, 1..4),
        cut in any::<prop::sample::Index>(),
        garbage in proptest::collection::vec(any::<u8>(), 0..64),
    ) {
        let mut installation = Installation::new();
        let key = installation.public_key(MAILBOX);
        let calls: Vec<Vec<Record>> = (1..)
            .zip(&lengths)
            .map(|(byte, seconds)| recorded(&start(byte, MAILBOX, key), *seconds))
            .collect();
        let records = interleaved(&calls);
        let mut segment = segment_header(1).to_vec();
        let mut ends = Vec::new();
        for record in &records {
            let begin = segment.len();
            frame(1, record, &mut segment);
            // The padding behind a record is not part of it.
            ends.push(begin + 40 + record.body.len());
        }
        let cut = SEGMENT_HEADER_LEN + cut.index(segment.len() - SEGMENT_HEADER_LEN + 1);
        let written: Vec<&Record> =
            records.iter().zip(&ends).filter(|(_, end)| **end <= cut).map(|(r, _)| r).collect();
        segment.truncate(cut);
        segment.extend_from_slice(&garbage);

        let messages = recovered(&segment);
        for (byte, seconds) in (1..).zip(lengths) {
            let of = |kind| {
                let mine = written.iter().filter(|record| record.message == message(byte));
                mine.filter(|record| record.kind == kind).count()
            };
            let found = messages.iter().find(|found| found.message() == message(byte));
            let chunks = of(RecordKind::Chunk);
            // A cut inside of the last record's body may still leave it whole by luck of what follows, never less.
            let spoken = |found: &SpooledMessage| {
                found.chunks.len() - usize::from(found.last.is_some())
            };
            prop_assert!(found.map_or(0, spoken) >= chunks);
            let Some(found) = found else { continue };
            let saved = of(RecordKind::Last) == 1;
            prop_assert!(found.last.is_some() || !saved);
            prop_assert!(!found.damaged);

            let (row, object) = installation.deliver(found.clone());
            let mut player = installation.play(&row).unwrap();
            let (heard, end) = played(&mut player, &object);
            prop_assert_eq!(end, Ok(()));
            let heard_seconds = u64::try_from(spoken(found)).unwrap();
            prop_assert!(heard_seconds <= seconds);
            prop_assert_eq!(heard, sound(byte, heard_seconds));
            prop_assert_eq!(row.truncated, found.last.is_none());
        }
    }
}

#[test]
fn nothing_that_reaches_a_disk_holds_the_caller_the_audio_or_a_key() {
    let mut installation = Installation::new();
    let records = recorded(&start(1, MAILBOX, installation.public_key(MAILBOX)), 3);
    let mut disk = segment_header(1).to_vec();
    records.iter().for_each(|record| frame(1, record, &mut disk));
    let (row, object) = installation.deliver(recovered(&disk).remove(0));
    disk.extend_from_slice(&object);
    let MessageRow { sealed_key, sealed_envelope, manifest, .. } = row;
    for part in [sealed_key, sealed_envelope, manifest.bytes, manifest.signature] {
        disk.extend_from_slice(&part);
    }
    for directory_row in &installation.rows {
        disk.extend_from_slice(&directory_row.body);
    }
    let audio = second(1, 0);
    // The message's id is sixteen bytes of the value that its key has thirty-two of.
    let secrets: [(&str, &[u8]); 7] = [
        ("number", b"5551234567"),
        ("name", b"Mary Major"),
        ("audio", &audio[..12]),
        ("message key", &[1; 20]),
        ("account key", &[0x22; 12]),
        ("root key", &[0x11; 12]),
        ("account key in hex", b"2222222222222222"),
    ];
    for (what, secret) in secrets {
        let found = disk.windows(secret.len()).any(|window| window == secret);
        assert!(!found, "{what}");
    }
}
