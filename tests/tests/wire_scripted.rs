//! A caller of our own over real sockets: what it says is what the owner hears, in both suites, by certificate
//! and by digest, over TLS and on the lab listeners.

use std::path::Path;
use std::time::Duration;

use hushbox_load::client::Plan;
use hushbox_load::digest::{Algorithm, Credentials};
use hushbox_load::measure;
use hushbox_load::scenario::{self, Outcome};
use hushbox_load::script::{Keys, Step};
use hushbox_load::sdp::Security;
use hushbox_load::srtp::Suite;
use hushbox_load::timeline::{RATE, samples_in};
use hushbox_load::transport::{Identity, Transport};
use hushbox_load::voice::read_wav;
use hushbox_tests::calls::{
    delivered, forwarded, leave, leave_at_once, listen, owner, run, speech,
};
use hushbox_tests::trial::Trial;
use serde_json::Value;

const LAB: [&str; 4] = ["--lab-udp", "127.0.0.1:0", "--lab-tcp", "127.0.0.1:0"];

fn place(plan: &Plan, script: &[Step]) -> Outcome {
    let outcome = run(scenario::call(plan, script)).expect("the call goes its way");
    assert!(outcome.is_ok(), "{:?} {:?}", outcome.refusal, outcome.steps);
    assert_eq!(outcome.packets.1, 0, "every packet opened");
    outcome
}

/// What was said is what is heard, and as long.
fn assert_same(sent: &[i16], outcome: &Outcome) {
    let comparison = measure::compare(sent, outcome.heard_during("find")).expect("heard");
    assert!(comparison.is_same(), "{comparison:?}");
}

/// The person of a mailbox in trial.json, and its account's domain.
fn person(trial: &Trial, number: &str) -> (Value, String) {
    let json = trial.json();
    let accounts = json["accounts"].as_array().expect("accounts").clone();
    for account in accounts {
        for mailbox in account["mailboxes"].as_array().expect("mailboxes") {
            if mailbox["number"] == number {
                let domain = account["domain"].as_str().expect("a domain").to_owned();
                return (mailbox["persons"][0].clone(), domain);
            }
        }
    }
    panic!("no mailbox {number}");
}

/// The owner's telephone with its password instead of its certificate.
fn by_digest(trial: &Trial, number: &str, algorithm: Algorithm) -> (Plan, String) {
    let (mut plan, pin) = owner(trial, number);
    let (person, _) = person(trial, number);
    let text = |key: &str| person["device"][key].as_str().expect("text").to_owned();
    plan.identity.certificate = None;
    plan.identity.credentials = Some(Credentials {
        username: text("username"),
        password: text("password"),
        algorithm: Some(algorithm),
    });
    (plan, pin)
}

/// The newest message of a mailbox, once there are so many.
fn newest(trial: &Trial, mailbox: &str, count: usize) -> Value {
    delivered(trial, mailbox, count).pop().expect("a message")
}

#[test]
fn what_the_caller_says_is_what_the_owner_hears_in_either_suite_and_with_either_credential() {
    let trial = Trial::start(&[]);
    for (number, suite) in (1..).zip(Suite::ALL) {
        let sent = speech(number, Duration::from_secs(4));
        let mut deposit = forwarded(&trial, "1001");
        deposit.security = Security::Sdes(vec![suite]);
        let left = place(&deposit, &leave_at_once(&sent));
        assert_eq!(left.suite, Some(suite));

        let row = newest(&trial, "1001", usize::from(number));
        let seconds = row["seconds"].as_f64().expect("a number");
        // From the beep to the BYE.
        let beep = left.steps.iter().find(|s| s.name == "beep").expect("a beep");
        let spoken = left.said.len() - beep.said.end;
        let wanted = spoken as f64 / RATE as f64;
        assert!((seconds - wanted).abs() < 0.2, "{seconds} s in the list, {wanted} s said");

        let (mut plan, pin) = match suite {
            Suite::AeadAes256Gcm => owner(&trial, "1001"),
            Suite::AesCm128HmacSha1_80 => by_digest(&trial, "1001", Algorithm::Sha256),
        };
        plan.security = Security::Sdes(vec![suite]);
        assert_same(&sent, &place(&plan, &listen(&pin, &sent)));
    }
    let verified = trial.command(&["audit", "verify"]);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
}

