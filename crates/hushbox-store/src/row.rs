//! A row of the directory as it is stored: a version, a JSON body and a signature, so that a row changed by hand is
//! found.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest;
use hushbox_audit::Hash;
use hushbox_policy::RecordKind;
use uuid::Uuid;

use crate::error::{DirectoryError, KeyError};
use crate::limits;
use crate::model::Entity;
use crate::signing::{Context, DirectoryKey, VerifyingKey};
use crate::wire::{hash_of_digest, len_u32};

/// What a row describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RowKind {
    /// An account.
    Account,
    /// A mailbox.
    Mailbox,
    /// A person.
    Person,
    /// A grant.
    Grant,
    /// A device.
    Device,
    /// A trunk.
    Trunk,
    /// A node.
    Node,
    /// Another name of a mailbox.
    Alias,
}

impl RowKind {
    /// Every kind.
    pub const ALL: [RowKind; 8] = [
        RowKind::Account,
        RowKind::Mailbox,
        RowKind::Person,
        RowKind::Grant,
        RowKind::Device,
        RowKind::Trunk,
        RowKind::Node,
        RowKind::Alias,
    ];

    /// The name, as the index and error messages have it.
    pub fn as_str(self) -> &'static str {
        match self {
            RowKind::Account => "account",
            RowKind::Mailbox => "mailbox",
            RowKind::Person => "person",
            RowKind::Grant => "grant",
            RowKind::Device => "device",
            RowKind::Trunk => "trunk",
            RowKind::Node => "node",
            RowKind::Alias => "alias",
        }
    }
}

impl From<RecordKind> for RowKind {
    fn from(kind: RecordKind) -> RowKind {
        match kind {
            RecordKind::Account => RowKind::Account,
            RecordKind::Mailbox => RowKind::Mailbox,
            RecordKind::Person => RowKind::Person,
            RecordKind::Grant => RowKind::Grant,
            RecordKind::Device => RowKind::Device,
            RecordKind::Trunk => RowKind::Trunk,
            RecordKind::Alias => RowKind::Alias,
        }
    }
}

impl fmt::Display for RowKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for RowKind {
    type Err = ();

    fn from_str(name: &str) -> Result<RowKind, ()> {
        RowKind::ALL.into_iter().find(|kind| kind.as_str() == name).ok_or(())
    }
}

/// Names a row in errors: its kind and id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RowId {
    /// What it describes.
    pub kind: RowKind,
    /// The id of that.
    pub id: Uuid,
}

impl fmt::Display for RowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.id)
    }
}

/// A stored row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryRow {
    /// What it describes.
    pub row: RowId,
    /// Counts the changes of this row, from 1.
    pub version: u64,
    /// JSON of the entity.
    pub body: Vec<u8>,
    /// The directory key's signature over kind, id, version and body.
    pub signature: Vec<u8>,
}

impl DirectoryRow {
    /// Signs an entity as a row.
    pub fn sign(
        entity: &Entity,
        version: u64,
        key: &DirectoryKey,
    ) -> Result<DirectoryRow, KeyError> {
        let mut row = DirectoryRow::unsigned(entity, version);
        let signed = signed_bytes(row.row, version, &row.body);
        row.signature = key.sign(Context::DirectoryRow, &signed)?;
        Ok(row)
    }

    /// An entity as the row that it will be: what a directory's hash needs, since no signature stands in it.
    pub(crate) fn unsigned(entity: &Entity, version: u64) -> DirectoryRow {
        DirectoryRow { row: entity.row(), version, body: entity.to_json(), signature: Vec::new() }
    }

    /// The entity, if the signature holds and the body is one of the kind and id that the row says.
    pub fn verify(&self, key: &VerifyingKey) -> Result<Entity, DirectoryError> {
        let signed = signed_bytes(self.row, self.version, &self.body);
        if !key.verifies(Context::DirectoryRow, &signed, &self.signature) {
            return Err(DirectoryError::Signature { row: self.row });
        }
        if self.body.len() > limits::ROW_BYTES_MAX {
            return Err(DirectoryError::Unreadable {
                row: self.row,
                what: "it is too long".into(),
            });
        }
        let entity = Entity::from_json(self.row.kind, &self.body).map_err(|error| {
            DirectoryError::Unreadable { row: self.row, what: error.to_string() }
        })?;
        if entity.row() != self.row {
            return Err(DirectoryError::Unreadable {
                row: self.row,
                what: "its body is another row's".into(),
            });
        }
        Ok(entity)
    }
}

