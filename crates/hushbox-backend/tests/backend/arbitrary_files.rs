//! Whatever a disk gives back: files of any bytes are read, refused or reported, and nothing panics.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use hushbox_audit::Verifier;
use hushbox_backend::spool::log::SpoolLog;
use hushbox_backend::volume::Volume;
use hushbox_backend::volume::sim::SimVolume;
use hushbox_backend::{AuditFile, AuditOptions, AuditReader, KeyFiles, LockoutFile, SpoolOptions};
use hushbox_store::Recovery;
use hushbox_store::spool::{Record, frame, segment_header};
use proptest::prelude::*;

use crate::support::{MAILBOX, NODE, recorded, start};

fn disk_with(name: &str, bytes: &[u8]) -> SimVolume {
    let disk = SimVolume::new(1 << 24);
    disk.create(name).unwrap().write_at(bytes, 0).unwrap();
    disk
}

/// A segment with one message, and where its first record ends.
fn segment() -> (Vec<u8>, usize) {
    let (public_key, _) = hushbox_store::hpke::generate_mailbox_keys().unwrap();
    let mut segment = segment_header(3).to_vec();
    let records = recorded(&start(1, MAILBOX, public_key), 4);
    let first = segment.len() + records[0].framed_len();
    for record in &records {
        frame(3, record, &mut segment);
    }
    segment.resize(segment.len() + 512, 0);
    (segment, first)
}

fn open_and_read(disk: &SimVolume) -> usize {
    let opened = SpoolLog::open(Arc::new(disk.clone()), SpoolOptions { segment_bytes: 1 << 17 });
    let Ok((mut spool, recovered)) = opened else { return 0 };
    for found in &recovered.messages {
        let mut recovery = Recovery::new();
        let records = spool.reader(found.message).unwrap().read().unwrap();
        records.iter().for_each(|record| recovery.record(record));
        let _ = recovery.finish();
        spool.append(&Record::delivered(found.message)).unwrap();
    }
    assert!(spool.sync_now().lost.is_empty());
    recovered.messages.len()
}

fn header(start: &'static [u8]) -> impl Strategy<Value = Vec<u8>> {
    (0..=start.len(), proptest::collection::vec(any::<u8>(), 0..3000))
        .prop_map(|(kept, rest)| [&start[..kept], &rest[..]].concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_spool_segment_opens_or_is_refused(bytes in header(b"HBSPOOL\x01\0\0\0\0\0\0\0\x03")) {
        open_and_read(&disk_with("00000001.seg", &bytes));
    }

    #[test]
    fn a_spool_segment_with_any_byte_changed_still_gives_its_message(
        at in 8_usize..3000,
        to in any::<u8>(),
    ) {
        let (mut segment, first) = segment();
        let at = at % segment.len();
        let changed = segment[at] != to;
        segment[at] = to;
        let found = open_and_read(&disk_with("00000001.seg", &segment));
        // Behind the first record, which holds the key, no byte costs the message.
        if !changed || at >= first {
            prop_assert_eq!(found, 1);
        }
    }

    #[test]
    fn any_audit_segment_opens_or_is_refused(bytes in header(b"HBAUDIT\x01\xe0\xe0\xe0\xe0\xe0\xe0\xe0\xe0")) {
        let disk = disk_with("00000000000000000000.log", &bytes);
        let reader = AuditReader::new(Arc::new(disk.clone()));
        let _ = reader.record(5);
        let _ = reader.verify(Verifier::new());
        if let Ok((file, opened)) = AuditFile::open(Arc::new(disk), NODE, AuditOptions::default()) {
            let count = file.reader().verify(Verifier::new()).unwrap().count;
            prop_assert_eq!(count, opened.resume.next_seq);
        }
    }

    #[test]
    fn any_lockout_file_opens_or_is_refused(bytes in header(b"HBLOCKS\x01")) {
        let _ = LockoutFile::open(&disk_with("lockout", &bytes));
    }

    #[test]
    fn any_key_file_is_read_or_refused(
        text in "(hushbox (root|service|node) key [0-9]{1,20}\n)?[0-9a-fA-Fé\r\n ]{0,80}",
    ) {
        let folder = tempfile::tempdir().unwrap();
        for name in ["root.key", "service.key", "node.key", "pepper.key", "directory.pub", "directory.key"] {
            fs::write(folder.path().join(name), &text).unwrap();
            fs::set_permissions(folder.path().join(name), fs::Permissions::from_mode(0o600)).unwrap();
        }
        let files = KeyFiles::at(folder.path(), folder.path());
        let _ = files.root_key_state(None);
        let _ = (files.service_key(), files.node_key(), files.pepper());
        let _ = (files.directory_public_key(), files.directory_key());
    }
}
