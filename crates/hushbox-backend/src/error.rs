//! What can go wrong with files, apart by what an operator does about it. None of it names a caller, a number or a key.

use std::io;
use std::path::{Path, PathBuf};

/// A file or folder of the server's could not be used.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// The system refused.
    #[error("can't {doing} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// No space left. What was written before stands.
    #[error("no space left for {}; free some, or give it a bigger disk", path.display())]
    Full {
        /// The file or folder.
        path: PathBuf,
    },
    /// Another process holds the folder.
    #[error(
        "another Hushbox server ({holder}) is using {}: stop that one first, or give this one a folder of its own \
         (`hushbox quickstart --dir OTHER`)",
        folder.display()
    )]
    Locked {
        /// The data folder.
        folder: PathBuf,
        /// What the holder wrote into the lock file, such as `process 4711`.
        holder: String,
    },
    /// Written by a later version of Hushbox.
    #[error("{} is of version {version}, which this program does not know: use the newer one", path.display())]
    UnknownVersion {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
    /// The bytes are not what this program writes.
    #[error("{} is damaged: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A key file that others may read.
    #[error("{} may be read by others (mode {mode:03o}): run `chmod 600 {}`", path.display(), path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A key file that must be there is not.
    #[error("{} is missing: {what_to_do}", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// What an operator does about it.
        what_to_do: &'static str,
    },
    /// SQLite's files of a database that is not there itself.
    #[error(
        "{} stands without {}, which it belongs to: move it away (keep it: the last changes may be in it alone), then \
         restore {} from a backup",
        path.display(), of.display(), of.display()
    )]
    Stray {
        /// The file that stands alone.
        path: PathBuf,
        /// The database.
        of: PathBuf,
    },
    /// More than a fixed table holds.
    #[error("{} has no room for another entry", path.display())]
    TableFull {
        /// The file.
        path: PathBuf,
    },
    /// Something that was written before could not be synced: what it held may be lost, and nothing is added to it.
    #[error("what was written for this message to {} was not synced", path.display())]
    Unsynced {
        /// The file or folder.
        path: PathBuf,
    },
    /// The spool does not have this message.
    #[error("the spool in {} has no such message", path.display())]
    NoMessage {
        /// The spool's folder.
        path: PathBuf,
    },
}

impl BackendError {
    /// Names what was tried and where; a full disk becomes its own variant.
    pub(crate) fn io(
        doing: &'static str,
        path: &Path,
    ) -> impl FnOnce(io::Error) -> BackendError + use<> {
        let path = path.to_owned();
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                BackendError::Full { path }
            }
            _ => BackendError::Io { doing, path, source },
        }
    }

    /// True when making room would help.
    pub fn is_full(&self) -> bool {
        matches!(self, BackendError::Full { .. })
    }
}
