//! A property of whole calls: over a link that loses, doubles and reorders messages both ways, an honest caller and the
//! server agree, an INVITE is one call however often it comes, and nothing is left.

use bytes::Bytes;
use hushbox_sip::{Endpoint, Event, Input, Load, Output, Reason, Rejection, Session, Transport};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::{endpoint, flow, origin};

/// What the link does with one message: how late each of its copies comes. None: it is lost. Less than T1, since RFC
/// 3261 §17 takes T1 for the round trip: what comes later than 64*T1 is a new request to anybody.
type Fate = Vec<u16>;

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        5 => vec(0..400u16, 1..2),
        3 => Just(Vec::new()),
        2 => vec(0..400u16, 2..4),
    ]
}

/// What both sides mean to do, in milliseconds.
#[derive(Clone, Debug)]
struct Plan {
    /// How long the application thinks, and whether it then answers.
    thinks: u16,
    answers: bool,
    /// How long after the answer the application hangs up, if it does.
    server_hangs_up: Option<u16>,
    /// When the caller gives up, if it does before the answer.
    cancels: Option<u16>,
    /// How long after the answer the caller hangs up, if it does.
    caller_hangs_up: Option<u16>,
}

fn plan() -> impl Strategy<Value = Plan> {
    let at = || prop::option::of(0..40_000u16);
    (0..3000u16, any::<bool>(), at(), prop::option::of(0..4000u16), at()).prop_map(
        |(thinks, answers, server_hangs_up, cancels, caller_hangs_up)| Plan {
            thinks,
            answers,
            server_hangs_up,
            cancels,
            caller_hangs_up,
        },
    )
}

/// Something that happens at a time.
enum Next {
    ToServer(String),
    ToCaller(String),
    /// The application does what it means to.
    Judge(Session),
    HangUp(Session),
    /// The caller sends a request, and sends it again until it is answered or 64*T1 are over.
    Send {
        method: &'static str,
        again: Duration,
        until: Instant,
    },
}

struct World {
    endpoint: Endpoint,
    plan: Plan,
    fates: Vec<Fate>,
    sent: usize,
    now: Instant,
    queue: BTreeMap<(Instant, usize), Next>,
    queued: usize,
    calls: usize,
    ended: usize,
    /// Methods that the caller has answers to: provisional ones count for INVITE.
    answered: BTreeSet<&'static str>,
    /// The final responses to the INVITE, without repetitions.
    finals: BTreeSet<String>,
    tag: String,
}

const METHODS: [&str; 3] = ["INVITE", "CANCEL", "BYE"];

impl World {
    fn new(plan: Plan, fates: Vec<Fate>) -> Self {
        World {
            endpoint: endpoint(),
            plan,
            fates,
            sent: 0,
            now: origin(),
            queue: BTreeMap::new(),
            queued: 0,
            calls: 0,
            ended: 0,
            answered: BTreeSet::new(),
            finals: BTreeSet::new(),
            tag: String::new(),
        }
    }

    fn later(&mut self, after: Duration, next: Next) {
        self.queued += 1;
        self.queue.insert((self.now + after, self.queued), next);
    }

    fn later_millis(&mut self, after: u16, next: Next) {
        self.later(Duration::from_millis(u64::from(after)), next);
    }

    fn put_on_the_link(&mut self, text: &str, next: fn(String) -> Next) {
        let fate = self.fates[self.sent % self.fates.len()].clone();
        self.sent += 1;
        for delay in fate {
            self.later_millis(delay, next(text.to_owned()));
        }
    }

