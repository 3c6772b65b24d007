//! The documentation against the code: what it lists is all there is, and what it points to is there.

use std::path::{Path, PathBuf};

use hushbox_call::EndReason;
use hushbox_call::signalling::Why;

fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The names in the first column of a page's part, sorted.
fn rows(text: &str) -> Vec<&str> {
    let names = text.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    names
}

#[test]
fn every_end_reason_and_refusal_is_explained_to_operators() {
    let text = read(&root().join("docs/end-reasons.md"));
    let (ends, refusals) = text.split_once("# Why a call was refused").expect("both parts");
    let mut reasons = EndReason::ALL.map(EndReason::as_str);
    reasons.sort_unstable();
    assert_eq!(rows(ends), reasons);
    let mut whys = Why::ALL.map(Why::as_str);
    whys.sort_unstable();
    assert_eq!(rows(refusals), whys);
}

#[test]
fn every_key_that_an_end_reason_names_is_in_the_config() {
    let config = read(&root().join("config/hushbox.toml"));
    let mut section = "";
    let mut keys = std::collections::BTreeSet::new();
    for line in config.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name;
        } else if let Some((key, _)) = line.trim_start_matches("# ").split_once(" = ") {
            keys.insert(format!("{section}.{key}"));
        }
    }
    assert!(keys.contains("sip.realm") && keys.contains("sip.advertised_host"), "{keys:?}");
    let text = read(&root().join("docs/end-reasons.md"));
    let is_key = |name: &&str| {
        name.split('.').count() == 2 && name.chars().all(|c| matches!(c, 'a'..='z' | '_' | '.'))
    };
    // What stands between backticks is every second piece.
    let mut named = text.split('`').skip(1).step_by(2).filter(is_key).peekable();
    assert!(named.peek().is_some());
    for name in named {
        assert!(keys.contains(name), "{name} is no key of config/hushbox.toml");
    }
}

#[test]
fn what_the_pages_point_to_is_there() {
    let entries = |folder: &str| {
        let entries = std::fs::read_dir(root().join(folder)).expect("a folder");
        entries.map(|entry| entry.expect("an entry").path()).collect::<Vec<_>>()
    };
    let recipes: Vec<_> =
        entries("config/pbx").into_iter().map(|recipe| recipe.join("README.md")).collect();
    assert!(!recipes.is_empty(), "and each has its page");
    let pages = entries("docs").into_iter().chain(recipes);
    for page in pages.chain([root().join("README.md"), root().join("CHANGELOG.md")]) {
        let text = read(&page);
        for target in text.split("](").skip(1).filter_map(|t| t.split(')').next()) {
            if target.contains("://") || target.starts_with('#') {
                continue;
            }
            let file =
                page.parent().expect("a folder").join(target.split('#').next().expect("a path"));
            assert!(file.exists(), "{} points to {target}", page.display());
        }
    }
}
