//! The log from outside: what it proves, what a crash leaves of it, what tampering does to it, and its format.
#![expect(clippy::disallowed_methods, reason = "tests are the composition root of their own log")]
#![expect(clippy::unwrap_used, reason = "tests")]

mod crash;
mod golden;
mod proofs;
mod support;
mod tampering;
