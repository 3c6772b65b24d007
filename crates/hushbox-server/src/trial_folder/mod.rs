//! The folder that `hushbox quickstart` makes: design.md "On disk".
//!
//! It is made beside its place under another name and appears by a rename, so a folder that is there is complete.

mod config_text;
mod data;
mod directory;
pub mod plan;

pub(crate) use directory::time_zone;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::certificates::{Authority, Pair};
use crate::config::RtpPorts;
use crate::files;
use crate::trial::{self, Sip, Trial};

/// Why a trial folder could not be made.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    /// A file or folder.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A certificate.
    #[error("a certificate could not be made: {0}")]
    Certificate(#[from] rcgen::Error),
    /// Keys, directory or audit log.
    #[error("the data folder could not be made: {0}")]
    Data(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// What a new trial folder is made from.
#[derive(Debug)]
pub struct NewTrial {
    /// Its place.
    pub dir: PathBuf,
    /// The addresses that were bound.
    pub sip: Sip,
    /// Where metrics and health are served.
    pub ops: Option<SocketAddr>,
    /// By which others reach this machine where the bound address is every address: certificates name it.
    pub own_address: IpAddr,
    /// The media ports.
    pub rtp_ports: RtpPorts,
    /// Now.
    pub now: Timestamp,
}

impl NewTrial {
    /// Makes the folder. It is there when this returns without an error, and not there otherwise.
    pub fn create(&self) -> Result<(), TrialError> {
        let dir = std::path::absolute(&self.dir).map_err(in_file(&self.dir))?;
        let parent = dir.parent().unwrap_or(Path::new("/"));
        let unfinished = tempfile_beside(&dir)?;
        let made = self.fill(&unfinished, &dir);
        if let Err(error) = made {
            // What is left is no secret of anybody: the folder was never in use.
            let _left = std::fs::remove_dir_all(&unfinished);
            return Err(error);
        }
        // rename(2) replaces an empty folder and refuses a full one: nothing is overwritten.
        if let Err(error) = std::fs::rename(&unfinished, &dir) {
            let _left = std::fs::remove_dir_all(&unfinished);
            return Err(in_file(&dir)(error));
        }
        files::sync_folder(parent).map_err(in_file(parent))
    }

    /// Writes everything into `at`, which will be renamed to `dir`.
    fn fill(&self, at: &Path, dir: &Path) -> Result<(), TrialError> {
        for (name, mode) in [("tls", 0o700), ("keys", 0o700), ("data", 0o710)] {
            let folder = at.join(name);
            files::make_folder(&folder, mode).map_err(in_file(&folder))?;
        }
        let authority = Authority::new(self.now)?;
        let mut addresses = vec![self.own_address];
        addresses.extend(
            [self.sip.tls, self.sip.lab_udp, self.sip.lab_tcp]
                .iter()
                .flatten()
                .map(|address| address.ip()),
        );
        write_pair(at, "ca", authority.pair())?;
        write_pair(at, "server", &authority.server(&addresses)?)?;
        let trunk = authority.client(plan::TRUNK_NAME, &addresses)?;
        write_pair(at, "trunk", &trunk)?;
        let certificates = Certificates { at, dir, authority: &authority, addresses: &addresses };
        let directory::Made { accounts, doctor, .. } = data::make(at, self.now, &certificates)?;
        let trial = Trial {
            sip: self.sip,
            ca: dir.join("tls/ca.crt"),
            trunk: trial::Credentials {
                cert: dir.join("tls/trunk.crt"),
                key: dir.join("tls/trunk.key"),
            },
            retrieval: plan::RETRIEVAL.to_owned(),
            accounts,
            doctor,
        };
        let trial_file = at.join("trial.json");
        trial.write(&trial_file).map_err(in_file(&trial_file))?;
        let config_file = at.join("hushbox.toml");
        let text = config_text::text(&self.sip, self.ops, self.rtp_ports);
        files::write_new(&config_file, 0o640, text.as_bytes()).map_err(in_file(&config_file))?;
        files::sync_folder(at).map_err(in_file(at))
    }
}

/// Makes devices' certificates.
struct Certificates<'a> {
    at: &'a Path,
    dir: &'a Path,
    authority: &'a Authority,
    addresses: &'a [IpAddr],
}

impl Certificates<'_> {
    /// Writes the certificate of the device `user` of `domain`; answers where it will be.
    fn device(&self, user: &str, domain: &str) -> Result<trial::Credentials, TrialError> {
        let pair = self.authority.client(&format!("sip:{user}@{domain}"), self.addresses)?;
        write_pair(self.at, user, &pair)?;
        let file = |ending: &str| self.dir.join("tls").join(format!("{user}.{ending}"));
        Ok(trial::Credentials { cert: file("crt"), key: file("key") })
    }

    /// The authority's certificate.
    fn authority_der(&self) -> &[u8] {
        &self.authority.pair().der
    }
}

