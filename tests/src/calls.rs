//! Calls to a [`Trial`] as its people would place them: a PBX that forwards a caller, and an owner at the telephone.

use std::future::Future;
use std::time::{Duration, Instant};

use hushbox_load::Error;
use hushbox_load::client::Plan;
use hushbox_load::scenario::{self, Outcome, StepOutcome};
use hushbox_load::script::{Keys, Step};
use hushbox_load::timeline::RATE;
use hushbox_load::transport::{Identity, Transport};
use hushbox_load::voice;
use serde_json::Value;
use tokio::sync::Notify;

use crate::trial::Trial;

/// Runs a test's asynchronous part on one thread.
///
/// # Panics
///
/// When there is no runtime to be had.
pub fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(work)
}

fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    let found = value.pointer(path).and_then(Value::as_str);
    found.unwrap_or_else(|| panic!("trial.json has no {path}"))
}

/// The account of a name, the mailbox of a number in it.
fn mailbox<'a>(trial: &'a Value, number: &str) -> (&'a Value, &'a Value) {
    let accounts = trial["accounts"].as_array().expect("accounts");
    let pairs = accounts.iter().flat_map(|a| {
        a["mailboxes"].as_array().into_iter().flatten().map(move |mailbox| (a, mailbox))
    });
    let mut found = pairs.filter(|(_, m)| m["number"] == number);
    found.next().unwrap_or_else(|| panic!("trial.json has no mailbox {number}"))
}

/// A call of the PBX to a mailbox, over TLS with the trunk's certificate.
#[must_use]
pub fn forwarded(trial: &Trial, number: &str) -> Plan {
    let json = trial.json();
    let (account, _) = mailbox(&json, number);
    let uri = format!("sip:{number}@{}", text(account, "/domain"));
    let mut plan = Plan::new(Transport::Tls, trial.address("tls"), uri);
    plan.identity = Identity {
        ca: Some(text(&json, "/ca").into()),
        certificate: Some((text(&json, "/trunk/cert").into(), text(&json, "/trunk/key").into())),
        ..Identity::default()
    };
    plan
}

/// The owner of a mailbox dials `*97` from the telephone bound to that person, with its certificate; and the PIN.
#[must_use]
pub fn owner(trial: &Trial, number: &str) -> (Plan, String) {
    let json = trial.json();
    let (account, mailbox) = mailbox(&json, number);
    let person = &mailbox["persons"][0];
    let uri = format!("sip:*97@{}", text(account, "/domain"));
    let mut plan = Plan::new(Transport::Tls, trial.address("tls"), uri);
    plan.from = text(person, "/device/username").to_owned();
    plan.identity = Identity {
        ca: Some(text(&json, "/ca").into()),
        certificate: Some((
            text(person, "/device/cert").into(),
            text(person, "/device/key").into(),
        )),
        ..Identity::default()
    };
    (plan, text(person, "/pin").to_owned())
}

/// A caller who waits for the tone, says this, and hangs up.
#[must_use]
pub fn leave(sound: &[i16]) -> Vec<Step> {
    vec![
        Step::Beep { within: Duration::from_secs(60) },
        Step::Say(sound.into()),
        Step::Hear(Duration::from_millis(200)),
        Step::HangUp,
    ]
}

/// A caller who knows the greeting and skips it by `#`, says this after the tone, and hangs up.
///
/// # Panics
///
/// Never: `#` is a key.
#[must_use]
pub fn leave_at_once(sound: &[i16]) -> Vec<Step> {
    let mut steps = vec![
        Step::Speech { within: Duration::from_secs(10) },
        Step::Press(Keys::new("#").expect("a key")),
    ];
    steps.extend(leave(sound));
    steps
}

