//! The architecture as a test: which crate may use which, and which may reach the network and the clock.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, MetadataCommand, PackageId};

/// Who may depend on whom among our own crates, outside of tests.
const MAY_USE: [(&str, &[&str]); 9] = [
    ("hushbox-sip", &[]),
    ("hushbox-media", &[]),
    ("hushbox-policy", &[]),
    ("hushbox-audit", &["policy"]),
    ("hushbox-store", &["audit", "policy"]),
    ("hushbox-call", &["sip", "media", "store", "audit", "policy"]),
    ("hushbox-backend", &["store", "audit", "policy"]),
    ("hushbox-server", &["backend", "call", "sip", "media", "store", "audit", "policy"]),
    ("hushbox-load", &[]),
];

/// Only these may have the runtime, sockets and files.
const SHELL: [&str; 3] = ["hushbox-server", "hushbox-backend", "hushbox-load"];

/// What a pure core must not reach by any path.
const IMPURE: [&str; 5] = ["tokio", "mio", "socket2", "sqlx", "object_store"];

/// Libraries that one crate alone may name: each is strong in one place and wrong in the others.
const RESERVED: [(&str, &[&str]); 9] = [
    ("hickory-resolver", &["hushbox-server"]),
    ("rsip", &["hushbox-load"]),
    ("webrtc-srtp", &["hushbox-load"]),
    ("sqlx", &["hushbox-backend"]),
    ("object_store", &["hushbox-backend"]),
    ("opus", &["hushbox-media"]),
    ("hound", &["hushbox-server", "hushbox-load"]),
    ("axum", &["hushbox-server"]),
    ("metrics", &["hushbox-server"]),
];

struct House {
    metadata: cargo_metadata::Metadata,
    uses: BTreeMap<PackageId, BTreeSet<PackageId>>,
}

impl House {
    fn new() -> Self {
        let metadata = MetadataCommand::new()
            .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"))
            .other_options(vec![
                "--locked".into(),
                "--filter-platform".into(),
                "x86_64-unknown-linux-gnu".into(),
            ])
            .exec()
            .expect("cargo metadata answers");
        let mut uses = BTreeMap::new();
        for node in &metadata.resolve.as_ref().expect("a resolved graph").nodes {
            let normal = node
                .deps
                .iter()
                .filter(|d| d.dep_kinds.iter().any(|k| k.kind == DependencyKind::Normal))
                .map(|d| d.pkg.clone())
                .collect();
            uses.insert(node.id.clone(), normal);
        }
        Self { metadata, uses }
    }

    fn id(&self, name: &str) -> PackageId {
        let found = self.metadata.packages.iter().find(|p| p.name.as_str() == name);
        found.unwrap_or_else(|| panic!("{name} is in the graph")).id.clone()
    }

    fn name(&self, id: &PackageId) -> String {
        self.metadata[id].name.to_string()
    }

    /// The names of all packages that `name` reaches, except by tests and build scripts.
    fn reach(&self, name: &str) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let mut open = vec![self.id(name)];
        while let Some(id) = open.pop() {
            for next in &self.uses[&id] {
                if found.insert(next.clone()) {
                    open.push(next.clone());
                }
            }
        }
        found.iter().map(|id| self.name(id)).collect()
    }
}

#[test]
fn dependencies_run_one_way() {
    let house = House::new();
    for (name, allowed) in MAY_USE {
        let allowed: BTreeSet<String> = allowed.iter().map(|a| format!("hushbox-{a}")).collect();
        let used: BTreeSet<String> = house.uses[&house.id(name)]
            .iter()
            .map(|id| house.name(id))
            .filter(|n| n.starts_with("hushbox-"))
            .collect();
        assert!(used.is_subset(&allowed), "{name} uses {used:?}, may use {allowed:?}");
    }
}

#[test]
fn every_crate_of_ours_is_in_the_table() {
    let house = House::new();
    let ours = ["hushbox-tests", "hushbox-benches"];
    let known: BTreeSet<&str> = MAY_USE.iter().map(|(n, _)| *n).chain(ours).collect();
    for package in house.metadata.workspace_packages() {
        assert!(known.contains(package.name.as_str()), "{} has no row in MAY_USE", package.name);
    }
}

#[test]
fn only_the_shell_reaches_the_runtime() {
    let house = House::new();
    for (name, _) in MAY_USE.iter().filter(|(n, _)| !SHELL.contains(n)) {
        let reached = house.reach(name);
        for impure in IMPURE {
            assert!(!reached.contains(impure), "{name} reaches {impure}");
        }
    }
}

#[test]
fn reserved_libraries_stay_where_they_are_strong() {
    let house = House::new();
    for (library, may) in RESERVED {
        for (name, _) in MAY_USE {
            let direct = house.uses[&house.id(name)].iter().any(|id| house.name(id) == library);
            assert!(!direct || may.contains(&name), "{name} names {library}");
        }
    }
}

#[test]
fn one_cryptographic_library() {
    // `cargo tree`, since the metadata's graph also names optional crates that no feature turns on.
    let tree = std::process::Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--workspace", "--edges", "normal", "--prefix", "none"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .output()
        .expect("cargo tree runs");
    let tree = String::from_utf8(tree.stdout).expect("names are text");
    assert!(tree.contains("aws-lc-rs v"), "cargo tree printed no graph");
    for other in ["ring v", "openssl v", "native-tls v"] {
        assert!(!tree.lines().any(|line| line.starts_with(other)), "{other} is in the graph");
    }
}

#[test]
fn metadata_is_complete() {
    let house = House::new();
    for package in house.metadata.workspace_packages() {
        assert!(package.description.is_some(), "{} has no description", package.name);
        assert_eq!(package.license.as_deref(), Some("MIT OR Apache-2.0"), "{}", package.name);
        assert!(package.repository.is_some(), "{} has no repository", package.name);
        assert!(package.rust_version.is_some(), "{} has no rust-version", package.name);
    }
}
