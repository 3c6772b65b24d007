//! Both ends of a call's signalling: the server's endpoint behind a shell of a few lines, and the generator's
//! client, whose parser is `rsip`. Over TCP and UDP on loopback; media is agreed, not carried.

use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use hushbox_load::client::Plan;
use hushbox_load::dialog::Ended;
use hushbox_load::digest::{self, Credentials};
use hushbox_load::scenario::{Outcome, call};
use hushbox_load::script::Step;
use hushbox_load::sdp::Security;
use hushbox_load::srtp::Suite;
use hushbox_load::transport::Transport;
use hushbox_media::{Leg, LegConfig};
use hushbox_sip::{
    Algorithm, Authenticator, Config, ConnectionId, Endpoint, Event, Flow, HostPort, Input,
    InviteBody, Limits, Listener, Output, Reason, Rejection, Verdict,
};
use hushbox_tests::calls::run;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

/// The application behind the endpoint: wants a digest of user `u`, password `p`, and takes every offer.
struct Application {
    endpoint: Endpoint,
    authenticator: Authenticator,
    algorithms: Vec<Algorithm>,
    leg: Option<Leg>,
    /// Hang up as soon as the call stands.
    hang_up: bool,
    /// What offers and answers are about.
    security: hushbox_media::Security,
    /// Never answer.
    silent: bool,
    /// What happened, by name.
    events: Vec<String>,
    over: bool,
}

impl Application {
    fn new(transport: hushbox_sip::Transport, local: SocketAddr, algorithms: &[Algorithm]) -> Self {
        let advertised =
            HostPort::new(&local.ip().to_string(), Some(local.port())).expect("an address");
        let config = Config {
            product: "Hushbox/test".into(),
            listeners: vec![Listener { transport, local, advertised }],
            limits: Limits::default(),
        };
        Self {
            endpoint: Endpoint::new(config, [1; 32]),
            authenticator: Authenticator::new("hushbox", [2; 32]),
            algorithms: algorithms.to_vec(),
            leg: None,
            hang_up: false,
            security: hushbox_media::Security::Lab,
            silent: false,
            events: Vec::new(),
            over: false,
        }
    }

    fn leg_config(&self) -> LegConfig {
        LegConfig {
            local_ip: [127, 0, 0, 1].into(),
            rtp_port: 40_000,
            security: self.security,
            seed: [3; 32],
        }
    }

    /// Takes an input; gives what is to be sent.
    fn turn(&mut self, input: Input<'_>) -> Vec<Bytes> {
        let now = Instant::now();
        self.endpoint.handle_input(now, input);
        let mut wire = Vec::new();
        loop {
            match self.endpoint.poll_output() {
                Output::Transmit { bytes, .. } => wire.push(bytes),
                Output::Event(event) => self.event(now, event),
                Output::Disconnect { .. } => self.over = true,
                Output::Connect { .. } => panic!("nothing is sent outside of the call"),
                Output::Timeout(_) => return wire,
            }
        }
    }

