//! Every message of RFC 4475 and RFC 5118 against a running server: over UDP, TCP and TLS it gets the answer that the
//! table beside the parser's test says (`crates/hushbox-sip/tests/torture.tsv`), and the server serves on.
//!
//! The messages are data beside the checkout, as that test says. They come from the trunk: the server has a `standard`
//! account that owns example.com, with a mailbox and its alias `user`.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use hushbox_load::scenario;
use hushbox_tests::calls::{delivered, forwarded, leave_at_once, run, speech};
use hushbox_tests::trial::{Trial, is_installed, warn_not_tested};
use hushbox_tests::tunnel::Tunnel;

const TABLE: &str = include_str!("../../crates/hushbox-sip/tests/torture.tsv");

/// How long a message's answers are waited for: longer than a message on a stream may take to become whole.
const WITHIN: Duration = Duration::from_secs(20);

/// How soon an answer comes that comes at all. Answers to what is malformed are limited, ten a second to one address:
/// without one the message is sent again.
const SOON: Duration = Duration::from_secs(1);

/// Where datagrams come from, so that answers by the rules of RFC 3261 §18.2.2 come back: an address of our own...
const DATAGRAMS_FROM: Ipv4Addr = Ipv4Addr::new(127, 44, 75, 51);

/// ...and every port that a Via of the messages names.
const VIA_PORTS: [u16; 5] = [5060, 5050, 5070, 6050, 19_823];

struct Row {
    folder: &'static str,
    file: &'static str,
    /// Over UDP, TCP and TLS.
    verdicts: [&'static str; 3],
}

fn rows() -> Vec<Row> {
    let lines = TABLE.lines().filter(|line| !line.starts_with('#')).skip(1);
    let cells = lines.map(|line| line.split('\t').collect::<Vec<_>>());
    cells
        .map(|cells| Row {
            folder: cells[0],
            file: cells[1],
            verdicts: [cells[4], cells[5], cells[6]],
        })
        .collect()
}

fn torture_folder() -> Option<PathBuf> {
    if let Some(folder) = std::env::var_os("HUSHBOX_TORTURE_DIR") {
        return Some(PathBuf::from(folder));
    }
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?;
    let beside = checkout.parent()?.join("shared");
    beside.join("rfc4475").is_dir().then_some(beside)
}

/// A way to the server, and what comes back on it.
struct Wire {
    way: Way,
    back: Receiver<Vec<u8>>,
    via: &'static str,
    /// Final responses to INVITEs that came: nobody acknowledges them, and they come again.
    known: Known,
}

type Known = RefCell<BTreeSet<String>>;

enum Way {
    Datagrams(UdpSocket, SocketAddr),
    Stream(TcpStream),
}

impl Wire {
    fn datagrams(server: SocketAddr) -> Self {
        let (said, back) = mpsc::channel();
        let mut sockets = VIA_PORTS.map(|port| {
            let socket = UdpSocket::bind((DATAGRAMS_FROM, port));
            socket.unwrap_or_else(|e| panic!("{DATAGRAMS_FROM}:{port}: {e}"))
        });
        for socket in &sockets {
            let socket = socket.try_clone().expect("a handle");
            let said = said.clone();
            std::thread::spawn(move || {
                let mut buffer = vec![0; 65_536];
                while let Ok((length, _)) = socket.recv_from(&mut buffer) {
                    if said.send(buffer[..length].to_vec()).is_err() {
                        return;
                    }
                }
            });
        }
        let [socket, ..] = &mut sockets;
        let socket = socket.try_clone().expect("a handle");
        let way = Way::Datagrams(socket, server);
        Wire { way, back, via: "UDP", known: Known::default() }
    }

