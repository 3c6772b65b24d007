//! What a body is: Content-Type, Content-Disposition and multipart (RFC 3261 §20, RFC 5621).

use super::lex::{self, Cursor};
use super::name::Name;
use super::params::Params;
use super::parse::{Field, split_fields};
use crate::error::ParseError;
use crate::invite::InviteBody;
use crate::limits;
use bytes::Bytes;

/// What we take (RFC 3261 §8.2.3), for an Accept header field.
pub(crate) const ACCEPT: &str =
    "application/sdp, multipart/mixed, multipart/alternative, multipart/related";

/// Finds the session description in a body, or says that the body must be understood and is not.
pub(crate) fn classify(fields: &[Field<'_>], body: &[u8]) -> Result<InviteBody, ParseError> {
    if body.is_empty() {
        return Ok(InviteBody::None);
    }
    classify_at(fields, body, 0)
}

fn classify_at(fields: &[Field<'_>], body: &[u8], depth: usize) -> Result<InviteBody, ParseError> {
    let first = |name| fields.iter().find(|f| f.name == name).map(|f| f.value);
    let encoded = first(Name::ContentEncoding)
        .is_some_and(|e| !lex::trim(e).eq_ignore_ascii_case(b"identity"));
    let disposition = first(Name::ContentDisposition).map(Disposition::parse);
    let not_understood = match &disposition {
        // RFC 3261 §20.11: `handling` says what becomes of a body that is not understood.
        Some(Some(d)) if d.optional => InviteBody::None,
        Some(Some(d)) if d.required => InviteBody::Unsupported,
        // A part says nothing: PBXs put ISUP and location beside the SDP without asking for them
        // to be understood (protocols.md §2.11).
        _ if depth > 0 => InviteBody::None,
        _ => InviteBody::Unsupported,
    };
    let Some(content_type) = first(Name::ContentType) else { return Ok(not_understood) };
    let content_type =
        ContentType::parse(content_type).ok_or(ParseError::Header("Content-Type"))?;
    if encoded {
        return Ok(not_understood);
    }
    if content_type.is("application", "sdp") {
        let is_session = match &disposition {
            None => true,
            Some(Some(d)) => d.kind.eq_ignore_ascii_case(b"session"),
            Some(None) => return Err(ParseError::Header("Content-Disposition")),
        };
        return Ok(if is_session {
            InviteBody::Sdp(Bytes::copy_from_slice(body))
        } else {
            not_understood
        });
    }
    if content_type.kind.eq_ignore_ascii_case(b"multipart") {
        if depth >= limits::MAX_PART_DEPTH {
            return Err(ParseError::TooLarge("multipart depth"));
        }
        if content_type.is("multipart", "alternative") {
            return choose_part(&content_type, body, depth, not_understood);
        }
        return classify_parts(&content_type, body, depth);
    }
    Ok(not_understood)
}

fn classify_parts(
    content_type: &ContentType<'_>,
    body: &[u8],
    depth: usize,
) -> Result<InviteBody, ParseError> {
    let boundary = content_type.params.get("boundary").ok_or(ParseError::Multipart)?;
    let mut found = InviteBody::None;
    for part in parts(body, &lex::unquote(boundary))? {
        let (fields, content) = split_part(part)?;
        match classify_at(&fields, content, depth + 1)? {
            InviteBody::Unsupported => return Ok(InviteBody::Unsupported),
            InviteBody::Sdp(sdp) if found == InviteBody::None => found = InviteBody::Sdp(sdp),
            InviteBody::Sdp(_) | InviteBody::None => {}
        }
    }
    Ok(found)
}

/// RFC 2046 §5.1.4: of alternatives the last one that is understood.
fn choose_part(
    content_type: &ContentType<'_>,
    body: &[u8],
    depth: usize,
    not_understood: InviteBody,
) -> Result<InviteBody, ParseError> {
    let boundary = content_type.params.get("boundary").ok_or(ParseError::Multipart)?;
    let mut found = not_understood;
    for part in parts(body, &lex::unquote(boundary))? {
        let (fields, content) = split_part(part)?;
        if let sdp @ InviteBody::Sdp(_) = classify_at(&fields, content, depth + 1)? {
            found = sdp;
        }
    }
    Ok(found)
}

/// RFC 2046 §5.1.1: what stands between delimiter lines. Preamble and epilogue are ignored.
fn parts<'a>(body: &'a [u8], boundary: &[u8]) -> Result<Vec<&'a [u8]>, ParseError> {
    // RFC 2046 §5.1.1: 1 to 70 characters.
    if boundary.is_empty() || boundary.len() > 70 {
        return Err(ParseError::Multipart);
    }
    let mut found = Vec::new();
    let mut start = None;
    let mut at = 0;
    while at < body.len() {
        let line_end = find(body, at, b"\r\n").unwrap_or(body.len());
        let line = body.get(at..line_end).unwrap_or_default();
        let after = line.strip_prefix(b"--").and_then(|l| l.strip_prefix(boundary));
        let is_end = after.is_some_and(|a| a.starts_with(b"--"));
        if is_end || after.is_some_and(|a| a.iter().all(|b| lex::is_lws(*b))) {
            if let Some(start) = start {
                // The line break before a delimiter belongs to the delimiter.
                let end = at.saturating_sub(2).max(start);
                found.push(body.get(start..end).unwrap_or_default());
            }
            if found.len() > limits::MAX_PARTS {
                return Err(ParseError::TooLarge("multipart parts"));
            }
            if is_end {
                return Ok(found);
            }
            start = Some((line_end + 2).min(body.len()));
        }
        at = line_end + 2;
    }
    Err(ParseError::Multipart)
}

