//! A registrar written as answers, and a registration in virtual time.

use super::*;
use crate::invite::Headers;
use bytes::Bytes;

const INSTANCE: &str = "urn:uuid:00000000-0000-4000-8000-000000000001";
const SECOND: Duration = Duration::from_secs(1);
const SHA: &str = "Digest realm=\"pbx\", nonce=\"n1\", algorithm=SHA-256, qop=\"auth\"";
const MD5: &str = "Digest realm=\"pbx\", nonce=\"n1\", algorithm=MD5, qop=\"auth\"";

struct World {
    now: Instant,
    registration: Registration,
    sent: Vec<Outgoing>,
    located: usize,
    news: Vec<News>,
    kept: Vec<(ConnectionId, Duration, bool)>,
    let_go: Vec<ConnectionId>,
    destinations: Vec<Destination>,
    transport: Transport,
}

#[expect(clippy::disallowed_methods, reason = "an origin for virtual time; nothing reads it again")]
fn origin() -> Instant {
    Instant::now()
}

fn settings() -> Settings {
    let uri = |text| OwnedUri::parse(text).expect("a URI");
    Settings {
        address_of_record: uri("sip:voicemail@clinic.example"),
        target: Target::of(&uri("sip:pbx.clinic.example;transport=tls")).expect("a target"),
        route: None,
        credentials: Credentials {
            username: "voicemail".to_owned(),
            password: "open sesame".to_owned(),
        },
        contact_user: "voicemail".to_owned(),
        expires: 600 * SECOND,
        keep_alive: 120 * SECOND,
        allow_md5: false,
        instance: INSTANCE.to_owned(),
    }
}

impl World {
    fn new(settings: Settings) -> Self {
        let now = origin();
        let mut world = World {
            now,
            registration: Registration::new(now, settings, [6; 32]),
            sent: Vec::new(),
            located: 0,
            news: Vec::new(),
            kept: Vec::new(),
            let_go: Vec::new(),
            destinations: ["192.0.2.7:5061", "192.0.2.8:5061"]
                .map(|remote| {
                    let name = Some("pbx.clinic.example".to_owned());
                    Destination::new(Transport::Tls, remote.parse().expect("an address"), name)
                })
                .to_vec(),
            transport: Transport::Tls,
        };
        world.advance(Duration::ZERO);
        world
    }

    fn drain(&mut self) {
        while let Some(action) = self.registration.poll_action() {
            match action {
                Action::Locate(_) => {
                    self.located += 1;
                    self.registration.located(self.now, self.destinations.clone());
                }
                Action::Send(outgoing) => self.sent.push(*outgoing),
                Action::KeepAlive { connection, every, answers } => {
                    self.kept.push((connection, every, answers));
                }
                Action::LetGo(connection) => self.let_go.push(connection),
                Action::News(news) => self.news.push(news),
            }
        }
    }

    fn advance(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(at) = self.registration.deadline().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.registration.handle_timeout(self.now);
            self.drain();
        }
        self.now = until;
    }

    fn only_sent(&mut self) -> Outgoing {
        assert_eq!(self.sent.len(), 1, "one request");
        self.sent.remove(0)
    }

    fn flow(&self, connection: u64) -> Flow {
        let remote = if connection < 10 { "192.0.2.7:5061" } else { "192.0.2.8:5061" };
        Flow {
            transport: self.transport,
            local: "192.0.2.100:40000".parse().expect("an address"),
            remote: remote.parse().expect("an address"),
            connection: Some(ConnectionId(connection)),
        }
    }

    fn answer_by(&mut self, connection: u64, status: u16, fields: &[(&str, &str)]) {
        let owned = |(name, value): &(&str, &str)| {
            ((*name).to_owned(), Bytes::copy_from_slice(value.as_bytes()))
        };
        let response = Response {
            status,
            flow: self.flow(connection),
            call_id: Vec::new(),
            headers: Headers::new(fields.iter().map(owned).collect()),
        };
        self.registration.answered(self.now, &response);
        self.drain();
    }

    fn answer(&mut self, status: u16, fields: &[(&str, &str)]) {
        self.answer_by(1, status, fields);
    }

    fn unanswered(&mut self) {
        self.registration.unanswered(self.now, Undelivered::Timeout);
        self.drain();
    }

    fn lose(&mut self, connection: u64) {
        self.registration.connection_lost(self.now, ConnectionId(connection));
        self.drain();
    }

    fn stop(&mut self) {
        self.registration.stop();
        self.drain();
    }

    /// Registered, with nothing left to look at.
    fn registered(settings: Settings) -> Self {
        let mut world = World::new(settings);
        world.only_sent();
        world.answer(401, &[("WWW-Authenticate", SHA)]);
        world.only_sent();
        world.answer(200, &[("Contact", "<sip:voicemail@h>;expires=600")]);
        assert!(world.registration.is_registered());
        world.news.clear();
        world
    }

    /// How long until the next request.
    fn waits(&mut self) -> Duration {
        let from = self.now;
        while self.sent.is_empty() {
            let at = self.registration.deadline().expect("it tries again");
            self.advance(at - self.now);
        }
        self.now - from
    }
}

