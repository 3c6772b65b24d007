//! SIP messages: read by `rsip` as far as it goes, written as text.
//!
//! `rsip` 0.4 cannot read a start line with an IPv6 host and knows no compact header names, so the start line
//! is read here (RFC 3261 §7.1, §7.2), compact names are made long (§7.3.3), and `rsip` gets the headers.

use rsip::message::HasHeaders as _;

use crate::error::Error;
use crate::limits::{BODY_MAX, HEAD_MAX};

/// A message from the peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// A request.
    Request(Request),
    /// A response.
    Response(Response),
}

/// A request from the peer.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    /// The method, as it stood.
    pub method: String,
    /// The Request-URI, as it stood.
    pub uri: String,
    /// The headers in their order.
    pub headers: Headers,
    /// The body.
    pub body: Vec<u8>,
}

/// A response from the peer.
#[derive(Clone, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The reason phrase.
    pub reason: String,
    /// The headers in their order.
    pub headers: Headers,
    /// The body.
    pub body: Vec<u8>,
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Request({})", self.method)
    }
}

impl std::fmt::Debug for Response {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Response({} {})", self.status, self.reason)
    }
}

/// Headers in their order, names as they stood (compact ones made long).
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers(Vec<(String, String)>);

impl Headers {
    /// The first value of a header.
    pub fn first(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(n, _)| n.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// Every value of a header, a line each.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The sequence number and method of CSeq (RFC 3261 §20.16).
    pub fn cseq(&self) -> Option<(u32, &str)> {
        let (number, method) = self.first("CSeq")?.trim().split_once(' ')?;
        Some((number.parse().ok()?, method.trim()))
    }

    /// The branch of the topmost Via (RFC 3261 §17.1.3).
    pub fn branch(&self) -> Option<&str> {
        parameter(self.first("Via")?.split(',').next()?, "branch")
    }

    /// The URIs of Record-Route in their order, each with its brackets' content (RFC 3261 §12.1.2).
    pub fn record_route(&self) -> Vec<String> {
        self.all("Record-Route")
            .flat_map(|line| line.split(','))
            .filter_map(uri_of)
            .map(str::to_owned)
            .collect()
    }
}

/// A parameter of a header value, after any `>` (RFC 3261 §20).
pub fn parameter<'a>(value: &'a str, name: &str) -> Option<&'a str> {
    let parameters = value.rfind('>').map_or(value, |at| &value[at + 1..]);
    parameters.split(';').skip(1).find_map(|p| {
        let (n, v) = p.split_once('=').unwrap_or((p, ""));
        n.trim().eq_ignore_ascii_case(name).then(|| v.trim())
    })
}

/// The URI of a name-addr or addr-spec (RFC 3261 §20.10).
pub fn uri_of(value: &str) -> Option<&str> {
    match value.split_once('<') {
        Some((_, rest)) => Some(rest.split_once('>')?.0.trim()),
        None => Some(value.split(';').next()?.trim()),
    }
    .filter(|uri| !uri.is_empty())
}

/// Reads one whole message.
pub fn parse(bytes: &[u8]) -> Result<Message, Error> {
    let head_length = find(bytes, b"\r\n\r\n").ok_or_else(|| malformed("no end of headers"))?;
    let head = std::str::from_utf8(&bytes[..head_length]).map_err(|_| malformed("not UTF-8"))?;
    let mut body = bytes[head_length + 4..].to_vec();
    let (start_line, header_lines) = head.split_once("\r\n").unwrap_or((head, ""));
    let headers = parse_headers(header_lines)?;
    if let Some(length) = headers.first("Content-Length") {
        let length: usize = length.trim().parse().map_err(|_| malformed("Content-Length"))?;
        if length > body.len() {
            return Err(malformed("shorter than its Content-Length"));
        }
        // RFC 3261 §18.3: what follows the body of a datagram is thrown away.
        body.truncate(length);
    }
    if let Some(rest) = start_line.strip_prefix("SIP/2.0 ") {
        let (status, reason) = rest.split_once(' ').unwrap_or((rest, ""));
        let status = status.parse().ok().filter(|s| (100..700).contains(s));
        return Ok(Message::Response(Response {
            status: status.ok_or_else(|| malformed("status code"))?,
            reason: reason.to_owned(),
            headers,
            body,
        }));
    }
    let mut words = start_line.split(' ');
    match (words.next(), words.next(), words.next(), words.next()) {
        (Some(method), Some(uri), Some("SIP/2.0"), None) => Ok(Message::Request(Request {
            method: method.to_owned(),
            uri: uri.to_owned(),
            headers,
            body,
        })),
        _ => Err(malformed("start line")),
    }
}

