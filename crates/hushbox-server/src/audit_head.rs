//! Where the audit log ends, kept in the index: a log that was cut or put in another one's place is noticed, by the next
//! start and by `hushbox audit verify`.

use std::path::Path;

use hushbox_audit::{Hash, Resume};
use hushbox_backend::{BackendError, SqliteIndex};
use hushbox_store::{Index, IndexError, IndexReply, IndexRequest};

use crate::services::Services;

/// Where it is kept in the index.
pub const AUDIT_HEAD: &str = "audit-head";

/// Keeps the end of what is durable.
pub async fn keep(services: &Services) -> Result<(), IndexError> {
    let value = to_bytes(services.audit.head());
    let put = IndexRequest::MetaPut { key: AUDIT_HEAD.to_owned(), value };
    services.index(put, |reply| matches!(reply, IndexReply::MetaPut).then_some(())).await
}

/// The end that was kept.
pub async fn kept(index: &dyn Index) -> Result<Option<Resume>, IndexError> {
    match index.run(IndexRequest::MetaGet(AUDIT_HEAD.to_owned())).await? {
        IndexReply::Meta(value) => Ok(value.as_deref().and_then(from_bytes)),
        _ => Ok(None),
    }
}

/// The end that was kept in a data folder's index, whether or not a server has it open.
pub async fn peek(data: &Path) -> Result<Option<Resume>, BackendError> {
    Ok(SqliteIndex::peek(data, AUDIT_HEAD).await?.as_deref().and_then(from_bytes))
}

/// The next sequence number and the hash of the last record.
fn to_bytes(head: Resume) -> Vec<u8> {
    let mut value = head.next_seq.to_be_bytes().to_vec();
    value.extend_from_slice(head.prev_hash.as_bytes());
    value
}

fn from_bytes(bytes: &[u8]) -> Option<Resume> {
    let (seq, hash) = bytes.split_first_chunk::<8>()?;
    Some(Resume {
        next_seq: u64::from_be_bytes(*seq),
        prev_hash: Hash::from_bytes(hash.try_into().ok()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_read_again_and_anything_else_is_nothing() {
        let head = Resume { next_seq: 258, prev_hash: Hash::of(b"record") };
        assert_eq!(from_bytes(&to_bytes(head)), Some(head));
        for length in [0, 7, 8, 39, 41] {
            assert_eq!(from_bytes(&vec![0; length]), None);
        }
    }
}
