//! `hushbox audit verify`

use std::ops::ControlFlow;
use std::sync::Arc;

use hushbox_audit::{Anchor, Broken, Damage, EventName, Resume, Summary, Verifier};
use hushbox_backend::audit_file::{AuditCheckError, AuditReader};
use hushbox_backend::volume::folder::Folder;
use serde_json::{Value, json};

use super::args::AuditVerify;
use super::{Failure, load, table};
use crate::audit_head;
use crate::config::Config;

const COLUMNS: [&str; 9] =
    ["ok", "records", "first", "first_at", "last", "last_at", "gaps", "index_last", "last_hash"];

#[expect(clippy::print_stderr, reason = "a command says what it could not do")]
pub(super) fn verify(args: &AuditVerify) -> Result<(), Failure> {
    let config = load(&args.at)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // Before the log: what a running server writes meanwhile is newer than that.
    let kept = runtime.block_on(audit_head::peek(&config.data));
    let kept = kept.unwrap_or_else(|error| {
        eprintln!("hushbox: the end of the log is not compared with the one in the index: {error}");
        None
    });
    match checked(&config, kept) {
        Ok(row) => {
            table::print(&[row], &COLUMNS, args.json);
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

/// Checks every record, that there are any, and that the one which the index has as the last is among them.
fn checked(config: &Config, kept: Option<Resume>) -> Result<Value, Failure> {
    let reader = reader(config)?;
    let anchor = kept
        .and_then(|kept| Some(Anchor { seq: kept.next_seq.checked_sub(1)?, hash: kept.prev_hash }));
    let summary = reader.verify(Verifier::with_anchors(anchor)).map_err(|error| match error {
        AuditCheckError::Broken(Broken {
            seq,
            what: Damage::AnchorMissing | Damage::AnchorDiffers,
        }) => format!(
            "it does not have the record {seq} that the index knows: it was cut off, or another log put in its place"
        )
        .into(),
        error => Failure::from(error),
    })?;
    if summary.count == 0 {
        return Err(
            "it holds no records, and a log has some from the beginning: it was emptied".into()
        );
    }
    let mut gaps = 0_u64;
    reader.each(&mut |record| {
        gaps += u64::from(record.event.name == EventName::AuditGap);
        ControlFlow::Continue(())
    })?;
    Ok(row(&summary, gaps, anchor))
}

/// A reader of the log, which needs no server.
pub(super) fn reader(config: &Config) -> Result<AuditReader, Failure> {
    if !config.audit.is_dir() {
        return Err(format!("{}: there is no audit log", config.audit.display()).into());
    }
    Ok(AuditReader::new(Arc::new(Folder::open_or_create(&config.audit)?)))
}

fn row(summary: &Summary, gaps: u64, anchor: Option<Anchor>) -> Value {
    let place = |at: Option<(u64, jiff::Timestamp)>| at.map(|(seq, _)| seq);
    let time = |at: Option<(u64, jiff::Timestamp)>| at.map(|(_, utc)| utc.to_string());
    json!({
        "ok": true,
        "records": summary.count,
        "first": place(summary.first),
        "first_at": time(summary.first),
        "last": place(summary.last),
        "last_at": time(summary.last),
        "gaps": gaps,
        "index_last": anchor.map(|anchor| anchor.seq),
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

#[cfg(test)]
mod tests {
    use hushbox_audit::{Event, EventExtra, Who};

    use super::*;
    use crate::server::data::tests::open_trial;
    use crate::services::Services;

    async fn note(services: &Services, name: EventName) {
        let event = Event::new(name, Who::System);
        services.audit.write(event.into(), EventExtra::default()).await.expect("written");
    }

    /// What the log's segments hold.
    fn segments(config: &Config) -> Vec<(std::path::PathBuf, Vec<u8>)> {
        let entries = std::fs::read_dir(&config.audit).expect("a folder");
        let paths = entries.map(|entry| entry.expect("an entry").path());
        paths.map(|path| (path.clone(), std::fs::read(path).expect("read"))).collect()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_log_that_was_cut_emptied_or_deleted_does_not_hold_good() {
        let parent = tempfile::tempdir().expect("a folder");
        let (config, services) = open_trial(parent.path()).await;
        note(&services, EventName::AuditGap).await;
        let earlier = segments(&config);
        note(&services, EventName::ServiceStop).await;
        audit_head::keep(&services).await.expect("kept");
        let kept = audit_head::peek(&config.data).await.expect("read while it is open");
        let whole = checked(&config, kept).expect("good");
        assert_eq!((&whole["ok"], &whole["gaps"]), (&true.into(), &1.into()), "{whole}");
        assert_eq!((whole["index_last"].as_u64(), kept.is_some()), (whole["last"].as_u64(), true));

        note(&services, EventName::ServiceStart).await;
        let newer = checked(&config, kept).expect("newer records are no cut");
        assert_eq!(newer["last"].as_u64(), whole["last"].as_u64().map(|last| last + 1));

        let refused = |kept| checked(&config, kept).expect_err("refused").to_string();
        for (path, bytes) in &earlier {
            std::fs::write(path, bytes).expect("rolled back");
        }
        assert!(checked(&config, None).is_ok(), "it fits in itself");
        assert!(refused(kept).contains("cut off"), "{}", refused(kept));
        for (path, _) in &earlier {
            std::fs::remove_file(path).expect("removed");
        }
        assert!(refused(kept).contains("cut off"), "{}", refused(kept));
        assert!(refused(None).contains("no records"), "{}", refused(None));
        std::fs::remove_dir_all(&config.audit).expect("removed");
        assert!(refused(None).contains("there is no audit log"), "{}", refused(None));
    }
}
