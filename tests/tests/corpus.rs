//! Replays the corpus of every fuzz target, and holds the list of targets against the files.

use std::collections::BTreeSet;
use std::path::PathBuf;

use hushbox_tests::fuzz::TARGETS;

fn fuzz() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz"))
}

#[test]
fn the_corpus_of_every_target_is_replayed() {
    for (name, target) in TARGETS {
        let folder = fuzz().join("corpus").join(name);
        let entries =
            std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        let mut replayed = 0;
        for entry in entries {
            target(&std::fs::read(entry.expect("an entry").path()).expect("a file"));
            replayed += 1;
        }
        assert!(replayed > 0, "{name} has no corpus");
    }
}

#[test]
fn every_target_has_its_program() {
    let programs: BTreeSet<String> = std::fs::read_dir(fuzz().join("targets"))
        .expect("the targets")
        .filter_map(|e| e.ok()?.path().file_stem()?.to_str().map(str::to_owned))
        .collect();
    let targets: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(programs, targets);
}
