//! From bytes to a message: lines first, then what every message must have.

use super::address::{Address, addresses};
use super::lex;
use super::method::Method;
use super::name::Name;
use super::uri::Uri;
use super::via::Via;
use super::{CSeq, Message, Request, StartLine};
use crate::error::ParseError;
use crate::limits;

/// A header line.
#[derive(Clone, Copy)]
pub struct Field<'a> {
    /// What it is.
    pub name: Name,
    /// Its name as written.
    pub raw_name: &'a [u8],
    /// Its value without the white space around it; a folded one holds its line breaks.
    pub value: &'a [u8],
}

/// What can be read of a message before it is judged, so that even a bad one can be answered.
pub(crate) struct Draft<'a> {
    pub(crate) start: Result<StartLine<'a>, ParseError>,
    /// The method, even where the rest of the start line is malformed.
    pub(crate) method: Option<Method<'a>>,
    pub(crate) fields: Vec<Field<'a>>,
    body: &'a [u8],
    error: Option<ParseError>,
}

impl<'a> Draft<'a> {
    /// Splits a message into lines. An error means that there is nobody to answer.
    pub(crate) fn read(mut bytes: &'a [u8]) -> Result<Self, ParseError> {
        // RFC 3261 §7.5: empty lines before the start line are ignored.
        let mut skipped = 0;
        while let Some(rest) = bytes.strip_prefix(b"\r\n") {
            bytes = rest;
            skipped += 2;
            if skipped > limits::MAX_KEEP_ALIVE_BYTES {
                return Err(ParseError::NotSip);
            }
        }
        let end = find_line_end(bytes).ok_or(ParseError::NotSip)?;
        let line = bytes.get(..end).unwrap_or_default();
        let after = bytes.get(end + 2..).unwrap_or_default();
        if line.len() > limits::MAX_START_LINE_BYTES {
            return Err(ParseError::TooLarge("start line"));
        }
        let start = start_line(line);
        if start == Err(ParseError::NotSip) {
            return Err(ParseError::NotSip);
        }
        let method = if is_response(line) {
            None
        } else {
            line.split(|b| *b == b' ').next().filter(|m| is_method(m)).map(Method::of)
        };
        let (fields, length, error) = split_fields(after);
        let body = after.get(length..).unwrap_or_default();
        Ok(Draft { start, method, fields, body, error })
    }

    /// Checks everything that must be right whatever the message is for. A message takes the
    /// fields along; after an error they are still here.
    pub(crate) fn check(&mut self) -> Result<Message<'a>, ParseError> {
        let start = self.start?;
        if let Some(error) = self.error {
            return Err(error);
        }
        let mut core = Core::default();
        for field in &self.fields {
            core.take(field)?;
        }
        let cseq = core.cseq.ok_or(ParseError::Missing("CSeq"))?;
        if let StartLine::Request(request) = start
            && request.method != cseq.method
        {
            return Err(ParseError::MethodMismatch);
        }
        let body = match core.content_length {
            None => self.body,
            // RFC 3261 §18.3: octets after the body are ignored, missing ones an error.
            Some(length) => self.body.get(..length).ok_or(ParseError::Length)?,
        };
        if body.len() > limits::MAX_BODY_BYTES {
            return Err(ParseError::TooLarge("body"));
        }
        Ok(Message {
            start,
            via: core.via.ok_or(ParseError::Missing("Via"))?,
            via_count: core.via_count,
            from: core.from.ok_or(ParseError::Missing("From"))?,
            to: core.to.ok_or(ParseError::Missing("To"))?,
            call_id: core.call_id.ok_or(ParseError::Missing("Call-ID"))?,
            cseq,
            contact: core.contact,
            fields: std::mem::take(&mut self.fields),
            body,
        })
    }
}

/// What every message has (RFC 3261 §8.1.1, Max-Forwards apart), and what must be right if there.
#[derive(Default)]
struct Core<'a> {
    via: Option<Via<'a>>,
    via_count: usize,
    from: Option<Address<'a>>,
    to: Option<Address<'a>>,
    call_id: Option<&'a [u8]>,
    cseq: Option<CSeq<'a>>,
    contact: Option<Address<'a>>,
    content_length: Option<usize>,
    seen: u64,
}

