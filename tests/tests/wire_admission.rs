//! The quota of a caller over real sockets: what who is over it hears.

use std::time::Duration;

use hushbox_load::client::Plan;
use hushbox_load::g711::Codec;
use hushbox_load::scenario::{self, Outcome};
use hushbox_load::script::{Keys, Step};
use hushbox_tests::calls::{delivered, forwarded, leave_at_once, run, speech};
use hushbox_tests::transcript::Voice;
use hushbox_tests::trial::Trial;

fn place(plan: &Plan, script: &[Step]) -> Outcome {
    run(scenario::call(plan, script)).expect("the call goes its way")
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
