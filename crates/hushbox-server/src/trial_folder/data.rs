//! The keys and the data folder of a new trial: keys, the directory, and the first records of the audit log.

use std::path::Path;
use std::sync::Arc;

use hushbox_audit::{Event, EventExtra, EventName, Who};
use hushbox_backend::SqliteIndex;
use hushbox_backend::audit_file::{AuditFile, AuditOptions};
use hushbox_backend::key_files::{KeyFiles, NewKeys};
use hushbox_backend::volume::folder::Folder;
use hushbox_policy::NodeId;
use hushbox_store::model::Node;
use hushbox_store::row::hash_of;
use hushbox_store::{DirectoryRow, Index, IndexRequest};
use jiff::Timestamp;

use super::directory::{self, Made, Secrets, data};
use super::{Certificates, TrialError};
use crate::audit_task::Audit;
use crate::clock::Clock;
use crate::fatal::Fatal;
use crate::random;
use crate::server::ROOT_KEY_ID;

/// The digest realm of a trial: the default of `sip.realm`.
const REALM: &str = "hushbox";

/// Makes keys and data under `at`.
pub(super) fn make(
    at: &Path,
    now: Timestamp,
    certificates: &Certificates<'_>,
) -> Result<Made, TrialError> {
    let (keys_folder, data_folder) = (at.join("keys"), at.join("data"));
    let keys = KeyFiles::at(&keys_folder, &data_folder).create().map_err(data)?;
    let (unix_ms, random) = random::id_parts(now);
    let node = Node { id: NodeId::from_parts(unix_ms, random), public_key: keys.node.public() };
    let id = node.id;
    let secrets =
        Secrets { root: &keys.root, pepper: &keys.pepper, service: &keys.service, realm: REALM };
    let made = directory::make(&secrets, node, now, certificates)?;
    let rows = made.entities.iter().map(|entity| DirectoryRow::sign(entity, 1, &keys.directory));
    let rows = rows.collect::<Result<Vec<_>, _>>().map_err(data)?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(data)?;
    runtime.block_on(store(&data_folder, id, &keys, rows))?;
    Ok(made)
}

/// The log first, then what it speaks of.
async fn store(
    folder: &Path,
    node: NodeId,
    keys: &NewKeys,
    rows: Vec<DirectoryRow>,
) -> Result<(), TrialError> {
    let (before, after) = (hash_of(&[]), hash_of(&rows));
    let volume = Arc::new(Folder::open_or_create(&folder.join("audit")).map_err(data)?);
    let (file, opened) = AuditFile::open(volume, node, AuditOptions::default()).map_err(data)?;
    let clock = Arc::new(Clock::start(None));
    let audit = Audit::start(node, opened.resume, Box::new(file), clock, &Fatal::unheard());
    let audit = audit.map_err(data)?;
    let created = Event::new(EventName::KeyCreate, Who::System);
    let mut changed = Event::new(EventName::DirectoryChange, Who::System);
    changed.detail = changed.detail.with("before", before).with("after", after);
    for event in [created, changed] {
        audit.write(event.into(), EventExtra::default()).await.map_err(data)?;
    }
    let index = SqliteIndex::create(folder).await.map_err(data)?;
    let root_key_id = keys.root.id().as_bytes().to_vec();
    for request in [
        IndexRequest::DirectoryPut { rows, before },
        IndexRequest::MetaPut { key: ROOT_KEY_ID.to_owned(), value: root_key_id },
    ] {
        index.run(request).await.map_err(data)?;
    }
    index.close().await;
    Ok(())
}
