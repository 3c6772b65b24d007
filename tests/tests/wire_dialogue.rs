//! What is said on the telephone, word by word: greeting and notice, log-in, count, date and time, the keys while
//! a message plays, reminders, and what those hear who may not.

use std::time::Duration;

use hushbox_load::client::Plan;
use hushbox_load::dialog::Ended;
use hushbox_load::g711::Codec;
use hushbox_load::measure;
use hushbox_load::scenario::{self, Outcome};
use hushbox_load::script::{Keys, Step};
use hushbox_load::timeline::{RATE, time_of};
use hushbox_tests::calls::{delivered, forwarded, leave, leave_at_once, owner, run, speech};
use hushbox_tests::transcript::Voice;
use hushbox_tests::trial::Trial;
use jiff::Timestamp;
use jiff::tz::TimeZone;

fn place(plan: &Plan, script: &[Step]) -> Outcome {
    let outcome = run(scenario::call(plan, script)).expect("the call goes its way");
    assert!(outcome.is_ok(), "{:?} {:?}", outcome.refusal, outcome.steps);
    outcome
}

fn keys(keys: &str) -> Step {
    Step::Press(Keys::new(keys).expect("keys"))
}

fn hear(seconds: f64) -> Step {
    Step::Hear(Duration::from_secs_f64(seconds))
}

/// Waits until what is being said has been said.
fn quiet() -> Step {
    Step::Quiet { quiet: Duration::from_millis(700), within: Duration::from_secs(60) }
}

fn bye() -> Step {
    Step::Bye { within: Duration::from_secs(60) }
}

/// What is said after the PIN up to the first choice of keys, on this script of keys.
fn session(trial: &Trial, mailbox: &str, after: &[Step]) -> Outcome {
    let (plan, pin) = owner(trial, mailbox);
    let mut script = vec![quiet(), keys(&format!("{pin}#"))];
    script.extend_from_slice(after);
    place(&plan, &script)
}

#[test]
fn a_caller_hears_greeting_notice_beep_and_that_the_message_is_saved() {
    let trial = Trial::start(&[]);
    let voice = Voice::english(Codec::Pcmu);
    let sent = speech(1, Duration::from_secs(2));
    let mut script = leave(&sent);
    script.truncate(2);
    script.extend([keys("#"), bye()]);
    let hipaa = place(&forwarded(&trial, "1001"), &script);
    assert_eq!(
        voice.words(&hipaa.heard),
        "greeting-default 1 0 0 1 greeting-unavailable notice-hipaa leave-message-after-beep beep saved"
    );
    let standard = place(&forwarded(&trial, "2001"), &script);
    assert_eq!(
        voice.words(&standard.heard),
        "greeting-default 2 0 0 1 greeting-unavailable leave-message-after-beep beep saved"
    );
}

#[test]
fn an_owner_of_an_empty_mailbox_hears_that_it_is_and_goodbye() {
    let trial = Trial::start(&[]);
    let voice = Voice::english(Codec::Pcmu);
    let empty = session(&trial, "1002", &[quiet(), keys("#"), bye()]);
    let words = voice.words(&empty.heard);
    assert!(words.starts_with("enter-pin no-messages menu-main"), "{words}");
    assert!(words.ends_with("goodbye"), "{words}");
}

#[test]
fn an_owner_hears_the_count_and_when_the_message_came() {
    let trial = Trial::start(&[]);
    let voice = Voice::english(Codec::Pcmu);
    let sent = speech(2, Duration::from_secs(3));
    for _ in 0..2 {
        place(&forwarded(&trial, "1002"), &leave_at_once(&sent));
    }
    let rows = delivered(&trial, "1002", 2);
    let after = [
        quiet(),
        keys("1"),
        Step::Find {
            sound: sent.clone().into(),
            next: Keys::new("6").expect("a key"),
            tries: 1,
            within: Duration::from_secs(30),
        },
        quiet(),
        keys("6"),
        hear(1.5),
        keys("4"),
        hear(1.0),
        keys("#"),
        keys("#"),
        bye(),
    ];
    let outcome = session(&trial, "1002", &after);
    let words = voice.words(&outcome.heard);
    let zone = trial.list(&["mailbox", "list"]);
    let zone = zone.iter().find(|m| m["number"] == "1002").expect("the mailbox");
    let zone = TimeZone::get(zone["time_zone"].as_str().expect("a zone")).expect("a known zone");
    let received: Timestamp =
        rows[0]["received"].as_str().expect("a time").parse().expect("RFC 3339");
    let received = received.to_zoned(zone);
    let (hour, minute) = ((received.hour() + 11) % 12 + 1, received.minute());
    let minute = match minute {
        0 => "oclock".to_owned(),
        1..=9 => format!("oh {minute}"),
        10..=19 => minute.to_string(),
        _ if minute % 10 == 0 => minute.to_string(),
        _ => format!("{} {}", minute / 10 * 10, minute % 10),
    };
    let half = if received.hour() < 12 { "am" } else { "pm" };
    let when = format!("received today at {hour} {minute} {half}");
    assert!(words.starts_with("enter-pin you-have 2 new-messages menu-main"), "{words}");
    // Just before midnight the other is of yesterday.
    assert!(words.contains(&when) || words.contains("yesterday"), "{when}: {words}");
    let first = words.find("first").expect("the first message");
    assert!(words[first..].contains("message received"), "{words}");
}