/// Hands the header lines to `rsip` under a start line that it can read.
fn parse_headers(lines: &str) -> Result<Headers, Error> {
    if lines.is_empty() {
        return Ok(Headers::default());
    }
    let mut text = String::from("OPTIONS sip:a@invalid SIP/2.0\r\n");
    for line in unfold(lines) {
        let (name, value) = line.split_once(':').ok_or_else(|| malformed("header line"))?;
        let name = long_name(name.trim());
        text.push_str(&format!("{name}: {}\r\n", value.trim()));
    }
    text.push_str("\r\n");
    let request = rsip::Request::try_from(text).map_err(|e| malformed(&e.to_string()))?;
    let headers = request.headers().iter().map(|header| {
        let line = header.to_string();
        let (name, value) = line.split_once(':').unwrap_or((&line, ""));
        (name.to_owned(), value.trim().to_owned())
    });
    Ok(Headers(headers.collect()))
}

/// RFC 3261 §7.3.1: a line that begins with white space goes on with the one before.
fn unfold(lines: &str) -> Vec<String> {
    let mut whole: Vec<String> = Vec::new();
    for line in lines.split("\r\n") {
        match whole.last_mut() {
            Some(last) if line.starts_with([' ', '\t']) => {
                last.push(' ');
                last.push_str(line.trim());
            }
            _ => whole.push(line.to_owned()),
        }
    }
    whole
}

/// RFC 3261 §7.3.3: the compact forms.
fn long_name(name: &str) -> &str {
    match name {
        "i" | "I" => "Call-ID",
        "m" | "M" => "Contact",
        "e" | "E" => "Content-Encoding",
        "l" | "L" => "Content-Length",
        "c" | "C" => "Content-Type",
        "f" | "F" => "From",
        "s" | "S" => "Subject",
        "k" | "K" => "Supported",
        "t" | "T" => "To",
        "v" | "V" => "Via",
        other => other,
    }
}

fn malformed(what: &str) -> Error {
    Error::Malformed(what.chars().filter(|c| !c.is_control()).take(120).collect())
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|w| w == needle)
}

/// Cuts a stream into messages (RFC 3261 §18.3: by Content-Length).
#[derive(Default)]
pub struct StreamFramer {
    buffer: Vec<u8>,
}

impl StreamFramer {
    /// Takes what was read.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole message, if it is there.
    pub fn next_message(&mut self) -> Result<Option<Vec<u8>>, Error> {
        // RFC 5626 §3.5.1: a keep-alive's CRLFs stand between messages.
        let blank = self.buffer.iter().take_while(|b| matches!(b, b'\r' | b'\n'));
        let blank = blank.count();
        self.buffer.drain(..blank);
        let Some(head_length) = find(&self.buffer, b"\r\n\r\n") else {
            if self.buffer.len() > HEAD_MAX {
                return Err(Error::TooLong("head"));
            }
            return Ok(None);
        };
        if head_length > HEAD_MAX {
            return Err(Error::TooLong("head"));
        }
        let head = std::str::from_utf8(&self.buffer[..head_length]);
        let head = head.map_err(|_| malformed("not UTF-8"))?;
        let length = head
            .split("\r\n")
            .skip(1)
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| long_name(name.trim()).eq_ignore_ascii_case("Content-Length"))
            .ok_or_else(|| malformed("no Content-Length on a stream"))?;
        let length: usize = length.1.trim().parse().map_err(|_| malformed("Content-Length"))?;
        if length > BODY_MAX {
            return Err(Error::TooLong("body"));
        }
        let whole = head_length + 4 + length;
        if self.buffer.len() < whole {
            return Ok(None);
        }
        let rest = self.buffer.split_off(whole);
        Ok(Some(std::mem::replace(&mut self.buffer, rest)))
    }
}

/// Writes one message: a start line, headers in order, Content-Length added.
#[derive(Clone)]
pub struct Writer {
    text: String,
}

impl Writer {
    /// Begins with a start line.
    pub fn new(start_line: &str) -> Self {
        Self { text: format!("{start_line}\r\n") }
    }

