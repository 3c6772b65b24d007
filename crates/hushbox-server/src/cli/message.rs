//! `hushbox message list` and `hushbox message export`

use super::args::{MessageExport, MessageList};
use super::wav::WavFile;
use super::{Failure, load, pin, table};
use crate::control::{InTheNameOf, Reply, Request, client};

const COLUMNS: [&str; 7] =
    ["id", "account", "mailbox", "received", "seconds", "state", "truncated"];
const CALLER: [&str; 2] = ["caller_number", "caller_name"];

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
    table::print(&rows, &columns, args.json);
    Ok(())
}

pub(super) fn export(args: &MessageExport) -> Result<(), Failure> {
    let config = load(&args.at)?;
    if args.out.symlink_metadata().is_ok() {
        return Err(format!("{} exists already: nothing was written", args.out.display()).into());
    }
    let by = InTheNameOf {
        person: args.person.clone(),
        pin: pin(args.pin_file.as_deref(), &args.person)?,
        reason: args.reason.clone(),
    };
    let mut file = None;
    let done = client::ask(&config, &Request::MessageExport { id: args.id.clone(), by }, |reply| {
        match reply {
            Reply::AudioFormat { sample_rate } => {
                file = Some(WavFile::create(&args.out, sample_rate)?);
                Ok(())
            }
            Reply::Audio(text) => file.as_mut().map_or(Ok(()), |file| file.append(&text)),
            Reply::Row(_) | Reply::Secret { .. } | Reply::End | Reply::Refused(_) => Ok(()),
        }
    });
    match (done, file) {
        (Ok(()), Some(file)) => {
            file.finish()?;
            super::say(&format!("{}: written\n", args.out.display()));
            Ok(())
        }
        (Ok(()), None) => Err("the server sent no audio".into()),
        (Err(error), file) => {
            // Half a message must not be taken for a whole one.
            if file.is_some() {
                std::fs::remove_file(&args.out)?;
            }
            Err(error.into())
        }
    }
}
