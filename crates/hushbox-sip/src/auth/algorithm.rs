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
