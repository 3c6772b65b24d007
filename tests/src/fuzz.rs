//! What the fuzz targets do with their bytes, so that the same code replays their corpus as an ordinary test.
//!
//! Each function takes anything a peer or a disk may send. It must not panic, and asserts what must hold whatever
//! came: that framing does not depend on how a stream was cut, that what was written can be read back.

mod event;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hushbox_media::recording::Decoder;
use hushbox_media::{Input, Leg, LegConfig, Output, RecordingLimits, Security};
use hushbox_sip::auth::ha1;
use hushbox_sip::limits::MAX_HEAD_BYTES;
use hushbox_sip::retargeting::{Diversion, HistoryEntry, VoicemailUri};
use hushbox_sip::{
    Algorithm, Authenticator, Authorization, Endpoint, Flow, Framed, Framer, Headers, HostPort,
    Listener, Message, OwnedUri, Session, Transport,
};
use hushbox_store::spool::{self, Scan};
use hushbox_store::{Manifest, Recovery};

pub use event::sip_event;

/// A target: its name, which is also its corpus' folder, and what it does.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: [Target; 13] = [
    ("sip_message", sip_message),
    ("sip_framing", sip_framing),
    ("sip_uri", sip_uri),
    ("sip_authorization", sip_authorization),
    ("sip_digest", sip_digest),
    ("sip_retargeting", sip_retargeting),
    ("sip_event", sip_event),
    ("sip_endpoint", sip_endpoint),
    ("sdp", sdp),
    ("media_packets", media_packets),
    ("recording", recording),
    ("audit_log", audit_log),
    ("spool", spool),
];

/// A datagram as a SIP message, with every typed header.
pub fn sip_message(bytes: &[u8]) {
    let Ok(message) = Message::parse(bytes) else { return };
    let _ = (message.from().display(), message.from().uri().user(), message.to().tag());
    let _ = (message.via().branch(), message.via().port(), message.call_id(), message.cseq());
    let _ = (message.classify_body(), message.accepts_sdp(), message.record_route().count());
    let _ = (message.via().host().len(), message.via().text().len(), message.via_count());
    for field in message.fields() {
        let _ = field.name.long();
    }
    for param in message.via().params().iter().chain(message.from().params().iter()) {
        assert!(!param.0.is_empty(), "a parameter has a name");
    }
    assert!(message.body().len() <= bytes.len());
    // The limit counts bytes as they came, and each line may gain a space.
    if bytes.len() < MAX_HEAD_BYTES / 2 {
        assert!(Message::parse(&message.to_bytes()).is_ok(), "written again, it is no message");
    }
}

/// A stream: however it is cut, the same messages come out.
pub fn sip_framing(bytes: &[u8]) {
    let Some((cut, stream)) = bytes.split_first() else { return };
    let drain = |framer: &mut Framer, into: &mut Vec<Vec<u8>>| {
        while let Some(item) = framer.next_item() {
            into.push(match item {
                Framed::Message(bytes) => bytes.to_vec(),
                other => format!("{other:?}").into_bytes(),
            });
        }
    };
    let (mut whole, mut pieces) = (Vec::new(), Vec::new());
    let mut framer = Framer::new();
    framer.push(stream);
    drain(&mut framer, &mut whole);
    let mut framer = Framer::new();
    for piece in stream.chunks(usize::from(*cut).max(1)) {
        framer.push(piece);
        drain(&mut framer, &mut pieces);
    }
    assert_eq!(whole, pieces, "framing depends on how the stream was cut");
}

/// A URI.
pub fn sip_uri(bytes: &[u8]) {
    let Some(uri) = std::str::from_utf8(bytes).ok().and_then(|t| OwnedUri::parse(t).ok()) else {
        return;
    };
    let _ = (uri.user(), uri.host(), format!("{uri:?}"));
}

/// The value of an Authorization header.
pub fn sip_authorization(bytes: &[u8]) {
    let _ = Authorization::parse(bytes);
}

