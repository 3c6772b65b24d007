//! The data folder, opened: lock, keys, log, index, objects, counters, spools, directory.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use hushbox_audit::{DetailValue, Event, EventName, Hash, Resume, Who};
use hushbox_backend::SqliteIndex;
use hushbox_backend::audit_file::{AuditFile, AuditOptions, AuditReader};
use hushbox_backend::key_files::{KeyFiles, RootKeyState};
use hushbox_backend::lockout_file::LockoutFile;
use hushbox_backend::objects::FolderObjects;
use hushbox_backend::spool::{Recovered, Spool, SpoolOptions, shards_on_disk};
use hushbox_backend::volume::folder::Folder;
use hushbox_policy::{MailboxId, MessageId, NodeId};
use hushbox_store::keys::{KeyId, ServiceKey};
use hushbox_store::signing::NodeKey;
use hushbox_store::{Audited, Directory, Index, IndexReply, IndexRequest};

use tokio::sync::mpsc;

use super::{ServerError, doing};
use crate::audit_head;
use crate::audit_task::Audit;
use crate::clock::Clock;
use crate::config::Config;
use crate::fatal::Fatal;
use crate::housekeeping::HIGHEST_UTC;
use crate::locks::Locks;
use crate::log_in::LogIns;
use crate::mwi::WatchedIndex;
use crate::pin_pool::PinPool;
use crate::services::{Opening, Parts, Services};

/// Where the root key's id is kept in the index.
pub(crate) const ROOT_KEY_ID: &str = "root-key-id";

/// Everything that was opened.
pub(super) struct Data {
    pub(super) services: Arc<Services>,
    pub(super) spools: BTreeMap<u16, (Spool, Recovered)>,
    pub(super) audited: Arc<BTreeMap<MessageId, Audited>>,
    pub(super) service_key: ServiceKey,
    pub(super) keys: KeyFiles,
    /// The mailboxes whose messages change.
    pub(super) changed: mpsc::UnboundedReceiver<MailboxId>,
}

impl Data {
    pub(super) async fn open(
        config: &Config,
        fatal: &Fatal,
        index: SqliteIndex,
    ) -> Result<Self, ServerError> {
        let keys = KeyFiles::at(&config.keys, &config.data);
        let (index, changed) = WatchedIndex::new(Arc::new(index));
        let index: Arc<dyn Index> = Arc::new(index);
        let clock = Arc::new(Clock::start(highest_utc(index.as_ref()).await?));
        let directory = Arc::new(directory(index.as_ref(), &keys).await?);
        let node_key = keys.node_key()?;
        let node = this_node(&directory, &node_key)?;

        let volume = Arc::new(Folder::open_or_create(&config.audit)?);
        let (audit_file, opened) = AuditFile::open(volume, node, AuditOptions::default())?;
        let audit_reader = audit_file.reader();
        let spools = spools(&config.data, config.shards)?;
        let kept = audit_head::kept(index.as_ref()).await?;
        let looked = look_into(&audit_reader, &spools, kept)?;
        let Looked { audited, last_change, .. } = looked;
        check_last_change(&directory, last_change)?;
        let sink = Box::new(audit_file);
        let audit = Audit::start(node, opened.resume, sink, Arc::clone(&clock), fatal)
            .map_err(doing("a thread"))?;
        note_gap(&audit, kept, opened.resume, looked.goes_on);
        note_start(&audit, config, &directory, opened.torn_bytes);

        let folder = Folder::open_or_create(&config.data)?;
        let (lockout, counters) = LockoutFile::open(&folder)?;
        let locks = Locks::start(lockout, counters, Arc::clone(&clock), fatal)
            .map_err(doing("a thread"))?;
        let opening = opening(&keys, index.as_ref(), locks, &audit, fatal).await?;
        let objects = Arc::new(FolderObjects::open(&config.data)?);
        let parts = Parts {
            clock,
            audit,
            audit_reader,
            index,
            objects,
            opening,
            node,
            node_key,
            directory,
        };
        let services = Arc::new(Services::new(parts));
        let audited = Arc::new(audited);
        Ok(Self { services, spools, audited, service_key: keys.service_key()?, keys, changed })
    }
}

/// The highest UTC that was kept.
async fn highest_utc(index: &dyn Index) -> Result<Option<jiff::Timestamp>, ServerError> {
    let kept = meta(index, HIGHEST_UTC).await?;
    Ok(kept.and_then(|bytes| String::from_utf8(bytes).ok()).and_then(|text| text.parse().ok()))
}

async fn meta(index: &dyn Index, key: &str) -> Result<Option<Vec<u8>>, ServerError> {
    match index.run(IndexRequest::MetaGet(key.to_owned())).await? {
        IndexReply::Meta(value) => Ok(value),
        _ => Ok(None),
    }
}

/// The directory, every row checked.
async fn directory(index: &dyn Index, keys: &KeyFiles) -> Result<Directory, ServerError> {
    let public = keys.directory_public_key()?;
    let IndexReply::Directory(rows) = index.run(IndexRequest::DirectoryLoad).await? else {
        return Err(ServerError::Incomplete("the index has no directory".to_owned()));
    };
    if rows.is_empty() {
        let what = "the index holds no directory: restore index.sqlite from a backup";
        return Err(ServerError::Incomplete(what.to_owned()));
    }
    Directory::build(&rows, &public).map_err(|errors| {
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        ServerError::Directory(lines.join("\n"))
    })
}

