//! What can be typed: commands, options and their help.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub use super::directory::args as directory;
use crate::config::RtpPorts;

/// A voicemail server for healthcare: encrypted messages, and a record of everybody who heard one.
#[derive(Debug, Parser)]
#[command(name = "hushbox", version, max_term_width = 100, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a trial installation in a folder, and serve it
    ///
    /// Writes DIR with hushbox.toml, a local authority with certificates, keys, a data folder, two accounts with
    /// mailboxes, persons and devices, and trial.json with their secrets; then serves it. An existing DIR is served
    /// as it is: addresses given here hold for this run only, and nothing is overwritten.
    Quickstart(Quickstart),
    /// Run the server
    ///
    /// Prints `ready tls=IP:PORT lab_udp=IP:PORT lab_tcp=IP:PORT ops=IP:PORT` once it accepts calls (listeners that are off are
    /// left out; ` record-only` is added when messages cannot be opened). Logs to standard error. SIGTERM or Ctrl-C
    /// takes no new calls, waits for live ones, saves what is being recorded and stops; a second one skips the wait.
    Serve(Serve),
    /// Check a configuration file: every mistake at once, with its key and line
    CheckConfig(CheckConfig),
    /// Prove a running server with a real call: leave a message, hear it, find both in the audit log
    Doctor(Doctor),
    /// Say how to set up a softphone for a trial installation
    Guide(Guide),
    /// Accounts: for security-admins of the built-in account `system`
    #[command(subcommand)]
    Account(directory::Account),
    /// Mailboxes
    #[command(subcommand)]
    Mailbox(Mailbox),
    /// Persons, their roles and PINs
    #[command(subcommand)]
    Person(directory::Person),
    /// Grants: who may open which mailbox, from when until when
    #[command(subcommand)]
    Grant(directory::Grant),
    /// Devices: telephones and how they prove themselves
    #[command(subcommand)]
    Device(directory::Device),
    /// Trunks: PBXs and how they prove themselves
    #[command(subcommand)]
    Trunk(directory::Trunk),
    /// Aliases: other names of mailboxes, as DIDs
    #[command(subcommand)]
    Alias(directory::Alias),
    /// Messages
    #[command(subcommand)]
    Message(Message),
    /// Message-waiting lamps
    #[command(subcommand)]
    Mwi(Mwi),
    /// Say whose mailbox a pasted INVITE would reach, and why
    ///
    /// Reads an INVITE out of a log or a trace, and asks the running server: which rule chose which mailbox and
    /// greeting, and what else stands in the request and was not used. No call is made; nothing of it is kept.
    Resolve(ResolveArgs),
    /// Show the SIP messages of a call, without addresses, bodies or numbers
    ///
    /// The running server keeps them of its last calls, in memory: method or status, header fields by name, codecs and
    /// SRTP suites. CALL is `call` of the call's line in the log, or `sip` of a refused one's. Without CALL: the calls
    /// that are kept. Who looked stands in the audit log.
    Trace(TraceArgs),
    /// The audit log
    #[command(subcommand)]
    Audit(Audit),
}