/// The value of an Authorization header, judged: only who knows the secret is let in, and nothing here does.
pub fn sip_digest(bytes: &[u8]) {
    let Some(authorization) = Authorization::parse(bytes) else { return };
    let mut authenticator = Authenticator::new("hushbox", [7; 32]);
    let offered = [Algorithm::Sha256, Algorithm::Sha512_256, Algorithm::Md5];
    let challenges = authenticator.challenges(1000, &offered, false);
    assert_eq!(challenges.len(), offered.len());
    let secret = |algorithm| Some(ha1(algorithm, "phone1", "hushbox", "a secret of 24 chars"));
    let uri = "sip:1001@clinic.example";
    let verdict = authenticator.check(1000, &authorization, "INVITE", uri, secret);
    assert_ne!(verdict, hushbox_sip::Verdict::Valid);
}

/// The lines of Diversion, History-Info and of a Request-URI, as one field each: what stands before `:`.
pub fn sip_retargeting(bytes: &[u8]) {
    let mut fields = Vec::new();
    for line in bytes.split(|b| *b == b'\n') {
        let Some(colon) = line.iter().position(|b| *b == b':') else { continue };
        let (name, value) = (&line[..colon], Bytes::copy_from_slice(&line[colon + 1..]));
        if name == b"URI" {
            let text = String::from_utf8_lossy(&value);
            if let Ok(uri) = OwnedUri::parse(&text) {
                let _ = VoicemailUri::of(&uri);
            }
        }
        fields.push((String::from_utf8_lossy(name).into_owned(), value));
    }
    let headers = Headers::new(fields);
    for diversion in Diversion::all(&headers).into_iter().flatten() {
        assert!(diversion.counter >= 1, "a diversion stands for one at least");
        let _ = diversion.voicemail();
    }
    let entries: Vec<_> = HistoryEntry::all(&headers).into_iter().flatten().collect();
    assert!(entries.is_sorted_by_key(|entry| entry.index.clone()), "the tree is in its order");
    for entry in &entries {
        let _ = entry.voicemail();
    }
}

/// What a caller sends to an endpoint that answers every call: datagrams with two octets of length before each. Whatever
/// they are, what goes out is a message, and nothing is left when the time of all timers is over.
pub fn sip_endpoint(mut bytes: &[u8]) {
    let local = SocketAddr::from((Ipv4Addr::LOCALHOST, 5060));
    let remote = SocketAddr::from((Ipv4Addr::LOCALHOST, 5070));
    let flow = Flow { transport: Transport::Udp, local, remote, connection: None };
    let listener = Listener { transport: Transport::Udp, local, advertised: HostPort::from(local) };
    let config = hushbox_sip::Config {
        product: "Hushbox/0".to_owned(),
        listeners: vec![listener],
        limits: hushbox_sip::Limits::default(),
    };
    let mut endpoint = Endpoint::new(config, [1; 32]);
    let mut now = Instant::now();
    let mut sessions = Vec::new();
    while let [high, low, rest @ ..] = bytes {
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(rest.len());
        let (datagram, after) = rest.split_at(length);
        bytes = after;
        now += Duration::from_millis(10);
        let input = hushbox_sip::Input::Datagram { flow, bytes: datagram };
        endpoint.handle_input(now, input);
        serve(&mut endpoint, now, &mut sessions);
    }
    for session in sessions.clone() {
        endpoint.hang_up(now, session, hushbox_sip::Reason::normal_clearing());
    }
    let end = now + Duration::from_secs(65);
    while let Some(at) = serve(&mut endpoint, now, &mut sessions).filter(|at| *at <= end) {
        now = at;
        endpoint.handle_input(now, hushbox_sip::Input::Timeout);
    }
    assert_eq!(endpoint.load(), hushbox_sip::Load::default(), "something is left behind");
}

