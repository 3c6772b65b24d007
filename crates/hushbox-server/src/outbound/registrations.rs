//! The registrations of the configuration, as signalling takes them.

use std::io::Read as _;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use hushbox_policy::NodeId;
use hushbox_sip::Credentials;
use hushbox_sip::registration::{Failure, News, Settings};
use zeroize::Zeroizing;

use crate::config::{Config, Registration};
use crate::{limits, metrics};

/// A password that cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("registration.password_file: {file}: {why}")]
pub struct PasswordError {
    file: String,
    why: String,
}

/// What signalling is told of each registration. The node stands for this server: it is the same after a restart.
pub fn settings(config: &Config, node: NodeId) -> Result<Vec<Settings>, PasswordError> {
    let settings = |one: &Registration| {
        Ok(Settings {
            address_of_record: one.address.clone(),
            target: one.target.clone(),
            route: one.route.clone(),
            credentials: Credentials {
                username: one.username.clone(),
                password: password(&one.password_file)?,
            },
            contact_user: one.contact_user.clone(),
            expires: one.expires,
            keep_alive: one.keep_alive,
            allow_md5: one.allow_md5,
            instance: format!("urn:uuid:{}", node.as_uuid()),
        })
    };
    config.registrations.iter().map(settings).collect()
}

/// Reads every password, as starting would.
pub fn check(config: &Config) -> Result<(), PasswordError> {
    config.registrations.iter().try_for_each(|one| password(&one.password_file).map(drop))
}

/// Says at the start that nothing is registered yet.
pub fn announce(config: &Config) {
    for registration in 1..=config.registrations.len() {
        metrics::registered(registration, false);
    }
}

/// The first line of a file that not everybody can read.
fn password(path: &Path) -> Result<String, PasswordError> {
    let wrong = |why: String| PasswordError { file: path.display().to_string(), why };
    let file = std::fs::File::open(path).map_err(|error| wrong(error.to_string()))?;
    let mode = file.metadata().map_err(|error| wrong(error.to_string()))?.permissions().mode();
    if mode & 0o007 != 0 {
        return Err(wrong("everybody on this machine can read it: chmod o= it".to_owned()));
    }
    let mut text = Zeroizing::new(String::new());
    file.take(limits::PASSWORD_FILE_BYTES)
        .read_to_string(&mut text)
        .map_err(|error| wrong(error.to_string()))?;
    let first = text.lines().next().unwrap_or_default();
    if first.is_empty() {
        return Err(wrong("its first line is empty".to_owned()));
    }
    Ok(first.to_owned())
}

/// Tells the operator what became of a registration.
pub fn log(number: usize, news: News) {
    let registration = number + 1;
    match news {
        News::Registered { expires, is_weak } => {
            metrics::registered(registration, true);
            let expires_secs = expires.as_secs();
            tracing::info!(registration, expires_secs, "registered");
            if is_weak {
                tracing::warn!(
                    registration,
                    "the PBX offers nothing better than MD5: this is weaker than it should be"
                );
            }
        }
        News::Failed { failure, again_in } => {
            metrics::registration_failed(registration);
            let again_in_secs = again_in.as_secs();
            let why = why(failure);
            tracing::warn!(registration, again_in_secs, "not registered: {why}");
        }
        News::Lost => {
            metrics::registered(registration, false);
            tracing::warn!(registration, "no longer registered: no calls come by it");
        }
        News::Ended => {
            metrics::registered(registration, false);
            tracing::info!(registration, "the registration was given back");
        }
    }
}

fn why(failure: Failure) -> String {
    use hushbox_sip::{Unanswerable, Undelivered};
    match failure {
        Failure::Unresolved => "the registrar's name leads nowhere".to_owned(),
        Failure::Unanswered(Undelivered::Timeout) => "the registrar does not answer".to_owned(),
        Failure::Unanswered(_) => "the registrar cannot be reached".to_owned(),
        Failure::Challenge(Unanswerable::Wrong) => {
            "the registrar does not take user name and password".to_owned()
        }
        Failure::Challenge(Unanswerable::TooWeak) => {
            "the registrar offers MD5 only, and registration.allow_md5 is not set, or this is not TLS".to_owned()
        }
        Failure::Challenge(Unanswerable::NotUnderstood) => {
            "the registrar asks for credentials in a way that is not understood".to_owned()
        }
        Failure::Refused(status) => format!("the registrar refused with {status}"),
        Failure::NotBound => "the registrar said yes, and lists other contacts only".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str, mode: u32) -> Result<String, PasswordError> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("password");
        std::fs::write(&path, text).expect("written");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).expect("set");
        password(&path)
    }

    #[test]
    fn a_password_is_the_first_line_of_a_file_that_not_everybody_can_read() {
        assert_eq!(written("open sesame\nnotes\n", 0o640).expect("read"), "open sesame");
        assert!(written("open sesame\n", 0o644).is_err());
        assert!(written("\nopen sesame\n", 0o600).is_err());
        let error = password(Path::new("/nonexistent")).expect_err("none");
        assert!(error.to_string().starts_with("registration.password_file: /nonexistent: "));
    }
}
