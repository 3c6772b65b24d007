//! What can go wrong in the store, apart by whose fault it is: a key, a damaged or forged message, the directory's
//! rows, the index, the objects. None of them names a caller, a number or a key.

use hushbox_policy::{MessageId, NodeId};

use crate::row::RowId;

/// A key could not be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The key source has no key, or can't be reached: the server records only.
    #[error("the key is not there: {0}")]
    Missing(String),
    /// Wrapped by another key than the one at hand.
    #[error("wrapped by another key than this one")]
    WrongKey,
    /// The wrapped bytes are damaged, or belong to another row.
    #[error("the wrapped key is damaged or belongs elsewhere")]
    Damaged,
    /// Written by a later version.
    #[error("a wrapped key of unknown version {version} or algorithm {algorithm}")]
    UnknownVersion {
        /// The version byte.
        version: u8,
        /// The algorithm byte.
        algorithm: u8,
    },
    /// A public key that is no point of P-256.
    #[error("not a P-256 public key")]
    NotAPublicKey,
    /// The private key does not belong to the mailbox's public key.
    #[error("the private key does not belong to the public key")]
    Mismatch,
    /// The authorisation is for another record of the directory, or for none.
    #[error("the authorisation is for another record")]
    NotThisRecord,
    /// The authorisation is for another mailbox.
    #[error("the authorisation is for another mailbox")]
    NotThisMailbox,
    /// The cryptographic module refused.
    #[error("the cryptographic module refused")]
    Cipher,
}

/// A chunk or a message key could not be sealed. Nothing was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The message has as many chunks as one may have.
    #[error("the message has reached its most chunks")]
    TooManyChunks,
    /// The mailbox's public key is no point of P-256.
    #[error("not a P-256 public key")]
    NotAPublicKey,
    /// The cryptographic module refused.
    #[error("the cryptographic module refused")]
    Cipher,
}

/// A stored thing is not what was sealed and signed. It is not played past that point, and the refusal is audited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IntegrityError {
    /// The authorisation is for another message than the row.
    #[error("the authorisation is for another message")]
    NotThisMessage,
    /// The row belongs to another mailbox than the one that was opened.
    #[error("the message belongs to another mailbox")]
    NotThisMailbox,
    /// The row names an epoch whose key was not opened.
    #[error("the message is sealed to key epoch {0}, which is not open")]
    Epoch(u32),
    /// The manifest can't be read.
    #[error("the manifest is unreadable: {0}")]
    Manifest(FormatError),
    /// The manifest is signed by a node that the directory does not know.
    #[error("the manifest is signed by unknown node {0}")]
    UnknownNode(NodeId),
    /// The manifest's signature is wrong.
    #[error("the manifest's signature is wrong")]
    Signature,
    /// The manifest and the row differ.
    #[error("the manifest does not fit the row: {0}")]
    ManifestMismatch(&'static str),
    /// The audit log does not have this manifest's hash.
    #[error("the audit log has no such manifest")]
    NotInAudit,
    /// The sealed key does not open.
    #[error("the sealed key does not open")]
    SealedKey,
    /// The sealed envelope does not open.
    #[error("the sealed envelope does not open")]
    Envelope,
    /// The object's header is not the one that the message was sealed under.
    #[error("the object's header is wrong")]
    StreamHeader,
    /// A chunk does not open: flipped, swapped, moved, cut short or of another message.
    #[error("chunk {0} does not open")]
    Chunk(u32),
    /// The object is shorter than the manifest says.
    #[error("the object is shorter than the manifest says")]
    TooShort,
    /// The object goes on where the manifest says that it ends.
    #[error("the object is longer than the manifest says")]
    TooLong,
    /// The hash of the object is not the manifest's.
    #[error("the object's hash is not the manifest's")]
    Hash,
}

impl IntegrityError {
    /// Whether the message is damaged; not so where the key that it is sealed to is not the one at hand.
    #[must_use]
    pub const fn is_damage(&self) -> bool {
        !matches!(self, Self::Epoch(_))
    }
}

/// Bytes that are not in a known format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// Another magic.
    #[error("not this format")]
    Magic,
    /// Written by a later version.
    #[error("unknown version {0}")]
    Version(u8),
    /// Too short, too long, or a field out of range.
    #[error("malformed at {0}")]
    Malformed(&'static str),
}

/// The index refused, or could not be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IndexError {
    /// The engine failed or is not reachable; the text is the engine's and holds no PHI.
    #[error("the index is unavailable: {0}")]
    Unavailable(String),
    /// No space left: the request changed nothing.
    #[error("the index's disk is full")]
    Full,
    /// No such message.
    #[error("no message {0}")]
    NoMessage(MessageId),
    /// Another row stands under this message id: nothing was overwritten.
    #[error("another message stands under the id {0}")]
    Conflict(MessageId),
    /// The directory changed since it was read: nothing was written.
    #[error("the directory has changed in between")]
    DirectoryChanged,
    /// A stored row can't be read.
    #[error("a row of the index is damaged: {0}")]
    Damaged(String),
}

/// The object store refused, or could not be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ObjectsError {
    /// The store failed or is not reachable.
    #[error("the object store is unavailable: {0}")]
    Unavailable(String),
    /// No space left.
    #[error("the object store is full")]
    Full,
    /// No such object.
    #[error("no such object")]
    NotFound,
}

/// The directory's rows are not as they were signed, or break a rule. Each error names its row.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DirectoryError {
    /// The signature is wrong: the row was changed by hand, or signed by another key.
    #[error("{row}: the signature is wrong; the row was changed outside of Hushbox")]
    Signature {
        /// The row.
        row: RowId,
    },
    /// Signed, but not readable by this version.
    #[error("{row}: unreadable: {what}")]
    Unreadable {
        /// The row.
        row: RowId,
        /// Why.
        what: String,
    },
    /// Two rows have one kind and id.
    #[error("{row}: there twice")]
    Twice {
        /// The row.
        row: RowId,
    },
    /// Something that must be unique is another's.
    #[error("{row}: its {what} {value} is already that of {by}")]
    Taken {
        /// The row.
        row: RowId,
        /// The other row.
        by: RowId,
        /// Which property.
        what: &'static str,
        /// Its value.
        value: String,
    },
    /// It refers to something that is not there.
    #[error("{row}: its {what} {id} is not in the directory")]
    Missing {
        /// The row.
        row: RowId,
        /// The kind of what is missing.
        what: &'static str,
        /// The id of what is missing.
        id: String,
    },
    /// A trunk serves two accounts that both have this number.
    #[error("{row}: it serves {one} and {other}, which both have {number}")]
    Ambiguous {
        /// The trunk's row.
        row: RowId,
        /// The number or alias.
        number: String,
        /// One of its owners.
        one: RowId,
        /// The other.
        other: RowId,
    },
    /// The rows are not those that the directory was built from.
    #[error("the directory was changed outside of Hushbox")]
    OtherRows,
    /// It is not there to be changed or removed.
    #[error("{row}: it is not in the directory")]
    Unknown {
        /// The row.
        row: RowId,
    },
    /// It breaks a rule.
    #[error("{row}: {what}")]
    Invalid {
        /// The row.
        row: RowId,
        /// Which.
        what: &'static str,
    },
}