#[test]
fn pound_ends_a_message_and_says_that_it_is_saved() {
    let trial = Trial::start(&[]);
    let sent = speech(7, Duration::from_secs(3));
    let keys = |keys: &str| Keys::new(keys).expect("keys");
    let script = [
        Step::Speech { within: Duration::from_secs(10) },
        Step::Press(keys("#")),
        Step::Beep { within: Duration::from_secs(20) },
        Step::Say(sent.clone().into()),
        Step::Press(keys("#")),
        Step::Speech { within: Duration::from_secs(5) },
        Step::Bye { within: Duration::from_secs(20) },
    ];
    place(&forwarded(&trial, "1001"), &script);
    let row = newest(&trial, "1001", 1);
    assert_eq!((&row["state"], &row["truncated"]), (&"new".into(), &false.into()));

    // The supervisor exports it: the same audio, without the digit.
    let by = trial.by("7900");
    let export = |out: &Path| {
        let mut args = vec!["message", "export", row["id"].as_str().expect("an id"), "--out"];
        args.push(out.to_str().expect("a path"));
        args.extend(["--reason", "a test"]);
        args.extend(by.iter().map(String::as_str));
        trial.command(&args)
    };
    // Where it can't be written, nobody has heard it, and so it is not written down that somebody did.
    let records = || trial.list(&["audit", "verify"])[0]["records"].clone();
    let before = records();
    let nowhere = export(&trial.dir().join("no-folder/out.wav"));
    let said = String::from_utf8_lossy(&nowhere.stderr);
    assert!(!nowhere.status.success() && said.contains("nothing was asked for"), "{said}");
    assert_eq!(records(), before);
    let out = trial.dir().join("out.wav");
    let exported = export(&out);
    assert!(exported.status.success(), "{}", String::from_utf8_lossy(&exported.stderr));
    let audio = read_wav(&out).expect("a WAV");
    let comparison = measure::compare(&sent, &audio).expect("in it");
    assert!(comparison.is_same(), "{comparison:?}");
    let seconds = row["seconds"].as_f64().expect("a number");
    let listed = (seconds * RATE as f64).round() as usize;
    assert!(audio.len().abs_diff(listed) <= samples_in(measure::LENGTH_TOLERANCE));
}

#[test]
fn an_owner_moves_deletes_and_saves_on_the_keys_of_asterisk() {
    let trial = Trial::start(&[]);
    let (one, two) = (speech(11, Duration::from_secs(3)), speech(12, Duration::from_secs(3)));
    for sent in [&one, &two] {
        place(&forwarded(&trial, "1002"), &leave_at_once(sent));
    }
    newest(&trial, "1002", 2);
    let keys = |keys: &str| Step::Press(Keys::new(keys).expect("keys"));
    let hear = |sound: &[i16]| Step::Find {
        sound: sound.into(),
        next: Keys::new("*").expect("a key"),
        tries: 1,
        within: Duration::from_secs(30),
    };
    let (plan, pin) = owner(&trial, "1002");
    let script = [
        Step::Speech { within: Duration::from_secs(10) },
        keys(&format!("{pin}#")),
        Step::Speech { within: Duration::from_secs(20) },
        keys("1"),
        hear(&one),
        keys("6"),
        hear(&two),
        keys("4"),
        hear(&one),
        keys("5"),
        hear(&one),
        keys("7"),
        keys("6"),
        hear(&two),
        keys("9"),
        Step::Speech { within: Duration::from_secs(5) },
        keys("#"),
        Step::Bye { within: Duration::from_secs(20) },
    ];
    place(&plan, &script);
    let rows = trial.list(&["message", "list"]);
    let mut states: Vec<_> = rows.iter().map(|r| r["state"].to_string()).collect();
    states.sort();
    assert_eq!(states, ["\"deleted\"", "\"heard\""], "{rows:?}");
}

