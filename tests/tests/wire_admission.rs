//! Admission over real sockets: the quota of a caller, the places kept for people who hear messages, and what a PBX is
//! told of load.

use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

use hushbox_load::client::Plan;
use hushbox_load::g711::Codec;
use hushbox_load::scenario::{self, Outcome};
use hushbox_load::script::{Keys, Step};
use hushbox_tests::calls::{
    delivered, forwarded, leave_at_once, owner, run, speech, while_recording,
};
use hushbox_tests::transcript::Voice;
use hushbox_tests::trial::Trial;

fn place(plan: &Plan, script: &[Step]) -> Outcome {
    run(scenario::call(plan, script)).expect("the call goes its way")
}

#[test]
fn the_second_message_of_a_caller_over_the_quota_is_an_announcement() {
    let mut trial = Trial::create(&[]);
    trial.configure("limits", "deposits_per_caller_max = 1");
    trial.serve();
    let voice = Voice::english(Codec::Pcmu);
    let sent = speech(2, Duration::from_secs(2));
    let first = place(&forwarded(&trial, "1001"), &leave_at_once(&sent));
    assert!(first.is_ok(), "{:?} {:?}", first.refusal, first.steps);
    let until_bye = [Step::Bye { within: Duration::from_secs(20) }];
    let second = place(&forwarded(&trial, "1001"), &until_bye);
    assert!(second.is_ok(), "{:?} {:?}", second.refusal, second.steps);
    assert_eq!(voice.words(&second.heard), "too-many-messages");
    let elsewhere = [
        Step::Speech { within: Duration::from_secs(10) },
        Step::Press(Keys::new("#").expect("a key")),
        Step::Beep { within: Duration::from_secs(10) },
        Step::HangUp,
    ];
    let other = place(&forwarded(&trial, "1002"), &elsewhere);
    assert!(other.is_ok(), "another mailbox: {:?} {:?}", other.refusal, other.steps);
    assert_eq!(delivered(&trial, "1001", 1).len(), 1);
}

#[test]
fn where_there_are_as_many_calls_as_there_may_be_a_message_gets_503_and_who_hears_gets_in() {
    let mut trial = Trial::create(&[]);
    // One of two places is kept.
    trial.configure("limits", "calls_max = 2\nretrieval_reserved_percent = 50");
    trial.serve();
    let sent = speech(3, Duration::from_secs(6));
    let first = forwarded(&trial, "1001");
    let second = forwarded(&trial, "1002");
    let (telephone, _) = owner(&trial, "1001");
    let hears = [Step::Speech { within: Duration::from_secs(10) }, Step::HangUp];
    let meanwhile = async {
        let refused = scenario::call(&second, &[Step::HangUp]).await.expect("an answer");
        let heard = scenario::call(&telephone, &hears).await.expect("a call");
        (refused, heard)
    };
    let (left, (refused, heard)) = run(while_recording(&first, &sent, meanwhile));
    let left = left.expect("a call");
    assert!(left.is_ok(), "the one that is there goes on: {:?} {:?}", left.refusal, left.steps);
    let refused = refused.refusal.expect("no room");
    assert_eq!(refused.status, 503);
    let after: u32 = refused.retry_after.and_then(|text| text.parse().ok()).expect("seconds");
    assert!((5..=10).contains(&after), "{after}");
    assert!(heard.is_ok(), "*97: {:?} {:?}", heard.refusal, heard.steps);
    assert_eq!(delivered(&trial, "1001", 1).len(), 1);
    let again = place(&second, &leave_at_once(&speech(4, Duration::from_secs(1))));
    assert!(again.is_ok(), "there is room again: {:?} {:?}", again.refusal, again.steps);
}

/// The topmost Via of the answer to an OPTIONS over UDP from this address, with this at the end of its own.
fn via_of_options(trial: &Trial, from: Ipv4Addr, offered: &str) -> String {
    let socket = UdpSocket::bind((from, 0)).expect("a socket");
    socket.set_read_timeout(Some(Duration::from_secs(10))).expect("set");
    let local = socket.local_addr().expect("an address");
    let to = trial.address("lab_udp");
    let options = format!(
        "OPTIONS sip:{to} SIP/2.0\r\nVia: SIP/2.0/UDP {local};rport;branch=z9hG4bKoc{offered}\r\n\
         Max-Forwards: 70\r\nFrom: <sip:pbx@pbx.example>;tag=1\r\nTo: <sip:{to}>\r\nCall-ID: oc\r\n\
         CSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    );
    socket.send_to(options.as_bytes(), to).expect("sent");
    let mut bytes = [0; 2048];
    let length = socket.recv(&mut bytes).expect("an answer");
    let answer = String::from_utf8_lossy(&bytes[..length]).into_owned();
    assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
    let via = answer.lines().find_map(|line| line.strip_prefix("Via: ")).expect("a Via");
    via.to_owned()
}

/// A parameter of a Via.
fn parameter<'a>(via: &'a str, name: &str) -> Option<&'a str> {
    via.split(';').find_map(|param| param.strip_prefix(name)?.strip_prefix('='))
}

fn is_number(text: &str, digits_max: usize) -> bool {
    (1..=digits_max).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
}

#[test]
fn a_pbx_that_offers_overload_control_is_told_as_rfc_7339_writes_it_and_nobody_else_is() {
    let trial = Trial::start(&["--lab-udp", "127.0.0.1:0"]);
    let mut before = (0_u64, 0_u64);
    for offered in [";oc;oc-algo=\"loss\"", ";oc;oc-algo=\"loss,A\"", ";oc"] {
        let via = via_of_options(&trial, Ipv4Addr::LOCALHOST, offered);
        // RFC 7339 §9: what oc and oc-validity count are digits, oc-algo is one name in quotes, oc-seq a number of up
        // to twelve digits, a point and up to five. A server that keeps up asks for nothing (§4.3).
        assert_eq!(parameter(&via, "oc"), Some("0"), "{via}");
        assert_eq!(parameter(&via, "oc-algo"), Some("\"loss\""), "{via}");
        assert_eq!(parameter(&via, "oc-validity"), Some("0"), "{via}");
        let sequence = parameter(&via, "oc-seq").and_then(|seq| seq.split_once('.'));
        let (seconds, fraction) = sequence.expect("a sequence number");
        assert!(is_number(seconds, 12) && is_number(fraction, 5), "{via}");
        // §4.4: never below what was said before. The digits of the fraction are as many each time.
        let now = (seconds.parse().expect("a number"), fraction.parse().expect("a number"));
        assert!(now >= before, "{via}");
        before = now;
        for name in [";oc=", ";oc-algo=", ";oc-validity=", ";oc-seq="] {
            assert_eq!(via.matches(name).count(), 1, "{name} once: {via}");
        }
        let is_empty = via.split(';').any(|param| param == "oc");
        assert!(!is_empty, "what was offered is replaced: {via}");
    }
    let stranger = Ipv4Addr::new(127, 0, 0, 2);
    for (from, offered) in [
        (Ipv4Addr::LOCALHOST, ""),
        (Ipv4Addr::LOCALHOST, ";oc;oc-algo=\"rate\""),
        (stranger, ";oc;oc-algo=\"loss\""),
    ] {
        let via = via_of_options(&trial, from, offered);
        assert!(!via.contains("oc=") && !via.contains("oc-seq"), "{via}");
    }
}
