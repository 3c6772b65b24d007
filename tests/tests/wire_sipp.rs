//! Flows of protocols.md sections 2 and 3, by sipp (Debian's package) against a running server: over UDP and TCP on the
//! lab listeners, and over TLS with the trunk's certificate through stunnel, since Debian's sipp has no TLS.
//!
//! Each file under `tests/sipp` is a scenario, and says what it shows; sipp fails on any message that is not expected.
//! Each run is a caller with a number of its own, since one caller may leave only so many messages.
//! They all run at once against one server, whose log must then hold exactly the calls that they make.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};

use hushbox_tests::trial::{Trial, is_installed, warn_not_tested};
use hushbox_tests::tunnel::Tunnel;
use serde_json::Value;

/// What sipp comes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Over {
    Udp,
    Tcp,
    Tls,
    /// TLS 1.2; else it is 1.3.
    Tls12,
}

use Over::{Tcp, Tls, Tls12, Udp};

const LAB: &[Over] = &[Udp, Tcp];
const ALL: &[Over] = &[Udp, Tcp, Tls];

/// A scenario: its file, what it runs over, and how many calls the server has by it.
struct Scenario {
    name: &'static str,
    over: &'static [Over],
    calls: usize,
    /// A response that is counted: its status, and how many copies come on UDP and on a stream.
    copies: Option<(u16, usize, usize)>,
}

const fn scenario(name: &'static str, over: &'static [Over], calls: usize) -> Scenario {
    Scenario { name, over, calls, copies: None }
}

/// Those that take long come first.
const SCENARIOS: [Scenario; 40] = [
    // RFC 3261 §17.2.1: 0, 0.5, 1.5, 3.5, 7.5 s, then every 4 s to 31.5 s.
    Scenario { copies: Some((404, 11, 1)), ..scenario("refusal_without_ack", ALL, 0) },
    // RFC 3261 §13.3.1.4: on every transport.
    Scenario { copies: Some((200, 11, 11)), ..scenario("answer_without_ack", ALL, 1) },
    scenario("cancel_before_answer", LAB, 0),
    scenario("deposit", &[Udp, Tcp, Tls, Tls12], 1),
    scenario("retransmitted_invite", LAB, 1),
    scenario("cancel_after_answer", ALL, 1),
    scenario("merged", LAB, 1),
    scenario("rport", &[Udp], 0),
    scenario("received", &[Udp], 0),
    scenario("options", ALL, 0),
    scenario("refused_requests", ALL, 0),
    scenario("unsupported_extension", ALL, 0),
    scenario("require_100rel", ALL, 1),
    scenario("offerless", LAB, 1),
    scenario("offerless_without_answer", ALL, 1),
    scenario("offerless_reinvite", LAB, 1),
    scenario("hold_and_resume", ALL, 1),
    scenario("refused_reinvite", ALL, 1),
    scenario("session_timer", ALL, 1),
    scenario("session_timer_too_short", ALL, 1),
    scenario("update", ALL, 1),
    scenario("in_dialog_requests", ALL, 1),
    scenario("unknown_dialogs", ALL, 0),
    scenario("early_bye", ALL, 1),
    scenario("multipart", ALL, 1),
    scenario("unknown_body", ALL, 0),
    scenario("no_audio", ALL, 1),
    scenario("plain_rtp", &[Tls], 1),
    scenario("last_hop", LAB, 1),
    scenario("replaces", ALL, 0),
    scenario("target", ALL, 1),
    scenario("foreign_target", ALL, 0),
    scenario("diversion", ALL, 1),
    scenario("history_info", ALL, 1),
    scenario("nobody", ALL, 0),
    scenario("asserted", ALL, 1),
    scenario("challenge", LAB, 0),
    scenario("subscribe", ALL, 0),
    scenario("refused_subscriptions", ALL, 0),
    scenario("strange_peer", &[Tls], 0),
];

/// How many of them run at a time.
const AT_A_TIME: usize = 16;

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/sipp"))
}

/// A run of sipp.
struct Run<'a> {
    scenario: &'a Scenario,
    over: Over,
    files: PathBuf,
}

impl fmt::Display for Run<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} over {:?}", self.scenario.name, self.over)
    }
}

