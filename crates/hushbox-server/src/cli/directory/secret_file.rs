//! Where a PIN or password that was just made is shown, once: the terminal, or a new file of mode 0600.

use std::fs::{File, OpenOptions};
use std::io::{IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::super::Failure;
use crate::control::Secret;

/// A place that was looked at before anything was changed, so that no secret is made for nobody.
pub(super) struct SecretPlace(Option<(PathBuf, File)>);

impl SecretPlace {
    /// A new file, or the terminal.
    pub(super) fn new(file: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = file else {
            if std::io::stderr().is_terminal() {
                return Ok(Self(None));
            }
            return Err(
                "the secret cannot be shown here: use --pin-out F or --password-out F".into()
            );
        };
        let mut options = OpenOptions::new();
        let opened = options.write(true).create_new(true).mode(0o600).open(path);
        let file = opened.map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self(Some((path.to_owned(), file))))
    }

    /// Shows it. Standard output is for the record, which scripts read.
    #[expect(clippy::print_stderr, reason = "it is shown once, on the terminal")]
    pub(super) fn show(mut self, name: &str, secret: &Secret) -> Result<(), Failure> {
        match self.0.take() {
            None => eprintln!("{name}, shown this once: {}", secret.expose()),
            Some((path, mut file)) => {
                let written = file.write_all(secret.expose().as_bytes());
                let written = written.and_then(|()| file.write_all(b"\n"));
                written
                    .and_then(|()| file.sync_all())
                    .map_err(|error| format!("{}: {error}", path.display()))?;
                eprintln!("{name}: written to {}", path.display());
            }
        }
        Ok(())
    }
}

impl Drop for SecretPlace {
    fn drop(&mut self) {
        // Nothing was made: an empty file would look like a secret.
        if let Some((path, _)) = self.0.take() {
            let _left = std::fs::remove_file(path);
        }
    }
}
