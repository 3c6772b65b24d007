//! Private files: made or replaced in one step, synced, readable by their owner alone.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use zeroize::Zeroizing;

use crate::error::BackendError;
use crate::volume::folder::sync_folder;

/// Writes a new file, 0600, durable when this returns. One that is there is an error.
pub(crate) fn write_new_private(path: &Path, bytes: &[u8]) -> Result<(), BackendError> {
    let written = || -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        sync_folder(path.parent().unwrap_or(Path::new(".")))
    };
    written().map_err(BackendError::io("write", path))
}

/// Reads a secret file; none if it is not there. One that others may read is refused.
pub(crate) fn read_private(
    path: &Path,
    max: u64,
) -> Result<Option<Zeroizing<Vec<u8>>>, BackendError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(BackendError::io("open", path)(error)),
    };
    let metadata = file.metadata().map_err(BackendError::io("look at", path))?;
    let mode = metadata.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(BackendError::Exposed { path: path.to_owned(), mode });
    }
    read_up_to(file, path, max).map(Some)
}

/// Reads a file that is no secret; none if it is not there.
pub(crate) fn read_public(
    path: &Path,
    max: u64,
) -> Result<Option<Zeroizing<Vec<u8>>>, BackendError> {
    match File::open(path) {
        Ok(file) => read_up_to(file, path, max).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(BackendError::io("open", path)(error)),
    }
}

fn read_up_to(file: File, path: &Path, max: u64) -> Result<Zeroizing<Vec<u8>>, BackendError> {
    // Room for all of it at once: a growing buffer would leave copies of a key behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(max).unwrap_or(0) + 1));
    let read =
        file.take(max + 1).read_to_end(&mut bytes).map_err(BackendError::io("read", path))?;
    if read as u64 > max {
        return Err(BackendError::Damaged {
            path: path.to_owned(),
            what: "it is too long".to_owned(),
        });
    }
    Ok(bytes)
}
