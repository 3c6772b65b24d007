//! The directory's commands against a running server: what they make can be called at once, what they remove is gone
//! at once, what they refuse leaves nothing.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use hushbox_load::client::Plan;
use hushbox_load::digest::Credentials;
use hushbox_load::measure;
use hushbox_load::scenario::{self, Outcome};
use hushbox_load::script::Step;
use hushbox_tests::calls::{delivered, forwarded, leave_at_once, listen, owner, run, speech};
use hushbox_tests::trial::Trial;
use serde_json::{Value, json};

/// How soon removing a record must have ended its calls (design.md "Who may call").
const GONE_WITHIN: Duration = Duration::from_secs(5);

/// The trial's security-admins, each with a file that holds the PIN.
struct Admins<'t>(&'t Trial);

impl<'t> Admins<'t> {
    fn of(trial: &'t Trial) -> Admins<'t> {
        let json = trial.json();
        for account in json["accounts"].as_array().expect("accounts") {
            for staff in account["staff"].as_array().expect("staff") {
                let number = staff["number"].as_str().expect("a number");
                let pin = staff["pin"].as_str().expect("a PIN");
                std::fs::write(trial.dir().join(number), pin).expect("written");
            }
        }
        Admins(trial)
    }

    fn file(&self, name: &str) -> String {
        self.0.dir().join(name).to_str().expect("a path").to_owned()
    }

    fn command(&self, number: &str, line: &str) -> Result<String, String> {
        let pin_file = self.file(number);
        let words = line.split(' ').map(|word| match word.strip_prefix('@') {
            Some(name) => self.file(name),
            None => word.to_owned(),
        });
        let words: Vec<String> = words.collect();
        let mut args: Vec<&str> = words.iter().map(String::as_str).collect();
        args.extend(["--as", number, "--pin-file", &pin_file]);
        let output = self.0.command(&args);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    fn done(&self, number: &str, line: &str) {
        self.command(number, line).unwrap_or_else(|why| panic!("{line}: {why}"));
    }

    fn refused(&self, number: &str, line: &str, why: &str) {
        let said = self.command(number, line).expect_err("refused");
        assert!(said.contains(why), "{line}: {said}");
    }

    fn secret(&self, name: &str) -> String {
        let text = std::fs::read_to_string(self.file(name)).expect("written by the command");
        text.trim().to_owned()
    }
}

fn call(plan: &Plan, script: &[Step]) -> Outcome {
    run(scenario::call(plan, script)).expect("the call goes its way")
}

fn audit_is_good(trial: &Trial) -> u64 {
    let rows = trial.list(&["audit", "verify"]);
    assert_eq!(rows[0]["ok"], true, "{rows:?}");
    rows[0]["records"].as_u64().expect("a count")
}

/// A new mailbox 1003 with a person and a telephone that has a password; the telephone's calls to `*97`.
fn newcomer(trial: &Trial, admins: &Admins<'_>) -> (Plan, String) {
    admins.done("7902", "mailbox add 1003 --time-zone America/Chicago");
    admins.done("7902", "person add 7003 --pin-out @newcomer-pin");
    admins.done("7902", "grant add --mailbox 1003 --person 7003 --kind owner --reason newcomer");
    admins.done("7902", "device add phone-7003 --person 7003 --password-out @newcomer-password");
    let (mut plan, _) = owner(trial, "1001");
    plan.from = "phone-7003".to_owned();
    plan.identity.certificate = None;
    plan.identity.credentials = Some(Credentials {
        username: "phone-7003".to_owned(),
        password: admins.secret("newcomer-password"),
        algorithm: Some(hushbox_load::digest::Algorithm::Sha256),
    });
    (plan, admins.secret("newcomer-pin"))
}

#[test]
fn what_is_added_can_be_called_at_once_and_what_is_removed_is_gone_at_once() {
    let mut trial = Trial::start(&[]);
    let admins = Admins::of(&trial);
    let (telephone, pin) = newcomer(&trial, &admins);
    admins.done("7902", "alias add +15551230003 --mailbox 1003");

    // The PBX reaches the new mailbox by its alias, its owner hears it.
    let sent = speech(41, Duration::from_secs(2));
    let mut to_alias = forwarded(&trial, "1001");
    to_alias.uri = "sip:+15551230003@clinic.example".to_owned();
    assert!(call(&to_alias, &leave_at_once(&sent)).is_ok());
    let _rows = delivered(&trial, "1003", 1);
    let heard = call(&telephone, &listen(&pin, &sent));
    assert!(heard.is_ok(), "{:?} {:?}", heard.refusal, heard.steps);
    assert!(measure::compare(&sent, heard.heard_during("find")).expect("heard").is_same());

    // A mailbox that holds a message stays, and so does what other records name.
    admins.refused("7902", "person remove 7003", "grant");
    for row in trial.list(&["grant", "list"]) {
        if row["mailbox"] == "1003" {
            admins.done("7902", &format!("grant remove {}", row["id"].as_str().expect("an id")));
        }
    }
    let said = admins.command("7902", "alias remove +15551230003").expect("removed");
    assert_eq!(said, "alias +15551230003: removed\n");
    admins.refused("7902", "mailbox remove 1003", "it holds 1 messages");

    // Removing the telephone ends its call, although nobody has logged in on it, and the next one is a stranger's.
    let before = audit_is_good(&trial);
    let waiting = telephone.clone();
    let live = std::thread::spawn(move || {
        let script = [Step::Bye { within: Duration::from_secs(30) }];
        (call(&waiting, &script), Instant::now())
    });
    let deadline = Instant::now() + Duration::from_secs(20);
    while audit_is_good(&trial) == before {
        assert!(Instant::now() < deadline, "the call is written down");
    }
    admins.done("7902", "device remove phone-7003");
    let removed = Instant::now();
    let (ended, at) = live.join().expect("no panic");
    assert!(ended.is_ok(), "{:?} {:?}", ended.refusal, ended.steps);
    assert!(at.saturating_duration_since(removed) < GONE_WITHIN);
    let refused = call(&telephone, &[Step::HangUp]).refusal.expect("refused");
    assert_eq!(refused.status, 401);

    // The number of a person who was removed stays taken; and a restart finds what was stored.
    admins.done("7902", "person remove 7003");
    admins.refused(
        "7902",
        "person add 7003 --pin-out @again",
        "its number 7003 is already that of",
    );
    assert!(!PathBuf::from(admins.file("again")).exists(), "no secret was made");
    let there = trial.list(&["mailbox", "list"]);
    trial.kill();
    trial.serve();
    assert_eq!(trial.list(&["mailbox", "list"]), there);
    assert!(trial.list(&["device", "list"]).iter().all(|row| row["username"] != "phone-7003"));
    audit_is_good(&trial);
}

/// A PBX that can have no certificate: it leaves messages by its password, and that is all it can do.
#[test]
fn a_trunk_with_a_password_leaves_messages_is_listed_as_an_exception_and_ends_with_its_password() {
    let mut trial = Trial::start(&[]);
    let admins = Admins::of(&trial);
    let beside = "it has a certificate: a password beside it would only be weaker";
    admins.refused("9000", "trunk set pbx --new-password --password-out @beside", beside);
    admins.refused("9000", "trunk add hosted --account clinic", "--new-password");
    admins.done("9000", "trunk add hosted --account clinic --new-password --password-out @hosted");
    let rows = trial.list(&["trunk", "list"]);
    let row = rows.iter().find(|row| row["name"] == "hosted").expect("listed");
    assert_eq!((&row["digest"], &row["certificate"]), (&json!(["SHA-256"]), &Value::Null));
    assert_eq!(row["trusted"], json!([]), "it asserts nothing");
    admins.refused("9000", "trunk set hosted --trust diversion", "a password asserts nothing");

    let mut hosted = forwarded(&trial, "1001");
    hosted.identity.certificate = None;
    hosted.identity.credentials = Some(Credentials {
        username: "hosted".to_owned(),
        password: admins.secret("hosted"),
        algorithm: Some(hushbox_load::digest::Algorithm::Sha256),
    });
    let sent = speech(42, Duration::from_secs(2));
    assert!(call(&hosted, &leave_at_once(&sent)).is_ok());
    let _rows = delivered(&trial, "1001", 1);
    let (owner, pin) = owner(&trial, "1001");
    assert!(call(&owner, &listen(&pin, &sent)).is_ok(), "and its owner hears it");

    let mut elsewhere = hosted.clone();
    elsewhere.uri = "sip:2001@trial.example".to_owned();
    assert_eq!(call(&elsewhere, &[Step::HangUp]).refusal.map(|r| r.status), Some(404));
    elsewhere.uri = "sip:*97@clinic.example".to_owned();
    let refused = call(&elsewhere, &[Step::Bye { within: Duration::from_secs(30) }]);
    assert!(refused.is_ok(), "it is told so and hung up on: {:?}", refused.steps);

    let doctor = trial.command(&["doctor"]);
    let said = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(doctor.status.success() && said.contains("trunk hosted: it has a password"), "{said}");

    admins.done("9000", "trunk remove hosted");
    assert_eq!(call(&hosted, &[Step::HangUp]).refusal.map(|r| r.status), Some(401));
    audit_is_good(&trial);
    let log = trial.stop();
    assert!(log.contains("weaker than it should be: trunk hosted"), "{log}");
}

#[test]
fn disabling_a_person_ends_what_they_hear() {
    let trial = Trial::start(&[]);
    let admins = Admins::of(&trial);
    let (telephone, pin) = newcomer(&trial, &admins);
    let before = audit_is_good(&trial);
    let live = std::thread::spawn(move || {
        let keys = hushbox_load::script::Keys::new(&format!("{pin}#")).expect("keys");
        let script = [
            Step::Speech { within: Duration::from_secs(10) },
            Step::Press(keys),
            Step::Bye { within: Duration::from_secs(30) },
        ];
        (call(&telephone, &script), Instant::now())
    });
    // The call, the PIN, the session: the person is logged in.
    let deadline = Instant::now() + Duration::from_secs(30);
    while audit_is_good(&trial) < before + 3 {
        assert!(Instant::now() < deadline, "the log-in is written down");
    }
    admins.done("7902", "person set 7003 --disable");
    let disabled = Instant::now();
    let (ended, at) = live.join().expect("no panic");
    assert!(ended.is_ok(), "{:?} {:?}", ended.refusal, ended.steps);
    assert!(at.saturating_duration_since(disabled) < GONE_WITHIN);
}

#[test]
fn a_change_that_breaks_a_rule_or_that_nobody_may_make_leaves_nothing() {
    let trial = Trial::start(&[]);
    let admins = Admins::of(&trial);
    let kinds = ["account", "mailbox", "person", "grant", "device", "trunk", "alias"];
    let all = || kinds.map(|kind| trial.list(&[kind, "list"]));
    let before = all();
    let grant = "--kind owner --reason trial";
    for (admin, line, why) in [
        ("7902", "mailbox add 1001", "is there already"),
        ("7902", "mailbox add 2001", "which both have the mailbox number 2001"),
        ("7902", "mailbox add trial/2002", "access.account"),
        ("7902", "mailbox add 1003 --time-zone Mars/Olympus", "no time zone"),
        ("7902", "trunk add sbc --account clinic --san sip:sbc.example", "access.system-account"),
        ("7902", "account set trial --domain other.example", "access.system-account"),
        ("9000", "mailbox add clinic/1003", "access.account"),
        ("9000", "mailbox add 1003", "holds persons only"),
        ("9000", "account set trial --profile hipaa", "MD5"),
        ("9000", "account add d --domain d.example --admin 1 --pin-out @d", "BAA"),
        ("9000", "person set 9000 --role user", "no security-admin left"),
        ("7900", "mailbox add 1003", "access.role"),
        ("7902", "device add p --person 7001 --md5 --password-out @p", "MD5"),
        ("7902", "device add phone-7001 --person 7001 --password-out @p", "is there already"),
        ("7902", "device add p --person trial/7101 --password-out @p", "outside of its account"),
        ("7902", "alias add 5551234 --mailbox 1009", "no mailbox"),
        ("7902", "alias add 1002 --mailbox 1001", "a mailbox of clinic has that number"),
        ("7902", "alias add *97 --mailbox 1001", "called to hear messages"),
        ("7902", "mailbox set 1001", "nothing to change"),
        ("7902", "person set 7001 --role nurse", "supervisor, mailbox-admin"),
        ("7902", "person remove 7001", "device phone-7001 has this person"),
        ("7902", &format!("grant add --mailbox 1001 --person 7902 {grant}"), "administrative"),
        ("7902", &format!("grant add --mailbox 1001 --person trial/7101 {grant}"), "two accounts"),
    ] {
        admins.refused(admin, line, why);
    }
    assert_eq!(all(), before);
    assert!(!PathBuf::from(admins.file("p")).exists() && !PathBuf::from(admins.file("d")).exists());
    audit_is_good(&trial);
}

#[test]
fn who_is_no_security_admin_learns_nothing_of_what_is_there() {
    let trial = Trial::start(&[]);
    let admins = Admins::of(&trial);
    for mailbox in ["1001", "1777"] {
        admins.refused(
            "7900",
            &format!("mailbox add {mailbox}"),
            "a role that the person does not have",
        );
    }
}

#[test]
fn a_number_that_two_accounts_have_names_neither() {
    let trial = Trial::start(&[]);
    let admins = Admins::of(&trial);
    admins.done("9000", "account add dental --profile standard --domain dental.example --admin 7999 --pin-out @7999");
    admins.done("7999", "mailbox add 1001 --time-zone UTC");
    for line in [vec!["mwi", "explain", "1001"], vec!["message", "list", "--mailbox", "1001"]] {
        let output = trial.command(&line);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains("say ACCOUNT/1001"), "{line:?}: {said}");
    }
    assert!(trial.command(&["mwi", "explain", "dental/1001"]).status.success());
}
