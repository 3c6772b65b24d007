//! Whose mailbox a PBX's words reach, over real sockets: the greeting that is heard, the mailbox that has the message,
//! and what `hushbox resolve` says about the same INVITE.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use hushbox_load::client::Plan;
use hushbox_load::g711::Codec;
use hushbox_load::scenario::{self, Outcome};
use hushbox_load::script::{Keys, Step};
use hushbox_tests::calls::{delivered, forwarded, leave, leave_at_once, run, set_trunk, speech};
use hushbox_tests::transcript::Voice;
use hushbox_tests::trial::{Trial, program};
use serde_json::Value;

/// A call of the PBX to its voicemail's pilot number.
fn to_pilot(trial: &Trial, parameters: &str, headers: &[(&str, &str)]) -> Plan {
    let mut plan = forwarded(trial, "1001");
    plan.uri = format!("sip:vm@clinic.example{parameters}");
    plan.headers =
        headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    plan
}

fn place(plan: &Plan, script: &[Step]) -> Outcome {
    run(scenario::call(plan, script)).expect("the call goes its way")
}

/// What `hushbox resolve` says about an INVITE as it could stand in the PBX's log.
fn resolved(trial: &Trial, plan: &Plan) -> Value {
    let mut text = format!(
        "12:00:01 sent to 127.0.0.1:5061\n\nINVITE {} SIP/2.0\nVia: SIP/2.0/TLS pbx;branch=z9hG4bK1\n\
         From: \"Mary Major\" <sip:+15551234567@pbx>;tag=1\nTo: <sip:1001@pbx>\nCall-ID: 1\n\
         CSeq: 1 INVITE\nMax-Forwards: 70\nContact: <sip:pbx>\nContent-Length: 1234\n",
        plan.uri
    );
    for (name, value) in &plan.headers {
        text += &format!("{name}: {value}\n");
    }
    let mut child = Command::new(program("hushbox"))
        .args(["resolve", "-", "--trunk", "pbx", "--json", "--config"])
        .arg(trial.config())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .expect("the command runs");
    child.stdin.take().expect("piped").write_all(text.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    let text = String::from_utf8(output.stdout).expect("text");
    for secret in ["15551234567", "Mary"] {
        assert!(!text.contains(secret), "{text}");
    }
    let rows: Vec<Value> = serde_json::from_str(&text).expect("one JSON array");
    rows.into_iter().next().expect("one row")
}

#[test]
fn what_the_pbx_says_picks_the_mailbox_and_the_greeting() {
    let trial = Trial::start(&[]);
    let voice = Voice::english(Codec::Pcmu);
    let sent = speech(1, Duration::from_secs(2));
    let mut to_the_beep = leave(&sent);
    to_the_beep.truncate(2);
    to_the_beep.push(Step::Press(Keys::new("#").expect("a key")));
    to_the_beep.push(Step::Bye { within: Duration::from_secs(60) });

    let busy = to_pilot(
        &trial,
        "",
        &[("Diversion", "<sip:1002@pbx.clinic.example>;reason=user-busy;counter=1")],
    );
    let outcome = place(&busy, &to_the_beep);
    assert!(outcome.is_ok(), "{:?} {:?}", outcome.refusal, outcome.steps);
    assert_eq!(
        voice.words(&outcome.heard),
        "greeting-default 1 0 0 2 greeting-busy notice-hipaa leave-message-after-beep beep saved"
    );
    assert_eq!(delivered(&trial, "1002", 1).len(), 1);
    let row = resolved(&trial, &busy);
    assert_eq!((&row["mailbox"], &row["rule"]), (&"1002".into(), &"diversion".into()), "{row}");
    assert_eq!(row["greeting"], "busy", "{row}");
    assert_eq!(row["caller"]["trunk"], "pbx", "{row}");

    // The target comes first; what stands beside it is not used.
    let unanswered = to_pilot(
        &trial,
        ";target=sip:1001%40clinic.example;cause=408",
        &[
            ("Diversion", "<sip:1002@pbx.clinic.example>;reason=user-busy"),
            ("History-Info", "<sip:1001@clinic.example?Reason=SIP%3Bcause%3D408>;index=1"),
            ("History-Info", "<sip:vm@clinic.example>;index=1.1;mp=1"),
        ],
    );
    assert!(place(&unanswered, &leave_at_once(&sent)).is_ok());
    assert_eq!(delivered(&trial, "1001", 1).len(), 1);
    let row = resolved(&trial, &unanswered);
    assert_eq!((&row["mailbox"], &row["rule"]), (&"1001".into(), &"target".into()), "{row}");
    assert_eq!(row["cause"], "no-answer", "{row}");
    let ignored: Vec<_> = row["ignored"].as_array().expect("a list").iter().collect();
    let why = |header: &str| {
        ignored
            .iter()
            .find(|i| i["header"] == header)
            .map_or("", |i| i["why"].as_str().expect("text"))
    };
    assert_eq!(why("history-info"), "says-the-same", "{row}");
    assert_eq!(why("diversion"), "later-rule", "{row}");

    // A loop, and nobody's: refused, and nothing is recorded.
    for (plan, status) in [
        (
            to_pilot(
                &trial,
                ";target=1001",
                &[("Diversion", "<sip:vm@clinic.example;target=1001>")],
            ),
            482,
        ),
        (to_pilot(&trial, ";target=1001", &[("User-Agent", "Hushbox/0.1")]), 480),
        (to_pilot(&trial, ";target=9999", &[("Diversion", "<sip:1001@clinic.example>")]), 404),
    ] {
        let refused = place(&plan, &leave_at_once(&sent)).refusal.expect("refused");
        assert_eq!(refused.status, status, "{refused:?}");
        assert_eq!(resolved(&trial, &plan)["status"], status);
    }
    assert_eq!(delivered(&trial, "1001", 1).len(), 1);
    let text = trial.command(&["resolve", "/nowhere/invite.txt"]);
    assert!(!text.status.success());
}

#[test]
fn a_trunk_names_mailboxes_as_it_was_set_to() {
    let trial = Trial::start(&[]);
    let did = to_pilot(&trial, "", &[("Diversion", "<tel:+15555551002>;reason=no-answer")]);
    assert_eq!(resolved(&trial, &did)["outcome"], "nobody");

    let row = set_trunk(&trial, &["--digits", "+15555551XXX=1XXX", "--catch-all", "clinic/1001"])
        .expect("set");
    assert_eq!(row["digits"][0], "+15555551XXX=1XXX", "{row}");
    let row = resolved(&trial, &did);
    assert_eq!((&row["mailbox"], &row["way"]), (&"1002".into(), &"digits".into()), "{row}");
    assert_eq!(row["greeting"], "no-answer", "{row}");
    let left = place(&did, &leave_at_once(&speech(3, Duration::from_secs(2))));
    assert!(left.is_ok(), "{:?} {:?}", left.refusal, left.steps);
    assert_eq!(delivered(&trial, "1002", 1).len(), 1);
    let nobody = to_pilot(&trial, "", &[]);
    let row = resolved(&trial, &nobody);
    assert_eq!((&row["mailbox"], &row["way"]), (&"1001".into(), &"catch-all".into()), "{row}");

    set_trunk(&trial, &["--trust", "target", "--no-catch-all"]).expect("set");
    let row = resolved(&trial, &did);
    assert_eq!(row["status"], 404, "{row}");
    assert_eq!(row["ignored"][0]["why"], "not-trusted", "{row}");
    for (options, why) in [
        (&["--order", "target,target"][..], "names a rule twice"),
        (&["--order", "to"], "invalid value"),
        (&["--digits", "XX=XXX"], "invalid value"),
        (&["--catch-all", "clinic/9999"], "no mailbox"),
    ] {
        let said = set_trunk(&trial, options).expect_err("refused");
        assert!(said.contains(why), "{options:?}: {said}");
    }
}
