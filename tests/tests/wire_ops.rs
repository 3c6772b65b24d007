//! What ops teams see of a running server: metrics, health, traces of calls.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::ops::ControlFlow;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hushbox_audit::{Event, EventName, Who};
use hushbox_backend::audit_file::AuditReader;
use hushbox_backend::volume::folder::Folder;
use hushbox_load::scenario;
use hushbox_load::script::Step;
use hushbox_tests::calls::{delivered, forwarded, leave_at_once, run, speech, while_recording};
use hushbox_tests::trial::Trial;
use serde_json::Value;

/// Asks the server over HTTP: status and body. `None` where it is gone.
fn try_get(at: SocketAddr, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(at).ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let status = answer.split(' ').nth(1)?.parse().ok()?;
    let (_, body) = answer.split_once("\r\n\r\n")?;
    Some((status, body.to_owned()))
}

fn get(at: SocketAddr, path: &str) -> (u16, String) {
    try_get(at, path).expect("an answer")
}

/// The metrics, each series with its value.
fn metrics(at: SocketAddr) -> BTreeMap<String, f64> {
    let (status, text) = get(at, "/metrics");
    assert_eq!(status, 200);
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let pairs = lines.map(|line| {
        let (series, value) = line.rsplit_once(' ').expect("a value");
        (series.to_owned(), value.parse().expect("a number"))
    });
    pairs.collect()
}

/// The name of a series, without what a histogram adds to it.
fn base(series: &str) -> &str {
    let name = series.split('{').next().expect("a name");
    let ends = ["_bucket", "_sum", "_count"];
    ends.iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name)
}

#[test]
fn metrics_are_those_of_the_page_and_count_a_call_without_naming_anybody() {
    let trial = Trial::start(&["--lab-udp", "127.0.0.1:0"]);
    let at = trial.address("ops");
    let outcome = run(scenario::call(
        &forwarded(&trial, "1001"),
        &leave_at_once(&speech(61, Duration::from_secs(2))),
    ));
    assert!(outcome.expect("a call").is_ok());
    let _rows = delivered(&trial, "1001", 1);
    // The row is there a moment before the spool's place is freed, and only then is it counted.
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut series = metrics(at);
    while series.get("hushbox_messages_delivered_total") != Some(&1.0) {
        assert!(Instant::now() < deadline, "the message is counted");
        series = metrics(at);
    }
    let served: BTreeSet<&str> = series.keys().map(|series| base(series)).collect();
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/metrics.md"))
        .expect("the page");
    let named = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let named: BTreeSet<&str> = named
        .map(|(name, _)| name)
        .filter(|name| name.starts_with("hushbox_") || name.starts_with("process_"))
        // The trial registers nowhere.
        .filter(|name| !name.starts_with("hushbox_regist"))
        .collect();
    assert_eq!(served, named);

    let count = |series_name: &str| {
        *series.get(series_name).unwrap_or_else(|| panic!("{series_name} is not there"))
    };
    let trunk = trial.list(&["trunk", "list"]);
    let trunk = trunk[0]["name"].as_str().expect("a name");
    let invites = |method: &str| {
        count(&format!(
            "hushbox_sip_requests_total{{method=\"{method}\",transport=\"tls\",trunk=\"{trunk}\"}}"
        ))
    };
    assert!(invites("INVITE") >= 1.0 && invites("BYE") >= 1.0);
    let admitted = format!("hushbox_calls_admitted_total{{kind=\"deposit\",trunk=\"{trunk}\"}}");
    assert_eq!(count(&admitted), 1.0);
    assert_eq!(count("hushbox_calls_ended_total{kind=\"deposit\",reason=\"caller-hung-up\"}"), 1.0);
    assert_eq!(count("hushbox_invite_to_200_seconds_count"), 1.0);
    assert_eq!(count("hushbox_messages_saved_total"), 1.0);
    assert_eq!(count("hushbox_messages_delivered_total"), 1.0);
    assert_eq!(count("hushbox_deliveries_pending"), 0.0);
    assert_eq!(count("hushbox_calls{kind=\"deposit\"}"), 0.0);
    assert_eq!(count("hushbox_ready"), 1.0);
    assert!(count("hushbox_rtp_packets_received_total") > 50.0);
    assert!(count("hushbox_disk_free_bytes{folder=\"data\"}") > 0.0);
    assert!(count("hushbox_spool_sync_seconds_count") >= 1.0);

    // A trial's numbers, persons and devices stand in trial.json: none of them may stand in a label.
    let json = trial.json();
    let mut secret = BTreeSet::new();
    for mailbox in json["accounts"]
        .as_array()
        .expect("accounts")
        .iter()
        .flat_map(|account| account["mailboxes"].as_array().expect("mailboxes").iter())
    {
        secret.insert(mailbox["number"].as_str().expect("a number").to_owned());
        let person = &mailbox["persons"][0];
        secret.insert(person["number"].as_str().expect("a number").to_owned());
        secret.insert(person["device"]["username"].as_str().expect("a name").to_owned());
    }
    for label in series.keys().flat_map(|name| name.split('"').skip(1).step_by(2)) {
        assert!(!secret.contains(label), "{label}");
    }
    assert_eq!(get(at, "/health/live").0, 200);
    assert_eq!(get(at, "/messages").0, 404);
}

