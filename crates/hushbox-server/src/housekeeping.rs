//! What is done once a minute: the rules that destroy, the UTC that is kept, the objects that nobody knows.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use hushbox_audit::{AuditReply, AuditRequest, Event, EventExtra, EventName, Who};
use hushbox_policy::retention::RetentionRule;
use hushbox_store::{
    Destruction, Index, IndexError, IndexReply, IndexRequest, MessageRow, MessageState, ObjectKey,
    Objects, ObjectsReply, ObjectsRequest,
};
use tokio::time::{MissedTickBehavior, interval};

use crate::audit_head;
use crate::decisions;
use crate::metrics;
use crate::operator::OperatorError;
use crate::services::Services;

/// How often.
const EVERY: Duration = Duration::from_secs(60);
/// Where the highest UTC is kept in the index.
pub const HIGHEST_UTC: &str = "highest-utc";

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
        if let Err(error) = audit_head::keep(&services).await {
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
    let compared = compare(services.index.as_ref(), services.objects.as_ref()).await?;
    if compared.strangers > 0 {
        tracing::warn!(
            objects = compared.strangers,
            "audio objects without a row in the index: not delivered yet, or lost rows"
        );
    }
    if compared.missing > 0 {
        tracing::error!(objects = compared.missing, "messages whose audio object is gone");
    }
    Ok(())
}

/// How objects and rows fit.
#[derive(Debug, PartialEq, Eq)]
struct Compared {
    /// Objects without a row.
    strangers: usize,
    /// Rows without an object.
    missing: usize,
}

/// The rows are read before the objects and after them, since messages come and go meanwhile. An object is put before
/// its row and removed after it: what had a row both times must be there, and what had none either time is nobody's.
async fn compare(index: &dyn Index, objects: &dyn Objects) -> Result<Compared, OperatorError> {
    let before = known(index).await?;
    let listed = match objects.run(ObjectsRequest::List).await? {
        ObjectsReply::Keys(keys) => keys,
        _ => return Err(confused().into()),
    };
    let after = known(index).await?;
    let strangers = listed.iter().filter(|key| !before.contains(*key) && !after.contains(*key));
    let listed: BTreeSet<_> = listed.iter().collect();
    let missing = before.intersection(&after).filter(|key| !listed.contains(key));
    Ok(Compared { strangers: strangers.count(), missing: missing.count() })
}

/// The objects that rows name.
async fn known(index: &dyn Index) -> Result<BTreeSet<ObjectKey>, IndexError> {
    match index.run(IndexRequest::ObjectKeys).await? {
        IndexReply::ObjectKeys(keys) => Ok(keys.into_iter().map(|(key, _)| key).collect()),
        _ => Err(confused()),
    }
}

fn confused() -> IndexError {
    IndexError::Unavailable("it answered something else than it was asked".to_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use hushbox_policy::AccountId;
    use hushbox_store::{BoxFuture, ObjectsError};

    use super::*;

    /// An index and objects in which something happens while the objects are listed.
    #[derive(Default)]
    struct Store {
        rows: [&'static [&'static str]; 2],
        objects: &'static [&'static str],
        listed: AtomicBool,
    }

    fn keys(names: &[&str]) -> Vec<ObjectKey> {
        names.iter().map(|name| ObjectKey::from_stored(*name)).collect()
    }

    impl Index for Store {
        fn run(&self, _: IndexRequest) -> BoxFuture<'_, Result<IndexReply, IndexError>> {
            let now = usize::from(self.listed.load(Ordering::Relaxed));
            let owned = |key| (key, AccountId::from_bytes([1; 16]));
            let rows = keys(self.rows[now]).into_iter().map(owned).collect();
            Box::pin(async { Ok(IndexReply::ObjectKeys(rows)) })
        }
    }

    impl Objects for Store {
        fn run(&self, _: ObjectsRequest) -> BoxFuture<'_, Result<ObjectsReply, ObjectsError>> {
            self.listed.store(true, Ordering::Relaxed);
            Box::pin(async { Ok(ObjectsReply::Keys(keys(self.objects))) })
        }
    }

    async fn compared(store: Store) -> (usize, usize) {
        let Compared { strangers, missing } = compare(&store, &store).await.expect("compared");
        (strangers, missing)
    }

    #[tokio::test]
    async fn messages_that_come_and_go_while_objects_are_listed_are_neither_lost_nor_strangers() {
        let rows: [&[&str]; 2] = [&["stays", "goes"], &["stays", "comes"]];
        for objects in [&["stays"][..], &["stays", "goes", "comes"]] {
            assert_eq!(compared(Store { rows, objects, ..Store::default() }).await, (0, 0));
        }
        let objects = &["stranger"];
        assert_eq!(compared(Store { rows, objects, ..Store::default() }).await, (1, 1));
    }
}
