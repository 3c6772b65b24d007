//! Messages out of a byte stream (RFC 3261 §18.3), however it is cut, with the keep-alives of
//! RFC 5626 §3.5.1 between them.

use crate::error::ParseError;
use crate::limits;
use crate::message::Draft;
use crate::message::lex;
use crate::message::name::Name;
use bytes::Bytes;
use std::fmt;

/// Collects the bytes of one stream. Holds at most one unfinished message and what came with it.
#[derive(Default)]
pub struct Framer {
    buffer: Vec<u8>,
    /// Where the next message begins.
    start: usize,
    /// How far the end of the head was looked for.
    scanned: usize,
    /// The next message's length, once its head is whole.
    length: Option<usize>,
    /// Whether the next message's first line is whole and of SIP.
    has_start_line: bool,
    /// Line breaks since the last message.
    breaks: usize,
    /// Whether we asked the peer whether it is there, and it has not answered.
    awaits_pong: bool,
    is_broken: bool,
}

/// What a stream held.
#[derive(PartialEq, Eq)]
pub enum Framed {
    /// A whole message.
    Message(Bytes),
    /// Two line breaks between messages: to be answered with one.
    Ping,
    /// One line break between messages: the answer to ours.
    Pong,
    /// Where the next message begins can no longer be told. The head, if there is one, says whom
    /// to tell; then the stream must be closed. Nothing comes after this.
    Broken {
        /// What is wrong.
        error: ParseError,
        /// The head of the message.
        head: Bytes,
    },
}

impl fmt::Debug for Framed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Framed::Message(bytes) => write!(f, "Message({} bytes)", bytes.len()),
            Framed::Ping => f.write_str("Ping"),
            Framed::Pong => f.write_str("Pong"),
            Framed::Broken { error, .. } => write!(f, "Broken({error:?})"),
        }
    }
}

impl fmt::Debug for Framer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Framer({} bytes)", self.buffer.len() - self.start)
    }
}

impl Framer {
    /// A framer for a new stream.
    pub fn new() -> Self {
        Framer::default()
    }

    /// Adds what was read. Call [`Framer::next_item`] until it has nothing more.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.is_broken {
            return;
        }
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.scanned -= self.start;
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// We sent two line breaks: the next one between messages is the peer's answer.
    pub fn expect_pong(&mut self) {
        self.awaits_pong = true;
        self.breaks = 0;
    }

    /// Whether bytes of an unfinished message are waiting.
    pub fn is_waiting(&self) -> bool {
        !self.is_broken && self.buffer.len() > self.start
    }

    /// The next item that is whole.
    pub fn next_item(&mut self) -> Option<Framed> {
        if self.is_broken {
            return None;
        }
        let item = self.advance();
        if matches!(item, Some(Framed::Broken { .. })) {
            self.is_broken = true;
            self.buffer = Vec::new();
            self.start = 0;
        } else if self.start == self.buffer.len() {
            // Nothing is kept for an idle connection.
            self.buffer = Vec::new();
            self.start = 0;
            self.scanned = 0;
        }
        item
    }

    fn advance(&mut self) -> Option<Framed> {
        while self.length.is_none() && self.rest().starts_with(b"\r\n") {
            // Two at once are the peer's own question: some ask, and never answer.
            let is_pong =
                self.awaits_pong && self.breaks == 0 && !self.rest().starts_with(b"\r\n\r\n");
            self.start += 2;
            self.scanned = self.start;
            if is_pong {
                self.awaits_pong = false;
                return Some(Framed::Pong);
            }
            self.breaks += 1;
            if self.breaks == 2 {
                self.breaks = 0;
                return Some(Framed::Ping);
            }
        }
        if self.length.is_none() {
            match self.find_length() {
                Ok(length) => self.length = Some(length?),
                Err((error, head)) => return Some(Framed::Broken { error, head }),
            }
        }
        let length = self.length?;
        let message = self.rest().get(..length)?;
        let message = Bytes::copy_from_slice(message);
        self.start += length;
        self.scanned = self.start;
        self.length = None;
        self.has_start_line = false;
        self.breaks = 0;
        Some(Framed::Message(message))
    }

    fn rest(&self) -> &[u8] {
        self.buffer.get(self.start..).unwrap_or_default()
    }

    /// The length of the message that begins at `start`, once its head is there.
    fn find_length(&mut self) -> Result<Option<usize>, (ParseError, Bytes)> {
        // The three bytes before may be the beginning of the empty line.
        let from = self.scanned.saturating_sub(3).max(self.start);
        let unseen = self.buffer.get(from..).unwrap_or_default();
        let end = unseen.windows(4).position(|w| w == b"\r\n\r\n").map(|at| from + at + 4);
        self.scanned = self.buffer.len();
        let head = match end {
            Some(end) => self.buffer.get(self.start..end).unwrap_or_default(),
            None => self.buffer.get(self.start..).unwrap_or_default(),
        };
        let broken = |error| Err((error, Bytes::copy_from_slice(head)));
        // In the order of the bytes, so that it does not matter how they were cut.
        if !self.has_start_line {
            match looks_like_sip(head) {
                Ok(is_whole) => self.has_start_line = is_whole,
                Err(error) => return broken(error),
            }
        }
        if head.len() > limits::MAX_HEAD_BYTES {
            return broken(ParseError::TooLarge("header bytes"));
        }
        if end.is_none() {
            return Ok(None);
        }
        let draft = match Draft::read(head) {
            Ok(draft) => draft,
            Err(error) => return broken(error),
        };
        match content_length(&draft) {
            Ok(length) if length > limits::MAX_BODY_BYTES => broken(ParseError::TooLarge("body")),
            Ok(length) => Ok(Some(head.len() + length)),
            Err(error) => broken(error),
        }
    }
}

