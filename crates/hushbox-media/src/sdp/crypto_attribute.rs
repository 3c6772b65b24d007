//! `a=crypto` (RFC 4568 §9.1): keys for SRTP in the session description.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

use crate::limits::{MKI_BYTES_MAX, SRTP_LIFETIME_MAX};
use crate::srtp::{MasterKey, Mki, Suite};

/// Padding may be missing.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
/// The longest inline key that is looked at; the longest valid one has 60 characters.
const INLINE_MAX: usize = 128;
/// The least replay window that a peer may ask for (RFC 4568 §6.3.7).
const WINDOW_SIZE_HINT_MIN: u32 = 64;

/// An acceptable `a=crypto`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CryptoAttribute {
    /// Names the line in the answer.
    pub tag: u32,
    /// The key that its writer sends with.
    pub master: MasterKey,
    /// Packets that the key may protect.
    pub lifetime: Option<u64>,
    /// What the writer's packets carry to name the key.
    pub mki: Option<Mki>,
}

/// Why an `a=crypto` is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CryptoRefusal {
    /// Not of the form tag, suite, `inline:`.
    Syntax,
    /// No decimal number of one to nine digits without leading zero, or used twice.
    Tag,
    /// A suite that is not spoken here.
    Suite,
    /// Not base64, or not of the suite's length.
    Key,
    /// Zero, above 2^48, or no number.
    Lifetime,
    /// No number that fits its length, or a length out of range.
    Mki,
    /// More than one key.
    ManyKeys,
    /// A session parameter that weakens the transform, or that must be understood and is not.
    Parameter,
}

impl CryptoAttribute {
    /// Reads the value of an `a=crypto`.
    pub fn parse(value: &str) -> Result<Self, CryptoRefusal> {
        let mut fields = value.split_ascii_whitespace();
        let (Some(tag), Some(suite), Some(keys)) = (fields.next(), fields.next(), fields.next())
        else {
            return Err(CryptoRefusal::Syntax);
        };
        let tag = parse_tag(tag)?;
        let suite = Suite::ALL
            .into_iter()
            .find(|known| known.name().eq_ignore_ascii_case(suite))
            .ok_or(CryptoRefusal::Suite)?;
        for parameter in fields {
            check_parameter(parameter)?;
        }
        if keys.contains(';') {
            return Err(CryptoRefusal::ManyKeys);
        }
        let (method, inline) = keys.split_once(':').ok_or(CryptoRefusal::Syntax)?;
        if !method.eq_ignore_ascii_case("inline") {
            return Err(CryptoRefusal::Syntax);
        }
        let mut parts = inline.split('|');
        let master = parse_key(suite, parts.next().unwrap_or_default())?;
        let (mut lifetime, mut mki) = (None, None);
        for part in parts {
            match part.split_once(':') {
                Some((value, length)) if mki.is_none() => mki = Some(parse_mki(value, length)?),
                // RFC 4568 §6.1: the lifetime comes before the MKI.
                None if lifetime.is_none() && mki.is_none() => {
                    lifetime = Some(parse_lifetime(part)?);
                }
                _ => return Err(CryptoRefusal::Syntax),
            }
        }
        Ok(Self { tag, master, lifetime, mki })
    }

    /// Its value: our lines name neither lifetime nor MKI.
    pub(crate) fn write(tag: u32, master: &MasterKey) -> Zeroizing<String> {
        let key = Zeroizing::new(BASE64.encode(master.octets()));
        Zeroizing::new(format!("{tag} {} inline:{}", master.suite().name(), *key))
    }

    /// The acceptable lines among `values`. A tag used twice spoils each line that has it.
    pub(crate) fn acceptable<'a>(values: impl Iterator<Item = &'a str>) -> Vec<Self> {
        let values: Vec<&str> = values.collect();
        let tag_of = |value: &str| value.split_ascii_whitespace().next()?.parse::<u32>().ok();
        let tags: Vec<_> = values.iter().map(|value| tag_of(value)).collect();
        let unique = |tag: u32| tags.iter().filter(|&&other| other == Some(tag)).count() == 1;
        let lines = values.iter().filter_map(|value| Self::parse(value).ok());
        lines.filter(|line| unique(line.tag)).collect()
    }
}

