//! What is weaker than it should be because somebody has allowed it on purpose. It is said when the server starts or
//! the directory changes, and listed by `check-config` (the configuration's) and `doctor` (all).

use hushbox_store::Directory;

use crate::config::Config;

/// Those that the configuration allows, one line each.
pub fn of_config(config: &Config) -> Vec<String> {
    let md5 = config.registrations.iter().filter(|one| one.allow_md5).map(|one| {
        let line = one.line;
        format!(
            "line {line}: registration.allow_md5: a PBX that offers nothing better is answered by MD5, inside of TLS"
        )
    });
    md5.collect()
}

/// Those that stand in the directory, one line each.
pub fn of_directory(directory: &Directory) -> Vec<String> {
    let by_digest = directory.trunks().filter(|trunk| trunk.is_by_digest()).map(|trunk| {
        format!(
            "trunk {}: it has a password (digest SHA-256 over TLS) and no certificate: it may leave messages only",
            trunk.name
        )
    });
    by_digest.collect()
}

/// Says them in the log.
pub fn announce(exceptions: impl IntoIterator<Item = String>) {
    for exception in exceptions {
        tracing::warn!("weaker than it should be: {exception}");
    }
}
