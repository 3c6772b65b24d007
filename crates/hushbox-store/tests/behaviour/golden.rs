//! Data as version 1 wrote it, one file a format: what stands in tests/golden stays readable for ever.
//!
//! Sealing draws randomness, so the files can't be made again as they are: `HUSHBOX_WRITE_GOLDEN=1 cargo test -p
//! hushbox-store golden` makes others. Do that for a new version only, beside the old files.

use std::fs;
use std::path::PathBuf;

use hushbox_audit::Hash;
use hushbox_policy::{Binding, DeviceId, TrunkId};
use hushbox_store::keys::{DigestAlgorithm, DigestUser, RootKey, ServiceKey};
use hushbox_store::model::{CertificateBinding, Device, Entity, Trunk};
use hushbox_store::signing::VerifyingKey;
use hushbox_store::spool::{Damage, Record, RecordKind, Scan, frame, segment_header};
use hushbox_store::{
    Directory, DirectoryRow, KeyReply, KeyRequest, MailboxKeys, Manifest, Recovery, RowId, RowKind,
    SignedManifest, unlock,
};
use serde_json::{Value, json};

use crate::support::{
    ACCOUNT, Installation, MAILBOX, NODE, message, played, recorded, sound, spooled, start,
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

/// The kinds that the small installation lacks, with every field that they can have.
fn more() -> Vec<Entity> {
    let device = DeviceId::from_bytes([0xd1; 16]);
    let service = ServiceKey::from_bytes(&[0x33; 32]);
    let ha1 = |algorithm| {
        service.seal_digest_secret(DigestUser::Device(device), algorithm, b"ha1", [4; 12]).unwrap()
    };
    vec![
        Entity::Device(Device {
            id: device,
            account: ACCOUNT,
            username: "phone1".into(),
            bound: Binding::Mailbox(MAILBOX),
            digest_sha256: Some(ha1(DigestAlgorithm::Sha256)),
            digest_sha512_256: None,
            digest_md5: Some(ha1(DigestAlgorithm::Md5)),
            certificate: Some(CertificateBinding::KeyHash([5; 32])),
        }),
        Entity::Trunk(Trunk {
            id: TrunkId::from_bytes([0xf1; 16]),
            name: "pbx".into(),
            certificate: Some(CertificateBinding::AuthorityAndName {
                authority: Some([6; 32]),
                name: "sip:pbx.clinic.example".into(),
            }),
            digest_sha256: None,
            accounts: vec![ACCOUNT],
            lab_addresses: vec!["127.0.0.1".parse().unwrap(), "::1".parse().unwrap()],
            addressing: Default::default(),
            calls_max: None,
            mwi: None,
        }),
    ]
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
    let mut all = installation.rows.clone();
    let key = &installation.directory_key;
    all.extend(more().iter().map(|entity| DirectoryRow::sign(entity, 2, key).unwrap()));
    let rows: Vec<Value> = all
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
    for entity in more() {
        assert!(directory.entities().any(|known| known == entity), "{entity:?}");
    }
    let service = ServiceKey::from_bytes(&[0x33; 32]);
    let device = directory.device_by_username("phone1").unwrap();
    let sealed = device.digest_sha256.as_ref().unwrap();
    let ha1 = service
        .open_digest_secret(DigestUser::Device(device.id), DigestAlgorithm::Sha256, sealed)
        .unwrap();
    assert_eq!(ha1.as_slice(), b"ha1");
    assert_eq!(
        directory.account_by_name("clinic").map(|account| account.domain.as_str()),
        Some("clinic.example")
    );
}
