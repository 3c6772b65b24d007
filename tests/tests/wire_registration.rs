//! Hushbox as an extension of a PBX: Kamailio's registrar asks for its password, by SHA-256 and by MD5, and what is
//! called there is recorded here, by the connection that Hushbox has opened.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::OpenOptionsExt as _;
use std::time::{Duration, Instant};

use hushbox_load::client::Plan;
use hushbox_load::scenario::{self, Outcome};
use hushbox_load::transport::{Identity, Transport};
use hushbox_tests::calls::{delivered, leave_at_once, run, speech};
use hushbox_tests::kamailio::{Kamailio as Process, pause};
use hushbox_tests::trial::{Trial, is_installed, warn_not_tested};

const PASSWORD: &str = "a password of the PBX";
/// How long it may take until it listens, until Hushbox is registered, and until it has ended.
const WITHIN: Duration = Duration::from_secs(40);

/// Kamailio as a registrar that sends every call for a registered extension there, as one that 1001 did not take.
struct Kamailio {
    process: Process,
    address: SocketAddr,
}

impl Kamailio {
    fn start(trial: &Trial, algorithm: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("an address");
        drop(listener);
        let json = trial.json();
        let path = |pointer| json.pointer(pointer).and_then(|v| v.as_str()).expect("a path");
        let tls = format!(
            "[server:default]\nmethod = TLSv1.2+\nverify_client = off\ncertificate = {cert}\nprivate_key = {key}\n\
             [client:default]\nmethod = TLSv1.2+\nverify_certificate = yes\nrequire_certificate = yes\n\
             certificate = {cert}\nprivate_key = {key}\nca_list = {ca}\n",
            cert = path("/trunk/cert"),
            key = path("/trunk/key"),
            ca = path("/ca"),
        );
        std::fs::write(folder.path().join("tls.cfg"), tls).expect("written");
        let tls = folder.path().join("tls.cfg");
        let config = CONFIG
            .replace("@ADDRESS@", &address.to_string())
            .replace("@TLS@", &tls.display().to_string())
            .replace("@ALGORITHM@", algorithm)
            .replace("@PASSWORD@", PASSWORD);
        std::fs::write(folder.path().join("kamailio.cfg"), config).expect("written");
        Self { process: Process::start(folder, address), address }
    }

    fn log(&self) -> String {
        self.process.log()
    }

    /// Somebody calls Hushbox's extension there.
    fn calls(&self, trial: &Trial) -> Plan {
        let mut plan = Plan::new(Transport::Tls, self.address, "sip:5000@clinic.example");
        let json = trial.json();
        let ca = json.pointer("/ca").and_then(|v| v.as_str()).expect("a path");
        plan.identity = Identity { ca: Some(ca.into()), ..Identity::default() };
        plan
    }
}

fn until<T>(what: &str, mut is_so: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + WITHIN;
    loop {
        if let Some(found) = is_so() {
            return found;
        }
        assert!(Instant::now() < deadline, "not in time: {what}");
        pause();
    }
}

/// A trial server that registers as 5000 there.
fn registering(algorithm: &str, more: &str) -> (Trial, Kamailio) {
    let mut trial = Trial::create(&[]);
    let kamailio = Kamailio::start(&trial, algorithm);
    let mut options = std::fs::OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600);
    let mut file = file.open(trial.dir().join("pbx.password")).expect("made");
    std::io::Write::write_all(&mut file, PASSWORD.as_bytes()).expect("written");
    let text = std::fs::read_to_string(trial.config()).expect("the configuration");
    let text = format!(
        "{text}\n[[registration]]\naddress = \"sip:5000@clinic.example\"\n\
         registrar = \"sip:{};transport=tls\"\npassword_file = \"pbx.password\"\n{more}",
        kamailio.address
    );
    std::fs::write(trial.config(), text).expect("written");
    trial.serve();
    (trial, kamailio)
}

/// Calls until the extension is there.
fn place(kamailio: &Kamailio, trial: &Trial, sound: &[i16]) -> Outcome {
    until("registered", || {
        let plan = kamailio.calls(trial);
        let outcome = run(scenario::call(&plan, &leave_at_once(sound))).expect("a call");
        let is_absent = outcome.refusal.as_ref().is_some_and(|r| r.status == 404);
        (!is_absent).then_some(outcome)
    })
}

