//! The hierarchy of keys: root key → account key → mailbox private key → message key.
//!
//! Every secret here is wiped when dropped and has no `Debug`, `Display`, `Clone` or `Serialize`. A wrapped key names
//! what it is a key of in its associated data, so a wrapped key moved to another row opens nothing there.
//!
//! The only key that code outside of this crate can look at is a public one:
//!
//! ```compile_fail,E0277
//! fn printed<T: std::fmt::Debug>() {}
//! printed::<hushbox_store::keys::RootKey>();
//! ```
//!
//! ```compile_fail,E0277
//! fn copied<T: Clone>() {}
//! copied::<hushbox_store::keys::MailboxPrivateKey>();
//! ```
//!
//! ```compile_fail,E0624
//! fn bytes(key: &hushbox_store::keys::MessageKey) -> &[u8; 32] {
//!     key.expose()
//! }
//! ```

mod service;

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::{digest, hmac};
use hushbox_policy::{AccountId, MailboxId};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::error::KeyError;
use crate::hex_serde;
use crate::limits;
pub use service::{DigestAlgorithm, DigestUser, ServiceKey};

/// Bytes of a symmetric key.
pub const KEY_LEN: usize = 32;
/// Bytes of the random nonce that each wrapping takes.
pub const NONCE_LEN: usize = 12;

const VERSION: u8 = 1;
const ALGORITHM_AES_256_GCM: u8 = 1;
const HEADER_LEN: usize = 2 + KeyId::LEN + NONCE_LEN;

/// Says which key wrapped something, or which root key a data folder belongs to, without telling the key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId([u8; Self::LEN]);

impl KeyId {
    /// Bytes of an id.
    pub const LEN: usize = 8;

    fn of(key: &[u8; KEY_LEN]) -> KeyId {
        let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), b"hushbox key id");
        let mut id = [0; Self::LEN];
        for (to, from) in id.iter_mut().zip(mac.as_ref()) {
            *to = *from;
        }
        KeyId(id)
    }

    /// The bytes, as they stand in a data folder.
    pub fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }

    /// From the bytes that stand in a data folder; `None` for any other length.
    pub fn from_slice(bytes: &[u8]) -> Option<KeyId> {
        bytes.try_into().ok().map(KeyId)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

/// A secret wrapped by the key above it: version, algorithm, id of the wrapping key, nonce, ciphertext and tag.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WrappedKey(#[serde(with = "hex_serde")] Vec<u8>);

impl WrappedKey {
    /// From bytes as they were stored. Whether they are a wrapped key shows when they are unwrapped.
    pub fn from_bytes(bytes: Vec<u8>) -> WrappedKey {
        WrappedKey(bytes)
    }

    /// The bytes to store.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Which key wrapped this one.
    pub fn wrapped_by(&self) -> Option<KeyId> {
        self.0.get(2..2 + KeyId::LEN).and_then(KeyId::from_slice)
    }
}

impl fmt::Debug for WrappedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WrappedKey({} bytes)", self.0.len())
    }
}

/// What a wrapped secret belongs to: the associated data of its wrapping.
enum Purpose {
    AccountKey(AccountId),
    MailboxPrivateKey { account: AccountId, mailbox: MailboxId, epoch: u32 },
    DirectorySigningKey,
    DigestSecret { user: DigestUser, algorithm: &'static str },
}

impl Purpose {
    fn aad(&self) -> Vec<u8> {
        let mut aad = Vec::with_capacity(96);
        match self {
            Purpose::AccountKey(account) => {
                aad.extend_from_slice(b"hushbox account key 1\0");
                aad.extend_from_slice(account.as_bytes());
            }
            Purpose::MailboxPrivateKey { account, mailbox, epoch } => {
                aad.extend_from_slice(b"hushbox mailbox private key 1\0");
                aad.extend_from_slice(account.as_bytes());
                aad.extend_from_slice(mailbox.as_bytes());
                aad.extend_from_slice(&epoch.to_be_bytes());
            }
            Purpose::DirectorySigningKey => {
                aad.extend_from_slice(b"hushbox directory signing key 1\0")
            }
            Purpose::DigestSecret { user, algorithm } => {
                match user {
                    DigestUser::Device(device) => {
                        aad.extend_from_slice(b"hushbox digest secret 1\0");
                        aad.extend_from_slice(device.as_bytes());
                    }
                    DigestUser::Trunk(trunk) => {
                        aad.extend_from_slice(b"hushbox trunk digest secret 1\0");
                        aad.extend_from_slice(trunk.as_bytes());
                    }
                }
                aad.extend_from_slice(algorithm.as_bytes());
            }
        }
        aad
    }
}

fn cipher(key: &[u8; KEY_LEN]) -> Result<LessSafeKey, KeyError> {
    UnboundKey::new(&AES_256_GCM, key).map(LessSafeKey::new).map_err(|_| KeyError::Cipher)
}

fn wrap(
    key: &[u8; KEY_LEN],
    purpose: &Purpose,
    secret: &[u8],
    nonce: [u8; NONCE_LEN],
) -> Result<WrappedKey, KeyError> {
    let mut buffer = Zeroizing::new(secret.to_vec());
    let tag = cipher(key)?
        .seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(purpose.aad()),
            buffer.as_mut_slice(),
        )
        .map_err(|_| KeyError::Cipher)?;
    let mut wrapped = Vec::with_capacity(HEADER_LEN + buffer.len() + tag.as_ref().len());
    wrapped.extend_from_slice(&[VERSION, ALGORITHM_AES_256_GCM]);
    wrapped.extend_from_slice(KeyId::of(key).as_bytes());
    wrapped.extend_from_slice(&nonce);
    wrapped.extend_from_slice(&buffer);
    wrapped.extend_from_slice(tag.as_ref());
    Ok(WrappedKey(wrapped))
}

