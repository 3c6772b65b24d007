//! `hushbox doctor`: proves a running server, step by step.
//!
//! The call itself is made by `hushbox-load probe`, a program that shares no code with this one; secrets reach it in
//! trial.json, which only the owner can read. Without a trial.json everything but the call is checked.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use super::args::Doctor;
use super::{Failure, audit, config_file, table};
use crate::config::{self, Config};
use crate::control::{Request, client};
use crate::trial::Trial;
use crate::{exceptions, identity, tls};

/// What the log must have about the message that doctor leaves, hears and deletes.
const EVENTS: [&str; 3] = ["record.finish", "msg.play.start", "msg.delete"];
/// How long the deletion may take: the call is hung up before the mark is in the index.
const DELETED_WITHIN: Duration = Duration::from_secs(5);
/// How often it is looked for meanwhile.
const LOOKED_EVERY: Duration = Duration::from_millis(100);
/// Days before its end that a certificate is warned of.
const EXPIRES_SOON_DAYS: i64 = 30;

pub(super) fn run(args: &Doctor) -> Result<(), Failure> {
    let mut checks = Checks { rows: Vec::new(), json: args.json };
    let file = config_file(&args.at)?;
    let loaded = config::load(&file).map_err(Failure::from);
    if let Some(config) = checks.add("configuration", loaded, |_| file.display().to_string()) {
        installation(&config, &mut checks);
    }
    let Checks { rows, json } = checks;
    if json {
        table::print(&rows, &[], true);
    }
    let failed = rows.iter().filter(|row| row["ok"] == false).count();
    if failed > 0 {
        Err(format!("{failed} of {} checks failed", rows.len()).into())
    } else {
        Ok(())
    }
}

fn installation(config: &Config, checks: &mut Checks) {
    checks.add("certificates", certificates(config), Clone::clone);
    let status = client::rows(config, &Request::Status).map_err(Failure::from);
    let running =
        checks.add("server", status, |rows| rows.first().map_or_else(String::new, described));
    for exception in exceptions::of_config(config) {
        checks.note("exception", &exception);
    }
    if let Some(rows) = running {
        let weaker = rows.first().and_then(|row| row["exceptions"].as_array());
        for exception in weaker.into_iter().flatten().filter_map(Value::as_str) {
            checks.note("exception", exception);
        }
        trial(config, checks);
    }
    checks.add("audit log", audit_log(config), Clone::clone);
}

/// What can be tried in a trial installation only.
fn trial(config: &Config, checks: &mut Checks) {
    let trial_file = config.trial_file();
    if !trial_file.exists() {
        checks.skip("call", "no trial.json: only a trial installation has a mailbox to call");
        return;
    }
    if let Some(trial) =
        checks.add("trial.json", Trial::read(&trial_file).map_err(Failure::from), |_| {
            trial_file.display().to_string()
        })
    {
        call(config, &trial, &trial_file, checks);
    }
}

/// The call, and what it must have left behind.
fn call(config: &Config, trial: &Trial, trial_file: &Path, checks: &mut Checks) {
    let mailbox = format!("{}/{}", trial.doctor.account, trial.doctor.mailbox);
    let list = || {
        client::rows(config, &Request::MessageList { mailbox: Some(mailbox.clone()), reveal: None })
    };
    let Some(before) = checks.add("message list", list().map_err(Failure::from), |rows| {
        format!("{} in {mailbox}", rows.len())
    }) else {
        return;
    };
    if checks.add("call", probe(trial_file, checks.json), Clone::clone).is_none() {
        return;
    }
    let known: BTreeSet<String> = before.iter().filter_map(id).collect();
    let new = within(DELETED_WITHIN, || {
        list().map_err(Failure::from).and_then(|rows| the_new_one(&rows, &known))
    });
    let Some(message) = checks.add("message", new, Clone::clone) else { return };
    checks.add("audit records", records(config, &message), Clone::clone);
}

/// The one message that was not there before, if it is deleted.
fn the_new_one(rows: &[Value], known: &BTreeSet<String>) -> Result<String, Failure> {
    let new: Vec<&Value> =
        rows.iter().filter(|row| id(row).is_some_and(|id| !known.contains(&id))).collect();
    match new.as_slice() {
        [one] if one["state"] == "deleted" => id(one).ok_or_else(|| "a row without an id".into()),
        [one] => Err(format!("the message is {}, and should be deleted", one["state"]).into()),
        other => Err(format!("{} new messages, and there should be one", other.len()).into()),
    }
}

/// Tries again until it is so, or the time is over: the last answer.
fn within<T>(
    longest: Duration,
    mut attempt: impl FnMut() -> Result<T, Failure>,
) -> Result<T, Failure> {
    let mut waited = Duration::ZERO;
    loop {
        let done = attempt();
        if done.is_ok() || waited >= longest {
            return done;
        }
        std::thread::sleep(LOOKED_EVERY);
        waited += LOOKED_EVERY;
    }
}

fn id(row: &Value) -> Option<String> {
    row["id"].as_str().map(str::to_owned)
}

