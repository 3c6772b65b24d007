//! The WWW-Authenticate header field.

use super::algorithm::Algorithm;

/// One WWW-Authenticate header field. RFC 8760 §2.3: one for each algorithm, the best on top.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    algorithm: Algorithm,
    value: String,
}

impl Challenge {
    pub(super) fn new(
        algorithm: Algorithm,
        realm: &str,
        nonce: &str,
        opaque: &str,
        stale: bool,
    ) -> Self {
        let stale = if stale { ", stale=true" } else { "" };
        let name = algorithm.name();
        let value = format!(
            "Digest realm=\"{realm}\", nonce=\"{nonce}\", opaque=\"{opaque}\", algorithm={name}, \
             qop=\"auth\"{stale}"
        );
        Challenge { algorithm, value }
    }

    /// Which algorithm it asks for.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// What stands after `WWW-Authenticate:`.
    pub fn value(&self) -> &str {
        &self.value
    }
}