impl<'a> Core<'a> {
    fn take(&mut self, field: &Field<'a>) -> Result<(), ParseError> {
        let name = field.name;
        let long = name.long().unwrap_or_default();
        if name.is_single() {
            let bit = 1u64 << (name as u8);
            if self.seen & bit != 0 {
                return Err(ParseError::Repeated(long));
            }
            self.seen |= bit;
        }
        let broken = ParseError::Header(long);
        let value = field.value;
        match name {
            Name::Via => self.take_vias(value).ok_or(broken)??,
            Name::From => self.from = Some(tagged(value).ok_or(broken)?),
            Name::To => self.to = Some(tagged(value).ok_or(broken)?),
            Name::CallId => self.call_id = Some(call_id(value).ok_or(broken)?),
            Name::CSeq => self.cseq = Some(cseq(value).ok_or(broken)?),
            Name::Contact => self.take_contacts(value).ok_or(broken)?,
            Name::Route | Name::RecordRoute if addresses(value).any(|a| a.is_none()) => {
                return Err(broken);
            }
            Name::ContentLength => {
                let length = lex::number(value, u64::from(u32::MAX)).ok_or(broken)?;
                self.content_length = Some(usize::try_from(length).map_err(|_| broken)?);
            }
            // RFC 4475 §3.1.2.4: over 255 may count as absent; a UAS does not care (zeromf).
            Name::MaxForwards if value.is_empty() || !value.iter().all(u8::is_ascii_digit) => {
                return Err(broken);
            }
            Name::ContentType => {
                super::content::ContentType::parse(value).ok_or(broken)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn take_vias(&mut self, value: &'a [u8]) -> Option<Result<(), ParseError>> {
        let mut cursor = lex::Cursor::new(value);
        loop {
            let via = Via::parse(&mut cursor)?;
            self.via.get_or_insert(via);
            self.via_count += 1;
            if self.via_count > limits::MAX_VIAS {
                return Some(Err(ParseError::TooLarge("Via")));
            }
            if cursor.at_end() {
                return Some(Ok(()));
            }
            if !cursor.eat(b',') {
                return None;
            }
        }
    }

    fn take_contacts(&mut self, value: &'a [u8]) -> Option<()> {
        if value == b"*" {
            return Some(());
        }
        for address in addresses(value) {
            self.contact.get_or_insert(address?);
        }
        Some(())
    }
}

fn tagged(value: &[u8]) -> Option<Address<'_>> {
    let address = Address::parse_single(value)?;
    let mut has_tag = false;
    for (name, value) in address.params().iter() {
        if name.eq_ignore_ascii_case(b"tag") {
            let value = value.filter(|t| t.len() <= limits::MAX_IDENTIFIER_BYTES)?;
            if has_tag || !value.iter().all(|b| lex::is_token(*b)) {
                return None;
            }
            has_tag = true;
        }
    }
    Some(address)
}

/// RFC 3261 §20.8: `word [ "@" word ]`. It is compared and echoed only, so that whatever is visible
/// will do: there are peers with base64 in it, and its `=` is in no `word`.
fn call_id(value: &[u8]) -> Option<&[u8]> {
    let is_visible = |b: &u8| (0x21..0x7f).contains(b) && *b != b',';
    let fits = !value.is_empty()
        && value.len() <= limits::MAX_IDENTIFIER_BYTES
        && value.iter().all(is_visible);
    fits.then_some(value)
}

/// RFC 3261 §8.1.1.5, §20.16: below 2^31, white space, the method.
fn cseq(value: &[u8]) -> Option<CSeq<'_>> {
    let mut cursor = lex::Cursor::new(value);
    let digits = cursor.take_while(|b| b.is_ascii_digit());
    let number = lex::number(digits, (1 << 31) - 1)?;
    if !cursor.peek().is_some_and(lex::is_lws) {
        return None;
    }
    cursor.skip_lws();
    let method = Method::of(cursor.token()?);
    cursor.at_end().then_some(CSeq { number: u32::try_from(number).ok()?, method })
}

fn is_response(line: &[u8]) -> bool {
    line.get(..4).is_some_and(|p| p.eq_ignore_ascii_case(b"SIP/"))
}

fn is_method(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|b| lex::is_token(*b))
}

