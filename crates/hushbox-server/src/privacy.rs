//! What this process has is its user's alone: its files, and its memory, which holds keys and audio.

use rustix::fs::Mode;
use rustix::process::{
    DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit, umask,
};

/// What this process makes is its user's alone, whatever umask it was started with.
pub fn keep_files_private() {
    let _before = umask(Mode::RWXG | Mode::RWXO);
}

/// Forbids core dumps, also those that go to a pipe (which the limit alone does not stop), and other processes of the
/// same user to read this one's memory.
pub fn forbid_dumps() {
    if let Err(error) = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }) {
        tracing::warn!(%error, "core dumps could not be switched off");
    }
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        tracing::warn!(%error, "this process could not be closed to debuggers");
    }
}

#[cfg(test)]
mod tests {
    use rustix::process::{dumpable_behavior, getrlimit};

    use super::*;

    #[test]
    fn a_process_that_forbids_dumps_has_none() {
        forbid_dumps();
        assert_eq!(getrlimit(Resource::Core).current, Some(0));
        assert_eq!(dumpable_behavior().expect("known"), DumpableBehavior::NotDumpable);
    }
}