fn unwrap(
    key: &[u8; KEY_LEN],
    purpose: &Purpose,
    wrapped: &WrappedKey,
) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let bytes = wrapped.as_bytes();
    if bytes.len() > limits::WRAPPED_BYTES_MAX {
        return Err(KeyError::Damaged);
    }
    let (header, sealed) = bytes.split_at_checked(HEADER_LEN).ok_or(KeyError::Damaged)?;
    let (&[version, algorithm], header) =
        header.split_first_chunk::<2>().ok_or(KeyError::Damaged)?;
    if version != VERSION || algorithm != ALGORITHM_AES_256_GCM {
        return Err(KeyError::UnknownVersion { version, algorithm });
    }
    let (id, nonce) = header.split_at_checked(KeyId::LEN).ok_or(KeyError::Damaged)?;
    if KeyId::from_slice(id) != Some(KeyId::of(key)) {
        return Err(KeyError::WrongKey);
    }
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| KeyError::Damaged)?;
    let mut buffer = Zeroizing::new(sealed.to_vec());
    let opened = cipher(key)?
        .open_in_place(nonce, Aad::from(purpose.aad()), buffer.as_mut_slice())
        .map_err(|_| KeyError::Damaged)?
        .len();
    buffer.truncate(opened);
    Ok(buffer)
}

fn exactly(bytes: &[u8]) -> Result<[u8; KEY_LEN], KeyError> {
    bytes.try_into().map_err(|_| KeyError::Damaged)
}

/// Wraps the accounts' keys and the directory's signing key; lives somewhere else than the data.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct RootKey([u8; KEY_LEN]);

impl RootKey {
    /// From 32 random bytes, which the caller wipes.
    pub fn from_bytes(bytes: &[u8; KEY_LEN]) -> RootKey {
        RootKey(*bytes)
    }

    /// Its id, which stands in the data folder.
    pub fn id(&self) -> KeyId {
        KeyId::of(&self.0)
    }

    /// Wraps an account's key.
    pub fn wrap_account_key(
        &self,
        account: AccountId,
        key: &AccountKey,
        nonce: [u8; NONCE_LEN],
    ) -> Result<WrappedKey, KeyError> {
        wrap(&self.0, &Purpose::AccountKey(account), &key.0, nonce)
    }

    /// Unwraps an account's key, for one use.
    pub fn unwrap_account_key(
        &self,
        account: AccountId,
        wrapped: &WrappedKey,
    ) -> Result<AccountKey, KeyError> {
        let mut bytes = exactly(&unwrap(&self.0, &Purpose::AccountKey(account), wrapped)?)?;
        let key = AccountKey(bytes);
        bytes.zeroize();
        Ok(key)
    }

    /// Wraps the private half of the key that signs directory rows (PKCS #8).
    pub(crate) fn wrap_directory_key(
        &self,
        pkcs8: &[u8],
        nonce: [u8; NONCE_LEN],
    ) -> Result<WrappedKey, KeyError> {
        wrap(&self.0, &Purpose::DirectorySigningKey, pkcs8, nonce)
    }