/// A part's header fields and its content; it may have no header fields at all.
fn split_part(part: &[u8]) -> Result<(Vec<Field<'_>>, &[u8]), ParseError> {
    if let Some(content) = part.strip_prefix(b"\r\n") {
        return Ok((Vec::new(), content));
    }
    let (fields, length, error) = split_fields(part);
    match error {
        None => Ok((fields, part.get(length..).unwrap_or_default())),
        Some(_) => Err(ParseError::Multipart),
    }
}

fn find(haystack: &[u8], from: usize, needle: &[u8]) -> Option<usize> {
    let tail = haystack.get(from..)?;
    tail.windows(needle.len()).position(|w| w == needle).map(|at| from + at)
}

/// `type/subtype;parameters`.
pub(crate) struct ContentType<'a> {
    kind: &'a [u8],
    subtype: &'a [u8],
    params: Params<'a>,
}

impl<'a> ContentType<'a> {
    pub(crate) fn parse(value: &'a [u8]) -> Option<Self> {
        let mut cursor = Cursor::new(value);
        let parsed = Self::take(&mut cursor)?;
        cursor.at_end().then_some(parsed)
    }

    fn take(cursor: &mut Cursor<'a>) -> Option<Self> {
        cursor.skip_lws();
        let kind = cursor.token()?;
        cursor.skip_lws();
        if !cursor.eat(b'/') {
            return None;
        }
        cursor.skip_lws();
        let subtype = cursor.token()?;
        let params = Params::parse(cursor)?;
        Some(ContentType { kind, subtype, params })
    }

    fn is(&self, kind: &str, subtype: &str) -> bool {
        self.kind.eq_ignore_ascii_case(kind.as_bytes())
            && self.subtype.eq_ignore_ascii_case(subtype.as_bytes())
    }
}

struct Disposition<'a> {
    kind: &'a [u8],
    optional: bool,
    required: bool,
}

impl<'a> Disposition<'a> {
    fn parse(value: &'a [u8]) -> Option<Self> {
        let mut cursor = Cursor::new(value);
        cursor.skip_lws();
        let kind = cursor.token()?;
        let params = Params::parse(&mut cursor)?;
        let handling = params.get("handling").unwrap_or_default();
        Some(Disposition {
            kind,
            optional: handling.eq_ignore_ascii_case(b"optional"),
            required: handling.eq_ignore_ascii_case(b"required"),
        })
    }
}

