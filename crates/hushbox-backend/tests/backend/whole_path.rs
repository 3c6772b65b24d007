//! One message's way through real files: deposit, spool, a kill, recovery, delivery, log-in, playing.

#![expect(clippy::disallowed_methods, reason = "a test composes what the server composes")]

use std::path::Path;
use std::sync::Arc;

use hushbox_audit::{Authorised, EventExtra, Log, Recorded, Verifier};
use hushbox_backend::{
    AuditFile, AuditOptions, AuditReader, Folder, FolderLock, FolderObjects, KeyFiles, Spool,
    SpoolOptions, SqliteIndex,
};
use hushbox_policy::{
    Action, Actor, Binding, DeviceFacts, DeviceId, EitherProfile, Facts, GrantKind, MailboxFacts,
    Profile, Request, Surface, authorise,
};
use hushbox_store::row::hash_of;
use hushbox_store::{
    Audited, Delivery, Directory, DirectoryRow, Index, IndexReply, IndexRequest, KeyProvider,
    KeyReply, KeyRequest, Listing, MailboxKeys, MessageRow, MessageState, Objects, ObjectsReply,
    ObjectsRequest, OpenMailbox, Player, Recovery, SpooledMessage, Step, StepDone,
};

use crate::support::{
    ACCOUNT, MAILBOX, NODE, entities, message, now, recorded, second, sound, start, utc,
};

const DEVICE: DeviceId = DeviceId::from_bytes([0xd1; 16]);

/// A server's files, opened as a start opens them.
pub(crate) struct House {
    _lock: FolderLock,
    keys: KeyFiles,
    index: SqliteIndex,
    objects: FolderObjects,
    audit: AuditFile,
    log: Log,
    spool: Spool,
    directory: Directory,
    /// What the start found in the spool.
    spooled: Vec<SpooledMessage>,
    torn_bytes: u64,
}

fn small() -> (SpoolOptions, AuditOptions) {
    let spool = SpoolOptions { segment_bytes: 256 * 1024 };
    (spool, AuditOptions { reserve_bytes: 64 * 1024, ..AuditOptions::default() })
}

/// What quickstart does: keys, and a directory signed with them.
pub(crate) async fn quickstart(dir: &Path) {
    let data = dir.join("data");
    let keys = KeyFiles::at(&dir.join("keys"), &data);
    let new = keys.create().unwrap();
    let index = SqliteIndex::create(&data).await.unwrap();
    let rows: Vec<DirectoryRow> = entities(&new.root, &new.node)
        .iter()
        .map(|entity| DirectoryRow::sign(entity, 1, &new.directory).unwrap())
        .collect();
    index.run(IndexRequest::DirectoryPut { rows, before: hash_of(&[]) }).await.unwrap();
    let value = new.root.id().as_bytes().to_vec();
    let put = IndexRequest::MetaPut { key: "root-key".to_owned(), value };
    index.run(put).await.unwrap();
    index.close().await;
}

impl House {
    pub(crate) async fn open(dir: &Path) -> House {
        let data = dir.join("data");
        let lock = FolderLock::take(&data).unwrap();
        let keys = KeyFiles::at(&dir.join("keys"), &data);
        let index = SqliteIndex::open(&data).await.unwrap();
        let directory = match index.run(IndexRequest::DirectoryLoad).await.unwrap() {
            IndexReply::Directory(rows) => {
                Directory::build(&rows, &keys.directory_public_key().unwrap()).unwrap()
            }
            other => panic!("{other:?}"),
        };
        let (spool_options, audit_options) = small();
        let folder = Arc::new(Folder::open_or_create(&data.join("audit")).unwrap());
        let (audit, opened) = AuditFile::open(folder, NODE, audit_options).unwrap();
        let (spool, recovered) = Spool::open(&data, 0, spool_options).unwrap();
        let mut recovery = Recovery::new();
        for found in &recovered.messages {
            let records = spool.reader(found.message).unwrap().read().unwrap();
            records.iter().for_each(|record| recovery.record(record));
        }
        House {
            _lock: lock,
            keys,
            index,
            objects: FolderObjects::open(&data).unwrap(),
            audit,
            log: Log::new(NODE, opened.resume, now()),
            spool,
            directory,
            spooled: recovery.finish().messages,
            torn_bytes: opened.torn_bytes,
        }
    }

