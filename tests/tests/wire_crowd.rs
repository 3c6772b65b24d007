//! Many callers at once, callers who vanish, callers over IPv6: nothing that was said is lost.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use hushbox_load::crowd;
use hushbox_load::crowd::figures::Figures;
use hushbox_load::measure;
use hushbox_load::scenario;
use hushbox_load::script::{Keys, Step};
use hushbox_load::sdp::Security;
use hushbox_load::srtp::Suite;
use hushbox_load::timeline::RATE;
use hushbox_load::transport::Transport;
use hushbox_tests::calls::{delivered, forwarded, leave_at_once, listen, owner, run, speech};
use hushbox_tests::trial::Trial;
use tokio::task::JoinSet;

/// Callers at once: few enough for a busy machine, enough to share a shard, a commit and a log.
const CROWD: usize = 16;

#[test]
fn sixteen_callers_at_once_are_all_recorded_whole() {
    let trial = Trial::start(&[]);
    let outcomes = run(async {
        let mut calls = JoinSet::new();
        for number in 0..CROWD {
            let mut plan = forwarded(&trial, "1001");
            plan.security = Security::Sdes(vec![Suite::ALL[number % 2]]);
            let sent = speech(100 + number as u8, Duration::from_secs(4));
            calls.spawn(async move { scenario::call(&plan, &leave_at_once(&sent)).await });
        }
        calls.join_all().await
    });
    for outcome in outcomes {
        let outcome = outcome.expect("a call");
        assert!(outcome.is_ok(), "{:?} {:?}", outcome.refusal, outcome.steps);
    }
    let rows = delivered(&trial, "1001", CROWD);
    assert_eq!(rows.len(), CROWD);
    for row in &rows {
        let seconds = row["seconds"].as_f64().expect("a number");
        assert!((4.0..5.0).contains(&seconds) && row["truncated"] == false, "{row}");
    }
    // The last one of them is the same audio.
    let (plan, pin) = owner(&trial, "1001");
    let script = [
        Step::Speech { within: Duration::from_secs(10) },
        Step::Press(Keys::new(&format!("{pin}#")).expect("keys")),
        Step::Speech { within: Duration::from_secs(20) },
        Step::Press(Keys::new("1").expect("a key")),
        Step::Hear(Duration::from_secs(12)),
        Step::Press(Keys::new("#").expect("a key")),
        Step::HangUp,
    ];
    let outcome = run(scenario::call(&plan, &script)).expect("a call");
    let best = (0..CROWD as u8)
        .map(|number| speech(100 + number, Duration::from_secs(4)))
        .filter_map(|sent| measure::find(&sent, &outcome.heard))
        .map(|found| found.correlation)
        .fold(0.0, f64::max);
    assert!(best > 0.99, "{best}");
}

#[test]
fn what_a_caller_said_before_the_connection_was_lost_is_a_message() {
    let trial = Trial::start(&[]);
    let sent = speech(61, Duration::from_secs(20));
    run(async {
        let (plan, script) = (forwarded(&trial, "1002"), leave_at_once(&sent));
        // Dropped in mid-sentence: the connection closes, packets stop, no BYE comes.
        let call = tokio::time::timeout(Duration::from_secs(6), scenario::call(&plan, &script));
        assert!(call.await.is_err(), "it was still speaking");
    });
    let row = &delivered(&trial, "1002", 1)[0];
    // A telephone with a certificate may come back on another connection, so the recording goes on until
    // nothing has been heard for ten seconds.
    let seconds = row["seconds"].as_f64().expect("a number");
    assert!((2.0..17.0).contains(&seconds), "{row}");
    let (plan, pin) = owner(&trial, "1002");
    let outcome = run(scenario::call(&plan, &listen(&pin, &sent[..2 * RATE]))).expect("a call");
    assert!(outcome.steps.iter().any(|s| s.name == "find" && s.ok), "{:?}", outcome.steps);
}

#[test]
fn a_server_on_ipv6_is_left_a_message_and_plays_it() {
    if std::net::UdpSocket::bind("[::1]:0").is_err() {
        eprintln!("SKIPPED: this machine has no IPv6");
        return;
    }
    let mut trial = Trial::create(&["--sip-tls", "[::1]:0"]);
    trial.serve();
    let sent = speech(62, Duration::from_secs(3));
    let left = run(scenario::call(&forwarded(&trial, "1001"), &leave_at_once(&sent)));
    let left = left.expect("a call");
    assert!(left.is_ok(), "{:?} {:?}", left.refusal, left.steps);
    assert_eq!(delivered(&trial, "1001", 1).len(), 1);
    let (plan, pin) = owner(&trial, "1001");
    let outcome = run(scenario::call(&plan, &listen(&pin, &sent))).expect("a call");
    assert!(outcome.is_ok(), "{:?} {:?}", outcome.refusal, outcome.steps);
}

