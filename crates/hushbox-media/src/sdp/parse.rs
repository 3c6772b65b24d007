//! Reads session descriptions (RFC 8866 §5, §9).
//!
//! Lenient where peers are sloppy and nothing hangs on it (line ends, order, missing `s=` and
//! `t=`), strict where a number or an address decides where media goes.

use std::net::IpAddr;

use crate::OfferError;
use crate::limits::{SDP_ATTRIBUTES, SDP_BYTES, SDP_FORMATS, SDP_MEDIA};

/// A session description.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SessionDescription {
    /// `c=` of the session.
    pub connection: Option<Connection>,
    /// `a=` of the session.
    pub attributes: Vec<Attribute>,
    /// The m-lines with what belongs to them.
    pub media: Vec<Media>,
}

/// An m-line with what belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Media {
    /// `audio`, `video`, ...
    pub kind: String,
    /// Zero: refused, or switched off.
    pub port: u16,
    /// `RTP/SAVP`, ...
    pub protocol: String,
    /// Payload types, where the protocol is one of RTP's.
    pub formats: Vec<String>,
    /// `c=` of this m-line.
    pub connection: Option<Connection>,
    /// `a=` of this m-line.
    pub attributes: Vec<Attribute>,
}

/// `c=`: where media is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Connection {
    /// A numeric address.
    Ip(IpAddr),
    /// A domain name, or an address type that is none of the internet's.
    Other,
}

/// `a=`: a name, and a value if there was a colon.
#[derive(Clone, PartialEq, Eq)]
pub struct Attribute {
    /// Before the colon.
    pub name: String,
    /// After the colon.
    pub value: Option<String>,
}

/// Who sends (RFC 8866 §6.7), as seen from whoever wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Direction {
    /// Both.
    #[default]
    SendRecv,
    /// The writer only.
    SendOnly,
    /// The other side only.
    RecvOnly,
    /// Nobody.
    Inactive,
}

impl Direction {
    /// From whether the writer sends and receives.
    pub fn new(sends: bool, receives: bool) -> Self {
        match (sends, receives) {
            (true, true) => Self::SendRecv,
            (true, false) => Self::SendOnly,
            (false, true) => Self::RecvOnly,
            (false, false) => Self::Inactive,
        }
    }

    /// Whether the writer sends.
    pub fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }

    /// Whether the writer receives.
    pub fn receives(self) -> bool {
        matches!(self, Self::SendRecv | Self::RecvOnly)
    }

    /// Its attribute.
    pub fn name(self) -> &'static str {
        match self {
            Self::SendRecv => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::RecvOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        [Self::SendRecv, Self::SendOnly, Self::RecvOnly, Self::Inactive]
            .into_iter()
            .find(|direction| direction.name() == name)
    }
}

impl std::fmt::Debug for Attribute {
    // a=crypto holds a key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let value =
            self.value.as_deref().map(|value| if self.name == "crypto" { "…" } else { value });
        f.debug_struct("Attribute").field("name", &self.name).field("value", &value).finish()
    }
}

impl SessionDescription {
    /// Reads one.
    pub fn parse(bytes: &[u8]) -> Result<Self, OfferError> {
        if bytes.len() > SDP_BYTES {
            return Err(OfferError::TooLarge("length"));
        }
        let mut description = Self::default();
        let mut version = false;
        let mut origin = false;
        for line in bytes.split(|&octet| octet == b'\n') {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.is_empty() {
                continue;
            }
            let &[kind, b'=', ref value @ ..] = line else {
                return Err(OfferError::Malformed("line without type"));
            };
            if !version && kind != b'v' {
                return Err(OfferError::Malformed("no version"));
            }
            let Ok(value) = std::str::from_utf8(value) else {
                // Names and subjects are sometimes Latin-1; nothing hangs on them.
                match kind {
                    b's' | b'i' | b'u' | b'e' | b'p' => continue,
                    _ => return Err(OfferError::Malformed("not UTF-8")),
                }
            };
            match kind {
                b'v' if value.trim() == "0" && !version => version = true,
                b'v' => return Err(OfferError::Malformed("version")),
                b'o' => {
                    // RFC 8866 §5.2: six fields.
                    origin =
                        value.split_ascii_whitespace().count() == 6 && description.media.is_empty();
                    if !origin {
                        return Err(OfferError::Malformed("origin"));
                    }
                }
                b'm' => description.push_media(value)?,
                b'c' => description.set_connection(value)?,
                b'a' => description.push_attribute(value)?,
                _ => {}
            }
        }
        if version && origin { Ok(description) } else { Err(OfferError::Malformed("incomplete")) }
    }