    /// Adds a header. Line breaks in a value would begin another header: they are left out.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let value: String = value.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
        self.text.push_str(&format!("{name}: {value}\r\n"));
        self
    }

    /// Ends without a body.
    pub fn end(self) -> Vec<u8> {
        self.header("Content-Length", "0").blank()
    }

    /// Ends with an SDP body.
    pub fn sdp(self, sdp: &str) -> Vec<u8> {
        let mut bytes = self
            .header("Content-Type", "application/sdp")
            .header("Content-Length", &sdp.len().to_string())
            .blank();
        bytes.extend_from_slice(sdp.as_bytes());
        bytes
    }

    fn blank(mut self) -> Vec<u8> {
        self.text.push_str("\r\n");
        self.text.into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OK: &str = "SIP/2.0 200 OK\r\nv: SIP/2.0/TLS [::1]:5;branch=z9hG4bKx;rport\r\n\
        Record-Route: <sip:p1;lr>, <sip:p2;lr>\r\nFrom: <sip:a@b>;tag=1\r\nTo: \"x;tag=9\" <sip:b@[::1]>;tag=77\r\n\
        Call-ID: 7\r\nCSeq: 3 INVITE\r\nContact: <sip:hushbox@[::1]:5061;transport=tls>\r\n\
        Subject: one\r\n two\r\nl: 3\r\n\r\nabc";

    #[test]
    fn a_response_with_compact_names_folding_and_ipv6_is_read() {
        let Message::Response(response) = parse(OK.as_bytes()).expect("reads") else {
            panic!("a response");
        };
        assert_eq!((response.status, response.reason.as_str()), (200, "OK"));
        assert_eq!(response.headers.branch(), Some("z9hG4bKx"));
        assert_eq!(response.headers.cseq(), Some((3, "INVITE")));
        assert_eq!(response.headers.record_route(), ["sip:p1;lr", "sip:p2;lr"]);
        let to = response.headers.first("To").expect("To");
        assert_eq!(parameter(to, "tag"), Some("77"));
        assert_eq!(uri_of(to), Some("sip:b@[::1]"));
        assert_eq!(response.headers.first("subject"), Some("one two"));
        assert_eq!(response.body, b"abc");
    }

    #[test]
    fn a_request_to_an_ipv6_contact_is_read() {
        let text = "BYE sip:load@[::1]:7000;transport=tls SIP/2.0\r\nCSeq: 1 BYE\r\n\r\n";
        let Message::Request(request) = parse(text.as_bytes()).expect("reads") else {
            panic!("a request");
        };
        assert_eq!(request.method, "BYE");
        assert_eq!(request.uri, "sip:load@[::1]:7000;transport=tls");
    }

    #[test]
    fn a_stream_is_cut_where_content_length_says_byte_by_byte_too() {
        let mut framer = StreamFramer::default();
        let stream = format!("\r\n\r\n{OK}{OK}");
        let mut found = Vec::new();
        for byte in stream.as_bytes() {
            framer.push(&[*byte]);
            found.extend(framer.next_message().expect("frames"));
        }
        assert_eq!(found.len(), 2);
        assert_eq!(found[1], OK.as_bytes());
    }

    #[test]
    fn an_endless_head_and_a_huge_body_are_refused() {
        let mut framer = StreamFramer::default();
        framer.push(&vec![b'x'; HEAD_MAX + 1]);
        assert!(matches!(framer.next_message(), Err(Error::TooLong("head"))));
        let mut framer = StreamFramer::default();
        framer.push(b"SIP/2.0 200 OK\r\nContent-Length: 99999999\r\n\r\n");
        assert!(matches!(framer.next_message(), Err(Error::TooLong("body"))));
    }

    #[test]
    fn garbage_is_an_error_and_a_value_cannot_begin_another_header() {
        for garbage in ["", "\r\n\r\n", "SIP/2.0 9999 x\r\n\r\n", "A B\r\n\r\n", "\u{0}\u{1}"] {
            assert!(parse(garbage.as_bytes()).is_err(), "{garbage:?}");
        }
        let written = Writer::new("BYE sip:a SIP/2.0").header("Reason", "x\r\nEvil: 1").end();
        let text = String::from_utf8(written).expect("text");
        assert_eq!(text, "BYE sip:a SIP/2.0\r\nReason: xEvil: 1\r\nContent-Length: 0\r\n\r\n");
    }

    proptest::proptest! {
        #[test]
        fn no_octets_make_the_parser_or_the_framer_panic(
            chunks in proptest::collection::vec(proptest::collection::vec(0u8.., 0..200), 0..8),
            cut in 0usize..600,
        ) {
            let mut framer = StreamFramer::default();
            for chunk in chunks.iter().chain([&OK.as_bytes()[..cut.min(OK.len())].to_vec()]) {
                let _ = parse(chunk);
                framer.push(chunk);
                while let Ok(Some(bytes)) = framer.next_message() {
                    let _ = parse(&bytes);
                }
            }
        }

        #[test]
        fn a_message_with_one_octet_changed_is_read_or_refused(at in 0usize..OK.len(), octet in 0u8..) {
            let mut bytes = OK.as_bytes().to_vec();
            bytes[at] = octet;
            if let Ok(Message::Response(response)) = parse(&bytes) {
                let _ = (response.headers.cseq(), response.headers.branch(), response.headers.record_route());
            }
        }
    }
}
