//! A telephone that is not ours: baresip (Debian's package) over TLS with SDES-SRTP.

use std::path::Path;
use std::time::Duration;

use hushbox_load::measure;
use hushbox_load::scenario;
use hushbox_load::script::{Keys, Step};
use hushbox_load::timeline::{RATE, samples_in};
use hushbox_tests::baresip::{self, Baresip, Telephone};
use hushbox_tests::calls::{delivered, forwarded, leave_at_once, owner, run, speech};
use hushbox_tests::trial::Trial;

/// How long baresip speaks after the beep.
const MESSAGE: Duration = Duration::from_secs(5);

/// The telephone of a mailbox's owner, with this at its microphone; and the account's domain.
fn telephone(
    trial: &Trial,
    mailbox: &str,
    modules: &Path,
    microphone: &[i16],
) -> (Baresip, String) {
    let (plan, _) = owner(trial, mailbox);
    let (certificate, key) = plan.identity.certificate.expect("a certificate");
    let domain = plan.uri.split_once('@').expect("a domain").1.to_owned();
    let telephone = Telephone {
        address: &format!("{}@{domain}", plan.from),
        certificate: (&certificate, &key),
        password: None,
        server: trial.address("tls"),
        microphone,
    };
    (Baresip::start(modules, &telephone), domain)
}

fn loud(heard: &[i16]) -> bool {
    heard.chunks(80).any(measure::is_loud)
}

#[test]
fn a_message_left_by_baresip_is_heard_by_its_owner() {
    let Some(modules) = baresip::modules() else {
        eprintln!("SKIPPED: baresip is not installed (`make test` installs it)");
        return;
    };
    let trial = Trial::start(&[]);
    let microphone = speech(41, Duration::from_secs(90));
    let (mut baresip, domain) = telephone(&trial, "1002", &modules, &microphone);

    // It leaves a message: greeting, beep, five seconds, and hangs up.
    baresip.dial(&format!("sip:1001@{domain}"));
    baresip.wait_heard("the greeting", Duration::from_secs(10), loud);
    baresip.press("#");
    let beep = baresip.wait_beep(Duration::from_secs(60));
    // The server is silent while it records, and baresip's dump then stands still.
    baresip.talk(MESSAGE);
    baresip.hang_up();
    let seconds = delivered(&trial, "1001", 1)[0]["seconds"].as_f64().expect("a number");
    assert!((4.0..7.0).contains(&seconds), "{seconds}");

    // Its owner hears it.
    let (plan, pin) = owner(&trial, "1001");
    let keys = |keys: &str| Keys::new(keys).expect("keys");
    let script = [
        Step::Speech { within: Duration::from_secs(10) },
        Step::Press(keys(&format!("{pin}#"))),
        Step::Speech { within: Duration::from_secs(20) },
        Step::Press(keys("1")),
        Step::Hear(Duration::from_secs_f64(seconds + 9.0)),
        Step::Press(keys("#")),
        Step::HangUp,
    ];
    let outcome = run(scenario::call(&plan, &script)).expect("a call");
    assert!(outcome.refusal.is_none(), "{:?}", outcome.refusal);
    // What the microphone heard two seconds after the beep is in the message for certain.
    let piece = beep + 2 * RATE..beep + 3 * RATE;
    let found = measure::extent(&microphone, piece, &outcome.heard).expect("the message is heard");
    assert!(found.correlation > 0.99, "{found:?}");
    let length = found.source.len();
    let wanted = (seconds * RATE as f64).round() as usize;
    assert!(
        length.abs_diff(wanted) <= samples_in(measure::LENGTH_TOLERANCE),
        "{length} of {wanted}"
    );
}

#[test]
fn an_owner_dials_in_from_baresip_with_its_certificate_and_pin() {
    let Some(modules) = baresip::modules() else {
        eprintln!("SKIPPED: baresip is not installed (`make test` installs it)");
        return;
    };
    let trial = Trial::start(&[]);
    let sent = speech(42, Duration::from_secs(4));
    let left =
        run(scenario::call(&forwarded(&trial, "1001"), &leave_at_once(&sent))).expect("a call");
    assert!(left.is_ok(), "{:?} {:?}", left.refusal, left.steps);
    assert_eq!(delivered(&trial, "1001", 1).len(), 1);

    let (_, pin) = owner(&trial, "1001");
    let (mut baresip, domain) = telephone(&trial, "1001", &modules, &[0; 60 * RATE]);
    let established = baresip.dial(&format!("sip:*97@{domain}"));
    let suite = established.iter().find(|e| e["type"] == "CALL_MENC");
    assert!(suite.is_none_or(|e| e.to_string().contains("AES_CM_128_HMAC_SHA1_80")), "{suite:?}");
    baresip.wait_heard("the question for the PIN", Duration::from_secs(10), loud);
    baresip.press(&format!("{pin}#"));
    let asked = baresip.heard().len();
    baresip.wait_heard("the count", Duration::from_secs(20), |heard| loud(&heard[asked..]));
    baresip.press("1");
    let from = baresip.heard().len();
    let mut best = 0.0;
    baresip.wait_heard("the message", Duration::from_secs(30), |heard| {
        // baresip plays at its own pace: half a second of the message is the bar here.
        let piece = &sent[RATE..RATE + RATE / 2];
        best = f64::max(best, measure::find(piece, &heard[from..]).map_or(0.0, |m| m.correlation));
        best > 0.99
    });
    baresip.press("7");
    baresip.press("#");
    baresip.wait_closed(Duration::from_secs(20));
    let deleted = trial.list(&["message", "list"]);
    assert_eq!(deleted[0]["state"], "deleted", "{deleted:?}");
}
