//! Session descriptions (RFC 8866), offers and answers (RFC 3264), keys in them (RFC 4568).

mod crypto_attribute;
mod formats;
mod offer_answer;
mod parse;
mod write;

pub use crypto_attribute::{CryptoAttribute, CryptoRefusal};
pub(crate) use formats::PayloadMeaning;
pub(crate) use offer_answer::{Agreed, Negotiation};
pub use parse::{Attribute, Connection, Direction, Media, SessionDescription};
