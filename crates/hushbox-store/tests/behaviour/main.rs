//! The store as its users see it: record, deliver, recover, open, change, destroy.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod change;
mod delivery;
mod directory;
mod edit;
mod golden;
mod recovery;
mod support;
mod tamper;
