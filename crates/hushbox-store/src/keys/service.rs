//! The service key: what the server must be able to use without a person.

use hushbox_policy::{DeviceId, TrunkId};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::{KEY_LEN, NONCE_LEN, Purpose, WrappedKey, unwrap, wrap};
use crate::error::KeyError;

/// Which digest a sealed HA1 is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DigestAlgorithm {
    /// RFC 8760.
    Sha256,
    /// RFC 8760.
    Sha512_256,
    /// RFC 2617; `lab` listeners only.
    Md5,
}

impl DigestAlgorithm {
    fn name(self) -> &'static str {
        match self {
            DigestAlgorithm::Sha256 => "SHA-256",
            DigestAlgorithm::Sha512_256 => "SHA-512-256",
            DigestAlgorithm::Md5 => "MD5",
        }
    }
}

/// Whose a digest secret is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DigestUser {
    /// A device's.
    Device(DeviceId),
    /// A trunk's.
    Trunk(TrunkId),
}

/// Seals what the server itself must be able to use without a person: the digest secrets of devices and trunks.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct ServiceKey([u8; KEY_LEN]);

impl ServiceKey {
    /// From 32 random bytes, which the caller wipes.
    pub fn from_bytes(bytes: &[u8; KEY_LEN]) -> ServiceKey {
        ServiceKey(*bytes)
    }

    /// Seals the HA1 of a device or trunk.
    pub fn seal_digest_secret(
        &self,
        user: DigestUser,
        algorithm: DigestAlgorithm,
        ha1: &[u8],
        nonce: [u8; NONCE_LEN],
    ) -> Result<WrappedKey, KeyError> {
        wrap(&self.0, &Purpose::DigestSecret { user, algorithm: algorithm.name() }, ha1, nonce)
    }

    /// Opens the HA1 of a device or trunk, for one comparison.
    pub fn open_digest_secret(
        &self,
        user: DigestUser,
        algorithm: DigestAlgorithm,
        sealed: &WrappedKey,
    ) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        unwrap(&self.0, &Purpose::DigestSecret { user, algorithm: algorithm.name() }, sealed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: [u8; NONCE_LEN] = [5; NONCE_LEN];

    #[test]
    fn a_digest_secret_opens_for_its_owner_and_algorithm_only() {
        let key = ServiceKey::from_bytes(&[1; 32]);
        let device = DigestUser::Device(DeviceId::from_bytes([1; 16]));
        let sealed =
            key.seal_digest_secret(device, DigestAlgorithm::Sha256, b"0123", NONCE).unwrap();
        let opened = key.open_digest_secret(device, DigestAlgorithm::Sha256, &sealed).unwrap();
        assert_eq!(opened.as_slice(), b"0123");
        assert!(key.open_digest_secret(device, DigestAlgorithm::Md5, &sealed).is_err());
        let other = DigestUser::Device(DeviceId::from_bytes([2; 16]));
        assert!(key.open_digest_secret(other, DigestAlgorithm::Sha256, &sealed).is_err());
        let trunk = DigestUser::Trunk(TrunkId::from_bytes([1; 16]));
        assert!(key.open_digest_secret(trunk, DigestAlgorithm::Sha256, &sealed).is_err());
    }
}
