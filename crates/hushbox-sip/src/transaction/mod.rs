//! Transactions (RFC 3261 §17, RFC 6026): state and deadlines, no bytes read and none sent.
//!
//! Each is told of messages and of time, says what to send, and when it wants to be told of time
//! again. The endpoint owns the tables.

mod invite_client;
mod invite_server;
mod key;
mod non_invite_client;
mod non_invite_server;

pub(crate) use invite_client::{Answer, InviteClient};
pub(crate) use invite_server::InviteServer;
pub(crate) use key::{Key, Keys, canonical};
pub(crate) use non_invite_client::NonInviteClient;
pub(crate) use non_invite_server::NonInviteServer;

use bytes::Bytes;

/// What a transaction wants when its time has come.
pub(crate) enum Due {
    /// Nothing yet.
    Nothing,
    /// Send this again.
    Transmit(Bytes),
    /// The peer never answered: the transaction is over.
    TimedOut,
    /// The transaction has run out as it should.
    Terminated,
}
