//! The tamper-evident log of a voicemail server: records in, writes and proofs out.
//!
//! [`Log::append`] takes a [`Permit`](hushbox_policy::Permit) and gives a [`Pending`]; once its [`Batch`] was synced
//! the [`Durable`] turns it into an [`Authorised`], which is what the store asks for before it opens anything. So
//! nothing is heard, shown or destroyed that is not written down first, and the compiler sees to it.
//!
//! Each record is a leaf of an RFC 9162 Merkle tree and holds the leaf hash of the one before: a chain now, and a
//! tree later without a new format. [`Verifier`] checks a log without a server; [`recover`] finds where to go on
//! after a crash.
//!
//! Absent on purpose: files, clocks, numbers, names, audio and PINs. Records hold opaque ids.

mod authorised;
mod detail;
mod error;
mod event;
mod hash;
pub mod limits;
mod log;
pub mod merkle;
mod record;
mod request;
mod segment;
mod verify;

pub use authorised::{Authorised, Pending, Recorded};
pub use detail::{Detail, DetailValue};
pub use error::Error;
pub use event::{Event, EventExtra, EventName, Outcome, Who};
pub use hash::{Hash, leaf_hash};
pub use log::{Batch, Durable, Log, Position, Resume};
pub use record::Record;
pub use request::{AuditError, AuditReply, AuditRequest, PendingReply};
pub use segment::{Frame, FrameReader, Recovered, SEGMENT_HEADER_LENGTH, SegmentHeader, recover};
pub use verify::{Anchor, Broken, Damage, Summary, Verifier, verify};
