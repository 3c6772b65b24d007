//! One server to a data folder.
//!
//! `DIR/data/lock` is held by flock(2) for as long as the server lives; the system lets go of it however the server
//! ends, so no stale lock is ever in the way. Its text (`process 4711`) is for the message to a second server only.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::error::BackendError;

/// The lock file's name in the data folder.
pub const LOCK_FILE: &str = "lock";

/// Held while it lives.
#[derive(Debug)]
pub struct FolderLock {
    file: File,
}

impl FolderLock {
    /// Takes the folder for this process, or says who has it.
    pub fn take(data_folder: &Path) -> Result<FolderLock, BackendError> {
        let path = data_folder.join(LOCK_FILE);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(BackendError::io("open", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // Only for the message: a file that can't be read names nobody.
                let _ = (&file).take(64).read_to_string(&mut holder);
                let holder = holder.trim();
                let holder = if holder.is_empty() { "an unknown process" } else { holder };
                return Err(BackendError::Locked {
                    folder: data_folder.to_owned(),
                    holder: holder.to_owned(),
                });
            }
            Err(TryLockError::Error(error)) => return Err(BackendError::io("lock", &path)(error)),
        }
        // A full disk must not keep a server from starting: the text is a courtesy.
        let _ = file.set_len(0).and_then(|()| writeln!(file, "process {}", std::process::id()));
        Ok(FolderLock { file })
    }
}

/// flock(2): a copy of the handle holds the lock too, as one that a child has between fork and exec.
impl Drop for FolderLock {
    fn drop(&mut self) {
        // What fails here is done by the system when the last copy is closed.
        let _ = self.file.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_server_on_the_same_folder_is_told_who_has_it_and_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let first = FolderLock::take(folder.path()).unwrap();
        let error = FolderLock::take(folder.path()).unwrap_err();
        let said = error.to_string();
        assert!(said.contains(&format!("process {}", std::process::id())), "{said}");
        assert!(said.contains("stop that one first"), "{said}");
        assert!(said.contains(&folder.path().display().to_string()), "{said}");
        drop(first);
        FolderLock::take(folder.path()).expect("free again");
    }

    #[test]
    fn a_copy_of_the_handle_keeps_nobody_out() {
        let folder = tempfile::tempdir().unwrap();
        let first = FolderLock::take(folder.path()).unwrap();
        let _copy = first.file.try_clone().unwrap();
        drop(first);
        FolderLock::take(folder.path()).expect("free again");
    }

    #[test]
    fn a_lock_file_left_by_a_dead_server_is_no_obstacle() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(LOCK_FILE), "process 1\n").unwrap();
        FolderLock::take(folder.path()).expect("nobody holds it");
    }
}