/// A stream that does not speak SIP is not waited for. True once the start line is whole.
fn looks_like_sip(head: &[u8]) -> Result<bool, ParseError> {
    let line = head.split(|b| *b == b'\n').next().unwrap_or_default();
    let seen = line.get(..limits::MAX_START_LINE_BYTES).unwrap_or(line);
    if seen.iter().any(|b| *b < 0x20 && !matches!(b, b'\t' | b'\r')) {
        return Err(ParseError::NotSip);
    }
    if line.len() > limits::MAX_START_LINE_BYTES {
        return Err(ParseError::TooLarge("start line"));
    }
    let is_whole = line.len() < head.len();
    if is_whole && !line.windows(4).any(|w| w.eq_ignore_ascii_case(b"SIP/")) {
        return Err(ParseError::NotSip);
    }
    Ok(is_whole)
}

/// RFC 3261 §18.3: on a stream there must be exactly one.
fn content_length(draft: &Draft<'_>) -> Result<usize, ParseError> {
    let mut lengths = draft.fields.iter().filter(|f| f.name == Name::ContentLength);
    let length = lengths.next().ok_or(ParseError::Length)?;
    if lengths.next().is_some() {
        return Err(ParseError::Repeated("Content-Length"));
    }
    lex::number(length.value, u64::from(u32::MAX))
        .and_then(|length| usize::try_from(length).ok())
        .ok_or(ParseError::Header("Content-Length"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &[u8] = b"OPTIONS sip:a SIP/2.0\r\nl: 4\r\n\r\nbody";
    const TWO: &[u8] = b"BYE sip:b SIP/2.0\r\nContent-Length : 0\r\n\r\n";

    fn all(pieces: &[&[u8]]) -> Vec<Framed> {
        let mut framer = Framer::new();
        let mut items = Vec::new();
        for piece in pieces {
            framer.push(piece);
            while let Some(item) = framer.next_item() {
                items.push(item);
            }
        }
        assert!(!framer.is_waiting());
        items
    }

    #[test]
    fn messages_come_out_whole_under_any_segmentation() {
        let stream = [&b"\r\n"[..], ONE, TWO, b"\r\n\r\n", ONE, b"\r\n"].concat();
        let expected = [
            Framed::Message(Bytes::from_static(ONE)),
            Framed::Message(Bytes::from_static(TWO)),
            Framed::Ping,
            Framed::Message(Bytes::from_static(ONE)),
        ];
        for size in 1..=stream.len() {
            let pieces: Vec<_> = stream.chunks(size).collect();
            assert_eq!(all(&pieces), expected, "pieces of {size}");
        }
    }

    #[test]
    fn one_line_break_after_our_question_is_its_answer_and_two_are_a_question() {
        let mut framer = Framer::new();
        framer.expect_pong();
        framer.push(b"\r\n");
        assert_eq!(framer.next_item(), Some(Framed::Pong));
        framer.expect_pong();
        framer.push(b"\r\n");
        assert_eq!(framer.next_item(), Some(Framed::Pong), "not the second half of a question");
        framer.expect_pong();
        framer.push(b"\r\n\r\n");
        assert_eq!(framer.next_item(), Some(Framed::Ping), "a peer that asks, too");
        framer.push(b"\r\n");
        assert_eq!(framer.next_item(), Some(Framed::Pong));
        assert_eq!(framer.next_item(), None);
    }

    fn only_broken(stream: &[u8]) -> ParseError {
        match all(&[stream, ONE]).as_slice() {
            [Framed::Broken { error, .. }] => *error,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_can_not_be_framed_ends_the_stream() {
        let head = |fields: &str| format!("OPTIONS sip:a SIP/2.0\r\n{fields}\r\n");
        assert_eq!(only_broken(head("").as_bytes()), ParseError::Length);
        let header = ParseError::Header("Content-Length");
        assert_eq!(only_broken(head("l: -999\r\n").as_bytes()), header);
        assert_eq!(only_broken(head("l: 99999999999999\r\n").as_bytes()), header);
        let repeated = ParseError::Repeated("Content-Length");
        assert_eq!(only_broken(head("l: 0\r\nContent-Length: 5\r\n").as_bytes()), repeated);
        let large = ParseError::TooLarge("body");
        assert_eq!(only_broken(head("l: 4000000\r\n").as_bytes()), large);
    }

    #[test]
    fn another_protocol_is_not_waited_for() {
        assert_eq!(only_broken(b"GET / HTTP/1.1\r\nHost: x\r\n"), ParseError::NotSip);
        assert_eq!(only_broken(b"\x16\x03\x01\x02\x00\x01"), ParseError::NotSip);
        let endless = vec![b'a'; limits::MAX_START_LINE_BYTES + 1];
        assert_eq!(only_broken(&endless), ParseError::TooLarge("start line"));
        let mut fields = b"OPTIONS sip:a SIP/2.0\r\n".to_vec();
        while fields.len() <= limits::MAX_HEAD_BYTES {
            fields.extend_from_slice(b"X: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n");
        }
        assert_eq!(only_broken(&fields), ParseError::TooLarge("header bytes"));
    }
}
