//! However a registrar answers: one request at a time, no storm, no panic, and an end when one is asked for.

#![expect(
    clippy::disallowed_methods,
    reason = "an origin for virtual time; nothing reads it again"
)]

use bytes::Bytes;
use hushbox_sip::registration::{Action, News, Registration, Settings};
use hushbox_sip::resolution::Target;
use hushbox_sip::{
    ConnectionId, Credentials, Destination, Flow, Headers, OwnedUri, Response, Transport,
    Undelivered,
};
use proptest::prelude::*;
use std::time::{Duration, Instant};

/// What happens next.
#[derive(Clone, Debug)]
enum Step {
    Answer { status: u16, fields: Vec<(usize, usize)>, connection: u64 },
    Unanswered,
    Lose(u64),
    Wait(u32),
    NowhereToGo,
}

const NAMES: [&str; 10] = [
    "WWW-Authenticate",
    "Proxy-Authenticate",
    "Contact",
    "Expires",
    "Min-Expires",
    "Retry-After",
    "Authentication-Info",
    "Require",
    "Flow-Timer",
    "X-Other",
];

const VALUES: [&str; 16] = [
    "Digest realm=\"a\", nonce=\"n\", algorithm=SHA-256, qop=\"auth\"",
    "Digest realm=\"b\", nonce=\"m\", algorithm=SHA-512-256, qop=\"auth\", stale=true",
    "Digest realm=\"c\", nonce=\"o\"",
    "<sip:5000@h>;expires=60",
    "<sip:5000@h>;expires=0, <sip:5000@i>;expires=7200",
    "*",
    "0",
    "1",
    "3600",
    "4294967295",
    "99999999999999999999",
    "outbound",
    "nextnonce=\"x\"",
    "\"",
    ",,;=",
    "",
];

fn step() -> impl Strategy<Value = Step> {
    let status =
        prop::sample::select(&[200_u16, 200, 401, 401, 407, 423, 403, 404, 500, 503, 302][..]);
    let fields = prop::collection::vec((0..NAMES.len(), 0..VALUES.len()), 0..5);
    prop_oneof![
        6 => (status, fields, 0..4_u64).prop_map(|(status, fields, connection)| Step::Answer {
            status, fields, connection }),
        1 => Just(Step::Unanswered),
        1 => (0..4_u64).prop_map(Step::Lose),
        3 => (0..400_u32).prop_map(Step::Wait),
        1 => (0..20_000_u32).prop_map(Step::Wait),
        1 => Just(Step::NowhereToGo),
    ]
}

struct Run {
    registration: Registration,
    now: Instant,
    leads_somewhere: bool,
    is_asking: bool,
    sent: Vec<Instant>,
    has_ended: bool,
}

impl Run {
    fn new() -> Self {
        let uri = |text| OwnedUri::parse(text).expect("a URI");
        let now = Instant::now();
        let settings = Settings {
            address_of_record: uri("sip:5000@pbx.example"),
            target: Target::of(&uri("sip:pbx.example")).expect("a target"),
            route: None,
            credentials: Credentials { username: "5000".to_owned(), password: "p".to_owned() },
            contact_user: "5000".to_owned(),
            expires: Duration::from_secs(600),
            keep_alive: Duration::from_secs(120),
            allow_md5: true,
            instance: "urn:uuid:1".to_owned(),
        };
        Run {
            registration: Registration::new(now, settings, [7; 32]),
            now,
            leads_somewhere: true,
            is_asking: false,
            sent: Vec::new(),
            has_ended: false,
        }
    }

