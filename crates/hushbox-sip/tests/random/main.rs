//! Properties: whatever a peer sends, nothing panics, nothing is left behind, and no INVITE gets
//! two different final responses. A subscription is left until it expires, and no longer.

mod link;

use bytes::Bytes;
use hushbox_sip::{
    Attempt, Authorization, Config, ConnectionId, Destination, EndReason, Endpoint, Event, Flow,
    Framed, Framer, HostPort, Input, Limits, Listener, Load, Message, Output, OwnedUri, Reason,
    Rejection, RequestId, Sending, Session, Subscription, Transport, Usage,
};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

const INVITE: &str = "INVITE sip:1001@vm.example.com;user=phone SIP/2.0\r\n\
    Via: SIP/2.0/UDP 192.0.2.1:5070;rport;branch=z9hG4bKa, SIP/2.0/TLS [2001:db8::1]:5061\r\n\
    Max-Forwards: 70\r\n\
    f: \"Jane \\\"J\\\" Doe\" <sip:jane@pbx.example.com>;tag=from1\r\n\
    To: tel:+1-555-0100;phone-context=x\r\n\
    Call-ID: call1@pbx.example.com\r\nCSeq: 1 INVITE\r\n\
    Record-Route: <sip:p1.example.com;lr>,\r\n <sip:p2.example.com>\r\n\
    Contact: <sip:jane@192.0.2.1:5070;transport=udp>;q=0.5\r\n\
    Require: foo\r\nAccept: application/*, text/plain;q=0\r\n\
    Authorization: Digest username=\"u\", realm=\"r\", nonce=\"n\", uri=\"sip:x\", response=\"00\"\r\n\
    Content-Type: multipart/mixed;boundary=b1\r\n\
    Content-Length: 78\r\n\r\n\
    --b1\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n\r\n--b1\r\n\r\nother part..\r\n--b1--\r\n";

const TOKENS: [&str; 22] = [
    "\r\n",
    "\r",
    "\n",
    "\r\n ",
    "\0",
    "\"",
    "<",
    ">",
    ";",
    ",",
    ":",
    "%00",
    "%",
    "\\",
    "[",
    "]",
    "SIP/2.0",
    "é",
    "99999999999999999999",
    "--b1",
    "Content-Length: 5\r\n",
    "\r\n\r\n",
];

/// A message with pieces cut out and put in.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let edit = (any::<prop::sample::Index>(), 0..40usize, prop::sample::select(&TOKENS[..]));
    vec(edit, 0..6).prop_map(|edits| {
        let mut bytes = INVITE.as_bytes().to_vec();
        for (at, cut, token) in edits {
            let at = at.index(bytes.len().max(1)).min(bytes.len());
            let end = (at + cut % 8).min(bytes.len());
            bytes.splice(at..end, token.bytes());
        }
        bytes
    })
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn flow(transport: Transport) -> Flow {
    let connection = transport.is_reliable().then_some(ConnectionId(1));
    let local = address("192.0.2.100:5060");
    Flow { transport, local, remote: address("192.0.2.1:5070"), connection }
}

#[expect(clippy::disallowed_methods, reason = "an origin for virtual time; nothing reads it again")]
fn origin() -> Instant {
    Instant::now()
}

fn endpoint() -> Endpoint {
    let listener = Listener {
        transport: Transport::Udp,
        local: address("192.0.2.100:5060"),
        advertised: HostPort::new("vm.example.com", None).expect("a host"),
    };
    let product = "Hushbox/0".to_owned();
    let config = Config { product, listeners: vec![listener], limits: Limits::default() };
    Endpoint::new(config, [1; 32])
}