    fn event(&mut self, now: Instant, event: Event) {
        let name = format!("{event:?}");
        self.events.push(name.split('(').next().unwrap_or_default().to_owned());
        match event {
            Event::Invite { session, invite } => {
                if !self.algorithms.is_empty() {
                    let unix =
                        SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
                    let verdict = invite.authorization.as_ref().map(|authorization| {
                        let right = |algorithm| {
                            Some(hushbox_sip::auth::ha1(algorithm, "u", "hushbox", "p"))
                        };
                        self.authenticator.check(
                            unix,
                            authorization,
                            "INVITE",
                            invite.request_uri.text(),
                            right,
                        )
                    });
                    if verdict != Some(Verdict::Valid) {
                        let challenges =
                            self.authenticator.challenges(unix, &self.algorithms, false);
                        return self.endpoint.challenge(now, session, challenges);
                    }
                }
                if self.silent {
                    return;
                }
                let (leg, sdp) = match &invite.body {
                    InviteBody::Sdp(offer) => match Leg::answer(now, self.leg_config(), offer) {
                        Ok(answered) => answered,
                        Err(_) => return self.endpoint.reject(now, session, Rejection::new(488)),
                    },
                    _ => Leg::offer(now, self.leg_config()),
                };
                self.leg = Some(leg);
                self.endpoint.answer(now, session, sdp);
            }
            Event::Subscribe { request, .. } => {
                self.endpoint.reject_subscribe(now, request, Rejection::new(403));
            }
            Event::Notified { .. }
            | Event::SubscriptionEnding { .. }
            | Event::NoWay { .. }
            | Event::Reached { .. }
            | Event::Unsubscribed { .. } => {}
            Event::Acknowledged { session, answer } => {
                if let (Some(answer), Some(leg)) = (answer, &mut self.leg) {
                    leg.handle_answer(now, &answer).expect("an answer to our offer");
                }
                if self.hang_up {
                    self.endpoint.hang_up(now, session, Reason::normal_clearing());
                }
            }
            Event::Refreshed { answer, .. } => {
                let leg = self.leg.as_mut().expect("a call");
                let answer = answer.expect("an answer");
                leg.handle_refresh_answer(now, &answer).expect("accepted");
            }
            Event::Reinvite { request, offer, .. } => {
                let leg = self.leg.as_mut().expect("a call");
                let sdp = leg.handle_reoffer(now, offer.as_deref()).expect("accepted");
                self.endpoint.answer_reinvite(now, request, sdp);
            }
            Event::Terminated { .. } => {
                self.over = self.algorithms.is_empty() || self.events.len() > 2
            }
            Event::Cancelled { .. }
            | Event::Bye { .. }
            | Event::Failed { .. }
            | Event::Elsewhere { .. } => {}
            Event::Answered { .. } | Event::Unanswered { .. } => panic!("nothing was asked"),
        }
    }

    async fn on_stream(mut self, listener: TcpListener) -> Vec<String> {
        let (mut stream, remote): (TcpStream, _) = listener.accept().await.expect("accepts");
        let local = listener.local_addr().expect("an address");
        let transport = hushbox_sip::Transport::Tcp;
        let flow = Flow { transport, local, remote, connection: Some(ConnectionId(1)) };
        let mut buffer = [0; 4096];
        let mut clock = tokio::time::interval(Duration::from_millis(10));
        loop {
            let wire = tokio::select! {
                read = stream.read(&mut buffer) => match read {
                    Ok(length @ 1..) => self.turn(Input::StreamData { flow, bytes: &buffer[..length] }),
                    _ => return self.events,
                },
                _ = clock.tick() => self.turn(Input::Timeout),
            };
            for bytes in wire {
                if stream.write_all(&bytes).await.is_err() {
                    return self.events;
                }
            }
        }
    }

    async fn on_datagrams(mut self, socket: UdpSocket) -> Vec<String> {
        let local = socket.local_addr().expect("an address");
        let mut peer = None;
        let mut buffer = [0; 4096];
        let mut clock = tokio::time::interval(Duration::from_millis(10));
        loop {
            let wire = tokio::select! {
                read = socket.recv_from(&mut buffer) => {
                    let (length, remote) = read.expect("receives");
                    peer = Some(remote);
                    let transport = hushbox_sip::Transport::Udp;
                    let flow = Flow { transport, local, remote, connection: None };
                    self.turn(Input::Datagram { flow, bytes: &buffer[..length] })
                }
                _ = clock.tick() => self.turn(Input::Timeout),
            };
            for bytes in wire {
                socket.send_to(&bytes, peer.expect("a peer")).await.expect("sends");
            }
            if self.over {
                return self.events;
            }
        }
    }
}

