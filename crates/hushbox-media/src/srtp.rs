//! The SRTP and SRTCP transform (RFC 3711, RFC 7714) over aws-lc-rs's primitives.

/// An SRTP crypto suite (RFC 4568 §6.2, RFC 7714 §14.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Suite {
    /// `AEAD_AES_256_GCM`: our preference.
    AeadAes256Gcm,
    /// `AES_CM_128_HMAC_SHA1_80`.
    AesCm128HmacSha1_80,
}