impl Run<'_> {
    fn start(&self, address: SocketAddr, username: &str) -> Output {
        let (via, mode) = match self.over {
            Udp => ("UDP", "u1"),
            Tcp => ("TCP", "t1"),
            Tls | Tls12 => ("TLS", "t1"),
        };
        let (proto, crypto) = match self.over {
            Udp | Tcp => ("RTP/AVP", "a=x-no-keys:1"),
            // RFC 4568 §9.2: 30 octets of key and salt.
            Tls | Tls12 => (
                "RTP/SAVP",
                "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj",
            ),
        };
        let mut command = Command::new("sipp");
        command.arg(address.to_string());
        command.arg("-sf").arg(folder().join(format!("{}.xml", self.scenario.name)));
        command.args(["-m", "1", "-nostdin", "-nd", "-timeout", "60", "-timeout_error"]);
        command.args(["-i", "127.0.0.1", "-t", mode, "-s", "2001", "-key", "domain"]);
        let port = free_ports();
        let of = |offset: u16| (port + offset).to_string();
        command.args(["trial.example", "-key", "via", via, "-key", "rtp", &of(8)]);
        command.args(["-key", "proto", proto, "-key", "crypto", crypto]);
        command.args(["-key", "username", username]);
        command.args(["-p", &of(0), "-mp", &of(2)]);
        command.args(["-trace_err", "-error_file"]).arg(self.file("err"));
        if self.scenario.copies.is_some() {
            command.args(["-trace_msg", "-message_file"]).arg(self.file("msg"));
        }
        command.stdin(Stdio::null()).output().expect("sipp starts")
    }

    fn file(&self, kind: &str) -> PathBuf {
        self.files.join(format!("{}-{:?}.{kind}", self.scenario.name, self.over))
    }

    /// What is wrong with how it went.
    fn judge(&self, output: &Output) -> Option<String> {
        if !output.status.success() {
            let said = std::fs::read(self.file("err")).unwrap_or_default();
            let said = String::from_utf8_lossy(&said).chars().take(600).collect::<String>();
            return Some(format!("{self}: {}: {said}", output.status));
        }
        let (status, on_udp, on_stream) = self.scenario.copies?;
        let wanted = if self.over == Udp { on_udp } else { on_stream };
        let text = String::from_utf8_lossy(&std::fs::read(self.file("msg")).ok()?).into_owned();
        let start = format!("\nSIP/2.0 {status} ");
        // A message that sipp already knows is in its file twice; the second time under another title.
        let found = text.split("\n-----").filter(|part| {
            let title = part.find("message received").is_some();
            title && part.split("Unexpected").next().is_some_and(|part| part.contains(&start))
        });
        let found = found.count();
        (found != wanted).then(|| format!("{self}: {found} copies of {status}, not {wanted}"))
    }
}

/// Ports that nobody has, for one sipp: below those that the system gives out by itself (32768 and up), since whoever
/// asks for any port might get one of ours between our look at it and its use.
fn free_ports() -> u16 {
    const FIRST: u16 = 20_000;
    const BLOCKS: u16 = 12_000 / BLOCK;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    loop {
        let block = NEXT.fetch_add(1, Ordering::Relaxed) % BLOCKS;
        let first = FIRST + block * BLOCK;
        let is_free = |port| {
            UdpSocket::bind(("127.0.0.1", port)).is_ok()
                && TcpListener::bind(("127.0.0.1", port)).is_ok()
        };
        if (first..first + BLOCK).all(is_free) {
            return first;
        }
    }
}

/// For SIP, for what sipp binds for audio and video, and the one that stands in SDP.
const BLOCK: u16 = 10;

/// The user name of the telephone in the standard account.
fn telephone(trial: &Trial) -> String {
    let json = trial.json();
    let accounts = json["accounts"].as_array().expect("accounts").iter();
    let mut standard = accounts.filter(|a| a["profile"] == "standard");
    let account: &Value = standard.next().expect("the standard account");
    let username = account.pointer("/mailboxes/0/persons/0/device/username");
    username.and_then(Value::as_str).expect("a telephone").to_owned()
}

#[test]
fn every_scenario_of_sipp_goes_its_way_over_udp_tcp_and_tls() {
    if !is_installed("sipp") || !is_installed("stunnel4") {
        return warn_not_tested("sipp and stunnel are not installed (`make test` installs them)");
    }
    let mut trial = Trial::create(&["--lab-udp", "127.0.0.1:0", "--lab-tcp", "127.0.0.1:0"]);
    // All of them call one mailbox from one number.
    trial.configure("limits", "deposits_per_caller_max = 0");
    trial.serve();
    let (tunnel, stranger) = (Tunnel::of_the_trunk(&trial), Tunnel::of_nobody(&trial));
    let old_tunnel = Tunnel::of_the_trunk_by_tls_1_2(&trial);
    let files = trial.dir().join("sipp");
    std::fs::create_dir(&files).expect("a folder");
    let telephone = telephone(&trial);

    let runs: Vec<Run<'_>> = SCENARIOS
        .iter()
        .flat_map(|scenario| scenario.over.iter().map(move |over| (scenario, *over)))
        .map(|(scenario, over)| Run { scenario, over, files: files.clone() })
        .collect();
    let next = AtomicUsize::new(0);
    let wrong = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                while let Some(run) = runs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let address = match run.over {
                        Udp => trial.address("lab_udp"),
                        Tcp => trial.address("lab_tcp"),
                        Tls if run.scenario.name == "strange_peer" => stranger.address(),
                        Tls => tunnel.address(),
                        Tls12 => old_tunnel.address(),
                    };
                    let output = run.start(address, &telephone);
                    wrong.lock().expect("a list").extend(run.judge(&output));
                }
            });
        }
    });
    let wrong = wrong.into_inner().expect("a list");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));

    // No more calls than they made: a repetition or a second path is none.
    let log = trial.stop();
    let calls = log.lines().filter(|line| line.contains("call ended")).count();
    let wanted: usize = runs.iter().map(|run| run.scenario.calls).sum();
    assert_eq!(calls, wanted);
}

#[test]
fn every_file_of_sipp_is_run() {
    let stem = |path: &Path| path.file_stem()?.to_str().map(str::to_owned);
    let files: BTreeSet<String> = std::fs::read_dir(folder())
        .expect("the scenarios")
        .filter_map(|entry| stem(&entry.ok()?.path()))
        .collect();
    let named: BTreeSet<String> = SCENARIOS.iter().map(|s| s.name.to_owned()).collect();
    assert_eq!(files, named);
}
