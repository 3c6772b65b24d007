//! A scanner at work while somebody leaves a message: the patterns of sipvicious (svmap, svwar, svcrack) and garbage,
//! from addresses that are no trunk's. The message is whole, memory and audit log do not grow with the flood, and who
//! exists can't be told from who does not.
//!
//! HUSHBOX_SCANS is the number of requests (5000); `make campaign` sends 100,000 and runs the real programs too.

use std::net::{IpAddr, SocketAddr};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use hushbox_load::scenario::{self, StepOutcome};
use hushbox_load::script::Step;
use hushbox_load::timeline::RATE;
use hushbox_tests::calls::{delivered, forwarded, leave_at_once, listen, owner, run, speech};
use hushbox_tests::trial::{Trial, warn_not_tested};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, UdpSocket};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// Requests sent before answers are looked for.
const BATCH: usize = 50;
/// Nothing more comes for what was sent.
const QUIET: Duration = Duration::from_millis(50);
/// Answers of a probe may take this long on a busy machine.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// What the server may hold more than before, whatever the number of requests.
const MEMORY_KIB_MAX: u64 = 48 * 1024;
/// What the audit log may grow by: a call, a log-in, and the like.
const AUDIT_BYTES_MAX: u64 = 64 * 1024;

/// No trunk's, and each transport its own, so that one's limits do not spare the others.
const SCANNERS: [[u8; 4]; 3] = [[127, 0, 0, 2], [127, 0, 0, 3], [127, 0, 0, 4]];

fn lab() -> Trial {
    Trial::start(&["--lab-udp", "127.0.0.1:0", "--lab-tcp", "127.0.0.1:0"])
}

/// One request as the scanner writes it (`makeRequest` of its svhelper).
fn request(method: &str, uri: &str, extension: &str, number: usize, more: &str) -> String {
    format!(
        "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.2:5060;branch=z9hG4bK-{number};rport\r\n\
         Content-Length: 0\r\nFrom: \"{extension}\"<sip:{extension}@127.0.0.1>;tag={number:08x}\r\n\
         Accept: application/sdp\r\nUser-Agent: friendly-scanner\r\nTo: \"{extension}\"<sip:{extension}@127.0.0.1>\r\n\
         Contact: sip:123@1.1.1.1\r\nCSeq: 1 {method}\r\nCall-ID: {number}\r\nMax-Forwards: 70\r\n{more}\r\n"
    )
}

/// The patterns in turn: svmap's OPTIONS, svwar's REGISTER, INVITE and OPTIONS for every extension, svcrack's guesses,
/// and what is no SIP, or hardly.
fn pattern(number: usize) -> Vec<u8> {
    let extension = (100 + number % 9900).to_string();
    let uri = format!("sip:{extension}@127.0.0.1");
    let guess = format!(
        "Authorization: Digest username=\"{extension}\",realm=\"hushbox\",nonce=\"{number:x}\",uri=\"{uri}\",\
         response=\"{number:032x}\",algorithm=MD5\r\n"
    );
    match number % 8 {
        0 => request("OPTIONS", "sip:100@127.0.0.1", "100", number, ""),
        1 => request("REGISTER", "sip:127.0.0.1", &extension, number, ""),
        2 | 3 => request("INVITE", &uri, &extension, number, ""),
        4 => request("OPTIONS", &uri, &extension, number, ""),
        5 => request("REGISTER", "sip:127.0.0.1", &extension, number, &guess),
        6 => request("INVITE", &uri, &extension, number, &guess),
        // Lies about its length; on a stream it costs the scanner its connection.
        _ => {
            request("INVITE", &uri, &extension, number, "").replace("Length: 0", "Length: 99999999")
        }
    }
    .into_bytes()
}

/// How many requests are sent, and answers that came.
#[derive(Clone, Copy, Debug, Default)]
struct Sent {
    requests: usize,
    answers: usize,
}

async fn flood_by_datagrams(from: IpAddr, to: SocketAddr, count: usize) -> Sent {
    let socket = UdpSocket::bind((from, 0)).await.expect("an address of the loopback network");
    let mut sent = Sent::default();
    let mut buffer = vec![0; 65_536];
    while sent.requests < count {
        for _ in 0..BATCH {
            let bytes = match sent.requests % 100 {
                99 => b"\x00\x01\x02 not a message\r\n\r\n".to_vec(),
                _ => pattern(sent.requests),
            };
            // What does not go out is no load; the scanner goes on.
            let _ = socket.send_to(&bytes, to).await;
            sent.requests += 1;
        }
        for _ in 0..BATCH {
            match timeout(QUIET, socket.recv(&mut buffer)).await {
                Ok(_) => sent.answers += 1,
                Err(_) => break,
            }
        }
    }
    sent
}