fn header<'a>(outgoing: &'a Outgoing, name: &str) -> Option<&'a str> {
    outgoing.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
}

#[test]
fn a_registration_is_asked_for_answered_for_and_refreshed_before_it_ends() {
    let mut world = World::new(settings());
    let first = world.only_sent();
    assert_eq!((first.method, first.cseq), ("REGISTER", Some(1)));
    assert_eq!(first.request_uri, b"sip:clinic.example");
    assert_eq!(first.to, b"<sip:voicemail@clinic.example>");
    assert_eq!(header(&first, "Expires"), Some("600"));
    assert_eq!(header(&first, "Authorization"), None, "not before it is asked");
    let contact = first.contact.as_ref().expect("a Contact");
    assert_eq!(contact.user, "voicemail");
    assert_eq!(contact.params, format!(";expires=600;+sip.instance=\"<{INSTANCE}>\";reg-id=1"));
    world.answer(401, &[("WWW-Authenticate", SHA)]);
    let second = world.only_sent();
    assert_eq!((second.cseq, &second.call_id), (Some(2), &first.call_id), "RFC 3261 §10.2.4");
    assert!(header(&second, "Authorization").is_some_and(|a| a.contains("nc=00000001")));
    assert!(!world.registration.is_registered());
    world.answer(200, &[("Contact", "<sip:voicemail@h>;expires=300")]);
    let expires = 300 * SECOND;
    assert_eq!(world.news, [News::Registered { expires, is_weak: false }]);
    assert_eq!(world.kept, [(ConnectionId(1), 120 * SECOND, false)]);
    let wait = world.waits();
    assert!(wait >= 200 * SECOND && wait <= 234 * SECOND, "{wait:?}");
    assert_eq!(world.located, 2, "the DNS may say something else by now");
    let refresh = world.only_sent();
    let authorization = header(&refresh, "Authorization");
    assert!(authorization.is_some_and(|a| a.contains("nc=00000002")), "without being asked");
    world.answer(200, &[("Contact", "<sip:voicemail@h>;expires=300")]);
    assert_eq!(world.news.len(), 1, "a refresh is no news");
}

#[test]
fn a_stale_nonce_is_replaced_and_a_wrong_password_is_not_tried_again_soon() {
    let mut world = World::registered(settings());
    world.waits();
    world.only_sent();
    let stale = format!("{SHA}, stale=true").replace("n1", "n2");
    world.answer(401, &[("WWW-Authenticate", &stale)]);
    let again = world.only_sent();
    assert!(header(&again, "Authorization").is_some_and(|a| a.contains("nonce=\"n2\"")));
    world.answer(401, &[("WWW-Authenticate", SHA)]);
    assert!(world.sent.is_empty());
    let failure = Failure::Challenge(Unanswerable::Wrong);
    let [News::Failed { failure: of, again_in }] = world.news[..] else {
        panic!("{:?}", world.news)
    };
    assert!(of == failure && failure.needs_a_person());
    assert!(again_in >= 150 * SECOND, "no account there is locked by us: {again_in:?}");
    assert!(world.registration.is_registered(), "what we have lasts to its end");
}

