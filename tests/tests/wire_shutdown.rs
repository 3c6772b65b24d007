//! A server that is told to stop: no new calls, live ones have their time, what was said is saved.

use std::process::Command;
use std::time::Duration;

use hushbox_load::dialog::Ended;
use hushbox_load::scenario::{self, StepOutcome};
use hushbox_load::script::Step;
use hushbox_load::timeline::RATE;
use hushbox_tests::calls::{
    delivered, forwarded, leave_at_once, listen, owner, run, speech, while_recording,
};
use hushbox_tests::trial::Trial;

fn terminate(trial: &Trial) {
    let sent = Command::new("kill").args(["-TERM", &trial.pid().to_string()]).status();
    assert!(sent.is_ok_and(|s| s.success()), "SIGTERM is sent");
}

#[test]
fn a_live_call_finishes_while_new_ones_are_refused() {
    let mut trial = Trial::start(&[]);
    let sent = speech(71, Duration::from_secs(6));
    let plan = forwarded(&trial, "1001");
    let (live, refused) = run(async {
        let late = async {
            terminate(&trial);
            loop {
                // The signal takes its time; a call before it is hung up at once.
                match scenario::call(&plan, &[Step::HangUp]).await {
                    Ok(outcome) if outcome.refusal.is_none() => {}
                    refused => return refused,
                }
            }
        };
        while_recording(&plan, &sent, late).await
    });
    let live = live.expect("a call");
    assert!(live.is_ok(), "{:?}", live.steps);
    // No listener, or an answer that says when to come back.
    match refused {
        Ok(outcome) => {
            let refusal = outcome.refusal.expect("refused");
            assert_eq!(refusal.status, 503);
            assert!(refusal.retry_after.is_some());
        }
        Err(e) => assert!(matches!(e, hushbox_load::Error::Connect { .. }), "{e}"),
    }
    // The last call is over: it stops by itself, long before the sixty seconds.
    let log = trial.stop();
    assert!(!log.contains("panicked"), "{log}");
    // The index is one file: what is read below stands in it alone.
    for name in ["index.sqlite-wal", "index.sqlite-shm"] {
        assert!(!trial.dir().join("data").join(name).exists(), "{name} is left: {log}");
    }
    trial.serve();
    let rows = delivered(&trial, "1001", 1);
    assert!(rows.iter().all(|r| r["truncated"] == false), "{rows:?}");
    let (plan, pin) = owner(&trial, "1001");
    let outcome = run(scenario::call(&plan, &listen(&pin, &sent))).expect("a call");
    assert!(outcome.is_ok(), "{:?}", outcome.steps);
}

#[test]
fn a_second_sigterm_saves_what_is_being_recorded_and_says_bye() {
    let mut trial = Trial::start(&[]);
    let sent = speech(72, Duration::from_secs(40));
    let plan = forwarded(&trial, "1001");
    let mut script = leave_at_once(&sent[..4 * RATE]);
    script.truncate(4);
    script
        .extend([&sent[4 * RATE..5 * RATE], &sent[5 * RATE..]].map(|more| Step::Say(more.into())));
    let mut watch = |step: &StepOutcome| {
        if step.name == "say" && step.ok {
            terminate(&trial);
        }
    };
    let live = run(scenario::call_watched(&plan, &script, &mut watch));
    let live = live.expect("a call");
    assert!(matches!(live.ended, Some(Ended::There(_))), "{:?}", live.ended);
    let log = trial.stop();
    assert!(!log.contains("panicked"), "{log}");
    trial.serve();
    let row = &delivered(&trial, "1001", 1)[0];
    let seconds = row["seconds"].as_f64().expect("a number");
    assert!((4.0..8.0).contains(&seconds) && row["truncated"] == false, "{row}");
    let (plan, pin) = owner(&trial, "1001");
    let outcome = run(scenario::call(&plan, &listen(&pin, &sent[..4 * RATE]))).expect("a call");
    assert!(outcome.is_ok(), "{:?}", outcome.steps);
}
