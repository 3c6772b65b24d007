//! Every message of RFC 4475 and RFC 5118, with what the parser and the endpoint make of it.
//!
//! The messages are data beside the checkout: a folder that holds `rfc4475/` and `rfc5118/`, named
//! by HUSHBOX_TORTURE_DIR, else `shared` next to the checkout's own folder.

use hushbox_sip::{
    Config, Endpoint, Event, Flow, HostPort, Input, Limits, Listener, Message, Output, Transport,
};
use std::collections::BTreeSet;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// What is expected of each message, here and of a running server (`tests/tests/wire_torture.rs`).
const TABLE: &str = include_str!("torture.tsv");

/// What becomes of a message that came as a datagram.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Verdict {
    /// It reaches the application as a call.
    Call,
    /// It reaches the application, which is told to refuse it once the caller is known.
    CallThen(u16),
    /// It is answered at once.
    Status(u16),
    /// It is dropped.
    Nothing,
}

impl Verdict {
    fn read(text: &str) -> Self {
        let number = |text: &str| text.parse().expect("a status");
        match text {
            "call" => Verdict::Call,
            "none" => Verdict::Nothing,
            _ => match text.strip_prefix("call-") {
                Some(status) => Verdict::CallThen(number(status)),
                None => Verdict::Status(number(text)),
            },
        }
    }
}

use Verdict::{Call, CallThen, Nothing, Status};

/// The rows of a folder: the message, whether the parser takes it, and our verdict out of those that the RFC allows.
fn rows(folder: &str) -> Vec<(&'static str, bool, Verdict)> {
    let lines = TABLE.lines().filter(|line| !line.starts_with('#')).skip(1);
    let cells = lines.map(|line| line.split('\t').collect::<Vec<_>>());
    cells
        .filter(|cells| cells[0] == folder)
        .map(|cells| (cells[1], cells[2] == "yes", Verdict::read(cells[3])))
        .collect()
}

#[test]
fn every_message_of_rfc_4475_has_its_verdict() {
    check("rfc4475", 50);
}

#[test]
fn every_message_of_rfc_5118_has_its_verdict() {
    check("rfc5118", 12);
}

fn check(folder: &str, messages: usize) {
    let table = rows(folder);
    assert_eq!(table.len(), messages);
    let Some(folder) = torture_folder().map(|f| f.join(folder)).filter(|f| f.is_dir()) else {
        // Straight to stderr: what a passing test prints is not shown.
        let warning = "WARNING: NOTHING WAS TESTED: no folder";
        let advice = "here. Set HUSHBOX_TORTURE_DIR to the folder that holds it.";
        writeln!(std::io::stderr(), "{warning} {folder} {advice}").expect("stderr");
        return;
    };
    let manifest = std::fs::read_to_string(folder.join("manifest.tsv")).expect("a manifest");
    let names: BTreeSet<_> = table.iter().map(|(name, ..)| *name).collect();
    let listed: BTreeSet<_> =
        manifest.lines().skip(1).filter_map(|line| line.split('\t').next()).collect();
    assert_eq!(names, listed, "the table has every message of the manifest");
    let mut wrong = Vec::new();
    for (name, parses, verdict) in &table {
        let bytes = std::fs::read(folder.join(name)).expect("a message");
        let parsed = Message::parse(&bytes);
        if parsed.is_ok() != *parses {
            wrong.push(format!("{name}: parser {:?}", parsed.as_ref().err()));
        }
        let written = parsed.as_ref().map(Message::to_bytes);
        if written.is_ok_and(|bytes| Message::parse(&bytes).is_err()) {
            wrong.push(format!("{name}: not accepted once it is written again"));
        }
        let found = judge(&bytes);
        if found != *verdict {
            wrong.push(format!("{name}: {found:?} instead of {verdict:?}"));
        }
        let stream = stream_answers_afterwards(&bytes);
        if !stream {
            wrong.push(format!("{name}: another stream is not served after it"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn torture_folder() -> Option<PathBuf> {
    if let Some(folder) = std::env::var_os("HUSHBOX_TORTURE_DIR") {
        return Some(PathBuf::from(folder));
    }
    let package = std::env::var_os("CARGO_MANIFEST_DIR")?;
    let checkout = Path::new(&package).parent()?.parent()?;
    let beside = checkout.parent()?.join("shared");
    beside.is_dir().then_some(beside)
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn endpoint() -> Endpoint {
    let listener = Listener {
        transport: Transport::Udp,
        local: address("192.0.2.100:5060"),
        advertised: HostPort::new("example.com", None).expect("a host"),
    };
    let product = "Hushbox/0".to_owned();
    let config = Config { product, listeners: vec![listener], limits: Limits::default() };
    Endpoint::new(config, [1; 32])
}

fn flow(connection: Option<u64>) -> Flow {
    Flow {
        transport: if connection.is_some() { Transport::Tcp } else { Transport::Udp },
        local: address("192.0.2.100:5060"),
        remote: address("192.0.2.1:5060"),
        connection: connection.map(hushbox_sip::ConnectionId),
    }
}

#[expect(clippy::disallowed_methods, reason = "an origin for virtual time; nothing reads it again")]
fn origin() -> Instant {
    Instant::now()
}

fn judge(bytes: &[u8]) -> Verdict {
    let mut endpoint = endpoint();
    endpoint.handle_input(origin(), Input::Datagram { flow: flow(None), bytes });
    let mut verdict = Nothing;
    loop {
        match endpoint.poll_output() {
            Output::Event(Event::Invite { invite, .. }) => {
                verdict = invite.after_authentication().map_or(Call, |r| CallThen(r.status));
            }
            Output::Transmit { bytes, .. } => {
                let text = String::from_utf8_lossy(&bytes);
                let status = text.get(8..11).and_then(|s| s.parse().ok()).expect("a status");
                if status != 100 {
                    assert_eq!(verdict, Nothing);
                    verdict = Status(status);
                }
            }
            Output::Event(_) | Output::Disconnect { .. } | Output::Connect { .. } => {}
            Output::Timeout(_) => return verdict,
        }
    }
}

fn stream_answers_afterwards(bytes: &[u8]) -> bool {
    let now = origin();
    let mut endpoint = endpoint();
    endpoint.handle_input(now, Input::StreamData { flow: flow(Some(1)), bytes });
    while !matches!(endpoint.poll_output(), Output::Timeout(_)) {}
    let options = b"OPTIONS sip:a@example.com SIP/2.0\r\nv:SIP/2.0/TCP h;branch=z9hG4bKx\r\n\
        f:<sip:a@b>;tag=1\r\nt:<sip:a@b>\r\ni:x\r\nCSeq:1 OPTIONS\r\nl:0\r\n\r\n";
    endpoint.handle_input(now, Input::StreamData { flow: flow(Some(2)), bytes: options });
    matches!(endpoint.poll_output(), Output::Transmit { bytes, .. } if bytes.starts_with(b"SIP/2.0 200"))
}
