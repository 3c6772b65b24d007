//! What SUBSCRIBE, NOTIFY and their answers bring (RFC 6665, RFC 3842): Event, Accept, Expires, Subscription-State,
//! Min-Expires, Retry-After, and the summary of a mailbox.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hushbox_sip::limits::MAX_EXPIRES;
use hushbox_sip::message::event_package::{EventPackage, SubscriptionState};
use hushbox_sip::message::name::Name;
use hushbox_sip::mwi::{EVENT_PACKAGE, MessageSummary};
use hushbox_sip::registration::{Action, Registration, Settings};
use hushbox_sip::resolution::Target;
use hushbox_sip::{
    Credentials, Destination, Endpoint, Event, Flow, Headers, HostPort, Input, Listener, Load,
    Message, Output, OwnedUri, Response, Subscribe, Transport,
};

/// The shortest and the longest subscription here.
const SHORTEST: Duration = Duration::from_secs(60);
const LONGEST: Duration = Duration::from_secs(3600);

/// Lines of header fields, an empty line, a body. The fields stand in a SUBSCRIBE, in the answer to its NOTIFY (whose
/// status is that of a line `Answer:`) and in a registrar's 423; the body is that of a NOTIFY.
pub fn sip_event(bytes: &[u8]) {
    let end = bytes.windows(2).position(|two| two == b"\n\n");
    let (head, body) = end.map_or((bytes, &[][..]), |end| (&bytes[..end], &bytes[end + 2..]));
    summary(body);
    let fields: Vec<(&[u8], &[u8])> = head
        .split(|b| *b == b'\n')
        .filter_map(|line| {
            let colon = line.iter().position(|b| *b == b':')?;
            Some((&line[..colon], &line[colon + 1..]))
        })
        .collect();
    for (_, value) in &fields {
        if let Some(event) = EventPackage::parse(value) {
            assert!(event.id().is_none_or(|id| id.len() < value.len()));
        }
        if let Some(state) = SubscriptionState::parse(value) {
            assert!(!state.state.is_empty(), "a state is a token");
        }
    }
    subscribe(&fields);
    interval_too_brief(&fields);
}

/// A summary that was read is written and read again.
fn summary(body: &[u8]) {
    let Ok(summary) = MessageSummary::parse(body) else { return };
    let again = MessageSummary::parse(&summary.to_bytes());
    assert_eq!(again.as_ref(), Ok(&summary), "a summary that was read is written the same");
}

fn request(fields: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut bytes = b"SUBSCRIBE sip:1001@vm SIP/2.0\r\n\
        Via: SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bKs;rport\r\nFrom: <sip:1001@vm>;tag=1\r\n\
        To: <sip:1001@vm>\r\nCall-ID: s\r\nCSeq: 1 SUBSCRIBE\r\n\
        Contact: <sip:1001@127.0.0.1:5070>\r\nMax-Forwards: 70\r\n"
        .to_vec();
    append(&mut bytes, fields);
    bytes
}

fn append(bytes: &mut Vec<u8>, fields: &[(&[u8], &[u8])]) {
    for (name, value) in fields {
        bytes.extend_from_slice(&[name, &b":"[..], value, b"\r\n"].concat());
    }
    bytes.extend_from_slice(b"Content-Length: 0\r\n\r\n");
}

/// A subscription: what may not be is refused, what is kept is told, and its time ends it at the latest.
fn subscribe(fields: &[(&[u8], &[u8])]) {
    let local = SocketAddr::from((Ipv4Addr::LOCALHOST, 5060));
    let remote = SocketAddr::from((Ipv4Addr::LOCALHOST, 5070));
    let flow = Flow { transport: Transport::Udp, local, remote, connection: None };
    let listener = Listener { transport: Transport::Udp, local, advertised: HostPort::from(local) };
    let config = hushbox_sip::Config {
        product: "Hushbox/0".to_owned(),
        listeners: vec![listener],
        limits: hushbox_sip::Limits::default(),
    };
    let mut peer = Peer { endpoint: Endpoint::new(config, [1; 32]), flow, fields };
    let mut now = Instant::now();
    let begin = now;
    peer.endpoint.handle_input(now, Input::Datagram { flow, bytes: &request(fields) });
    let end = begin + LONGEST + Duration::from_secs(65);
    while let Some(at) = peer.serve(now).filter(|at| *at <= end) {
        now = at;
        peer.endpoint.handle_input(now, Input::Timeout);
    }
    assert_eq!(peer.endpoint.load(), Load::default(), "a subscription is left behind");
}

/// Who subscribes, and the application that answers.
struct Peer<'a> {
    endpoint: Endpoint,
    flow: Flow,
    fields: &'a [(&'a [u8], &'a [u8])],
}

