//! Beside a PBX that is not ours: Kamailio (Debian's package, with TLS) on `config/pbx/kamailio` as it stands.

mod kamailio;
mod phone;

use std::process::Command;
use std::time::Duration;

use hushbox_load::client::Plan;
use hushbox_load::g711::Codec;
use hushbox_load::measure;
use hushbox_load::scenario::{self, Outcome};
use hushbox_load::script::{Keys, Step};
use hushbox_load::timeline::RATE;
use hushbox_tests::baresip::{self, Baresip, Telephone};
use hushbox_tests::calls::{delivered, leave, leave_at_once, listen, owner, run, speech};
use hushbox_tests::transcript::Voice;
use hushbox_tests::trial::{Trial, warn_not_tested};
use kamailio::{DOMAIN, Kamailio, PASSWORD};
use phone::{Event, Habit, Phone};

/// Everybody is on loopback here; the outside is who comes in at the other port.
const LOOPBACK: &str = "127.0.0.1/32";

fn there() -> bool {
    let there = kamailio::installed();
    if !there {
        warn_not_tested("kamailio is not installed (`make test` installs it)");
    }
    there
}

fn place(plan: &Plan, script: &[Step]) -> Outcome {
    let outcome = run(scenario::call(plan, script)).expect("the call goes its way");
    assert!(outcome.is_ok(), "{:?} {:?}", outcome.refusal, outcome.steps);
    outcome
}

/// The status that a call was refused with.
fn refused(plan: &Plan) -> u16 {
    let outcome = run(scenario::call(plan, &[])).expect("an answer");
    outcome.refusal.expect("refused").status
}

/// Waits for the beep, says this, ends it by `#` and hears that it is saved.
fn leave_and_wait(sound: &[i16]) -> Vec<Step> {
    let mut steps = leave(sound);
    steps.truncate(2);
    steps.push(Step::Press(Keys::new("#").expect("a key")));
    steps.push(Step::Bye { within: Duration::from_secs(60) });
    steps
}

/// What a caller hears whose call came for this reason.
fn heard(greeting: &str) -> String {
    format!(
        "greeting-default 1 0 0 1 greeting-{greeting} notice-hipaa leave-message-after-beep beep \
         saved"
    )
}

#[test]
fn the_recipe_parses_before_anybody_has_given_it_values() {
    if !there() {
        return;
    }
    let recipe = kamailio::recipe().join("kamailio.cfg");
    let checked = Command::new("kamailio").arg("-c").arg("-f").arg(recipe).output().expect("runs");
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}

