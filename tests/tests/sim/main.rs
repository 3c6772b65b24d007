//! The whole call under virtual time: what callers and owners hear, what is saved, what survives.

mod admission;
mod crash;
mod deposit;
mod digest;
mod hostile;
mod lamps;
mod link;
mod long;
mod random;
mod retrieval;
mod support;
mod transcripts;
