//! `application/simple-message-summary`: the body that lights a lamp (RFC 3842 §5).
//!
//! Only counts go in. The optional message headers (From, Subject, Date: §3.5) would tell who called, so they are
//! never written, and ignored where a test reads them.

use crate::error::ParseError;
use crate::limits;
use crate::message::lex;
use crate::message::uri::{Scheme, Uri};
use bytes::Bytes;
use std::fmt::{self, Write as _};

/// The event package (RFC 3842 §3.1).
pub const EVENT_PACKAGE: &str = "message-summary";
/// The body's type (RFC 3842 §3.5).
pub const CONTENT_TYPE: &str = "application/simple-message-summary";

/// How many voice messages there are, urgent ones counted in both numbers (RFC 3842 §5.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VoiceMessages {
    /// Not heard.
    pub new: u32,
    /// Heard.
    pub old: u32,
    /// Of the new ones, the urgent.
    pub urgent_new: u32,
    /// Of the old ones, the urgent.
    pub urgent_old: u32,
}

/// The state of a mailbox, as a lamp knows it. Its `Debug` shows no address.
#[derive(Clone, PartialEq, Eq)]
pub struct MessageSummary {
    account: Option<Account>,
    /// The counts.
    pub voice: VoiceMessages,
}

/// Whose messages they are: a SIP address in which nothing can become a line of its own.
#[derive(Clone, PartialEq, Eq)]
pub struct Account(String);

impl Account {
    /// `sip:user@host`. `None` where that is no address.
    pub fn new(user: &str, host: &str) -> Option<Self> {
        let host =
            if host.contains(':') && !host.starts_with('[') { &format!("[{host}]") } else { host };
        Account::parse(&format!("sip:{}@{host}", Escaped(user)))
    }

    /// A SIP URI that was written before.
    pub fn parse(text: &str) -> Option<Self> {
        let uri = Uri::parse(text.as_bytes()).ok()?;
        let is_address = matches!(uri.scheme(), Scheme::Sip | Scheme::Sips);
        let is_short = text.len() <= limits::MAX_IDENTIFIER_BYTES;
        (is_address && is_short && uri.raw_user().is_some()).then(|| Account(text.to_owned()))
    }

    /// The URI.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Account(…)")
    }
}

/// A user part with what RFC 3261 §25.1 wants escaped.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0.bytes() {
            let plain = byte.is_ascii_alphanumeric() || b"-_.!~*'()&=+$,;?/".contains(&byte);
            if plain {
                f.write_char(char::from(byte))?;
            } else {
                write!(f, "%{byte:02X}")?;
            }
        }
        Ok(())
    }
}

impl MessageSummary {
    /// The state of an account.
    pub fn new(account: Option<Account>, voice: VoiceMessages) -> Self {
        MessageSummary { account, voice }
    }

    /// Whose messages they are, where that is said.
    pub fn account(&self) -> Option<&Account> {
        self.account.as_ref()
    }

    /// Whether the lamp is on: heard messages do not light it (RFC 3842 §5.2).
    pub fn is_waiting(&self) -> bool {
        self.voice.new > 0
    }

    /// The body.
    pub fn to_bytes(&self) -> Bytes {
        let waiting = if self.is_waiting() { "yes" } else { "no" };
        let mut body = format!("Messages-Waiting: {waiting}\r\n");
        if let Some(Account(account)) = &self.account {
            body.push_str(&format!("Message-Account: {account}\r\n"));
        }
        let VoiceMessages { new, old, urgent_new, urgent_old } = self.voice;
        body.push_str(&format!("Voice-Message: {new}/{old} ({urgent_new}/{urgent_old})\r\n"));
        Bytes::from(body)
    }

    /// Reads a body: strict about what it needs, silent about what it does not know.
    pub fn parse(body: &[u8]) -> Result<Self, ParseError> {
        if body.len() > limits::MAX_SUMMARY_BYTES {
            return Err(ParseError::TooLarge("message summary"));
        }
        let text = std::str::from_utf8(body).map_err(|_| ParseError::HeaderLine)?;
        let mut waiting = None;
        let mut account = None;
        let mut voice = VoiceMessages::default();
        // RFC 3842 §5.2: a blank line begins the optional message headers.
        for line in text.lines().take_while(|line| !line.is_empty()) {
            let (name, value) = line.split_once(':').ok_or(ParseError::HeaderLine)?;
            let (name, value) = (name.trim_end(), value.trim());
            if name.eq_ignore_ascii_case("Messages-Waiting") {
                waiting = Some(is_yes(value)?);
            } else if name.eq_ignore_ascii_case("Message-Account") {
                account = Some(Account::parse(value).ok_or(ParseError::Header("Message-Account"))?);
            } else if name.eq_ignore_ascii_case("Voice-Message") {
                voice = counts(value).ok_or(ParseError::Header("Voice-Message"))?;
            } else if name.is_empty() || !name.bytes().all(lex::is_token) {
                return Err(ParseError::HeaderLine);
            }
        }
        let waiting = waiting.ok_or(ParseError::Missing("Messages-Waiting"))?;
        let summary = MessageSummary { account, voice };
        // A lamp without a count is allowed (§5.2), a count that says the opposite is not.
        if !waiting && summary.is_waiting() {
            return Err(ParseError::Header("Messages-Waiting"));
        }
        Ok(summary)
    }
}

