//! The client against a server of a few lines: it challenges, beeps, records, plays back, hangs up. It shows
//! that a whole call works over each transport and suite before a real server is called.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hushbox_load::client::Plan;
use hushbox_load::digest::{Algorithm, Credentials};
use hushbox_load::g711::Codec;
use hushbox_load::measure;
use hushbox_load::message::{Message, Request, StreamFramer, Writer, parameter, parse};
use hushbox_load::rtp;
use hushbox_load::scenario::{Outcome, call};
use hushbox_load::script::{Keys, Step};
use hushbox_load::sdp::Security;
use hushbox_load::srtp::{MasterKey, Shield, Suite};
use hushbox_load::timeline::RATE;
use hushbox_load::transport::{Identity, Transport};
use hushbox_load::voice::babble;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, UdpSocket};

const FRAME: usize = 160;

/// Media of the small server: one port pair, one agreed line.
struct Room {
    rtp: UdpSocket,
    _rtcp: UdpSocket,
    peer: SocketAddr,
    protect: Shield,
    open: Shield,
    answer: String,
}

impl Room {
    async fn new(offer: &str) -> Self {
        let value =
            |prefix: &str| offer.lines().find_map(|l| l.strip_prefix(prefix)).map(str::to_owned);
        let media = value("m=audio ").expect("audio");
        let port: u16 = media.split(' ').next().expect("port").parse().expect("number");
        let (rtp, rtcp) = loop {
            let rtp = UdpSocket::bind("127.0.0.1:0").await.expect("binds");
            let port = rtp.local_addr().expect("address").port();
            if port % 2 == 0
                && let Ok(rtcp) = UdpSocket::bind(("127.0.0.1", port + 1)).await
            {
                break (rtp, rtcp);
            }
        };
        let own_port = rtp.local_addr().expect("address").port();
        let mut answer = String::from(
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n",
        );
        let (mut protect, mut open) = (Shield::Plain, Shield::Plain);
        match value("a=crypto:") {
            None => answer.push_str(&format!("m=audio {own_port} RTP/AVP 0 101\r\n")),
            Some(line) => {
                let words: Vec<&str> = line.split(' ').collect();
                let suite = Suite::ALL.into_iter().find(|s| s.name() == words[1]).expect("suite");
                let theirs = words[2].strip_prefix("inline:").expect("inline");
                let theirs =
                    base64::Engine::decode(&base64::engine::general_purpose::STANDARD, theirs);
                let theirs = MasterKey::new(suite, theirs.expect("base64")).expect("length");
                let ours = MasterKey::random(suite).expect("random");
                (protect, open) = (
                    Shield::new(suite, &ours).expect("key"),
                    Shield::new(suite, &theirs).expect("key"),
                );
                let (tag, name, key) = (words[0], suite.name(), ours.to_base64());
                answer.push_str(&format!(
                    "m=audio {own_port} RTP/SAVP 0 101\r\na=crypto:{tag} {name} inline:{key}\r\n"
                ));
            }
        }
        answer.push_str("a=rtpmap:101 telephone-event/8000\r\n");
        let peer = SocketAddr::from(([127, 0, 0, 1], port));
        Self { rtp, _rtcp: rtcp, peer, protect, open, answer }
    }

