//! The options of the directory's commands.

use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Subcommand};
use hushbox_policy::{GrantKind, NotifyTarget, Profile, Role};
use jiff::Timestamp;

use super::super::args::{At, List};
use super::addressing::AddressingArgs;
use crate::control::directory::{Unasked, Until};

/// `account ...`
#[derive(Debug, Subcommand)]
pub enum Account {
    /// List the accounts
    List(List),
    /// Make an account with its first security-admin
    ///
    /// For security-admins of the built-in account `system`. The new security-admin makes the account's mailboxes,
    /// persons and devices.
    Add(AccountAdd),
    /// Change an account, or give it a new security-admin
    Set(AccountSet),
    /// Remove an account that holds nothing any more
    Remove(Remove),
}

/// Where a change goes, and in whose name.
#[derive(Debug, Args)]
pub struct By {
    /// Where the configuration is.
    #[command(flatten)]
    pub at: At,
    /// Print the changed record as a JSON array
    #[arg(long)]
    pub json: bool,
    /// In whose name: a security-admin's number; the PIN is asked for
    #[arg(long = "as", value_name = "NUMBER|ACCOUNT/NUMBER", id = "as")]
    pub person: String,
    /// Read the administrator's PIN from this file's first line, instead of the terminal
    #[arg(long, value_name = "F")]
    pub pin_file: Option<PathBuf>,
    /// Why, for the audit log: in 3 to 200 characters, without a caller's number (seven digits or more are refused)
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

/// `... remove`
#[derive(Debug, Args)]
pub struct Remove {
    /// What it is called: as the first column of `list` that names it
    pub name: String,
    /// In whose name.
    #[command(flatten)]
    pub by: By,
}

/// `account add`
#[derive(Debug, Args)]
pub struct AccountAdd {
    /// Its name
    pub name: String,
    /// The domain of its SIP addresses
    #[arg(long)]
    pub domain: String,
    /// What it is held to: hipaa or standard [default: hipaa]
    #[arg(long)]
    pub profile: Option<Profile>,
    /// The business associate agreement, which `hipaa` needs: the parties and its date, or "self-hosted"
    #[arg(long, value_name = "TEXT")]
    pub baa: Option<String>,
    /// The number of its first security-admin
    #[arg(long, value_name = "NUMBER")]
    pub admin: String,
    /// Write the security-admin's PIN to this new file (0600), instead of the terminal
    #[arg(long, value_name = "F")]
    pub pin_out: Option<PathBuf>,
    /// In whose name.
    #[command(flatten)]
    pub by: By,
}

/// `account set`
#[derive(Debug, Args)]
pub struct AccountSet {
    /// Its name
    pub name: String,
    /// The domain of its SIP addresses
    #[arg(long)]
    pub domain: Option<String>,
    /// What it is held to: hipaa or standard. Messages keep the profile that they were recorded under
    #[arg(long)]
    pub profile: Option<Profile>,
    /// The business associate agreement
    #[arg(long, value_name = "TEXT")]
    pub baa: Option<String>,
    /// The number of a further, new security-admin
    #[arg(long, value_name = "NUMBER")]
    pub admin: Option<String>,
    /// Write the new security-admin's PIN to this new file (0600), instead of the terminal
    #[arg(long, value_name = "F", requires = "admin")]
    pub pin_out: Option<PathBuf>,
    /// In whose name.
    #[command(flatten)]
    pub by: By,
}

/// `mailbox add` and `mailbox set`
#[derive(Debug, Args)]
pub struct MailboxFields {
    /// Its number
    #[arg(value_name = "NUMBER|ACCOUNT/NUMBER")]
    pub number: String,
    /// The time zone in which its times are spoken, as in America/New_York [default: the server's, or what it has]
    #[arg(long, value_name = "NAME")]
    pub time_zone: Option<String>,
    /// In whose name.
    #[command(flatten)]
    pub by: By,
}

/// `person ...`
#[derive(Debug, Subcommand)]
pub enum Person {
    /// List the persons
    List(List),
    /// Make a person with a random PIN, which is shown once
    Add(PersonAdd),
    /// Change a person's roles or PIN, or disable them
    ///
    /// Disabling ends what they hear at this moment.
    Set(PersonSet),
    /// Remove a person who has no grant and no device; the number stays taken
    Remove(Remove),
}

/// `person add`
#[derive(Debug, Args)]
pub struct PersonAdd {
    /// The number
    #[arg(value_name = "NUMBER|ACCOUNT/NUMBER")]
    pub number: String,
    /// A role, several times if need be [default: user]
    ///
    /// user, supervisor, mailbox-admin, security-admin, auditor, integration, emergency. Who administers holds no
    /// mailbox under the same number.
    #[arg(long = "role", value_name = "ROLE")]
    pub roles: Vec<Role>,
    /// Write the PIN to this new file (0600), instead of the terminal
    #[arg(long, value_name = "F")]
    pub pin_out: Option<PathBuf>,
    /// In whose name.
    #[command(flatten)]
    pub by: By,
}

/// `person set`
#[derive(Debug, Args)]
pub struct PersonSet {
    /// The number
    #[arg(value_name = "NUMBER|ACCOUNT/NUMBER")]
    pub number: String,
    /// The roles, in place of those that they have
    #[arg(long = "role", value_name = "ROLE")]
    pub roles: Vec<Role>,
    /// The person may do nothing any more
    #[arg(long, conflicts_with = "enable")]
    pub disable: bool,
    /// The person may again
    #[arg(long)]
    pub enable: bool,
    /// Make a new PIN, which is shown once
    #[arg(long)]
    pub new_pin: bool,
    /// Write the new PIN to this new file (0600), instead of the terminal
    #[arg(long, value_name = "F", requires = "new_pin")]
    pub pin_out: Option<PathBuf>,
    /// In whose name.
    #[command(flatten)]
    pub by: By,
}

/// `grant ...`
#[derive(Debug, Subcommand)]
pub enum Grant {
    /// List the grants
    List(List),
    /// Open a mailbox to a person; --reason is needed and stands in the grant too
    Add(GrantAdd),
    /// Change a grant
    Set(GrantSet),
    /// Remove a grant: what the person hears there at this moment ends
    Remove(Remove),
}

/// `grant add`
#[derive(Debug, Args)]
pub struct GrantAdd {
    /// The mailbox
    #[arg(long, value_name = "NUMBER|ACCOUNT/NUMBER")]
    pub mailbox: String,
    /// The person
    #[arg(long, value_name = "NUMBER|ACCOUNT/NUMBER")]
    pub person: String,
    /// owner (hears, saves and deletes) or supervisor (hears, reveals and exports)
    #[arg(long, value_parser = kind)]
    pub kind: GrantKind,
    /// When it begins, as in 2026-03-04T09:00:00Z [default: now]
    #[arg(long, value_name = "TIME")]
    pub from: Option<Timestamp>,
    /// When it ends, or never [default: never]
    #[arg(long, value_name = "TIME", value_parser = until)]
    pub until: Option<Until>,
    /// Who approved it [default: the administrator]
    #[arg(long, value_name = "TEXT")]
    pub approver: Option<String>,
    /// In whose name.
    #[command(flatten)]
    pub by: By,
}

/// `grant set`
#[derive(Debug, Args)]
pub struct GrantSet {
    /// Its id, as `grant list` shows it
    pub id: String,
    /// owner or supervisor
    #[arg(long, value_parser = kind)]
    pub kind: Option<GrantKind>,
    /// When it begins
    #[arg(long, value_name = "TIME")]
    pub from: Option<Timestamp>,
    /// When it ends, or never
    #[arg(long, value_name = "TIME", value_parser = until)]
    pub until: Option<Until>,
    /// Who approved it
    #[arg(long, value_name = "TEXT")]
    pub approver: Option<String>,
    /// In whose name.
    #[command(flatten)]
    pub by: By,
}

/// `device ...`
#[derive(Debug, Subcommand)]
pub enum Device {
    /// List the devices
    List(List),
    /// Make a device in the administrator's account, with a random password that is shown once
    Add(DeviceAdd),
    /// Change whom a device is bound to, or how it proves itself
    Set(DeviceSet),
    /// Remove a device: its calls end and its connections are closed
    Remove(Remove),
}

/// How a certificate is recognised.
#[derive(Debug, Args)]
pub struct CertificateArgs {
    /// By its public key, taken from this certificate (PEM)
    #[arg(long, value_name = "F", group = "certificate")]
    pub cert: Option<PathBuf>,
    /// By its public key: SHA-256 of the SubjectPublicKeyInfo, in hexadecimal
    #[arg(long, value_name = "HEX", group = "certificate")]
    pub key_hash: Option<String>,
    /// By its name: sip:USER@DOMAIN for a device; sip:DOMAIN or dns:NAME for a trunk
    #[arg(long, value_name = "NAME", group = "certificate")]
    pub san: Option<String>,
    /// With --san: the certificate (PEM) of the authority that must have signed it [default: any in `tls.client_cas`]
    #[arg(long, value_name = "F", requires = "san")]
    pub ca: Option<PathBuf>,
}

/// How a device or trunk proves itself from now on.
#[derive(Debug, Args)]
pub struct ProofArgs {
    /// How its certificate is recognised.
    #[command(flatten)]
    pub certificate: CertificateArgs,
    /// Without a certificate from now on
    #[arg(long, conflicts_with = "certificate")]
    pub no_certificate: bool,
    /// Make a new password, which is shown once; for a trunk where it can have no certificate
    ///
    /// A trunk's is for digest SHA-256 over TLS, with the trunk's name as user name. Such a trunk leaves messages and
    /// does nothing else: its Request-URI alone is believed, and it has no lamps. It stands in the list of what is
    /// weaker than it should be.
    #[arg(long)]
    pub new_password: bool,
    /// Without a password from now on
    #[arg(long, conflicts_with = "new_password")]
    pub no_password: bool,
    /// Write the new password to this new file (0600), instead of the terminal
    #[arg(long, value_name = "F", requires = "new_password")]
    pub password_out: Option<PathBuf>,
}

impl ProofArgs {
    /// What becomes of the password: one of these, or it stays as it is.
    pub fn password<T>(&self, new: T, none: T) -> Option<T> {
        match (self.new_password, self.no_password) {
            (true, _) => Some(new),
            (false, true) => Some(none),
            (false, false) => None,
        }
    }
}

/// Whose a device is.
#[derive(Debug, Args)]
pub struct BoundArgs {
    /// A person who uses it, several times if need be
    #[arg(long = "person", value_name = "NUMBER|ACCOUNT/NUMBER", conflicts_with = "mailbox")]
    pub persons: Vec<String>,
    /// The mailbox that it stands for: then everybody with a grant on that
    #[arg(long, value_name = "NUMBER|ACCOUNT/NUMBER")]
    pub mailbox: Option<String>,
}

/// `device add`
#[derive(Debug, Args)]
pub struct DeviceAdd {
    /// Its user name, unique on the server
    pub username: String,
    /// Whose it is.
    #[command(flatten)]
    pub bound: BoundArgs,
    /// How its certificate is recognised.
    #[command(flatten)]
    pub certificate: CertificateArgs,
    /// Without a password: by its certificate alone
    #[arg(long, conflicts_with_all = ["password_out", "md5"])]
    pub no_password: bool,
    /// Take MD5 digests too, on `lab` listeners; not in `hipaa` accounts
    #[arg(long)]
    pub md5: bool,
    /// Write the password to this new file (0600), instead of the terminal
    #[arg(long, value_name = "F")]
    pub password_out: Option<PathBuf>,
    /// In whose name.
    #[command(flatten)]
    pub by: By,
}

/// `device set`
#[derive(Debug, Args)]
pub struct DeviceSet {
    /// Its user name
    pub username: String,
    /// Whose it is.
    #[command(flatten)]
    pub bound: BoundArgs,
    /// How it proves itself.
    #[command(flatten)]
    pub proof: ProofArgs,
    /// With --new-password: take MD5 digests too, on `lab` listeners; not in `hipaa` accounts
    #[arg(long, requires = "new_password")]
    pub md5: bool,
    /// In whose name.
    #[command(flatten)]
    pub by: By,
}

/// `trunk ...`
#[derive(Debug, Subcommand)]
pub enum Trunk {
    /// List the trunks
    List(List),
    /// Make a trunk: for security-admins of the built-in account `system`
    Add(TrunkFields),
    /// Change a trunk; lists given replace those that it has
    Set(TrunkFields),
    /// Remove a trunk: its calls end and its connections are closed
    Remove(Remove),
}

/// `trunk add` and `trunk set`
#[derive(Debug, Args)]
pub struct TrunkFields {
    /// Its name
    pub name: String,
    /// An account that it serves, several times if need be
    #[arg(long = "account", value_name = "NAME")]
    pub accounts: Vec<String>,
    /// How it proves itself.
    #[command(flatten)]
    pub proof: ProofArgs,
    /// An address that is this trunk on `lab` listeners, several times if need be
    #[arg(long = "lab-address", value_name = "IP")]
    pub lab_addresses: Vec<IpAddr>,
    /// No address is this trunk on `lab` listeners
    #[arg(long, conflicts_with = "lab_addresses")]
    pub no_lab_address: bool,
    /// Its calls at once: more get 503
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub calls_max: Option<u32>,
    /// It has no limit of its own
    #[arg(long, conflicts_with = "calls_max")]
    pub no_calls_max: bool,
    /// Tell it of every lamp of its accounts, by NOTIFYs to NUMBER there that it has not asked for
    ///
    /// As in `sip:pbx.example:5061;transport=tls` (or tcp, udp): TLS where no transport stands there, and TLS alone for hipaa accounts.
    /// An empty one turns it off.
    #[arg(long, value_name = "URI", value_parser = unasked)]
    pub mwi: Option<Unasked>,
    /// It is told of the lamps that it has subscribed to, and of no others
    #[arg(long, conflicts_with = "mwi")]
    pub no_mwi: bool,
    /// How it names mailboxes.
    #[command(flatten)]
    pub addressing: AddressingArgs,
    /// In whose name.
    #[command(flatten)]
    pub by: By,
}

/// `alias ...`
#[derive(Debug, Subcommand)]
pub enum Alias {
    /// List the aliases
    List(List),
    /// Give a mailbox another name, as a DID: +15551234567
    Add(AliasFields),
    /// Let an alias reach another mailbox
    Set(AliasFields),
    /// Remove an alias
    Remove(Remove),
}

/// `alias add` and `alias set`
#[derive(Debug, Args)]
pub struct AliasFields {
    /// The user part of the address that is called
    pub alias: String,
    /// The mailbox that it reaches
    #[arg(long, value_name = "NUMBER|ACCOUNT/NUMBER")]
    pub mailbox: String,
    /// In whose name.
    #[command(flatten)]
    pub by: By,
}

fn kind(text: &str) -> Result<GrantKind, String> {
    match text {
        "owner" => Ok(GrantKind::Owner),
        "supervisor" => Ok(GrantKind::Supervisor),
        _ => Err("owner or supervisor is expected".to_owned()),
    }
}

fn unasked(text: &str) -> Result<Unasked, String> {
    if text.is_empty() {
        return Ok(Unasked::Never);
    }
    text.parse::<NotifyTarget>().map(Unasked::To).map_err(|error| error.to_string())
}

fn until(text: &str) -> Result<Until, String> {
    match text {
        "never" => Ok(Until::Never),
        _ => Timestamp::from_str(text).map(Until::At).map_err(|error| error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::super::args::Cli;

    fn parses(line: &str) -> bool {
        Cli::try_parse_from(line.split(' ')).is_ok()
    }

    #[test]
    fn a_change_needs_a_name_and_a_list_does_not() {
        for kind in ["account", "mailbox", "person", "grant", "device", "trunk", "alias"] {
            assert!(parses(&format!("hushbox {kind} list --json")), "{kind}");
            assert!(parses(&format!("hushbox {kind} remove x --as clinic/7902")), "{kind}");
            assert!(!parses(&format!("hushbox {kind} remove x")), "{kind}");
        }
    }

    #[test]
    fn where_a_trunk_is_told_of_lamps_is_a_sip_uri_without_a_user() {
        assert!(parses("hushbox trunk set pbx --mwi sip:pbx.example:5061;transport=tls --as 9000"));
        assert!(parses("hushbox trunk set pbx --mwi= --as 9000"));
        assert!(parses("hushbox trunk set pbx --no-mwi --as 9000"));
        assert!(!parses("hushbox trunk set pbx --no-mwi --mwi sip:pbx.example --as 9000"));
        assert!(!parses("hushbox trunk set pbx --mwi sip:1001@pbx.example --as 9000"));
        assert!(!parses("hushbox trunk set pbx --mwi pbx.example --as 9000"));
    }

    #[test]
    fn what_contradicts_itself_is_a_usage_error() {
        assert!(parses("hushbox trunk add t --account clinic --new-password --as 9000"));
        assert!(parses(
            "hushbox trunk set t --no-certificate --new-password --password-out f --as 9000"
        ));
        assert!(!parses("hushbox trunk set t --new-password --no-password --as 9000"));
        assert!(!parses("hushbox trunk set t --password-out f --as 9000"));
        assert!(!parses("hushbox trunk set t --no-certificate --cert f --as 9000"));
        assert!(parses("hushbox person set 7003 --disable --as 7902"));
        assert!(!parses("hushbox person set 7003 --disable --enable --as 7902"));
        assert!(!parses("hushbox person set 7003 --pin-out f --as 7902"));
        assert!(!parses("hushbox device add p --person 1 --mailbox 2 --as 7902"));
        assert!(!parses("hushbox device add p --person 1 --cert f --san sip:a@b --as 7902"));
        assert!(!parses("hushbox device add p --person 1 --ca f --as 7902"));
        assert!(!parses("hushbox device add p --person 1 --no-password --md5 --as 7902"));
        assert!(parses("hushbox device set p --no-certificate --new-password --as 7902"));
        assert!(!parses("hushbox device set p --no-certificate --key-hash 00 --as 7902"));
        assert!(parses("hushbox grant set 1 --until never --as 7902"));
        assert!(parses("hushbox grant set 1 --until 2026-03-04T09:00:00Z --as 7902"));
        assert!(!parses("hushbox grant set 1 --until tomorrow --as 7902"));
    }
}