/// Sends what it can over one connection after the other: a server may close each of them, or not take it.
async fn flood_by_streams(to: Target, count: usize) -> Sent {
    let mut sent = Sent::default();
    while sent.requests < count {
        // A connection that is refused was a try as well.
        sent.requests += 1;
        let Some(mut stream) = timeout(ANSWER_WITHIN, to.dial()).await.ok().flatten() else {
            continue;
        };
        while sent.requests < count && one_batch(&mut sent, &mut stream).await {}
    }
    sent
}

/// Whether the connection will do for more.
async fn one_batch(sent: &mut Sent, stream: &mut Box<dyn Stream>) -> bool {
    let mut bytes = Vec::new();
    for _ in 0..BATCH {
        bytes.extend_from_slice(&pattern(sent.requests));
        sent.requests += 1;
        if sent.requests.is_multiple_of(8) {
            break;
        }
    }
    if !matches!(timeout(ANSWER_WITHIN, stream.write_all(&bytes)).await, Ok(Ok(()))) {
        return false;
    }
    let mut buffer = vec![0; 65_536];
    loop {
        match timeout(QUIET, stream.read(&mut buffer)).await {
            Ok(Ok(length)) if length > 0 => {
                let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
                sent.answers += text.matches("SIP/2.0 ").count();
            }
            Ok(_) => return false,
            Err(_) => return true,
        }
    }
}

/// Both ways of a stream.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A listener for streams, and the address that it is called from.
#[derive(Clone)]
struct Target {
    from: IpAddr,
    to: SocketAddr,
    tls: Option<Arc<rustls::ClientConfig>>,
}

impl Target {
    /// A connection without a client certificate.
    async fn dial(&self) -> Option<Box<dyn Stream>> {
        let socket = TcpSocket::new_v4().ok()?;
        socket.bind((self.from, 0).into()).ok()?;
        let stream = socket.connect(self.to).await.ok()?;
        let Some(config) = &self.tls else { return Some(Box::new(stream)) };
        let connector = TlsConnector::from(Arc::clone(config));
        let stream = connector.connect(ServerName::from(self.to.ip()), stream).await.ok()?;
        Some(Box::new(stream))
    }
}

/// Trusts the trial's authority, and has no certificate.
fn stranger(trial: &Trial) -> Arc<rustls::ClientConfig> {
    let json = trial.json();
    let pem = std::fs::read(json["ca"].as_str().expect("a path")).expect("the authority");
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        roots.add(certificate.expect("PEM")).expect("a certificate");
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().expect("versions");
    Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
}

async fn flood(trial: &Trial, count: usize) -> [Sent; 3] {
    let [udp, tcp, tls] = SCANNERS.map(IpAddr::from);
    let tcp = Target { from: tcp, to: trial.address("lab_tcp"), tls: None };
    let tls = Target { from: tls, to: trial.address("tls"), tls: Some(stranger(trial)) };
    let (udp, tcp, tls) = tokio::join!(
        flood_by_datagrams(udp, trial.address("lab_udp"), count * 8 / 10),
        flood_by_streams(tcp, count / 10),
        flood_by_streams(tls, count / 10),
    );
    [udp, tcp, tls]
}

fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).expect("resident memory");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

fn audit_bytes(trial: &Trial) -> u64 {
    Trial::files_under(&trial.dir().join("data/audit")).iter().map(|(_, b)| b.len() as u64).sum()
}

fn scans() -> usize {
    std::env::var("HUSHBOX_SCANS").map_or(5000, |count| count.parse().expect("a number"))
}

