//! The socket itself: its place, its length, its mode, its lines.

use std::fs::Permissions;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

/// The longest path that a Unix socket's address can hold.
const PATH_MAX: usize = 107;

/// A path to `name` in `folder` that is short enough for a socket, however deep the folder is.
///
/// Keeps the folder open as long as the path is in use.
pub struct SocketPath {
    path: PathBuf,
    _folder: Option<OwnedFd>,
}

impl SocketPath {
    /// The path itself, or one by way of the open folder.
    pub fn new(folder: &Path, name: &str) -> io::Result<Self> {
        let path = folder.join(name);
        if path.as_os_str().len() <= PATH_MAX {
            return Ok(Self { path, _folder: None });
        }
        let open = rustix::fs::open(
            folder,
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        let path = PathBuf::from(format!("/proc/self/fd/{}", open.as_raw_fd())).join(name);
        Ok(Self { path, _folder: Some(open) })
    }

    /// What to bind or connect to.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Binds the socket, replacing one that a killed server left: the caller holds the folder's lock.
pub fn bind(folder: &Path, name: &str) -> io::Result<tokio::net::UnixListener> {
    let at = SocketPath::new(folder, name)?;
    match std::fs::remove_file(at.path()) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = tokio::net::UnixListener::bind(at.path())?;
    std::fs::set_permissions(at.path(), Permissions::from_mode(0o660))?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_deep_folder_still_has_a_socket_that_its_owner_and_group_can_open() {
        let folder = tempfile::tempdir().expect("a folder");
        let deep = folder.path().join("d".repeat(100)).join("e".repeat(100));
        std::fs::create_dir_all(&deep).expect("made");
        let first = bind(&deep, "control.sock").expect("bound");
        drop(first);
        let _listener = bind(&deep, "control.sock").expect("bound again over what was left");
        let at = SocketPath::new(&deep, "control.sock").expect("a path");
        let mode = std::fs::metadata(at.path()).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o660);
        std::os::unix::net::UnixStream::connect(at.path()).expect("connected");
    }
}