    pub(crate) fn audit(&self) -> AuditReader {
        self.audit.reader()
    }

    pub(crate) fn directory_key(&self) -> hushbox_store::signing::DirectoryKey {
        self.keys.directory_key().unwrap()
    }

    pub(crate) async fn close(self) {
        self.index.close().await;
    }

    /// Records a message and syncs what of it was recorded so far.
    pub(crate) async fn record(&mut self, byte: u8, seconds: u64, to_its_end: bool) {
        let public_key = self.directory.mailbox(MAILBOX).unwrap().public_key;
        let mut records = recorded(&start(byte, MAILBOX, public_key), seconds);
        if !to_its_end {
            records.pop();
        }
        let mut last = None;
        for record in &records {
            last = Some(self.spool.append(record).unwrap());
        }
        self.spool.sync();
        while Some(self.spool.synced().await.synced) < last {}
    }

    /// Delivers what the start found, or stops after so many steps, as a kill does.
    pub(crate) async fn deliver(&mut self, mut steps: usize) {
        let node_key = self.keys.node_key().unwrap();
        for message in std::mem::take(&mut self.spooled) {
            let audited = self.audited(&message);
            let mut delivery = Delivery::new(message, NODE, &node_key, audited).unwrap();
            loop {
                if steps == 0 {
                    return;
                }
                steps -= 1;
                let done = match delivery.poll_step() {
                    Step::PutObject { key, bytes } => {
                        self.objects.run(ObjectsRequest::Put { key, bytes }).await.unwrap();
                        StepDone::ObjectPut
                    }
                    Step::Audit(event) => {
                        let seq = self.log.append_event(now(), *event).seq();
                        let batch = self.log.take_batch().unwrap();
                        self.audit.append(&batch).unwrap();
                        StepDone::Audited { seq }
                    }
                    Step::InsertRow(row) => {
                        self.index.run(IndexRequest::InsertMessage(row)).await.unwrap();
                        StepDone::RowInserted
                    }
                    Step::FreeSpool(id) => {
                        self.spool.delivered(id).unwrap();
                        self.spool.synced().await;
                        StepDone::SpoolFreed
                    }
                    Step::Done => break,
                    step @ Step::Quarantined { .. } => panic!("{step:?}"),
                };
                delivery.handle(done);
            }
        }
    }

    fn audited(&self, message: &SpooledMessage) -> Option<Audited> {
        let mut found = None;
        self.audit
            .reader()
            .each(&mut |record| {
                if let Some((id, audited)) = Audited::in_record(&record)
                    && id == message.message()
                {
                    found = Some(audited);
                }
                std::ops::ControlFlow::Continue(())
            })
            .unwrap();
        found
    }

    /// Policy's permit, written into the file and synced.
    fn authorised<A>(&mut self, object: A::Object, row: Option<&MessageRow>) -> Authorised<A>
    where
        A: Action + EitherProfile + Recorded,
    {
        let grant = self.directory.grants_on(MAILBOX).next().unwrap();
        assert_eq!(grant.kind, GrantKind::Owner);
        let person = self.directory.person(grant.person).unwrap();
        let bound = Binding::Persons(vec![person.id]);
        let mut facts = Facts::new(utc(), Surface::Phone)
            .person(person.facts())
            .pin_verified(person.id)
            .device(DeviceFacts { device: DEVICE, account: ACCOUNT, bound })
            .grants([grant.facts()])
            .mailbox(MailboxFacts { mailbox: MAILBOX, account: ACCOUNT, profile: Profile::Hipaa });
        if let Some(row) = row {
            facts = facts.message(row.facts());
        }
        let request = Request::new(Actor::Person(person.id), object).device(DEVICE);
        let permit = authorise(&request, &facts).unwrap();
        let pending = self.log.append(now(), permit, EventExtra::default());
        let batch = self.log.take_batch().unwrap();
        self.audit.append(&batch).unwrap();
        pending.confirmed(&batch.synced()).unwrap()
    }