#[test]
fn a_flood_of_scans_changes_nothing_for_a_call_in_progress() {
    let mut trial = lab();
    // What the first call of a server allocates is no flood's.
    let first = run(scenario::call(
        &forwarded(&trial, "1002"),
        &leave_at_once(&speech(1, Duration::from_secs(1))),
    ));
    assert!(first.expect("a call").is_ok());
    let count = scans();
    let sound = speech(81, Duration::from_secs(8 + count as u64 / 1000));
    let (memory, audit) = (resident_kib(trial.pid()), audit_bytes(&trial));
    let (left, sent) = run(async {
        let (plan, script) = (forwarded(&trial, "1001"), leave_at_once(&sound));
        let (answered, begin) = tokio::sync::oneshot::channel();
        let mut answered = Some(answered);
        // The greeting is heard: from now on the scanner is at work.
        let mut watch = |_: &StepOutcome| {
            answered.take().map(|answered| answered.send(()));
        };
        let scanner = async {
            // A call that was not answered is told of below.
            let _called = begin.await;
            flood(&trial, count).await
        };
        tokio::join!(scenario::call_watched(&plan, &script, &mut watch), scanner)
    });
    let left = left.expect("a call");
    assert!(left.is_ok(), "{:?} {:?}", left.refusal, left.steps);
    assert!(sent.iter().map(|s| s.requests).sum::<usize>() >= count * 9 / 10, "{sent:?}");
    assert!(sent.iter().all(|s| s.answers > 0), "each listener was reached: {sent:?}");
    let grown = resident_kib(trial.pid()).saturating_sub(memory);
    assert!(grown < MEMORY_KIB_MAX, "{grown} KiB more");
    let written = audit_bytes(&trial) - audit;
    assert!(written < AUDIT_BYTES_MAX, "{written} bytes of audit");

    let row = &delivered(&trial, "1001", 1)[0];
    assert_eq!(row["truncated"], false, "{row}");
    let (plan, pin) = owner(&trial, "1001");
    let mut script = listen(&pin, &sound[..5 * RATE]);
    // Up to where it was heard; the rest of a long message is not waited for.
    let heard_at = script.iter().position(|step| matches!(step, Step::Find { .. }));
    script.truncate(heard_at.expect("it listens") + 1);
    let heard = run(scenario::call(&plan, &script)).expect("a call");
    assert!(heard.is_ok(), "{:?} {:?}", heard.refusal, heard.steps);
    let log = trial.stop();
    let deposits: Vec<&str> =
        log.lines().filter(|l| l.contains("call ended") && l.contains("\"deposit\"")).collect();
    assert_eq!(deposits.len(), 2, "the scanner had no call: {deposits:?}");
    assert!(deposits.iter().all(|line| line.contains(" lost=0 ")), "{deposits:?}");
}

/// Whether these are whole responses, and the last of them a final one.
fn is_final(text: &str) -> bool {
    let last = text.rfind("SIP/2.0 ").and_then(|at| text.get(at + 8..));
    last.is_some_and(|last| !last.starts_with('1') && last.ends_with("\r\n\r\n"))
}

/// A request of each kind, in its answers everything that is the request's own or drawn anew made the same.
async fn probed(
    trial: &Trial,
    source: u8,
    transport: &str,
    kind: usize,
    extension: &str,
) -> String {
    let number = 7_000_000 + kind * 1000 + usize::from(source);
    let (from, to) = (IpAddr::from([127, 0, 1, source]), trial.address(transport));
    let uri = |domain: &str| format!("sip:{extension}@{domain}");
    let guess = format!(
        "Authorization: Digest username=\"{extension}\",realm=\"hushbox\",nonce=\"{number}\",uri=\"{}\",\
         response=\"00112233445566778899aabbccddeeff\",cnonce=\"x\",nc=00000001,qop=auth\r\n",
        uri("127.0.0.1")
    );
    let bytes = match kind {
        0 => request("OPTIONS", &uri("127.0.0.1"), extension, number, ""),
        1 => request("REGISTER", "sip:127.0.0.1", extension, number, ""),
        2 => request("INVITE", &uri("127.0.0.1"), extension, number, ""),
        3 => request("INVITE", &uri("trial.example"), extension, number, ""),
        4 => request("INVITE", &uri("clinic.example"), extension, number, ""),
        5 => request("INVITE", &uri("127.0.0.1"), extension, number, &guess),
        6 => request(
            "SUBSCRIBE",
            &uri("trial.example"),
            extension,
            number,
            "Event: message-summary\r\n",
        ),
        7 => request("BYE", &uri("trial.example"), extension, number, ""),
        _ => request("MESSAGE", &uri("trial.example"), extension, number, ""),
    };
    let mut text = String::new();
    if transport == "lab_udp" {
        let socket = UdpSocket::bind((from, 0)).await.expect("an address of the loopback network");
        socket.send_to(bytes.as_bytes(), to).await.expect("sent");
        let mut buffer = vec![0; 65_536];
        while !is_final(&text) {
            let received = timeout(ANSWER_WITHIN, socket.recv(&mut buffer)).await;
            let length = received.expect("an answer").expect("received");
            text += &String::from_utf8_lossy(&buffer[..length]);
        }
    } else {
        let tls = (transport == "tls").then(|| stranger(trial));
        let mut stream = Target { from, to, tls }.dial().await.expect("a connection");
        stream.write_all(bytes.as_bytes()).await.expect("sent");
        while !is_final(&text) {
            let mut buffer = vec![0; 65_536];
            let received = timeout(ANSWER_WITHIN, stream.read(&mut buffer)).await;
            let length = received.expect("an answer").expect("received");
            assert_ne!(length, 0, "closed without an answer");
            text += &String::from_utf8_lossy(&buffer[..length]);
        }
    }
    let text = text.replace(extension, "EXTENSION").replace(&from.to_string(), "SOURCE");
    let text =
        text.replace(&format!("{number:08x}"), "NUMBER").replace(&number.to_string(), "NUMBER");
    let lines = text.lines().map(|line| {
        let line = line.split("rport=").next().unwrap_or_default();
        let to = if line.starts_with("To:") {
            line.split(";tag=").next().unwrap_or_default()
        } else {
            line
        };
        match to.split_once("nonce=\"") {
            Some((before, after)) => {
                let after = after.split_once('"').map_or("", |(_, after)| after);
                format!("{before}nonce{after}")
            }
            None => to.to_owned(),
        }
    });
    lines.filter(|line| !line.starts_with("Date:")).collect::<Vec<_>>().join("\n")
}

