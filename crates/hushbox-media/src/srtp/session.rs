//! Session keys at work: one packet, one index, no memory.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{EncryptingKey, EncryptionContext};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use aws_lc_rs::iv::FixedLength;

use super::key_derivation::{Label, counter_mode_key, derive};
use super::{MasterKey, PacketIndex, SrtpError, Suite};
use crate::rtp::Ssrc;

/// Octets of the HMAC-SHA1 key (RFC 3711 §8.2) and of its tag.
const HMAC_KEY_BYTES: usize = 20;
const HMAC_TAG_BYTES: usize = 10;
const GCM_TAG_BYTES: usize = 16;

/// The keys of one direction for either RTP or RTCP.
pub(super) enum SessionKeys {
    /// RFC 3711. Its HMAC key is large.
    CounterMode(Box<CounterMode>),
    /// RFC 7714.
    Gcm { key: LessSafeKey, salt: [u8; 12] },
}

pub(super) struct CounterMode {
    encryption: EncryptingKey,
    salt: [u8; 14],
    authentication: hmac::Key,
}

impl std::fmt::Debug for SessionKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SessionKeys(…)")
    }
}

impl SessionKeys {
    pub(super) fn rtp(master: &MasterKey) -> Self {
        Self::derived(master, [Label::RtpEncryption, Label::RtpAuthentication, Label::RtpSalt])
    }

    pub(super) fn rtcp(master: &MasterKey) -> Self {
        Self::derived(master, [Label::RtcpEncryption, Label::RtcpAuthentication, Label::RtcpSalt])
    }

    fn derived(master: &MasterKey, [encryption, authentication, salt]: [Label; 3]) -> Self {
        let suite = master.suite();
        let key = derive(master, encryption, suite.key_bytes());
        let salt = derive(master, salt, suite.salt_bytes());
        match suite {
            Suite::AesCm128HmacSha1_80 => {
                let authentication = derive(master, authentication, HMAC_KEY_BYTES);
                Self::counter_mode(&key, &salt, &authentication)
            }
            Suite::AeadAes256Gcm => Self::gcm(&key, &salt),
        }
    }

