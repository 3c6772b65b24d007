//! Files of this crate's own: private ones, made or replaced in one step.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// Makes a folder with `mode`; its parent must exist.
pub fn make_folder(path: &Path, mode: u32) -> io::Result<()> {
    std::fs::DirBuilder::new().mode(mode).create(path)
}

/// Writes a new file with `mode`, synced. An existing one is an error.
pub fn write_new(path: &Path, mode: u32, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Writes or replaces a file that its owner alone may read; a reader sees the old content or the new one.
pub fn replace_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let next = path.with_file_name(name);
    match std::fs::remove_file(&next) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    write_new(&next, 0o600, bytes)?;
    std::fs::rename(&next, path)?;
    sync_folder(path.parent().unwrap_or(Path::new(".")))
}

/// Makes what was renamed or made in a folder durable.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_new_file_never_overwrites_and_a_replaced_one_is_private() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("f");
        write_new(&path, 0o600, b"one").expect("written");
        assert_eq!(
            write_new(&path, 0o600, b"two").expect_err("refused").kind(),
            io::ErrorKind::AlreadyExists
        );
        replace_private(&path, b"three").expect("replaced");
        assert_eq!(std::fs::read(&path).expect("read"), b"three");
        assert_eq!(std::fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
    }
}
