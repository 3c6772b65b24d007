//! The leak test: marker audio, `kill -9` in mid-recording, then a search of every byte under the data folder.
//!
//! Ten kills in `make test`; `HUSHBOX_KILLS` says how many in `make campaign`. Each round also shows that nothing is
//! lost: what was recorded until one second before the kill is a message, marked as truncated, after the next start.

use std::time::Duration;

use hushbox_load::g711::Codec;
use hushbox_load::scenario::{self, StepOutcome};
use hushbox_tests::calls::{forwarded, leave_at_once, run};
use hushbox_tests::trial::Trial;

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
    let json = trial.json();
    for mailbox in
        json["accounts"].as_array().into_iter().flatten().flat_map(|a| a["mailboxes"].as_array())
    {
        for person in mailbox.iter().flat_map(|m| m["persons"].as_array()).flatten() {
            let pin = person["pin"].as_str().expect("a PIN");
            found.push(("a PIN", pin.as_bytes().to_vec()));
        }
    }
    found
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
        let messages = trial.list(&["message", "list"]);
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