    fn stream(server: SocketAddr, via: &'static str) -> Self {
        let stream = TcpStream::connect(server).expect("connected");
        let mut reading = stream.try_clone().expect("a handle");
        let (said, back) = mpsc::channel();
        std::thread::spawn(move || {
            let mut buffer = vec![0; 65_536];
            while let Ok(length @ 1..) = reading.read(&mut buffer) {
                if said.send(buffer[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        Wire { way: Way::Stream(stream), back, via, known: Known::default() }
    }

    fn send(&self, bytes: &[u8]) {
        match &self.way {
            Way::Datagrams(socket, server) => {
                socket.send_to(bytes, server).expect("sent");
            }
            // The server may close while we write.
            Way::Stream(stream) => {
                let mut stream = stream;
                let _ = stream.write_all(bytes);
            }
        }
    }

    fn is_news(&self, response: &[u8]) -> bool {
        let text = String::from_utf8_lossy(response);
        let is_repeated = text.lines().any(|l| l.starts_with("CSeq:") && l.ends_with("INVITE"));
        !is_repeated || self.known.borrow_mut().insert(text.into_owned())
    }

    /// OPTIONS that nobody else sends.
    fn probe(&self, name: &str) {
        let Wire { via, .. } = self;
        self.send(
            format!(
                "OPTIONS sip:user@example.com SIP/2.0\r\n\
                 Via: SIP/2.0/{via} probe.invalid;rport;branch=z9hG4bKprobe{name}\r\n\
                 From: <sip:probe@example.com>;tag=1\r\nTo: <sip:user@example.com>\r\n\
                 Call-ID: probe\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
            )
            .as_bytes(),
        );
    }

    /// Sends a message and a probe after it, and waits for as many final answers as are expected, and the probe's.
    fn ask(&self, name: &str, message: &[u8], expected: &str) -> Heard {
        self.send(message);
        self.probe(name);
        let wanted = expected.split(' ').filter(|word| word.parse::<u16>().is_ok()).count();
        let (start, mut heard) = (Instant::now(), Heard::default());
        let mut bytes = Vec::new();
        loop {
            let is_done = heard.statuses.len() >= wanted
                && if expected.ends_with("closed") { heard.closed } else { heard.probed };
            // Whatever else comes is late: none of it may be an answer to another message.
            let patience = if heard.probed { SOON } else { WITHIN };
            let left = patience.saturating_sub(start.elapsed());
            if is_done || left.is_zero() {
                return heard;
            }
            match self.back.recv_timeout(left) {
                Ok(more) if self.via == "UDP" => {
                    if self.is_news(&more) {
                        heard = heard.and(&more);
                    }
                }
                Ok(more) => {
                    bytes.extend(more);
                    heard = Heard::default().and(&bytes);
                }
                Err(RecvTimeoutError::Disconnected) => {
                    heard.closed = true;
                    return heard;
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }
}

/// What came back.
#[derive(Default)]
struct Heard {
    /// Final statuses, without repetitions.
    statuses: Vec<String>,
    probed: bool,
    closed: bool,
}

impl Heard {
    fn and(mut self, bytes: &[u8]) -> Self {
        let text = format!("\r\n{}", String::from_utf8_lossy(bytes));
        for message in text.split("\r\nSIP/2.0 ").skip(1) {
            let status = message.get(..3).unwrap_or_default().to_owned();
            if message.contains("\r\nCall-ID: probe\r\n") {
                self.probed |= status == "200";
            } else if !status.starts_with('1') && !self.statuses.contains(&status) {
                self.statuses.push(status);
            }
        }
        self
    }

    fn verdict(&self) -> String {
        let mut words = self.statuses.clone();
        if self.closed {
            words.push("closed".to_owned());
        }
        if words.is_empty() { "none".to_owned() } else { words.join(" ") }
    }
}

/// Sends every message and says which got another verdict than the table's.
fn torture(folder: &Path, over: usize, wire: &dyn Fn() -> Wire) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut one = wire();
    for row in rows() {
        let message = std::fs::read(folder.join(row.folder).join(row.file)).expect("a message");
        let expected = row.verdicts[over];
        let deadline = Instant::now() + WITHIN;
        let heard = loop {
            if one.via != "UDP" {
                one = wire();
            }
            let heard = one.ask(row.file, &message, expected);
            let is_held_back = heard.verdict() != expected && heard.statuses.is_empty();
            if !is_held_back || Instant::now() >= deadline {
                break heard;
            }
        };
        if heard.verdict() != expected {
            wrong.push(format!("{} {}: {} not {expected}", one.via, row.file, heard.verdict()));
        }
        // Whatever became of it, the next one is served.
        let next = if one.via == "UDP" { None } else { Some(wire()) };
        if !next.as_ref().unwrap_or(&one).ask("next", b"", "none").probed {
            wrong.push(format!("{} {}: nobody is served after it", one.via, row.file));
        }
    }
    wrong
}

/// A directory command in the name of an administrator whose PIN stands in a file.
fn command(trial: &Trial, by: &str, pin_file: &Path, line: &str) {
    let pin_file = pin_file.to_str().expect("a path");
    let mut args: Vec<&str> = line.split(' ').collect();
    args.extend(["--as", by, "--pin-file", pin_file]);
    let output = trial.command(&args);
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The account that the messages call.
fn prepare(trial: &Trial) {
    let json = trial.json();
    let accounts = json["accounts"].as_array().expect("accounts");
    let system = accounts.iter().find(|a| a["profile"].is_null()).expect("the built-in account");
    let (root, admin) = (trial.dir().join("root.pin"), trial.dir().join("admin.pin"));
    std::fs::write(&root, system["staff"][0]["pin"].as_str().expect("a PIN")).expect("written");
    let by = format!("system/{}", system["staff"][0]["number"].as_str().expect("a number"));
    let pin_out = admin.to_str().expect("a path");
    let account = "account add example --domain example.com --profile standard --admin 7950";
    command(trial, &by, &root, &format!("{account} --pin-out {pin_out}"));
    let trunk = "trunk set pbx --account clinic --account trial --account example";
    let addresses = format!("--lab-address 127.0.0.1 --lab-address {DATAGRAMS_FROM}");
    command(trial, &by, &root, &format!("{trunk} {addresses}"));
    command(trial, "example/7950", &admin, "mailbox add 3001 --time-zone UTC");
    command(trial, "example/7950", &admin, "alias add user --mailbox 3001");
}

/// Tortures a server of its own, since the same INVITE by another path is a merged request (RFC 3261 §8.2.2.2).
fn torture_a_server(over: usize, tunnelled: bool, wire: impl Fn(&Trial, Option<&Tunnel>) -> Wire) {
    let Some(folder) = torture_folder() else {
        return warn_not_tested("the messages of RFC 4475 and 5118 (set HUSHBOX_TORTURE_DIR)");
    };
    let mut trial = Trial::start(&["--lab-udp", "127.0.0.1:0", "--lab-tcp", "127.0.0.1:0"]);
    prepare(&trial);
    let tunnel = tunnelled.then(|| Tunnel::of_the_trunk(&trial));
    let wrong = torture(&folder, over, &|| wire(&trial, tunnel.as_ref()));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));

    // A whole call to the alias that they have called all along.
    let mut plan = forwarded(&trial, "2001");
    plan.uri = "sip:user@example.com".to_owned();
    let left = leave_at_once(&speech(51, Duration::from_secs(2)));
    let outcome = run(scenario::call(&plan, &left)).expect("a call");
    assert!(outcome.is_ok(), "{:?} {:?}", outcome.refusal, outcome.steps);
    assert_eq!(delivered(&trial, "3001", 1).len(), 1);
    let log = trial.kill();
    assert!(!log.contains("panicked"), "{log}");
}

#[test]
fn every_message_has_its_verdict_over_udp_and_the_server_serves_on() {
    torture_a_server(0, false, |trial, _| Wire::datagrams(trial.address("lab_udp")));
}

#[test]
fn every_message_has_its_verdict_over_tcp_and_the_server_serves_on() {
    torture_a_server(1, false, |trial, _| Wire::stream(trial.address("lab_tcp"), "TCP"));
}

#[test]
fn every_message_has_its_verdict_over_tls_and_the_server_serves_on() {
    if !is_installed("stunnel4") {
        return warn_not_tested("torture over TLS: stunnel is not installed");
    }
    torture_a_server(2, true, |_, tunnel| Wire::stream(tunnel.expect("a tunnel").address(), "TLS"));
}