fn records(config: &Config, message: &str) -> Result<String, Failure> {
    let events = audit::events_about(config, message)?;
    let missing: Vec<&str> =
        EVENTS.into_iter().filter(|wanted| !events.iter().any(|event| event == wanted)).collect();
    if missing.is_empty() {
        Ok(events.join(", "))
    } else {
        Err(format!("the audit log has no {} about message {message}", missing.join(", ")).into())
    }
}

fn audit_log(config: &Config) -> Result<String, Failure> {
    let summary = audit::reader(config)?.verify(hushbox_audit::Verifier::new())?;
    Ok(format!("{} records", summary.count))
}

fn certificates(config: &Config) -> Result<String, Failure> {
    tls::check(config)?;
    if config.tls.is_none() {
        return Ok("no TLS listener".to_owned());
    }
    let chain = tls::certificates(&config.certificate)?;
    let last = chain
        .first()
        .and_then(|own| identity::last_second(own))
        .ok_or("the certificate cannot be read")?;
    let days = (last - jiff::Timestamp::now().as_second()) / 86_400;
    match days {
        ..0 => Err(format!("{} has expired", config.certificate.display()).into()),
        0..EXPIRES_SOON_DAYS => Ok(format!("expires in {days} days: renew it")),
        _ => Ok(format!("valid for {days} days")),
    }
}

fn described(status: &Value) -> String {
    let mut words = vec![format!("version {}", status["version"].as_str().unwrap_or("?"))];
    for listener in ["tls", "lab_udp", "lab_tcp"] {
        if let Some(address) = status["sip"][listener].as_str() {
            words.push(format!("{listener}={address}"));
        }
    }
    if status["record_only"] == true {
        words.push("record-only: messages can't be opened".to_owned());
    }
    words.join(" ")
}

/// Runs the call generator. Its progress goes to standard error as it comes.
fn probe(trial_file: &Path, quiet: bool) -> Result<String, Failure> {
    let program = beside("hushbox-load");
    let mut command = Command::new(&program);
    command
        .args(["probe", "--json", "--trial"])
        .arg(trial_file)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit());
    if quiet {
        command.arg("--quiet");
    }
    let output = command
        .output()
        .map_err(|error| format!("{} cannot be started: {error}", program.display()))?;
    let report: Value = serde_json::from_slice(&output.stdout).map_err(|_| {
        format!("{} gave no report (it ended with {})", program.display(), output.status)
    })?;
    let steps = report["steps"].as_array().map(Vec::as_slice).unwrap_or_default();
    match steps.iter().find(|step| step["ok"] != true) {
        None if report["ok"] == true => {
            let heard = steps.last().and_then(|step| step["detail"].as_str()).unwrap_or_default();
            Ok(format!("{} steps; {heard}", steps.len()))
        }
        None => Err("the call proved nothing".into()),
        Some(step) => Err(format!("{}: {}", word(&step["name"]), word(&step["detail"])).into()),
    }
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The program next to this one, else by PATH.
fn beside(name: &str) -> PathBuf {
    let own = std::env::current_exe().ok().map(|exe| exe.with_file_name(name));
    own.filter(|path| path.exists()).unwrap_or_else(|| PathBuf::from(name))
}

/// The checks so far. For people each is printed as soon as it is over.
struct Checks {
    rows: Vec<Value>,
    json: bool,
}

impl Checks {
    fn add<T>(
        &mut self,
        name: &str,
        done: Result<T, Failure>,
        detail: impl FnOnce(&T) -> String,
    ) -> Option<T> {
        match done {
            Ok(value) => {
                self.row(name, Some(true), &detail(&value));
                Some(value)
            }
            Err(error) => {
                self.row(name, Some(false), &error.to_string());
                None
            }
        }
    }

    fn skip(&mut self, name: &str, why: &str) {
        self.row(name, None, why);
    }

    /// What is as somebody wanted it, though weaker than it should be.
    fn note(&mut self, name: &str, what: &str) {
        self.marked("allowed", name, Some(true), what);
    }

    fn row(&mut self, name: &str, ok: Option<bool>, detail: &str) {
        let mark = match ok {
            Some(true) => "ok",
            Some(false) => "FAILED",
            None => "skipped",
        };
        self.marked(mark, name, ok, detail);
    }

    fn marked(&mut self, mark: &str, name: &str, ok: Option<bool>, detail: &str) {
        if !self.json {
            super::say(&format!("{mark:<8} {name:<14} {detail}\n"));
        }
        self.rows.push(json!({ "check": name, "ok": ok, "detail": detail }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_is_not_deleted_yet_is_looked_for_again() {
        let known = BTreeSet::from(["a".to_owned()]);
        let mut states = ["heard", "deleted"].into_iter();
        let found = within(LOOKED_EVERY, || {
            let state = states.next().unwrap_or_default();
            the_new_one(
                &[json!({ "id": "a", "state": "new" }), json!({ "id": "b", "state": state })],
                &known,
            )
        });
        assert_eq!(found.ok(), Some("b".to_owned()));
    }

    #[test]
    fn a_message_that_stays_is_a_failure_with_the_last_state() {
        let rows = [json!({ "id": "b", "state": "heard" })];
        let found = within(Duration::ZERO, || the_new_one(&rows, &BTreeSet::new()));
        assert!(found.is_err_and(|error| error.to_string().contains("heard")));
    }
}
