//! SIP messages over borrowed bytes (RFC 3261 §7, §25).

pub(crate) mod content;
pub(crate) mod lex;
pub mod params;
pub mod uri;
