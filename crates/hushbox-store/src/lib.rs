//! Directory, messages, keys, sealing, spool format, commit and recovery of a voicemail server.
//!
//! The crate is pure: it has no clock, no file, no socket and awaits nothing. What it wants of the index, the objects
//! or the key provider is a request; the traits [`Index`], [`Objects`] and
//! [`KeyProvider`] are implemented elsewhere and called by the shell alone. Randomness comes in as
//! bytes, but for HPKE's ephemeral keys and ECDSA's nonces, which the cryptographic module draws.
//!
//! A message's way in: [`deposit`] seals frames into [`spool`] records; [`recovery`] puts records together, after a
//! crash as on any day; [`delivery`] brings the message to its mailbox, signed by a [`manifest`]. Its way out: a
//! log-in that was authorised opens the mailbox ([`open`]), a listen that was authorised a [`player`].
//!
//! Absent on purpose: anything that opens a message on the way in (deposits hold public keys only), anything that hands
//! a key out, and audio formats (frames are media's; here they are bytes).

pub mod change;
pub mod delivery;
pub mod deposit;
pub mod directory;
pub mod envelope;
pub mod error;
mod future;
mod hex_serde;
pub mod hpke;
pub mod index;
pub mod keys;
pub mod limits;
pub mod manifest;
pub mod message;
pub mod model;
pub mod objects;
pub mod open;
pub mod player;
pub mod recovery;
pub mod row;
pub mod seal;
pub mod signing;
pub mod spool;
pub mod subscription;
mod wire;

pub use change::{Destruction, StateChange};
pub use delivery::{Audited, Delivery, Step, StepDone};
pub use deposit::{Deposit, DepositStart, EndKind, Ending};
pub use directory::{CertificateOwner, Directory, NamedCertificate};
pub use envelope::{CallFacts, Envelope};
pub use error::{
    DirectoryError, FormatError, IndexError, IntegrityError, KeyError, ObjectsError, SealError,
};
pub use future::BoxFuture;
pub use index::{Counts, Index, IndexReply, IndexRequest, Listing};
pub use manifest::{Manifest, SignedManifest};
pub use message::{MessageRow, MessageState};
pub use objects::{ObjectKey, Objects, ObjectsReply, ObjectsRequest};
pub use open::{
    KeyProvider, KeyReply, KeyRequest, MailboxKeys, OpenExport, OpenMailbox, OpenReveal, unlock,
};
pub use player::Player;
pub use recovery::{Recovered, Recovery, SpooledMessage};
pub use row::{DirectoryRow, RowId, RowKind};
pub use subscription::SubscriptionRow;