    fn drain(&mut self) {
        while let Some(action) = self.registration.poll_action() {
            assert!(!self.has_ended, "nothing comes after the end: {action:?}");
            match action {
                Action::Locate(_) => {
                    let remote = "192.0.2.7:5061".parse().expect("an address");
                    let name = Some("pbx.example".to_owned());
                    let found = Destination::new(Transport::Tls, remote, name);
                    let found = if self.leads_somewhere { vec![found] } else { Vec::new() };
                    self.leads_somewhere = true;
                    self.registration.located(self.now, found);
                }
                Action::Send(_) => {
                    assert!(!self.is_asking, "RFC 3261 §10.2: one at a time");
                    self.is_asking = true;
                    self.sent.push(self.now);
                }
                Action::News(News::Ended) => self.has_ended = true,
                Action::News(_) | Action::KeepAlive { .. } | Action::LetGo(_) => {}
            }
        }
    }

    fn wait(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(at) = self.registration.deadline().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.registration.handle_timeout(self.now);
            self.drain();
            let next = self.registration.deadline();
            assert!(next.is_none_or(|next| next > self.now), "it asks for what has been");
        }
        self.now = until;
    }

    fn answer(&mut self, status: u16, fields: &[(usize, usize)], connection: u64) {
        if !std::mem::take(&mut self.is_asking) {
            return;
        }
        let field = |(name, value): &(usize, usize)| {
            (NAMES[*name].to_owned(), Bytes::from_static(VALUES[*value].as_bytes()))
        };
        let response = Response {
            status,
            flow: Flow {
                transport: Transport::Tls,
                local: "192.0.2.1:40000".parse().expect("an address"),
                remote: "192.0.2.7:5061".parse().expect("an address"),
                connection: Some(ConnectionId(connection)),
            },
            call_id: Vec::new(),
            headers: Headers::new(fields.iter().map(field).collect()),
        };
        self.registration.answered(self.now, &response);
        self.drain();
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Answer { status, fields, connection } => {
                self.answer(*status, fields, *connection);
            }
            Step::Unanswered => {
                if std::mem::take(&mut self.is_asking) {
                    self.registration.unanswered(self.now, Undelivered::Timeout);
                    self.drain();
                }
            }
            Step::Lose(connection) => {
                self.registration.connection_lost(self.now, ConnectionId(*connection));
                self.drain();
            }
            Step::Wait(secs) => self.wait(Duration::from_secs(u64::from(*secs))),
            Step::NowhereToGo => self.leads_somewhere = false,
        }
    }
}

proptest! {
    #[test]
    fn whatever_a_registrar_says_there_is_one_request_at_a_time_and_no_storm(
        steps in prop::collection::vec(step(), 0..80),
    ) {
        let mut run = Run::new();
        run.wait(Duration::ZERO);
        for step in &steps {
            run.take(step);
        }
        // The most that one try takes, thrice: the wait between two is 15 s at least, but for the
        // first after a connection that had held.
        let most = 27;
        for (at, since) in run.sent.iter().enumerate() {
            let after = run.sent[at..].iter().filter(|t| **t <= *since + Duration::from_secs(15));
            prop_assert!(after.count() <= most);
        }
        run.registration.stop();
        run.drain();
        for _ in 0..10 {
            run.answer(200, &[], 1);
            run.wait(Duration::from_secs(60));
        }
        prop_assert!(run.has_ended && run.registration.is_over());
        prop_assert_eq!(run.registration.deadline(), None);
    }

    #[test]
    fn no_challenge_breaks_the_one_who_answers(value in prop::collection::vec(any::<u8>(), 0..200)) {
        use hushbox_sip::{Algorithm, DigestClient};
        let credentials = Credentials { username: "u\"\\".to_owned(), password: "p".to_owned() };
        let mut client = DigestClient::new(credentials);
        let value = [b"Digest realm=\"r\", nonce=\"n\", ", value.as_slice()].concat();
        let headers = Headers::new(vec![("WWW-Authenticate".to_owned(), Bytes::from(value))]);
        let _ = client.challenged(&headers, &[Algorithm::Md5, Algorithm::Sha256]);
        for (_, value) in client.fields("REGISTER", "sip:h", [1; 16]) {
            prop_assert!(value.bytes().all(|b| b >= 0x20), "no line of its own");
        }
    }
}
