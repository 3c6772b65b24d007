//! Offers and answers (RFC 8866, RFC 3264) with SDES keys (RFC 4568), by text.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

use crate::error::Error;
use crate::g711::Codec;
use crate::srtp::{MasterKey, Suite};

/// RFC 4568 §6.1: padding may be there or not.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What is asked of the media.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Security {
    /// SRTP with keys in the SDP; these suites, in this order.
    Sdes(Vec<Suite>),
    /// Plain RTP, for lab calls and to be refused elsewhere.
    Plain,
}

/// Which way media flows, from our side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Both ways.
    SendRecv,
    /// We put the peer on hold.
    SendOnly,
    /// We only listen.
    RecvOnly,
    /// Neither way.
    Inactive,
}

impl Direction {
    fn attribute(self) -> &'static str {
        match self {
            Self::SendRecv => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::RecvOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }

    fn parse(attribute: &str) -> Option<Self> {
        let all = [Self::SendRecv, Self::SendOnly, Self::RecvOnly, Self::Inactive];
        all.into_iter().find(|d| d.attribute() == attribute)
    }
}

/// The suite, our key and the peer's.
pub type AgreedKeys = (Suite, MasterKey, MasterKey);

/// The payload type that is offered for telephone events.
pub(crate) const TELEPHONE_EVENT: u8 = 101;

/// What this end offers; kept for the whole call, so that a later offer says the same.
#[derive(Debug, Clone)]
pub struct Offer {
    /// Where RTP is expected; RTCP one port above.
    pub local: SocketAddr,
    /// The codecs in their order.
    pub codecs: Vec<Codec>,
    /// The direction.
    pub direction: Direction,
    session_id: u64,
    version: u64,
    keys: Vec<(u32, Suite, MasterKey)>,
    telephone_event: u8,
}

/// What was agreed.
#[derive(Debug, Clone)]
pub struct Agreement {
    /// Where RTP goes.
    pub rtp: SocketAddr,
    /// Where RTCP goes.
    pub rtcp: SocketAddr,
    /// The codec that we send.
    pub codec: Codec,
    /// The payload type for digits.
    pub telephone_event: Option<u8>,
    /// The suite, our key and the peer's.
    pub keys: Option<AgreedKeys>,
    /// The peer's direction.
    pub direction: Direction,
}

impl Offer {
    /// An offer with fresh keys.
    pub fn new(
        local: SocketAddr,
        security: &Security,
        codecs: &[Codec],
        session_id: u64,
    ) -> Result<Self, Error> {
        let suites: &[Suite] = match security {
            Security::Sdes(suites) if suites.is_empty() => {
                return Err(Error::Plan("SDES needs a suite".into()));
            }
            Security::Sdes(suites) => suites,
            Security::Plain => &[],
        };
        let mut keys = Vec::new();
        for (tag, suite) in (1..).zip(suites) {
            keys.push((tag, *suite, MasterKey::random(*suite)?));
        }
        Ok(Self {
            local,
            codecs: codecs.to_vec(),
            direction: Direction::SendRecv,
            session_id,
            version: 1,
            keys,
            telephone_event: TELEPHONE_EVENT,
        })
    }

    /// The first suite that is offered, and its key.
    pub(crate) fn key(&self) -> Option<(Suite, &MasterKey)> {
        self.keys.first().map(|(_, suite, key)| (*suite, key))
    }

    /// The same session, one version on, in another direction (RFC 3264 §8).
    pub fn turn(&mut self, direction: Direction) {
        self.direction = direction;
        self.version += 1;
    }

