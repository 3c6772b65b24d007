//! One SIP message, reduced: what an engineer wants to read, and nothing that names anybody.
//!
//! Every word stands in a table here or is a number of its header field's grammar. What a peer wrote itself (URIs,
//! display names, reason phrases, header fields and codecs that nobody knows) is never kept.

use hushbox_sip::message::StartLine;
use hushbox_sip::{Flow, InviteBody, Message};
use serde_json::{Value, json};

use crate::metrics::{method_label, transport_label};

/// Header fields that are named where they stand in a message. The others are in every message, or nobody's business.
const HEADERS: [&str; 31] = [
    "Alert-Info",
    "Allow",
    "Authorization",
    "Contact",
    "Content-Encoding",
    "Content-Type",
    "Diversion",
    "Event",
    "Expires",
    "Feature-Caps",
    "History-Info",
    "Min-SE",
    "P-Asserted-Identity",
    "Privacy",
    "Proxy-Authorization",
    "RAck",
    "RSeq",
    "Reason",
    "Record-Route",
    "Refer-To",
    "Remote-Party-ID",
    "Replaces",
    "Require",
    "Retry-After",
    "Route",
    "Session-Expires",
    "Subscription-State",
    "Supported",
    "Unsupported",
    "WWW-Authenticate",
    "Warning",
];

/// Codecs that are named.
const CODECS: [&str; 16] = [
    "PCMU",
    "PCMA",
    "G722",
    "G723",
    "G726-32",
    "G728",
    "G729",
    "GSM",
    "iLBC",
    "opus",
    "AMR",
    "AMR-WB",
    "EVS",
    "L16",
    "CN",
    "telephone-event",
];

/// Payload types that need no `rtpmap` (RFC 3551 §6).
const STATIC_CODECS: [(&str, &str); 5] =
    [("0", "PCMU"), ("3", "GSM"), ("8", "PCMA"), ("9", "G722"), ("18", "G729")];

/// SRTP suites that are named.
const SUITES: [&str; 9] = [
    "AEAD_AES_256_GCM",
    "AEAD_AES_128_GCM",
    "AES_CM_128_HMAC_SHA1_80",
    "AES_CM_128_HMAC_SHA1_32",
    "AES_256_CM_HMAC_SHA1_80",
    "AES_256_CM_HMAC_SHA1_32",
    "AES_192_CM_HMAC_SHA1_80",
    "AES_192_CM_HMAC_SHA1_32",
    "F8_128_HMAC_SHA1_80",
];

/// Media kinds, protocols and directions that are named.
const KINDS: [&str; 5] = ["audio", "video", "image", "application", "text"];
const PROTOCOLS: [&str; 7] = [
    "RTP/AVP",
    "RTP/SAVP",
    "RTP/AVPF",
    "RTP/SAVPF",
    "UDP/TLS/RTP/SAVP",
    "UDP/TLS/RTP/SAVPF",
    "udptl",
];
const DIRECTIONS: [&str; 4] = ["sendrecv", "sendonly", "recvonly", "inactive"];

/// Which way a message went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// It came.
    In,
    /// It was sent.
    Out,
}

/// A reduced message.
#[derive(Clone, Debug)]
pub struct Line {
    /// When.
    pub at: jiff::Timestamp,
    /// Which way.
    pub way: Way,
    /// Its status, if it is a response.
    pub status: Option<u16>,
    /// The method of its CSeq.
    pub method: &'static str,
    cseq: u32,
    transport: &'static str,
    body_bytes: usize,
    headers: String,
    sdp: String,
}

impl Line {
    /// Reduces a message.
    pub fn new(at: jiff::Timestamp, way: Way, flow: Flow, message: &Message<'_>) -> Self {
        let status = match message.start() {
            StartLine::Request(_) => None,
            StartLine::Response(status) => Some(status),
        };
        let cseq = message.cseq();
        let sdp = match message.classify_body() {
            Ok(InviteBody::Sdp(sdp)) => summary(&sdp),
            Ok(InviteBody::Unsupported) => "not SDP".to_owned(),
            Ok(InviteBody::None) | Err(_) => String::new(),
        };
        Self {
            at,
            way,
            status,
            method: method_label(cseq.method.text()),
            cseq: cseq.number,
            transport: transport_label(flow.transport),
            body_bytes: message.body().len(),
            headers: headers(message),
            sdp,
        }
    }

