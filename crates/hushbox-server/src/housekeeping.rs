//! What is done once a minute: the rules that destroy, the UTC that is kept, the objects that nobody knows.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use hushbox_audit::{AuditReply, AuditRequest, Event, EventExtra, EventName, Who};
use hushbox_policy::retention::RetentionRule;
use hushbox_store::{
    Destruction, IndexError, IndexReply, IndexRequest, MessageRow, MessageState, ObjectsReply,
    ObjectsRequest,
};
use tokio::time::{MissedTickBehavior, interval};

use crate::decisions;
use crate::metrics;
use crate::operator::OperatorError;
use crate::services::Services;

/// How often.
const EVERY: Duration = Duration::from_secs(60);
/// Where the highest UTC is kept in the index.
pub const HIGHEST_UTC: &str = "highest-utc";
/// Where the end of the audit log is kept in the index: a log that is shorter or another one is noticed at the start.
pub const AUDIT_HEAD: &str = "audit-head";

/// Runs until the process ends.
pub async fn run(services: Arc<Services>) {
    let mut tick = interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut counted = services.clock.now().monotonic;
    let mut ticks = 0_u64;
    loop {
        tick.tick().await;
        let now = services.clock.now();
        if let Err(error) = keep_utc(&services).await {
            tracing::warn!(%error, "the highest time seen could not be kept");
        }
        if let Err(error) = keep_audit_head(&services).await {
            tracing::warn!(%error, "the end of the audit log could not be kept");
        }
        note_steps(&services);
        // Running time: what passed while the server was off does not count.
        let passed = now.monotonic.saturating_duration_since(counted);
        match destroy_due(&services, passed).await {
            Ok(()) => counted = now.monotonic,
            Err(error) => tracing::warn!(%error, "the retention rules wait"),
        }
        ticks += 1;
        // Not at once: what the spools held at the start is being delivered.
        if ticks == 2
            && let Err(error) = report_strangers(&services).await
        {
            tracing::warn!(%error, "the audio objects could not be compared with the index");
        }
    }
}

async fn keep_utc(services: &Services) -> Result<(), OperatorError> {
    let value = services.clock.now().utc.to_string().into_bytes();
    let put = IndexRequest::MetaPut { key: HIGHEST_UTC.to_owned(), value };
    services.index(put, |reply| matches!(reply, IndexReply::MetaPut).then_some(())).await?;
    Ok(())
}

/// Keeps the end of the audit log: the next sequence number and the hash of the last record.
pub async fn keep_audit_head(services: &Services) -> Result<(), IndexError> {
    let head = services.audit.head();
    let mut value = head.next_seq.to_be_bytes().to_vec();
    value.extend_from_slice(head.prev_hash.as_bytes());
    let put = IndexRequest::MetaPut { key: AUDIT_HEAD.to_owned(), value };
    services.index(put, |reply| matches!(reply, IndexReply::MetaPut).then_some(())).await
}

fn note_steps(services: &Services) {
    if let Some(step) = services.clock.take_step() {
        let forward = step.is_positive();
        metrics::clock_step(forward);
        if forward {
            tracing::warn!(
                seconds = step.as_secs(),
                "the machine's clock was set forward; it counts in an hour, if it stays"
            );
        } else {
            tracing::warn!(
                seconds = step.as_secs(),
                "the machine's clock was set back; time goes on here as it was"
            );
        }
        let mut event = Event::new(EventName::TimeStep, Who::System);
        let direction = if forward { "forward" } else { "backward" };
        event.detail = event.detail.with("seconds", step.as_secs().unsigned_abs());
        event.detail = event.detail.with("direction", direction);
        services.audit.note(event);
    }
}

/// Lets running time pass for what waits, and destroys what has waited long enough.
async fn destroy_due(services: &Services, passed: Duration) -> Result<(), OperatorError> {
    let due = services
        .index(IndexRequest::SpendRunningTime(passed), |reply| match reply {
            IndexReply::Due(rows) => Some(rows),
            _ => None,
        })
        .await?;
    for row in due {
        if let Err(error) = destroy(services, &row).await {
            tracing::warn!(id = %row.id, %error, "a message that is due was not destroyed");
        }
    }
    Ok(())
}

async fn destroy(services: &Services, row: &MessageRow) -> Result<(), OperatorError> {
    let rule = match row.state {
        MessageState::Deleted => RetentionRule::Deleted,
        MessageState::Quiet => RetentionRule::Quiet,
        MessageState::New | MessageState::Heard => return Ok(()),
    };
    let permit = decisions::destroy(rule, row, &services.directory(), services.clock.now())?;
    let written =
        services.audit.write(AuditRequest::Destroy(permit), EventExtra::default()).await?;
    let AuditReply::Destroy(authorised) = written else { return Ok(()) };
    // The row first: with it goes the only sealed copy of the key, and what is left of the object opens nothing.
    let destruction = IndexRequest::Destroy(Destruction::new(authorised));
    services
        .index(destruction, |reply| matches!(reply, IndexReply::Destroyed).then_some(()))
        .await?;
    services.objects.run(ObjectsRequest::Delete { key: row.object_key.clone() }).await?;
    tracing::info!(id = %row.id, rule = rule.id(), "message destroyed");
    Ok(())
}

/// An object without a row is reported, not invented.
async fn report_strangers(services: &Services) -> Result<(), OperatorError> {
    let ObjectsReply::Keys(keys) = services.objects.run(ObjectsRequest::List).await? else {
        return Ok(());
    };
    let known: BTreeSet<_> = services
        .index(IndexRequest::ObjectKeys, |reply| match reply {
            IndexReply::ObjectKeys(keys) => Some(keys),
            _ => None,
        })
        .await?
        .into_iter()
        .map(|(key, _)| key)
        .collect();
    let strangers = keys.iter().filter(|key| !known.contains(*key)).count();
    if strangers > 0 {
        tracing::warn!(
            objects = strangers,
            "audio objects without a row in the index: not delivered yet, or lost rows"
        );
    }
    let missing = known.iter().filter(|key| !keys.contains(key)).count();
    if missing > 0 {
        tracing::error!(objects = missing, "messages whose audio object is gone");
    }
    Ok(())
}
