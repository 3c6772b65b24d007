//! URIs: `sip`, `sips` (RFC 3261 §19.1), `tel` (RFC 3966), and any other as opaque text.

use super::lex::{self, ByteSet, Cursor};
use super::params::UriParams;
use crate::error::ParseError;
use crate::limits;
use std::borrow::Cow;
use std::fmt;

/// A URI's scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// `sip:`
    Sip,
    /// `sips:`
    Sips,
    /// `tel:`
    Tel,
    /// Any other: parsed, and refused with 416 as a Request-URI.
    Other,
}

/// A URI over borrowed bytes. Its text shows in no `Debug`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Uri<'a> {
    text: &'a [u8],
    scheme: Scheme,
    user: Option<&'a [u8]>,
    host: &'a [u8],
    port: Option<u16>,
    params: &'a [u8],
    headers: Option<&'a [u8]>,
}

impl<'a> Uri<'a> {
    /// Parses a whole URI.
    pub fn parse(text: &'a [u8]) -> Result<Self, ParseError> {
        if text.len() > limits::MAX_START_LINE_BYTES {
            return Err(ParseError::TooLarge("URI"));
        }
        let colon = text.iter().position(|b| *b == b':').ok_or(ParseError::Uri)?;
        let (scheme, rest) = (&text[..colon], &text[colon + 1..]);
        if scheme.eq_ignore_ascii_case(b"sip") {
            Self::parse_sip(text, Scheme::Sip, rest)
        } else if scheme.eq_ignore_ascii_case(b"sips") {
            Self::parse_sip(text, Scheme::Sips, rest)
        } else if scheme.eq_ignore_ascii_case(b"tel") {
            Self::parse_tel(text, rest)
        } else {
            Self::parse_other(text, scheme, rest)
        }
    }

    fn parse_sip(text: &'a [u8], scheme: Scheme, rest: &'a [u8]) -> Result<Self, ParseError> {
        // A user part may hold ';' and '?', but no part of the URI an unescaped '@'.
        let (user, rest) = match rest.iter().position(|b| *b == b'@') {
            Some(at) => {
                let user_info = &rest[..at];
                let colon = user_info.iter().position(|b| *b == b':').unwrap_or(at);
                let user = &user_info[..colon];
                let password = user_info.get(colon + 1..).unwrap_or_default();
                if user.is_empty() || !USER.is_escaped_text(user) {
                    return Err(ParseError::Uri);
                }
                if !PASSWORD.is_escaped_text(password) {
                    return Err(ParseError::Uri);
                }
                (Some(user), &rest[at + 1..])
            }
            None => (None, rest),
        };
        let mut cursor = Cursor::new(rest);
        let (host, port) = host_port(&mut cursor).ok_or(ParseError::Uri)?;
        let params = cursor.take_while(|b| b != b'?');
        let headers = cursor.eat(b'?').then(|| cursor.rest());
        if !UriParams::is_valid(params) || headers.is_some_and(|h| !URI_HEADER.is_escaped_text(h)) {
            return Err(ParseError::Uri);
        }
        Ok(Uri { text, scheme, user, host, port, params, headers })
    }

    fn parse_tel(text: &'a [u8], rest: &'a [u8]) -> Result<Self, ParseError> {
        let end = rest.iter().position(|b| *b == b';').unwrap_or(rest.len());
        let (number, params) = rest.split_at(end);
        // RFC 3966 §3: digits and visual separators; '*', '#' and hexadecimal in local numbers.
        let fits = |b: &u8| {
            b.is_ascii_hexdigit()
                || matches!(b, b'+' | b'-' | b'.' | b'(' | b')' | b'*' | b'#' | b'%')
        };
        if number.is_empty() || !number.iter().all(fits) || !UriParams::is_valid(params) {
            return Err(ParseError::Uri);
        }
        Ok(Uri {
            text,
            scheme: Scheme::Tel,
            user: Some(number),
            host: b"",
            port: None,
            params,
            headers: None,
        })
    }

    fn parse_other(text: &'a [u8], scheme: &[u8], rest: &[u8]) -> Result<Self, ParseError> {
        let starts_well = scheme.first().is_some_and(u8::is_ascii_alphabetic);
        let scheme_fits = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.');
        let rest_fits = |b: &u8| matches!(b, 0x21..=0x7e) && !matches!(b, b'<' | b'>' | b'"');
        if !starts_well || !scheme.iter().all(scheme_fits) || !rest.iter().all(rest_fits) {
            return Err(ParseError::Uri);
        }
        Ok(Uri {
            text,
            scheme: Scheme::Other,
            user: None,
            host: b"",
            port: None,
            params: b"",
            headers: None,
        })
    }

