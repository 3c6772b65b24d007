//! `hushbox audit verify`

use std::ops::ControlFlow;
use std::sync::Arc;

use hushbox_audit::{Summary, Verifier};
use hushbox_backend::audit_file::AuditReader;
use hushbox_backend::volume::folder::Folder;
use serde_json::json;

use super::args::AuditVerify;
use super::{Failure, load, table};
use crate::config::Config;

const COLUMNS: [&str; 7] = ["ok", "records", "first", "first_at", "last", "last_at", "last_hash"];

pub(super) fn verify(args: &AuditVerify) -> Result<(), Failure> {
    let config = load(&args.at)?;
    let reader = reader(&config)?;
    match reader.verify(Verifier::new()) {
        Ok(summary) => {
            table::print(&[row(&summary)], &COLUMNS, args.json);
            Ok(())
        }
        Err(error) => {
            if args.json {
                table::print(
                    &[json!({ "ok": false, "error": error.to_string() })],
                    &["ok", "error"],
                    true,
                );
            }
            Err(format!("the audit log does not hold good: {error}").into())
        }
    }
}

/// A reader of the log, which needs no server.
pub(super) fn reader(config: &Config) -> Result<AuditReader, Failure> {
    if !config.audit.is_dir() {
        return Err(format!("{}: there is no audit log", config.audit.display()).into());
    }
    Ok(AuditReader::new(Arc::new(Folder::open_or_create(&config.audit)?)))
}

fn row(summary: &Summary) -> serde_json::Value {
    let place = |at: Option<(u64, jiff::Timestamp)>| at.map(|(seq, _)| seq);
    let time = |at: Option<(u64, jiff::Timestamp)>| at.map(|(_, utc)| utc.to_string());
    json!({
        "ok": true,
        "records": summary.count,
        "first": place(summary.first),
        "first_at": time(summary.first),
        "last": place(summary.last),
        "last_at": time(summary.last),
        "last_hash": summary.last_hash.to_string(),
    })
}

/// The names of the events that the log has about a message.
pub(super) fn events_about(config: &Config, message: &str) -> Result<Vec<String>, Failure> {
    let mut events = Vec::new();
    reader(config)?.each(&mut |record| {
        if record.event.message.is_some_and(|id| id.to_string() == message) {
            events.push(record.event.name.to_string());
        }
        ControlFlow::Continue(())
    })?;
    Ok(events)
}
