//! The PBXs that this server is an extension of: their registrations, joined to the endpoint.

use std::collections::BTreeMap;
use std::time::Instant;

use hushbox_policy::Now;
use hushbox_sip::registration::{Action, News, Registration, Settings};
use hushbox_sip::{ConnectionId, Destination, Endpoint, RequestId, Response, Undelivered};

use super::{LookUp, Output, Signalling};

/// Every registration, in the order of the configuration.
#[derive(Default)]
pub(super) struct Registrations {
    list: Vec<Registration>,
    requests: BTreeMap<RequestId, usize>,
    look_ups: BTreeMap<LookUp, usize>,
    next_look_up: u64,
}

impl Registrations {
    /// When the next one wants to be called.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.list.iter().filter_map(Registration::deadline).min()
    }

    /// A question where something is, of whomever.
    pub(super) fn new_look_up(&mut self) -> LookUp {
        self.next_look_up += 1;
        LookUp(self.next_look_up)
    }

    /// Whether none has anything left to give back.
    pub(super) fn are_over(&self) -> bool {
        self.list.iter().all(Registration::is_over)
    }
}

impl Signalling {
    /// Begins to register. Called once.
    pub(super) fn register(&mut self, now: Now, settings: Vec<Settings>) {
        for settings in settings {
            let registration = Registration::new(now.monotonic, settings, self.seed());
            self.registrations.list.push(registration);
        }
        self.registrations_due(now);
    }

    /// Time has passed for them.
    pub(super) fn registrations_due(&mut self, now: Now) {
        let at = now.monotonic;
        let due = |r: &Registration| r.deadline().is_some_and(|deadline| deadline <= at);
        for number in 0..self.registrations.list.len() {
            if let Some(registration) = self.registrations.list.get_mut(number)
                && due(registration)
            {
                registration.handle_timeout(at);
                self.act(at, number);
            }
        }
    }

    /// A registrar was found, or not.
    pub(super) fn located(&mut self, now: Now, look_up: LookUp, destinations: Vec<Destination>) {
        let Some(number) = self.registrations.look_ups.remove(&look_up) else { return };
        self.with(now.monotonic, number, |r| r.located(now.monotonic, destinations));
    }

    /// A request was answered. False if it is none of a registration.
    pub(super) fn registrar_answered(
        &mut self,
        now: Now,
        request: RequestId,
        outcome: Result<&Response, Undelivered>,
    ) -> bool {
        let Some(number) = self.registrations.requests.remove(&request) else { return false };
        let at = now.monotonic;
        self.with(at, number, |registration| match outcome {
            Ok(response) => registration.answered(at, response),
            Err(why) => registration.unanswered(at, why),
        });
        true
    }

    /// A connection has closed.
    pub(super) fn registrations_lost(&mut self, now: Now, connection: ConnectionId) {
        for number in 0..self.registrations.list.len() {
            self.with(now.monotonic, number, |r| r.connection_lost(now.monotonic, connection));
        }
    }

    /// Gives all of them back.
    pub(super) fn unregister(&mut self, now: Now) {
        for number in 0..self.registrations.list.len() {
            self.with(now.monotonic, number, Registration::stop);
        }
    }

    fn with(&mut self, at: Instant, number: usize, tell: impl FnOnce(&mut Registration)) {
        if let Some(registration) = self.registrations.list.get_mut(number) {
            tell(registration);
            self.act(at, number);
        }
    }