#[test]
fn the_keys_of_asterisk_move_within_a_message() {
    let trial = Trial::start(&[]);
    let voice = Voice::english(Codec::Pcmu);
    let sent = speech(3, Duration::from_secs(20));
    place(&forwarded(&trial, "1001"), &leave_at_once(&sent));
    assert_eq!(delivered(&trial, "1001", 1).len(), 1);
    let find_beginning = Step::Find {
        sound: sent[..RATE].into(),
        next: Keys::new("6").expect("a key"),
        tries: 1,
        within: Duration::from_secs(30),
    };
    let after = [
        quiet(),
        keys("1"),
        find_beginning,
        hear(1.0),
        keys("#"), // 3 s on
        hear(2.0),
        keys("*"), // 3 s back
        hear(1.0),
        keys("0"), // pause
        hear(2.0),
        keys("0"), // and on
        hear(1.5),
        keys("2"), // from the start
        hear(2.0),
        keys("3"), // nothing on this key
        quiet(),
        keys("#"),
        bye(),
    ];
    let outcome = session(&trial, "1001", &after);
    // Where the message stood at the end of each listening.
    let mut places = Vec::new();
    for step in outcome.steps.iter().filter(|s| s.name == "hear") {
        let end = step.heard.end;
        let last = &outcome.heard[end.saturating_sub(RATE / 2)..end];
        let found = measure::find(last, &sent).filter(|m| m.correlation > 0.95);
        places.push(found.map(|m| time_of(m.offset).as_secs_f64()));
    }
    let [one, forward, back, paused, on, restarted] = places[..] else {
        panic!("six places: {places:?}");
    };
    let near = |place: Option<f64>, wanted: f64| place.is_some_and(|p| (p - wanted).abs() < 0.8);
    let one = one.expect("it plays");
    assert!(near(forward, one + 3.0 + 2.3), "{places:?}");
    let forward = forward.expect("it plays");
    assert!(near(back, forward - 3.0 + 1.3), "{places:?}");
    // Nothing is sent meanwhile, and it goes on from there.
    let hears: Vec<_> = outcome.steps.iter().filter(|s| s.name == "hear").collect();
    assert!(hears[3].heard.len() < RATE / 2, "{:?}", hears[3]);
    assert!(near(paused, back.expect("it plays")), "{places:?}");
    assert!(near(on, paused.expect("it played") + 1.7), "{places:?}");
    assert!(near(restarted, 1.7), "{places:?}");
    let words = voice.words(&outcome.heard);
    assert!(words.contains("not-available"), "{words}");
}

#[test]
fn three_wrong_pins_end_the_call() {
    let trial = Trial::start(&[]);
    let voice = Voice::english(Codec::Pcmu);
    let (plan, pin) = owner(&trial, "1001");
    let wrong: String = pin.chars().map(|c| if c == '9' { '0' } else { '9' }).collect();
    let attempt = [quiet(), keys(&format!("{wrong}#"))];
    let mut script = Vec::new();
    for _ in 0..3 {
        script.extend(attempt.clone());
    }
    script.push(bye());
    let outcome = place(&plan, &script);
    let words = voice.words(&outcome.heard);
    assert_eq!(words.matches("wrong-login").count(), 3, "{words}");
    assert!(matches!(outcome.ended, Some(Ended::There(_))), "{:?}", outcome.ended);
}

#[test]
fn star_for_another_person_is_not_for_this_telephone_and_the_number_may_be_escaped() {
    let trial = Trial::start(&[]);
    let voice = Voice::english(Codec::Pcmu);
    let (plan, pin) = owner(&trial, "1001");
    let outcome = place(&plan, &[quiet(), keys("*"), quiet(), Step::HangUp]);
    let words = voice.words(&outcome.heard);
    assert!(words.contains("not-from-this-telephone"), "{words}");

    // The number is heard as %2A97 too.
    let mut escaped = plan.clone();
    escaped.uri = escaped.uri.replace("*97", "%2A97");
    let outcome = place(&escaped, &[quiet(), keys(&format!("{pin}#")), quiet(), keys("#"), bye()]);
    assert!(voice.words(&outcome.heard).contains("no-messages"));
}

#[test]
fn who_presses_nothing_is_reminded_and_logged_off_within_45_seconds() {
    let trial = Trial::start(&[]);
    let voice = Voice::english(Codec::Pcmu);
    let (plan, pin) = owner(&trial, "1001");
    let script = [quiet(), keys(&format!("{pin}#")), quiet(), bye()];
    let outcome = place(&plan, &script);
    let menu = outcome.steps[2].heard.end;
    let words = voice.words(&outcome.heard[menu..]);
    assert!(words.starts_with("reminder"), "{words}");
    // From the last key, the menu included.
    let idle = outcome.steps[2].took + outcome.steps[3].took;
    assert!(
        (Duration::from_secs(30)..Duration::from_secs(48)).contains(&idle),
        "{idle:?}: {words}"
    );
}