#[test]
fn a_call_is_traced_by_its_id_and_nothing_in_the_trace_names_anybody() {
    let trial = Trial::start(&[]);
    let mut plan = forwarded(&trial, "1001");
    plan.from = "5551234567".to_owned();
    let sent = speech(62, Duration::from_secs(2));
    let outcome = run(scenario::call(&plan, &leave_at_once(&sent))).expect("a call");
    assert!(outcome.is_ok(), "{:?}", outcome.steps);
    let mut stranger = plan.clone();
    stranger.identity.certificate = None;
    let refused = run(scenario::call(&stranger, &[Step::HangUp])).expect("an answer");
    assert_eq!(refused.refusal.expect("refused").status, 401);

    let calls = trial.list(&["trace"]);
    assert_eq!(calls.len(), 2, "{calls:?}");
    let call = calls[0]["call"].as_str().expect("an id");
    assert_eq!(
        (&calls[0]["kind"], &calls[0]["end"]),
        (&"deposit".into(), &"caller-hung-up".into())
    );
    assert!(calls[0]["trunk"].is_string() && calls[1]["call"].is_null());
    assert_eq!(calls[1]["end"], "refused: challenged");

    let rows = trial.list(&["trace", call]);
    let shown: Vec<&str> = rows.iter().filter_map(|row| row["message"].as_str()).collect();
    assert_eq!(
        shown,
        ["INVITE", "100 INVITE", "200 INVITE", "ACK", "BYE", "200 BYE", "caller-hung-up"]
    );
    let sdp = |at: usize| rows[at]["sdp"].as_str().expect("a summary");
    assert!(
        sdp(0).starts_with("audio RTP/SAVP") && sdp(2).contains("AEAD_AES_256_GCM"),
        "{rows:?}"
    );
    let by_hash = trial.list(&["trace", calls[1]["sip"].as_str().expect("a hash")]);
    let by_hash: Vec<&str> = by_hash.iter().filter_map(|row| row["message"].as_str()).collect();
    assert_eq!(by_hash, ["INVITE", "401 INVITE", "ACK", "refused: challenged"]);

    let printed = Value::Array(rows).to_string() + &Value::Array(calls.clone()).to_string();
    for secret in ["5551234567", "1001", "clinic", "127.0.0.1", "sip:", "inline"] {
        assert!(!printed.contains(secret), "{secret} in {printed}");
    }
    let table = trial.command(&["trace", call]);
    let table = String::from_utf8(table.stdout).expect("text");
    assert!(table.starts_with("SECONDS  WAY"), "{table}");
    let unknown = trial.command(&["trace", "ffffffffffffffff"]);
    assert!(!unknown.status.success());
}