    /// Plays, then listens until `#` has been pressed; gives the digits and the frames heard after playing.
    async fn talk(mut self, play: &[i16], until_pound: bool) -> (String, Vec<i16>) {
        let mut clock = tokio::time::interval(Duration::from_millis(20));
        let (mut digits, mut recorded) = (String::new(), Vec::new());
        let (mut at, mut timestamp, mut last_event) = (0, 7u32, None);
        let mut buffer = [0; 2048];
        loop {
            tokio::select! {
                _ = clock.tick() => {
                    if at >= play.len() && !until_pound {
                        return (digits, recorded);
                    }
                    let mut frame = [0; FRAME];
                    let next = &play[at.min(play.len())..(at + FRAME).min(play.len())];
                    frame[..next.len()].copy_from_slice(next);
                    at += FRAME;
                    let packet = rtp::write(&rtp::Packet {
                        payload_type: 0,
                        marker: false,
                        sequence_number: (at / FRAME) as u16,
                        timestamp,
                        ssrc: 99,
                        payload: &Codec::Pcmu.encode(&frame),
                    });
                    timestamp += FRAME as u32;
                    let wire = self.protect.protect_rtp(packet).expect("protects");
                    self.rtp.send_to(&wire, self.peer).await.expect("sends");
                }
                received = self.rtp.recv_from(&mut buffer) => {
                    let (length, _) = received.expect("receives");
                    let opened = self.open.open_rtp(&buffer[..length]).expect("opens");
                    let packet = rtp::parse(&opened).expect("RTP");
                    if packet.payload_type != 101 {
                        if at >= play.len() {
                            recorded.extend(Codec::Pcmu.decode(packet.payload));
                        }
                    } else if packet.payload[1] & 0x80 != 0 && last_event != Some(packet.timestamp) {
                        last_event = Some(packet.timestamp);
                        digits.push(b"0123456789*#"[usize::from(packet.payload[0])].into());
                        if digits.ends_with('#') && until_pound {
                            return (digits, recorded);
                        }
                    }
                }
            }
        }
    }
}

fn respond(request: &Request, status: &str, more: &[(&str, &str)]) -> Writer {
    let mut writer = Writer::new(&format!("SIP/2.0 {status}"));
    for name in ["Via", "From", "Call-ID", "CSeq"] {
        writer = writer.header(name, request.headers.first(name).expect("there"));
    }
    let to = request.headers.first("To").expect("To");
    let tag = if parameter(to, "tag").is_some() { "" } else { ";tag=server" };
    writer = writer.header("To", &format!("{to}{tag}"));
    for (name, value) in more {
        writer = writer.header(name, value);
    }
    writer
}

async fn next_request<R: AsyncRead + Unpin>(source: &mut R, framer: &mut StreamFramer) -> Request {
    let mut buffer = [0; 4096];
    loop {
        if let Some(bytes) = framer.next_message().expect("frames") {
            match parse(&bytes).expect("parses") {
                Message::Request(request) => return request,
                Message::Response(_) => continue,
            }
        }
        let length = source.read(&mut buffer).await.expect("reads");
        assert_ne!(length, 0, "closed too early");
        framer.push(&buffer[..length]);
    }
}

