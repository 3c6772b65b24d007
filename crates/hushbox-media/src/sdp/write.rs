//! Writes session descriptions.

use std::fmt::Write as _;
use std::net::IpAddr;

use zeroize::Zeroizing;

use super::crypto_attribute::CryptoAttribute;
use super::formats::{PayloadMap, PayloadMeaning};
use super::parse::Direction;
use crate::srtp::MasterKey;

/// The m-line that we use.
pub(super) struct AudioLine<'a> {
    pub(super) port: u16,
    pub(super) protocol: &'a str,
    pub(super) formats: &'a PayloadMap,
    pub(super) crypto: &'a [(u32, MasterKey)],
    pub(super) direction: Direction,
    pub(super) packet_millis: u32,
    pub(super) rtcp_mux: bool,
}

/// An m-line of the peer's that we do not use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RefusedLine {
    pub(super) kind: String,
    pub(super) protocol: String,
    pub(super) formats: Vec<String>,
}

/// One m-line of ours.
pub(super) enum Line<'a> {
    Audio(AudioLine<'a>),
    Refused(&'a RefusedLine),
}

/// What follows `o=`: two descriptions that differ in `o=` only say the same.
pub(super) fn body(local_ip: IpAddr, lines: &[Line<'_>]) -> Zeroizing<String> {
    let family = if local_ip.is_ipv4() { "IP4" } else { "IP6" };
    let mut text = Zeroizing::new(String::with_capacity(1024));
    put(&mut text, format_args!("s=-\r\nc=IN {family} {local_ip}\r\nt=0 0\r\n"));
    for line in lines {
        match line {
            Line::Audio(audio) => put_audio(&mut text, audio),
            // RFC 3264 §6: port zero, the formats are of no meaning but must be there.
            Line::Refused(line) => {
                let formats = line.formats.join(" ");
                put(&mut text, format_args!("m={} 0 {} {formats}\r\n", line.kind, line.protocol));
            }
        }
    }
    text
}

/// `v=` and `o=` (RFC 8866 §5.2): neither a user's nor a machine's name.
pub(super) fn head(local_ip: IpAddr, session_id: u64, version: u64) -> String {
    let family = if local_ip.is_ipv4() { "IP4" } else { "IP6" };
    format!("v=0\r\no=- {session_id} {version} IN {family} {local_ip}\r\n")
}

fn put_audio(text: &mut String, audio: &AudioLine<'_>) {
    put(text, format_args!("m=audio {} {}", audio.port, audio.protocol));
    for (payload_type, _) in audio.formats.iter() {
        put(text, format_args!(" {payload_type}"));
    }
    text.push_str("\r\n");
    for (tag, master) in audio.crypto {
        let crypto = CryptoAttribute::write(*tag, master);
        put(text, format_args!("a=crypto:{}\r\n", *crypto));
    }
    for (payload_type, meaning) in audio.formats.iter() {
        put(text, format_args!("a=rtpmap:{payload_type} {}\r\n", meaning.rtpmap()));
        if meaning == PayloadMeaning::TelephoneEvent {
            // RFC 4733 §2.4.1: the events that we understand.
            put(text, format_args!("a=fmtp:{payload_type} 0-15\r\n"));
        }
    }
    put(text, format_args!("a=ptime:{}\r\na={}\r\n", audio.packet_millis, audio.direction.name()));
    if audio.rtcp_mux {
        text.push_str("a=rtcp-mux\r\n");
    }
}

fn put(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    text.write_fmt(arguments).expect("writing to a string does not fail");
}