/// A crowd of the generator's, against the server of a trial.
fn crowd(trial: &Trial, transport: Transport) -> crowd::Plan {
    let plan = forwarded(trial, "1001");
    let (address, uri) = match transport {
        Transport::Tls => (plan.address, plan.uri),
        Transport::Tcp => (trial.address("lab_tcp"), "sip:2001@trial.example".to_owned()),
        Transport::Udp => (trial.address("lab_udp"), "sip:2001@trial.example".to_owned()),
    };
    crowd::Plan {
        address,
        transport,
        uri,
        identity: plan.identity,
        calls: 60,
        at_once: 8,
        rate: None,
        stay: Duration::ZERO,
        connections: 2,
        security: Security::Sdes(vec![Suite::ALL[0]]),
        server_pid: Some(trial.pid()),
    }
}

/// Calls that a server on a busy machine did not take, as it may.
fn refused(figures: &Figures) -> usize {
    figures.failed.get("503").copied().unwrap_or(0)
}

#[test]
fn calls_of_a_crowd_go_their_whole_way_over_each_transport() {
    let trial = Trial::start(&["--lab-udp", "127.0.0.1:0", "--lab-tcp", "127.0.0.1:0"]);
    for transport in [Transport::Udp, Transport::Tcp, Transport::Tls] {
        let plan = crowd(&trial, transport);
        let figures = run(crowd::run(&plan)).expect("they are placed");
        assert_eq!(figures.completed + refused(&figures), 60, "{figures}");
        assert!(figures.completed > 0 && figures.at_once <= 8, "{figures}");
        assert!(figures.server.is_some() && figures.invite_to_200_ms.max > 0.0, "{figures}");
    }
    let mut nobody = crowd(&trial, Transport::Udp);
    nobody.uri = "sip:2999@trial.example".to_owned();
    let figures = run(crowd::run(&nobody)).expect("they are placed");
    let unknown = figures.failed.get("404").copied().unwrap_or(0);
    assert!(unknown > 0 && unknown + refused(&figures) == 60, "{figures}");
}

#[test]
fn what_a_crowd_says_is_recorded_whole() {
    let mut trial = Trial::start(&[]);
    let mut recorded = 0;
    for suite in Suite::ALL {
        let mut plan = crowd(&trial, Transport::Tls);
        (plan.calls, plan.at_once, plan.stay) = (10, 10, Duration::from_secs(3));
        plan.security = Security::Sdes(vec![suite]);
        let figures = run(crowd::run(&plan)).expect("they are placed");
        assert_eq!(figures.completed + refused(&figures), 10, "{figures}");
        recorded += figures.completed;
        assert_eq!(figures.packets.1, 0, "{figures}");
    }
    assert!(recorded > 0);
    assert_eq!(delivered(&trial, "1001", recorded).len(), recorded);
    let log = trial.stop();
    let ended: Vec<&str> = log.lines().filter(|line| line.contains("call ended")).collect();
    assert!(
        ended.len() == recorded && ended.iter().all(|line| line.contains(" lost=0 ")),
        "{ended:?}"
    );
}

/// A PBX's connection carries the calls of a whole site: what comes at once on it is answered, not cut.
#[test]
fn five_hundred_requests_in_one_write_are_all_answered_on_their_connection() {
    const REQUESTS: usize = 500;
    let trial = Trial::start(&["--lab-tcp", "127.0.0.1:0"]);
    let mut stream = TcpStream::connect(trial.address("lab_tcp")).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("set");
    let local = stream.local_addr().expect("an address");
    let burst: String = (0..REQUESTS)
        .map(|n| {
            format!(
                "OPTIONS sip:trial.example SIP/2.0\r\nVia: SIP/2.0/TCP {local};branch=z9hG4bKburst{n}\r\n\
                 From: <sip:pbx@trial.example>;tag=a\r\nTo: <sip:trial.example>\r\nCall-ID: burst{n}\r\n\
                 CSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
            )
        })
        .collect();
    stream.write_all(burst.as_bytes()).expect("written");
    let mut answers = String::new();
    while answers.matches("SIP/2.0 200 OK\r\n").count() < REQUESTS {
        let mut piece = [0; 16 * 1024];
        let length = stream.read(&mut piece).expect("an answer");
        assert!(length > 0, "closed after {} answers", answers.matches("SIP/2.0 200").count());
        answers.push_str(&String::from_utf8_lossy(&piece[..length]));
    }
}