    /// The URI as it was written.
    pub fn text(&self) -> &'a [u8] {
        self.text
    }

    /// The scheme.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The user part (of `tel:`, the number) as it was written, without a password.
    pub fn raw_user(&self) -> Option<&'a [u8]> {
        self.user
    }

    /// The user part with its escapes resolved; of `tel:`, the number without visual separators.
    pub fn user(&self) -> Option<Cow<'a, str>> {
        let user = lex::unescape_text(self.user?);
        let is_separator = |c| matches!(c, '-' | '.' | '(' | ')');
        Some(match self.scheme {
            Scheme::Tel if user.contains(is_separator) => user.replace(is_separator, "").into(),
            Scheme::Tel | Scheme::Sip | Scheme::Sips | Scheme::Other => user,
        })
    }

    /// The host in lower case, an IPv6 address without brackets; empty for other schemes.
    pub fn host(&self) -> String {
        let bare = self.host.strip_prefix(b"[").and_then(|h| h.strip_suffix(b"]"));
        String::from_utf8_lossy(bare.unwrap_or(self.host)).to_ascii_lowercase()
    }

    /// The port, where one is written.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// The parameters.
    pub fn params(&self) -> UriParams<'a> {
        UriParams::new(self.params)
    }

    /// The header part after `?`, where there is one.
    pub fn headers(&self) -> Option<&'a [u8]> {
        self.headers
    }

    /// The URI without its header part: what may stand in a Request-URI (RFC 3261 §19.1.1).
    pub fn without_headers(&self) -> &'a [u8] {
        let part = self.headers.map_or(0, |headers| headers.len() + 1);
        self.text.get(..self.text.len() - part).unwrap_or(self.text)
    }

    /// Whether two URIs mean the same user at the same host (RFC 3261 §19.1.4, without the
    /// parameters, which proxies add and drop).
    pub fn same_resource(&self, other: &Uri<'_>) -> bool {
        let secure = |s: Scheme| if s == Scheme::Sips { Scheme::Sip } else { s };
        secure(self.scheme) == secure(other.scheme)
            && (self.scheme != Scheme::Other || self.text == other.text)
            && self.user() == other.user()
            && self.host() == other.host()
            && self.port == other.port
    }
}

impl fmt::Debug for Uri<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Uri({:?}, …)", self.scheme)
    }
}

/// `host [ ":" port ]`, as it stands in URIs and in Via.
pub(crate) fn host_port<'a>(cursor: &mut Cursor<'a>) -> Option<(&'a [u8], Option<u16>)> {
    let start = cursor.position();
    if cursor.eat(b'[') {
        // RFC 5118 §4.10: three colons in a row come from a fault in RFC 3261's grammar.
        let inside = cursor.take_while(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'.'));
        if !inside.contains(&b':') || !cursor.eat(b']') {
            return None;
        }
    } else {
        let name = cursor.take_while(|b| HOST_NAME.has(b));
        if name.is_empty() {
            return None;
        }
    }
    let host = cursor.since(start);
    if host.len() > limits::MAX_HOST_BYTES {
        return None;
    }
    // Via allows white space around the colon; a URI is checked whole, so none gets here from one.
    let before = cursor.clone();
    cursor.skip_lws();
    if !cursor.eat(b':') {
        *cursor = before;
        return Some((host, None));
    }
    cursor.skip_lws();
    let digits = cursor.take_while(|b| b.is_ascii_digit());
    let port = lex::number(digits, u64::from(u16::MAX)).filter(|p| *p != 0)?;
    Some((host, u16::try_from(port).ok()))
}

/// `user-unreserved`; and `#`, which the grammar wants escaped and telephones dial as it is.
static USER: ByteSet = ByteSet::alphanumeric_and(b"-_.!~*'()&=+$,;?/#");
static PASSWORD: ByteSet = ByteSet::alphanumeric_and(b"-_.!~*'()&=+$,");
/// `param-unreserved`, `unreserved`.
pub(crate) static URI_PARAM: ByteSet = ByteSet::alphanumeric_and(b"-_.!~*'()[]/:&+$");
static URI_HEADER: ByteSet = ByteSet::alphanumeric_and(b"-_.!~*'()[]/?:+$=&;@");
static HOST_NAME: ByteSet = ByteSet::alphanumeric_and(b"-._");

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> Uri<'_> {
        Uri::parse(text.as_bytes()).expect("a valid URI")
    }

    #[test]
    fn star_97_is_the_same_escaped_and_plain() {
        assert_eq!(uri("sip:*97@vm.example").user().as_deref(), Some("*97"));
        assert_eq!(uri("sip:%2A97@vm.example").user().as_deref(), Some("*97"));
    }

    #[test]
    fn a_dialled_hash_is_a_hash() {
        assert_eq!(uri("sip:*97#@vm.example").user().as_deref(), Some("*97#"));
        assert_eq!(uri("sip:*97%23@vm.example").user().as_deref(), Some("*97#"));
    }

    #[test]
    fn user_may_hold_semicolons_and_question_marks() {
        let uri = uri("sip:user;par=u%40example.net@Example.COM:5070;lr?a=b");
        assert_eq!(uri.user().as_deref(), Some("user;par=u@example.net"));
        assert_eq!(uri.host(), "example.com");
        assert_eq!(uri.port(), Some(5070));
        assert!(uri.params().has("lr"));
        assert_eq!(uri.headers(), Some(&b"a=b"[..]));
    }

    #[test]
    fn an_ipv6_address_takes_everything_between_its_brackets() {
        assert_eq!(uri("sip:[2001:db8::10:5070]").host(), "2001:db8::10:5070");
        assert_eq!(uri("sip:[2001:db8::10:5070]").port(), None);
        assert_eq!(uri("sip:[2001:db8::10]:5070").port(), Some(5070));
        assert_eq!(Uri::parse(b"sip:2001:db8::10"), Err(ParseError::Uri));
    }

    #[test]
    fn tel_numbers_lose_their_separators() {
        assert_eq!(uri("tel:+1-(555).0100;phone-context=x").user().as_deref(), Some("+15550100"));
    }

    #[test]
    fn malformed_uris_are_refused() {
        for text in [
            "",
            "sip:",
            "sip:@host",
            "sip:a b@host",
            "sip:user@host:0",
            "sip:user@host:70000",
            "sip:u%4@host",
            "sip:user@host;",
            "sip:user@host;;a",
            "1x:opaque",
            "sip:us<er@host",
            "sip:[::1",
            "sip:[1.2.3.4]",
            "tel:",
            "sip:u\r\nVia@h",
            "sip:user@ho st",
        ] {
            assert!(Uri::parse(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn debug_shows_no_user_and_no_host() {
        assert_eq!(format!("{:?}", uri("sip:jane@secret.example")), "Uri(Sip, …)");
    }
}
