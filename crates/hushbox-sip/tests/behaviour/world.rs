//! An endpoint, a clock, and what came out of it when.

use bytes::Bytes;
use hushbox_sip::mwi::{MessageSummary, VoiceMessages};
use hushbox_sip::{
    Attempt, Config, ConnectionId, Destination, Elsewhere, EndReason, Endpoint, Event, Flow,
    HostPort, Input, Invite, Limits, Listener, Load, Outgoing, Output, Reason, Rejection,
    RequestId, Sending, Session, Subscribe, Subscription, Transport, Usage,
};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

pub(crate) const SDP: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\n";

/// Something that was sent, and when.
pub(crate) struct Sent {
    pub(crate) at: Duration,
    pub(crate) flow: Flow,
    pub(crate) text: String,
}

impl Sent {
    pub(crate) fn status(&self) -> u16 {
        let code = self.text.strip_prefix("SIP/2.0 ").and_then(|t| t.get(..3));
        code.and_then(|c| c.parse().ok()).unwrap_or(0)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers(name).into_iter().next()
    }

    pub(crate) fn headers(&self, name: &str) -> Vec<&str> {
        let head = self.text.split("\r\n\r\n").next().unwrap_or_default();
        let lines = head.split("\r\n").skip(1).filter_map(|line| line.split_once(": "));
        lines.filter(|(n, _)| *n == name).map(|(_, value)| value).collect()
    }

    pub(crate) fn body(&self) -> &str {
        self.text.split_once("\r\n\r\n").map(|(_, body)| body).unwrap_or_default()
    }

    pub(crate) fn to_tag(&self) -> String {
        let to = self.header("To").unwrap_or_default();
        to.rsplit_once(";tag=").map(|(_, tag)| tag.to_owned()).unwrap_or_default()
    }
}

pub(crate) struct World {
    pub(crate) endpoint: Endpoint,
    start: Instant,
    now: Instant,
    pub(crate) sent: Vec<Sent>,
    pub(crate) events: Vec<Event>,
    pub(crate) disconnected: Vec<Flow>,
    pub(crate) attempts: Vec<(Attempt, Destination)>,
}

pub(crate) fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

pub(crate) fn udp() -> Flow {
    Flow {
        transport: Transport::Udp,
        local: address("192.0.2.100:5060"),
        remote: address("192.0.2.1:5070"),
        connection: None,
    }
}

pub(crate) fn tls(connection: u64) -> Flow {
    Flow {
        transport: Transport::Tls,
        local: address("192.0.2.100:5061"),
        remote: address("192.0.2.1:40000"),
        connection: Some(ConnectionId(connection)),
    }
}

/// A connection that we opened.
pub(crate) fn opened(number: u64) -> Flow {
    Flow {
        transport: Transport::Tls,
        local: address("192.0.2.100:51234"),
        remote: address("192.0.2.7:5061"),
        connection: Some(ConnectionId(number)),
    }
}