#[test]
fn a_call_to_the_registered_extension_leaves_a_message() {
    if !is_installed("kamailio") {
        return warn_not_tested("Kamailio is not installed: registration with a PBX");
    }
    let (mut trial, kamailio) = registering("SHA-256", "");
    let sound = speech(11, Duration::from_secs(3));
    let outcome = place(&kamailio, &trial, &sound);
    assert!(outcome.is_ok(), "{:?} {:?}", outcome.refusal, outcome.steps);
    // Diversion says who was called first.
    assert_eq!(delivered(&trial, "1001", 1).len(), 1);
    let log = trial.stop();
    assert!(log.contains("registered registration=1"), "{log}");
    assert!(log.contains("the registration was given back"), "{log}");
    assert!(!log.contains("MD5") && !log.contains(PASSWORD), "{log}");
    let plan = kamailio.calls(&trial);
    let after = run(scenario::call(&plan, &[])).expect("a call");
    assert_eq!(after.refusal.map(|r| r.status), Some(404), "nobody is registered any more");
}

#[test]
fn md5_is_answered_where_the_configuration_allows_it_and_is_said_to_be_weaker() {
    if !is_installed("kamailio") {
        return warn_not_tested("Kamailio is not installed: registration by MD5");
    }
    let (mut trial, kamailio) = registering("MD5", "allow_md5 = true\n");
    let sound = speech(12, Duration::from_secs(2));
    let outcome = place(&kamailio, &trial, &sound);
    assert!(outcome.is_ok(), "{:?} {:?}", outcome.refusal, outcome.steps);
    assert_eq!(delivered(&trial, "1001", 1).len(), 1);
    let checked = trial.command(&["check-config"]);
    let text = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(text.contains("weaker than it should be: line"), "{text}");
    let log = trial.stop();
    assert!(log.contains("nothing better than MD5"), "{log}");
}

#[test]
fn md5_is_not_answered_unasked() {
    if !is_installed("kamailio") {
        return warn_not_tested("Kamailio is not installed: registration by MD5");
    }
    let (mut trial, kamailio) = registering("MD5", "");
    until("a challenge", || kamailio.log().contains("challenged").then_some(()));
    let log = trial.stop();
    assert!(log.contains("the registrar offers MD5 only"), "{log}");
    assert!(!kamailio.log().contains("credentials came"), "{}", kamailio.log());
}

const CONFIG: &str = r#"#!KAMAILIO
debug = 2
children = 2
tcp_children = 2
auto_aliases = no
alias = "clinic.example"
enable_tls = yes
listen = tls:@ADDRESS@
tcp_connection_lifetime = 3605

loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "siputils.so"
loadmodule "textops.so"
loadmodule "xlog.so"
loadmodule "auth.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "nathelper.so"
loadmodule "tls.so"

modparam("tls", "config", "@TLS@")
# OpenSSL 3 as Debian 12 has it is not one of the versions that Kamailio 5.6 knows by name.
modparam("tls", "tls_force_run", 11)
modparam("auth", "algorithm", "@ALGORITHM@")
modparam("usrloc", "db_mode", 0)
modparam("usrloc", "handle_lost_tcp", 1)
modparam("nathelper|registrar", "received_avp", "$avp(received)")

request_route {
    if (!mf_process_maxfwd_header("16")) {
        sl_send_reply("483", "Too Many Hops");
        exit;
    }
    force_rport();
    if (is_method("REGISTER")) {
        if (is_present_hf("Authorization")) {
            xlog("L_WARN", "credentials came\n");
        }
        if (!pv_www_authenticate("$td", "@PASSWORD@", "0")) {
            xlog("L_WARN", "challenged\n");
            www_challenge("$td", "1");
            exit;
        }
        fix_nated_register();
        if (!save("location")) {
            sl_reply_error();
        }
        exit;
    }
    if (has_totag()) {
        if (loose_route()) {
            t_relay();
        }
        exit;
    }
    if (!is_method("INVITE")) {
        exit;
    }
    remove_hf("Diversion");
    append_hf("Diversion: <sip:1001@clinic.example>;reason=no-answer\r\n");
    record_route();
    if (!lookup("location")) {
        sl_send_reply("404", "Not registered");
        exit;
    }
    t_relay();
}
"#;
