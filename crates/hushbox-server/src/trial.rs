//! `DIR/trial.json`: what a trial needs to be tried, secrets included. Scripts rely on its shape.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::control::Secret;
use crate::files;

/// The whole file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Trial {
    /// The addresses that were bound.
    pub sip: Sip,
    /// The local authority's certificate.
    pub ca: PathBuf,
    /// The trunk's certificate and key.
    pub trunk: Credentials,
    /// What to dial to hear messages.
    pub retrieval: String,
    /// The accounts.
    pub accounts: Vec<Account>,
    /// What `hushbox doctor` uses.
    pub doctor: Doctor,
}

/// The server's SIP addresses; `null` for a listener that is off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sip {
    /// TLS.
    pub tls: Option<SocketAddr>,
    /// The lab listener for UDP.
    pub lab_udp: Option<SocketAddr>,
    /// The lab listener for TCP.
    pub lab_tcp: Option<SocketAddr>,
}

/// Files of a certificate and its key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Credentials {
    /// The certificate, PEM.
    pub cert: PathBuf,
    /// The key, PEM.
    pub key: PathBuf,
}

/// An account.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Account {
    /// Its name.
    pub name: String,
    /// `hipaa` or `standard`; `null` for the built-in account `system`.
    pub profile: Option<String>,
    /// Its SIP domain.
    pub domain: String,
    /// Its mailboxes.
    pub mailboxes: Vec<Mailbox>,
    /// Persons without a mailbox.
    pub staff: Vec<Staff>,
}

/// A mailbox.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Mailbox {
    /// Its number.
    pub number: String,
    /// Who owns it.
    pub persons: Vec<Person>,
}

/// A person with a telephone.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Person {
    /// The person's number.
    pub number: String,
    /// The PIN.
    pub pin: Secret,
    /// The telephone.
    pub device: Option<Device>,
}

/// A telephone.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Device {
    /// User name for digest.
    pub username: String,
    /// Password for digest.
    pub password: Secret,
    /// Realm for digest.
    pub realm: String,
    /// Client certificate, PEM.
    pub cert: PathBuf,
    /// Its key, PEM.
    pub key: PathBuf,
}

/// A person without a mailbox.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Staff {
    /// The person's number.
    pub number: String,
    /// The PIN.
    pub pin: Secret,
    /// The TOTP secret; `null` until there is TOTP.
    pub totp: Option<Secret>,
    /// The roles.
    pub roles: Vec<String>,
}

/// The mailbox, person and telephone of `hushbox doctor`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Doctor {
    /// The account's name.
    pub account: String,
    /// The account's SIP domain.
    pub domain: String,
    /// The mailbox's number.
    pub mailbox: String,
    /// The person.
    pub person: Person,
}

impl Trial {
    /// Reads the file.
    pub fn read(path: &Path) -> std::io::Result<Self> {
        Ok(serde_json::from_slice(&std::fs::read(path)?)?)
    }

    /// Writes the file, readable by its owner alone, in one step.
    pub fn write(&self, path: &Path) -> std::io::Result<()> {
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        files::replace_private(path, &text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_and_passwords_do_not_print_themselves_and_are_plain_in_the_file() {
        let person = Person {
            number: "7001".to_owned(),
            pin: Secret::new("48151623".to_owned()),
            device: Some(Device {
                username: "7001".to_owned(),
                password: Secret::new("hunter2".to_owned()),
                realm: "hushbox".to_owned(),
                cert: PathBuf::from("/d/7001.crt"),
                key: PathBuf::from("/d/7001.key"),
            }),
        };
        let shown = format!("{person:?}");
        assert!(!shown.contains("48151623") && !shown.contains("hunter2"), "{shown}");
        let json = serde_json::to_value(&person).expect("JSON");
        assert!(json["pin"] == "48151623" && json["device"]["password"] == "hunter2");
        let staff = Staff {
            number: "7900".to_owned(),
            pin: Secret::new("48151623".to_owned()),
            totp: Some(Secret::new("GEZDGNBV".to_owned())),
            roles: Vec::new(),
        };
        let shown = format!("{staff:?}");
        assert!(!shown.contains("48151623") && !shown.contains("GEZDGNBV"), "{shown}");
    }
}