/// RFC 3261 §7.1, §7.2: single spaces, nothing before and nothing after.
fn start_line(line: &[u8]) -> Result<StartLine<'_>, ParseError> {
    if is_response(line) {
        let mut parts = line.splitn(3, |b| *b == b' ');
        version(parts.next().unwrap_or_default())?;
        let code = parts.next().filter(|c| c.len() == 3).ok_or(ParseError::StartLine)?;
        let code = lex::number(code, 699).filter(|c| *c >= 100).ok_or(ParseError::StartLine)?;
        let code = u16::try_from(code).map_err(|_| ParseError::StartLine)?;
        return Ok(StartLine::Response(code));
    }
    let mut parts = line.splitn(2, |b| *b == b' ');
    let method = parts.next().filter(|m| is_method(m)).ok_or(ParseError::NotSip)?;
    let rest = parts.next().ok_or(ParseError::NotSip)?;
    let Some(space) = rest.iter().rposition(|b| *b == b' ') else {
        return Err(ParseError::NotSip);
    };
    let (uri, last) = (&rest[..space], &rest[space + 1..]);
    if !is_response(last) {
        // White space at the end, perhaps; what does not even name SIP gets no answer.
        let names_sip = line.windows(4).any(|w| w.eq_ignore_ascii_case(b"SIP/"));
        return Err(if names_sip { ParseError::StartLine } else { ParseError::NotSip });
    }
    version(last)?;
    let uri = Uri::parse(uri)?;
    // RFC 3261 §19.1.1, table 1: no header part in a Request-URI.
    if uri.headers().is_some() {
        return Err(ParseError::Uri);
    }
    Ok(StartLine::Request(Request { method: Method::of(method), uri }))
}

fn version(text: &[u8]) -> Result<(), ParseError> {
    if text.eq_ignore_ascii_case(b"SIP/2.0") {
        return Ok(());
    }
    let number = text.get(4..).unwrap_or_default();
    let mut halves = number.splitn(2, |b| *b == b'.');
    let digits = |half: Option<&[u8]>| {
        half.is_some_and(|h| !h.is_empty() && h.iter().all(u8::is_ascii_digit))
    };
    let is_version = digits(halves.next()) && digits(halves.next());
    Err(if is_version { ParseError::Version } else { ParseError::StartLine })
}

fn find_line_end(bytes: &[u8]) -> Option<usize> {
    memchr::memchr_iter(b'\r', bytes).find(|at| bytes.get(at + 1) == Some(&b'\n'))
}

/// Header lines up to and with the empty line, how many bytes that is, and the first fault. Lines
/// after a fault are read all the same, so that a refusal can carry the Via of the request.
pub(crate) fn split_fields(bytes: &[u8]) -> (Vec<Field<'_>>, usize, Option<ParseError>) {
    let mut fields = Vec::with_capacity(24);
    let mut error = None;
    let mut at = 0;
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        let Some(line) = logical_line(rest) else {
            return (fields, bytes.len(), error.or(Some(ParseError::HeaderLine)));
        };
        at += line.length;
        if line.text.is_empty() {
            return (fields, at, error);
        }
        if at > limits::MAX_HEAD_BYTES {
            return (fields, at, error.or(Some(ParseError::TooLarge("header bytes"))));
        }
        if fields.len() >= limits::MAX_FIELDS {
            return (fields, at, error.or(Some(ParseError::TooLarge("header fields"))));
        }
        match field(&line) {
            Some(field) => fields.push(field),
            None => error = error.or(Some(ParseError::HeaderLine)),
        }
    }
}

/// A line with the lines folded into it (RFC 3261 §7.3.1).
struct Line<'a> {
    text: &'a [u8],
    /// The bytes it takes with its end.
    length: usize,
    /// Whether there is a line break in it that is not folding: it would be a header field of its own
    /// wherever it is echoed.
    has_stray_break: bool,
}

/// The first line, if its end is there.
fn logical_line(bytes: &[u8]) -> Option<Line<'_>> {
    let mut has_stray_break = false;
    let mut from = 0;
    loop {
        let at = from + memchr::memchr2(b'\r', b'\n', bytes.get(from..)?)?;
        from = match bytes.get(at..)? {
            [b'\r', b'\n', b' ' | b'\t', ..] if at > 0 => at + 2,
            [b'\r', b'\n', ..] => {
                return Some(Line { text: bytes.get(..at)?, length: at + 2, has_stray_break });
            }
            _ => {
                has_stray_break = true;
                at + 1
            }
        };
    }
}

fn field<'a>(line: &Line<'a>) -> Option<Field<'a>> {
    let colon = memchr::memchr(b':', line.text)?;
    let (name, value) = (line.text.get(..colon)?, line.text.get(colon + 1..)?);
    let name = lex::trim(name);
    let name_fits = is_method(name) && line.text.first().is_some_and(|b| !lex::is_lws(*b));
    let field = Field { name: Name::of(name), raw_name: name, value: lex::trim(value) };
    (name_fits && !line.has_stray_break).then_some(field)
}
