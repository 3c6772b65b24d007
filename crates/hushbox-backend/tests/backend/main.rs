//! The real backends, and the ones in memory, held to one behaviour; and one message's whole way through real files.

#![expect(clippy::unwrap_used, reason = "tests")]

mod arbitrary_files;
mod full_disk;
mod golden;
mod index_conformance;
mod kill;
mod objects_conformance;
mod sqlite;
#[path = "../../../hushbox-store/tests/behaviour/support.rs"]
#[expect(dead_code, reason = "the store's tests need more of their installation than these")]
mod support;
mod whole_path;