#[expect(clippy::disallowed_methods, reason = "an origin for virtual time; nothing reads it again")]
fn origin() -> Instant {
    Instant::now()
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with_limits(Limits::default())
    }

    pub(crate) fn with_limits(limits: Limits) -> Self {
        let listener = |transport, local: &str| Listener {
            transport,
            local: address(local),
            advertised: HostPort::new("vm.example.com", Some(address(local).port()))
                .expect("a host"),
        };
        let listeners = vec![
            listener(Transport::Udp, "192.0.2.100:5060"),
            listener(Transport::Tls, "192.0.2.100:5061"),
        ];
        let config = Config { product: "Hushbox/0.1".to_owned(), listeners, limits };
        let start = origin();
        World {
            endpoint: Endpoint::new(config, [3; 32]),
            start,
            now: start,
            sent: Vec::new(),
            events: Vec::new(),
            disconnected: Vec::new(),
            attempts: Vec::new(),
        }
    }

    pub(crate) fn now(&self) -> Instant {
        self.now
    }

    pub(crate) fn receive(&mut self, flow: Flow, message: &str) {
        self.receive_bytes(flow, message.as_bytes());
    }

    pub(crate) fn receive_bytes(&mut self, flow: Flow, bytes: &[u8]) {
        let input = match flow.connection {
            None => Input::Datagram { flow, bytes },
            Some(_) => Input::StreamData { flow, bytes },
        };
        self.endpoint.handle_input(self.now, input);
        self.drain();
    }

    pub(crate) fn close(&mut self, flow: Flow) {
        self.endpoint.handle_input(self.now, Input::StreamClosed { flow });
        self.drain();
    }

    pub(crate) fn send(&mut self, outgoing: Outgoing) -> RequestId {
        let request = self.endpoint.send(self.now, outgoing);
        self.drain();
        request
    }

    pub(crate) fn reach(&mut self, usage: impl Into<Usage>, destinations: Vec<Destination>) {
        self.endpoint.connect_to(self.now, usage, destinations);
        self.drain();
    }

    /// The attempt that must be the only one since the last look comes to this.
    pub(crate) fn connect(&mut self, flow: Option<Flow>) -> Destination {
        assert_eq!(self.attempts.len(), 1, "{:?}", self.attempts);
        let (attempt, destination) = self.attempts.remove(0);
        self.endpoint.handle_input(
            self.now,
            match flow {
                Some(flow) => Input::Connected { attempt, flow },
                None => Input::Unconnected { attempt },
            },
        );
        self.drain();
        destination
    }

    pub(crate) fn keep_alive(&mut self, flow: Flow, every: Duration, answers: bool) {
        let connection = flow.connection.expect("a stream");
        self.endpoint.keep_alive(self.now, connection, every, answers);
        self.drain();
    }

    /// Lets time pass, stopping wherever the endpoint asked to be called.
    pub(crate) fn advance(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(at) = self.drain()
            && at <= until
        {
            assert!(at >= self.now, "a deadline in the past");
            self.now = at;
            self.endpoint.handle_input(at, Input::Timeout);
        }
        self.now = until;
        self.endpoint.handle_input(until, Input::Timeout);
        self.drain();
    }

    fn drain(&mut self) -> Option<Instant> {
        loop {
            match self.endpoint.poll_output() {
                Output::Transmit { flow, bytes } => self.sent.push(Sent {
                    at: self.now - self.start,
                    flow,
                    text: String::from_utf8_lossy(&bytes).into_owned(),
                }),
                Output::Disconnect { flow } => self.disconnected.push(flow),
                Output::Connect { attempt, destination } => {
                    self.attempts.push((attempt, destination));
                }
                Output::Event(event) => self.events.push(event),
                Output::Timeout(at) => return at,
            }
        }
    }

    /// What was sent since the last look.
    pub(crate) fn take_sent(&mut self) -> Vec<Sent> {
        std::mem::take(&mut self.sent)
    }

    /// The statuses sent since the last look.
    pub(crate) fn statuses(&mut self) -> Vec<u16> {
        self.take_sent().iter().map(Sent::status).collect()
    }

    pub(crate) fn only_sent(&mut self) -> Sent {
        let mut sent = self.take_sent();
        assert_eq!(sent.len(), 1, "one message");
        sent.remove(0)
    }

    /// The names of the events since the last look.
    pub(crate) fn event_names(&mut self) -> Vec<String> {
        std::mem::take(&mut self.events).iter().map(name).collect()
    }

    /// The INVITE event that must be the only event.
    pub(crate) fn invited(&mut self) -> (Session, Box<Invite>) {
        let mut events = std::mem::take(&mut self.events);
        assert_eq!(events.len(), 1, "{events:?}");
        match events.remove(0) {
            Event::Invite { session, invite } => (session, invite),
            other => panic!("{other:?}"),
        }
    }

    /// The SUBSCRIBE event that must be the only event.
    pub(crate) fn subscribed(&mut self) -> (RequestId, Box<Subscribe>) {
        let mut events = std::mem::take(&mut self.events);
        assert_eq!(events.len(), 1, "{events:?}");
        match events.remove(0) {
            Event::Subscribe { request, subscribe } => (request, subscribe),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn accept_subscribe(&mut self, request: RequestId, secs: u64) -> Subscription {
        let accepted = self.endpoint.accept_subscribe(self.now, request, Duration::from_secs(secs));
        self.drain();
        accepted.expect("accepted")
    }

    pub(crate) fn reject_subscribe(&mut self, request: RequestId, rejection: Rejection) {
        self.endpoint.reject_subscribe(self.now, request, rejection);
        self.drain();
    }

    pub(crate) fn notify(&mut self, subscription: Subscription, new: u32) -> Sending {
        let voice = VoiceMessages { new, ..VoiceMessages::default() };
        let body = MessageSummary::new(None, voice).to_bytes();
        let sending = self.endpoint.notify(self.now, subscription, &body);
        self.drain();
        sending
    }

    pub(crate) fn end_subscription(&mut self, subscription: Subscription, reason: EndReason) {
        self.endpoint.end_subscription(self.now, subscription, reason, None);
        self.drain();
    }

    pub(crate) fn reinvited(&mut self) -> (RequestId, Option<Bytes>) {
        let mut events = std::mem::take(&mut self.events);
        assert_eq!(events.len(), 1, "{events:?}");
        match events.remove(0) {
            Event::Reinvite { request, offer, .. } => (request, offer),
            other => panic!("{other:?}"),
        }
    }

    /// The request from elsewhere that must be the only event.
    pub(crate) fn asked_whose(&mut self) -> (RequestId, Box<Elsewhere>) {
        let mut events = std::mem::take(&mut self.events);
        assert_eq!(events.len(), 1, "{events:?}");
        match events.remove(0) {
            Event::Elsewhere { id, request, .. } => (id, request),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn admit(&mut self, id: RequestId) {
        self.endpoint.admit_elsewhere(self.now, id);
        self.drain();
    }

    pub(crate) fn refuse(&mut self, id: RequestId) {
        self.endpoint.refuse_elsewhere(self.now, id, &Rejection::new(481));
        self.drain();
    }

    pub(crate) fn answer(&mut self, session: Session) {
        self.endpoint.answer(self.now, session, Bytes::from_static(SDP.as_bytes()));
        self.drain();
    }

    pub(crate) fn reject(&mut self, session: Session, rejection: Rejection) {
        self.endpoint.reject(self.now, session, rejection);
        self.drain();
    }

    pub(crate) fn hang_up(&mut self, session: Session) {
        self.endpoint.hang_up(self.now, session, Reason::normal_clearing());
        self.drain();
    }

    /// Whether the answer was sent.
    pub(crate) fn answer_reinvite(&mut self, request: RequestId) -> bool {
        let sdp = Bytes::from_static(SDP.as_bytes());
        let sent = self.endpoint.answer_reinvite(self.now, request, sdp);
        self.drain();
        sent
    }

    pub(crate) fn reject_reinvite(&mut self, request: RequestId, rejection: Rejection) {
        self.endpoint.reject_reinvite(self.now, request, rejection);
        self.drain();
    }

    /// An answered call whose ACK has come: its session and our tag.
    pub(crate) fn established(&mut self, flow: Flow) -> (Session, String) {
        self.receive(flow, &invite(flow).text());
        let (session, _) = self.invited();
        self.answer(session);
        let tag = self.sent.last().expect("a 200").to_tag();
        self.receive(flow, &request(flow, "ACK", 1).tagged(&tag).branch("ack").text());
        assert_eq!(self.event_names(), ["Acknowledged"]);
        self.sent.clear();
        (session, tag)
    }

    #[track_caller]
    pub(crate) fn assert_empty(&self) {
        assert_eq!(self.endpoint.load(), Load::default());
    }
}

fn name(event: &Event) -> String {
    match event {
        Event::Acknowledged { answer: Some(_), .. } => "Acknowledged with answer".to_owned(),
        Event::Refreshed { answer: Some(_), .. } => "Refreshed with answer".to_owned(),
        Event::Failed { failure, .. } => format!("Failed {failure:?}"),
        Event::Notified { how, .. } => format!("Notified {how:?}"),
        Event::Unsubscribed { how, .. } => format!("Unsubscribed {how:?}"),
        other => format!("{other:?}").split('(').next().unwrap_or_default().to_owned(),
    }
}

pub(crate) fn seconds(sent: &[Sent]) -> Vec<f64> {
    sent.iter().map(|s| s.at.as_secs_f64()).collect()
}

/// A request of the caller's, by its parts.
#[derive(Clone)]
pub(crate) struct Request {
    method: String,
    uri: String,
    via: String,
    branch: String,
    from: String,
    to: String,
    call_id: String,
    cseq: u32,
    extra: String,
    body: String,
}

pub(crate) fn request(flow: Flow, method: &str, cseq: u32) -> Request {
    let transport = match flow.transport {
        Transport::Udp => "UDP",
        Transport::Tcp => "TCP",
        Transport::Tls => "TLS",
    };
    Request {
        method: method.to_owned(),
        uri: "sip:1001@vm.example.com".to_owned(),
        via: format!("SIP/2.0/{transport} {};rport", flow.remote),
        branch: format!("{method}{cseq}"),
        from: "\"Jane\" <sip:jane@pbx.example.com>;tag=from1".to_owned(),
        to: "<sip:1001@vm.example.com>".to_owned(),
        call_id: "call1@pbx.example.com".to_owned(),
        cseq,
        extra: format!("Contact: <sip:jane@{}>\r\n", flow.remote),
        body: String::new(),
    }
}

/// An INVITE with an offer.
pub(crate) fn invite(flow: Flow) -> Request {
    request(flow, "INVITE", 1).sdp()
}

impl Request {
    pub(crate) fn uri(mut self, uri: &str) -> Self {
        self.uri = uri.to_owned();
        self
    }

    pub(crate) fn via(mut self, via: &str) -> Self {
        self.via = via.to_owned();
        self
    }

    pub(crate) fn branch(mut self, branch: &str) -> Self {
        self.branch = branch.to_owned();
        self
    }

    pub(crate) fn from(mut self, from: &str) -> Self {
        self.from = from.to_owned();
        self
    }

    pub(crate) fn tagged(mut self, tag: &str) -> Self {
        self.to = format!("<sip:1001@vm.example.com>;tag={tag}");
        self
    }

    pub(crate) fn call_id(mut self, call_id: &str) -> Self {
        self.call_id = call_id.to_owned();
        self
    }

    pub(crate) fn contact(mut self, contact: &str) -> Self {
        self.extra = format!("Contact: {contact}\r\n");
        self
    }

    pub(crate) fn header(mut self, line: &str) -> Self {
        self.extra.push_str(line);
        self.extra.push_str("\r\n");
        self
    }

    pub(crate) fn sdp(self) -> Self {
        self.body("application/sdp", SDP)
    }

    pub(crate) fn body(mut self, content_type: &str, body: &str) -> Self {
        self = self.header(&format!("Content-Type: {content_type}"));
        self.body = body.to_owned();
        self
    }

    pub(crate) fn text(&self) -> String {
        let Request { method, uri, via, branch, from, to, call_id, cseq, extra, body } = self;
        let length = body.len();
        format!(
            "{method} {uri} SIP/2.0\r\nVia: {via};branch=z9hG4bK{branch}\r\nMax-Forwards: 70\r\n\
             From: {from}\r\nTo: {to}\r\nCall-ID: {call_id}\r\nCSeq: {cseq} {method}\r\n\
             {extra}Content-Length: {length}\r\n\r\n{body}"
        )
    }
}

/// A response of the caller's to one of our requests.
pub(crate) fn response(to: &Sent, status: u16) -> String {
    let mut text = format!("SIP/2.0 {status} X\r\n");
    for name in ["Via", "From", "To", "Call-ID", "CSeq"] {
        for value in to.headers(name) {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
    }
    text.push_str("Content-Length: 0\r\n\r\n");
    text
}

pub(crate) const SECOND: Duration = Duration::from_secs(1);