proptest! {
    #[test]
    fn parsing_never_panics(bytes in vec(any::<u8>(), 0..400)) {
        let _ = Message::parse(&bytes);
        let _ = Authorization::parse(&bytes);
        let _ = OwnedUri::parse(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn reading_a_mutated_message_never_panics(bytes in mutated()) {
        if let Ok(message) = Message::parse(&bytes) {
            let _ = message.classify_body();
            let _ = message.accepts_sdp();
            prop_assert!(message.record_route().count() <= bytes.len());
            let _ = (message.from().display(), message.to().uri().user());
            let text = message.to().uri().text();
            let owned = OwnedUri::parse(&String::from_utf8_lossy(text));
            prop_assert!(owned.is_ok(), "a URI that was parsed parses again");
        }
    }

    #[test]
    fn a_message_written_again_is_the_same_message(bytes in mutated()) {
        let Ok(message) = Message::parse(&bytes) else { return Ok(()) };
        let written = message.to_bytes();
        let again = Message::parse(&written);
        prop_assert!(again.is_ok(), "{:?} of {:?}", again, bytes);
        let again = again.expect("checked");
        prop_assert_eq!(again.start(), message.start());
        prop_assert_eq!(again.body(), message.body());
        prop_assert_eq!(again.via_count(), message.via_count());
        prop_assert_eq!(again.call_id(), message.call_id());
        prop_assert_eq!(again.to_bytes(), written);
    }

    #[test]
    fn what_is_answered_to_a_valid_message_is_valid(bytes in mutated()) {
        let now = origin();
        let is_valid = Message::parse(&bytes).is_ok();
        let mut endpoint = endpoint();
        endpoint.handle_input(now, Input::Datagram { flow: flow(Transport::Udp), bytes: &bytes });
        loop {
            match endpoint.poll_output() {
                Output::Transmit { bytes, .. } if is_valid => {
                    prop_assert!(Message::parse(&bytes).is_ok(), "{:?}", bytes);
                }
                Output::Event(Event::Invite { session, .. }) => {
                    endpoint.answer(now, session, Bytes::from_static(b"v=0\r\n"));
                }
                Output::Timeout(_) => break,
                _ => {}
            }
        }
    }

    #[test]
    fn framing_does_not_depend_on_segmentation(
        messages in vec(prop::sample::select(&["OPTIONS sip:a SIP/2.0\r\nl:3\r\n\r\nabc", "\r\n\r\n", "\r\n", "BYE sip:a SIP/2.0\r\nl: 0\r\n\r\n"][..]), 0..8),
        cuts in vec(1..50usize, 1..40),
        junk in mutated(),
    ) {
        let mut stream = messages.concat().into_bytes();
        stream.extend_from_slice(&junk);
        let whole = frame(&[&stream]);
        let mut pieces = Vec::new();
        let mut rest = stream.as_slice();
        for cut in cuts.iter().cycle() {
            let (piece, tail) = rest.split_at((*cut).min(rest.len()));
            pieces.push(piece);
            rest = tail;
            if rest.is_empty() { break; }
        }
        let cut = frame(&pieces);
        // How much of a broken head was seen may differ, what is wrong with it may not.
        let shown = |items: &[Framed]| items.iter().map(|i| format!("{i:?}")).collect::<Vec<_>>();
        prop_assert_eq!(shown(&whole), shown(&cut));
    }
}

fn frame(pieces: &[&[u8]]) -> Vec<Framed> {
    let mut framer = Framer::new();
    let mut items = Vec::new();
    for piece in pieces {
        framer.push(piece);
        while let Some(item) = framer.next_item() {
            items.push(item);
        }
    }
    items
}

/// Something that happens in a random run.
#[derive(Clone, Debug)]
enum Step {
    /// The caller sends a request: which, of which call, with which CSeq, by which branch.
    Send {
        method: &'static str,
        call: u8,
        cseq: u8,
        path: u8,
        knows_tag: bool,
        has_body: bool,
        timer: &'static str,
    },
    /// Something that was sent arrives again.
    Again(prop::sample::Index),
    /// The caller answers one of our requests, or answers it again.
    Respond(prop::sample::Index, u16),
    /// The last message that we sent does not arrive: what would follow from it does not come.
    Lose,
    Challenge(prop::sample::Index),
    Discard(prop::sample::Index),
    Answer(prop::sample::Index),
    Reject(prop::sample::Index),
    HangUp(prop::sample::Index),
    AnswerReinvite(prop::sample::Index),
    RejectReinvite(prop::sample::Index),
    AcceptSubscribe(prop::sample::Index, u8),
    RejectSubscribe(prop::sample::Index),
    Notify(prop::sample::Index),
    EndSubscription(prop::sample::Index),
    /// The process ends and another goes on with what was kept of the subscriptions.
    Restart,
    CloseStream,
    /// From here on the caller sends from another port or connection.
    Move,
    /// The application says whether a request from elsewhere is the caller's.
    Elsewhere(prop::sample::Index, bool),
    /// The application says whose the connection, or the session, is.
    Identify,
    Recognise(prop::sample::Index),
    /// The application says where a peer is.
    Reach(prop::sample::Index, bool),
    /// A connection that was asked for opens, or does not.
    Connect(bool),
    Wait(u16),
}

const TIMERS: [&str; 4] = [
    "",
    "Session-Expires: 90\r\nSupported: timer\r\n",
    "Session-Expires: 90;refresher=uas\r\nSupported: timer\r\nAllow: UPDATE\r\n",
    "Session-Expires: 90;refresher=uas\r\nSupported: timer\r\nAllow: INVITE\r\n",
];

/// Those that mean something to a refresh or a BYE, and any.
fn statuses() -> impl Strategy<Value = u16> {
    let known = &[100, 180, 200, 200, 200, 401, 408, 422, 481, 488, 491, 500, 501, 503][..];
    prop_oneof![3 => prop::sample::select(known), 1 => 100..700u16]
}

fn step() -> impl Strategy<Value = Step> {
    let index = any::<prop::sample::Index>;
    let methods = &[
        "INVITE",
        "INVITE",
        "INVITE",
        "ACK",
        "ACK",
        "CANCEL",
        "BYE",
        "OPTIONS",
        "UPDATE",
        "PRACK",
        "SUBSCRIBE",
        "SUBSCRIBE",
        "SUBSCRIBE",
        "NOTIFY",
    ][..];
    let timers = prop::sample::select(&TIMERS[..]);
    let methods = prop::sample::select(methods);
    let send = (methods, 0..2u8, 1..5u8, 0..2u8, any::<bool>(), any::<bool>(), timers);
    prop_oneof![
        8 => send.prop_map(|(method, call, cseq, path, knows_tag, has_body, timer)| Step::Send {
            method, call, cseq, path, knows_tag, has_body, timer }),
        2 => index().prop_map(Step::Again),
        2 => (index(), statuses()).prop_map(|(at, status)| Step::Respond(at, status)),
        1 => Just(Step::Lose),
        1 => index().prop_map(Step::Challenge),
        1 => index().prop_map(Step::Discard),
        3 => index().prop_map(Step::Answer),
        1 => index().prop_map(Step::Reject),
        1 => index().prop_map(Step::HangUp),
        2 => index().prop_map(Step::AnswerReinvite),
        1 => index().prop_map(Step::RejectReinvite),
        4 => (index(), 0..90u8).prop_map(|(at, secs)| Step::AcceptSubscribe(at, secs)),
        1 => index().prop_map(Step::RejectSubscribe),
        4 => index().prop_map(Step::Notify),
        1 => index().prop_map(Step::EndSubscription),
        1 => Just(Step::Restart),
        1 => Just(Step::CloseStream),
        1 => Just(Step::Move),
        2 => (index(), any::<bool>()).prop_map(|(at, its)| Step::Elsewhere(at, its)),
        1 => Just(Step::Identify),
        1 => index().prop_map(Step::Recognise),
        2 => (index(), any::<bool>()).prop_map(|(at, is_there)| Step::Reach(at, is_there)),
        2 => any::<bool>().prop_map(Step::Connect),
        3 => (0..3000u16).prop_map(Step::Wait),
        1 => (0..60_000u16).prop_map(Step::Wait),
    ]
}

struct Run {
    endpoint: Endpoint,
    flow: Flow,
    now: Instant,
    history: Vec<(Instant, Vec<u8>)>,
    tags: BTreeMap<String, String>,
    sessions: Vec<Session>,
    ended: Vec<Session>,
    changes: Vec<RequestId>,
    elsewhere: Vec<RequestId>,
    attempts: Vec<Attempt>,
    /// Connections that are open besides the one in use.
    left: Vec<Flow>,
    asked: Vec<RequestId>,
    subscriptions: Vec<Subscription>,
    unsubscribed: Vec<Subscription>,
    /// How many INVITEs a call has had by a path: each has a branch of its own.
    invites: BTreeMap<(u8, u8, u8), u32>,
    /// Ours, as far as they have arrived.
    requests: Vec<String>,
    finals: BTreeMap<String, Bytes>,
}

impl Run {
    fn new(transport: Transport) -> Self {
        Run {
            endpoint: endpoint(),
            flow: flow(transport),
            now: origin(),
            history: Vec::new(),
            tags: BTreeMap::new(),
            sessions: Vec::new(),
            ended: Vec::new(),
            changes: Vec::new(),
            elsewhere: Vec::new(),
            attempts: Vec::new(),
            left: Vec::new(),
            asked: Vec::new(),
            subscriptions: Vec::new(),
            unsubscribed: Vec::new(),
            invites: BTreeMap::new(),
            requests: Vec::new(),
            finals: BTreeMap::new(),
        }
    }

    fn input(&mut self, bytes: &[u8]) {
        let flow = self.flow;
        let input = match flow.connection {
            None => Input::Datagram { flow, bytes },
            Some(_) => Input::StreamData { flow, bytes },
        };
        self.endpoint.handle_input(self.now, input);
    }

    fn advance(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(at) = self.drain().filter(|at| *at <= until) {
            self.now = at;
            self.endpoint.handle_input(at, Input::Timeout);
        }
        self.now = until;
    }

    fn drain(&mut self) -> Option<Instant> {
        loop {
            match self.endpoint.poll_output() {
                Output::Transmit { bytes, .. } => self.look_at(&bytes),
                Output::Event(event) => self.note(&event),
                Output::Disconnect { .. } => {}
                Output::Connect { attempt, .. } => self.attempts.push(attempt),
                Output::Timeout(at) => return at,
            }
        }
    }

    fn look_at(&mut self, bytes: &Bytes) {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let line = |name: &str| {
            let found = text.split("\r\n").find(|l| l.starts_with(name)).unwrap_or_default();
            found.to_owned()
        };
        if !text.starts_with("SIP/2.0 ") {
            self.requests.push(text);
            return;
        }
        let status: u16 = text[8..11].parse().expect("a status");
        if let Some((_, tag)) = line("To: ").rsplit_once(";tag=") {
            self.tags.insert(line("Call-ID: "), tag.to_owned());
        }
        if status >= 200 && line("CSeq: ").ends_with("INVITE") {
            let key = format!("{} {}", line("Via: "), line("CSeq: "));
            let before = self.finals.entry(key).or_insert_with(|| bytes.clone());
            assert_eq!(before, bytes, "two different final responses");
        }
    }

    fn note(&mut self, event: &Event) {
        match event {
            Event::Invite { session, .. } => self.sessions.push(*session),
            Event::Reinvite { request, .. } => self.changes.push(*request),
            Event::Elsewhere { id, .. } => self.elsewhere.push(*id),
            Event::Terminated { session } => {
                assert!(!self.ended.contains(session), "a session ends once");
                self.ended.push(*session);
            }
            Event::Subscribe { request, .. } => self.asked.push(*request),
            Event::Unsubscribed { subscription, .. } => {
                assert!(!self.unsubscribed.contains(subscription), "a subscription ends once");
                self.unsubscribed.push(*subscription);
            }
            Event::Notified { subscription, .. }
            | Event::SubscriptionEnding { subscription }
            | Event::Reached { usage: Usage::Subscription(subscription), .. } => {
                assert!(!self.unsubscribed.contains(subscription), "nothing comes after the end");
            }
            Event::Cancelled { session, .. }
            | Event::Acknowledged { session, .. }
            | Event::Refreshed { session, .. }
            | Event::Bye { session, .. }
            | Event::NoWay { session }
            | Event::Reached { usage: Usage::Session(session), .. }
            | Event::Failed { session, .. } => {
                assert!(!self.ended.contains(session), "nothing comes after the end");
            }
            Event::Answered { .. } | Event::Unanswered { .. } => panic!("nothing was asked"),
        }
    }

    fn take(&mut self, step: &Step) {
        let now = self.now;
        let sdp = Bytes::from_static(b"v=0\r\n");
        let session = |run: &Run, at: &prop::sample::Index| {
            (!run.sessions.is_empty()).then(|| *at.get(&run.sessions))
        };
        let change = |run: &Run, at: &prop::sample::Index| {
            (!run.changes.is_empty()).then(|| *at.get(&run.changes))
        };
        match step {
            Step::Send { .. } => {
                let bytes = self.message(step).into_bytes();
                self.input(&bytes);
                self.history.push((now, bytes));
            }
            Step::Again(at) => {
                // A message lives T4 in the network.
                let young = |sent: &&(Instant, Vec<u8>)| now - sent.0 < Duration::from_secs(5);
                let recent: Vec<_> = self.history.iter().filter(young).cloned().collect();
                if !recent.is_empty() && !self.flow.transport.is_reliable() {
                    let (_, bytes) = at.get(&recent);
                    self.input(bytes);
                }
            }
            Step::Lose => {
                let _lost = self.requests.pop();
            }
            Step::Challenge(at) => {
                if let Some(session) = session(self, at) {
                    self.endpoint.challenge(now, session, Vec::new());
                }
            }
            Step::Discard(at) => {
                if let Some(session) = session(self, at) {
                    self.endpoint.discard(now, session);
                }
            }
            Step::Respond(at, status) => {
                if !self.requests.is_empty() {
                    let request = at.get(&self.requests).clone();
                    let head = request.split_once("\r\n").map_or("", |(_, rest)| rest);
                    self.input(format!("SIP/2.0 {status} X\r\n{head}").as_bytes());
                }
            }
            Step::Answer(at) => {
                if let Some(session) = session(self, at) {
                    self.endpoint.answer(now, session, sdp);
                }
            }
            Step::Reject(at) => {
                if let Some(session) = session(self, at) {
                    self.endpoint.reject(now, session, Rejection::new(404));
                }
            }
            Step::HangUp(at) => {
                if let Some(session) = session(self, at) {
                    self.endpoint.hang_up(now, session, Reason::normal_clearing());
                }
            }
            Step::AnswerReinvite(at) => {
                if let Some(request) = change(self, at) {
                    self.endpoint.answer_reinvite(now, request, sdp);
                }
            }
            Step::RejectReinvite(at) => {
                if let Some(request) = change(self, at) {
                    self.endpoint.reject_reinvite(now, request, Rejection::new(488));
                }
            }
            Step::AcceptSubscribe(at, secs) => {
                if !self.asked.is_empty() {
                    let expires = Duration::from_secs(u64::from(*secs));
                    let request = *at.get(&self.asked);
                    let accepted = self.endpoint.accept_subscribe(now, request, expires);
                    self.subscriptions.extend(accepted);
                }
            }
            Step::RejectSubscribe(at) => {
                if !self.asked.is_empty() {
                    let request = *at.get(&self.asked);
                    self.endpoint.reject_subscribe(now, request, Rejection::new(403));
                }
            }
            Step::Notify(at) => {
                if !self.subscriptions.is_empty() {
                    let body = Bytes::from_static(b"Messages-Waiting: no\r\n");
                    let subscription = *at.get(&self.subscriptions);
                    let sending = self.endpoint.notify(now, subscription, &body);
                    let is_over = self.unsubscribed.contains(&subscription);
                    assert!(!is_over || sending == Sending::Gone);
                }
            }
            Step::EndSubscription(at) => {
                if !self.subscriptions.is_empty() {
                    let subscription = *at.get(&self.subscriptions);
                    self.endpoint.end_subscription(now, subscription, EndReason::Rejected, None);
                }
            }
            Step::Restart => self.restart(),
            Step::CloseStream => {
                let flow = self.flow;
                if let Some(ConnectionId(id)) = flow.connection {
                    self.endpoint.handle_input(now, Input::StreamClosed { flow });
                    self.flow.connection = Some(ConnectionId(id + 1));
                }
            }
            Step::Move => match &mut self.flow.connection {
                Some(ConnectionId(id)) => {
                    *id += 1;
                    self.left.push(Flow { connection: Some(ConnectionId(*id - 1)), ..self.flow });
                }
                None => self.flow.remote.set_port(self.flow.remote.port() ^ 1),
            },
            Step::Elsewhere(at, its) => {
                let id = (!self.elsewhere.is_empty()).then(|| *at.get(&self.elsewhere));
                match id {
                    Some(id) if *its => self.endpoint.admit_elsewhere(now, id),
                    Some(id) => self.endpoint.refuse_elsewhere(now, id, &Rejection::new(481)),
                    None => {}
                }
            }
            Step::Identify => {
                if let Some(connection) = self.flow.connection {
                    self.endpoint.identify(connection, 1);
                }
            }
            Step::Recognise(at) => {
                if let Some(session) = session(self, at) {
                    self.endpoint.recognise(session, 1);
                }
            }
            Step::Reach(at, is_there) => {
                if let Some(session) = session(self, at) {
                    let remote = address("192.0.2.1:5061");
                    let there = Destination::new(Transport::Tls, remote, None);
                    let destinations = if *is_there { vec![there] } else { Vec::new() };
                    self.endpoint.connect_to(now, session, destinations);
                }
            }
            Step::Connect(opens) => {
                let Some(attempt) = self.attempts.pop() else { return };
                let connection = ConnectionId(1000 + attempt.0);
                let flow = Flow { connection: Some(connection), ..flow(Transport::Tls) };
                if *opens {
                    self.left.push(flow);
                    self.endpoint.identify(connection, 1);
                    self.endpoint.handle_input(now, Input::Connected { attempt, flow });
                } else {
                    self.endpoint.handle_input(now, Input::Unconnected { attempt });
                }
            }
            Step::Wait(millis) => self.advance(Duration::from_millis(u64::from(*millis))),
        }
        self.drain();
    }

    fn restart(&mut self) {
        let mut kept: Vec<_> =
            self.subscriptions.iter().filter_map(|s| self.endpoint.keep(*s)).collect();
        // One may stand there twice: it was refreshed.
        kept.dedup();
        let (flow, history) = (self.flow, std::mem::take(&mut self.history));
        let (tags, now) = (std::mem::take(&mut self.tags), self.now);
        *self = Run { flow, history, tags, now, ..Run::new(flow.transport) };
        for kept in kept {
            self.subscriptions.extend(self.endpoint.restore(kept));
        }
    }

    fn message(&mut self, step: &Step) -> String {
        let Step::Send { method, call, cseq, path, knows_tag, has_body, timer } = step else {
            return String::new();
        };
        let tag = self.tags.get(&format!("Call-ID: call{call}")).filter(|_| *knows_tag);
        let tag = tag.map_or(String::new(), |t| format!(";tag={t}"));
        // ACK of a refusal and CANCEL have the branch of their INVITE.
        let invites = self.invites.entry((*call, *cseq, *path)).or_default();
        *invites += u32::from(*method == "INVITE");
        let branch = format!("z9hG4bK{call}-{cseq}-{path}-{invites}");
        let transport = if self.flow.transport.is_reliable() { "TLS" } else { "UDP" };
        let body = if *has_body { "v=0\r\n" } else { "" };
        let length = body.len();
        let event = match *method {
            "SUBSCRIBE" => "Event: message-summary\r\n",
            _ => "",
        };
        format!(
            "{method} sip:1001@vm.example.com SIP/2.0\r\n\
             Via: SIP/2.0/{transport} 192.0.2.1:5070;branch={branch};rport\r\n\
             From: <sip:jane@pbx.example.com>;tag=f{call}\r\n\
             To: <sip:1001@vm.example.com>{tag}\r\nCall-ID: call{call}\r\n\
             CSeq: {cseq} {method}\r\n{timer}{event}Contact: <sip:jane@192.0.2.1>\r\n\
             Content-Type: application/sdp\r\nContent-Length: {length}\r\n\r\n{body}"
        )
    }
}

proptest! {
    #[test]
    fn no_sequence_leaves_anything_behind_or_answers_an_invite_twice(
        is_stream in any::<bool>(),
        steps in vec(step(), 1..60),
    ) {
        let transport = if is_stream { Transport::Tls } else { Transport::Udp };
        let mut run = Run::new(transport);
        for step in &steps {
            run.take(step);
        }
        // The application lets go of everything; 64*T1 for a missing ACK and 64*T1 for a missing
        // answer to our BYE later nothing may be left.
        for session in run.sessions.clone() {
            run.endpoint.hang_up(run.now, session, Reason::normal_clearing());
        }
        for id in run.elsewhere.clone() {
            run.endpoint.discard_elsewhere(id);
        }
        run.advance(Duration::from_secs(65));
        for flow in run.left.iter().copied().chain([run.flow]) {
            run.endpoint.handle_input(run.now, Input::StreamClosed { flow });
        }
        // The longest subscription, its last state, and 64*T1 for the answer to that.
        run.advance(Duration::from_secs(90 + 10 + 33));
        prop_assert_eq!(run.endpoint.load(), Load::default());
        prop_assert_eq!(run.drain(), None, "no deadline is left");
        prop_assert_eq!(run.ended.len(), run.sessions.len());
        run.subscriptions.sort_unstable();
        run.subscriptions.dedup();
        prop_assert_eq!(run.unsubscribed.len(), run.subscriptions.len());
    }
}
