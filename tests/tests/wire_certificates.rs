//! Certificates of a running server: new files are taken while calls go on, and records of the directory hold at once.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use hushbox_load::client::Plan;
use hushbox_load::scenario;
use hushbox_load::script::Step;
use hushbox_load::transport::{Connection, Identity};
use hushbox_tests::calls::{delivered, forwarded, owner, run, speech, while_recording};
use hushbox_tests::trial::Trial;

/// How soon removing a record must have closed its connections (design.md "Who may call").
const GONE_WITHIN: Duration = Duration::from_secs(5);

fn copy(from: &Path, to: &Path, names: &[&str]) {
    for name in names {
        std::fs::copy(from.join("tls").join(name), to.join("tls").join(name)).expect("copied");
    }
}

fn reload(pid: u32) {
    let told = Command::new("kill").args(["-HUP", &pid.to_string()]).status();
    assert!(told.is_ok_and(|status| status.success()), "SIGHUP is sent");
}

async fn connects(plan: &Plan, identity: &Identity) -> Result<(), hushbox_load::Error> {
    Connection::open(plan.transport, plan.address, identity).await.map(drop)
}

/// Tries until it connects, or until it does not: a signal takes its time.
async fn until_connects(plan: &Plan, identity: &Identity, wanted: bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while connects(plan, identity).await.is_ok() != wanted {
        assert!(Instant::now() < deadline, "connects: {wanted}");
    }
}

#[test]
fn a_new_certificate_is_shown_to_new_connections_while_a_call_goes_on() {
    let mut trial = Trial::start(&[]);
    let other = Trial::create(&[]);
    let plan = forwarded(&trial, "1001");
    let old = plan.identity.clone();
    let mut new = plan.identity.clone();
    new.ca = Some(other.dir().join("tls/ca.crt"));
    let sent = speech(81, Duration::from_secs(6));
    let (dir, pid) = (trial.dir(), trial.pid());
    let live = run(async {
        let rotating = async {
            connects(&plan, &old).await.expect("the old certificate");
            // A certificate without its key is refused, and what was read before stays.
            copy(&other.dir(), &dir, &["server.crt"]);
            reload(pid);
            connects(&plan, &old).await.expect("still the old one");
            copy(&other.dir(), &dir, &["server.key"]);
            reload(pid);
            until_connects(&plan, &new, true).await;
            connects(&plan, &old).await.expect_err("it is another authority's now");
        };
        while_recording(&plan, &sent, rotating).await.0
    });
    let live = live.expect("a call");
    assert!(live.is_ok(), "{:?}", live.steps);
    let _rows = delivered(&trial, "1001", 1);
    let log = trial.stop();
    assert!(log.contains("new handshakes use the certificates as they are now"), "{log}");
}

#[test]
fn files_that_change_are_taken_without_a_signal() {
    let trial = Trial::start(&[]);
    let other = Trial::create(&[]);
    let plan = forwarded(&trial, "1001");
    let mut new = plan.identity.clone();
    new.ca = Some(other.dir().join("tls/ca.crt"));
    copy(&other.dir(), &trial.dir(), &["server.crt", "server.key"]);
    run(until_connects(&plan, &new, true));
}

/// A telephone's calls to `*97`, and its certificate's file.
fn telephone(trial: &Trial) -> (Plan, PathBuf) {
    let (plan, _) = owner(trial, "1001");
    let (certificate, _) = plan.identity.certificate.clone().expect("a certificate");
    (plan, certificate)
}

fn directory(trial: &Trial, words: &[&str]) {
    let json = trial.json();
    let staff = json["accounts"].as_array().expect("accounts").iter();
    let mut staff = staff.flat_map(|account| account["staff"].as_array().expect("staff"));
    let admin = staff.find(|person| person["number"] == "7902").expect("a security-admin");
    let pin = trial.dir().join("admin-pin");
    std::fs::write(&pin, admin["pin"].as_str().expect("a PIN")).expect("written");
    let mut words = words.to_vec();
    words.extend(["--as", "7902", "--pin-file", pin.to_str().expect("a path")]);
    let output = trial.command(&words);
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_removed_devices_connection_closes_and_an_added_ones_certificate_counts_at_once() {
    let trial = Trial::start(&[]);
    let (plan, certificate) = telephone(&trial);
    let known = |plan: &Plan| {
        let refusal = run(scenario::call(plan, &[Step::HangUp])).expect("an answer").refusal;
        refusal.is_none_or(|refusal| refusal.status != 401)
    };
    assert!(known(&plan));
    let username = plan.from.clone();
    run(async {
        let opened = Connection::open(plan.transport, plan.address, &plan.identity).await;
        let mut idle = opened.expect("a connection");
        directory(&trial, &["device", "remove", &username]);
        let closed = tokio::time::timeout(GONE_WITHIN, idle.receive()).await;
        assert!(closed.expect("it closes in time").is_err(), "nothing comes but the end");
    });
    assert!(!known(&plan), "it is a stranger now");
    let file = certificate.to_str().expect("a path");
    directory(
        &trial,
        &["device", "add", "again", "--person", "7001", "--cert", file, "--no-password"],
    );
    assert!(known(&plan));
}