/// This node's row: the one with the key that signs here.
fn this_node(directory: &Directory, key: &NodeKey) -> Result<NodeId, ServerError> {
    let public = key.public();
    let node = directory.nodes().find(|node| node.public_key == public);
    node.map(|node| node.id).ok_or_else(|| {
        ServerError::Incomplete(
            "keys/node.key belongs to no node of the directory: put the right one back".to_owned(),
        )
    })
}

fn note_start(audit: &Audit, config: &Config, directory: &Directory, torn_bytes: u64) {
    let mut start = Event::new(EventName::ServiceStart, Who::System);
    start.detail = start.detail.with("version", env!("CARGO_PKG_VERSION"));
    if let Some(hash) = directory.hash() {
        start.detail = start.detail.with("directory", hash);
    }
    audit.note(start);
    let mut loaded = Event::new(EventName::ConfigLoad, Who::System);
    if let Ok(text) = std::fs::read(&config.file) {
        loaded.detail = loaded.detail.with("hash", Hash::of(&text));
    }
    audit.note(loaded);
    if torn_bytes > 0 {
        let mut recovered = Event::new(EventName::ServiceRecovered, Who::System);
        recovered.detail = recovered.detail.with("torn_bytes", torn_bytes);
        audit.note(recovered);
        tracing::warn!(
            torn_bytes,
            "the last audit record was torn by a crash and was cut off; it had confirmed nothing"
        );
    }
}

/// What opens messages, if the root key and the pepper are there and the right ones.
async fn opening(
    keys: &KeyFiles,
    index: &dyn Index,
    locks: Locks,
    audit: &Audit,
    fatal: &Fatal,
) -> Result<Option<Opening>, ServerError> {
    let expected = meta(index, ROOT_KEY_ID).await?.and_then(|bytes| KeyId::from_slice(&bytes));
    let state = keys.root_key_state(expected);
    let pepper = keys.pepper()?;
    let why = match (&state, pepper) {
        (RootKeyState::Usable(_), Some(pepper)) => {
            let pins = PinPool::start(pepper, fatal).map_err(doing("a thread"))?;
            let provider = Arc::new(keys.clone());
            return Ok(Some(Opening { keys: provider, log_ins: LogIns::new(locks, pins) }));
        }
        (RootKeyState::Usable(_), None) => {
            "the pepper is missing: PINs can't be compared".to_owned()
        }
        (state, _) => state.to_string(),
    };
    tracing::warn!(%why, "this server only records");
    let mut event = Event::new(EventName::KeyUnwrapDenied, Who::System);
    event.outcome = hushbox_audit::Outcome::Failed;
    audit.note(event);
    Ok(None)
}

/// A spool for each shard, and those that an earlier run with more shards left.
fn spools(data: &Path, shards: usize) -> Result<BTreeMap<u16, (Spool, Recovered)>, ServerError> {
    let mut spools = BTreeMap::new();
    let numbers =
        (0..shards).filter_map(|number| u16::try_from(number).ok()).chain(shards_on_disk(data));
    for number in numbers {
        if let Entry::Vacant(vacant) = spools.entry(number) {
            let opened = Spool::open(data, number, SpoolOptions::default())?;
            let recovered = &opened.1;
            if !recovered.messages.is_empty() {
                let unfinished =
                    recovered.messages.iter().filter(|message| !message.finished).count();
                tracing::info!(
                    shard = number,
                    messages = recovered.messages.len(),
                    unfinished,
                    "messages found in the spool"
                );
            }
            if !recovered.headless.is_empty() || recovered.holes > 0 {
                let (headless, holes) = (recovered.headless.len(), recovered.holes);
                tracing::error!(shard = number, headless, holes, "the spool was damaged");
            }
            vacant.insert(opened);
        }
    }
    Ok(spools)
}

/// What a start wants to know of the log.
#[derive(Default)]
struct Looked {
    /// What it has about the messages in the spools: one that is there was being delivered when the last run ended.
    audited: BTreeMap<MessageId, Audited>,
    /// The directory's hash before and after its last change.
    last_change: Option<(Hash, Hash)>,
    /// Whether the record after the kept end follows from it.
    goes_on: bool,
}

fn look_into(
    reader: &AuditReader,
    spools: &BTreeMap<u16, (Spool, Recovered)>,
    kept: Option<Resume>,
) -> Result<Looked, ServerError> {
    let recovered = spools.values().flat_map(|(_, recovered)| &recovered.messages);
    let wanted: BTreeSet<MessageId> = recovered.map(|message| message.message).collect();
    let mut looked = Looked::default();
    reader.each(&mut |record| {
        let detail = &record.event.detail;
        if kept.is_some_and(|kept| kept.next_seq == record.seq && kept.prev_hash == record.prev) {
            looked.goes_on = true;
        }
        if let Some((message, audited)) = Audited::in_record(&record) {
            if wanted.contains(&message) {
                looked.audited.insert(message, audited);
            }
        } else if record.event.name == EventName::DirectoryChange
            && let (Some(DetailValue::Hash(before)), Some(DetailValue::Hash(after))) =
                (detail.value("before"), detail.value("after"))
        {
            looked.last_change = Some((*before, *after));
        }
        ControlFlow::Continue(())
    })?;
    Ok(looked)
}

