//! Parameters after `;`: of header fields (`generic-param`) and of URIs (`uri-parameter`).

use super::lex::{self, Cursor};
use super::uri::URI_PARAM;

/// Parameters of a header field value, checked once and read again at each look-up: there are few,
/// and so nothing is allocated for them.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Params<'a>(&'a [u8]);

impl<'a> Params<'a> {
    /// Takes `*( SEMI generic-param )` from the cursor.
    pub(crate) fn parse(cursor: &mut Cursor<'a>) -> Option<Self> {
        Self::parse_each(cursor, |_, _| true)
    }

    /// The same, and shows each of them to `fits`: one that does not fit breaks the grammar.
    pub(crate) fn parse_each(
        cursor: &mut Cursor<'a>,
        mut fits: impl FnMut(&'a [u8], Option<&'a [u8]>) -> bool,
    ) -> Option<Self> {
        let start = cursor.position();
        let mut end = cursor.clone();
        loop {
            cursor.skip_lws();
            if !cursor.eat(b';') {
                *cursor = end;
                return Some(Params(cursor.since(start)));
            }
            let (name, value) = Self::one(cursor)?;
            if !fits(name, value) {
                return None;
            }
            end = cursor.clone();
        }
    }

    /// One parameter: its name, and its value with quotes where it has them.
    pub(crate) fn one(cursor: &mut Cursor<'a>) -> Option<(&'a [u8], Option<&'a [u8]>)> {
        cursor.skip_lws();
        let name = cursor.token()?;
        let before = cursor.clone();
        cursor.skip_lws();
        if !cursor.eat(b'=') {
            *cursor = before;
            return Some((name, None));
        }
        cursor.skip_lws();
        let value = if cursor.peek() == Some(b'"') {
            cursor.quoted()?
        } else {
            cursor.take_while(lex::is_gen_value)
        };
        (!value.is_empty()).then_some((name, Some(value)))
    }

    /// All parameters, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> + use<'a> {
        let mut cursor = Cursor::new(self.0);
        std::iter::from_fn(move || {
            cursor.skip_lws();
            if !cursor.eat(b';') {
                return None;
            }
            Self::one(&mut cursor)
        })
    }

    /// The value of a parameter that has one.
    pub fn get(&self, name: &str) -> Option<&'a [u8]> {
        self.iter().find(|(n, _)| n.eq_ignore_ascii_case(name.as_bytes()))?.1
    }

    /// Whether a parameter is there, with or without a value.
    pub fn has(&self, name: &str) -> bool {
        self.iter().any(|(n, _)| n.eq_ignore_ascii_case(name.as_bytes()))
    }
}

/// Parameters of a URI: no white space, no quotes, escapes allowed.
#[derive(Clone, Copy)]
pub struct UriParams<'a>(&'a [u8]);

impl<'a> UriParams<'a> {
    pub(crate) fn new(text: &'a [u8]) -> Self {
        UriParams(text)
    }

    pub(crate) fn is_valid(text: &[u8]) -> bool {
        match text {
            [] => true,
            [b';', rest @ ..] => rest.split(|b| *b == b';').all(|param| {
                let mut halves = param.splitn(2, |b| *b == b'=');
                let name = halves.next().unwrap_or_default();
                let value = halves.next();
                let fits = |part: &[u8]| !part.is_empty() && URI_PARAM.is_escaped_text(part);
                fits(name) && value.is_none_or(fits)
            }),
            _ => false,
        }
    }

    /// All parameters as they were written, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> + use<'a> {
        self.0.split(|b| *b == b';').skip(1).map(|param| {
            let mut halves = param.splitn(2, |b| *b == b'=');
            (halves.next().unwrap_or_default(), halves.next())
        })
    }

    /// The value of a parameter, its escapes resolved; empty where it has none.
    pub fn get(&self, name: &str) -> Option<String> {
        self.iter()
            .find(|(n, _)| lex::unescape(n).eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| lex::unescape_text(value.unwrap_or_default()).into_owned())
    }

    /// Whether a parameter is there.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_found_whatever_their_case_and_spacing() {
        let mut cursor = Cursor::new(b" ; Branch = z9hG4bK1;rport ;x=\"a;b\" rest");
        let params = Params::parse(&mut cursor).expect("valid");
        assert_eq!(params.get("branch"), Some(&b"z9hG4bK1"[..]));
        assert!(params.has("RPORT"));
        assert_eq!(params.get("rport"), None);
        assert_eq!(params.get("x"), Some(&b"\"a;b\""[..]));
        assert_eq!(cursor.rest(), b" rest");
    }

    #[test]
    fn empty_parameters_are_refused() {
        assert!(Params::parse(&mut Cursor::new(b";;a")).is_none());
        assert!(Params::parse(&mut Cursor::new(b";a=")).is_none());
        assert!(Params::parse(&mut Cursor::new(b";a=\"x")).is_none());
    }
}
