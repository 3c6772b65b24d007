//! The command line.

pub mod args;
mod audit;
mod check_config;
mod directory;
mod doctor;
mod guide;
mod mailbox;
mod message;
mod mwi;
mod quickstart;
mod resolve;
mod serve;
mod table;
mod trace;
mod wav;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use args::{At, Audit, Cli, Command, Message};

use crate::config::{self, Config};
use crate::control::Secret;

/// What a command ends with when it fails: one message for the person who typed it.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Prints to standard output. A reader that went away (`| head`) has what it wanted.
fn say(text: &str) {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    let _closed = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Runs the command that was typed.
#[expect(clippy::print_stderr, reason = "a command says why it failed")]
pub fn run(cli: Cli) -> ExitCode {
    let done = match cli.command {
        Command::Quickstart(args) => quickstart::run(args),
        Command::Serve(args) => serve::run(&args),
        Command::CheckConfig(args) => check_config::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Guide(args) => guide::run(&args),
        Command::Account(command) => directory::account(command),
        Command::Mailbox(command) => directory::mailbox(command),
        Command::Person(command) => directory::person(command),
        Command::Grant(command) => directory::grant(command),
        Command::Device(command) => directory::device(command),
        Command::Trunk(command) => directory::trunk(command),
        Command::Alias(command) => directory::alias(command),
        Command::Message(Message::List(args)) => message::list(&args),
        Command::Message(Message::Export(args)) => message::export(&args),
        Command::Mwi(command) => mwi::mwi(&command),
        Command::Resolve(args) => resolve::resolve(&args),
        Command::Trace(args) => trace::trace(&args),
        Command::Audit(Audit::Verify(args)) => audit::verify(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hushbox: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The configuration file that is meant.
fn config_file(at: &At) -> Result<PathBuf, Failure> {
    if let Some(file) = &at.config {
        return Ok(file.clone());
    }
    ["hushbox.toml", "hushbox-data/hushbox.toml"]
        .iter()
        .map(PathBuf::from)
        .find(|file| file.exists())
        .ok_or_else(|| {
            "no ./hushbox.toml and no ./hushbox-data/hushbox.toml here: give --config FILE".into()
        })
}

fn load(at: &At) -> Result<Config, Failure> {
    Ok(config::load(&config_file(at)?)?)
}

/// The PIN, from a file's first line or from the terminal: never from the command line, where everybody can read it.
fn pin(file: Option<&Path>, person: &str) -> Result<Secret, Failure> {
    let text = match file {
        Some(path) => {
            let text = zeroize::Zeroizing::new(
                std::fs::read_to_string(path)
                    .map_err(|error| format!("{}: {error}", path.display()))?,
            );
            text.lines().next().unwrap_or_default().trim().to_owned()
        }
        None => rpassword::prompt_password(format!("PIN of {person}: ")).map_err(|error| {
            format!("the PIN cannot be asked for here ({error}): use --pin-file")
        })?,
    };
    Ok(Secret::new(text))
}