    /// Does what a registration asks for.
    fn act(&mut self, at: Instant, number: usize) {
        let registrations = &mut self.registrations;
        let Some(registration) = registrations.list.get_mut(number) else { return };
        let endpoint: &mut Endpoint = &mut self.endpoint;
        while let Some(action) = registration.poll_action() {
            match action {
                Action::Locate(target) => {
                    registrations.next_look_up += 1;
                    let look_up = LookUp(registrations.next_look_up);
                    registrations.look_ups.insert(look_up, number);
                    self.outputs.push_back(Output::Locate { look_up, target });
                }
                Action::Send(outgoing) => {
                    let request = endpoint.send(at, *outgoing);
                    registrations.requests.insert(request, number);
                }
                Action::KeepAlive { connection, every, answers } => {
                    endpoint.keep_alive(at, connection, every, answers);
                }
                Action::LetGo(connection) => endpoint.let_go(at, connection),
                Action::News(news) => {
                    if matches!(news, News::Registered { .. })
                        && let Some(connection) = registration.connection()
                        && let Some(connection) = self.connections.get(&connection)
                    {
                        self.outputs.push_back(Output::Known { flow: connection.flow });
                    }
                    self.outputs.push_back(Output::Registration { number, news });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hushbox_sip::resolution::Target;
    use hushbox_sip::{Credentials, Flow, OwnedUri, Transport};

    use super::super::{Admission, Config, Input, MwiConfig, Peer};
    use super::*;
    use crate::testing::{REALM, TRUNK, directory, now, service_key};

    fn signalling() -> Signalling {
        let sip = hushbox_sip::Config {
            product: "Hushbox/test".to_owned(),
            listeners: Vec::new(),
            limits: hushbox_sip::Limits::default(),
        };
        let config = Config {
            sip,
            realm: REALM.to_owned(),
            service_key: service_key(),
            admission: Admission {
                calls_max: 4,
                retrieval_reserved_percent: 0,
                deposits_per_caller: None,
            },
            record_only: false,
            mwi: MwiConfig::default(),
        };
        Signalling::new(config, directory(), [5; 32])
    }

    fn settings() -> Settings {
        let uri = |text| OwnedUri::parse(text).unwrap();
        Settings {
            address_of_record: uri("sip:5000@clinic.example"),
            target: Target::of(&uri("sip:pbx.clinic.example")).unwrap(),
            route: None,
            credentials: Credentials { username: "5000".to_owned(), password: "p".to_owned() },
            contact_user: "5000".to_owned(),
            expires: Duration::from_secs(600),
            keep_alive: Duration::from_secs(120),
            allow_md5: false,
            instance: "urn:uuid:1".to_owned(),
        }
    }

    fn flow() -> Flow {
        Flow {
            transport: Transport::Tls,
            local: "192.0.2.1:40000".parse().unwrap(),
            remote: "192.0.2.7:5061".parse().unwrap(),
            connection: Some(ConnectionId(3)),
        }
    }

    fn drain(signalling: &mut Signalling) -> Vec<Output> {
        let mut outputs = Vec::new();
        loop {
            match signalling.poll_output() {
                Output::Timeout(_) => return outputs,
                output => outputs.push(output),
            }
        }
    }

    fn sent(outputs: &[Output]) -> String {
        let mut texts = outputs.iter().filter_map(|output| match output {
            Output::Transmit { bytes, .. } => Some(String::from_utf8_lossy(bytes).into_owned()),
            _ => None,
        });
        texts.next().expect("something was sent")
    }

    fn hear(signalling: &mut Signalling, text: &str) -> Vec<Output> {
        let bytes = text.as_bytes();
        signalling.handle_input(now(), Input::StreamData { flow: flow(), bytes });
        drain(signalling)
    }

    fn ok(request: &str, more: &str) -> String {
        let copied = |line: &&str| {
            ["Via:", "From:", "To:", "Call-ID:", "CSeq:"].iter().any(|n| line.starts_with(n))
        };
        let lines: Vec<_> = request.split("\r\n").filter(copied).collect();
        format!("SIP/2.0 200 OK\r\n{}\r\n{more}Content-Length: 0\r\n\r\n", lines.join("\r\n"))
    }

    /// Registered by a connection whose server was this peer.
    fn registered(peer: Peer) -> Signalling {
        let mut signalling = signalling();
        signalling.handle_input(now(), Input::Register(vec![settings()]));
        let outputs = drain(&mut signalling);
        let [Output::Locate { look_up, target }] = outputs.as_slice() else {
            panic!("{outputs:?}")
        };
        assert_eq!(target.host(), "pbx.clinic.example");
        let name = Some("pbx.clinic.example".to_owned());
        let destinations = vec![Destination::new(Transport::Tls, flow().remote, name)];
        let located = Input::Located { look_up: *look_up, destinations };
        signalling.handle_input(now(), located);
        let outputs = drain(&mut signalling);
        let [Output::Connect { attempt, .. }] = outputs.as_slice() else { panic!("{outputs:?}") };
        signalling.handle_input(now(), Input::Opened { attempt: *attempt, flow: flow(), peer });
        let request = sent(&drain(&mut signalling));
        assert!(request.starts_with("REGISTER sip:clinic.example SIP/2.0\r\n"), "{request}");
        let outputs = hear(&mut signalling, &ok(&request, ""));
        let is_known = |o: &Output| matches!(o, Output::Known { flow: f } if *f == flow());
        assert!(outputs.iter().any(is_known), "{outputs:?}");
        let is_news = |o: &Output| {
            matches!(o, Output::Registration { number: 0, news: News::Registered { .. } })
        };
        assert!(outputs.iter().any(is_news), "{outputs:?}");
        signalling
    }

    const INVITE: &str = "INVITE sip:1001@clinic.example SIP/2.0\r\nVia: SIP/2.0/TLS pbx;branch=z9hG4bK1\r\n\
        From: <sip:+15550100@pbx>;tag=1\r\nTo: <sip:1001@clinic.example>\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\n\
        Contact: <sip:pbx>\r\nContent-Length: 0\r\n\r\n";

    #[test]
    fn a_call_by_a_registrations_connection_is_the_trunks_whose_certificate_the_server_showed() {
        let mut signalling = registered(Peer::Trunk(TRUNK));
        let outputs = hear(&mut signalling, INVITE);
        assert!(outputs.iter().any(|o| matches!(o, Output::Start(_))), "{outputs:?}");
    }

    #[test]
    fn a_call_by_the_connection_of_a_server_that_is_no_trunk_is_challenged() {
        let mut signalling = registered(Peer::Nobody);
        let outputs = hear(&mut signalling, INVITE);
        assert!(!outputs.iter().any(|o| matches!(o, Output::Start(_))), "{outputs:?}");
        let refused = |o: &Output| matches!(o, Output::Refused(refused) if refused.status == 401);
        assert!(outputs.iter().any(refused), "{outputs:?}");
    }

    #[test]
    fn a_broken_connection_is_news_and_at_the_end_the_registration_is_given_back() {
        let mut signalling = registered(Peer::Trunk(TRUNK));
        signalling.handle_input(now(), Input::Drain);
        assert!(!signalling.is_quiet(), "it is still registered");
        let request = sent(&drain(&mut signalling));
        assert!(request.contains("\r\nExpires: 0\r\n"), "{request}");
        let outputs = hear(&mut signalling, &ok(&request, ""));
        let ended = |o: &Output| matches!(o, Output::Registration { news: News::Ended, .. });
        assert!(outputs.iter().any(ended) && signalling.is_quiet(), "{outputs:?}");
        let mut signalling = registered(Peer::Trunk(TRUNK));
        signalling.handle_input(now(), Input::StreamClosed { flow: flow() });
        let outputs = drain(&mut signalling);
        let lost = |o: &Output| matches!(o, Output::Registration { news: News::Lost, .. });
        assert!(outputs.iter().any(lost), "{outputs:?}");
    }

    #[test]
    fn where_nothing_is_registered_there_is_nothing_to_wait_for() {
        let mut signalling = signalling();
        signalling.handle_input(now(), Input::Register(Vec::new()));
        signalling.handle_input(now(), Input::Drain);
        assert!(signalling.is_quiet() && drain(&mut signalling).is_empty());
    }
}