    pub(crate) fn unwrap_directory_key(
        &self,
        wrapped: &WrappedKey,
    ) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        unwrap(&self.0, &Purpose::DirectorySigningKey, wrapped)
    }
}

/// Wraps the private keys of one account's mailboxes.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct AccountKey([u8; KEY_LEN]);

impl AccountKey {
    /// From 32 random bytes, which the caller wipes.
    pub fn from_bytes(bytes: &[u8; KEY_LEN]) -> AccountKey {
        AccountKey(*bytes)
    }

    /// Wraps a mailbox's private key of one epoch.
    pub fn wrap_mailbox_key(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        epoch: u32,
        key: &MailboxPrivateKey,
        nonce: [u8; NONCE_LEN],
    ) -> Result<WrappedKey, KeyError> {
        wrap(&self.0, &Purpose::MailboxPrivateKey { account, mailbox, epoch }, &key.0, nonce)
    }

    /// Unwraps a mailbox's private key of one epoch.
    pub fn unwrap_mailbox_key(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        epoch: u32,
        wrapped: &WrappedKey,
    ) -> Result<MailboxPrivateKey, KeyError> {
        let mut bytes = exactly(&unwrap(
            &self.0,
            &Purpose::MailboxPrivateKey { account, mailbox, epoch },
            wrapped,
        )?)?;
        let key = MailboxPrivateKey(bytes);
        bytes.zeroize();
        Ok(key)
    }
}

/// Opens what is sealed to a mailbox: a P-256 scalar.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct MailboxPrivateKey([u8; KEY_LEN]);

impl MailboxPrivateKey {
    /// From the big-endian scalar.
    pub fn from_bytes(bytes: &[u8; KEY_LEN]) -> MailboxPrivateKey {
        MailboxPrivateKey(*bytes)
    }

    pub(crate) fn expose(&self) -> &[u8; KEY_LEN] {
        &self.0
    }
}

/// What is sealed to a mailbox is sealed with this: an uncompressed P-256 point. All that a deposit needs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct MailboxPublicKey([u8; Self::LEN]);

impl MailboxPublicKey {
    /// Bytes of an uncompressed P-256 point.
    pub const LEN: usize = 65;

    /// From an uncompressed point (SEC 1 §2.3.3: it begins with 0x04). That it is on the curve shows at the first use.
    pub fn from_slice(bytes: &[u8]) -> Option<MailboxPublicKey> {
        let bytes: [u8; Self::LEN] = bytes.try_into().ok()?;
        (bytes.first() == Some(&4)).then_some(MailboxPublicKey(bytes))
    }

    /// The uncompressed point.
    pub fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

impl fmt::Debug for MailboxPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hash = digest::digest(&digest::SHA256, &self.0);
        write!(f, "MailboxPublicKey({}..)", hex::encode(&hash.as_ref()[..4]))
    }
}

impl Serialize for MailboxPublicKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        hex_serde::serialize(self.0.as_slice(), serializer)
    }
}

impl<'de> Deserialize<'de> for MailboxPublicKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes: Vec<u8> = hex_serde::deserialize(deserializer)?;
        MailboxPublicKey::from_slice(&bytes)
            .ok_or_else(|| serde::de::Error::custom("not an uncompressed P-256 point"))
    }
}

/// Seals one message's audio. Made fresh from random bytes for every message; it reaches a disk only sealed.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct MessageKey([u8; KEY_LEN]);

impl MessageKey {
    /// From 32 random bytes, which the caller wipes.
    pub fn from_bytes(bytes: &[u8; KEY_LEN]) -> MessageKey {
        MessageKey(*bytes)
    }

    pub(crate) fn expose(&self) -> &[u8; KEY_LEN] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: [u8; NONCE_LEN] = [5; NONCE_LEN];

    fn account(byte: u8) -> AccountId {
        AccountId::from_bytes([byte; 16])
    }

    fn mailbox(byte: u8) -> MailboxId {
        MailboxId::from_bytes([byte; 16])
    }

    #[test]
    fn the_hierarchy_unwraps_from_the_root_to_the_mailbox() {
        let root = RootKey::from_bytes(&[1; 32]);
        let account_key = AccountKey::from_bytes(&[2; 32]);
        let private = MailboxPrivateKey::from_bytes(&[3; 32]);
        let wrapped_account = root.wrap_account_key(account(1), &account_key, NONCE).unwrap();
        let wrapped_mailbox =
            account_key.wrap_mailbox_key(account(1), mailbox(1), 1, &private, NONCE).unwrap();

        let account_key = root.unwrap_account_key(account(1), &wrapped_account).unwrap();
        let opened = account_key.unwrap_mailbox_key(account(1), mailbox(1), 1, &wrapped_mailbox);
        assert_eq!(opened.ok().map(|key| *key.expose()), Some([3; 32]));
        assert_eq!(wrapped_account.wrapped_by(), Some(root.id()));
    }