#[test]
fn a_second_plain_challenge_ends_the_try() {
    let mut world = World::new(settings());
    world.only_sent();
    world.answer(401, &[("WWW-Authenticate", SHA)]);
    world.only_sent();
    world.answer(401, &[("WWW-Authenticate", SHA)]);
    assert!(world.sent.is_empty());
    let wait = world.waits();
    assert!(wait >= 150 * SECOND, "{wait:?}");
}

#[test]
fn md5_is_answered_over_tls_where_it_is_allowed_and_nowhere_else() {
    let mut may = settings();
    may.allow_md5 = true;
    for (settings, transport, is_answered) in [
        (settings(), Transport::Tls, false),
        (may.clone(), Transport::Tcp, false),
        (may.clone(), Transport::Udp, false),
        (may, Transport::Tls, true),
    ] {
        let mut world = World::new(settings);
        world.transport = transport;
        world.only_sent();
        world.answer(401, &[("WWW-Authenticate", MD5)]);
        assert_eq!(world.sent.len(), usize::from(is_answered), "{transport:?}");
        if is_answered {
            world.sent.clear();
            world.answer(200, &[]);
            assert!(matches!(world.news[..], [News::Registered { is_weak: true, .. }]));
        } else {
            let weak = Failure::Challenge(Unanswerable::TooWeak);
            assert!(matches!(world.news[..], [News::Failed { failure, .. }] if failure == weak));
        }
    }
}

#[test]
fn an_interval_that_is_too_brief_is_lengthened_at_once() {
    let mut world = World::new(settings());
    world.only_sent();
    world.answer(423, &[("Min-Expires", "1800")]);
    let again = world.only_sent();
    assert_eq!(header(&again, "Expires"), Some("1800"));
    world.answer(423, &[("Min-Expires", "1800")]);
    assert!(world.sent.is_empty(), "the same again helps nobody");
    assert!(matches!(world.news[..], [News::Failed { failure: Failure::Refused(423), .. }]));
}

#[test]
fn failures_are_followed_by_longer_and_longer_waits() {
    let mut world = World::new(settings());
    let mut waits = Vec::new();
    for _ in 0..12 {
        world.only_sent();
        world.unanswered();
        waits.push(world.waits());
    }
    for (number, wait) in waits.iter().enumerate() {
        let upper = (30 * SECOND * (1 << number.min(16))).min(1_800 * SECOND);
        assert!(*wait >= upper / 2 && *wait <= upper, "{number}: {wait:?}");
    }
    world.only_sent();
    world.answer(503, &[("Retry-After", "2500")]);
    assert!(world.waits() >= 2_500 * SECOND);
    world.only_sent();
    world.answer(200, &[]);
    world.waits();
    world.only_sent();
    world.answer(200, &[]);
    assert!(world.registration.is_registered());
    world.waits();
    world.only_sent();
    world.unanswered();
    assert!(world.waits() <= 30 * SECOND, "it has worked for a while");
}

#[test]
fn a_registration_that_cannot_be_refreshed_runs_out() {
    let mut world = World::registered(settings());
    world.advance(600 * SECOND);
    // The refresh was never answered: the endpoint says so after its own time.
    assert_eq!(world.news, [News::Lost]);
    assert!(!world.registration.is_registered());
    assert_eq!(world.let_go, [ConnectionId(1)]);
}

#[test]
fn a_broken_connection_is_replaced_soon_and_one_that_keeps_breaking_is_not() {
    let mut world = World::registered(settings());
    world.lose(99);
    assert!(world.news.is_empty(), "somebody else's");
    world.advance(130 * SECOND);
    world.lose(1);
    assert_eq!(world.news, [News::Lost]);
    assert!(world.waits() <= 5 * SECOND);
    let mut longest = Duration::ZERO;
    for connection in 2..8 {
        world.only_sent();
        world.answer_by(connection, 200, &[]);
        world.lose(connection);
        longest = world.waits();
    }
    assert!(longest >= 400 * SECOND, "no storm: {longest:?}");
}