/// One call on a stream: 401 first if `challenge`; beep, record until `#`, play it back, BYE.
async fn serve<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, challenge: bool) -> String {
    let mut framer = StreamFramer::default();
    let mut invite = next_request(&mut stream, &mut framer).await;
    if challenge {
        let value =
            "Digest realm=\"r\", nonce=\"n\", algorithm=SHA-256, qop=\"auth\", opaque=\"o\"";
        let response = respond(&invite, "401 Unauthorized", &[("WWW-Authenticate", value)]).end();
        stream.write_all(&response).await.expect("writes");
        assert_eq!(next_request(&mut stream, &mut framer).await.method, "ACK");
        invite = next_request(&mut stream, &mut framer).await;
        let value = invite.headers.first("Authorization").expect("credentials");
        assert!(value.contains("algorithm=SHA-256") && value.contains("opaque=\"o\""), "{value}");
        // A wrong password is not tried again.
        if value.contains("username=\"nobody\"") {
            let response =
                respond(&invite, "401 Unauthorized", &[("WWW-Authenticate", value)]).end();
            stream.write_all(&response).await.expect("writes");
            assert_eq!(next_request(&mut stream, &mut framer).await.method, "ACK");
            return String::new();
        }
    }
    let room = Room::new(std::str::from_utf8(&invite.body).expect("SDP")).await;
    let contact =
        [("Contact", "<sip:server@127.0.0.1:1;transport=tcp>"), ("Record-Route", "<sip:a;lr>")];
    let mut both = respond(&invite, "100 Trying", &[]).end();
    let ok = respond(&invite, "200 OK", &contact).sdp(&room.answer);
    both.extend_from_slice(&ok);
    stream.write_all(&both).await.expect("writes");
    let ack = next_request(&mut stream, &mut framer).await;
    assert_eq!(
        (ack.method.as_str(), ack.uri.as_str()),
        ("ACK", "sip:server@127.0.0.1:1;transport=tcp")
    );
    assert_eq!(ack.headers.first("Route"), Some("<sip:a;lr>"));
    // RFC 3261 §13.2.2.4: a repeated 2xx is acknowledged again.
    stream.write_all(&ok).await.expect("writes");
    assert_eq!(next_request(&mut stream, &mut framer).await.method, "ACK");

    let mut beep = vec![0; RATE / 5];
    beep.extend((0..RATE / 4).map(|n| ((n as f64 * 0.785).sin() * 6000.0) as i16));
    beep.extend([0; FRAME]);
    let answer = room.answer.clone();
    let (digits, recorded) = room.talk(&beep, true).await;
    let from = invite.headers.first("From").expect("From").to_owned();
    let bye = Writer::new("BYE sip:caller@127.0.0.1 SIP/2.0")
        .header("Via", "SIP/2.0/TCP 127.0.0.1:1;branch=z9hG4bKb")
        .header("From", "<sip:x>;tag=server")
        .header("To", &from)
        .header("Call-ID", invite.headers.first("Call-ID").expect("Call-ID"))
        .header("CSeq", "1 BYE")
        .header("Reason", "Q.850;cause=16")
        .end();
    stream.write_all(&bye).await.expect("writes");
    assert!(!answer.is_empty());
    let length = recorded.len() / FRAME;
    format!("{digits} {length}")
}

fn script(voice: &Arc<[i16]>) -> Vec<Step> {
    vec![
        Step::Beep { within: Duration::from_secs(5) },
        Step::Say(Arc::clone(voice)),
        Step::Press(Keys::new("19#").expect("keys")),
        Step::Bye { within: Duration::from_secs(5) },
    ]
}

fn assert_good(outcome: &Outcome, served: &str, voice: &[i16]) {
    assert!(outcome.is_ok(), "{:?}", outcome.steps);
    assert!(served.starts_with("19# "), "{served}");
    let frames: usize = served[4..].parse().expect("a number");
    assert!(frames >= voice.len() / FRAME, "{frames}");
    assert_eq!(measure::tones(&outcome.heard).len(), 1);
    let said = &outcome.steps[1].said;
    let comparison = measure::compare(voice, &outcome.said[said.start..]).expect("said");
    assert!(comparison.is_same(), "{comparison:?}");
    assert_eq!(outcome.packets.1, 0, "packets refused");
}

#[tokio::test]
async fn a_call_over_tcp_with_digest_and_plain_rtp_beeps_records_and_ends() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let mut plan = Plan::new(
        Transport::Tcp,
        listener.local_addr().expect("address"),
        "sip:1001@clinic.example",
    );
    plan.security = Security::Plain;
    let credentials = Credentials {
        username: "u".into(),
        password: "p".into(),
        algorithm: Some(Algorithm::Sha256),
    };
    plan.identity.credentials = Some(credentials);
    let voice: Arc<[i16]> = babble([1; 32], RATE).into();
    let server = async {
        let (stream, _) = listener.accept().await.expect("accepts");
        serve(stream, true).await
    };
    let steps = script(&voice);
    let (served, outcome) = tokio::join!(server, call(&plan, &steps));
    let outcome = outcome.expect("a call");
    assert_eq!(outcome.statuses, [401, 100, 200]);
    assert_good(&outcome, &served, &voice);
}

#[tokio::test]
async fn a_wrong_password_is_a_refusal_after_one_try() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let mut plan = Plan::new(
        Transport::Tcp,
        listener.local_addr().expect("address"),
        "sip:1001@clinic.example",
    );
    let credentials =
        Credentials { username: "nobody".into(), password: "p".into(), algorithm: None };
    plan.identity.credentials = Some(credentials);
    let server = async {
        let (stream, _) = listener.accept().await.expect("accepts");
        serve(stream, true).await
    };
    let (_, outcome) = tokio::join!(server, call(&plan, &[]));
    let outcome = outcome.expect("a call");
    assert_eq!(outcome.statuses, [401, 401]);
    assert_eq!(outcome.refusal.map(|r| r.status), Some(401));
}