    fn request(&mut self, method: &'static str, branch: &str) {
        let cseq = if method == "BYE" { 2 } else { 1 };
        let tag = match self.tag.as_str() {
            "" => String::new(),
            tag => format!(";tag={tag}"),
        };
        let tag = if matches!(method, "INVITE" | "CANCEL") { String::new() } else { tag };
        let body = if method == "INVITE" { "v=0\r\n" } else { "" };
        let text = format!(
            "{method} sip:1001@vm.example.com SIP/2.0\r\n\
             Via: SIP/2.0/UDP 192.0.2.1:5070;branch=z9hG4bK{branch};rport\r\n\
             From: <sip:jane@pbx.example.com>;tag=f\r\nTo: <sip:1001@vm.example.com>{tag}\r\n\
             Call-ID: call\r\nCSeq: {cseq} {method}\r\nContact: <sip:jane@192.0.2.1:5070>\r\n\
             Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.put_on_the_link(&text, Next::ToServer);
    }

    /// The caller begins a transaction of its own.
    fn begin(&mut self, after: u16, method: &'static str) {
        let until = self.now + Duration::from_secs(32);
        self.later_millis(after, Next::Send { method, again: Duration::from_millis(500), until });
    }

    fn run(&mut self) {
        self.begin(0, "INVITE");
        let end = self.now + Duration::from_secs(300);
        loop {
            let deadline = self.drain();
            let next = self.queue.keys().next().map(|(at, _)| *at);
            let Some(at) = deadline.into_iter().chain(next).min().filter(|at| *at <= end) else {
                return;
            };
            self.now = at;
            if deadline == Some(at) {
                self.endpoint.handle_input(at, Input::Timeout);
            } else if let Some((_, next)) = self.queue.pop_first() {
                self.happen(next);
            }
        }
    }

    fn happen(&mut self, next: Next) {
        let now = self.now;
        match next {
            Next::ToServer(text) => {
                let (flow, bytes) = (flow(Transport::Udp), text.as_bytes());
                self.endpoint.handle_input(now, Input::Datagram { flow, bytes });
            }
            Next::ToCaller(text) => self.caller_hears(&text),
            Next::Judge(session) if self.plan.answers => {
                self.endpoint.answer(now, session, Bytes::from_static(b"v=0\r\n"));
                if let Some(after) = self.plan.server_hangs_up {
                    self.later_millis(after, Next::HangUp(session));
                }
            }
            Next::Judge(session) => self.endpoint.reject(now, session, Rejection::new(486)),
            Next::HangUp(session) => {
                self.endpoint.hang_up(now, session, Reason::normal_clearing());
            }
            Next::Send { method, again, until } => {
                // RFC 3261 §9.1: no CANCEL before a provisional response, nor after a final one.
                let too_late = method == "CANCEL"
                    && (!self.finals.is_empty() || !self.answered.contains("INVITE"));
                if self.answered.contains(method) || now >= until || too_late {
                    return;
                }
                self.request(method, if method == "BYE" { "bye" } else { "invite" });
                self.later(again, Next::Send { method, again: again * 2, until });
            }
        }
    }

    fn caller_hears(&mut self, text: &str) {
        let Some(status) = text.strip_prefix("SIP/2.0 ") else {
            // RFC 3261 §15.1.2: our BYE is answered, however often it comes.
            assert!(text.starts_with("BYE "), "nothing else is sent: {text}");
            let head = text.split_once("\r\n").map_or("", |(_, rest)| rest);
            return self.put_on_the_link(&format!("SIP/2.0 200 OK\r\n{head}"), Next::ToServer);
        };
        let status: u16 = status[..3].parse().expect("a status");
        let line =
            |name: &str| text.split("\r\n").find(|l| l.starts_with(name)).unwrap_or_default();
        let of = METHODS.into_iter().find(|m| line("CSeq: ").ends_with(m)).expect("one of ours");
        self.answered.insert(of);
        if of != "INVITE" {
            return;
        }
        if status == 100 {
            if let Some(after) = self.plan.cancels.take() {
                self.begin(after, "CANCEL");
            }
            return;
        }
        let is_first = self.finals.is_empty();
        self.finals.insert(text.to_owned());
        self.tag = line("To: ").rsplit_once(";tag=").expect("a tag").1.to_owned();
        self.request("ACK", if status < 300 { "ack" } else { "invite" });
        if let Some(after) = self.plan.caller_hangs_up.filter(|_| is_first && status < 300) {
            self.begin(after, "BYE");
        }
    }

    fn drain(&mut self) -> Option<Instant> {
        loop {
            match self.endpoint.poll_output() {
                Output::Transmit { bytes, .. } => {
                    let text = String::from_utf8_lossy(&bytes).into_owned();
                    self.put_on_the_link(&text, Next::ToCaller);
                }
                Output::Event(Event::Invite { session, .. }) => {
                    self.calls += 1;
                    let thinks = self.plan.thinks;
                    self.later_millis(thinks, Next::Judge(session));
                }
                Output::Event(Event::Terminated { .. }) => self.ended += 1,
                Output::Event(_) | Output::Disconnect { .. } | Output::Connect { .. } => {}
                Output::Timeout(at) => return at,
            }
        }
    }
}

proptest! {
    #[test]
    fn a_call_over_a_bad_link_is_one_call_and_leaves_nothing(
        plan in plan(),
        fates in vec(fate(), 1..40),
    ) {
        let hangs_up = plan.server_hangs_up.is_some() || plan.caller_hangs_up.is_some();
        let mut world = World::new(plan.clone(), fates.clone());
        world.run();
        prop_assert!(world.calls <= 1, "a second call");
        prop_assert!(world.finals.len() <= 1, "two different final responses");
        // An answered call that nobody ends goes on; so does one whose caller's BYE never arrived.
        let may_go_on = plan.answers && !(hangs_up && plan.server_hangs_up.is_some());
        if world.endpoint.load() != Load::default() {
            prop_assert!(may_go_on, "{:?}", world.endpoint.load());
            prop_assert_eq!(world.endpoint.load().transactions, 0);
            prop_assert_eq!(world.ended + 1, world.calls);
        } else {
            prop_assert_eq!(world.ended, world.calls);
        }
    }
}
