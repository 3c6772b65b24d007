//! What the fuzz targets do with their bytes, so that the same code replays their corpus as an ordinary test.
//!
//! Each function takes anything a peer or a disk may send. It must not panic, and asserts what must hold whatever
//! came: that framing does not depend on how a stream was cut, that what was written can be read back.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hushbox_media::recording::Decoder;
use hushbox_media::{Input, Leg, LegConfig, Output, RecordingLimits, Security};
use hushbox_sip::limits::MAX_HEAD_BYTES;
use hushbox_sip::{Authorization, Framed, Framer, Message, OwnedUri};
use hushbox_store::spool::{self, Scan};
use hushbox_store::{Manifest, Recovery};

/// A target: its name, which is also its corpus' folder, and what it does.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: [Target; 9] = [
    ("sip_message", sip_message),
    ("sip_framing", sip_framing),
    ("sip_uri", sip_uri),
    ("sip_authorization", sip_authorization),
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
    for field in message.fields() {
        let _ = field.name.long();
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