#[test]
fn requests_that_one_source_sends_too_often_are_counted_and_a_trunk_is_never_too_often() {
    const BURST: u32 = 40;
    let mut trial = Trial::create(&["--lab-udp", "127.0.0.1:0"]);
    trial.configure("limits", "requests_per_source_max = 1");
    trial.serve();
    let to = trial.address("lab_udp");
    for from in [Ipv4Addr::LOCALHOST, Ipv4Addr::new(127, 0, 0, 2)] {
        let socket = UdpSocket::bind((from, 0)).expect("a socket");
        let local = socket.local_addr().expect("an address");
        for number in 0..BURST {
            let options = format!(
                "OPTIONS sip:{to} SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch=z9hG4bK{number}\r\n\
                 Max-Forwards: 70\r\nFrom: <sip:a@pbx.example>;tag=1\r\nTo: <sip:{to}>\r\n\
                 Call-ID: burst{number}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
            );
            socket.send_to(options.as_bytes(), to).expect("sent");
        }
    }
    let trunk = trial.list(&["trunk", "list"]);
    let trunk = trunk[0]["name"].as_str().expect("a name");
    let deadline = Instant::now() + Duration::from_secs(20);
    let came = |series: &BTreeMap<String, f64>, trunk: &str| {
        let labels = format!("method=\"OPTIONS\",transport=\"udp\",trunk=\"{trunk}\"");
        series.get(&format!("hushbox_sip_requests_total{{{labels}}}")).copied().unwrap_or(0.0)
    };
    let series = loop {
        let series = metrics(trial.address("ops"));
        if came(&series, "none") + came(&series, trunk) >= f64::from(2 * BURST) {
            break series;
        }
        assert!(Instant::now() < deadline, "not all requests came");
    };
    let refused = |trunk: &str| {
        let labels = format!("reason=\"source\",trunk=\"{trunk}\"");
        series[&format!("hushbox_sip_requests_refused_total{{{labels}}}")]
    };
    assert_eq!(came(&series, trunk), f64::from(BURST));
    assert_eq!(refused(trunk), 0.0);
    assert!(refused("none") >= 1.0, "{} refused", refused("none"));
}

/// What the audit log has of who looked at traces.
fn looks(trial: &Trial) -> Vec<Event> {
    let folder = Folder::open_or_create(&trial.dir().join("data/audit")).expect("the log");
    let mut looks = Vec::new();
    let read = AuditReader::new(Arc::new(folder)).each(&mut |record| {
        if record.event.name == EventName::CallTrace {
            looks.push(record.event);
        }
        ControlFlow::Continue(())
    });
    read.expect("records");
    looks
}

#[test]
fn who_looks_at_a_trace_is_written_down_with_the_call_before_anything_is_shown() {
    let mut trial = Trial::start(&[]);
    let sent = speech(64, Duration::from_secs(1));
    let outcome = run(scenario::call(&forwarded(&trial, "1001"), &leave_at_once(&sent)));
    assert!(outcome.expect("a call").is_ok());
    let calls = trial.list(&["trace"]);
    let call = calls[0]["call"].as_str().expect("an id");
    let seen = trial.list(&["trace", call]);
    assert!(!seen.is_empty());
    let sip = calls[0]["sip"].as_str().expect("what stands for its SIP Call-ID");
    assert_eq!(trial.list(&["trace", sip]), seen);
    // One that is not there was looked for all the same.
    assert!(!trial.command(&["trace", "ffffffffffffffff"]).status.success());
    // The command ran as this test does.
    let uid = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").expect("us"));
    let looks = looks(&trial);
    let named: Vec<Option<String>> =
        looks.iter().map(|event| event.call.map(|id| id.to_string())).collect();
    assert_eq!(named, [None, Some(call.to_owned()), Some(call.to_owned()), None]);
    for event in &looks {
        assert_eq!((&event.who, event.uid), (&Who::Operator { uid }, Some(uid)));
    }
    trial.stop();
    let verified = trial.command(&["audit", "verify"]);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
}

#[test]
fn readiness_ends_with_sigterm_while_the_last_call_goes_on() {
    let mut trial = Trial::start(&[]);
    let at = trial.address("ops");
    assert_eq!(get(at, "/health/ready").0, 200);
    let sent = speech(63, Duration::from_secs(6));
    let plan = forwarded(&trial, "1001");
    let pid = trial.pid().to_string();
    let (live, refused) = run(async {
        let asking = async {
            let told = Command::new("kill").args(["-TERM", &pid]).status();
            assert!(told.is_ok_and(|status| status.success()), "SIGTERM is sent");
            loop {
                // The signal takes its time.
                let asked = tokio::task::spawn_blocking(move || get(at, "/health/ready"));
                let (status, body) = asked.await.expect("asked");
                if status != 200 {
                    let counted = tokio::task::spawn_blocking(move || metrics(at));
                    return (status, body, counted.await.expect("asked"));
                }
            }
        };
        while_recording(&plan, &sent, asking).await
    });
    let (status, body, counted) = refused;
    assert_eq!(status, 503);
    let body: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(body["reason"], "draining");
    assert_eq!(counted["hushbox_ready"], 0.0);
    assert_eq!(counted["hushbox_calls{kind=\"deposit\"}"], 1.0);
    let live = live.expect("a call");
    assert!(live.is_ok(), "{:?}", live.steps);
    let log = trial.stop();
    assert!(!log.contains("panicked"), "{log}");
    assert!(try_get(at, "/health/live").is_none(), "it is gone");
}
