//! From a message to bytes. Nothing that goes in can become a line of its own.

use super::lex;
use super::name::Name;
use super::via::Via;
use super::{Message, StartLine};
use crate::overload::OverloadControl;
use crate::rejection::{Reason, ReasonProtocol};
use bytes::Bytes;
use std::fmt::{self, Write as _};
use std::net::IpAddr;

/// Builds one message: start line, header fields, then the body with its length.
pub(crate) struct Writer {
    out: Vec<u8>,
}

impl Message<'_> {
    /// The message on the wire again: every header field in its place and under the name that it came
    /// with, folding undone; Content-Length comes last and says what it is. A response gets the phrase
    /// of its status.
    pub fn to_bytes(&self) -> Bytes {
        let lines = self.fields.iter().map(|f| f.raw_name.len() + f.value.len() + 4);
        let mut writer = match self.start {
            StartLine::Request(request) => Writer::start(request.method.text(), request.uri.text()),
            StartLine::Response(status) => Writer::response(status),
        };
        writer.out.reserve(lines.sum::<usize>() + self.body.len());
        for field in self.fields.iter().filter(|f| f.name != Name::ContentLength) {
            writer.line(field.raw_name, field.value);
        }
        writer.end(self.body)
    }
}

impl Writer {
    pub(crate) fn response(status: u16) -> Self {
        let mut writer = Writer { out: Vec::with_capacity(1024) };
        writer.text(format_args!("SIP/2.0 {status} {}\r\n", reason_phrase(status)));
        writer
    }

    /// Lines that become part of several messages.
    pub(crate) fn fragment() -> Self {
        Writer { out: Vec::with_capacity(512) }
    }

    pub(crate) fn into_vec(self) -> Vec<u8> {
        self.out
    }

    /// Lines of a fragment.
    pub(crate) fn lines(&mut self, fragment: &[u8]) {
        self.out.extend_from_slice(fragment);
    }

    pub(crate) fn request(method: &str, uri: &[u8]) -> Self {
        Writer::start(method.as_bytes(), uri)
    }

    fn start(method: &[u8], uri: &[u8]) -> Self {
        let mut writer = Writer { out: Vec::with_capacity(1024) };
        writer.out.extend_from_slice(method);
        writer.out.push(b' ');
        writer.clean(uri);
        writer.out.extend_from_slice(b" SIP/2.0\r\n");
        writer
    }

    /// A header field of ours.
    pub(crate) fn field(&mut self, name: &str, value: impl fmt::Display) {
        let start = self.out.len();
        self.text(format_args!("{name}: {value}"));
        for byte in self.out.iter_mut().skip(start) {
            if is_control(*byte) {
                *byte = b' ';
            }
        }
        self.out.extend_from_slice(b"\r\n");
    }

    /// A header field that echoes bytes of a peer.
    pub(crate) fn echo(&mut self, name: &str, value: &[u8]) {
        self.line(name.as_bytes(), value);
    }

    fn line(&mut self, name: &[u8], value: &[u8]) {
        self.out.extend_from_slice(name);
        self.out.extend_from_slice(b": ");
        self.clean(value);
        self.out.extend_from_slice(b"\r\n");
    }

    /// A header field that somebody else names: left out where that is no name.
    pub(crate) fn foreign(&mut self, name: &str, value: &str) {
        let is_ours = matches!(Name::of(name.as_bytes()), Name::ContentLength | Name::Via);
        if !name.is_empty() && name.bytes().all(lex::is_token) && !is_ours {
            self.field(name, value);
        }
    }

    /// What a response copies from its request (RFC 3261 §8.2.6.2), with the topmost Via told
    /// where it came from (§18.2.1, RFC 3581 §4).
    pub(crate) fn copied(&mut self, request: &Message<'_>, reach: &Reach, to_tag: Option<&str>) {
        self.vias(request.fields.iter().filter(|f| f.name == Name::Via).map(|f| f.value), reach);
        self.echo("From", request.from.text());
        match to_tag.filter(|_| request.to.tag().is_none()) {
            None => self.echo("To", request.to.text()),
            Some(tag) => {
                self.out.extend_from_slice(b"To: ");
                self.clean(request.to.text());
                self.text(format_args!(";tag={tag}\r\n"));
            }
        }
        self.echo("Call-ID", request.call_id);
        self.out.extend_from_slice(b"CSeq: ");
        self.text(format_args!("{} ", request.cseq.number));
        self.clean(request.cseq.method.text());
        self.out.extend_from_slice(b"\r\n");
    }