/// What a signature covers. Lengths stand before what varies, so that no two rows give the same bytes.
fn signed_bytes(row: RowId, version: u64, body: &[u8]) -> Vec<u8> {
    let kind = row.kind.as_str().as_bytes();
    [
        len_u32(kind.len()).to_be_bytes().as_slice(),
        kind,
        row.id.as_bytes(),
        &version.to_be_bytes(),
        &len_u32(body.len()).to_be_bytes(),
        body,
    ]
    .concat()
}

/// The hash of a directory's rows, whatever their order: what the audit log keeps before and after a change. A row
/// left out, put back to an older version or doubled changes it.
pub fn hash_of(rows: &[DirectoryRow]) -> Hash {
    let mut rows: Vec<&DirectoryRow> = rows.iter().collect();
    rows.sort_by(|a, b| (a.row, a.version, &a.body).cmp(&(b.row, b.version, &b.body)));
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(b"hushbox directory 1\0");
    for row in rows {
        context.update(&signed_bytes(row.row, row.version, &row.body));
    }
    hash_of_digest(&context.finish())
}

#[cfg(test)]
mod tests {
    use hushbox_policy::NodeId;

    use super::*;
    use crate::model::Node;

    fn node(byte: u8) -> Entity {
        let public_key = VerifyingKey::from_slice(&[4; 65]).unwrap();
        Entity::Node(Node { id: NodeId::from_bytes([byte; 16]), public_key })
    }

    #[test]
    fn a_row_changed_by_hand_is_refused_and_named() {
        let key = DirectoryKey::generate().unwrap();
        let row = DirectoryRow::sign(&node(1), 1, &key).unwrap();
        assert_eq!(row.verify(&key.public()), Ok(node(1)));
        let error = DirectoryError::Signature { row: row.row };
        let refused = Err(error.clone());

        let mut body = row.clone();
        let at = body.body.len() / 2;
        body.body[at] ^= 1;
        assert_eq!(body.verify(&key.public()), refused);
        assert_eq!(DirectoryRow { version: 2, ..row.clone() }.verify(&key.public()), refused);
        let other = DirectoryKey::generate().unwrap();
        assert_eq!(row.verify(&other.public()), refused);
        let text = error.to_string();
        assert!(text.contains("node 01010101-0101-0101-0101-010101010101"), "{text}");
    }

    #[test]
    fn a_row_under_another_id_is_refused() {
        let key = DirectoryKey::generate().unwrap();
        let row = DirectoryRow::sign(&node(1), 1, &key).unwrap();
        let moved = RowId { id: Uuid::from_bytes([2; 16]), ..row.row };
        let moved = DirectoryRow { row: moved, ..row };
        assert_eq!(moved.verify(&key.public()), Err(DirectoryError::Signature { row: moved.row }));
    }

    #[test]
    fn the_directorys_hash_sees_every_row_and_no_order() {
        let key = DirectoryKey::generate().unwrap();
        let one = DirectoryRow::sign(&node(1), 1, &key).unwrap();
        let two = DirectoryRow::sign(&node(2), 1, &key).unwrap();
        let newer = DirectoryRow::sign(&node(1), 2, &key).unwrap();
        let both = hash_of(&[one.clone(), two.clone()]);
        assert_eq!(both, hash_of(&[two.clone(), one.clone()]));
        assert_ne!(both, hash_of(std::slice::from_ref(&one)), "left out");
        assert_ne!(both, hash_of(&[one.clone(), one.clone(), two.clone()]), "doubled");
        assert_ne!(both, hash_of(&[newer, two]), "put back to an older version");
    }

    #[test]
    fn kinds_have_names_that_read_back() {
        for kind in RowKind::ALL {
            assert_eq!(kind.as_str().parse(), Ok(kind));
        }
        assert_eq!("tenant".parse::<RowKind>(), Err(()));
    }
}
