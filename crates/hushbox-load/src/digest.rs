//! Digest credentials (RFC 7616, RFC 8760), which `rsip` has with MD5 only.

use std::fmt::Write as _;

use aws_lc_rs::digest::{SHA256, SHA512_256, digest};
use md5::Digest as _;

use crate::error::Error;
use crate::message::Headers;

/// A digest algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// SHA-256 (RFC 8760).
    Sha256,
    /// SHA-512-256 (RFC 8760).
    Sha512_256,
    /// MD5 (RFC 2617): of old phones.
    Md5,
}

impl Algorithm {
    fn parse(name: &str) -> Option<Self> {
        match name.to_ascii_uppercase().as_str() {
            "SHA-256" => Some(Self::Sha256),
            "SHA-512-256" => Some(Self::Sha512_256),
            "MD5" => Some(Self::Md5),
            _ => None,
        }
    }

    /// The algorithm's name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "SHA-256",
            Self::Sha512_256 => "SHA-512-256",
            Self::Md5 => "MD5",
        }
    }

    /// The hash of a text in hex: of `user:realm:password`, what a server keeps (RFC 7616 §3.4.2).
    pub fn hash(self, text: &str) -> String {
        match self {
            Self::Sha256 => hex::encode(digest(&SHA256, text.as_bytes())),
            Self::Sha512_256 => hex::encode(digest(&SHA512_256, text.as_bytes())),
            Self::Md5 => hex::encode(md5::Md5::digest(text.as_bytes())),
        }
    }
}

/// A user's credentials. Debug shows the name only.
#[derive(Clone)]
pub struct Credentials {
    /// The user name.
    pub username: String,
    /// The password.
    pub password: String,
    /// Answer only a challenge of this algorithm; none: the first in the server's order that is known.
    pub algorithm: Option<Algorithm>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credentials({})", self.username)
    }
}

/// One challenge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// The realm.
    pub realm: String,
    /// The server's nonce.
    pub nonce: String,
    /// To be given back as it is.
    pub opaque: Option<String>,
    /// The algorithm; without one, MD5 (RFC 7616 §3.3).
    pub algorithm: Algorithm,
    /// `auth` is among the offered qualities of protection.
    pub qop_auth: bool,
    /// The nonce had run out, the password was right.
    pub stale: bool,
}

/// The header that answers a challenge: a server asks by 401, a proxy on the way by 407 (RFC 3261 §22.2, §22.3).
/// Nothing for any other status.
pub fn answered_in(status: u16) -> Option<&'static str> {
    match status {
        401 => Some("Authorization"),
        407 => Some("Proxy-Authorization"),
        _ => None,
    }
}

/// The challenges of a 401 or 407 that can be answered, in the server's order of preference (RFC 8760 §2.3).
pub fn challenges(headers: &Headers) -> Vec<Challenge> {
    let asked = headers.all("WWW-Authenticate").chain(headers.all("Proxy-Authenticate"));
    asked.filter_map(parse).collect()
}

fn parse(value: &str) -> Option<Challenge> {
    let (scheme, rest) = value.trim().split_once(char::is_whitespace)?;
    if !scheme.eq_ignore_ascii_case("Digest") {
        return None;
    }
    let parameters = parameters(rest);
    let parameter = |name: &str| {
        let found = parameters.iter().find(|(n, _)| n.eq_ignore_ascii_case(name));
        found.map(|(_, v)| v.clone())
    };
    Some(Challenge {
        realm: parameter("realm")?,
        nonce: parameter("nonce")?,
        opaque: parameter("opaque"),
        algorithm: parameter("algorithm").map_or(Some(Algorithm::Md5), |a| Algorithm::parse(&a))?,
        qop_auth: parameter("qop").is_some_and(|q| q.split(',').any(|q| q.trim() == "auth")),
        stale: parameter("stale").is_some_and(|s| s.eq_ignore_ascii_case("true")),
    })
}