/// Reports a log that is shorter than it was, or another one. Records that were there may be gone; the server goes
/// on, and this stands in the log.
fn note_gap(audit: &Audit, kept: Option<Resume>, now: Resume, goes_on: bool) {
    let Some(kept) = kept else { return };
    if now == kept || goes_on {
        return;
    }
    tracing::error!(
        expected = kept.next_seq,
        found = now.next_seq,
        "the audit log is not the one that was written"
    );
    let mut event = Event::new(EventName::AuditGap, Who::System);
    event.outcome = hushbox_audit::Outcome::Failed;
    event.detail = event.detail.with("expected", kept.next_seq).with("found", now.next_seq);
    audit.note(event);
}

/// Rows that are signed and still not those of the last change have gone back in time. Of the last change itself
/// either side is right: the log is written first.
fn check_last_change(
    directory: &Directory,
    last_change: Option<(Hash, Hash)>,
) -> Result<(), ServerError> {
    match (last_change, directory.hash()) {
        (Some((before, after)), Some(hash)) if hash != before && hash != after => {
            Err(ServerError::Directory(format!(
                "its hash is {hash}, and the audit log has {after} since its last change"
            )))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::config;
    use crate::trial_folder::NewTrial;

    /// A new trial, opened.
    pub(crate) async fn open_trial(parent: &Path) -> (Config, Arc<Services>) {
        let config = tokio::task::block_in_place(|| trial(parent));
        let services = open(&config).await.services;
        (config, services)
    }

    async fn open(config: &Config) -> Data {
        let index = SqliteIndex::open(&config.data).await.expect("opened");
        Data::open(config, &Fatal::unheard(), index).await.expect("opened")
    }

    /// A new trial's configuration.
    pub(crate) fn trial(parent: &Path) -> Config {
        let dir = parent.join("d");
        let sip = crate::trial::Sip {
            tls: Some("127.0.0.1:5061".parse().expect("an address")),
            ..Default::default()
        };
        let rtp_ports = config::RtpPorts { from: 16_000, to: 16_099 };
        NewTrial {
            dir: dir.clone(),
            sip,
            ops: None,
            own_address: std::net::Ipv4Addr::LOCALHOST.into(),
            rtp_ports,
            now: jiff::Timestamp::now(),
        }
        .create()
        .expect("made");
        config::load(&dir.join("hushbox.toml")).expect("valid")
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_quickstart_makes_opens_and_without_the_root_key_it_records_only() {
        let parent = tempfile::tempdir().expect("a folder");
        let config = tokio::task::block_in_place(|| trial(parent.path()));
        let data = open(&config).await;
        assert!(data.services.opening.is_some());
        assert_eq!(data.spools.len(), config.shards);
        drop(data);
        std::fs::remove_file(config.keys.join("root.key")).expect("removed");
        assert!(open(&config).await.services.opening.is_none());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_audit_log_that_is_not_the_one_that_was_written_is_reported_in_the_new_one() {
        let parent = tempfile::tempdir().expect("a folder");
        let config = tokio::task::block_in_place(|| trial(parent.path()));
        let gaps = |data: &Data| {
            let mut gaps = 0;
            let mut count = |record: hushbox_audit::Record| {
                gaps += usize::from(record.event.name == EventName::AuditGap);
                ControlFlow::Continue(())
            };
            data.services.audit_reader.each(&mut count).expect("read");
            gaps
        };
        for _ in 0..2 {
            let data = open(&config).await;
            let stop = Event::new(EventName::ServiceStop, Who::System);
            data.services.audit.write(stop.into(), Default::default()).await.expect("written");
            audit_head::keep(&data.services).await.expect("kept");
            assert_eq!(gaps(&data), 0);
        }
        std::fs::remove_dir_all(&config.audit).expect("removed");
        let data = open(&config).await;
        let stop = Event::new(EventName::ServiceStop, Who::System);
        data.services.audit.write(stop.into(), Default::default()).await.expect("written");
        assert_eq!(gaps(&data), 1);
    }

    #[test]
    fn a_directory_that_has_gone_back_in_time_is_refused() {
        let directory = Directory::build(
            &[],
            &hushbox_store::signing::DirectoryKey::generate().expect("a key").public(),
        )
        .expect("an empty directory");
        let (now, other) = (directory.hash().expect("a hash"), Hash::of(b"other"));
        assert!(check_last_change(&directory, None).is_ok());
        assert!(check_last_change(&directory, Some((other, now))).is_ok(), "the change was made");
        assert!(
            check_last_change(&directory, Some((now, other))).is_ok(),
            "it was written down, and not made"
        );
        assert!(check_last_change(&directory, Some((other, other))).is_err());
    }
}