fn parse_tag(tag: &str) -> Result<u32, CryptoRefusal> {
    // RFC 4568 §9.1: 1 to 9 digits; §4: a positive number without leading zeroes.
    let valid = (1..=9).contains(&tag.len())
        && tag.bytes().all(|octet| octet.is_ascii_digit())
        && !tag.starts_with('0');
    if valid { tag.parse().map_err(|_| CryptoRefusal::Tag) } else { Err(CryptoRefusal::Tag) }
}

/// RFC 4568 §6.3. What makes the transform weaker is refused, as is what is not known.
fn check_parameter(parameter: &str) -> Result<(), CryptoRefusal> {
    let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
    let name = name.to_ascii_uppercase();
    let accepted = match name.as_str() {
        // §6.3.7: a hint; ours is larger than what is common.
        "WSH" => value.parse::<u32>().is_ok_and(|size| size >= WINDOW_SIZE_HINT_MIN),
        // §6.3.1: we derive keys once.
        "KDR" => value == "0",
        // §9.1: what starts with a dash may be ignored.
        _ => name.starts_with('-'),
    };
    if accepted { Ok(()) } else { Err(CryptoRefusal::Parameter) }
}

fn parse_key(suite: Suite, text: &str) -> Result<MasterKey, CryptoRefusal> {
    if text.len() > INLINE_MAX {
        return Err(CryptoRefusal::Key);
    }
    let octets = Zeroizing::new(BASE64.decode(text).map_err(|_| CryptoRefusal::Key)?);
    MasterKey::new(suite, &octets).ok_or(CryptoRefusal::Key)
}

fn parse_lifetime(text: &str) -> Result<u64, CryptoRefusal> {
    let packets = match text.strip_prefix("2^") {
        Some(power) => power.parse().ok().and_then(|power| 1u64.checked_shl(power)),
        None => text.parse().ok(),
    };
    packets
        .filter(|packets| (1..=SRTP_LIFETIME_MAX).contains(packets))
        .ok_or(CryptoRefusal::Lifetime)
}