    /// The offer's text.
    pub fn text(&self) -> String {
        let ip = self.local.ip();
        let family = match ip {
            IpAddr::V4(_) => "IP4",
            IpAddr::V6(_) => "IP6",
        };
        let (profile, telephone_event) = (self.profile(), self.telephone_event);
        let payload_types: Vec<String> =
            self.codecs.iter().map(|c| c.payload_type().to_string()).collect();
        let mut text = format!(
            "v=0\r\no=- {} {} IN {family} {ip}\r\ns=-\r\nc=IN {family} {ip}\r\nt=0 0\r\n\
             m=audio {} {profile} {} {telephone_event}\r\n",
            self.session_id,
            self.version,
            self.local.port(),
            payload_types.join(" "),
        );
        // Writing to a String cannot fail.
        for codec in &self.codecs {
            let _ = write!(text, "a=rtpmap:{} {}/8000\r\n", codec.payload_type(), codec.name());
        }
        let _ = write!(text, "a=rtpmap:{telephone_event} telephone-event/8000\r\n");
        let _ = write!(text, "a=fmtp:{telephone_event} 0-15\r\na=ptime:20\r\n");
        let _ = write!(text, "a={}\r\n", self.direction.attribute());
        for (tag, suite, key) in &self.keys {
            let _ = write!(text, "a=crypto:{tag} {} inline:{}\r\n", suite.name(), key.to_base64());
        }
        text
    }

    /// Reads the answer to this offer.
    pub fn read_answer(&self, body: &[u8]) -> Result<Agreement, Error> {
        let media = MediaLines::read(body)?;
        if media.profile != self.profile() {
            let (theirs, ours) = (media.profile, self.profile());
            return Err(Error::Answer(format!("{theirs} where {ours} was offered")));
        }
        self.agreement(&media, self.agreed_keys(&media.attributes)?)
    }

    /// Answers the peer's offer (it came in the 2xx, RFC 3261 §13.2.1) by the first of its lines that is in
    /// this one too; later offers say the same.
    pub fn answer(&mut self, body: &[u8]) -> Result<Agreement, Error> {
        let wrong = |what: &str| Error::Answer(what.to_owned());
        let media = MediaLines::read(body)?;
        if media.profile != self.profile() {
            return Err(Error::Answer(format!("{} was offered", media.profile)));
        }
        let mut keys = None;
        if !self.keys.is_empty() {
            let lines = media.attributes.iter().filter_map(|a| a.strip_prefix("crypto:"));
            let chosen = lines.filter_map(CryptoLine::read).find_map(|line| {
                let (_, suite, ours) = self.keys.iter().find(|(_, s, _)| line.is_for(*s))?;
                Some((line.tag, *suite, ours.clone(), line.key(*suite)?))
            });
            let (tag, suite, ours, theirs) =
                chosen.ok_or_else(|| wrong("no suite that we have"))?;
            self.keys = vec![(tag, suite, ours.clone())];
            keys = Some((suite, ours, theirs));
        }
        let agreement = self.agreement(&media, keys)?;
        self.codecs = vec![agreement.codec];
        // RFC 3264 §6.1: the payload type is the offer's.
        self.telephone_event = agreement.telephone_event.unwrap_or(self.telephone_event);
        Ok(agreement)
    }

    fn profile(&self) -> &'static str {
        if self.keys.is_empty() { "RTP/AVP" } else { "RTP/SAVP" }
    }

    fn agreement(
        &self,
        media: &MediaLines<'_>,
        keys: Option<AgreedKeys>,
    ) -> Result<Agreement, Error> {
        let mut codecs = media.payload_types.iter().filter_map(|p| Codec::of_payload_type(*p));
        let codec = codecs.find(|c| self.codecs.contains(c));
        let digits = media.attributes.iter().find_map(|a| {
            let (payload_type, encoding) = a.strip_prefix("rtpmap:")?.split_once(' ')?;
            let known = encoding.trim().eq_ignore_ascii_case("telephone-event/8000");
            known.then(|| payload_type.parse().ok())?
        });
        let direction = media.attributes.iter().find_map(|a| Direction::parse(a));
        let rtcp_port = media.attributes.iter().find_map(|a| {
            let value = a.strip_prefix("rtcp:")?;
            value.split(' ').next()?.parse().ok()
        });
        Ok(Agreement {
            rtp: SocketAddr::new(media.address, media.port),
            rtcp: SocketAddr::new(media.address, rtcp_port.unwrap_or(media.port.saturating_add(1))),
            codec: codec.ok_or_else(|| Error::Answer("no codec of ours".into()))?,
            telephone_event: digits.filter(|p| media.payload_types.contains(p)),
            keys,
            direction: direction.unwrap_or(Direction::SendRecv),
        })
    }

    /// RFC 4568 §5.1.2, §5.1.3: exactly one line, with the tag and suite of an offered one.
    fn agreed_keys(&self, attributes: &[&str]) -> Result<Option<AgreedKeys>, Error> {
        let wrong = |what: &str| Error::Answer(what.to_owned());
        let mut lines = attributes.iter().filter_map(|a| a.strip_prefix("crypto:"));
        let line = match (lines.next(), self.keys.is_empty()) {
            (None, true) => return Ok(None),
            (None, false) => return Err(wrong("no a=crypto")),
            (Some(_), true) => return Err(wrong("a=crypto that was not offered")),
            (Some(line), false) => CryptoLine::read(line).ok_or_else(|| wrong("a=crypto"))?,
        };
        if lines.next().is_some() {
            return Err(wrong("more than one a=crypto"));
        }
        if line.parameters {
            return Err(wrong("session parameters in a=crypto"));
        }
        let offered = self.keys.iter().find(|(tag, s, _)| *tag == line.tag && line.is_for(*s));
        let (_, suite, ours) =
            offered.ok_or_else(|| wrong("a tag and suite that were not offered"))?;
        let theirs = line.key(*suite).ok_or_else(|| wrong("the key's length"))?;
        if theirs == *ours {
            return Err(wrong("our own key came back"));
        }
        Ok(Some((*suite, ours.clone(), theirs)))
    }
}

