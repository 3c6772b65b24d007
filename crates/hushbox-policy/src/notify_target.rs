//! Where a PBX takes NOTIFYs that it has not asked for.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, limits};

/// What they are sent by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NotifyTransport {
    /// TLS, which is meant where nothing is said.
    #[default]
    Tls,
    /// TCP, in the clear.
    Tcp,
    /// UDP, in the clear.
    Udp,
}

impl NotifyTransport {
    /// The name, as a SIP URI has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// `sip:HOST[:PORT][;transport=tls|tcp|udp]`. What goes in the clear goes so because somebody has written that: without
/// a transport it is TLS.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NotifyTarget {
    host: String,
    port: Option<u16>,
    transport: NotifyTransport,
}

impl NotifyTarget {
    /// The host: a name in lower case, or an address, an IPv6 one in brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, where one is given.
    #[must_use]
    pub const fn port(&self) -> Option<u16> {
        self.port
    }

    /// What it is sent by.
    #[must_use]
    pub const fn transport(&self) -> NotifyTransport {
        self.transport
    }

    /// Whether nobody on the way can read it.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.transport == NotifyTransport::Tls
    }

    /// Host and port, as they stand in a URI.
    #[must_use]
    pub fn place(&self) -> String {
        match self.port {
            Some(port) => format!("{}:{port}", self.host),
            None => self.host.clone(),
        }
    }
}

impl FromStr for NotifyTarget {
    type Err = Error;

    /// # Errors
    ///
    /// [`Error::NotifyScheme`], [`Error::NotifyHost`], [`Error::NotifyPort`] or [`Error::NotifyTransport`]: what of it
    /// cannot be.
    fn from_str(text: &str) -> Result<Self, Error> {
        let rest = match text.split_once(':') {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("sip") => rest,
            _ => return Err(Error::NotifyScheme),
        };
        let (place, params) = match rest.split_once(';') {
            Some((place, params)) => (place, Some(params)),
            None => (rest, None),
        };
        let transport = match params.map(str::to_ascii_lowercase).as_deref() {
            None | Some("transport=tls") => NotifyTransport::Tls,
            Some("transport=tcp") => NotifyTransport::Tcp,
            Some("transport=udp") => NotifyTransport::Udp,
            Some(_) => return Err(Error::NotifyTransport),
        };
        let (host, port) = split(place)?;
        let port = match port.map(str::parse) {
            None => None,
            Some(Ok(port)) if port != 0 => Some(port),
            Some(_) => return Err(Error::NotifyPort),
        };
        Ok(Self { host: host.to_ascii_lowercase(), port, transport })
    }
}

/// Host and port. An IPv6 address stands in brackets.
fn split(place: &str) -> Result<(&str, Option<&str>), Error> {
    if let Some(inner) = place.strip_prefix('[') {
        let (address, after) = inner.split_once(']').ok_or(Error::NotifyHost)?;
        address.parse::<Ipv6Addr>().map_err(|_| Error::NotifyHost)?;
        let host = place.get(..address.len() + 2).ok_or(Error::NotifyHost)?;
        return match after.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if after.is_empty() => Ok((host, None)),
            None => Err(Error::NotifyHost),
        };
    }
    let (host, port) = match place.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (place, None),
    };
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let is_name = host.len() <= limits::HOST_LENGTH_MAX && host.split('.').all(label);
    if is_name { Ok((host, port)) } else { Err(Error::NotifyHost) }
}

impl TryFrom<String> for NotifyTarget {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<NotifyTarget> for String {
    fn from(target: NotifyTarget) -> Self {
        target.to_string()
    }
}

impl fmt::Display for NotifyTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sip:{};transport={}", self.place(), self.transport.as_str())
    }
}

impl fmt::Debug for NotifyTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Result<String, Error> {
        text.parse::<NotifyTarget>().map(|target| target.to_string())
    }

    #[test]
    fn without_a_transport_it_is_tls() {
        for (text, whole) in [
            ("sip:pbx.example", "sip:pbx.example;transport=tls"),
            ("SIP:PBX.example:5081;transport=TLS", "sip:pbx.example:5081;transport=tls"),
            ("sip:192.0.2.1;transport=udp", "sip:192.0.2.1;transport=udp"),
            ("sip:[2001:DB8::1]:5060;transport=tcp", "sip:[2001:db8::1]:5060;transport=tcp"),
            ("sip:[2001:db8::1]", "sip:[2001:db8::1];transport=tls"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(whole), "{text}");
            assert_eq!(read(whole).as_deref(), Ok(whole), "{whole}");
        }
    }

    #[test]
    fn what_cannot_be_is_refused_by_what_is_wrong_with_it() {
        for (text, error) in [
            ("", Error::NotifyScheme),
            ("pbx.example", Error::NotifyScheme),
            ("sips:pbx.example", Error::NotifyScheme),
            ("tel:+15551234567", Error::NotifyScheme),
            ("sip:", Error::NotifyHost),
            ("sip:1001@pbx.example", Error::NotifyHost),
            ("sip:pbx..example", Error::NotifyHost),
            ("sip:pbx example", Error::NotifyHost),
            ("sip:pbx.example>\r\nX: y", Error::NotifyHost),
            ("sip:[pbx.example]", Error::NotifyHost),
            ("sip:[2001:db8::1]5060", Error::NotifyHost),
            ("sip:2001:db8::1", Error::NotifyPort),
            ("sip:pbx.example:", Error::NotifyPort),
            ("sip:pbx.example:0", Error::NotifyPort),
            ("sip:pbx.example:65536", Error::NotifyPort),
            ("sip:pbx.example;transport=ws", Error::NotifyTransport),
            ("sip:pbx.example;lr", Error::NotifyTransport),
            ("sip:pbx.example;transport=tls;lr", Error::NotifyTransport),
        ] {
            assert_eq!(read(text), Err(error), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_and_what_is_read_stays_the_same(text in "(sip:)?[ -~]{0,40}") {
            if let Ok(whole) = read(&text) {
                prop_assert_eq!(read(&whole), Ok(whole.clone()));
            }
        }
    }
}