fn write_pair(at: &Path, name: &str, pair: &Pair) -> Result<(), TrialError> {
    let tls = at.join("tls");
    for (ending, mode, text) in [("crt", 0o644, &pair.certificate), ("key", 0o600, &pair.key)] {
        let file = tls.join(format!("{name}.{ending}"));
        files::write_new(&file, mode, text.as_bytes()).map_err(in_file(&file))?;
    }
    Ok(())
}

/// A new folder next to `dir`, on the same file system.
fn tempfile_beside(dir: &Path) -> Result<PathBuf, TrialError> {
    let mut name = dir.file_name().unwrap_or_default().to_owned();
    name.push(format!(".unfinished-{}", std::process::id()));
    let path = dir.with_file_name(name);
    files::make_folder(&path, 0o750).map_err(in_file(&path))?;
    Ok(path)
}

fn in_file(path: &Path) -> impl FnOnce(io::Error) -> TrialError + use<'_> {
    move |source| TrialError::Io { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::config;

    fn new(dir: &Path) -> NewTrial {
        NewTrial {
            dir: dir.to_owned(),
            sip: Sip { tls: Some("127.0.0.1:5061".parse().expect("an address")), ..Sip::default() },
            ops: None,
            own_address: std::net::Ipv4Addr::LOCALHOST.into(),
            rtp_ports: RtpPorts { from: 16_000, to: 16_099 },
            now: Timestamp::now(),
        }
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).expect("a folder");
        let name = |entry: std::io::Result<std::fs::DirEntry>| {
            entry.expect("an entry").file_name().to_string_lossy().into_owned()
        };
        let mut names: Vec<String> = entries.map(name).collect();
        names.sort();
        names
    }

    #[test]
    fn a_new_trial_is_complete_and_its_secrets_are_its_owners() {
        let parent = tempfile::tempdir().expect("a folder");
        let dir = parent.path().join("d");
        new(&dir).create().expect("made");
        assert_eq!(names(parent.path()), ["d"]);
        assert_eq!(names(&dir), ["data", "hushbox.toml", "keys", "tls", "trial.json"]);
        let mode = |name: &str| {
            std::fs::metadata(dir.join(name)).expect("there").permissions().mode() & 0o777
        };
        for secret in ["trial.json", "keys/root.key", "tls/server.key", "tls/phone-7001.key"] {
            assert_eq!(mode(secret), 0o600, "{secret}");
        }
        let config = config::load(&dir.join("hushbox.toml")).expect("valid");
        crate::tls::check(&config).expect("usable");
        let trial = Trial::read(&config.trial_file()).expect("readable");
        let numbers = |account: &trial::Account| -> Vec<String> {
            account.mailboxes.iter().map(|mailbox| mailbox.number.clone()).collect()
        };
        let accounts: Vec<_> = trial
            .accounts
            .iter()
            .map(|account| (account.name.as_str(), account.profile.as_deref(), numbers(account)))
            .collect();
        assert_eq!(
            accounts[0],
            ("clinic", Some("hipaa"), vec!["1001".to_owned(), "1002".to_owned()])
        );
        assert_eq!(accounts[1], ("trial", Some("standard"), vec!["2001".to_owned()]));
        assert_eq!(accounts[2], ("system", None, Vec::new()));
        let admins: Vec<_> = trial
            .accounts
            .iter()
            .flat_map(|account| &account.staff)
            .filter(|staff| staff.roles == ["security-admin"])
            .map(|staff| staff.number.as_str())
            .collect();
        assert_eq!(admins, ["7902", "7112", "9000"]);
        assert_eq!(trial.accounts[0].staff[0].number, "7900");
        assert_eq!(
            (trial.doctor.mailbox.as_str(), trial.doctor.person.number.as_str()),
            ("1099", "7099")
        );
        let text = std::fs::read_to_string(config.trial_file()).expect("readable");
        let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert!(
            json["accounts"][0]["staff"][0]["totp"].is_null() && json["sip"]["lab_udp"].is_null()
        );
        for person in trial.accounts.iter().flat_map(|a| &a.mailboxes).flat_map(|m| &m.persons) {
            assert!(
                person.pin.expose().len() == 8
                    && person.pin.expose().bytes().all(|digit| digit.is_ascii_digit())
            );
            assert!(person.device.as_ref().expect("a telephone").cert.is_absolute());
        }
    }

    #[test]
    fn an_existing_folder_is_left_as_it_was_and_nothing_is_left_beside_it() {
        let parent = tempfile::tempdir().expect("a folder");
        let dir = parent.path().join("d");
        std::fs::create_dir(&dir).expect("made");
        std::fs::write(dir.join("mine"), "mine").expect("written");
        assert!(new(&dir).create().is_err());
        assert_eq!(
            (names(parent.path()), names(&dir)),
            (vec!["d".to_owned()], vec!["mine".to_owned()])
        );
        assert!(new(&parent.path().join("no/such/parent")).create().is_err());
    }
}