/// A caller who leaves a message and ends it by `#`, so as to hear that it is saved. `meanwhile` begins once a second of
/// it is said. What came of both.
///
/// # Panics
///
/// When the message is shorter than a second.
pub async fn while_recording<T>(
    plan: &Plan,
    sound: &[i16],
    meanwhile: impl Future<Output = T>,
) -> (Result<Outcome, Error>, T) {
    let mut script = leave_at_once(&sound[..RATE]);
    script.truncate(4);
    script.push(Step::Say(sound[RATE..].into()));
    script.push(Step::Press(Keys::new("#").expect("a key")));
    script.push(Step::Bye { within: Duration::from_secs(20) });
    let speaking = Notify::new();
    let mut watch = |step: &StepOutcome| {
        if step.name == "say" {
            speaking.notify_one();
        }
    };
    let call = scenario::call_watched(plan, &script, &mut watch);
    let beside = async {
        speaking.notified().await;
        meanwhile.await
    };
    tokio::join!(call, beside)
}

/// An owner who enters the PIN, plays from the first message until this was heard whole, and leaves by `#`.
///
/// # Panics
///
/// When the PIN is no row of keys.
#[must_use]
pub fn listen(pin: &str, sound: &[i16]) -> Vec<Step> {
    let keys = |keys: &str| Keys::new(keys).expect("keys");
    vec![
        Step::Speech { within: Duration::from_secs(10) },
        Step::Press(keys(&format!("{pin}#"))),
        Step::Speech { within: Duration::from_secs(20) },
        Step::Press(keys("1")),
        Step::Find {
            sound: sound.into(),
            next: keys("6"),
            tries: 20,
            within: Duration::from_secs(40),
        },
        Step::Quiet { quiet: Duration::from_millis(800), within: Duration::from_secs(20) },
        Step::Press(keys("#")),
        Step::Bye { within: Duration::from_secs(20) },
    ]
}

/// An owner who enters the PIN, plays from the first message and deletes that one, unheard or not.
///
/// # Panics
///
/// When the PIN is no row of keys.
#[must_use]
pub fn delete_the_first(pin: &str) -> Vec<Step> {
    let keys = |keys: &str| Step::Press(Keys::new(keys).expect("keys"));
    vec![
        Step::Speech { within: Duration::from_secs(10) },
        keys(&format!("{pin}#")),
        Step::Speech { within: Duration::from_secs(20) },
        keys("1"),
        Step::Hear(Duration::from_secs(12)),
        keys("7"),
        Step::Hear(Duration::from_secs(2)),
        keys("#"),
        Step::HangUp,
    ]
}

/// `trunk set pbx OPTIONS` in the name of the trial's security-admin of `system`: the row, or what was said.
///
/// # Errors
///
/// What the command said where it was refused.
///
/// # Panics
///
/// When what it printed is no row.
pub fn set_trunk(trial: &Trial, options: &[&str]) -> Result<Value, String> {
    let by = trial.by("9000");
    let mut args = vec!["trunk", "set", "pbx", "--json"];
    args.extend(by.iter().map(String::as_str));
    args.extend(options);
    let output = trial.command(&args);
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let rows: Vec<Value> = serde_json::from_slice(&output.stdout).expect("one JSON array");
    Ok(rows.into_iter().next().expect("one row"))
}

/// Speech-like sound that says nothing; each seed gives another.
#[must_use]
pub fn speech(seed: u8, length: Duration) -> Vec<i16> {
    voice::babble([seed; 32], (length.as_secs_f64() * 8000.0) as usize)
}

/// The rows of a mailbox in `message list`, once there are so many: a message is delivered after it is saved.
///
/// # Panics
///
/// When they do not come.
#[must_use]
pub fn delivered(trial: &Trial, mailbox: &str, count: usize) -> Vec<Value> {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let rows = trial.list(&["message", "list"]).into_iter();
        let mut rows: Vec<Value> = rows.filter(|r| r["mailbox"] == mailbox).collect();
        if rows.len() >= count {
            rows.sort_by_key(|r| r["received"].to_string());
            return rows;
        }
        assert!(Instant::now() < deadline, "{} of {count} messages in {mailbox}", rows.len());
    }
}
