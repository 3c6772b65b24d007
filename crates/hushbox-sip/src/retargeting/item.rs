//! One value of a list of addresses, read more kindly than From and Contact: each for itself.

use super::Unreadable;
use crate::invite::{Headers, OwnedUri};
use crate::limits;
use crate::message::lex::{self, Cursor};
use crate::message::params::Params;
use crate::message::uri::Uri;

/// An address in brackets or bare, and its parameters.
pub(super) struct Item<'a> {
    pub(super) uri: OwnedUri,
    /// What follows `?` in the URI, as it was written.
    pub(super) uri_headers: &'a [u8],
    pub(super) params: Params<'a>,
}

/// The values of a header field on all its lines, in order; what is too much ends in one
/// [`Unreadable`].
pub(super) fn values<'a, T>(
    headers: &'a Headers,
    name: &'a str,
    read: impl Fn(Item<'a>) -> Result<T, Unreadable>,
) -> Vec<Result<T, Unreadable>> {
    let mut read_values = Vec::new();
    let texts = headers.all(name).flat_map(|line| split(line, b',')).map(lex::trim);
    for text in texts.filter(|text| !text.is_empty()) {
        if read_values.len() >= limits::MAX_RETARGETINGS {
            read_values.push(Err(Unreadable));
            break;
        }
        read_values.push(Item::parse(text).and_then(&read));
    }
    read_values
}

impl<'a> Item<'a> {
    fn parse(text: &'a [u8]) -> Result<Self, Unreadable> {
        let mut cursor = Cursor::new(text);
        let uri = uri_text(&mut cursor).ok_or(Unreadable)?;
        // RFC 4244's own examples have `?Reason=SIP; cause=302; text="..."` without escapes: what
        // follows `?` is read apart, so that it can't spoil the address.
        let question = header_part(uri);
        let (address, uri_headers) = match question {
            Some(at) => (&uri[..at], &uri[at + 1..]),
            None => (uri, &b""[..]),
        };
        let uri = Uri::parse(lex::trim(address)).map_err(|_| Unreadable)?;
        let params = Params::parse(&mut cursor).ok_or(Unreadable)?;
        if !cursor.at_end() {
            return Err(Unreadable);
        }
        Ok(Item { uri: OwnedUri::from(&uri), uri_headers, params })
    }

    /// The value of a parameter, without quotes.
    pub(super) fn param(&self, name: &str) -> Option<Vec<u8>> {
        self.params.get(name).map(|value| lex::unquote(value).into_owned())
    }

    /// The value of a header in the URI, escapes resolved.
    pub(super) fn uri_header(&self, name: &str) -> Option<Vec<u8>> {
        self.uri_headers.split(|b| *b == b'&').find_map(|pair| {
            let mut halves = pair.splitn(2, |b| *b == b'=');
            let found = lex::unescape(lex::trim(halves.next()?));
            let value = halves.next()?;
            found.eq_ignore_ascii_case(name.as_bytes()).then(|| lex::unescape(value).into_owned())
        })
    }
}

/// Where the header part of a URI begins: a user part may hold `?` as well.
fn header_part(uri: &[u8]) -> Option<usize> {
    let first = uri.iter().position(|b| *b == b'?')?;
    let at = uri.iter().position(|b| *b == b'@');
    match at {
        // `sip:a?b@host`, but `sip:host?Reason=a@b` cannot be told from it and is not written.
        Some(at) if at > first => uri[at..].iter().position(|b| *b == b'?').map(|n| n + at),
        _ => Some(first),
    }
}

fn uri_text<'a>(cursor: &mut Cursor<'a>) -> Option<&'a [u8]> {
    cursor.skip_lws();
    let mut bracketed = cursor.clone();
    if bracketed.peek() == Some(b'"') {
        bracketed.quoted()?;
    } else {
        bracketed.take_while(|b| lex::is_token(b) || lex::is_lws(b) || b >= 0x80);
    }
    bracketed.skip_lws();
    if bracketed.eat(b'<') {
        let uri = bracketed.take_while(|b| b != b'>');
        if !bracketed.eat(b'>') {
            return None;
        }
        *cursor = bracketed;
        return Some(uri);
    }
    let uri = cursor.take_while(|b| !lex::is_lws(b) && !matches!(b, b';' | b'<' | b'>' | b'"'));
    (!uri.is_empty()).then_some(uri)
}

/// Splits at a separator outside of quotes and brackets. A quote or bracket that does not end takes
/// the rest with it.
pub(super) fn split(text: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest.take()?;
        let (mut quoted, mut bracketed, mut escaped) = (false, false, false);
        for (at, &b) in text.iter().enumerate() {
            if escaped {
                escaped = false;
            } else if quoted {
                match b {
                    b'\\' => escaped = true,
                    b'"' => quoted = false,
                    _ => {}
                }
            } else if bracketed {
                bracketed = b != b'>';
            } else if b == b'"' {
                quoted = true;
            } else if b == b'<' {
                bracketed = true;
            } else if b == separator {
                rest = text.get(at + 1..);
                return Some(&text[..at]);
            }
        }
        Some(text)
    })
}