    /// The message as a row; `since` is when its call began.
    pub fn row(&self, since: jiff::Timestamp) -> Value {
        let message = match self.status {
            Some(status) => format!("{status} {}", self.method),
            None => self.method.to_owned(),
        };
        json!({
            "time": self.at.to_string(),
            "seconds": seconds(since, self.at),
            "way": match self.way { Way::In => "in", Way::Out => "out" },
            "message": message,
            "cseq": self.cseq,
            "transport": self.transport,
            "body_bytes": self.body_bytes,
            "sdp": self.sdp,
            "headers": self.headers,
        })
    }
}

/// Seconds between two times, to the millisecond.
pub fn seconds(since: jiff::Timestamp, at: jiff::Timestamp) -> f64 {
    (at.as_millisecond() - since.as_millisecond()) as f64 / 1000.0
}

/// The names of the header fields that say something; for a few of them a number.
fn headers(message: &Message<'_>) -> String {
    let mut words = String::new();
    for field in message.fields() {
        let name = match field.name.long() {
            Some(long) => HEADERS.into_iter().find(|known| *known == long),
            None => HEADERS
                .into_iter()
                .find(|known| field.raw_name.eq_ignore_ascii_case(known.as_bytes())),
        };
        let Some(name) = name else { continue };
        if !words.is_empty() {
            words.push(' ');
        }
        words.push_str(name);
        if let Some(number) = number(name, field.value) {
            words.push('=');
            words.push_str(&number);
        }
    }
    words
}

/// What a header field's number is, where that tells nothing of anybody.
fn number(name: &str, value: &[u8]) -> Option<String> {
    let digits = |bytes: &[u8], most: usize| {
        let length = bytes.iter().take_while(|b| b.is_ascii_digit()).count();
        let text = std::str::from_utf8(bytes.get(..length)?).ok()?;
        ((1..=most).contains(&length)).then(|| text.to_owned())
    };
    match name {
        "Session-Expires" | "Min-SE" | "Expires" | "Retry-After" => digits(value, 6),
        "Warning" => digits(value, 3),
        // RFC 3326: a protocol and its cause.
        "Reason" => {
            let text = std::str::from_utf8(value).ok()?;
            let protocol = text.split(';').next()?.trim();
            let protocol =
                ["SIP", "Q.850"].into_iter().find(|p| p.eq_ignore_ascii_case(protocol))?;
            let cause = text.split(';').find_map(|part| part.trim().strip_prefix("cause="))?;
            Some(format!("{protocol}/{}", digits(cause.as_bytes(), 3)?))
        }
        _ => None,
    }
}

/// An SDP in a few words: media, protocol, codecs, suites, direction. No address, port, key or name.
fn summary(sdp: &[u8]) -> String {
    let text = String::from_utf8_lossy(sdp);
    let mut words: Vec<&'static str> = Vec::new();
    let mut add = |word: Option<&'static str>| {
        if let Some(word) = word
            && words.len() < SDP_WORDS
            && !words.contains(&word)
        {
            words.push(word);
        }
    };
    for line in text.lines() {
        if let Some(media) = line.strip_prefix("m=") {
            let mut parts = media.split_ascii_whitespace();
            add(parts.next().and_then(|kind| known(&KINDS, kind)));
            if parts.next() == Some("0") {
                add(Some("off"));
            }
            add(parts.next().and_then(|protocol| known(&PROTOCOLS, protocol)));
            for format in parts {
                add(STATIC_CODECS.iter().find(|(pt, _)| *pt == format).map(|(_, name)| *name));
            }
        } else if let Some(map) = line.strip_prefix("a=rtpmap:") {
            let name = map.split_ascii_whitespace().nth(1).and_then(|name| name.split('/').next());
            add(Some(name.and_then(|name| known(&CODECS, name)).unwrap_or("other-codec")));
        } else if let Some(crypto) = line.strip_prefix("a=crypto:") {
            let suite = crypto.split_ascii_whitespace().nth(1);
            add(Some(suite.and_then(|suite| known(&SUITES, suite)).unwrap_or("other-suite")));
        } else if line.starts_with("a=fingerprint:") {
            add(Some("DTLS"));
        } else if let Some(direction) = line.strip_prefix("a=") {
            add(known(&DIRECTIONS, direction));
        }
    }
    words.join(" ")
}