#[test]
fn hold_and_resume_pause_a_recording_without_ending_the_call() {
    let trial = Trial::start(&[]);
    let (before, after) = (speech(21, Duration::from_secs(2)), speech(22, Duration::from_secs(2)));
    let script = [
        Step::Speech { within: Duration::from_secs(10) },
        Step::Press(Keys::new("#").expect("a key")),
        Step::Beep { within: Duration::from_secs(60) },
        Step::Say(before.clone().into()),
        Step::Hold,
        Step::Hear(Duration::from_secs(2)),
        Step::Resume,
        Step::Say(after.clone().into()),
        Step::HangUp,
    ];
    place(&forwarded(&trial, "1001"), &script);
    let seconds = newest(&trial, "1001", 1)["seconds"].as_f64().expect("a number");
    assert!((4.0..5.5).contains(&seconds), "the hold is not in it: {seconds}");
    let (plan, pin) = owner(&trial, "1001");
    assert_same(&after, &place(&plan, &listen(&pin, &after)));
}

#[test]
fn an_invite_without_an_offer_is_offered_srtp_and_records_as_well() {
    let trial = Trial::start(&[]);
    let sent = speech(24, Duration::from_secs(3));
    let mut deposit = forwarded(&trial, "1001");
    deposit.late_offer = true;
    place(&deposit, &leave_at_once(&sent));
    newest(&trial, "1001", 1);
    let (mut plan, pin) = owner(&trial, "1001");
    plan.late_offer = true;
    assert_same(&sent, &place(&plan, &listen(&pin, &sent)));
}

#[test]
fn the_lab_listeners_take_plain_rtp_for_the_standard_account_and_md5() {
    let trial = Trial::start(&LAB);
    for (number, (transport, listener)) in
        (1..).zip([(Transport::Udp, "lab_udp"), (Transport::Tcp, "lab_tcp")])
    {
        let on_lab = |plan: &mut Plan| {
            (plan.transport, plan.address) = (transport, trial.address(listener));
            plan.security = Security::Plain;
            plan.identity.certificate = None;
            plan.identity.ca = None;
        };
        let sent = speech(30 + number, Duration::from_secs(3));
        let mut deposit = forwarded(&trial, "2001");
        on_lab(&mut deposit);
        // The greeting is heard whole here.
        place(&deposit, &leave(&sent));
        newest(&trial, "2001", usize::from(number));
        let (mut plan, pin) = by_digest(&trial, "2001", Algorithm::Md5);
        on_lab(&mut plan);
        let outcome = place(&plan, &listen(&pin, &sent));
        assert_same(&sent, &outcome);
        assert_eq!(outcome.suite, None);
    }
}

#[test]
fn the_probe_proves_a_server() {
    let trial = Trial::start(&[]);
    prove(&trial);
    // A doctor's message is deleted at the end, and nobody else's mailbox was touched.
    let rows = trial.list(&["message", "list"]);
    assert!(rows.iter().all(|r| r["mailbox"] == "1099" && r["state"] == "deleted"), "{rows:?}");
}

// SDP names loopback to a caller on the machine, whatever it names to others.
#[test]
fn the_probe_proves_a_server_that_listens_on_every_address() {
    // The certificate of a trial that listened on loopback before names neither every address nor this machine's.
    let mut trial = Trial::create(&[]);
    let text = std::fs::read_to_string(trial.config()).expect("the configuration");
    let text = text.replacen("tls = \"127.0.0.1:", "tls = \"0.0.0.0:", 1);
    std::fs::write(trial.config(), text).expect("written");
    trial.configure("media", "advertised_address = \"192.0.2.9\"");
    trial.serve();
    assert!(trial.json()["sip"]["tls"].as_str().expect("bound").starts_with("0.0.0.0:"));
    prove(&trial);
}

fn prove(trial: &Trial) {
    let file = trial.dir().join("trial.json");
    let told = hushbox_load::trial::Trial::read(&file).expect("trial.json");
    let report = run(hushbox_load::probe::run(&told, &mut |_| ())).expect("a report");
    assert!(report.ok, "{:#?}", report.steps);
}

#[test]
fn a_server_that_is_not_the_one_is_not_called() {
    let (here, there) = (Trial::start(&[]), Trial::create(&[]));
    let mut plan = forwarded(&here, "1001");
    plan.identity = Identity { ca: forwarded_ca(&there), ..Identity::default() };
    assert!(run(scenario::call(&plan, &[Step::HangUp])).is_err(), "another CA");
}

fn forwarded_ca(trial: &Trial) -> Option<std::path::PathBuf> {
    Some(trial.json()["ca"].as_str().expect("a path").into())
}