fn authority(folder: &Path) -> rustls::ServerConfig {
    let key = rcgen::KeyPair::generate().expect("key");
    let names = vec!["127.0.0.1".to_owned()];
    let certificate =
        rcgen::CertificateParams::new(names).expect("names").self_signed(&key).expect("signed");
    std::fs::write(folder.join("ca.pem"), certificate.pem()).expect("written");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let private = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).expect("PKCS#8");
    rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], private)
        .expect("certificate")
}

#[tokio::test]
async fn a_call_over_tls_works_in_both_suites_and_an_unknown_ca_is_refused() {
    let folder = tempfile::tempdir().expect("folder");
    let config = Arc::new(authority(folder.path()));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let address = listener.local_addr().expect("address");
    let accept = || async {
        let (stream, _) = listener.accept().await.expect("accepts");
        tokio_rustls::TlsAcceptor::from(Arc::clone(&config)).accept(stream).await
    };
    let voice: Arc<[i16]> = babble([2; 32], RATE).into();
    for suite in Suite::ALL {
        let mut plan = Plan::new(Transport::Tls, address, "sip:1001@clinic.example");
        plan.identity = Identity { ca: Some(folder.path().join("ca.pem")), ..Identity::default() };
        plan.security = Security::Sdes(vec![suite]);
        let server = async { serve(accept().await.expect("handshake"), false).await };
        let steps = script(&voice);
        let (served, outcome) = tokio::join!(server, call(&plan, &steps));
        let outcome = outcome.expect("a call");
        assert_eq!(outcome.suite, Some(suite));
        assert_good(&outcome, &served, &voice);
    }
    let other = tempfile::tempdir().expect("folder");
    authority(other.path());
    let mut plan = Plan::new(Transport::Tls, address, "sip:1001@clinic.example");
    plan.identity = Identity { ca: Some(other.path().join("ca.pem")), ..Identity::default() };
    let (_, outcome) = tokio::join!(accept(), call(&plan, &[]));
    assert!(outcome.is_err());
}

#[tokio::test]
async fn a_lost_invite_over_udp_is_repeated_and_a_cancel_ends_it() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("binds");
    let mut plan =
        Plan::new(Transport::Udp, socket.local_addr().expect("address"), "sip:1001@clinic.example");
    plan.security = Security::Plain;
    plan.cancel_after = Some(Duration::from_millis(50));
    let server = async {
        let mut buffer = [0; 4096];
        let mut invites = Vec::new();
        loop {
            let (length, from) = socket.recv_from(&mut buffer).await.expect("receives");
            let Ok(Message::Request(request)) = parse(&buffer[..length]) else { continue };
            match request.method.as_str() {
                "INVITE" => {
                    invites.push(request.clone());
                    if invites.len() == 2 {
                        let trying = respond(&request, "100 Trying", &[]).end();
                        socket.send_to(&trying, from).await.expect("sends");
                    }
                }
                "CANCEL" => {
                    let ok = respond(&request, "200 OK", &[]).end();
                    socket.send_to(&ok, from).await.expect("sends");
                    let gone = respond(&invites[0], "487 Request Terminated", &[]).end();
                    socket.send_to(&gone, from).await.expect("sends");
                }
                other => return (invites, other.to_owned()),
            }
        }
    };
    let ((invites, last), outcome) = tokio::join!(server, call(&plan, &[]));
    let branches: Vec<_> = invites.iter().filter_map(|i| i.headers.branch()).collect();
    assert_eq!(branches[0], branches[1]);
    assert_eq!(last, "ACK");
    let outcome = outcome.expect("a call");
    assert_eq!(outcome.statuses, [100, 487]);
}
