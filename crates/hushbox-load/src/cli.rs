//! The command line.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command speaks to its terminal")]

mod calls;

use std::collections::BTreeMap;
use std::io::Read as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use calls::CallsArguments;
use clap::{Args, Parser, Subcommand};

use crate::client::Plan;
use crate::digest::Credentials;
use crate::error::Error;
use crate::limits::FILE_MAX_BYTES;
use crate::report::{Report, Step};
use crate::sdp::Security;
use crate::srtp::Suite;
use crate::transport::{Identity, Transport};
use crate::trial::Trial;
use crate::{crowd, probe, scenario, script, voice};

/// The call generator of the Hushbox voicemail server.
///
/// It has a SIP and an SRTP side of its own, so that a mistake in the server is not repeated here.
/// Secrets (password, PIN) come from files or stdin, never from the command line, and are never printed.
#[derive(Parser)]
#[command(name = "hushbox-load", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Probe(ProbeArguments),
    Call(Box<CallArguments>),
    Calls(Box<CallsArguments>),
}

/// Prove that a server works: leave a message, hear it again with certificate and PIN, delete it
///
/// Leaves a message in the doctor's mailbox over TLS and SRTP, dials in as its owner, hears the same
/// audio back (normalised cross-correlation over 0.99, length within 20 ms) and deletes it.
///
/// Exit code 0: proved; 1: not proved, the failed step says why; 2: could not be tried.
#[derive(Args)]
struct ProbeArguments {
    /// The trial.json that `hushbox quickstart` wrote
    #[arg(long, value_name = "FILE")]
    trial: PathBuf,
    /// Print {"ok", "steps": [{"name", "ok", "ms", "detail"}]} on stdout
    #[arg(long)]
    json: bool,
    /// Take the doctor's {"pin", "password"} from stdin, instead of those in the trial.json
    #[arg(long)]
    secrets_stdin: bool,
    /// No progress on stderr
    #[arg(long, short)]
    quiet: bool,
}

/// Place one call and go through a script
///
/// Steps, separated by ';' or line ends:
///
///   beep [within T]      wait until a beep has ended
///   say FILE.wav         say a recording (16-bit mono at 8 kHz)
///   voice T              say something that sounds like speech
///   press KEYS           press keys (0-9 * # A-D); press @NAME: those of a secret
///   hear T               listen
///   speech [within T]    listen until something is heard
///   quiet T [within T]   listen until nobody has spoken for so long
///   hold, resume         by re-INVITE
///   bye [within T]       wait until the other side hangs up
///   hangup               hang up
///
/// T is 300ms, 5s or 2m.
///
/// Example: hushbox-load call sip:1001@clinic.example --server 127.0.0.1:5061 --ca ca.pem \
///   --cert trunk.pem --key trunk.key --script 'beep; voice 5s; press #; bye' --record heard.wav
#[derive(Args)]
#[command(verbatim_doc_comment)]
struct CallArguments {
    /// The Request-URI
    #[arg(value_name = "URI")]
    uri: String,
    /// The server's address
    #[arg(long, value_name = "IP:PORT")]
    server: SocketAddr,
    /// How to reach it
    #[arg(long, value_enum, default_value = "tls")]
    transport: Transport,
    /// The CA of the server's certificate (PEM); TLS always verifies
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// The name in the server's certificate; default: the address
    #[arg(long, value_name = "NAME")]
    server_name: Option<String>,
    /// A client certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// Its key (PEM)
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// The digest user; the password is the secret named "password"
    #[arg(long, value_name = "NAME", requires = "secrets_stdin")]
    user: Option<String>,
    /// Take secrets from stdin, as {"password": "...", "pin": "..."}
    #[arg(long)]
    secrets_stdin: bool,
    /// The user in From
    #[arg(long, value_name = "USER", default_value = "caller")]
    from: String,
    /// Offer plain RTP (a server refuses it on TLS)
    #[arg(long, conflicts_with = "suite")]
    plain: bool,
    /// Offer this suite alone
    #[arg(long, value_name = "SUITE", value_parser = parse_suite)]
    suite: Option<Suite>,
    /// The script
    #[arg(long, value_name = "TEXT", required_unless_present = "script_file")]
    script: Option<String>,
    /// The script, in a file
    #[arg(long, value_name = "FILE", conflicts_with = "script")]
    script_file: Option<PathBuf>,
    /// Write what was heard to this WAV
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Print {"ok", "steps"} on stdout
    #[arg(long)]
    json: bool,
}

fn parse_suite(name: &str) -> Result<Suite, String> {
    let found = Suite::ALL.into_iter().find(|s| s.name().eq_ignore_ascii_case(name));
    found.ok_or_else(|| format!("one of {}, {}", Suite::ALL[0].name(), Suite::ALL[1].name()))
}