    /// Via lines as they came, but for the first value.
    pub(crate) fn vias<'a>(&mut self, values: impl Iterator<Item = &'a [u8]>, reach: &Reach) {
        for (index, value) in values.enumerate() {
            if index > 0 {
                self.echo("Via", value);
                continue;
            }
            let mut cursor = lex::Cursor::new(value);
            let Some(via) = Via::parse(&mut cursor) else { continue };
            self.top_via(&via, reach);
            cursor.skip_lws();
            if cursor.eat(b',') {
                self.echo("Via", cursor.rest());
            }
        }
    }

    fn top_via(&mut self, via: &Via<'_>, reach: &Reach) {
        let (sent_by, params) = via.split();
        self.out.extend_from_slice(b"Via: ");
        self.clean(sent_by);
        for (name, value) in params.iter() {
            let replaced = name.eq_ignore_ascii_case(b"received")
                || name.eq_ignore_ascii_case(b"rport") && reach.rport.is_some()
                || OverloadControl::is_parameter(name) && reach.overload.is_some();
            if replaced {
                continue;
            }
            self.out.push(b';');
            self.clean(name);
            if let Some(value) = value {
                self.out.push(b'=');
                self.clean(value);
            }
        }
        if let Some(received) = reach.received {
            self.text(format_args!(";received={received}"));
        }
        if let Some(rport) = reach.rport {
            self.text(format_args!(";rport={rport}"));
        }
        if let Some(overload) = reach.overload {
            self.text(format_args!("{overload}"));
        }
        self.out.extend_from_slice(b"\r\n");
    }

    /// A Reason header field (RFC 3326).
    pub(crate) fn reason(&mut self, reason: &Reason) {
        let protocol = match reason.protocol {
            ReasonProtocol::Q850 => "Q.850",
            ReasonProtocol::Sip => "SIP",
        };
        let text = Quoted(&reason.text);
        self.field("Reason", format_args!("{protocol};cause={};text={text}", reason.cause));
    }

    pub(crate) fn finish(self) -> Bytes {
        self.finish_with(None)
    }

    pub(crate) fn finish_sdp(self, sdp: &[u8]) -> Bytes {
        self.finish_with(Some(("application/sdp", sdp)))
    }

    pub(crate) fn finish_as(self, content_type: &str, body: &[u8]) -> Bytes {
        self.finish_with(Some((content_type, body)))
    }

    pub(crate) fn finish_with(mut self, body: Option<(&str, &[u8])>) -> Bytes {
        if let Some((content_type, _)) = body {
            self.field("Content-Type", content_type);
        }
        self.end(body.map_or(&b""[..], |(_, body)| body))
    }

    fn end(mut self, body: &[u8]) -> Bytes {
        self.field("Content-Length", body.len());
        self.out.extend_from_slice(b"\r\n");
        self.out.extend_from_slice(body);
        Bytes::from(self.out)
    }

    fn text(&mut self, arguments: fmt::Arguments<'_>) {
        // Writing into memory does not fail.
        let _ = Text(&mut self.out).write_fmt(arguments);
    }

    /// Bytes of a peer on one line: folding becomes a space. NUL and the like inside quotes are
    /// kept (RFC 4475 §3.1.1.2); they end no line.
    fn clean(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(&lex::unfold(bytes));
    }
}

fn is_control(byte: u8) -> bool {
    (byte < 0x20 && byte != b'\t') || byte == 0x7f
}

/// What a response's topmost Via is told: where its request came from, and how much its sender may send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reach {
    pub(crate) received: Option<IpAddr>,
    pub(crate) rport: Option<u16>,
    pub(crate) overload: Option<OverloadControl>,
}

/// A quoted string.
pub(crate) struct Quoted<'a>(pub(crate) &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for c in self.0.chars() {
            if matches!(c, '"' | '\\') {
                f.write_char('\\')?;
            }
            f.write_char(c)?;
        }
        f.write_char('"')
    }
}

struct Text<'a>(&'a mut Vec<u8>);

impl fmt::Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

/// The phrases of RFC 3261 §21 and of what extends it.
fn reason_phrase(status: u16) -> &'static str {
    match status {
        100 => "Trying",
        180 => "Ringing",
        183 => "Session Progress",
        200 => "OK",
        202 => "Accepted",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        410 => "Gone",
        413 => "Request Entity Too Large",
        415 => "Unsupported Media Type",
        416 => "Unsupported URI Scheme",
        420 => "Bad Extension",
        421 => "Extension Required",
        422 => "Session Interval Too Small",
        423 => "Interval Too Brief",
        469 => "Bad Info Package",
        480 => "Temporarily Unavailable",
        481 => "Call/Transaction Does Not Exist",
        482 => "Loop Detected",
        483 => "Too Many Hops",
        486 => "Busy Here",
        487 => "Request Terminated",
        488 => "Not Acceptable Here",
        489 => "Bad Event",
        491 => "Request Pending",
        493 => "Undecipherable",
        500 => "Server Internal Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        505 => "Version Not Supported",
        513 => "Message Too Large",
        603 => "Decline",
        _ => "Refused",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_written_makes_a_line_of_its_own() {
        let mut writer = Writer::response(486);
        writer.field("Warning", "399 a \"x\r\nInjected: yes\"");
        writer.foreign("X-A: b\r\nInjected", "c");
        writer.foreign("Via", "SIP/2.0/UDP elsewhere");
        writer.foreign("Retry-After", "5\nInjected: yes");
        writer.echo("To", b"\"a\r\n Injected: yes\" <sip:a@h>");
        writer.reason(&Reason::q850(16, "Normal\" call\r\nInjected: yes"));
        let bytes = writer.finish();
        let text = String::from_utf8_lossy(&bytes);
        assert!(text.lines().all(|line| !line.starts_with("Injected")), "{text}");
        assert!(text.lines().all(|line| !line.starts_with("Via")), "{text}");
        assert_eq!(text.matches("\r\n").count(), text.matches('\n').count());
    }
}