    /// The address of an m-line: its own, else the session's.
    pub fn connection_of<'a>(&'a self, media: &'a Media) -> Option<&'a Connection> {
        media.connection.as_ref().or(self.connection.as_ref())
    }

    /// Where audio is wanted, if that is an address that can be sent to.
    pub fn media_address(&self) -> Option<IpAddr> {
        let audio = self.media.iter().find(|media| media.kind == "audio")?;
        match self.connection_of(audio)? {
            Connection::Ip(ip) if !ip.is_unspecified() && !ip.is_multicast() => Some(*ip),
            Connection::Ip(_) | Connection::Other => None,
        }
    }

    /// The direction of an m-line: its own, else the session's, else both.
    pub fn direction_of(&self, media: &Media) -> Direction {
        let find = |attributes: &[Attribute]| {
            attributes.iter().find_map(|attribute| Direction::from_name(&attribute.name))
        };
        find(&media.attributes).or_else(|| find(&self.attributes)).unwrap_or_default()
    }

    fn push_media(&mut self, value: &str) -> Result<(), OfferError> {
        if self.media.len() == SDP_MEDIA {
            return Err(OfferError::TooLarge("m-lines"));
        }
        let mut fields = value.split_ascii_whitespace();
        let mut field = || fields.next().ok_or(OfferError::Malformed("m-line"));
        let (kind, port, protocol) = (field()?, field()?, field()?);
        // RFC 8866 §5.14: a count of ports may follow a slash.
        let port = port.split('/').next().unwrap_or(port);
        let port = port.parse().map_err(|_| OfferError::Malformed("port"))?;
        let formats: Vec<String> = fields.map(str::to_owned).collect();
        if formats.is_empty() {
            return Err(OfferError::Malformed("m-line without format"));
        }
        if formats.len() > SDP_FORMATS {
            return Err(OfferError::TooLarge("formats"));
        }
        self.media.push(Media {
            kind: kind.to_owned(),
            port,
            protocol: protocol.to_owned(),
            formats,
            connection: None,
            attributes: Vec::new(),
        });
        Ok(())
    }

    fn set_connection(&mut self, value: &str) -> Result<(), OfferError> {
        let mut fields = value.split_ascii_whitespace();
        let (Some(network), Some(kind), Some(address)) =
            (fields.next(), fields.next(), fields.next())
        else {
            return Err(OfferError::Malformed("c-line"));
        };
        // RFC 8866 §5.7: a TTL or count behind a slash belongs to multicast.
        let connection = match address.parse() {
            Ok(ip) if network.eq_ignore_ascii_case("IN") && is_family(kind, ip) => {
                Connection::Ip(ip)
            }
            _ => Connection::Other,
        };
        match self.media.last_mut() {
            Some(media) => media.connection = Some(connection),
            None => self.connection = Some(connection),
        }
        Ok(())
    }

    fn push_attribute(&mut self, value: &str) -> Result<(), OfferError> {
        let attributes = match self.media.last_mut() {
            Some(media) => &mut media.attributes,
            None => &mut self.attributes,
        };
        if attributes.len() == SDP_ATTRIBUTES {
            return Err(OfferError::TooLarge("attributes"));
        }
        let (name, value) = match value.split_once(':') {
            Some((name, value)) => (name, Some(value.trim().to_owned())),
            None => (value, None),
        };
        attributes.push(Attribute { name: name.trim().to_owned(), value });
        Ok(())
    }
}

impl Media {
    /// The values of every `a=` of that name.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.attributes
            .iter()
            .filter(move |attribute| attribute.name == name)
            .filter_map(|attribute| attribute.value.as_deref())
    }

    /// Whether there is an `a=` of that name without a value.
    pub fn has(&self, name: &str) -> bool {
        self.attributes.iter().any(|attribute| attribute.name == name)
    }
}

