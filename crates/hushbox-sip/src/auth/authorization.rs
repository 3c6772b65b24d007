//! The Authorization header field.

use super::algorithm::Algorithm;
use crate::message::lex::{self, Cursor};
use crate::message::params::Params;
use std::fmt;

/// Digest credentials out of a request (RFC 7616 §3.4). Nothing in them is printed.
#[derive(Clone)]
pub struct Authorization {
    pub(super) username: String,
    pub(super) realm: String,
    pub(super) nonce: String,
    pub(super) uri: String,
    pub(super) response: Vec<u8>,
    /// `None` for an algorithm that we do not have.
    pub(super) algorithm: Option<Algorithm>,
    pub(super) cnonce: String,
    pub(super) qop: Option<String>,
    pub(super) nc: String,
}

impl Authorization {
    /// Parses the value of an Authorization header field. `None` for another scheme and for what
    /// is malformed: both are as no credentials at all.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let mut cursor = Cursor::new(value);
        cursor.skip_lws();
        if !cursor.token()?.eq_ignore_ascii_case(b"Digest") {
            return None;
        }
        let mut fields: [Option<String>; FIELDS.len()] = Default::default();
        loop {
            let (name, value) = parameter(&mut cursor)?;
            let known = FIELDS.iter().position(|f| name.eq_ignore_ascii_case(f.as_bytes()));
            if let Some(slot) = known.and_then(|index| fields.get_mut(index)) {
                // RFC 7616 §3.4: no parameter more than once.
                if slot.is_some() {
                    return None;
                }
                *slot = Some(String::from_utf8(lex::unquote(value).into_owned()).ok()?);
            }
            cursor.skip_lws();
            if cursor.at_end() {
                break;
            }
            if !cursor.eat(b',') {
                return None;
            }
        }
        let [username, realm, nonce, uri, response, algorithm, cnonce, qop, nc] = fields;
        Some(Authorization {
            username: username?,
            realm: realm?,
            nonce: nonce?,
            uri: uri?,
            response: hex::decode(response?).ok()?,
            // RFC 7616 §3.3: absent means MD5.
            algorithm: Algorithm::from_name(algorithm.as_deref().unwrap_or("MD5")),
            cnonce: cnonce.unwrap_or_default(),
            qop,
            nc: nc.unwrap_or_default(),
        })
    }

    /// Whose credentials these are said to be.
    pub fn username(&self) -> &str {
        &self.username
    }

    /// The realm they are for.
    pub fn realm(&self) -> &str {
        &self.realm
    }

    /// The algorithm they use, if we have it.
    pub fn algorithm(&self) -> Option<Algorithm> {
        self.algorithm
    }
}

const FIELDS: [&str; 9] =
    ["username", "realm", "nonce", "uri", "response", "algorithm", "cnonce", "qop", "nc"];

/// `auth-param`: unlike a header parameter, its value is a token or a quoted string.
fn parameter<'a>(cursor: &mut Cursor<'a>) -> Option<(&'a [u8], &'a [u8])> {
    let (name, value) = Params::one(cursor)?;
    Some((name, value?))
}

impl fmt::Debug for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authorization({:?}, …)", self.algorithm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_schemes_and_malformed_credentials_are_none() {
        for value in [
            "NoOneKnowsThisScheme opaque-data=here",
            "Basic QWxhZGRpbjpvcGVu",
            "Digest",
            "Digest username=\"a",
            "Digest username=\"a\", username=\"b\", realm=\"r\", nonce=\"n\", uri=\"u\", response=\"00\"",
            "Digest username=\"a\", realm=\"r\", nonce=\"n\", uri=\"u\", response=\"xyz\"",
        ] {
            assert!(Authorization::parse(value.as_bytes()).is_none(), "{value}");
        }
    }

    #[test]
    fn debug_shows_no_credentials() {
        let value =
            "Digest username=\"jane\", realm=\"r\", nonce=\"n\", uri=\"sip:x\", response=\"00\"";
        let authorization = Authorization::parse(value.as_bytes()).expect("valid");
        assert_eq!(authorization.username(), "jane");
        assert_eq!(format!("{authorization:?}"), "Authorization(Some(Md5), …)");
    }
}
