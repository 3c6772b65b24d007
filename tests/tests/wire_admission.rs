//! A small server over real sockets: who gets in when it is full, and what is said to the others.

use std::time::Duration;

use hushbox_load::client::Plan;
use hushbox_load::g711::Codec;
use hushbox_load::scenario::{self, Outcome};
use hushbox_load::script::{Keys, Step};
use hushbox_tests::calls::{delivered, forwarded, leave_at_once, owner, run, speech};
use hushbox_tests::transcript::Voice;
use hushbox_tests::trial::Trial;
use tokio::task::JoinSet;

fn place(plan: &Plan, script: &[Step]) -> Outcome {
    run(scenario::call(plan, script)).expect("the call goes its way")
}

/// Waits for the prompt and hangs up.
fn listen_a_little() -> Vec<Step> {
    vec![Step::Speech { within: Duration::from_secs(10) }, Step::HangUp]
}

#[test]
fn a_full_server_says_503_with_retry_after_and_still_opens_mailboxes() {
    let mut trial = Trial::create(&[]);
    trial.configure("limits", "calls_max = 3\nretrieval_reserved_percent = 34");
    trial.serve();
    let sent = speech(1, Duration::from_secs(6));
    let script = leave_at_once(&sent);
    run(async {
        // One place is kept: the second of these two is the last that may leave a message.
        let mut calls = JoinSet::new();
        for mailbox in ["1001", "1002"] {
            let (plan, script) = (forwarded(&trial, mailbox), script.clone());
            calls.spawn(async move { scenario::call(&plan, &script).await });
        }
        tokio::time::sleep(Duration::from_secs(3)).await;
        let refused = scenario::call(&forwarded(&trial, "1001"), &listen_a_little()).await;
        let refused = refused.expect("an answer").refusal.expect("a refusal");
        assert_eq!(refused.status, 503, "{refused:?}");
        let (plan, _) = owner(&trial, "1001");
        let opened = scenario::call(&plan, &listen_a_little()).await.expect("an answer");
        assert!(opened.is_ok(), "{:?} {:?}", opened.refusal, opened.steps);
        for outcome in calls.join_all().await {
            let outcome = outcome.expect("a call");
            assert!(outcome.is_ok(), "{:?} {:?}", outcome.refusal, outcome.steps);
        }
    });
    for mailbox in ["1001", "1002"] {
        let row = &delivered(&trial, mailbox, 1)[0];
        let seconds = row["seconds"].as_f64().expect("a number");
        assert!((6.0..7.0).contains(&seconds) && row["truncated"] == false, "{row}");
    }
    let log = trial.stop();
    assert!(log.contains("why=\"full\""), "{log}");
}

#[test]
fn the_second_message_of_a_caller_over_the_quota_is_an_announcement() {
    let mut trial = Trial::create(&[]);
    trial.configure("limits", "deposits_per_caller_max = 1");
    trial.serve();
    let voice = Voice::english(Codec::Pcmu);
    let sent = speech(2, Duration::from_secs(2));
    let first = place(&forwarded(&trial, "1001"), &leave_at_once(&sent));
    assert!(first.is_ok(), "{:?} {:?}", first.refusal, first.steps);
    let until_bye = [Step::Bye { within: Duration::from_secs(20) }];
    let second = place(&forwarded(&trial, "1001"), &until_bye);
    assert!(second.is_ok(), "{:?} {:?}", second.refusal, second.steps);
    assert_eq!(voice.words(&second.heard), "too-many-messages");
    let elsewhere = [
        Step::Speech { within: Duration::from_secs(10) },
        Step::Press(Keys::new("#").expect("a key")),
        Step::Beep { within: Duration::from_secs(10) },
        Step::HangUp,
    ];
    let other = place(&forwarded(&trial, "1002"), &elsewhere);
    assert!(other.is_ok(), "another mailbox: {:?} {:?}", other.refusal, other.steps);
    assert_eq!(delivered(&trial, "1001", 1).len(), 1);
}