    fn counter_mode(key: &[u8], salt: &[u8], authentication: &[u8]) -> Self {
        Self::CounterMode(Box::new(CounterMode {
            encryption: counter_mode_key(key),
            salt: salt.try_into().expect("the suite's salt length was derived"),
            authentication: hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, authentication),
        }))
    }

    fn gcm(key: &[u8], salt: &[u8]) -> Self {
        let key = UnboundKey::new(&AES_256_GCM, key).expect("the suite's key length was derived");
        Self::Gcm {
            key: LessSafeKey::new(key),
            salt: salt.try_into().expect("the suite's salt length was derived"),
        }
    }

    /// Encrypts `packet[header..length]`; the tag follows it. Gives the new length.
    pub(super) fn seal_rtp(
        &self,
        buffer: &mut [u8],
        header: usize,
        length: usize,
        ssrc: Ssrc,
        index: PacketIndex,
    ) -> Result<usize, SrtpError> {
        match self {
            Self::CounterMode(keys) => {
                let CounterMode { encryption, salt, authentication } = &**keys;
                let packet = buffer.get_mut(..length).ok_or(SrtpError::Malformed)?;
                let body = packet.get_mut(header..).ok_or(SrtpError::Malformed)?;
                counter_mode(encryption, counter_mode_iv(salt, ssrc, index.0), body)?;
                let tag = hmac_tag(authentication, packet, &index.roc().to_be_bytes());
                put(buffer, length, &tag)
            }
            Self::Gcm { key, salt } => {
                let packet = buffer.get_mut(..length).ok_or(SrtpError::Malformed)?;
                let (aad, body) =
                    packet.split_at_mut_checked(header).ok_or(SrtpError::Malformed)?;
                let nonce = Nonce::assume_unique_for_key(gcm_rtp_iv(salt, ssrc, index));
                let tag = key
                    .seal_in_place_separate_tag(nonce, Aad::from(&*aad), body)
                    .map_err(|_| SrtpError::Malformed)?;
                put(buffer, length, tag.as_ref())
            }
        }
    }

    /// Checks and decrypts `packet` (without MKI) in place; gives the length in clear. What does
    /// not authenticate may have been overwritten.
    pub(super) fn open_rtp(
        &self,
        packet: &mut [u8],
        header: usize,
        tag: &[u8],
        ssrc: Ssrc,
        index: PacketIndex,
    ) -> Result<(), SrtpError> {
        let (aad, body) = packet.split_at_mut_checked(header).ok_or(SrtpError::Malformed)?;
        match self {
            Self::CounterMode(keys) => {
                let CounterMode { encryption, salt, authentication } = &**keys;
                let roc = index.roc().to_be_bytes();
                verify(authentication, &[aad, body, &roc], tag)?;
                counter_mode(encryption, counter_mode_iv(salt, ssrc, index.0), body)
            }
            Self::Gcm { key, salt } => {
                let nonce = Nonce::assume_unique_for_key(gcm_rtp_iv(salt, ssrc, index));
                key.open_in_place_separate_tag(nonce, Aad::from(&*aad), tag, body)
                    .map(|_| ())
                    .map_err(|_| SrtpError::Authentication)
            }
        }
    }

    /// Encrypts an RTCP packet of `length` octets; `E` and index, and tag, follow in the suite's
    /// order. Gives the new length.
    pub(super) fn seal_rtcp(
        &self,
        buffer: &mut [u8],
        length: usize,
        ssrc: Ssrc,
        index: u32,
    ) -> Result<usize, SrtpError> {
        let word = (RTCP_ENCRYPTED | index).to_be_bytes();
        match self {
            Self::CounterMode(keys) => {
                let CounterMode { encryption, salt, authentication } = &**keys;
                let body = buffer.get_mut(RTCP_HEADER_BYTES..length).ok_or(SrtpError::Malformed)?;
                let iv = counter_mode_iv(salt, ssrc, u64::from(index));
                counter_mode(encryption, iv, body)?;
                let length = put(buffer, length, &word)?;
                let tag = hmac_tag(authentication, &buffer[..length], &[]);
                put(buffer, length, &tag)
            }
            Self::Gcm { key, salt } => {
                let packet = buffer.get_mut(..length).ok_or(SrtpError::Malformed)?;
                let (header, body) = packet.split_first_chunk_mut().ok_or(SrtpError::Malformed)?;
                let nonce = Nonce::assume_unique_for_key(gcm_rtcp_iv(salt, ssrc, index));
                let tag = key
                    .seal_in_place_separate_tag(nonce, Aad::from(gcm_rtcp_aad(header, word)), body)
                    .map_err(|_| SrtpError::Malformed)?;
                let length = put(buffer, length, tag.as_ref())?;
                put(buffer, length, &word)
            }
        }
    }

    /// Checks and decrypts an RTCP packet in place, without MKI, tag and index.
    pub(super) fn open_rtcp(
        &self,
        packet: &mut [u8],
        tag: &[u8],
        ssrc: Ssrc,
        index: u32,
    ) -> Result<(), SrtpError> {
        let word = (RTCP_ENCRYPTED | index).to_be_bytes();
        let (header, body) =
            packet.split_first_chunk_mut::<RTCP_HEADER_BYTES>().ok_or(SrtpError::Malformed)?;
        match self {
            Self::CounterMode(keys) => {
                let CounterMode { encryption, salt, authentication } = &**keys;
                verify(authentication, &[header, body, &word], tag)?;
                counter_mode(encryption, counter_mode_iv(salt, ssrc, u64::from(index)), body)
            }
            Self::Gcm { key, salt } => {
                let nonce = Nonce::assume_unique_for_key(gcm_rtcp_iv(salt, ssrc, index));
                let aad = Aad::from(gcm_rtcp_aad(header, word));
                key.open_in_place_separate_tag(nonce, aad, tag, body)
                    .map(|_| ())
                    .map_err(|_| SrtpError::Authentication)
            }
        }
    }

    /// Octets of its tag.
    pub(super) fn tag_bytes(&self) -> usize {
        match self {
            Self::CounterMode(_) => HMAC_TAG_BYTES,
            Self::Gcm { .. } => GCM_TAG_BYTES,
        }
    }

    /// Whether the tag stands before the SRTCP index (RFC 7714 §9.2) or after it.
    pub(super) fn rtcp_tag_first(&self) -> bool {
        matches!(self, Self::Gcm { .. })
    }
}

/// RTCP octets that stay in clear: the first word and the sender's SSRC (RFC 3711 §3.4).
pub(super) const RTCP_HEADER_BYTES: usize = 8;
/// The E flag.
pub(super) const RTCP_ENCRYPTED: u32 = 0x8000_0000;

fn counter_mode(key: &EncryptingKey, iv: [u8; 16], body: &mut [u8]) -> Result<(), SrtpError> {
    key.less_safe_encrypt(body, EncryptionContext::Iv128(FixedLength::from(iv)))
        .map(|_| ())
        .map_err(|_| SrtpError::Malformed)
}

/// RFC 3711 §4.1.1: IV = (k_s * 2^16) XOR (SSRC * 2^64) XOR (i * 2^16).
fn counter_mode_iv(salt: &[u8; 14], ssrc: Ssrc, index: u64) -> [u8; 16] {
    let mut iv = [0; 16];
    iv[..14].copy_from_slice(salt);
    let packet = u128::from(ssrc.0) << 64 ^ u128::from(index) << 16;
    (u128::from_be_bytes(iv) ^ packet).to_be_bytes()
}