/// Words of an SDP that are kept.
const SDP_WORDS: usize = 24;

fn known(table: &[&'static str], word: &str) -> Option<&'static str> {
    table.iter().find(|known| known.eq_ignore_ascii_case(word)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SDP: &str = "v=0\r\no=5551234567 1 1 IN IP4 192.0.2.1\r\ns=Smith\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
        m=audio 4000 RTP/SAVP 0 8 96 97 101\r\na=crypto:1 AEAD_AES_256_GCM inline:SECRETKEY\r\n\
        a=crypto:2 5551234567 inline:X\r\na=rtpmap:96 opus/48000/2\r\na=rtpmap:97 smith5551234567/8000\r\n\
        a=rtpmap:101 telephone-event/8000\r\na=sendonly\r\n";

    fn message(extra: &str) -> String {
        format!(
            "INVITE sip:1001@clinic.example SIP/2.0\r\nVia: SIP/2.0/TLS pbx.example;branch=z9hG4bKx\r\n\
             From: \"Smith\" <sip:5551234567@clinic.example>;tag=1\r\nTo: <sip:1001@clinic.example>\r\n\
             Call-ID: secret-id@pbx.example\r\nCSeq: 7 INVITE\r\nMax-Forwards: 70\r\n{extra}\
             Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{SDP}",
            SDP.len()
        )
    }

    fn row(text: &str) -> Value {
        let address = "192.0.2.1:5061".parse().expect("an address");
        let flow = Flow {
            transport: hushbox_sip::Transport::Tls,
            local: address,
            remote: address,
            connection: None,
        };
        let message = Message::parse(text.as_bytes()).expect("valid");
        let at = "2026-01-01T00:00:01.5Z".parse().expect("a time");
        let since = "2026-01-01T00:00:00Z".parse().expect("a time");
        Line::new(at, Way::In, flow, &message).row(since)
    }

    #[test]
    fn a_message_is_reduced_to_known_words_and_numbers() {
        let row = row(&message(
            "Diversion: <sip:1001@pbx.example>;reason=user-busy\r\nx: 1800;refresher=uac\r\n\
             Reason: Q.850;cause=17;text=\"Smith is busy\"\r\nX-Patient: 5551234567\r\n",
        ));
        assert_eq!(row["message"], "INVITE");
        assert_eq!((&row["cseq"], &row["seconds"]), (&7.into(), &1.5.into()));
        assert_eq!(row["headers"], "Diversion Session-Expires=1800 Reason=Q.850/17 Content-Type");
        assert_eq!(
            row["sdp"],
            "audio RTP/SAVP PCMU PCMA AEAD_AES_256_GCM other-suite opus other-codec telephone-event sendonly"
        );
        let printed = row.to_string();
        for secret in ["555", "1001", "mith", "example", "SECRET", "192.0.2", "secret-id"] {
            assert!(!printed.contains(secret), "{secret} in {printed}");
        }
    }

    #[test]
    fn numbers_that_are_none_are_left_out() {
        assert_eq!(number("Retry-After", b"30 (Smith)").as_deref(), Some("30"));
        assert_eq!(number("Retry-After", b"5551234567"), None, "longer than any of its kind");
        assert_eq!(number("Reason", b"5551234567;cause=16"), None);
        assert_eq!(number("Reason", b"SIP;cause=5551234567"), None);
        assert_eq!(number("Diversion", b"17"), None);
    }
}
