//! The whole call under virtual time: what callers and owners hear, what is saved, what survives.

mod deposit;
mod retrieval;
mod support;