/// `a=crypto:TAG SUITE inline:KEY[|LIFETIME[|MKI]] [PARAMETERS]` (RFC 4568 §9.1). No Debug: it holds a key.
struct CryptoLine<'a> {
    tag: u32,
    suite: &'a str,
    inline: &'a str,
    parameters: bool,
}

impl<'a> CryptoLine<'a> {
    fn read(line: &'a str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let (tag, suite, inline) = (words.next()?, words.next()?, words.next()?);
        let parameters = words.next().is_some();
        Some(Self {
            tag: tag.parse().ok()?,
            suite,
            inline: inline.strip_prefix("inline:")?,
            parameters,
        })
    }

    fn is_for(&self, suite: Suite) -> bool {
        !self.parameters && self.suite.eq_ignore_ascii_case(suite.name())
    }

    fn key(&self, suite: Suite) -> Option<MasterKey> {
        let key = self.inline.split('|').next()?;
        MasterKey::new(suite, BASE64.decode(key).ok()?)
    }
}

/// The one audio of a description.
struct MediaLines<'a> {
    port: u16,
    profile: &'a str,
    payload_types: Vec<u8>,
    address: IpAddr,
    attributes: Vec<&'a str>,
}

impl<'a> MediaLines<'a> {
    fn read(body: &'a [u8]) -> Result<Self, Error> {
        let wrong = |what: &str| Error::Answer(what.to_owned());
        let text = std::str::from_utf8(body).map_err(|_| wrong("not UTF-8"))?;
        let (mut address, mut media, mut attributes) = (None, None, Vec::new());
        for line in text.lines() {
            match line.split_once('=') {
                Some(("m", _)) if media.is_some() => return Err(wrong("more than one m= line")),
                Some(("m", value)) => media = Some(value),
                // RFC 8866 §5.7: the media's own c= comes later and holds instead.
                Some(("c", value)) => address = Some(connection_address(value)?),
                Some(("a", value)) if media.is_some() => attributes.push(value),
                _ => {}
            }
        }
        let mut words = media.ok_or_else(|| wrong("no m= line"))?.split_whitespace();
        let read = (|| {
            let audio = words.next()? == "audio";
            let port = words.next()?.parse().ok()?;
            let profile = words.next()?;
            audio.then_some((port, profile))
        })();
        let (port, profile) = read.ok_or_else(|| wrong("m= line"))?;
        if port == 0 {
            return Err(wrong("the audio is refused"));
        }
        let payload_types = words.filter_map(|w| w.parse().ok()).collect();
        let address = address.ok_or_else(|| wrong("no c= line"))?;
        Ok(Self { port, profile, payload_types, address, attributes })
    }
}

