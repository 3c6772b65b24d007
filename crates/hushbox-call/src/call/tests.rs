//! What signalling tells a call of its session, and what becomes of its media.

use super::*;
use crate::testing;
use bytes::Bytes;
use hushbox_media::{LegReport, Security};
use hushbox_sip::{CallIdHash, Transport};
use std::net::SocketAddr;
use std::time::Duration;
use zeroize::Zeroizing;

const FIRST: &str = "192.0.2.9:6000";
const SECOND: &str = "192.0.2.10:7000";

fn description(at: &str) -> Bytes {
    let at: SocketAddr = at.parse().unwrap();
    let (ip, port) = (at.ip(), at.port());
    Bytes::from(format!(
        "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio {port} RTP/AVP 0\r\n"
    ))
}

fn request(number: u64) -> RequestId {
    RequestId(number)
}

/// A call that speaks, and what time it is there.
struct Talk {
    now: Now,
    call: Call,
}

impl Talk {
    /// Offered [`FIRST`], answered and acknowledged.
    fn new() -> Self {
        let now = testing::now();
        let setup = CallSetup {
            id: CallId::from_parts(1, [7; 10]),
            purpose: Purpose::RefusedRetrieval(Refusal::NotFromThisTelephone),
            offer: Some(description(FIRST)),
            caller_number: None,
            caller_name: None,
            transport: Transport::Udp,
            peer: [192, 0, 2, 9].into(),
            call_id_hash: CallIdHash(1),
            caller: Caller::Trunk(testing::TRUNK),
        };
        let prompts = crate::Prompts::load(|_| Some(vec![0; 160_000])).unwrap();
        let parts = Parts {
            leg: LegConfig {
                local_ip: [192, 0, 2, 1].into(),
                rtp_port: 4000,
                security: Security::Lab,
                seed: [1; 32],
            },
            directory: testing::directory(),
            prompts: Arc::new(prompts),
            message_key: Zeroizing::new([2; 32]),
            seed: [3; 32],
            recording: Recording::default(),
        };
        let mut talk = Self { now, call: Call::new(now, setup, parts) };
        talk.hear(FromSignalling::Acknowledged { answer: None });
        assert_eq!(talk.speaks_to(), FIRST);
        talk
    }

    fn hear(&mut self, says: FromSignalling) {
        self.call.handle_input(self.now, Input::Signalling(says));
    }

    /// What it tells signalling, and where it sends media to, in a tenth of a second.
    fn goes_on(&mut self) -> (Vec<ToSignalling>, Vec<String>) {
        let (mut says, mut to) = (Vec::new(), Vec::new());
        for _ in 0..=10 {
            loop {
                match self.call.poll_output() {
                    Output::Signalling(said) => says.push(said),
                    Output::TransmitRtp { to: at, .. } => to.push(at.to_string()),
                    Output::Timeout(_) => break,
                    _ => {}
                }
            }
            self.now.monotonic += Duration::from_millis(10);
            self.call.handle_input(self.now, Input::Timeout);
        }
        to.dedup();
        (says, to)
    }

    /// Where the last packet goes: the first may have been under way.
    fn speaks_to(&mut self) -> String {
        self.goes_on().1.pop().unwrap_or_default()
    }

    /// It hangs up with 488.
    #[track_caller]
    fn assert_ended(&mut self) {
        let (says, _) = self.goes_on();
        let hangs_up = |said: &ToSignalling| matches!(said, ToSignalling::HangUp(reason) if reason.cause == 488);
        assert!(says.iter().any(hangs_up), "{says:?}");
        assert_eq!(self.speaks_to(), "", "and says nothing more");
    }

    fn report(&self) -> LegReport {
        self.call.media.as_ref().unwrap().leg.report()
    }
}

// RFC 3261 §14.1: a re-INVITE that is cancelled leaves the session as it was.
#[test]
fn a_re_invite_changes_nothing_until_its_answer_was_sent() {
    let mut talk = Talk::new();
    talk.hear(FromSignalling::Reinvite { request: request(1), offer: Some(description(SECOND)) });
    let (says, to) = talk.goes_on();
    assert!(matches!(says[..], [ToSignalling::AnswerReinvite { .. }]), "{says:?}");
    assert_eq!(to, [FIRST]);
    talk.hear(FromSignalling::Changed { request: request(9) });
    assert_eq!(talk.speaks_to(), FIRST, "that was another one");
    talk.hear(FromSignalling::Reinvite { request: request(2), offer: Some(description(SECOND)) });
    talk.hear(FromSignalling::Changed { request: request(2) });
    assert_eq!(talk.speaks_to(), SECOND);
    assert_eq!(talk.report().auth_failures, 0);
}

#[test]
fn an_offer_of_ours_that_was_cancelled_awaits_no_answer() {
    let mut talk = Talk::new();
    talk.hear(FromSignalling::Reinvite { request: request(1), offer: None });
    talk.hear(FromSignalling::Acknowledged { answer: None });
    assert_eq!(talk.speaks_to(), FIRST);
    assert!(!talk.call.is_over());
}

// RFC 3261 §13.2.1, RFC 3264 §4.
#[test]
fn a_re_invite_whose_ack_brings_no_usable_answer_ends_the_call() {
    for answer in [None, Some(Bytes::from_static(b"v=0\r\nnonsense")), Some(description(SECOND))] {
        let mut talk = Talk::new();
        talk.hear(FromSignalling::Reinvite { request: request(1), offer: None });
        talk.hear(FromSignalling::Changed { request: request(1) });
        let is_good = answer.as_ref() == Some(&description(SECOND));
        talk.hear(FromSignalling::Acknowledged { answer });
        if is_good {
            assert_eq!(talk.speaks_to(), SECOND);
        } else {
            talk.assert_ended();
        }
    }
}

// RFC 3264 §8.
#[test]
fn the_answer_to_a_refresh_of_ours_is_followed_or_ends_the_call() {
    let mut talk = Talk::new();
    talk.hear(FromSignalling::Refreshed { answer: Some(description(FIRST)) });
    assert_eq!(talk.speaks_to(), FIRST);
    talk.hear(FromSignalling::Refreshed { answer: Some(description(SECOND)) });
    assert_eq!(talk.speaks_to(), SECOND);
    for answer in [None, Some(Bytes::from_static(b"v=0\r\nnonsense"))] {
        let mut talk = Talk::new();
        talk.hear(FromSignalling::Refreshed { answer });
        talk.assert_ended();
    }
}