/// Runs the command line.
pub async fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Probe(arguments) => probe_command(arguments).await,
        Command::Call(arguments) => call_command(*arguments).await,
        Command::Calls(arguments) => calls_command(*arguments).await,
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(e) => {
            eprintln!("hushbox-load: {e}");
            ExitCode::from(2)
        }
    }
}

/// A program that reads the report gets one even where the proof could not be tried.
async fn probe_command(arguments: ProbeArguments) -> Result<bool, Error> {
    let json = arguments.json;
    let done = prove(arguments).await;
    if let (true, Err(e)) = (json, &done) {
        let step = Step::new("probe", false, Duration::ZERO, e.to_string());
        print_report(&Report::new(vec![step]), true, false);
    }
    done
}

async fn prove(arguments: ProbeArguments) -> Result<bool, Error> {
    let mut trial = Trial::read(&arguments.trial)?;
    if arguments.secrets_stdin {
        let mut secrets = read_secrets()?;
        if let Some(doctor) = &mut trial.doctor {
            let person = &mut doctor.person;
            person.pin = secrets.remove("pin").or_else(|| person.pin.take());
            let password = secrets.remove("password");
            person.device.password = password.or_else(|| person.device.password.take());
        }
    }
    let progress = !arguments.quiet;
    let mut watch = |step: &Step| {
        if progress {
            eprintln!("  {}", step.line());
        }
    };
    let report = probe::run(&trial, &mut watch).await?;
    print_report(&report, arguments.json, !progress);
    Ok(report.ok)
}

async fn call_command(arguments: CallArguments) -> Result<bool, Error> {
    let secrets = if arguments.secrets_stdin { read_secrets()? } else { BTreeMap::new() };
    let text = match (&arguments.script, &arguments.script_file) {
        (Some(text), _) => text.clone(),
        (None, Some(path)) => String::from_utf8(crate::transport::read_small(path)?)
            .map_err(|_| Error::content(path, "not UTF-8"))?,
        (None, None) => String::new(),
    };
    let folder = arguments.script_file.as_deref().and_then(|p| p.parent());
    let steps = script::parse(&text, folder.unwrap_or_else(|| "".as_ref()), &secrets)?;
    let mut plan = Plan::new(arguments.transport, arguments.server, arguments.uri);
    plan.from = arguments.from;
    plan.security = match (arguments.plain, arguments.suite) {
        (true, _) => Security::Plain,
        (false, Some(suite)) => Security::Sdes(vec![suite]),
        (false, None) => plan.security,
    };
    let credentials = match arguments.user {
        None => None,
        Some(username) => {
            let missing = || Error::Plan("stdin has no \"password\"".into());
            let password = secrets.get("password").cloned().ok_or_else(missing)?;
            Some(Credentials { username, password, algorithm: None })
        }
    };
    plan.identity = Identity {
        ca: arguments.ca,
        certificate: arguments.cert.zip(arguments.key),
        credentials,
        server_name: arguments.server_name,
    };
    let outcome = scenario::call(&plan, &steps).await?;
    if let Some(path) = &arguments.record {
        voice::write_wav(path, &outcome.heard)?;
    }
    let report = Report::of_call(&outcome);
    print_report(&report, arguments.json, true);
    Ok(report.ok)
}

async fn calls_command(arguments: CallsArguments) -> Result<bool, Error> {
    let json = arguments.json;
    let figures = crowd::run(&arguments.plan()?).await?;
    match json {
        true => println!("{}", serde_json::to_string(&figures).unwrap_or_default()),
        false => print!("{figures}"),
    }
    Ok(figures.completed == figures.calls)
}

fn print_report(report: &Report, json: bool, table: bool) {
    if json {
        println!("{}", serde_json::to_string(report).unwrap_or_default());
        return;
    }
    if table {
        for step in &report.steps {
            println!("{}", step.line());
        }
    }
    let failed = report.steps.iter().filter(|s| !s.ok).count();
    match failed {
        0 => println!("{} steps, all ok", report.steps.len()),
        _ => println!("{} steps, {failed} failed", report.steps.len()),
    }
}

/// Secrets by name, as a JSON object on stdin.
fn read_secrets() -> Result<BTreeMap<String, String>, Error> {
    let mut text = String::new();
    let stdin = std::io::stdin().lock();
    stdin.take(FILE_MAX_BYTES).read_to_string(&mut text).map_err(|e| Error::file("stdin", e))?;
    serde_json::from_str(&text).map_err(|e| {
        Error::content("stdin", format!("not an object of strings (line {})", e.line()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn no_argument_takes_a_secret() {
        for command in Cli::command().get_subcommands() {
            for argument in command.get_arguments() {
                let name = argument.get_id().as_str();
                assert!(!name.contains("pin") && !name.contains("password"), "{name}");
            }
        }
    }
}