fn connection_address(value: &str) -> Result<IpAddr, Error> {
    let address = value.split_whitespace().nth(2).and_then(|a| a.parse().ok());
    address.ok_or_else(|| Error::Answer("c= line".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(security: &Security) -> Offer {
        let local = "127.0.0.1:4000".parse().expect("address");
        Offer::new(local, security, &[Codec::Pcmu, Codec::Pcma], 7).expect("offer")
    }

    fn answer(crypto: &str) -> String {
        format!(
            "v=0\no=- 1 1 IN IP4 127.0.0.1\ns=-\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5000 RTP/SAVP 8 101\n\
             a=rtpmap:8 PCMA/8000\na=rtpmap:101 telephone-event/8000\na=recvonly\n{crypto}"
        )
    }

    #[test]
    fn an_offer_names_both_suites_and_says_savp() {
        let text = offer(&Security::Sdes(Suite::ALL.to_vec())).text();
        assert!(text.contains("m=audio 4000 RTP/SAVP 0 8 101\r\n"));
        assert!(text.contains("a=crypto:1 AEAD_AES_256_GCM inline:"));
        assert!(text.contains("a=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:"));
        assert!(!offer(&Security::Plain).text().contains("crypto"));
    }

    #[test]
    fn an_answer_with_one_offered_line_is_taken() {
        let offer = offer(&Security::Sdes(Suite::ALL.to_vec()));
        let key = "A".repeat(40);
        let text = answer(&format!("a=crypto:2 aes_cm_128_hmac_sha1_80 inline:{key}|2^20\n"));
        let agreed = offer.read_answer(text.as_bytes()).expect("agrees");
        assert_eq!(agreed.rtp, "127.0.0.1:5000".parse().expect("address"));
        assert_eq!(agreed.rtcp.port(), 5001);
        assert_eq!((agreed.codec, agreed.telephone_event), (Codec::Pcma, Some(101)));
        assert_eq!(agreed.direction, Direction::RecvOnly);
        assert_eq!(agreed.keys.map(|k| k.0), Some(Suite::AesCm128HmacSha1_80));
    }

    #[test]
    fn the_peers_own_offer_is_answered_by_its_first_line_that_we_have() {
        let key = "A".repeat(40);
        let mut ours = offer(&Security::Sdes(Suite::ALL.to_vec()));
        let theirs = answer(&format!(
            "a=crypto:1 AES_256_CM_HMAC_SHA1_80 inline:{key}\n\
             a=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:{key} UNENCRYPTED_SRTP\n\
             a=crypto:7 AES_CM_128_HMAC_SHA1_80 inline:{key}\n"
        ));
        let agreed = ours.answer(theirs.replace("101", "96").as_bytes()).expect("agrees");
        assert_eq!((agreed.codec, agreed.telephone_event), (Codec::Pcma, Some(96)));
        let text = ours.text();
        assert!(text.contains("m=audio 4000 RTP/SAVP 8 96\r\n"), "{}", text.lines().count());
        assert_eq!(text.matches("a=crypto").count(), 1);
        assert!(text.contains("a=crypto:7 AES_CM_128_HMAC_SHA1_80 inline:"));
        assert!(offer(&Security::Plain).answer(theirs.as_bytes()).is_err());
    }

    #[test]
    fn an_answer_that_breaks_rfc_4568_is_refused() {
        let offer = offer(&Security::Sdes(vec![Suite::AesCm128HmacSha1_80]));
        let key = "A".repeat(40);
        let own = offer.keys[0].2.to_base64();
        for crypto in [
            String::new(),
            format!("a=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:{key}\n"),
            format!("a=crypto:1 AEAD_AES_256_GCM inline:{key}\n"),
            format!("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{}\n", "A".repeat(44)),
            format!("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{key} UNENCRYPTED_SRTP\n"),
            format!("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{own}\n"),
            format!("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{key}\n").repeat(2),
        ] {
            assert!(offer.read_answer(answer(&crypto).as_bytes()).is_err(), "{crypto}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_answer_makes_the_parser_panic(
            lines in proptest::collection::vec("[vosctma]=(audio |crypto:1 |IN IP4 |rtpmap:)?[ -~]{0,40}", 0..12),
        ) {
            let offer = offer(&Security::Sdes(Suite::ALL.to_vec()));
            proptest::prop_assert!(offer.read_answer(lines.join("\r\n").as_bytes()).is_err());
        }
    }
}
