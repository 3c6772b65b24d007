//! `hushbox message list` and `hushbox message export`

use std::fs::File;
use std::io::ErrorKind;

use serde_json::Value;

use super::args::{MessageExport, MessageList};
use super::wav::{self, WavFile};
use super::{Failure, load, pin, table};
use crate::config::Config;
use crate::control::{InTheNameOf, Reply, Request, client};

const COLUMNS: [&str; 7] =
    ["id", "account", "mailbox", "received", "seconds", "state", "truncated"];
const CALLER: [&str; 2] = ["caller_number", "caller_name"];

/// Why a row has no caller.
const CALLER_ERROR: &str = "caller_error";

/// In the table, why the caller cannot be read stands in the caller's place.
fn marked(mut row: Value) -> Value {
    if let Some(why) = row[CALLER_ERROR].as_str().map(|why| format!("({why})")) {
        row[CALLER[0]] = why.into();
    }
    row
}

pub(super) fn list(args: &MessageList) -> Result<(), Failure> {
    let config = load(&args.at)?;
    let reveal = match (&args.person, &args.reason) {
        (Some(person), Some(reason)) => Some(InTheNameOf {
            person: person.clone(),
            pin: pin(args.pin_file.as_deref(), person)?,
            reason: reason.clone(),
        }),
        _ => None,
    };
    let mut columns = COLUMNS.to_vec();
    if reveal.is_some() {
        columns.extend(CALLER);
    }
    let rows =
        client::rows(&config, &Request::MessageList { mailbox: args.mailbox.clone(), reveal })?;
    if args.json {
        table::print(&rows, &columns, true);
    } else {
        table::print(&rows.iter().cloned().map(marked).collect::<Vec<_>>(), &columns, false);
    }
    match rows.iter().filter(|row| row[CALLER_ERROR].is_string()).count() {
        0 => Ok(()),
        bad => Err(format!(
            "{bad} of {} messages cannot be opened, and their callers are not shown: see the server's log and \"A damaged message\" in docs/operations.md",
            rows.len()
        )
        .into()),
    }
}

pub(super) fn export(args: &MessageExport) -> Result<(), Failure> {
    let config = load(&args.at)?;
    let by = InTheNameOf {
        person: args.person.clone(),
        pin: pin(args.pin_file.as_deref(), &args.person)?,
        reason: args.reason.clone(),
    };
    let out = args.out.display();
    let reserved = wav::reserve(&args.out).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => format!("{out} exists already: nothing was written"),
        _ => format!("{out} can't be made, and nothing was asked for: {error}"),
    })?;
    let request = Request::MessageExport { id: args.id.clone(), by };
    if let Err(error) = fetch(&config, &request, reserved) {
        // Half a message must not be taken for a whole one.
        return match std::fs::remove_file(&args.out) {
            Ok(()) => Err(error),
            Err(left) => {
                Err(format!("{error}; {out} is not whole and could not be removed: {left}").into())
            }
        };
    }
    super::say(&format!("{out}: written\n"));
    Ok(())
}

/// Writes the message into the file that is reserved for it.
fn fetch(config: &Config, request: &Request, reserved: File) -> Result<(), Failure> {
    let (mut reserved, mut wav) = (Some(reserved), None);
    client::ask(config, request, |reply| match reply {
        Reply::AudioFormat { sample_rate } => {
            wav = reserved.take().map(|file| WavFile::begin(file, sample_rate)).transpose()?;
            Ok(())
        }
        Reply::Audio(text) => wav.as_mut().map_or(Ok(()), |wav| wav.append(&text)),
        Reply::Row(_) | Reply::Secret { .. } | Reply::End | Reply::Refused(_) => Ok(()),
    })?;
    Ok(wav.ok_or("the server sent no audio")?.finish()?)
}