/// Where the configuration is.
#[derive(Debug, Args)]
pub struct At {
    /// The configuration file [default: ./hushbox.toml, then ./hushbox-data/hushbox.toml]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// `quickstart`
#[derive(Debug, Args)]
pub struct Quickstart {
    /// The folder to make, or an existing trial to serve
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
    /// Where to listen for SIP over TLS [default: 127.0.0.1:5061, or what hushbox.toml says]
    ///
    /// Port 0 takes a free one; it is written to hushbox.toml.
    #[arg(long, value_name = "IP:PORT")]
    pub sip_tls: Option<SocketAddr>,
    /// Where to listen for SIP over UDP, unencrypted, for tests [default: nowhere]
    #[arg(long, value_name = "IP:PORT")]
    pub lab_udp: Option<SocketAddr>,
    /// Where to listen for SIP over TCP, unencrypted, for tests [default: nowhere]
    #[arg(long, value_name = "IP:PORT")]
    pub lab_tcp: Option<SocketAddr>,
    /// Where to serve metrics and health, on loopback [default: a free port of 127.0.0.1]
    #[arg(long, value_name = "IP:PORT")]
    pub ops: Option<SocketAddr>,
    /// The UDP ports for media, two a call [default: 16000-19999]
    #[arg(long, value_name = "FROM-TO")]
    pub rtp_ports: Option<RtpPorts>,
    /// Make the folder and stop
    #[arg(long)]
    pub no_serve: bool,
}

/// `serve`
#[derive(Debug, Args)]
pub struct Serve {
    /// Where the configuration is.
    #[command(flatten)]
    pub at: At,
}

/// `trace`
#[derive(Debug, Args)]
pub struct TraceArgs {
    /// Which call
    #[arg(value_name = "CALL")]
    pub call: Option<String>,
    /// One JSON array in place of a table
    #[arg(long)]
    pub json: bool,
    /// Where the configuration is.
    #[command(flatten)]
    pub at: At,
}

/// `check-config`
#[derive(Debug, Args)]
pub struct CheckConfig {
    /// The configuration file
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Where the configuration is.
    #[command(flatten)]
    pub at: At,
}

/// `doctor`
#[derive(Debug, Args)]
pub struct Doctor {
    /// Where the configuration is.
    #[command(flatten)]
    pub at: At,
    /// Print the checks as a JSON array
    #[arg(long)]
    pub json: bool,
}

/// `guide`
#[derive(Debug, Args)]
pub struct Guide {
    /// Where the configuration is.
    #[command(flatten)]
    pub at: At,
}

/// `mailbox ...`
#[derive(Debug, Subcommand)]
pub enum Mailbox {
    /// List the mailboxes and how many messages each holds
    List(List),
    /// Make a mailbox; a grant opens it to a person
    Add(directory::MailboxFields),
    /// Change a mailbox
    Set(directory::MailboxFields),
    /// Remove a mailbox that holds no message and that no grant, device or alias names
    Remove(directory::Remove),
}

/// A listing.
#[derive(Debug, Args)]
pub struct List {
    /// Where the configuration is.
    #[command(flatten)]
    pub at: At,
    /// Print the rows as a JSON array
    #[arg(long)]
    pub json: bool,
}

/// `message ...`
#[derive(Debug, Subcommand)]
pub enum Message {
    /// List the messages: who may open them and what they hold is not shown
    ///
    /// With --reveal also who called, for mailboxes that the person of --as has a grant on; each message shown so is
    /// a record in the audit log, with the reason.
    List(MessageList),
    /// Write a message to a WAV file, for a supervisor with a grant on its mailbox
    ///
    /// 16-bit PCM, mono. The file is made for you alone (0600); an existing one is never overwritten. The export is a
    /// record in the audit log, with the reason.
    Export(MessageExport),
}

/// `message list`
#[derive(Debug, Args)]
pub struct MessageList {
    /// Where the configuration is.
    #[command(flatten)]
    pub at: At,
    /// Print the rows as a JSON array
    #[arg(long)]
    pub json: bool,
    /// Only this mailbox
    #[arg(long, value_name = "NUMBER|ACCOUNT/NUMBER")]
    pub mailbox: Option<String>,
    /// Show who called
    #[arg(long, requires_all = ["person", "reason"])]
    pub reveal: bool,
    /// In whose name: a person's number; the PIN is asked for
    #[arg(long = "as", value_name = "NUMBER|ACCOUNT/NUMBER", id = "person", requires = "reveal")]
    pub person: Option<String>,
    /// Why, for the audit log: 3 to 200 characters, and nothing that looks like a telephone number
    #[arg(long, value_name = "TEXT", requires = "reveal")]
    pub reason: Option<String>,
    /// Read the PIN from this file's first line, instead of the terminal
    #[arg(long, value_name = "F")]
    pub pin_file: Option<PathBuf>,
}

/// `message export`
#[derive(Debug, Args)]
pub struct MessageExport {
    /// The message's id, as `message list` shows it
    pub id: String,
    /// Where the configuration is.
    #[command(flatten)]
    pub at: At,
    /// The WAV file to make
    #[arg(long, value_name = "F.wav")]
    pub out: PathBuf,
    /// In whose name: a supervisor's number; the PIN is asked for
    #[arg(long = "as", value_name = "NUMBER|ACCOUNT/NUMBER", id = "person")]
    pub person: String,
    /// Why, for the audit log: 3 to 200 characters, and nothing that looks like a telephone number
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// Read the PIN from this file's first line, instead of the terminal
    #[arg(long, value_name = "F")]
    pub pin_file: Option<PathBuf>,
}

/// `mwi ...`
#[derive(Debug, Subcommand)]
pub enum Mwi {
    /// Say why a mailbox's lamp is on, off or not told
    ///
    /// What the mailbox holds, each telephone and PBX that is told of it, what it was told last and what it answered.
    Explain(MwiExplain),
}

/// `mwi explain`
#[derive(Debug, Args)]
pub struct MwiExplain {
    /// The mailbox
    #[arg(value_name = "NUMBER|ACCOUNT/NUMBER")]
    pub mailbox: String,
    /// Where the configuration is.
    #[command(flatten)]
    pub at: At,
    /// Print the answer as a JSON array
    #[arg(long)]
    pub json: bool,
}

/// `resolve`
#[derive(Debug, Args)]
pub struct ResolveArgs {
    /// The file with the INVITE; `-` reads it from standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Where the configuration is.
    #[command(flatten)]
    pub at: At,
    /// The trunk that it comes from [default: the only one]
    #[arg(long, value_name = "NAME", conflicts_with = "device")]
    pub trunk: Option<String>,
    /// The device that it comes from, by its user name
    #[arg(long, value_name = "USERNAME")]
    pub device: Option<String>,
    /// Judge it as on a lab listener, where nothing of a hipaa account exists
    #[arg(long)]
    pub lab: bool,
    /// Print the answer as a JSON array
    #[arg(long)]
    pub json: bool,
}

/// `audit ...`
#[derive(Debug, Subcommand)]
pub enum Audit {
    /// Check the audit log from its first record; needs no server
    Verify(AuditVerify),
}

/// `audit verify`
#[derive(Debug, Args)]
pub struct AuditVerify {
    /// Where the configuration is.
    #[command(flatten)]
    pub at: At,
    /// Print the result as a JSON array
    #[arg(long)]
    pub json: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_commands_are_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn export_without_a_name_or_a_reason_is_a_usage_error() {
        let parse = |words: &[&str]| Cli::try_parse_from(words).is_ok();
        assert!(!parse(&["hushbox", "message", "export", "x", "--out", "f", "--as", "7900"]));
        assert!(!parse(&["hushbox", "message", "export", "x", "--out", "f", "--reason", "r"]));
        assert!(parse(&[
            "hushbox", "message", "export", "x", "--out", "f", "--as", "7900", "--reason", "r"
        ]));
        assert!(!parse(&["hushbox", "message", "list", "--reveal"]));
        assert!(parse(&[
            "hushbox",
            "message",
            "list",
            "--reveal",
            "--as",
            "1",
            "--reason",
            "r",
            "--pin-file",
            "p"
        ]));
    }
}
