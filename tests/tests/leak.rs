//! The leak test: marker audio, `kill -9` in mid-recording, then a search of every byte under the data folder.
//!
//! Ten kills in `make test`; `HUSHBOX_KILLS` says how many in `make campaign`. Each round also shows that nothing is
//! lost: what was recorded until one second before the kill is a message, marked as truncated, after the next start.
//! Before the first kill everybody's secrets were used: PINs right and wrong, by keys and by commands; numbers revealed.

use std::time::Duration;

use hushbox_load::g711::Codec;
use hushbox_load::scenario::{self, StepOutcome};
use hushbox_load::script::{Keys, Step};
use hushbox_tests::calls::{delivered, forwarded, leave_at_once, listen, owner, run, speech};
use hushbox_tests::trial::Trial;
use serde_json::Value;

/// A caller's number that stands nowhere else.
const CALLER: &str = "15550142837";

/// How many octets of audio in a row are a hit: a chance of 2^-128 by accident.
const WINDOW: usize = 16;

fn kills() -> usize {
    std::env::var("HUSHBOX_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(10)
}

/// A marker whose samples are loud enough to be a voice, and whose every 20 ms is the same row of octets.
fn marker() -> Vec<i16> {
    let pattern: Vec<i16> = (0..160).map(|i| ((i * 7919) % 12_007) as i16 - 6_000).collect();
    pattern.iter().copied().cycle().take(8000 * 30).collect()
}

/// What must not be found, by name: the marker as mu-law, A-law, and 16-bit PCM of either order; number and PINs.
fn forbidden(trial: &Trial) -> Vec<(&'static str, Vec<u8>)> {
    let sound = &marker()[..WINDOW];
    let decoded = Codec::Pcmu.decode(&Codec::Pcmu.encode(sound));
    let mut found = vec![
        ("mu-law audio", Codec::Pcmu.encode(sound)),
        ("A-law audio", Codec::Pcma.encode(sound)),
        ("PCM audio", decoded.iter().flat_map(|s| s.to_le_bytes()).collect()),
        ("PCM audio", decoded.iter().flat_map(|s| s.to_be_bytes()).collect()),
        ("the caller's number", CALLER.as_bytes().to_vec()),
        ("a WAV header", b"WAVEfmt ".to_vec()),
        ("an Opus header", b"OpusHead".to_vec()),
        ("an SDES key", b"inline:".to_vec()),
    ];
    secrets(&trial.json(), &mut found);
    assert!(found.iter().filter(|(what, _)| *what == "a PIN").count() > 4, "everybody's");
    found
}

/// Every PIN and password of trial.json: of owners, telephones, staff and doctor.
fn secrets(json: &Value, found: &mut Vec<(&'static str, Vec<u8>)>) {
    match json {
        Value::Object(fields) => {
            for (name, value) in fields {
                match (name.as_str(), value.as_str()) {
                    ("pin", Some(pin)) => found.push(("a PIN", pin.into())),
                    ("password", Some(password)) => found.push(("a password", password.into())),
                    _ => secrets(value, found),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| secrets(value, found)),
        _ => {}
    }
}

/// The owner of 1001 enters a wrong PIN and the right one, hears a message and deletes it; a supervisor has the
/// caller's number shown and the message exported.
fn use_every_secret(trial: &Trial) {
    let sound = speech(9, Duration::from_secs(2));
    let mut plan = forwarded(trial, "1001");
    plan.from = CALLER.into();
    let left = run(scenario::call(&plan, &leave_at_once(&sound))).expect("a call");
    assert!(left.is_ok(), "{:?}", left.steps);

    let message = delivered(trial, "1001", 1).remove(0);
    let by = trial.by("7900");
    let by = by.iter().map(String::as_str);
    let because = ["--reason", "a test of leaks"];
    let reveal = ["message", "list", "--reveal"].into_iter().chain(by.clone()).chain(because);
    let shown = trial.list(&reveal.collect::<Vec<_>>());
    assert!(Value::from(shown).to_string().contains(CALLER), "the number is shown");
    let (id, out) = (message["id"].as_str().expect("an id"), trial.dir().join("out.wav"));
    let export = ["message", "export", id, "--out", out.to_str().expect("a path")].into_iter();
    let exported = trial.command(&export.chain(by).chain(because).collect::<Vec<_>>());
    assert!(exported.status.success(), "{}", String::from_utf8_lossy(&exported.stderr));

    let (plan, pin) = owner(trial, "1001");
    let wrong: String = pin.chars().map(|c| if c == '1' { '2' } else { '1' }).collect();
    let keys = |keys: &str| Step::Press(Keys::new(keys).expect("keys"));
    let quiet = Step::Quiet { quiet: Duration::from_millis(800), within: Duration::from_secs(20) };
    let mut script = vec![quiet.clone(), keys(&format!("{wrong}#")), quiet];
    // What follows begins with the words that ask for the PIN, and those were heard.
    script.extend(listen(&pin, &sound).into_iter().skip(1));
    let leave = script.len() - 2;
    script.insert(leave, keys("7"));
    script.insert(leave + 1, Step::Speech { within: Duration::from_secs(10) });
    let heard = run(scenario::call(&plan, &script)).expect("a call");
    assert!(heard.is_ok(), "{:?}", heard.steps);
}

fn search(trial: &Trial, log: &str) {
    let forbidden = forbidden(trial);
    let files = Trial::files_under(&trial.dir().join("data"));
    assert!(files.len() > 3, "there is something to search");
    for (path, bytes) in &files {
        if let Some((what, at)) = first_hit(&forbidden, bytes) {
            panic!("{what} stands in {} at {at}", path.display());
        }
    }
    if let Some((what, _)) = first_hit(&forbidden, log.as_bytes()) {
        panic!("{what} stands in the log");
    }
}

/// Looks for everything in one pass: there are megabytes of it after each kill.
fn first_hit(forbidden: &[(&'static str, Vec<u8>)], bytes: &[u8]) -> Option<(&'static str, usize)> {
    let mut by_first = vec![Vec::new(); 256];
    for (what, needle) in forbidden {
        by_first[usize::from(needle[0])].push((*what, needle));
    }
    bytes.iter().enumerate().find_map(|(at, first)| {
        let mut here = by_first[usize::from(*first)].iter();
        let hit = here.find(|(_, needle)| bytes[at..].starts_with(needle));
        hit.map(|(what, _)| (*what, at))
    })
}

#[test]
fn what_is_searched_for_is_found_wherever_it_stands() {
    let forbidden = [("a PIN", b"1234".to_vec()), ("a header", b"12WAVE".to_vec())];
    assert_eq!(first_hit(&forbidden, b"..1212WAVE"), Some(("a header", 4)));
    assert_eq!(first_hit(&forbidden, b"1234"), Some(("a PIN", 0)));
    assert_eq!(first_hit(&forbidden, b"..123"), None);
}

#[test]
fn a_kill_in_mid_recording_leaks_nothing_and_loses_at_most_a_second() {
    let mut trial = Trial::start(&[]);
    use_every_secret(&trial);
    let sound = marker();
    for round in 1..=kills() {
        // Not the same moment each time: 1.6 to 3.5 seconds into the recording.
        let said = Duration::from_millis(1600 + (round as u64 * 379) % 1900);
        let mut plan = forwarded(&trial, "1001");
        plan.from = CALLER.into();
        let script = leave_at_once(&sound);
        let log = run(async {
            let (tone_over, recording) = tokio::sync::oneshot::channel();
            let mut tone_over = Some(tone_over);
            let mut watch = |step: &StepOutcome| {
                if step.name == "beep"
                    && let Some(tone_over) = tone_over.take()
                {
                    let _ = tone_over.send(());
                }
            };
            let call = scenario::call_watched(&plan, &script, &mut watch);
            let kill = async {
                recording.await.expect("the tone is heard");
                tokio::time::sleep(said).await;
                trial.kill()
            };
            tokio::select! {
                ended = call => panic!("the call ended before the kill: {ended:?}"),
                log = kill => log,
            }
        });
        search(&trial, &log);
        trial.serve();
        let mut messages = trial.list(&["message", "list"]);
        messages.retain(|m| m["state"] != "deleted");
        assert_eq!(messages.len(), round, "each kill leaves one message");
        // The newest: until a second before the kill at the latest.
        let seconds = messages.iter().max_by_key(|m| m["received"].as_str().map(str::to_owned));
        let seconds = seconds.and_then(|m| m["seconds"].as_f64()).expect("a length");
        let least = said.as_secs_f64() - 1.1;
        assert!(seconds >= least, "round {round}: {seconds} s of at least {least} s");
        assert!(messages.iter().all(|m| m["truncated"] == true), "and says that it is not whole");
    }
    let log = trial.stop();
    search(&trial, &log);
    let verified = trial.command(&["audit", "verify"]);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
}