/// Whether Accept header fields leave room for `application/sdp`. Absent means yes (RFC 3261
/// §20.1); an empty one takes nothing.
pub(crate) fn accepts_sdp(fields: &[Field<'_>]) -> bool {
    accepts(fields, "sdp")
}

/// The same for `application/` and this.
pub(crate) fn accepts(fields: &[Field<'_>], subtype: &str) -> bool {
    let mut any = false;
    for field in fields.iter().filter(|f| f.name == Name::Accept) {
        any = true;
        let mut cursor = Cursor::new(field.value);
        while let Some(range) = ContentType::take(&mut cursor) {
            let refused =
                range.params.get("q").is_some_and(|q| q.iter().all(|b| matches!(b, b'0' | b'.')));
            let fits = range.is("application", subtype)
                || range.is("application", "*")
                || range.is("*", "*");
            if fits && !refused {
                return true;
            }
            cursor.skip_lws();
            if !cursor.eat(b',') {
                break;
            }
        }
    }
    !any
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(head: &str, body: &str) -> Result<InviteBody, ParseError> {
        let head = format!("{head}\r\n");
        let (fields, _, error) = split_fields(head.as_bytes());
        assert_eq!(error, None);
        classify(&fields, body.as_bytes())
    }

    fn sdp(text: &'static str) -> Result<InviteBody, ParseError> {
        Ok(InviteBody::Sdp(Bytes::from_static(text.as_bytes())))
    }

    const MIXED: &str = "--b1\r\nContent-Type: application/isup;version=itu-t92+\r\n\r\nx\0y\r\n\
        --b1\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n\r\n--b1--\r\n";

    #[test]
    fn sdp_is_found_alone_and_in_multipart() {
        assert_eq!(body("c: Application/SDP;charset=utf-8\r\n", "v=0\r\n"), sdp("v=0\r\n"));
        assert_eq!(body("c: application/sdp\r\ne: identity\r\n", "v=0\r\n"), sdp("v=0\r\n"));
        assert_eq!(body("c: multipart/mixed;boundary=b1\r\n", MIXED), sdp("v=0\r\n"));
        assert_eq!(body("c: multipart/related; boundary=\"b1\"\r\n", MIXED), sdp("v=0\r\n"));
    }

    #[test]
    fn of_alternatives_the_last_one_counts_that_is_understood() {
        let alternative = "c: multipart/alternative;boundary=b1\r\n";
        let three = "--b1\r\nContent-Type: application/sdp\r\n\r\nv=1\r\n\
            --b1\r\nContent-Type: application/sdp\r\n\r\nv=2\r\n\
            --b1\r\nContent-Type: application/x\r\nContent-Disposition: session;handling=required\
            \r\n\r\nv=3\r\n--b1--\r\n";
        assert_eq!(body(alternative, three), sdp("v=2"));
        assert_eq!(body("c: multipart/mixed;boundary=b1\r\n", three), Ok(InviteBody::Unsupported));
        let none = three.replace("application/sdp", "text/x");
        assert_eq!(body(alternative, &none), Ok(InviteBody::Unsupported));
    }

    #[test]
    fn what_must_be_understood_and_is_not_is_unsupported() {
        let unsupported = Ok(InviteBody::Unsupported);
        assert_eq!(body("c: application/unknownformat\r\n", "x"), unsupported);
        assert_eq!(body("c: application/sdp\r\ne: gzip\r\n", "x"), unsupported);
        assert_eq!(body("", "x"), unsupported);
        let required =
            MIXED.replace("itu-t92+", "x\r\nContent-Disposition: signal;handling=required");
        assert_eq!(body("c: multipart/mixed;boundary=b1\r\n", &required), unsupported);
        let optional = "c: image/png\r\nContent-Disposition: icon;handling=optional\r\n";
        assert_eq!(body(optional, "x"), Ok(InviteBody::None));
    }

    #[test]
    fn malformed_multipart_is_an_error() {
        assert_eq!(body("c: multipart/mixed\r\n", MIXED), Err(ParseError::Multipart));
        let open = MIXED.replace("--b1--", "");
        let found = body("c: multipart/mixed;boundary=b1\r\n", &open);
        assert_eq!(found, Err(ParseError::Multipart));
    }

    #[test]
    fn accept_without_sdp_is_seen() {
        let accepts = |head: &str| accepts_sdp(&split_fields(format!("{head}\r\n").as_bytes()).0);
        assert!(accepts(""));
        assert!(accepts("Accept: text/plain, application/*;q=0.5\r\n"));
        assert!(!accepts("Accept: text/nobodyKnowsThis\r\n"));
        assert!(!accepts("Accept: application/sdp;q=0.0\r\n"));
        assert!(!accepts("Accept:\r\n"));
    }
}
