//! DIR/trial.json: what quickstart wrote down for whoever tries the server out.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::error::Error;
use crate::transport::read_small;

/// As much of trial.json as the probe needs; other keys are left alone.
#[derive(Deserialize)]
pub struct Trial {
    /// The listeners.
    pub sip: Listeners,
    /// The CA of the server's certificate.
    pub ca: PathBuf,
    /// The trunk's certificate.
    pub trunk: Option<KeyPair>,
    /// What to dial to hear messages.
    pub retrieval: String,
    /// The accounts.
    #[serde(default)]
    pub accounts: Vec<Account>,
    /// The mailbox that is there to be tried.
    pub doctor: Option<Doctor>,
}

/// The addresses that were bound.
#[derive(Deserialize)]
pub struct Listeners {
    /// TLS.
    pub tls: Option<SocketAddr>,
    /// Plain UDP, for the lab.
    pub lab_udp: Option<SocketAddr>,
    /// Plain TCP, for the lab.
    pub lab_tcp: Option<SocketAddr>,
}

/// An account: as much of it as a caller needs.
#[derive(Deserialize)]
pub struct Account {
    /// `hipaa` or `standard`; the system's own has none.
    pub profile: Option<String>,
    /// Its domain.
    pub domain: String,
    /// Its mailboxes.
    pub mailboxes: Vec<Mailbox>,
}

/// A mailbox.
#[derive(Deserialize)]
pub struct Mailbox {
    /// Its number.
    pub number: String,
}

/// A certificate and its key, as files.
#[derive(Deserialize, Clone)]
pub struct KeyPair {
    /// The chain.
    pub cert: PathBuf,
    /// The key.
    pub key: PathBuf,
}

/// The mailbox, the person and the telephone that are there for the probe alone. Not printable: it holds
/// a PIN.
#[derive(Deserialize, Clone)]
pub struct Doctor {
    /// The account's domain.
    pub domain: String,
    /// The mailbox.
    pub mailbox: String,
    /// Its owner.
    pub person: Person,
}

/// A person with a telephone. Not printable: it holds a PIN.
#[derive(Deserialize, Clone)]
pub struct Person {
    /// The person's number.
    pub number: String,
    /// The PIN; may come by stdin instead.
    pub pin: Option<String>,
    /// The telephone.
    pub device: Device,
}

/// A telephone and how it proves itself.
#[derive(Deserialize, Clone)]
pub struct Device {
    /// Digest user.
    pub username: String,
    /// Digest password; may come by stdin instead.
    pub password: Option<String>,
    /// Client certificate.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

impl Trial {
    /// The URI of a mailbox in an account of this profile.
    pub fn mailbox(&self, profile: &str) -> Option<String> {
        let mut fitting = self.accounts.iter().filter(|a| a.profile.as_deref() == Some(profile));
        fitting.find_map(|account| {
            let mailbox = account.mailboxes.first()?;
            Some(format!("sip:{}@{}", mailbox.number, account.domain))
        })
    }

    /// Reads trial.json.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let bytes = read_small(path)?;
        serde_json::from_slice(&bytes).map_err(|e| {
            // serde's message can repeat a value, and values here are secrets: only the place is said.
            let what = format!("not a trial.json (line {}, column {})", e.line(), e.column());
            Error::content(path, what)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"{"sip":{"tls":"127.0.0.1:5061","lab_udp":null,"lab_tcp":null},"ca":"/x/ca.pem",
        "trunk":{"cert":"/x/t.pem","key":"/x/t.key"},"retrieval":"*97","accounts":[
        {"name":"clinic","profile":"hipaa","domain":"clinic.example","mailboxes":[{"number":"1001"}]},
        {"name":"system","profile":null,"domain":"system.invalid","mailboxes":[]}],
        "doctor":{"account":"clinic","domain":"clinic.example","mailbox":"1099",
        "person":{"number":"7099","pin":"12345678","device":{"username":"doctor","password":"pw",
        "realm":"hushbox","cert":"/x/d.pem","key":"/x/d.key"}}}}"#;

    #[test]
    fn the_file_that_quickstart_writes_is_read() {
        let trial: Trial = serde_json::from_str(TEXT).expect("reads");
        assert_eq!(trial.sip.tls, Some("127.0.0.1:5061".parse().expect("address")));
        assert_eq!(trial.mailbox("hipaa").as_deref(), Some("sip:1001@clinic.example"));
        assert_eq!(trial.mailbox("standard"), None);
        let doctor = trial.doctor.expect("doctor");
        assert_eq!(
            (doctor.mailbox.as_str(), doctor.person.device.username.as_str()),
            ("1099", "doctor")
        );
    }

    #[test]
    fn an_error_in_it_repeats_no_secret() {
        let folder =
            std::env::temp_dir().join(format!("hushbox-load-trial-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("folder");
        let path = folder.join("trial.json");
        std::fs::write(&path, TEXT.replace("\"12345678\"", "12345678")).expect("writes");
        let error = Trial::read(&path).err().expect("an error").to_string();
        assert!(!error.contains("1234") && error.contains("line 6"), "{error}");
        std::fs::remove_dir_all(&folder).expect("removed");
    }
}