fn parse_mki(value: &str, length: &str) -> Result<Mki, CryptoRefusal> {
    let length: usize = length.parse().map_err(|_| CryptoRefusal::Mki)?;
    let value: u128 = value.parse().map_err(|_| CryptoRefusal::Mki)?;
    if !(1..=MKI_BYTES_MAX).contains(&length) {
        return Err(CryptoRefusal::Mki);
    }
    if length < 16 && value >> (8 * length) != 0 {
        return Err(CryptoRefusal::Mki);
    }
    let mut octets = vec![0; length];
    let number = value.to_be_bytes();
    let common = length.min(number.len());
    octets[length - common..].copy_from_slice(&number[number.len() - common..]);
    Mki::new(octets).ok_or(CryptoRefusal::Mki)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CM_KEY: &str = "d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj";
    const CM: Suite = Suite::AesCm128HmacSha1_80;

    fn line(rest: &str) -> Result<CryptoAttribute, CryptoRefusal> {
        CryptoAttribute::parse(&format!("1 AES_CM_128_HMAC_SHA1_80 inline:{CM_KEY}{rest}"))
    }

    #[test]
    fn the_example_of_rfc_4568_is_read() {
        let crypto = line("|2^20|1:32 ").unwrap();
        assert_eq!((crypto.tag, crypto.lifetime), (1, Some(1 << 20)));
        let mut mki = vec![0; 32];
        mki[31] = 1;
        assert_eq!(crypto.mki, Mki::new(mki));
        assert_eq!(crypto.master.suite(), CM);
    }

    #[test]
    fn lifetime_and_mki_stand_alone_too() {
        assert_eq!(line("|2^31").unwrap().lifetime, Some(1 << 31));
        assert_eq!(line("|1000").unwrap().lifetime, Some(1000));
        assert_eq!(line("|258:2").unwrap().mki, Mki::new(vec![1, 2]));
        for bad in ["|0", "|2^49", "|2^64", "|2^x", "|281474976710657", "|2^31|2^31", "|1:1|2^31"] {
            assert!(line(bad).is_err(), "{bad}");
        }
        for bad in ["|256:1", "|1:0", "|1:129", "|x:1", "|1:1|1:1"] {
            assert!(line(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn parameters_that_weaken_or_are_unknown_refuse_the_line() {
        for bad in [
            "UNENCRYPTED_SRTP",
            "UNENCRYPTED_SRTCP",
            "UNAUTHENTICATED_SRTP",
            "unencrypted_srtp",
            "KDR=1",
            "FEC_ORDER=FEC_SRTP",
            "FEC_KEY=inline:x",
            "WSH=63",
            "NEW=1",
        ] {
            assert_eq!(line(&format!(" {bad}")), Err(CryptoRefusal::Parameter), "{bad}");
        }
        for good in ["WSH=64", "WSH=1024", "-NEW=1", "KDR=0"] {
            assert!(line(&format!(" {good}")).is_ok(), "{good}");
        }
    }

    #[test]
    fn keys_have_their_suites_length() {
        let gcm = BASE64.encode([7; 44]);
        let read =
            |suite: &str, key: &str| CryptoAttribute::parse(&format!("1 {suite} inline:{key}"));
        assert!(read("aead_aes_256_gcm", &gcm).is_ok());
        assert!(read("AEAD_AES_256_GCM", gcm.trim_end_matches('=')).is_ok());
        for (suite, octets) in [("AEAD_AES_256_GCM", 43), ("AEAD_AES_256_GCM", 46)] {
            let key = BASE64.encode(vec![7; octets]);
            assert_eq!(read(suite, &key), Err(CryptoRefusal::Key));
        }
        let key = BASE64.encode([7; 46]);
        assert_eq!(read("AES_CM_128_HMAC_SHA1_80", &key), Err(CryptoRefusal::Key));
        assert_eq!(read("AES_CM_128_HMAC_SHA1_80", "????"), Err(CryptoRefusal::Key));
        for suite in ["NULL_HMAC_SHA1_80", "F8_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32", "X"] {
            assert_eq!(read(suite, CM_KEY), Err(CryptoRefusal::Suite));
        }
    }

    #[test]
    fn tags_are_short_positive_and_unique() {
        for tag in ["0", "01", "x", "-1", "+1", "123456789012", ""] {
            let value = format!("{tag} AES_CM_128_HMAC_SHA1_80 inline:{CM_KEY}");
            assert!(CryptoAttribute::parse(&value).is_err(), "{tag}");
        }
        let good = format!("2 AES_CM_128_HMAC_SHA1_80 inline:{CM_KEY}");
        let unknown = format!("1 F8_128_HMAC_SHA1_80 inline:{CM_KEY}");
        let lines = [unknown.as_str(), good.as_str()];
        assert_eq!(CryptoAttribute::acceptable(lines.into_iter()).len(), 1);
        let lines = [good.as_str(), good.as_str()];
        assert!(CryptoAttribute::acceptable(lines.into_iter()).is_empty());
    }

    #[test]
    fn several_keys_on_one_line_are_not_misread() {
        let two = format!("|1:1;inline:{CM_KEY}|2:1");
        assert_eq!(line(&two), Err(CryptoRefusal::ManyKeys));
    }

    #[test]
    fn our_lines_are_readable() {
        for suite in Suite::ALL {
            let octets = vec![3; suite.key_bytes() + suite.salt_bytes()];
            let master = MasterKey::new(suite, &octets).unwrap();
            let read = CryptoAttribute::parse(&CryptoAttribute::write(7, &master)).unwrap();
            assert_eq!((read.tag, read.master), (7, master));
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics(value in "\\PC{0,120}", rest in "[ |:;^=0-9A-Za-z-]{0,40}") {
            let _ = CryptoAttribute::parse(&value);
            let _ = line(&rest);
        }
    }
}
