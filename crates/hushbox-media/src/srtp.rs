//! The SRTP and SRTCP transform (RFC 3711, RFC 7714) over aws-lc-rs's primitives.
//!
//! Packets are changed in place and nothing is allocated for one. [`Inbound`] keeps a rollover
//! counter and a replay window per source; both come into being, and move, only once a packet has
//! authenticated, and the sources are bounded. No session parameter weakens the transform: there
//! is no way to turn encryption or authentication off.

mod inbound;
mod key_derivation;
mod outbound;
mod replay;
mod session;

use zeroize::Zeroizing;

pub use inbound::Inbound;
pub use outbound::Outbound;

/// An SRTP crypto suite (RFC 4568 §6.2, RFC 7714 §14.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Suite {
    /// `AEAD_AES_256_GCM`: our preference.
    AeadAes256Gcm,
    /// `AES_CM_128_HMAC_SHA1_80`.
    AesCm128HmacSha1_80,
}

impl Suite {
    /// Every suite, the preferred one first.
    pub const ALL: [Self; 2] = [Self::AeadAes256Gcm, Self::AesCm128HmacSha1_80];

    /// Its name in `a=crypto`.
    pub fn name(self) -> &'static str {
        match self {
            Self::AeadAes256Gcm => "AEAD_AES_256_GCM",
            Self::AesCm128HmacSha1_80 => "AES_CM_128_HMAC_SHA1_80",
        }
    }

    /// Octets of the master key.
    pub fn key_bytes(self) -> usize {
        match self {
            Self::AeadAes256Gcm => 32,
            Self::AesCm128HmacSha1_80 => 16,
        }
    }

    /// Octets of the master salt.
    pub fn salt_bytes(self) -> usize {
        match self {
            Self::AeadAes256Gcm => 12,
            Self::AesCm128HmacSha1_80 => 14,
        }
    }

    /// Octets of the authentication tag, for SRTP and SRTCP.
    pub fn tag_bytes(self) -> usize {
        match self {
            Self::AeadAes256Gcm => 16,
            Self::AesCm128HmacSha1_80 => 10,
        }
    }
}

/// A master key and its salt (RFC 3711 §3.2.1). Not shown, and forgotten when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct MasterKey {
    suite: Suite,
    /// Key, then salt.
    octets: Zeroizing<Vec<u8>>,
}

impl MasterKey {
    /// Key and salt, one after the other; none if the length is not the suite's.
    pub fn new(suite: Suite, octets: &[u8]) -> Option<Self> {
        (octets.len() == suite.key_bytes() + suite.salt_bytes())
            .then(|| Self { suite, octets: Zeroizing::new(octets.to_vec()) })
    }

    /// The suite that it is for.
    pub fn suite(&self) -> Suite {
        self.suite
    }

    /// Key and salt, for `a=crypto`.
    pub(crate) fn octets(&self) -> &[u8] {
        &self.octets
    }

    fn key(&self) -> &[u8] {
        &self.octets[..self.suite.key_bytes()]
    }

    fn salt(&self) -> &[u8] {
        &self.octets[self.suite.key_bytes()..]
    }
}

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MasterKey").field("suite", &self.suite).finish_non_exhaustive()
    }
}

/// What stands between a packet and its tag to name the key (RFC 3711 §3.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mki(Vec<u8>);

impl Mki {
    /// The value in as many octets as SDP said; at most [`MKI_BYTES_MAX`](crate::limits).
    pub fn new(octets: Vec<u8>) -> Option<Self> {
        (1..=crate::limits::MKI_BYTES_MAX).contains(&octets.len()).then_some(Self(octets))
    }

    pub(crate) fn octets(&self) -> &[u8] {
        &self.0
    }
}

/// A packet's 48-bit index: rollover counter and sequence number (RFC 3711 §3.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PacketIndex(pub u64);

impl PacketIndex {
    /// From a rollover counter and a sequence number.
    pub fn new(roc: u32, sequence: u16) -> Self {
        Self(u64::from(roc) << 16 | u64::from(sequence))
    }

    /// The rollover counter.
    pub fn roc(self) -> u32 {
        (self.0 >> 16) as u32
    }

    /// The sequence number.
    pub fn sequence(self) -> u16 {
        self.0 as u16
    }
}

/// Why a packet was not taken, or not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SrtpError {
    /// Too short, or no RTP or RTCP.
    #[error("malformed packet")]
    Malformed,
    /// It carries another MKI than the key's.
    #[error("packet for another key")]
    Mki,
    /// SRTCP that is not encrypted (E=0).
    #[error("SRTCP in clear")]
    Clear,
    /// It came before, or is too old to tell.
    #[error("replayed packet")]
    Replay,
    /// It does not authenticate.
    #[error("packet does not authenticate")]
    Authentication,
    /// It authenticates, but one more source is too many.
    #[error("too many sources under one key")]
    TooManyStreams,
    /// The key has protected all that it may.
    #[error("key used up")]
    KeyExhausted,
    /// Sending it would use a part of the key stream twice.
    #[error("packet index used before")]
    Reuse,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_another_length_are_refused_and_never_shown() {
        let key = MasterKey::new(Suite::AesCm128HmacSha1_80, &[0x5a; 30]).unwrap();
        assert!(MasterKey::new(Suite::AesCm128HmacSha1_80, &[0; 29]).is_none());
        assert!(MasterKey::new(Suite::AeadAes256Gcm, &[0; 46]).is_none());
        let shown = format!("{key:?}");
        assert!(!shown.contains("90") && !shown.to_lowercase().contains("5a"), "{shown}");
    }
}