#[test]
fn an_extension_that_exists_is_answered_as_one_that_does_not() {
    let trial = lab();
    // A mailbox, a person and a device of each account, with a neighbour that nobody has.
    let pairs = [
        ("2001", "2999"),
        ("7101", "7199"),
        ("phone-7101", "phone-7199"),
        ("1001", "1998"),
        ("phone-7001", "phone-7901"),
    ];
    let mut source = 0;
    let mut statuses = std::collections::BTreeSet::new();
    for (existing, other) in pairs {
        for transport in ["lab_udp", "lab_tcp", "tls"] {
            // An address of its own for each: what one has used up of its limits does not tell.
            source += 2;
            for kind in 0..9 {
                let there = run(probed(&trial, source, transport, kind, existing));
                let not = run(probed(&trial, source + 1, transport, kind, other));
                assert_eq!(there, not, "kind {kind} over {transport}");
                assert!(there.starts_with("SIP/2.0 "), "{there}");
                let last = there.rfind("SIP/2.0 ").expect("a status");
                statuses.insert(there[last + 8..last + 11].to_owned());
            }
        }
    }
    assert!(statuses.contains("401"), "{statuses:?}");
    assert!(!statuses.iter().any(|s| matches!(s.as_str(), "403" | "404")), "{statuses:?}");
}

/// Takes every address from the trunk: svwar binds to none of its own, whatever it is told.
fn trust_no_address(trial: &Trial) {
    let json = trial.json();
    let staff = json["accounts"].as_array().into_iter().flatten();
    let mut staff = staff.flat_map(|account| account["staff"].as_array().into_iter().flatten());
    let admin = staff.find(|person| person["number"] == "9000").expect("the security-admin");
    let pin = trial.dir().join("pin");
    std::fs::write(&pin, admin["pin"].as_str().expect("a PIN")).expect("written");
    let pin = pin.to_str().expect("a path");
    let set = ["trunk", "set", "pbx", "--no-lab-address", "--as", "9000", "--pin-file", pin];
    let output = trial.command(&set);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// One of sipvicious's programs against the lab listener; what it printed.
fn sipvicious(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = [output.stdout, output.stderr].concat();
    Some(String::from_utf8_lossy(&text).into_owned())
}

#[test]
#[ignore = "takes minutes: make campaign"]
fn the_real_scanners_find_a_server_and_nobody_on_it() {
    let trial = lab();
    trust_no_address(&trial);
    let port = trial.address("lab_udp").port();
    let (port, url) = (port.to_string(), format!("udp://127.0.0.1:{port}"));
    let Some(found) = sipvicious("svmap", &["-p", &port, "127.0.0.1"]) else {
        return warn_not_tested("sipvicious is not installed");
    };
    assert!(found.contains(&port), "svmap sees that there is a server: {found}");
    let existing = ["2001", "7101", "1001"];
    for method in ["REGISTER", "INVITE", "OPTIONS"] {
        for force in [&[][..], &["--force"]] {
            let mut arguments = vec!["-m", method, "-e", "1000-2100,7100-7102"];
            arguments.extend_from_slice(force);
            arguments.push(&url);
            let found = sipvicious("svwar", &arguments).expect("it is there");
            let named = |extension: &str| found.contains(&format!("| {extension} "));
            let all = ["2002", "7100", "1002"];
            for (there, not) in existing.iter().zip(all) {
                assert_eq!(named(there), named(not), "{method}: {found}");
            }
        }
    }
    for extension in existing {
        let arguments = ["-u", extension, "-r", "1000-1200", &url];
        let found = sipvicious("svcrack", &arguments).expect("it is there");
        assert!(!found.contains(&format!("| {extension} ")), "svcrack: {found}");
    }
}