/// RFC 7714 §8.1: 0 (2 octets), SSRC, ROC, SEQ; added to the salt.
fn gcm_rtp_iv(salt: &[u8; 12], ssrc: Ssrc, index: PacketIndex) -> [u8; 12] {
    gcm_iv(salt, u128::from(ssrc.0) << 48 | u128::from(index.0 & 0xffff_ffff_ffff))
}

/// RFC 7714 §9.1: 0 (2 octets), SSRC, 0 (2 octets), the index in 32 bits; added to the salt.
fn gcm_rtcp_iv(salt: &[u8; 12], ssrc: Ssrc, index: u32) -> [u8; 12] {
    gcm_iv(salt, u128::from(ssrc.0) << 48 | u128::from(index))
}

fn gcm_iv(salt: &[u8; 12], packet: u128) -> [u8; 12] {
    let mut iv = *salt;
    for (octet, packet) in iv.iter_mut().zip(&packet.to_be_bytes()[4..]) {
        *octet ^= packet;
    }
    iv
}

/// RFC 7714 §9.2: the RTCP header, then the word with E and index.
fn gcm_rtcp_aad(header: &[u8; RTCP_HEADER_BYTES], word: [u8; 4]) -> [u8; 12] {
    let mut aad = [0; 12];
    aad[..RTCP_HEADER_BYTES].copy_from_slice(header);
    aad[RTCP_HEADER_BYTES..].copy_from_slice(&word);
    aad
}

/// RFC 3711 §4.2.1.
fn hmac_tag(key: &hmac::Key, packet: &[u8], more: &[u8]) -> [u8; HMAC_TAG_BYTES] {
    let mut context = hmac::Context::with_key(key);
    context.update(packet);
    context.update(more);
    let mut tag = [0; HMAC_TAG_BYTES];
    tag.copy_from_slice(&context.sign().as_ref()[..HMAC_TAG_BYTES]);
    tag
}

fn verify(key: &hmac::Key, parts: &[&[u8]], tag: &[u8]) -> Result<(), SrtpError> {
    let mut context = hmac::Context::with_key(key);
    for part in parts {
        context.update(part);
    }
    verify_slices_are_equal(&context.sign().as_ref()[..HMAC_TAG_BYTES], tag)
        .map_err(|_| SrtpError::Authentication)
}

fn put(buffer: &mut [u8], at: usize, octets: &[u8]) -> Result<usize, SrtpError> {
    let end = at + octets.len();
    buffer.get_mut(at..end).ok_or(SrtpError::Malformed)?.copy_from_slice(octets);
    Ok(end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::hex;

    const GALLIA: &str = concat!(
        "47616c6c696120657374206f6d6e697320",
        "646976697361 20696e20706172746573 2074726573"
    );

    fn rfc_7714_keys() -> SessionKeys {
        let key: Vec<u8> = (0..32).collect();
        SessionKeys::gcm(&key, &hex("517569642070726f2071756f"))
    }

    /// RFC 7714 §16.2.1 and §16.2.2.
    #[test]
    fn srtp_vector_of_rfc_7714() {
        let keys = rfc_7714_keys();
        let header = hex("8040f17b8041f8d35501a0b2");
        let mut packet = [header.clone(), hex(GALLIA), vec![0; 16]].concat();
        let index = PacketIndex::new(0, 0xf17b);
        let ssrc = Ssrc(0x5501_a0b2);
        let length = keys.seal_rtp(&mut packet, 12, 12 + 38, ssrc, index).unwrap();
        assert_eq!(length, packet.len());
        let expected = hex(concat!(
            "8040f17b8041f8d35501a0b2",
            "32b1de78a822fe12ef9f78fa332e33aab18012389a58e2f3b50b2a0276ffae0f1ba63799b87b",
            "7aa3db36dfffd6b0f9bb7878d7a76c13",
        ));
        assert_eq!(packet, expected);
        let (body, tag) = packet.split_at_mut(50);
        keys.open_rtp(body, 12, tag, ssrc, index).unwrap();
        assert_eq!(body[12..], hex(GALLIA));
    }

    /// RFC 7714 §17.3.
    #[test]
    fn srtcp_vector_of_rfc_7714() {
        let keys = rfc_7714_keys();
        let clear = hex(concat!(
            "81c8000d4d6172734e5450314e545032525450200000042a0000e930",
            "4c756e61deadbeefdeadbeefdeadbeefdeadbeefdeadbeef",
        ));
        let mut packet = [clear.clone(), vec![0; 20]].concat();
        let ssrc = Ssrc(0x4d61_7273);
        let length = keys.seal_rtcp(&mut packet, clear.len(), ssrc, 0x5d4).unwrap();
        assert_eq!(
            packet[..length],
            hex(concat!(
                "81c8000d4d617273",
                "d50ae4d1f5ce5d304ba297e47d470c282c3ece5dbffe0a50a2eaa5c1110555be",
                "8415f658c61de0476f1b6fad",
                "1d1eb30c4446839f57ff6f6cb26ac3be800005d4",
            ))
        );
    }
}
