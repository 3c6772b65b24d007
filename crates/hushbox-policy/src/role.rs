//! The roles of persons (hipaa-controls 0).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Error;

/// What a person is trusted with, beside the mailboxes that grants open to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Own and delegated mailboxes.
    User,
    /// Delegation in a department: reveals and exports where a grant says so.
    Supervisor,
    /// Creates, resets and locks mailboxes; cannot listen.
    MailboxAdmin,
    /// Policy, keys, factors; cannot listen.
    SecurityAdmin,
    /// Reads audit and evidence; cannot listen.
    Auditor,
    /// A scoped client of another system.
    Integration,
    /// May break the glass; off until invoked.
    Emergency,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 7] = [
        Self::User,
        Self::Supervisor,
        Self::MailboxAdmin,
        Self::SecurityAdmin,
        Self::Auditor,
        Self::Integration,
        Self::Emergency,
    ];

    /// Whether a person with this role may hear no message at all under this number.
    ///
    /// 45 CFR 164.312(a)(2)(ii) as proposed: separate identities for administrative use.
    #[must_use]
    pub const fn is_administrative(self) -> bool {
        match self {
            Self::MailboxAdmin | Self::SecurityAdmin | Self::Auditor | Self::Integration => true,
            Self::User | Self::Supervisor | Self::Emergency => false,
        }
    }

    /// The name, as the directory and commands have it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Supervisor => "supervisor",
            Self::MailboxAdmin => "mailbox-admin",
            Self::SecurityAdmin => "security-admin",
            Self::Auditor => "auditor",
            Self::Integration => "integration",
            Self::Emergency => "emergency",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or(Error::Role)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_called_the_same_in_text_and_in_the_directory() {
        for role in Role::ALL {
            assert_eq!(role.as_str().parse(), Ok(role));
            assert_eq!(serde_json::to_string(&role).unwrap(), format!("\"{role}\""));
        }
    }
}