/// One call over TCP; gives what both ends saw.
fn over_tcp(
    algorithms: &[Algorithm],
    prepare: impl FnOnce(&mut Application, &mut Plan),
    script: &[Step],
) -> (Vec<String>, Outcome) {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let address = listener.local_addr().expect("an address");
        let mut application = Application::new(hushbox_sip::Transport::Tcp, address, algorithms);
        let mut plan = Plan::new(Transport::Tcp, address, "sip:1001@clinic.example");
        plan.identity.credentials =
            Some(Credentials { username: "u".into(), password: "p".into(), algorithm: None });
        prepare(&mut application, &mut plan);
        let (events, outcome) = tokio::join!(application.on_stream(listener), call(&plan, script));
        (events, outcome.expect("a call"))
    })
}

const ALL: [Algorithm; 2] = [Algorithm::Sha256, Algorithm::Md5];

#[test]
fn either_end_hangs_up_after_a_digest() {
    let (events, outcome) = over_tcp(&ALL, |_, _| (), &[Step::HangUp]);
    assert_eq!(outcome.statuses, [401, 100, 200]);
    assert_eq!(outcome.ended, Some(Ended::Here(200)));
    assert_eq!(outcome.suite, Some(Suite::AeadAes256Gcm));
    assert!(events.contains(&"Bye".to_owned()), "{events:?}");

    let bye = Step::Bye { within: Duration::from_secs(5) };
    let md5 = |application: &mut Application, plan: &mut Plan| {
        application.hang_up = true;
        let credentials = plan.identity.credentials.as_mut().expect("credentials");
        credentials.algorithm = Some(digest::Algorithm::Md5);
    };
    let (_, outcome) = over_tcp(&ALL, md5, &[bye]);
    assert!(
        matches!(outcome.ended, Some(Ended::There(Some(ref reason))) if reason.contains("cause=16"))
    );
}

#[test]
fn a_wrong_password_is_refused_after_one_try() {
    let wrong = |_: &mut Application, plan: &mut Plan| {
        plan.identity.credentials.as_mut().expect("credentials").password = "x".into();
    };
    let (_, outcome) = over_tcp(&ALL, wrong, &[Step::HangUp]);
    assert_eq!(outcome.statuses, [401, 401]);
    assert_eq!(outcome.refusal.map(|r| r.status), Some(401));
}

#[test]
fn a_late_offer_is_answered_in_the_ack_and_hold_is_agreed() {
    let late = |application: &mut Application, plan: &mut Plan| {
        application.security = hushbox_media::Security::SrtpOnly;
        plan.late_offer = true;
    };
    let script = [Step::Hold, Step::Resume, Step::HangUp];
    let (events, outcome) = over_tcp(&[], late, &script);
    assert!(outcome.is_ok(), "{:?}", outcome.steps);
    assert_eq!(outcome.statuses, [100, 200]);
    assert_eq!(events.iter().filter(|e| *e == "Reinvite").count(), 2, "{events:?}");
}

#[test]
fn a_cancelled_call_ends_with_487() {
    let cancel = |application: &mut Application, plan: &mut Plan| {
        application.silent = true;
        plan.cancel_after = Some(Duration::from_millis(50));
    };
    let (events, outcome) = over_tcp(&[], cancel, &[]);
    assert_eq!(outcome.statuses, [100, 487]);
    assert!(events.contains(&"Cancelled".to_owned()), "{events:?}");
}

#[test]
fn a_call_over_udp_in_plain_rtp_is_answered_and_ended() {
    let outcome = run(async {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("binds");
        let address = socket.local_addr().expect("an address");
        let application = Application::new(hushbox_sip::Transport::Udp, address, &[]);
        let mut plan = Plan::new(Transport::Udp, address, "sip:2001@trial.example");
        plan.security = Security::Plain;
        let script = [Step::HangUp];
        let (_, outcome) = tokio::join!(application.on_datagrams(socket), call(&plan, &script));
        outcome.expect("a call")
    });
    assert_eq!(outcome.statuses, [100, 200]);
    assert_eq!((outcome.ended, outcome.suite), (Some(Ended::Here(200)), None));
}
