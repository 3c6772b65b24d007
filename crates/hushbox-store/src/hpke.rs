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

#[cfg(test)]
mod tests {
    use ::hpke::aead::AesGcm256;
    use ::hpke::kdf::HkdfSha256;
    use ::hpke::kem::DhP256HkdfSha256;
    use ::hpke::{
        Deserializable, Kem, OpModeR, OpModeS, Serializable, single_shot_open, single_shot_seal,
    };

    use super::*;

    fn place() -> Place {
        Place {
            account: AccountId::from_bytes([1; 16]),
            mailbox: MailboxId::from_bytes([2; 16]),
            message: MessageId::from_bytes([3; 16]),
            epoch: 1,
            profile: Profile::Hipaa,
        }
    }

    fn opened(
        with: &MailboxPrivateKey,
        kind: Kind,
        place: &Place,
        sealed: &[u8],
    ) -> Option<Vec<u8>> {
        open(with, kind, place, sealed).map(|bytes| bytes.to_vec())
    }

    #[test]
    fn another_implementation_opens_what_is_sealed_here() {
        let (public, private) = generate_mailbox_keys().unwrap();
        let sealed = seal(&public, Kind::MessageKey, &place(), b"a message's key").unwrap();
        let (enc, ciphertext) = sealed[HEADER.len()..].split_at(ENC_LEN);
        let key = <DhP256HkdfSha256 as Kem>::PrivateKey::from_bytes(private.expose()).unwrap();
        let enc = <DhP256HkdfSha256 as Kem>::EncappedKey::from_bytes(enc).unwrap();
        let opened = single_shot_open::<AesGcm256, HkdfSha256, DhP256HkdfSha256>(
            &OpModeR::Base,
            &key,
            &enc,
            Kind::MessageKey.info(),
            ciphertext,
            &place().aad(),
        );
        assert_eq!(opened.unwrap(), b"a message's key");
    }

    #[test]
    fn what_another_implementation_seals_opens_here() {
        let (public, private) = generate_mailbox_keys().unwrap();
        let key = <DhP256HkdfSha256 as Kem>::PublicKey::from_bytes(public.as_bytes()).unwrap();
        let (enc, ciphertext) = single_shot_seal::<AesGcm256, HkdfSha256, DhP256HkdfSha256>(
            &OpModeS::Base,
            &key,
            Kind::Envelope.info(),
            b"an envelope",
            &place().aad(),
        )
        .unwrap();
        let sealed = [&HEADER, enc.to_bytes().as_slice(), &ciphertext].concat();
        let opened = opened(&private, Kind::Envelope, &place(), &sealed);
        assert_eq!(opened.as_deref(), Some(b"an envelope".as_slice()));
    }

    #[test]
    fn what_is_sealed_for_one_place_opens_in_no_other() {
        let (public, private) = generate_mailbox_keys().unwrap();
        let sealed = seal(&public, Kind::MessageKey, &place(), &[9; 32]).unwrap();
        let elsewhere = [
            Place { account: AccountId::from_bytes([9; 16]), ..place() },
            Place { mailbox: MailboxId::from_bytes([9; 16]), ..place() },
            Place { message: MessageId::from_bytes([9; 16]), ..place() },
            Place { epoch: 2, ..place() },
            Place { profile: Profile::Standard, ..place() },
        ];
        for other in elsewhere {
            assert_eq!(opened(&private, Kind::MessageKey, &other, &sealed), None, "{other:?}");
        }
        assert_eq!(opened(&private, Kind::Envelope, &place(), &sealed), None);
        let (_, stranger) = generate_mailbox_keys().unwrap();
        assert_eq!(opened(&stranger, Kind::MessageKey, &place(), &sealed), None);
        assert!(opened(&private, Kind::MessageKey, &place(), &sealed).is_some());
    }

    #[test]
    fn a_sealed_key_with_any_byte_changed_or_cut_anywhere_does_not_open() {
        let (public, private) = generate_mailbox_keys().unwrap();
        let sealed = seal(&public, Kind::MessageKey, &place(), &[9; 32]).unwrap();
        for at in 0..sealed.len() {
            let mut flipped = sealed.clone();
            flipped[at] ^= 1 << (at % 8);
            assert_eq!(opened(&private, Kind::MessageKey, &place(), &flipped), None, "byte {at}");
            assert_eq!(opened(&private, Kind::MessageKey, &place(), &sealed[..at]), None);
        }
    }

    #[test]
    fn a_point_off_the_curve_seals_nothing() {
        let mut point = [7; MailboxPublicKey::LEN];
        point[0] = 4;
        let key = MailboxPublicKey::from_slice(&point).unwrap();
        let sealed = seal(&key, Kind::MessageKey, &place(), &[9; 32]);
        assert_eq!(sealed, Err(SealError::NotAPublicKey));
    }

    #[test]
    fn the_halves_of_two_pairs_do_not_belong_together() {
        let (one, one_private) = generate_mailbox_keys().unwrap();
        let (_, other_private) = generate_mailbox_keys().unwrap();
        assert!(belong_together(&one, &one_private));
        assert!(!belong_together(&one, &other_private));
    }
}