impl Peer<'_> {
    fn serve(&mut self, now: Instant) -> Option<Instant> {
        let body = MessageSummary::new(None, Default::default()).to_bytes();
        loop {
            match self.endpoint.poll_output() {
                Output::Transmit { bytes, .. } if bytes.starts_with(b"NOTIFY ") => {
                    self.notified(now, &bytes);
                }
                Output::Transmit { .. } | Output::Connect { .. } | Output::Disconnect { .. } => {}
                Output::Event(Event::Subscribe { request, subscribe }) => {
                    self.judge(now, request, &subscribe, &body);
                }
                Output::Event(Event::SubscriptionEnding { subscription }) => {
                    self.endpoint.notify(now, subscription, &body);
                }
                Output::Event(_) => {}
                Output::Timeout(at) => return at,
            }
        }
    }

    fn judge(
        &mut self,
        now: Instant,
        request: hushbox_sip::RequestId,
        subscribe: &Subscribe,
        body: &Bytes,
    ) {
        if let Some(rejection) = subscribe.after_authentication(SHORTEST) {
            return self.endpoint.reject_subscribe(now, request, rejection);
        }
        let expires = subscribe.expires.unwrap_or(LONGEST).min(LONGEST);
        assert!(expires.is_zero() || expires >= SHORTEST, "a subscription that is too brief");
        if let Ok(subscription) = self.endpoint.accept_subscribe(now, request, expires) {
            self.endpoint.notify(now, subscription, body);
        }
    }

    /// What a NOTIFY says can be read, and is of the package that was asked for.
    fn notified(&mut self, now: Instant, bytes: &[u8]) {
        let notify = Message::parse(bytes).expect("a NOTIFY is a message");
        let event = notify.values(Name::Event).next().and_then(EventPackage::parse);
        assert!(event.is_some_and(|event| event.is(EVENT_PACKAGE)), "another package");
        let state = notify.values(Name::SubscriptionState).next();
        let state = state.and_then(SubscriptionState::parse).expect("a NOTIFY has a state");
        assert!(matches!(state.state, b"active" | b"terminated"));
        assert!(state.expires.is_none_or(|left| left <= LONGEST));

        let status = self
            .fields
            .iter()
            .find(|(name, _)| *name == b"Answer")
            .and_then(|(_, status)| std::str::from_utf8(status).ok()?.trim().parse::<u16>().ok())
            .filter(|status| (100..700).contains(status))
            .unwrap_or(200);
        let mut answer = format!("SIP/2.0 {status} Any\r\n").into_bytes();
        for name in [Name::Via, Name::From, Name::To, Name::CallId, Name::CSeq] {
            for value in notify.values(name) {
                answer.extend_from_slice(
                    &[name.long().unwrap_or_default().as_bytes(), b": ", value, b"\r\n"].concat(),
                );
            }
        }
        append(&mut answer, self.fields);
        self.endpoint.handle_input(now, Input::Datagram { flow: self.flow, bytes: &answer });
    }
}

/// A registrar that finds our interval too brief gets a longer one, and never one without end.
fn interval_too_brief(fields: &[(&[u8], &[u8])]) {
    let uri = |text: &str| OwnedUri::parse(text).expect("a URI");
    let remote = SocketAddr::from((Ipv4Addr::LOCALHOST, 5061));
    let flow = Flow { transport: Transport::Tls, local: remote, remote, connection: None };
    let settings = Settings {
        address_of_record: uri("sip:8000@pbx"),
        target: Target::of(&uri("sip:pbx")).expect("a target"),
        route: None,
        credentials: Credentials { username: "8000".to_owned(), password: "none".to_owned() },
        contact_user: "voicemail".to_owned(),
        expires: SHORTEST,
        keep_alive: SHORTEST,
        allow_md5: false,
        instance: "urn:uuid:00000000-0000-0000-0000-000000000000".to_owned(),
    };
    let now = Instant::now();
    let mut registration = Registration::new(now, settings, [7; 32]);
    registration.handle_timeout(now);
    let destination = Destination::new(Transport::Tls, remote, Some("pbx".to_owned()));
    registration.located(now, vec![destination]);
    let headers = fields.iter().map(|(name, value)| {
        (String::from_utf8_lossy(name).into_owned(), Bytes::copy_from_slice(value))
    });
    let headers = Headers::new(headers.collect());
    let response = Response { status: 423, flow, call_id: b"c".to_vec(), headers };
    // RFC 3261 §10.2.8, and then again: it does not go on for ever.
    for _ in 0..10 {
        while let Some(action) = registration.poll_action() {
            let Action::Send(request) = action else { continue };
            let expires = request.headers.iter().find(|(name, _)| name == "Expires");
            let expires = expires.map(|(_, seconds)| seconds.parse::<u64>().expect("seconds"));
            assert!(expires.is_none_or(|seconds| seconds <= MAX_EXPIRES.as_secs()));
        }
        registration.answered(now, &response);
    }
    assert!(!registration.is_registered() && registration.deadline().is_some());
}
