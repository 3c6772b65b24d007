//! Digest authentication of callers: RFC 7616, with RFC 8760 for SIP.
//!
//! A user agent server challenges with 401 and WWW-Authenticate (RFC 3261 §22.2), never ACK and
//! CANCEL (§22.1). `qop=auth` is required, so a response covers method and URI and counts up;
//! `auth-int` and the `-sess` algorithms are not offered. Secrets stay with the application: it is
//! asked for H(A1), and never prints it. [`DigestClient`] is the other side: it answers what a
//! registrar asks of us.

mod algorithm;
mod authenticator;
mod authorization;
mod challenge;
mod client;
mod replay;

pub use algorithm::{Algorithm, ha1};
pub use authenticator::{Authenticator, Verdict};
pub use authorization::Authorization;
pub use challenge::Challenge;
pub use client::{Credentials, DigestClient, Unanswerable};
