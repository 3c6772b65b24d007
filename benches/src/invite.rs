//! An INVITE as a PBX forwards it, and what is done with it by us and by `rsip`.

use std::hint::black_box;

use bytes::Bytes;
use hushbox_sip::message::StartLine;
use hushbox_sip::message::name::Name;
use hushbox_sip::{InviteBody, Message};
use rsip::SipMessage;
use rsip::prelude::{HeadersExt as _, ToTypedHeader as _};

use crate::contest::Entry;

/// Forwarded on busy through a proxy, with SDES keys offered. Both libraries take it, typed header fields included.
pub const INVITE: &str = "INVITE sip:1001@vm.clinic.example.com:5061;transport=tls SIP/2.0\r\n\
    Via: SIP/2.0/TLS 192.0.2.10:5061;branch=z9hG4bK3f1c.5ad21b97c0e84;rport\r\n\
    Via: SIP/2.0/TLS 192.0.2.77:49152;branch=z9hG4bK-524287-1---9aa8c3d4;received=192.0.2.77\r\n\
    Max-Forwards: 69\r\n\
    Record-Route: <sip:192.0.2.10:5061;transport=tls;lr>\r\n\
    From: \"Jane Doe\" <sip:2042@clinic.example.com>;tag=as58f4201b\r\n\
    To: <sip:1001@clinic.example.com>\r\n\
    Contact: <sip:2042@192.0.2.77:49152;transport=tls>\r\n\
    Call-ID: 7c1d0f4e2b9a4d6e8f30@192.0.2.77\r\n\
    CSeq: 102 INVITE\r\n\
    Allow: INVITE, ACK, CANCEL, OPTIONS, BYE, UPDATE\r\n\
    Supported: replaces, timer, 100rel\r\n\
    User-Agent: Example PBX 20.9.1\r\n\
    Session-Expires: 1800;refresher=uac\r\n\
    Diversion: <sip:1001@clinic.example.com>;reason=user-busy\r\n\
    Content-Type: application/sdp\r\n\
    Content-Length: 416\r\n\
    \r\n\
    v=0\r\n\
    o=- 1806733452 1806733452 IN IP4 192.0.2.77\r\n\
    s=-\r\n\
    c=IN IP4 192.0.2.77\r\n\
    t=0 0\r\n\
    m=audio 17240 RTP/SAVP 8 0 101\r\n\
    a=rtpmap:8 PCMA/8000\r\n\
    a=rtpmap:0 PCMU/8000\r\n\
    a=rtpmap:101 telephone-event/8000\r\n\
    a=fmtp:101 0-16\r\n\
    a=ptime:20\r\n\
    a=sendrecv\r\n\
    a=crypto:1 AEAD_AES_256_GCM inline:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKis=\r\n\
    a=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd\r\n";

/// Parses it by our parser, which reads Via, From, To, Contact, CSeq and the routes into types already.
///
/// # Panics
///
/// When the message is not taken.
pub fn ours() -> Message<'static> {
    Message::parse(INVITE.as_bytes()).expect("a valid message")
}

/// Parses it by `rsip`, which only splits it into lines.
///
/// # Panics
///
/// When the message is not taken.
pub fn theirs() -> SipMessage {
    SipMessage::try_from(INVITE.as_bytes()).expect("a valid message")
}

/// What a server asks of an INVITE, by our parser.
///
/// # Panics
///
/// When the message is not taken.
pub fn ours_typed() -> impl Sized {
    let message = ours();
    let StartLine::Request(request) = message.start() else { panic!("a request") };
    let body = message.classify_body().expect("a body");
    assert!(matches!(body, InviteBody::Sdp(_)), "it has a session description");
    black_box((request.uri.user(), request.uri.host(), request.uri.port()));
    black_box((message.from().display(), message.from().uri().user(), message.from().tag()));
    black_box((message.to().uri().user(), message.to().tag()));
    black_box((message.via().branch(), message.via().host(), message.via().port()));
    black_box(message.contact().map(|contact| (contact.uri().user(), contact.uri().port())));
    black_box((message.record_route().count(), message.option_tags(Name::Supported).count()));
    (message, body)
}

/// The same by `rsip`.
///
/// # Panics
///
/// When the message is not taken.
pub fn theirs_typed() -> impl Sized {
    let message = theirs();
    let typed = (
        message.via_header().expect("a Via").typed().expect("valid"),
        message.from_header().expect("a From").typed().expect("valid"),
        message.to_header().expect("a To").typed().expect("valid"),
        message.contact_header().expect("a Contact").typed().expect("valid"),
        message.cseq_header().expect("a CSeq").typed().expect("valid"),
    );
    (message, typed)
}

/// Every task by each contestant, `rsip` first.
pub fn entries<'a>(ours_parsed: &'a Message<'_>, theirs_parsed: &'a SipMessage) -> Vec<Entry<'a>> {
    let write = || -> Bytes { ours_parsed.to_bytes() };
    vec![
        Entry::new("parse", "rsip", theirs),
        Entry::new("parse", "hushbox", ours),
        Entry::new("parse, typed headers", "rsip", theirs_typed),
        Entry::new("parse, typed headers", "hushbox", ours_typed),
        Entry::new("serialise", "rsip", || theirs_parsed.to_string()),
        Entry::new("serialise", "hushbox", write),
    ]
}
