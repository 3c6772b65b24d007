//! SIP signalling of a voicemail server as a pure core: bytes and time in, bytes and events out.
//!
//! [`Endpoint`] is a user agent server: transactions (RFC 3261 §17, RFC 6026), dialogs (§12), the
//! order in which a request is judged (§8.2), and the few requests of its own that a dialog needs.
//! [`Message`] is the parser under it, [`auth`] the digest beside it (RFC 7616, RFC 8760).
//!
//! Deliberately absent: sockets, clocks, operating system randomness, SDP, mailboxes and who may
//! call them. The shell owns the first three; the application judges each [`Invite`] and answers
//! with a command. Nothing here prints a URI or a body: see the `Debug` implementations.

mod asserted;
pub mod auth;

mod dialog;
mod endpoint;
mod error;
mod event;
mod framing;

mod invite;
pub mod limits;
pub mod message;
pub mod mwi;
mod outgoing;
mod overload;
pub mod pasted;
pub mod rate;
pub mod registration;
mod rejection;
pub mod resolution;
pub mod retargeting;
mod subscription;
mod tap;
mod transaction;

mod transport;

pub use asserted::{AssertedIdentity, withholds_identity};
pub use auth::{
    Algorithm, Authenticator, Authorization, Challenge, Credentials, DigestClient, Unanswerable,
    Verdict,
};
pub use endpoint::{Config, Endpoint, Input, Load, Output};
pub use error::ParseError;
pub use event::{Event, Failure, RequestId, Session, Usage};
pub use framing::{Framed, Framer};

pub use invite::{CallIdHash, Elsewhere, Headers, Invite, InviteBody, OwnedUri};
pub use limits::Limits;
pub use message::Message;
pub use outgoing::{Attempt, Destination, Outgoing, OwnContact, Response, Undelivered};
pub use overload::OverloadControl;

pub use rejection::{Reason, ReasonProtocol, Rejection};
pub use subscription::{
    EndReason, KeptSubscription, Notified, Sending, Subscribe, Subscription, Unsubscribed,
};
pub use tap::{Overflow, Tap};
pub use transport::{ConnectionId, Flow, HostPort, Listener, Transport};
