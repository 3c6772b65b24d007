//! Characters and tokens of RFC 3261 §25.1, over borrowed bytes.

use std::borrow::Cow;

/// Bytes of one kind: looked up, since a message is mostly this question.
pub(crate) struct ByteSet([bool; 256]);

impl ByteSet {
    /// Letters and digits, and these.
    pub(crate) const fn alphanumeric_and(others: &[u8]) -> Self {
        let mut set = [false; 256];
        let mut byte = 0;
        while byte < set.len() {
            set[byte] = (byte as u8).is_ascii_alphanumeric();
            byte += 1;
        }
        let mut at = 0;
        while at < others.len() {
            set[others[at] as usize] = true;
            at += 1;
        }
        ByteSet(set)
    }

    pub(crate) fn has(&self, b: u8) -> bool {
        self.0[usize::from(b)]
    }

    /// Whether every byte is one of these or part of a whole escape.
    pub(crate) fn is_escaped_text(&self, bytes: &[u8]) -> bool {
        let mut rest = bytes;
        loop {
            match rest {
                [] => return true,
                [b'%', a, b, tail @ ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => {
                    rest = tail;
                }
                [b, tail @ ..] if self.has(*b) => rest = tail,
                _ => return false,
            }
        }
    }
}

static TOKEN: ByteSet = ByteSet::alphanumeric_and(b"-.!%*_+`'~");
/// `gen-value` is a token or a host, and an IPv6 address may lack its brackets (RFC 5118 §4.5).
static GEN_VALUE: ByteSet = ByteSet::alphanumeric_and(b"-.!%*_+`'~[]:");

/// Whether a byte may stand in a `token`.
pub(crate) fn is_token(b: u8) -> bool {
    TOKEN.has(b)
}

/// Whether a byte may stand in a parameter's value that has no quotes.
pub(crate) fn is_gen_value(b: u8) -> bool {
    GEN_VALUE.has(b)
}

/// Space, tab and the line break of a folded header field.
pub(crate) fn is_lws(b: u8) -> bool {
    matches!(b, b' ' | b'\t' | b'\r' | b'\n')
}

/// A value without the white space around it.
pub(crate) fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = bytes
        && is_lws(*first)
    {
        bytes = rest;
    }
    while let [rest @ .., last] = bytes
        && is_lws(*last)
    {
        bytes = rest;
    }
    bytes
}

/// Decimal digits, at most `max`. Leading zeros are fine (RFC 4475 §3.1.1.1).
pub(crate) fn number(bytes: &[u8], max: u64) -> Option<u64> {
    if bytes.is_empty() {
        return None;
    }
    bytes.iter().try_fold(0u64, |sum, b| {
        let digit = b.is_ascii_digit().then(|| u64::from(b - b'0'))?;
        let sum = sum.checked_mul(10)?.checked_add(digit)?;
        (sum <= max).then_some(sum)
    })
}

/// Resolves `%HEXHEX` once (RFC 3261 §19.1.2): `%2541` is `%41`, and `%00` shortens nothing.
pub(crate) fn unescape(bytes: &[u8]) -> Cow<'_, [u8]> {
    if !bytes.contains(&b'%') {
        return Cow::Borrowed(bytes);
    }
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    loop {
        match rest {
            [] => return Cow::Owned(out),
            [b'%', high, low, tail @ ..] => {
                match (hex_digit(*high), hex_digit(*low)) {
                    (Some(high), Some(low)) => out.push(high << 4 | low),
                    _ => out.extend_from_slice(&[b'%', *high, *low]),
                }
                rest = tail;
            }
            [other, tail @ ..] => {
                out.push(*other);
                rest = tail;
            }
        }
    }
}

/// The same, as text; what is not UTF-8 after unescaping stays as it was written.
pub(crate) fn unescape_text(bytes: &[u8]) -> Cow<'_, str> {
    match unescape(bytes) {
        Cow::Borrowed(text) => String::from_utf8_lossy(text),
        Cow::Owned(text) => match String::from_utf8(text) {
            Ok(text) => Cow::Owned(text),
            Err(_) => String::from_utf8_lossy(bytes),
        },
    }
}

fn hex_digit(b: u8) -> Option<u8> {
    char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok())
}