fn is_yes(value: &str) -> Result<bool, ParseError> {
    match value {
        _ if value.eq_ignore_ascii_case("yes") => Ok(true),
        _ if value.eq_ignore_ascii_case("no") => Ok(false),
        _ => Err(ParseError::Header("Messages-Waiting")),
    }
}

/// `new "/" old [ "(" urgent-new "/" urgent-old ")" ]`.
fn counts(value: &str) -> Option<VoiceMessages> {
    let (all, urgent) = match value.split_once('(') {
        Some((all, urgent)) => (all, Some(urgent.trim_end().strip_suffix(')')?)),
        None => (value, None),
    };
    let pair = |text: &str| {
        let (new, old) = text.split_once('/')?;
        Some((number(new)?, number(old)?))
    };
    let (new, old) = pair(all)?;
    let (urgent_new, urgent_old) = match urgent {
        Some(urgent) => pair(urgent)?,
        None => (0, 0),
    };
    Some(VoiceMessages { new, old, urgent_new, urgent_old })
}

fn number(text: &str) -> Option<u32> {
    let number = lex::number(text.trim().as_bytes(), u64::from(u32::MAX))?;
    u32::try_from(number).ok()
}

impl fmt::Debug for MessageSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageSummary").field("voice", &self.voice).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(new: u32, old: u32) -> MessageSummary {
        let account = Account::new("1001", "clinic.example");
        assert!(account.is_some());
        let voice = VoiceMessages { new, old, urgent_new: new.min(1), urgent_old: 0 };
        MessageSummary::new(account, voice)
    }

    #[test]
    fn a_body_is_the_one_of_rfc_3842() {
        let body = summary(4, 8).to_bytes();
        let expected = "Messages-Waiting: yes\r\nMessage-Account: sip:1001@clinic.example\r\n\
                        Voice-Message: 4/8 (1/0)\r\n";
        assert_eq!(body, expected);
    }

    #[test]
    fn heard_messages_light_no_lamp() {
        let body = summary(0, 8).to_bytes();
        assert!(body.starts_with(b"Messages-Waiting: no\r\n"));
        assert!(body.ends_with(b"Voice-Message: 0/8 (0/0)\r\n"));
    }

    #[test]
    fn what_is_written_reads_back() {
        for one in
            [summary(0, 0), summary(2, u32::MAX), MessageSummary::new(None, summary(1, 1).voice)]
        {
            assert_eq!(MessageSummary::parse(&one.to_bytes()).as_ref(), Ok(&one));
        }
    }

    #[test]
    fn the_example_of_rfc_3842_with_message_headers_is_read() {
        // RFC 3842 §5.2, last example.
        let body = b"Messages-Waiting: yes\r\nMessage-Account: sip:alice@vmail.example.com\r\n\
            Voice-Message: 4/8 (1/2)\r\nFax-Message: 1/1\r\n\r\n\
            To: <alice@atlanta.example.com>\r\nSubject: carpool tomorrow?\r\n";
        let summary = MessageSummary::parse(body);
        let voice = VoiceMessages { new: 4, old: 8, urgent_new: 1, urgent_old: 2 };
        assert_eq!(summary.map(|s| s.voice), Ok(voice));
    }

    #[test]
    fn malformed_bodies_are_refused() {
        for body in [
            "",
            "Voice-Message: 1/0\r\n",
            "Messages-Waiting: maybe\r\n",
            "Messages-Waiting: no\r\nVoice-Message: 1/0\r\n",
            "Messages-Waiting: yes\r\nVoice-Message: -1/0\r\n",
            "Messages-Waiting: yes\r\nVoice-Message: 1\r\n",
            "Messages-Waiting: yes\r\nVoice-Message: 1/0 (1/0\r\n",
            "Messages-Waiting: yes\r\nMessage-Account: nobody\r\n",
            "Messages-Waiting: yes\r\nno colon\r\n",
            "Messages-Waiting: yes\r\nVoice-Message: 99999999999/0\r\n",
        ] {
            assert!(MessageSummary::parse(body.as_bytes()).is_err(), "{body:?}");
        }
    }

    #[test]
    fn an_account_cannot_bring_a_line_of_its_own() {
        let account = Account::new("10\r\nInjected: yes 01", "clinic.example").map(|a| a.0);
        assert_eq!(account.as_deref(), Some("sip:10%0D%0AInjected%3A%20yes%2001@clinic.example"));
        assert_eq!(Account::new("1001", "clinic.example\r\nInjected: yes"), None);
        assert_eq!(
            Account::new("1001", "2001:db8::1").map(|a| a.0).as_deref(),
            Some("sip:1001@[2001:db8::1]")
        );
    }

    #[test]
    fn debug_shows_no_address() {
        assert!(!format!("{:?}", summary(1, 0)).contains("1001"));
    }
}
