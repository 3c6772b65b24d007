//! Digest algorithms.

use aws_lc_rs::digest;
use md5::{Digest as _, Md5};

/// A digest algorithm, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Algorithm {
    /// SHA-256 (RFC 8760 §2.1).
    Sha256,
    /// SHA-512/256.
    Sha512_256,
    /// MD5: for trials on a lab listener, where phones know nothing else.
    Md5,
}

impl Algorithm {
    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::Sha256 => "SHA-256",
            Algorithm::Sha512_256 => "SHA-512-256",
            Algorithm::Md5 => "MD5",
        }
    }

    /// The algorithm of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Algorithm::Sha256, Algorithm::Sha512_256, Algorithm::Md5]
            .into_iter()
            .find(|a| a.name().eq_ignore_ascii_case(name))
    }

    /// Its bit in a nonce, which says what a challenge offered.
    pub(super) fn bit(self) -> u8 {
        match self {
            Algorithm::Sha256 => 1,
            Algorithm::Sha512_256 => 2,
            Algorithm::Md5 => 4,
        }
    }

    pub(super) fn hash(self, parts: &[&[u8]]) -> Vec<u8> {
        let sha = |algorithm| {
            let mut context = digest::Context::new(algorithm);
            parts.iter().for_each(|part| context.update(part));
            context.finish().as_ref().to_vec()
        };
        match self {
            Algorithm::Sha256 => sha(&digest::SHA256),
            Algorithm::Sha512_256 => sha(&digest::SHA512_256),
            Algorithm::Md5 => {
                let mut hasher = Md5::new();
                parts.iter().for_each(|part| hasher.update(part));
                hasher.finalize().to_vec()
            }
        }
    }
}

/// H(A1), the only thing about a password that has to be kept (RFC 7616 §3.4.2), as raw bytes.
pub fn ha1(algorithm: Algorithm, user: &str, realm: &str, password: &str) -> Vec<u8> {
    let parts = [user.as_bytes(), b":", realm.as_bytes(), b":", password.as_bytes()];
    algorithm.hash(&parts)
}

/// What both sides hash.
pub(super) struct Hashed<'a> {
    pub(super) nonce: &'a str,
    pub(super) uri: &'a str,
    pub(super) method: &'a str,
    /// `nc`, `cnonce` and `qop`, where the challenge had `qop`.
    pub(super) counted: Option<(&'a str, &'a str, &'a str)>,
}

/// RFC 7616 §3.4.1; without `qop`, what RFC 2069 had.
pub(super) fn response(algorithm: Algorithm, ha1: &[u8], hashed: &Hashed<'_>) -> Vec<u8> {
    let ha1 = hex::encode(ha1);
    let Hashed { nonce, uri, method, counted } = hashed;
    let ha2 = hex::encode(algorithm.hash(&[method.as_bytes(), b":", uri.as_bytes()]));
    let (ha1, nonce, ha2) = (ha1.as_bytes(), nonce.as_bytes(), ha2.as_bytes());
    match counted {
        None => algorithm.hash(&[ha1, b":", nonce, b":", ha2]),
        Some((nc, cnonce, qop)) => {
            let (nc, cnonce, qop) = (nc.as_bytes(), cnonce.as_bytes(), qop.as_bytes());
            algorithm.hash(&[ha1, b":", nonce, b":", nc, b":", cnonce, b":", qop, b":", ha2])
        }
    }
}