fn is_family(kind: &str, ip: IpAddr) -> bool {
    kind.eq_ignore_ascii_case(if ip.is_ipv4() { "IP4" } else { "IP6" })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OFFER: &str = "v=0\r\no=alice 1 1 IN IP4 host.example\r\ns=-\r\nc=IN IP4 192.0.2.1\r\n\
        t=0 0\r\na=sendonly\r\nm=audio 49170 RTP/SAVP 0 8\r\na=crypto:1 X inline:SECRET\r\n\
        m=video 51372/2 RTP/AVP 31\r\nc=IN IP6 2001:db8::1\r\na=inactive\r\n";

    #[test]
    fn session_and_media_level_are_kept_apart() {
        let description = SessionDescription::parse(OFFER.as_bytes()).unwrap();
        let [audio, video] = &description.media[..] else { panic!("two m-lines") };
        assert_eq!(description.direction_of(audio), Direction::SendOnly);
        assert_eq!(description.direction_of(video), Direction::Inactive);
        assert_eq!(video.port, 51372);
        let address = "192.0.2.1".parse().unwrap();
        assert_eq!(description.connection_of(audio), Some(&Connection::Ip(address)));
        let address = "2001:db8::1".parse().unwrap();
        assert_eq!(description.connection_of(video), Some(&Connection::Ip(address)));
    }

    #[test]
    fn the_media_address_is_the_audios_and_none_where_nothing_can_be_sent_to() {
        let address =
            |offer: &str| SessionDescription::parse(offer.as_bytes()).unwrap().media_address();
        assert_eq!(address(OFFER), Some("192.0.2.1".parse().unwrap()));
        // RFC 3264 §8.4: how hold was asked for once.
        for nowhere in ["0.0.0.0", "224.0.0.1", "phone.example"] {
            assert_eq!(address(&OFFER.replace("192.0.2.1", nowhere)), None, "{nowhere}");
        }
        assert_eq!(address(&OFFER.replace("m=audio", "m=text")), None);
    }

    #[test]
    fn lines_may_end_in_lf_only() {
        let offer = OFFER.replace("\r\n", "\n");
        let expected = SessionDescription::parse(OFFER.as_bytes());
        assert_eq!(SessionDescription::parse(offer.as_bytes()), expected);
    }

    #[test]
    fn keys_are_not_shown() {
        let description = SessionDescription::parse(OFFER.as_bytes()).unwrap();
        assert!(!format!("{description:?}").contains("SECRET"));
    }

    #[test]
    fn a_subject_in_latin_1_harms_nothing() {
        let offer = OFFER.replace("s=-", "s=\u{e9}");
        let latin: Vec<u8> = offer.chars().map(|character| character as u8).collect();
        assert!(SessionDescription::parse(&latin).is_ok());
    }

    #[test]
    fn a_name_as_address_is_no_address() {
        let offer = OFFER.replace("192.0.2.1", "phone.example");
        let description = SessionDescription::parse(offer.as_bytes()).unwrap();
        assert_eq!(description.connection, Some(Connection::Other));
    }

    #[test]
    fn limits_and_garbage_are_refused() {
        for bad in [
            "",
            "v=1\r\n",
            "o=- 1 1 IN IP4 1.2.3.4\r\nv=0\r\n",
            "v=0\r\n",
            "v=0\r\no=- 1 1 IN IP4\r\n",
            "v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\nm=audio x RTP/AVP 0\r\n",
            "v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\nm=audio 70000 RTP/AVP 0\r\n",
            "v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\nm=audio 7 RTP/AVP\r\n",
            "v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\nhello\r\n",
        ] {
            assert_eq!(
                SessionDescription::parse(bad.as_bytes()).unwrap_err().status(),
                400,
                "{bad}"
            );
        }
        let head = "v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\n";
        let many = head.to_owned() + &"m=audio 7 RTP/AVP 0\r\n".repeat(SDP_MEDIA + 1);
        assert!(matches!(SessionDescription::parse(many.as_bytes()), Err(OfferError::TooLarge(_))));
        let many = head.to_owned() + &"a=x\r\n".repeat(SDP_ATTRIBUTES + 1);
        assert!(matches!(SessionDescription::parse(many.as_bytes()), Err(OfferError::TooLarge(_))));
        let long = head.to_owned() + &"i=x\r\n".repeat(SDP_BYTES / 5);
        assert!(matches!(SessionDescription::parse(long.as_bytes()), Err(OfferError::TooLarge(_))));
        let eight_kib = head.to_owned() + &format!("i={}\r\n", "x".repeat(8192));
        assert!(SessionDescription::parse(eight_kib.as_bytes()).is_ok());
    }

    proptest! {
        #[test]
        fn parsing_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = SessionDescription::parse(&bytes);
        }

        #[test]
        fn changed_offers_never_panic(at in 0usize..260, octet: u8) {
            let mut bytes = OFFER.as_bytes().to_vec();
            let at = at % bytes.len();
            bytes[at] = octet;
            let _ = SessionDescription::parse(&bytes);
        }
    }
}