/// What stands between the quotes, with its backslashes resolved.
pub(crate) fn unquote(bytes: &[u8]) -> Cow<'_, [u8]> {
    let inner = match bytes {
        [b'"', inner @ .., b'"'] => inner,
        _ => return Cow::Borrowed(bytes),
    };
    if !inner.contains(&b'\\') {
        return Cow::Borrowed(inner);
    }
    let mut out = Vec::with_capacity(inner.len());
    let mut escaped = false;
    for &b in inner {
        if b == b'\\' && !escaped {
            escaped = true;
        } else {
            escaped = false;
            out.push(b);
        }
    }
    Cow::Owned(out)
}

/// Folding made a single space each (RFC 3261 §7.3.1), so that a value can be written on one line.
pub(crate) fn unfold(bytes: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr2(b'\r', b'\n', bytes).is_none() {
        return Cow::Borrowed(bytes);
    }
    let mut out = Vec::with_capacity(bytes.len());
    let mut in_break = false;
    for &b in bytes {
        match b {
            b'\r' | b'\n' => in_break = true,
            b' ' | b'\t' if in_break => {}
            _ => {
                if in_break {
                    out.push(b' ');
                    in_break = false;
                }
                out.push(b);
            }
        }
    }
    Cow::Owned(out)
}

/// A place in a header field's value.
#[derive(Clone)]
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Cursor { bytes, at: 0 }
    }

    pub(crate) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    pub(crate) fn position(&self) -> usize {
        self.at
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    pub(crate) fn since(&self, start: usize) -> &'a [u8] {
        self.bytes.get(start..self.at).unwrap_or_default()
    }

    pub(crate) fn advance(&mut self, count: usize) {
        self.at = self.at.saturating_add(count).min(self.bytes.len());
    }

    pub(crate) fn skip_lws(&mut self) {
        self.take_while(is_lws);
    }

    /// Whether nothing but white space is left.
    pub(crate) fn at_end(&mut self) -> bool {
        self.skip_lws();
        self.peek().is_none()
    }

    pub(crate) fn eat(&mut self, wanted: u8) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.at += 1;
        }
        found
    }

    pub(crate) fn take_while(&mut self, accept: impl Fn(u8) -> bool) -> &'a [u8] {
        let rest = self.rest();
        let length = rest.iter().position(|b| !accept(*b)).unwrap_or(rest.len());
        self.at += length;
        rest.get(..length).unwrap_or_default()
    }

    /// At least one byte of a token.
    pub(crate) fn token(&mut self) -> Option<&'a [u8]> {
        let token = self.take_while(is_token);
        (!token.is_empty()).then_some(token)
    }

    /// A quoted string with its quotes. `None` if it does not end.
    pub(crate) fn quoted(&mut self) -> Option<&'a [u8]> {
        let start = self.at;
        if !self.eat(b'"') {
            return None;
        }
        loop {
            match self.peek()? {
                b'\\' => self.at += 2,
                b'"' => {
                    self.at += 1;
                    return Some(self.since(start));
                }
                _ => self.at += 1,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_resolved_once() {
        assert_eq!(&*unescape(b"value%25%34%31"), b"value%41");
        assert_eq!(&*unescape(b"null-%00-null"), b"null-\0-null");
        assert_eq!(&*unescape(b"%zz%2"), b"%zz%2");
    }

    #[test]
    fn unfolding_leaves_no_line_break() {
        assert_eq!(&*unfold(b"a\r\n \t b\r\n\tc"), b"a b c");
    }

    #[test]
    fn unterminated_quote_is_none() {
        assert!(Cursor::new(b"\"abc").quoted().is_none());
        assert!(Cursor::new(b"\"abc\\\"").quoted().is_none());
        assert_eq!(Cursor::new(br#""a\"b" c"#).quoted(), Some(&br#""a\"b""#[..]));
    }

    #[test]
    fn numbers_have_an_upper_limit() {
        assert_eq!(number(b"0068", 255), Some(68));
        assert_eq!(number(b"36893488147419103232", u64::MAX), None);
        assert_eq!(number(b"-1", 9), None);
        assert_eq!(number(b"", 9), None);
    }
}
