//! `name-addr` and `addr-spec`: From, To, Contact, Route, Record-Route (RFC 3261 §20.10).

use super::lex::{self, Cursor};
use super::params::Params;
use super::uri::{Scheme, Uri};
use std::borrow::Cow;

/// One address with its parameters.
#[derive(Clone, Copy)]
pub struct Address<'a> {
    text: &'a [u8],
    display: &'a [u8],
    uri: Uri<'a>,
    params: Params<'a>,
}

impl<'a> Address<'a> {
    /// Parses a header field that has one value.
    pub(crate) fn parse_single(value: &'a [u8]) -> Option<Self> {
        let mut cursor = Cursor::new(value);
        Self::parse(&mut cursor).filter(|_| cursor.at_end())
    }

    /// Takes one value from the cursor.
    pub(crate) fn parse(cursor: &mut Cursor<'a>) -> Option<Self> {
        cursor.skip_lws();
        let start = cursor.position();
        let (display, uri) = match Self::name_addr(&mut cursor.clone()) {
            Some((display, uri, length)) => {
                cursor.advance(length - start);
                (display, uri)
            }
            None => (&b""[..], Self::addr_spec(cursor)?),
        };
        let uri = Uri::parse(uri).ok()?;
        let params = Params::parse(cursor)?;
        Some(Address { text: cursor.since(start), display, uri, params })
    }

    /// `[ display-name ] "<" addr-spec ">"`, and where it ends.
    fn name_addr(cursor: &mut Cursor<'a>) -> Option<(&'a [u8], &'a [u8], usize)> {
        let start = cursor.position();
        let display = if cursor.peek() == Some(b'"') {
            cursor.quoted()?
        } else {
            // Tokens with white space between them (RFC 4475 §3.1.1.6: perhaps none before the
            // bracket); many phones write UTF-8 without quotes.
            cursor.take_while(|b| lex::is_token(b) || lex::is_lws(b) || b >= 0x80);
            lex::trim(cursor.since(start))
        };
        cursor.skip_lws();
        if !cursor.eat(b'<') {
            return None;
        }
        let uri = cursor.take_while(|b| b != b'>');
        cursor.eat(b'>').then(|| (display, uri, cursor.position()))
    }

    /// RFC 3261 §20: without brackets what follows `;` is the header field's, and `,` and `?` must
    /// not stand in the URI.
    fn addr_spec(cursor: &mut Cursor<'a>) -> Option<&'a [u8]> {
        let uri = cursor
            .take_while(|b| !lex::is_lws(b) && !matches!(b, b';' | b',' | b'<' | b'>' | b'"'));
        (!uri.contains(&b'?')).then_some(uri)
    }

    /// The value as it was written.
    pub fn text(&self) -> &'a [u8] {
        self.text
    }

    /// The URI.
    pub fn uri(&self) -> Uri<'a> {
        self.uri
    }

    /// The parameters.
    pub fn params(&self) -> Params<'a> {
        self.params
    }

    /// The `tag` parameter.
    pub fn tag(&self) -> Option<&'a [u8]> {
        self.params.get("tag")
    }

    /// The display name without its quotes; `None` where it is empty.
    pub fn display(&self) -> Option<Cow<'a, str>> {
        let name = match lex::unquote(self.display) {
            Cow::Borrowed(name) => lex::unfold(lex::trim(name)),
            Cow::Owned(name) => lex::unfold(lex::trim(&name)).into_owned().into(),
        };
        if name.is_empty() {
            return None;
        }
        Some(match name {
            Cow::Borrowed(name) => String::from_utf8_lossy(name),
            Cow::Owned(name) => String::from_utf8_lossy(&name).into_owned().into(),
        })
    }

    /// Whether a request can be sent there.
    pub(crate) fn is_sip(&self) -> bool {
        matches!(self.uri.scheme(), Scheme::Sip | Scheme::Sips)
    }
}

/// The values of a header field that is a list of addresses. An item is `None` where the grammar is
/// broken, and the last.
pub(crate) fn addresses(value: &[u8]) -> impl Iterator<Item = Option<Address<'_>>> {
    let mut cursor = Some(Cursor::new(value));
    std::iter::from_fn(move || {
        let mut at = cursor.take()?;
        let address = Address::parse(&mut at);
        at.skip_lws();
        match (&address, at.peek()) {
            (Some(_), Some(b',')) => {
                at.eat(b',');
                cursor = Some(at);
                Some(address)
            }
            (Some(_), None) => Some(address),
            _ => Some(None),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Option<Address<'_>> {
        Address::parse_single(text.as_bytes())
    }

    #[test]
    fn all_forms_are_read() {
        for (text, display, user, tag) in [
            ("sip:user@example.com ;\r\n  tag  = 19n", None, "user", Some(&b"19n"[..])),
            ("<sip:user@example.com;a=b>;tag=1", None, "user", Some(&b"1"[..])),
            ("caller<sip:user@example.com>", Some("caller"), "user", None),
            ("\"J Rosenberg \\\\\\\"\" <sip:user@h>", Some("J Rosenberg \\\""), "user", None),
            ("two tokens <sip:%75ser@h>", Some("two tokens"), "user", None),
            ("Jürgen <sip:user@h>", Some("Jürgen"), "user", None),
        ] {
            let address = address(text).expect(text);
            assert_eq!(address.display().as_deref(), display, "{text}");
            assert_eq!(address.uri().user().as_deref(), Some(user), "{text}");
            assert_eq!(address.tag(), tag, "{text}");
        }
    }

    #[test]
    fn malformed_addresses_are_refused() {
        for text in [
            "\"Mr. J. User <sip:j@h>",
            "Bell, Alexander <sip:a.g.bell@example.com>;tag=43",
            "\"Watson, Thomas\" < sip:t.watson@example.org >",
            "sip:user@example.com?Route=%3Csip:sip.example.com%3E",
            "\"Joe\" <sip:joe@example.org>;;;;",
            "<sip:joe@example.org",
            "",
        ] {
            assert!(address(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_comma_inside_brackets_or_quotes_separates_nothing() {
        let value = b"\"a, b\" <sip:a,b@h>;x=\"1,2\" , <sip:c@h>";
        let users: Vec<_> = addresses(value).map(|a| a.and_then(|a| a.uri().user())).collect();
        assert_eq!(users, [Some("a,b".into()), Some("c".into())]);
        assert!(addresses(b"<sip:a@h>,").any(|a| a.is_none()));
    }
}