    pub(crate) async fn log_in(&mut self) -> OpenMailbox {
        let authorised = self.authorised(MAILBOX, None);
        let keys = MailboxKeys::in_directory(&self.directory, MAILBOX).unwrap();
        match self.keys.run(KeyRequest::OpenMailbox { authorised, keys }).await.unwrap() {
            KeyReply::Mailbox(open) => open,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn messages(&self, open: &OpenMailbox) -> Vec<MessageRow> {
        let listing = Listing::opened(open, [MessageState::New]);
        match self.index.run(IndexRequest::Messages(listing)).await.unwrap() {
            IndexReply::Messages(rows) => rows,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn heard(&mut self, open: &OpenMailbox, row: &MessageRow) -> Vec<u8> {
        let authorised = self.authorised(row.message_ref(), Some(row));
        let record = self.audit.reader().record(row.audit_seq).unwrap().unwrap();
        let audited = Audited::in_record(&record).map(|(_, audited)| audited.manifest);
        let mut player = open.open(authorised, row, &self.directory, audited).unwrap();
        self.play(&mut player).await
    }

    async fn play(&self, player: &mut Player) -> Vec<u8> {
        let mut heard = Vec::new();
        loop {
            if let Some(frames) = player.next_frames().unwrap() {
                heard.extend_from_slice(&frames);
                continue;
            }
            let Some(range) = player.wanted() else { break };
            let get = ObjectsRequest::Get { key: player.object_key().clone(), range };
            match self.objects.run(get).await.unwrap() {
                ObjectsReply::Bytes(bytes) => player.push(&bytes).unwrap(),
                other => panic!("{other:?}"),
            }
        }
        assert!(player.finished());
        heard
    }
}

/// Every byte under a folder.
pub(crate) fn every_byte(folder: &Path, bytes: &mut Vec<u8>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            every_byte(&path, bytes);
        } else {
            bytes.extend(std::fs::read(path).unwrap());
        }
    }
}

pub(crate) fn holds(bytes: &[u8], what: &[u8]) -> bool {
    bytes.windows(what.len()).any(|window| window == what)
}

#[tokio::test]
async fn a_message_is_recorded_recovered_delivered_and_heard_by_its_owner() {
    let dir = tempfile::tempdir().unwrap();
    quickstart(dir.path()).await;
    {
        let mut house = House::open(dir.path()).await;
        house.record(1, 12, true).await;
        // The second one is cut: its last record was never written.
        house.record(2, 5, false).await;
    }
    let mut house = House::open(dir.path()).await;
    house.deliver(usize::MAX).await;
    let open = house.log_in().await;
    let rows = house.messages(&open).await;
    assert_eq!(rows.iter().map(|row| row.id).collect::<Vec<_>>(), [1, 2].map(message));
    assert_eq!(rows.iter().map(|row| row.truncated).collect::<Vec<_>>(), [false, true]);
    assert_eq!(house.heard(&open, &rows[0]).await, sound(1, 12));
    let cut = house.heard(&open, &rows[1]).await;
    assert!(sound(2, 5).starts_with(&cut) && cut.len() >= sound(2, 4).len(), "{}", cut.len());
    let summary = house.audit.reader().verify(Verifier::new()).unwrap();
    assert_eq!(summary.count, 5, "two deliveries, a log-in, two listens");
}

#[tokio::test]
async fn a_kill_after_any_step_of_a_delivery_delivers_once() {
    for steps in 0..6 {
        let dir = tempfile::tempdir().unwrap();
        quickstart(dir.path()).await;
        let mut house = House::open(dir.path()).await;
        house.record(1, 3, true).await;
        drop(house);
        let mut house = House::open(dir.path()).await;
        house.deliver(steps).await;
        drop(house);
        let mut house = House::open(dir.path()).await;
        house.deliver(usize::MAX).await;
        assert_eq!(house.torn_bytes, 0);
        let open = house.log_in().await;
        let rows = house.messages(&open).await;
        assert_eq!(rows.len(), 1, "after {steps} steps");
        assert_eq!(house.heard(&open, &rows[0]).await, sound(1, 3));
        let summary = house.audit.reader().verify(Verifier::new()).unwrap();
        assert_eq!(summary.count, 3, "one delivery, a log-in, a listen; after {steps} steps");
        drop(house);
        assert!(House::open(dir.path()).await.spooled.is_empty());
    }
}

#[tokio::test]
async fn no_sound_no_caller_and_no_pin_stands_in_any_file_of_the_data_folder() {
    let dir = tempfile::tempdir().unwrap();
    quickstart(dir.path()).await;
    let mut house = House::open(dir.path()).await;
    house.record(1, 3, true).await;
    house.record(2, 3, false).await;
    drop(house);
    let mut house = House::open(dir.path()).await;
    house.deliver(2).await;
    let mut bytes = Vec::new();
    every_byte(&dir.path().join("data"), &mut bytes);
    assert!(holds(&bytes, message(1).as_bytes()), "the search works");
    for clear in [&second(1, 0)[..16], &second(2, 1)[..16], b"15551234567", b"Mary Major"] {
        assert!(!holds(&bytes, clear));
    }
    let root = std::fs::read_to_string(dir.path().join("keys/root.key")).unwrap();
    let root = root.lines().nth(1).unwrap();
    assert!(!holds(&bytes, root.as_bytes()) && !holds(&bytes, &hex::decode(root).unwrap()));
}

#[tokio::test]
async fn without_the_root_key_messages_are_recorded_and_delivered_and_not_opened() {
    let dir = tempfile::tempdir().unwrap();
    quickstart(dir.path()).await;
    for secret in ["root.key", "pepper.key"] {
        std::fs::rename(dir.path().join("keys").join(secret), dir.path().join(secret)).unwrap();
    }
    let mut house = House::open(dir.path()).await;
    assert!(house.keys.root_key_state(None).record_only());
    house.record(1, 3, true).await;
    drop(house);
    let mut house = House::open(dir.path()).await;
    house.deliver(usize::MAX).await;
    let authorised = house.authorised(MAILBOX, None);
    let keys = MailboxKeys::in_directory(&house.directory, MAILBOX).unwrap();
    let refused = house.keys.run(KeyRequest::OpenMailbox { authorised, keys }).await;
    assert!(matches!(refused, Err(hushbox_store::KeyError::Missing(_))), "{refused:?}");
    // With the key back, it is heard.
    std::fs::rename(dir.path().join("root.key"), dir.path().join("keys/root.key")).unwrap();
    let open = house.log_in().await;
    let rows = house.messages(&open).await;
    assert_eq!(house.heard(&open, &rows[0]).await, sound(1, 3));
}

#[tokio::test]
async fn an_audit_log_can_be_checked_without_a_server_and_a_changed_byte_is_found() {
    let dir = tempfile::tempdir().unwrap();
    quickstart(dir.path()).await;
    let mut house = House::open(dir.path()).await;
    house.record(1, 1, true).await;
    drop(house);
    let mut house = House::open(dir.path()).await;
    house.deliver(usize::MAX).await;
    drop(house);
    let folder = dir.path().join("data/audit");
    let reader = || AuditReader::new(Arc::new(Folder::open_or_create(&folder).unwrap()));
    assert_eq!(reader().verify(Verifier::new()).unwrap().count, 1);
    let path = std::fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2 + 20;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    assert!(reader().verify(Verifier::new()).is_err());
}