/// Takes what an endpoint has to say and answers every call; its next deadline.
fn serve(endpoint: &mut Endpoint, now: Instant, sessions: &mut Vec<Session>) -> Option<Instant> {
    let sdp = || Bytes::from_static(b"v=0\r\n");
    loop {
        match endpoint.poll_output() {
            hushbox_sip::Output::Transmit { bytes, .. } => {
                // What answers a malformed request echoes it.
                let is_refusal = bytes.starts_with(b"SIP/2.0 4") || bytes.starts_with(b"SIP/2.0 5");
                assert!(is_refusal || Message::parse(&bytes).is_ok(), "what is sent is a message");
            }
            hushbox_sip::Output::Event(hushbox_sip::Event::Invite { session, .. }) => {
                endpoint.answer(now, session, sdp());
                sessions.push(session);
            }
            hushbox_sip::Output::Event(hushbox_sip::Event::Reinvite { request, .. }) => {
                endpoint.answer_reinvite(now, request, sdp());
            }
            hushbox_sip::Output::Event(_)
            | hushbox_sip::Output::Disconnect { .. }
            | hushbox_sip::Output::Connect { .. } => {}
            hushbox_sip::Output::Timeout(at) => return at,
        }
    }
}

fn leg_config(security: Security) -> LegConfig {
    LegConfig {
        local_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
        rtp_port: 40_000,
        security,
        seed: [7; 32],
    }
}

/// An offer, and then the same one again in the call.
pub fn sdp(bytes: &[u8]) {
    let now = Instant::now();
    for security in [Security::SrtpOnly, Security::Lab] {
        let Ok((mut leg, answer)) = Leg::answer(now, leg_config(security), bytes) else { continue };
        assert!(!answer.is_empty());
        assert!(
            leg.handle_reoffer(now, Some(bytes)).is_ok(),
            "what was accepted is accepted again"
        );
    }
    let (mut leg, _) = Leg::offer(now, leg_config(Security::SrtpOnly));
    let _ = leg.handle_answer(now, bytes);
}

/// Packets to a leg that records: each an octet for the port (odd: RTCP), an octet for the length, and as much.
pub fn media_packets(mut bytes: &[u8]) {
    const OFFER: &[u8] =
        b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
        m=audio 40002 RTP/AVP 0 8 101\r\na=rtpmap:101 telephone-event/8000\r\n";
    let mut now = Instant::now();
    let Ok((mut leg, _)) = Leg::answer(now, leg_config(Security::Lab), OFFER) else {
        panic!("a plain offer on a lab listener is accepted")
    };
    leg.start(now);
    leg.start_recording(now, RecordingLimits::default());
    let from = SocketAddr::from((Ipv4Addr::LOCALHOST, 40_002));
    let mut decoder = Decoder::default();
    while let [port, length, rest @ ..] = bytes {
        let (packet, after) = rest.split_at(usize::from(*length).min(rest.len()));
        bytes = after;
        let mut packet = packet.to_vec();
        let bytes = packet.as_mut_slice();
        let input =
            if port % 2 == 0 { Input::Rtp { from, bytes } } else { Input::Rtcp { from, bytes } };
        leg.handle_input(now, input);
        now += Duration::from_millis(20);
        leg.handle_input(now, Input::Timeout);
        drain(&mut leg, &mut decoder);
    }
    let _ = leg.stop_recording(now);
    drain(&mut leg, &mut decoder);
}

fn drain(leg: &mut Leg, decoder: &mut Decoder) {
    loop {
        match leg.poll_output() {
            Output::Timeout(_) => return,
            Output::Event(hushbox_media::Event::Frames(frames)) => {
                assert!(decoder.push(&frames).is_ok(), "what was recorded can be read");
                let _ = decoder.pull();
            }
            _ => {}
        }
    }
}

/// Recorded frames, as playback and export read them.
pub fn recording(bytes: &[u8]) {
    let mut decoder = Decoder::default();
    for chunk in bytes.chunks(997) {
        if decoder.push(chunk).is_err() {
            break;
        }
        let _ = decoder.pull();
    }
    decoder.finish();
    let _ = decoder.pull();
}

/// A segment of the audit log.
pub fn audit_log(bytes: &[u8]) {
    let _ = hushbox_audit::verify([bytes]);
    let _ = hushbox_audit::recover(bytes);
}

/// A segment of the spool, and what recovery makes of it; and a manifest.
pub fn spool(bytes: &[u8]) {
    let _ = Manifest::parse(bytes);
    let _ = spool::generation_of(bytes);
    let Ok(scan) = Scan::new(Bytes::copy_from_slice(bytes)) else { return };
    let mut recovery = Recovery::new();
    for record in scan {
        recovery.record(&record);
    }
    let _ = recovery.finish();
}