/// `name=token` and `name="quoted"`, separated by commas; a comma in quotes separates nothing.
fn parameters(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = text.trim();
    while let Some((name, after)) = rest.split_once('=') {
        let after = after.trim_start();
        let mut value = String::new();
        let mut end = after.len();
        if let Some(quoted) = after.strip_prefix('"') {
            let mut escaped = false;
            for (at, c) in quoted.char_indices() {
                match c {
                    '\\' if !escaped => escaped = true,
                    '"' if !escaped => {
                        end = at + 2;
                        break;
                    }
                    c => {
                        escaped = false;
                        value.push(c);
                    }
                }
            }
        } else {
            end = after.find(',').unwrap_or(after.len());
            after[..end].trim().clone_into(&mut value);
        }
        found.push((name.trim().to_owned(), value));
        rest = after[end..].trim_start().trim_start_matches(',').trim_start();
    }
    found
}

/// The Authorization value for a request (RFC 7616 §3.4.1, with `auth`).
pub fn authorization(
    credentials: &Credentials,
    challenges: &[Challenge],
    method: &str,
    uri: &str,
    cnonce: &str,
) -> Result<String, Error> {
    let wanted = |c: &&Challenge| credentials.algorithm.is_none_or(|a| a == c.algorithm);
    let challenge = challenges.iter().find(wanted);
    let challenge = challenge.ok_or(Error::Challenge("no algorithm that is known and wanted"))?;
    if !challenge.qop_auth {
        return Err(Error::Challenge("qop auth is not offered"));
    }
    let Challenge { realm, nonce, algorithm, .. } = challenge;
    let username = &credentials.username;
    let ha1 = algorithm.hash(&format!("{username}:{realm}:{}", credentials.password));
    let ha2 = algorithm.hash(&format!("{method}:{uri}"));
    let response = algorithm.hash(&format!("{ha1}:{nonce}:00000001:{cnonce}:auth:{ha2}"));
    let mut value = format!(
        "Digest username=\"{username}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", \
         response=\"{response}\", algorithm={}, cnonce=\"{cnonce}\", qop=auth, nc=00000001",
        algorithm.name()
    );
    if let Some(opaque) = &challenge.opaque {
        // Writing to a String cannot fail.
        let _ = write!(value, ", opaque=\"{opaque}\"");
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: &str = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v";
    const CNONCE: &str = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";

    // RFC 7616 §3.9.1: the example with MD5 and SHA-256.
    #[test]
    fn the_example_of_rfc_7616_gives_its_responses() {
        let mufasa = Credentials {
            username: "Mufasa".into(),
            password: "Circle of Life".into(),
            algorithm: None,
        };
        for (algorithm, response) in [
            ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
            ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
        ] {
            let challenge = parse(&format!(
                "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm={algorithm}, \
                 nonce=\"{NONCE}\", opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""
            ))
            .expect("reads");
            let value = authorization(&mufasa, &[challenge], "GET", "/dir/index.html", CNONCE)
                .expect("answers");
            assert!(value.contains(response), "{algorithm}");
        }
    }

    #[test]
    fn the_servers_first_known_algorithm_is_taken_unless_one_is_asked_for() {
        let values = [
            "Digest realm=\"a,b\", nonce=\"1\", algorithm=SHA-999, qop=\"auth\"",
            "Digest realm=\"a,b\", nonce=\"2\", algorithm=SHA-256, qop=\"auth\", stale=TRUE",
            "Digest realm=\"a,b\", nonce=\"3\", qop=\"auth\"",
        ];
        let known: Vec<_> = values.iter().filter_map(|v| parse(v)).collect();
        assert_eq!(known.len(), 2);
        assert_eq!(known[0].realm, "a,b");
        assert!(known[0].stale);
        let mut user = Credentials { username: "u".into(), password: "p".into(), algorithm: None };
        let first = authorization(&user, &known, "INVITE", "sip:a", "c").expect("answers");
        assert!(first.contains("algorithm=SHA-256"));
        user.algorithm = Some(Algorithm::Md5);
        let old = authorization(&user, &known, "INVITE", "sip:a", "c").expect("answers");
        assert!(old.contains("nonce=\"3\"") && old.contains("algorithm=MD5"));
        assert_eq!(format!("{user:?}"), "Credentials(u)");
    }

    proptest::proptest! {
        #[test]
        fn no_challenge_makes_the_parser_panic(text in "(Digest )?[ -~]{0,80}", more in ".{0,40}") {
            let _ = parse(&format!("{text}{more}"));
        }
    }
}
