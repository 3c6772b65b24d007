//! The documentation against the code: what it lists is all there is, and what it points to is there.

use std::path::{Path, PathBuf};

use hushbox_call::EndReason;

fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

#[test]
fn every_end_reason_is_explained_to_operators() {
    let text = read(&root().join("docs/end-reasons.md"));
    for reason in EndReason::ALL {
        assert!(text.contains(&format!("| `{reason}` |")), "{reason} has no row");
    }
    let rows = text.lines().filter(|l| l.starts_with("| `")).count();
    assert_eq!(rows, EndReason::ALL.len(), "and no other has one");
}

#[test]
fn what_the_pages_point_to_is_there() {
    let pages =
        std::fs::read_dir(root().join("docs")).expect("docs").filter_map(|e| Some(e.ok()?.path()));
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
