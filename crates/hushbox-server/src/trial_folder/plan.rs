//! What a trial installation holds: two accounts, one of each profile, and the built-in one.

use hushbox_policy::Profile;

/// An account of the plan.
pub struct Account {
    /// Its name.
    pub name: &'static str,
    /// Its profile.
    pub profile: Profile,
    /// Its SIP domain.
    pub domain: &'static str,
    /// Mailbox numbers, each with the number of its one person.
    pub mailboxes: &'static [(&'static str, &'static str)],
    /// The number of the supervisor, who has a grant on each of `mailboxes`.
    pub supervisor: &'static str,
    /// The number of the security-admin.
    pub admin: &'static str,
}

/// The accounts.
pub const ACCOUNTS: [Account; 2] = [
    Account {
        name: "clinic",
        profile: Profile::Hipaa,
        domain: "clinic.example",
        mailboxes: &[("1001", "7001"), ("1002", "7002")],
        supervisor: "7900",
        admin: "7902",
    },
    Account {
        name: "trial",
        profile: Profile::Standard,
        domain: "trial.example",
        mailboxes: &[("2001", "7101")],
        supervisor: "7910",
        admin: "7112",
    },
];

/// The account that `hushbox doctor` calls, and its mailbox and person there.
pub const DOCTOR: (&str, &str, &str) = ("clinic", "1099", "7099");

/// The security-admin of the built-in account, who changes accounts and trunks.
pub const SYSTEM_ADMIN: &str = "9000";

/// The built-in account's domain: one that no call can name (RFC 6761 §6.4).
pub const SYSTEM_DOMAIN: &str = "system.invalid";

/// The trunk's name in its certificate.
pub const TRUNK_NAME: &str = "sip:pbx.clinic.example";

/// The number that is dialled to hear messages.
pub const RETRIEVAL: &str = "*97";

/// The user name of a person's telephone.
pub fn device_of(person: &str) -> String {
    format!("phone-{person}")
}
