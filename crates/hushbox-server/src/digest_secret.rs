//! From a password to what the directory keeps of it: HA1 for one realm, sealed for its user.

use hushbox_sip::auth::{Algorithm, ha1};
use hushbox_store::error::KeyError;
use hushbox_store::keys::{DigestAlgorithm, DigestUser, ServiceKey, WrappedKey};
use zeroize::Zeroizing;

use crate::random;

/// A password and whose it is.
pub struct NewPassword<'a> {
    /// Whose it is.
    pub user: DigestUser,
    /// Their user name.
    pub username: &'a str,
    /// Where it is for.
    pub realm: &'a str,
    /// The password.
    pub text: Zeroizing<String>,
}

impl<'a> NewPassword<'a> {
    /// A random one.
    pub fn make(user: DigestUser, username: &'a str, realm: &'a str) -> Self {
        Self { user, username, realm, text: Zeroizing::new(random::password()) }
    }

    /// What the directory keeps of it for an algorithm.
    ///
    /// # Errors
    ///
    /// Those of the cipher.
    pub fn seal(
        &self,
        key: &ServiceKey,
        algorithm: DigestAlgorithm,
    ) -> Result<WrappedKey, KeyError> {
        let hashed = match algorithm {
            DigestAlgorithm::Sha256 => Algorithm::Sha256,
            DigestAlgorithm::Sha512_256 => Algorithm::Sha512_256,
            DigestAlgorithm::Md5 => Algorithm::Md5,
        };
        let ha1 = Zeroizing::new(ha1(hashed, self.username, self.realm, &self.text));
        key.seal_digest_secret(self.user, algorithm, &ha1, random::bytes())
    }
}
