//! Data as version 1 wrote it, one file a format: what stands in tests/golden stays readable for ever.
//!
//! Sealing draws randomness, so the files can't be made again as they are: `HUSHBOX_WRITE_GOLDEN=1 cargo test -p
//! hushbox-store golden` makes others. Do that for a new version only, beside the old files.

use std::fs;
use std::path::PathBuf;

use hushbox_audit::Hash;
use hushbox_store::keys::RootKey;
use hushbox_store::signing::VerifyingKey;
use hushbox_store::spool::{Damage, Record, RecordKind, Scan, frame, segment_header};
use hushbox_store::{
    Directory, DirectoryRow, KeyReply, KeyRequest, MailboxKeys, Manifest, Recovery, RowId, RowKind,
    SignedManifest, unlock,
};
use serde_json::{Value, json};

use crate::support::{
    Installation, MAILBOX, NODE, message, played, recorded, sound, spooled, start,
};

const SEGMENT: &str = "spool-1.seg";
const OBJECT: &str = "stream-1.hba";
const MANIFEST: &str = "manifest-1.bin";
const SIGNATURE: &str = "manifest-1.sig";
const ROWS: &str = "directory-1.json";

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn read(name: &str) -> Vec<u8> {
    fs::read(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// One whole message, one that was cut, and the mark that a third was delivered.
fn write(installation: &mut Installation) {
    let public_key = installation.public_key(MAILBOX);
    let whole = recorded(&start(1, MAILBOX, public_key), 3);
    let cut = recorded(&start(2, MAILBOX, public_key), 3);
    let mut segment = segment_header(7).to_vec();
    for record in whole.iter().chain(&cut[..3]) {
        frame(7, record, &mut segment);
    }
    frame(7, &Record::delivered(message(3)), &mut segment);
    segment.resize(segment.len() + 256, 0);
    let (row, object) = installation.deliver(spooled(&whole));
    let rows: Vec<Value> = installation
        .rows
        .iter()
        .map(|row| {
            json!({
                "kind": row.row.kind.as_str(),
                "id": row.row.id.to_string(),
                "version": row.version,
                "body": String::from_utf8_lossy(&row.body),
                "signature": hex::encode(&row.signature),
            })
        })
        .collect();
    let directory = json!({
        "directory_key": hex::encode(installation.directory_key.public().as_bytes()),
        "rows": rows,
    });
    fs::write(path(SEGMENT), segment).unwrap();
    fs::write(path(OBJECT), object).unwrap();
    fs::write(path(MANIFEST), &row.manifest.bytes).unwrap();
    fs::write(path(SIGNATURE), &row.manifest.signature).unwrap();
    fs::write(path(ROWS), serde_json::to_vec_pretty(&directory).unwrap()).unwrap();
}

fn directory() -> (Directory, Vec<DirectoryRow>) {
    let json: Value = serde_json::from_slice(&read(ROWS)).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let bytes = |value: &Value| hex::decode(text(value)).unwrap();
    let rows: Vec<DirectoryRow> = json["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| DirectoryRow {
            row: RowId {
                kind: text(&row["kind"]).parse::<RowKind>().unwrap(),
                id: text(&row["id"]).parse().unwrap(),
            },
            version: row["version"].as_u64().unwrap(),
            body: text(&row["body"]).into_bytes(),
            signature: bytes(&row["signature"]),
        })
        .collect();
    let key = VerifyingKey::from_slice(&bytes(&json["directory_key"])).unwrap();
    (Directory::build(&rows, &key).unwrap(), rows)
}

#[test]
fn version_1_reads_from_the_spool_to_the_ear() {
    let mut installation = Installation::new();
    if std::env::var_os("HUSHBOX_WRITE_GOLDEN").is_some() {
        write(&mut installation);
    }

    let mut scan = Scan::new(read(SEGMENT).into()).unwrap();
    assert_eq!(scan.generation(), 7);
    let records: Vec<Record> = scan.by_ref().collect();
    assert_eq!(scan.damage(), Damage::default());
    assert_eq!(records.last().map(|record| record.kind), Some(RecordKind::Delivered));
    let mut recovery = Recovery::new();
    records.iter().for_each(|record| recovery.record(record));
    let recovered = recovery.finish();
    assert_eq!(recovered.finished, [message(3)]);
    let [whole, cut] = recovered.messages.as_slice() else { panic!("two messages") };
    assert_eq!((whole.message(), cut.message()), (message(1), message(2)));
    assert_eq!((whole.last.is_some(), cut.last.is_some()), (true, false));
    assert_eq!((cut.chunks.len(), cut.samples), (2, 16_000));

    let object = read(OBJECT);
    assert_eq!(whole.object(), object);

    let (directory, _) = directory();
    let signed = SignedManifest { bytes: read(MANIFEST), signature: read(SIGNATURE) };
    assert!(signed.verify(&directory.node(NODE).unwrap().public_key));
    let manifest = Manifest::parse(&signed.bytes).unwrap();
    assert_eq!(manifest.to_bytes(), signed.bytes);
    assert_eq!(manifest.object_hash, Hash::of(&object));

    // The spool still makes the manifest that was signed, so a recovery by a later version is no other message.
    let (mut row, _) = installation.deliver(whole.clone());
    assert_eq!(row.manifest.bytes, signed.bytes);
    row.manifest = signed.clone();

    let keys = MailboxKeys::in_directory(&directory, MAILBOX).unwrap();
    let authorised = installation.open_authorised(MAILBOX);
    let root = RootKey::from_bytes(&[0x11; 32]);
    let request = KeyRequest::OpenMailbox { authorised, keys };
    let KeyReply::Mailbox(open) = unlock(&root, request).unwrap() else { panic!() };
    let listen = installation.listen(&row);
    let mut player = open.open(listen, &row, &directory, Some(signed.hash())).unwrap();
    assert_eq!(played(&mut player, &object), (sound(1, 3), Ok(())));
}

#[test]
fn version_1_rows_have_the_hash_that_the_audit_log_knows() {
    let (directory, rows) = directory();
    assert_eq!(directory.hash(), Some(hushbox_store::row::hash_of(&rows)));
    assert_eq!(
        directory.account_by_name("clinic").map(|account| account.domain.as_str()),
        Some("clinic.example")
    );
}
