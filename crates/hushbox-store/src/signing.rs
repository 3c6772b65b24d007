//! ECDSA over P-256 with SHA-256 (FIPS 186-5): the node's key signs manifests, the directory's key signs rows.
//!
//! aws-lc-rs draws the signature's nonce itself. Each signature covers a context string, so one made for a manifest
//! is none for a row.

use std::fmt;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair,
    UnparsedPublicKey,
};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use crate::error::KeyError;
use crate::hex_serde;
use crate::keys::{NONCE_LEN, RootKey, WrappedKey};

/// A P-256 public key that checks signatures, as an uncompressed point.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct VerifyingKey(#[serde(with = "hex_serde")] Vec<u8>);

impl VerifyingKey {
    /// From an uncompressed point; `None` for anything else.
    pub fn from_slice(bytes: &[u8]) -> Option<VerifyingKey> {
        (bytes.len() == 65 && bytes.first() == Some(&4)).then(|| VerifyingKey(bytes.to_vec()))
    }

    /// The uncompressed point.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn verifies(&self, context: Context, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &self.0)
            .verify(&context.prefix(message), signature)
            .is_ok()
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifyingKey({})", hex::encode(&self.0))
    }
}

/// What a signature is for.
#[derive(Clone, Copy)]
pub(crate) enum Context {
    Manifest,
    DirectoryRow,
}

impl Context {
    fn prefix(self, message: &[u8]) -> Vec<u8> {
        let context: &[u8] = match self {
            Context::Manifest => b"hushbox manifest 1\0",
            Context::DirectoryRow => b"hushbox directory row 1\0",
        };
        [context, message].concat()
    }
}

/// A pair of keys; not printable, and the private half leaves it only as bytes to be stored.
struct SigningKey {
    pair: EcdsaKeyPair,
    pkcs8: Zeroizing<Vec<u8>>,
}

impl SigningKey {
    fn generate() -> Result<SigningKey, KeyError> {
        let document =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new())
                .map_err(|_| KeyError::Cipher)?;
        SigningKey::from_pkcs8(document.as_ref())
    }

    fn from_pkcs8(pkcs8: &[u8]) -> Result<SigningKey, KeyError> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8)
            .map_err(|_| KeyError::Damaged)?;
        Ok(SigningKey { pair, pkcs8: Zeroizing::new(pkcs8.to_vec()) })
    }

    fn public(&self) -> VerifyingKey {
        VerifyingKey(self.pair.public_key().as_ref().to_vec())
    }

    fn sign(&self, context: Context, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let signature = self
            .pair
            .sign(&SystemRandom::new(), &context.prefix(message))
            .map_err(|_| KeyError::Cipher)?;
        Ok(signature.as_ref().to_vec())
    }
}

impl Drop for SigningKey {
    fn drop(&mut self) {
        self.pkcs8.zeroize();
    }
}

/// Signs a node's manifests (and, later, its audit checkpoints).
pub struct NodeKey(SigningKey);

impl NodeKey {
    /// Makes a new one.
    pub fn generate() -> Result<NodeKey, KeyError> {
        SigningKey::generate().map(NodeKey)
    }

    /// From its file.
    pub fn from_pkcs8(pkcs8: &[u8]) -> Result<NodeKey, KeyError> {
        SigningKey::from_pkcs8(pkcs8).map(NodeKey)
    }

    /// For its file (PKCS #8, DER).
    pub fn to_pkcs8(&self) -> &[u8] {
        &self.0.pkcs8
    }

    /// The public half, which stands in the directory.
    pub fn public(&self) -> VerifyingKey {
        self.0.public()
    }

    pub(crate) fn sign(&self, context: Context, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        self.0.sign(context, message)
    }
}

/// Signs the directory's rows. Its private half is stored only wrapped by the root key.
pub struct DirectoryKey(SigningKey);

impl DirectoryKey {
    /// Makes a new one.
    pub fn generate() -> Result<DirectoryKey, KeyError> {
        SigningKey::generate().map(DirectoryKey)
    }

    /// Wraps the private half by the root key.
    pub fn wrap(&self, root: &RootKey, nonce: [u8; NONCE_LEN]) -> Result<WrappedKey, KeyError> {
        root.wrap_directory_key(&self.0.pkcs8, nonce)
    }

    /// Unwraps the private half, for one change of the directory.
    pub fn unwrap(root: &RootKey, wrapped: &WrappedKey) -> Result<DirectoryKey, KeyError> {
        SigningKey::from_pkcs8(&root.unwrap_directory_key(wrapped)?).map(DirectoryKey)
    }

    /// The public half, which every node has.
    pub fn public(&self) -> VerifyingKey {
        self.0.public()
    }

    pub(crate) fn sign(&self, context: Context, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        self.0.sign(context, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_holds_for_its_key_its_bytes_and_its_purpose() {
        let key = NodeKey::generate().unwrap();
        let signature = key.sign(Context::Manifest, b"signed").unwrap();
        assert!(key.public().verifies(Context::Manifest, b"signed", &signature));
        assert!(!key.public().verifies(Context::Manifest, b"Signed", &signature));
        assert!(!key.public().verifies(Context::DirectoryRow, b"signed", &signature));
        let other = NodeKey::generate().unwrap();
        assert!(!other.public().verifies(Context::Manifest, b"signed", &signature));
        assert!(!key.public().verifies(Context::Manifest, b"signed", b""));
    }

    #[test]
    fn a_node_key_comes_back_from_its_file() {
        let key = NodeKey::generate().unwrap();
        let again = NodeKey::from_pkcs8(key.to_pkcs8()).unwrap();
        assert_eq!(again.public(), key.public());
        assert!(NodeKey::from_pkcs8(b"not a key").is_err());
    }

    #[test]
    fn the_directory_key_is_stored_only_wrapped_by_the_root_key() {
        let root = RootKey::from_bytes(&[1; 32]);
        let key = DirectoryKey::generate().unwrap();
        let wrapped = key.wrap(&root, [2; NONCE_LEN]).unwrap();
        let again = DirectoryKey::unwrap(&root, &wrapped).unwrap();
        assert_eq!(again.public(), key.public());
        let other = RootKey::from_bytes(&[9; 32]);
        assert_eq!(DirectoryKey::unwrap(&other, &wrapped).err(), Some(KeyError::WrongKey));
    }
}
