//! Session keys from a master key (RFC 3711 §4.3; RFC 7714 §11 for the GCM suites).

use aws_lc_rs::cipher::{AES_128, AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use zeroize::Zeroizing;

use super::MasterKey;

/// RFC 3711 §4.3.1 and §4.3.2: what a derived key is for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Label {
    RtpEncryption = 0,
    RtpAuthentication = 1,
    RtpSalt = 2,
    RtcpEncryption = 3,
    RtcpAuthentication = 4,
    RtcpSalt = 5,
}

/// Derives `length` octets. The key derivation rate is zero: `r` is zero for every index.
pub(super) fn derive(master: &MasterKey, label: Label, length: usize) -> Zeroizing<Vec<u8>> {
    // x = key_id XOR master_salt, both right-aligned in 112 bits, then 16 bits of counter. The
    // 96-bit salts of RFC 7714 §11 stand left-aligned, as libsrtp has them.
    let mut iv = [0; 16];
    iv[..master.salt().len()].copy_from_slice(master.salt());
    iv[7] ^= label as u8;
    let mut octets = Zeroizing::new(vec![0; length]);
    keystream(master.key(), iv, &mut octets);
    octets
}

/// AES in counter mode from `iv` on, added to `octets`.
fn keystream(key: &[u8], iv: [u8; 16], octets: &mut [u8]) {
    let context = EncryptionContext::Iv128(FixedLength::from(iv));
    counter_mode_key(key)
        .less_safe_encrypt(octets, context)
        .expect("counter mode takes any length and a 128-bit IV");
}

/// A key for AES in counter mode.
pub(super) fn counter_mode_key(key: &[u8]) -> EncryptingKey {
    let algorithm = if key.len() == 32 { &AES_256 } else { &AES_128 };
    UnboundCipherKey::new(algorithm, key)
        .and_then(EncryptingKey::ctr)
        .expect("a suite's key has its algorithm's length")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::srtp::Suite;
    use crate::test_support::hex;

    /// RFC 3711 appendix B.3.
    #[test]
    fn key_derivation_vector_of_rfc_3711() {
        let octets = hex("E1F97A0D3E018BE0D64FA32C06DE41390EC675AD498AFEEBB6960B3AABE6");
        let master = MasterKey::new(Suite::AesCm128HmacSha1_80, &octets).unwrap();
        assert_eq!(
            *derive(&master, Label::RtpEncryption, 16),
            hex("C61E7A93744F39EE10734AFE3FF7A087")
        );
        assert_eq!(*derive(&master, Label::RtpSalt, 14), hex("30CBBC08863D8C85D49DB34A9AE1"));
        assert_eq!(
            *derive(&master, Label::RtpAuthentication, 94),
            hex(concat!(
                "CEBE321F6FF7716B6FD4AB49AF256A156D38BAA48F0A0ACF3C34E2359E6CDBCE",
                "E049646C43D9327AD175578EF72270986371C10C9A369AC2F94A8C5FBCDDDC25",
                "6D6E919A48B610EF17C2041E474035766B68642C59BBFC2F34DB60DBDFB2",
            ))
        );
    }

    /// RFC 3711 appendix B.2.
    #[test]
    fn key_stream_vector_of_rfc_3711() {
        let mut iv = [0; 16];
        iv[..14].copy_from_slice(&hex("F0F1F2F3F4F5F6F7F8F9FAFBFCFD"));
        let mut octets = vec![0; 16 * 0xff02];
        keystream(&hex("2B7E151628AED2A6ABF7158809CF4F3C"), iv, &mut octets);
        assert_eq!(
            octets[..48],
            hex(concat!(
                "E03EAD0935C95E80E166B16DD92B4EB4",
                "D23513162B02D0F72A43A2FE4A5F97AB",
                "41E95B3BB0A2E8DD477901E4FCA894C0",
            ))
        );
        assert_eq!(
            octets[16 * 0xfeff..],
            hex(concat!(
                "EC8CDF7398607CB0F2D21675EA9EA1E4",
                "362B7C3C6773516318A077D7FC5073AE",
                "6A2CC3787889374FBEB4C81B17BA6C44",
            ))
        );
    }
}
