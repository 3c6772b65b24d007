//! Who may do what in a voicemail server: decisions over facts, without memory.
//!
//! [`authorise`] answers a [`Request`] over [`Facts`] with a [`Permit`] that only this crate can make; what is not
//! in its table is denied. Around it stand the things a decision speaks of: [ids], numbers, PINs and their
//! verifiers, profiles and the features they lock, the lock-out counters, the retention rules, and whether there is room
//! for a call.
//!
//! Absent on purpose: clocks, randomness, files, and any way to a message's audio. A [`Permit`] alone opens
//! nothing: the audit log turns it into the proof that does.

mod access;
mod action;
mod addressing;
mod admission;
mod caller;
mod caller_key;
mod error;
mod factor;
mod facts;
pub mod feature;
pub mod ids;
pub mod limits;
pub mod lockout;
mod notify_target;
mod number;
mod permit;
mod pin;
pub mod pin_rules;
mod profile;
mod reason;
mod record;
pub mod retention;
mod role;
mod time;

pub use access::{authorise, authorise_on_standard, could_authorise};
pub use action::{
    Action, ChangeDirectory, Delete, Destroy, EitherProfile, EmailAudio, Export, ListDirectory,
    ListMailbox, Listen, MessageRef, OpenMailbox, Reveal, Save, StandardOnly, Target, Transcribe,
    Undelete,
};
pub use addressing::{AddressRule, Addressing, DigitRule, Diverted};
pub use admission::{AdmissionFacts, NoRoom, Room, Wish, admit};
pub use caller::{CallerName, CallerNumber};
pub use caller_key::{CallerKey, CallerKeys};
pub use error::Error;
pub use factor::{Pepper, PinVerifier, Workspace};
pub use facts::{
    Binding, DeviceFacts, Facts, GrantFacts, GrantKind, Hipaa, MailboxFacts, MessageFacts,
    PersonFacts, Standard, Strictness, Surface,
};
pub use ids::{
    AccountId, AliasId, CallId, DeviceId, GrantId, MailboxId, MessageId, NodeId, PersonId,
    SessionId, SubscriptionId, TrunkId,
};
pub use lockout::{Lockout, Try};
pub use notify_target::{NotifyTarget, NotifyTransport};
pub use number::Number;
pub use permit::{Actor, Denied, Grounds, Permit, Request, SetBy};
pub use pin::Pin;
pub use profile::Profile;
pub use reason::Reason;
pub use record::{RecordKind, RecordRef, SYSTEM_ACCOUNT};
pub use role::Role;
pub use time::Now;