#[test]
fn a_busy_phones_caller_leaves_the_message_that_its_owner_hears() {
    if !there() {
        return;
    }
    let trial = Trial::start(&[]);
    let kamailio = Kamailio::start(&trial, LOOPBACK);
    let phone = Phone::start(&kamailio, "1001", Habit::IsBusy);
    let sent = speech(1, Duration::from_secs(4));
    let mut plan = kamailio.outside_calls("1001");
    // Somebody outside would like to say whose mailbox it is, and who calls.
    plan.headers = [
        ("Diversion", "<sip:1002@clinic.example>;reason=no-answer"),
        ("diversion", "<sip:1002@clinic.example>;reason=unconditional"),
        ("History-Info", "<sip:1002@clinic.example>;index=1, <sip:vm@clinic.example>;index=1.1"),
        ("P-Asserted-Identity", "<sip:1002@clinic.example>"),
        ("P-Preferred-Identity", "<sip:1002@clinic.example>"),
        ("Remote-Party-ID", "<sip:1002@clinic.example>"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec();
    let outcome = place(&plan, &leave_and_wait(&sent));
    assert_eq!(Voice::english(Codec::Pcmu).words(&outcome.heard), heard("busy"));
    let said = phone.wait(|event| match event {
        Event::Called { headers } => Some(headers),
        _ => None,
    });
    assert_eq!(said, "", "nothing of it reached the phone");
    assert_eq!(delivered(&trial, "1001", 1).len(), 1);

    // Media went end to end: what was said is what the owner hears.
    let (owner, pin) = owner(&trial, "1001");
    let listened = place(&owner, &listen(&pin, &sent));
    let same = measure::compare(&sent, listened.heard_during("find")).expect("heard");
    assert!(same.is_same(), "{same:?}");
}

#[test]
fn a_phone_that_rings_on_and_one_that_is_not_there_have_their_greetings() {
    if !there() {
        return;
    }
    let trial = Trial::start(&[]);
    let kamailio = Kamailio::start(&trial, LOOPBACK);
    let voice = Voice::english(Codec::Pcmu);
    let phone = Phone::start(&kamailio, "1001", Habit::RingsOn);
    let sent = speech(2, Duration::from_secs(2));
    // A colleague calls, who proves a password.
    let unanswered = place(&kamailio.phone_calls("1002", "1001"), &leave_and_wait(&sent));
    assert_eq!(voice.words(&unanswered.heard), heard("no-answer"));
    assert!(unanswered.statuses.contains(&180), "{:?}", unanswered.statuses);
    phone.wait(|event| matches!(event, Event::Cancelled).then_some(()));
    drop(phone);

    let away = place(&kamailio.outside_calls("1001"), &leave_and_wait(&sent));
    assert_eq!(voice.words(&away.heard), heard("unavailable"));
    assert_eq!(delivered(&trial, "1001", 2).len(), 2);
}

#[test]
fn a_phone_that_dials_star_97_hears_that_it_cannot_from_there() {
    if !there() {
        return;
    }
    let mut trial = Trial::start(&[]);
    let kamailio = Kamailio::start(&trial, LOOPBACK);
    let bye = Step::Bye { within: Duration::from_secs(60) };
    for dialled in ["*97", "%2A97"] {
        let outcome = place(&kamailio.phone_calls("1001", dialled), std::slice::from_ref(&bye));
        let words = Voice::english(Codec::Pcmu).words(&outcome.heard);
        assert_eq!(words, "not-from-this-telephone");
    }
    drop(kamailio);
    let log = trial.stop();
    assert_eq!(log.matches("not-from-this-telephone").count(), 2, "{log}");
}

#[test]
fn baresip_registers_leaves_a_message_and_has_its_lamp_lit_through_it() {
    let Some(modules) = baresip::modules().filter(|_| there()) else {
        eprintln!("SKIPPED: baresip is not installed (`make test` installs it)");
        return;
    };
    let trial = Trial::start(&[]);
    let kamailio = Kamailio::start(&trial, LOOPBACK);
    let (plan, _) = owner(&trial, "1002");
    let (certificate, key) = plan.identity.certificate.expect("a certificate");
    let microphone = speech(41, Duration::from_secs(60));
    let mut baresip = Baresip::start(
        &modules,
        &Telephone {
            address: &format!("1002@{DOMAIN}"),
            certificate: (&certificate, &key),
            password: Some(PASSWORD),
            server: kamailio.phones,
            microphone: &microphone,
        },
    );
    baresip.wait_logged("[1 binding]", Duration::from_secs(20));
    let established = baresip.dial(&format!("sip:1001@{DOMAIN}"));
    let suite = established.iter().find(|e| e["type"] == "CALL_MENC");
    assert!(suite.is_none_or(|e| e.to_string().contains("AES_CM_128_HMAC_SHA1_80")), "{suite:?}");
    baresip.wait_heard("the greeting", Duration::from_secs(10), |heard| {
        heard.chunks(80).any(measure::is_loud)
    });
    baresip.press("#");
    let beep = baresip.wait_beep(Duration::from_secs(60));
    baresip.talk(Duration::from_secs(4));
    baresip.hang_up();
    assert_eq!(delivered(&trial, "1001", 1).len(), 1);
    // And its own lamp, for which it has subscribed.
    place(&kamailio.outside_calls("1002"), &leave_at_once(&microphone[..2 * RATE]));
    baresip.wait_event("MWI_NOTIFY", Duration::from_secs(20), |event| {
        event.to_string().contains("Voice-Message: 1/0")
    });

    // What its microphone heard two seconds after the beep is in the message for certain.
    let (owner, pin) = owner(&trial, "1001");
    let piece = &microphone[beep + 2 * RATE..beep + 3 * RATE];
    place(&owner, &listen(&pin, piece));
}

/// Waits until a phone is told this, and gives what it was told then.
fn told(phone: &Phone, wanted: &str) -> String {
    phone.wait(|event| match event {
        Event::Notified { summary, state } if summary.contains(wanted) => {
            assert!(state.starts_with("active"), "{state}");
            Some(summary)
        }
        _ => None,
    })
}

#[test]
fn a_phones_lamp_goes_on_by_its_subscription_through_it() {
    if !there() {
        return;
    }
    let trial = Trial::start(&[]);
    let kamailio = Kamailio::start(&trial, LOOPBACK);
    let phone = Phone::watching(&kamailio, "1001", Habit::IsBusy, Some("1001"));
    let status = phone.wait(|event| match event {
        Event::Subscribed { status } => Some(status),
        _ => None,
    });
    assert_eq!(status, 200);
    // A colleague is curious: a phone is told of its own mailbox, whatever it asks for.
    let curious = Phone::watching(&kamailio, "1002", Habit::RingsOn, Some("1001"));
    let own = told(&curious, "Messages-Waiting: no");
    assert!(own.contains("sip:1002@clinic.example"), "{own}");

    let sent = speech(5, Duration::from_secs(2));
    place(&kamailio.outside_calls("1001"), &leave_at_once(&sent));
    assert_eq!(delivered(&trial, "1001", 1).len(), 1);
    let summary = told(&phone, "Messages-Waiting: yes");
    assert!(summary.contains("Voice-Message: 1/0"), "{summary}");
    assert!(summary.contains("sip:1001@clinic.example"), "{summary}");
}

#[test]
fn strangers_get_nothing_and_nobody_calls_what_is_not_there() {
    if !there() {
        return;
    }
    let trial = Trial::start(&[]);
    let kamailio = Kamailio::start(&trial, "192.0.2.0/24");
    let closed = run(scenario::call(&kamailio.outside_calls("1001"), &[]));
    assert!(closed.is_err(), "{closed:?}");

    let mut nobody = kamailio.phone_calls("1001", "1002");
    nobody.identity.credentials = None;
    assert_eq!(refused(&nobody), 407);
    let mut guessing = kamailio.phone_calls("1001", "1002");
    guessing.identity.credentials.as_mut().expect("credentials").password = "wrong".into();
    assert_eq!(refused(&guessing), 407);
    let mut pretending = kamailio.phone_calls("1001", "1002");
    pretending.from = "1003".into();
    assert_eq!(refused(&pretending), 407);
    assert_eq!(refused(&kamailio.phone_calls("1001", "5999")), 404, "Hushbox has no such mailbox");
    assert_eq!(refused(&kamailio.phone_calls("1001", "+15551230000")), 404, "and Kamailio no such");
    let mut away = kamailio.phone_calls("1001", "1002");
    away.uri = "sip:1002@elsewhere.example".into();
    assert_eq!(refused(&away), 403, "it is no open relay");
    assert_eq!(trial.list(&["message", "list"]).len(), 0);
    drop(kamailio);

    let kamailio = Kamailio::start(&trial, LOOPBACK);
    assert_eq!(refused(&kamailio.outside_calls("*97")), 404, "from outside nobody logs in");
}