    #[test]
    fn a_wrapped_key_moved_to_another_row_opens_nothing_there() {
        let key = AccountKey::from_bytes(&[2; 32]);
        let private = MailboxPrivateKey::from_bytes(&[3; 32]);
        let wrapped = key.wrap_mailbox_key(account(1), mailbox(1), 1, &private, NONCE).unwrap();
        for (account, mailbox, epoch) in
            [(account(2), mailbox(1), 1), (account(1), mailbox(2), 1), (account(1), mailbox(1), 2)]
        {
            let opened = key.unwrap_mailbox_key(account, mailbox, epoch, &wrapped);
            assert_eq!(opened.err(), Some(KeyError::Damaged));
        }
        let root = RootKey::from_bytes(&[2; 32]);
        let wrapped = root.wrap_account_key(account(1), &key, NONCE).unwrap();
        assert_eq!(root.unwrap_account_key(account(2), &wrapped).err(), Some(KeyError::Damaged));
        // The same bytes as another kind of key.
        assert_eq!(root.unwrap_directory_key(&wrapped).err(), Some(KeyError::Damaged));
    }

    #[test]
    fn another_root_key_is_told_from_a_damaged_row() {
        let wrapped = RootKey::from_bytes(&[1; 32])
            .wrap_account_key(account(1), &AccountKey::from_bytes(&[2; 32]), NONCE)
            .unwrap();
        let other = RootKey::from_bytes(&[9; 32]);
        assert_eq!(other.unwrap_account_key(account(1), &wrapped).err(), Some(KeyError::WrongKey));
    }

    #[test]
    fn a_wrapped_key_with_any_bit_flipped_or_cut_anywhere_does_not_open() {
        let root = RootKey::from_bytes(&[1; 32]);
        let key = AccountKey::from_bytes(&[2; 32]);
        let wrapped = root.wrap_account_key(account(1), &key, NONCE).unwrap();
        for bit in 0..wrapped.as_bytes().len() * 8 {
            let mut bytes = wrapped.as_bytes().to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let flipped = WrappedKey::from_bytes(bytes);
            assert!(root.unwrap_account_key(account(1), &flipped).is_err(), "bit {bit}");
        }
        for len in 0..wrapped.as_bytes().len() {
            let cut = WrappedKey::from_bytes(wrapped.as_bytes()[..len].to_vec());
            assert!(root.unwrap_account_key(account(1), &cut).is_err(), "{len} bytes");
        }
    }

    #[test]
    fn a_key_id_tells_keys_apart_and_nothing_else_about_them() {
        let id = RootKey::from_bytes(&[1; 32]).id();
        assert_ne!(id, RootKey::from_bytes(&[2; 32]).id());
        assert_ne!(id.as_bytes(), &[1; KeyId::LEN]);
        assert_eq!(KeyId::from_slice(id.as_bytes()), Some(id));
        assert_eq!(KeyId::from_slice(&[0; 3]), None);
    }

    #[test]
    fn wrapped_keys_print_their_length_only() {
        let wrapped = WrappedKey::from_bytes(vec![0xab; 40]);
        assert_eq!(format!("{wrapped:?}"), "WrappedKey(40 bytes)");
        let json = serde_json::to_string(&wrapped).unwrap();
        assert_eq!(serde_json::from_str::<WrappedKey>(&json).unwrap(), wrapped);
    }

    #[test]
    fn only_an_uncompressed_point_is_a_public_key() {
        let mut point = [1; MailboxPublicKey::LEN];
        assert_eq!(MailboxPublicKey::from_slice(&point), None);
        point[0] = 4;
        let key = MailboxPublicKey::from_slice(&point).unwrap();
        assert_eq!(MailboxPublicKey::from_slice(&point[..64]), None);
        let json = serde_json::to_string(&key).unwrap();
        assert_eq!(serde_json::from_str::<MailboxPublicKey>(&json).unwrap(), key);
        assert!(serde_json::from_str::<MailboxPublicKey>("\"0102\"").is_err());
    }
}
