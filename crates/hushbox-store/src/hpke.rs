//! Sealing to a mailbox: HPKE (RFC 9180) in base mode with DHKEM(P-256, HKDF-SHA256), HKDF-SHA256, AES-256-GCM.
//!
//! The primitives are rustls's provider over aws-lc-rs; it draws its own randomness for the ephemeral key. What is
//! sealed names its suite, so that another one (a hybrid with a post-quantum KEM) can follow without a new format.

use hushbox_policy::{AccountId, MailboxId, MessageId, Profile};
use rustls::crypto::aws_lc_rs::hpke::DH_KEM_P256_HKDF_SHA256_AES_256 as SUITE;
use rustls::crypto::hpke::{EncapsulatedSecret, Hpke, HpkePrivateKey, HpkePublicKey};
use zeroize::Zeroizing;

use crate::error::{KeyError, SealError};
use crate::keys::{KEY_LEN, MailboxPrivateKey, MailboxPublicKey, MessageKey};

/// RFC 9180 §7.1-7.3: kem 0x0010, kdf 0x0001, aead 0x0002, behind a version.
const HEADER: [u8; 7] = [1, 0x00, 0x10, 0x00, 0x01, 0x00, 0x02];
/// An encapsulated key is an uncompressed point.
const ENC_LEN: usize = 65;

/// What a message's sealed parts belong to: the associated data of their sealing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) account: AccountId,
    pub(crate) mailbox: MailboxId,
    pub(crate) message: MessageId,
    pub(crate) epoch: u32,
    pub(crate) profile: Profile,
}

impl Place {
    fn aad(&self) -> Vec<u8> {
        let mut aad = Vec::with_capacity(64);
        aad.extend_from_slice(self.account.as_bytes());
        aad.extend_from_slice(self.mailbox.as_bytes());
        aad.extend_from_slice(self.message.as_bytes());
        aad.extend_from_slice(&self.epoch.to_be_bytes());
        aad.push(self.profile.to_byte());
        aad
    }
}

/// What is sealed: two kinds that can never stand for one another.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    MessageKey,
    Envelope,
}

impl Kind {
    fn info(self) -> &'static [u8] {
        match self {
            Kind::MessageKey => b"hushbox message key 1",
            Kind::Envelope => b"hushbox envelope 1",
        }
    }
}

/// Makes a mailbox's pair of keys.
pub fn generate_mailbox_keys() -> Result<(MailboxPublicKey, MailboxPrivateKey), KeyError> {
    let (public, private) = SUITE.generate_key_pair().map_err(|_| KeyError::Cipher)?;
    let public = MailboxPublicKey::from_slice(&public.0).ok_or(KeyError::Cipher)?;
    let scalar: &[u8; KEY_LEN] = private.secret_bytes().try_into().map_err(|_| KeyError::Cipher)?;
    Ok((public, MailboxPrivateKey::from_bytes(scalar)))
}

pub(crate) fn seal(
    to: &MailboxPublicKey,
    kind: Kind,
    place: &Place,
    plaintext: &[u8],
) -> Result<Vec<u8>, SealError> {
    let to = HpkePublicKey(to.as_bytes().to_vec());
    let (enc, ciphertext) = SUITE
        .seal(kind.info(), &place.aad(), plaintext, &to)
        .map_err(|_| SealError::NotAPublicKey)?;
    if enc.0.len() != ENC_LEN {
        return Err(SealError::Cipher);
    }
    Ok([&HEADER, enc.0.as_slice(), ciphertext.as_slice()].concat())
}

/// `None` for anything that was not sealed to this key, as this kind, for this place.
pub(crate) fn open(
    with: &MailboxPrivateKey,
    kind: Kind,
    place: &Place,
    sealed: &[u8],
) -> Option<Zeroizing<Vec<u8>>> {
    let rest = sealed.strip_prefix(&HEADER)?;
    let (enc, ciphertext) = rest.split_at_checked(ENC_LEN)?;
    let key = HpkePrivateKey::from(with.expose().to_vec());
    SUITE
        .open(&EncapsulatedSecret(enc.to_vec()), kind.info(), &place.aad(), ciphertext, &key)
        .ok()
        .map(Zeroizing::new)
}

pub(crate) fn seal_message_key(
    to: &MailboxPublicKey,
    place: &Place,
    key: &MessageKey,
) -> Result<Vec<u8>, SealError> {
    seal(to, Kind::MessageKey, place, key.expose())
}

pub(crate) fn open_message_key(
    with: &MailboxPrivateKey,
    place: &Place,
    sealed: &[u8],
) -> Option<MessageKey> {
    let bytes = open(with, Kind::MessageKey, place, sealed)?;
    bytes.as_slice().try_into().ok().map(MessageKey::from_bytes)
}

/// Whether the two halves belong together: what is sealed to one opens with the other.
pub(crate) fn belong_together(public: &MailboxPublicKey, private: &MailboxPrivateKey) -> bool {
    let info = b"hushbox key check 1";
    SUITE.seal(info, b"", b"", &HpkePublicKey(public.as_bytes().to_vec())).is_ok_and(
        |(enc, sealed)| {
            let private = HpkePrivateKey::from(private.expose().to_vec());
            SUITE.open(&enc, info, b"", &sealed, &private).is_ok()
        },
    )
}