#[test]
fn the_registrar_that_answered_is_asked_first_and_the_old_connection_let_go() {
    let mut world = World::new(settings());
    world.only_sent();
    // The first one was unavailable; the second asks for credentials.
    world.answer_by(11, 401, &[("WWW-Authenticate", SHA)]);
    let second = world.only_sent();
    assert_eq!(second.destinations[0].remote, "192.0.2.8:5061".parse().unwrap());
    assert_eq!(second.destinations.len(), 2, "the other one is not forgotten");
    world.answer_by(11, 200, &[]);
    world.waits();
    let refresh = world.only_sent();
    assert_eq!(refresh.destinations[0].remote, "192.0.2.8:5061".parse().unwrap());
    world.answer_by(2, 200, &[]);
    assert_eq!(world.let_go, [ConnectionId(11)]);
    assert_eq!(world.registration.connection(), Some(ConnectionId(2)));
}

#[test]
fn a_name_that_leads_nowhere_is_looked_up_again_later() {
    let mut world = World::new(settings());
    world.only_sent();
    world.unanswered();
    world.destinations.clear();
    let failure = Failure::Unresolved;
    world.advance(30 * SECOND);
    assert!(matches!(world.news[..], [_, News::Failed { failure: of, .. }] if of == failure));
    assert!(world.sent.is_empty());
}

#[test]
fn a_look_up_that_is_never_answered_is_given_up() {
    let now = origin();
    let mut registration = Registration::new(now, settings(), [6; 32]);
    registration.handle_timeout(now);
    assert!(matches!(registration.poll_action(), Some(Action::Locate(_))));
    let later = now + limits::LOCATE_TIMEOUT;
    assert_eq!(registration.deadline(), Some(later));
    registration.handle_timeout(later);
    assert!(matches!(registration.poll_action(), Some(Action::News(News::Failed { .. }))));
}

#[test]
fn a_200_that_binds_others_only_is_a_failure() {
    let mut world = World::new(settings());
    world.only_sent();
    world.answer(200, &[("Contact", "<sip:9@h>;expires=600")]);
    assert!(!world.registration.is_registered());
    assert!(matches!(world.news[..], [News::Failed { failure: Failure::NotBound, .. }]));
}

#[test]
fn a_registrar_that_knows_of_flows_is_expected_to_answer_and_says_how_often() {
    let mut world = World::new(settings());
    world.only_sent();
    world.answer(200, &[("Require", "outbound"), ("Flow-Timer", "30")]);
    assert_eq!(world.kept, [(ConnectionId(1), 30 * SECOND, true)]);
}

#[test]
fn at_the_end_the_registration_is_given_back() {
    let mut world = World::registered(settings());
    world.stop();
    let last = world.only_sent();
    assert_eq!(header(&last, "Expires"), Some("0"));
    assert!(last.contact.is_some_and(|c| c.params.starts_with(";expires=0")));
    let stale = format!("{SHA}, stale=true");
    world.answer(401, &[("WWW-Authenticate", &stale)]);
    let again = world.only_sent();
    assert_eq!(header(&again, "Expires"), Some("0"));
    assert!(!world.registration.is_over());
    world.answer(200, &[]);
    assert!(world.registration.is_over());
    assert_eq!(world.news, [News::Ended]);
    assert_eq!(world.let_go, [ConnectionId(1)]);
    assert_eq!(world.registration.deadline(), None);
}

#[test]
fn what_is_under_way_at_the_end_is_waited_for_and_then_given_back() {
    let mut world = World::new(settings());
    world.only_sent();
    world.stop();
    assert!(world.sent.is_empty(), "RFC 3261 §10.2: one at a time");
    world.answer(200, &[]);
    assert_eq!(header(&world.only_sent(), "Expires"), Some("0"));
    world.unanswered();
    assert!(world.registration.is_over());
    let mut world = World::new(settings());
    world.only_sent();
    world.stop();
    world.unanswered();
    assert!(world.registration.is_over() && world.sent.is_empty(), "there is nothing to give back");
}

#[test]
fn nothing_of_it_shows_in_debug() {
    let world = World::registered(settings());
    let shown = format!("{:?} {:?}", world.registration, settings());
    assert!(!shown.contains("clinic") && !shown.contains("sesame"), "{shown}");
}
