//! What the index has to do with lamps: it says whose messages have changed, counts them, and keeps subscriptions.

use std::sync::Arc;

use hushbox_call::limits::UNASKED_LAMPS_MAX;
use hushbox_call::signalling::MwiNews;
use hushbox_policy::{MailboxId, SubscriptionId};
use hushbox_store::{
    BoxFuture, Counts, Index, IndexError, IndexReply, IndexRequest, SubscriptionRow,
};
use tokio::sync::mpsc;

use crate::fatal::Fatal;
use crate::services::Services;
use crate::signalling::ToSignallingTask;

/// An index that says after each change whose messages have changed, whoever made it: a delivery, a listener, a rule.
pub struct WatchedIndex {
    index: Arc<dyn Index>,
    changes: mpsc::UnboundedSender<MailboxId>,
}

impl WatchedIndex {
    /// Over this index, and the mailboxes that change. What waits there is bounded by what changes while signalling
    /// is busy; one id is kept for each change.
    pub fn new(index: Arc<dyn Index>) -> (Self, mpsc::UnboundedReceiver<MailboxId>) {
        let (changes, changed) = mpsc::unbounded_channel();
        (Self { index, changes }, changed)
    }

    async fn request(&self, request: IndexRequest) -> Result<IndexReply, IndexError> {
        let mailbox = match &request {
            IndexRequest::InsertMessage(row) => Some(row.mailbox),
            IndexRequest::ChangeState(change) => Some(change.message().mailbox),
            IndexRequest::Destroy(destruction) => Some(destruction.message().mailbox),
            IndexRequest::Messages(_)
            | IndexRequest::Message(_)
            | IndexRequest::Counts(_)
            | IndexRequest::ObjectKeys
            | IndexRequest::SpendRunningTime(_)
            | IndexRequest::DirectoryLoad
            | IndexRequest::DirectoryPut { .. }
            | IndexRequest::SubscriptionPut(_)
            | IndexRequest::SubscriptionRemove(_)
            | IndexRequest::Subscriptions
            | IndexRequest::MetaGet(_)
            | IndexRequest::MetaPut { .. } => None,
        };
        let reply = self.index.run(request).await;
        // Also after a failure: nobody knows what became of it, and a count too many does no harm.
        if let Some(mailbox) = mailbox {
            let _stopping = self.changes.send(mailbox);
        }
        reply
    }
}

impl Index for WatchedIndex {
    fn run(&self, request: IndexRequest) -> BoxFuture<'_, Result<IndexReply, IndexError>> {
        Box::pin(self.request(request))
    }
}

/// Tells signalling of each change, until it ends.
pub async fn tell_changes(
    mut changed: mpsc::UnboundedReceiver<MailboxId>,
    says: mpsc::UnboundedSender<ToSignallingTask>,
) {
    while let Some(mailbox) = changed.recv().await {
        if says.send(ToSignallingTask::MailboxChanged(mailbox)).is_err() {
            return;
        }
    }
}

/// The way to the task that keeps and counts. What waits is bounded by the lamps there are.
#[derive(Clone, Debug)]
pub struct Mwi(mpsc::UnboundedSender<Asked>);

#[derive(Debug)]
enum Asked {
    Put(Box<SubscriptionRow>),
    Remove(SubscriptionId),
    Count(MailboxId),
}

impl Mwi {
    /// Starts the task.
    pub fn start(
        services: Arc<Services>,
        says: mpsc::UnboundedSender<ToSignallingTask>,
        fatal: &Fatal,
    ) -> Self {
        let (sender, asked) = mpsc::unbounded_channel();
        fatal.task("lamps", answer(asked, services, says));
        Self(sender)
    }

    /// Count this mailbox's messages; signalling hears the answer.
    pub fn count(&self, mailbox: MailboxId) {
        let _stopping = self.0.send(Asked::Count(mailbox));
    }

    /// Keep this subscription.
    pub fn keep(&self, row: Box<SubscriptionRow>) {
        let _stopping = self.0.send(Asked::Put(row));
    }

    /// Forget this subscription.
    pub fn forget(&self, id: SubscriptionId) {
        let _stopping = self.0.send(Asked::Remove(id));
    }
}

/// The subscriptions of earlier runs. Without them lamps wait for their telephones to subscribe again.
pub async fn subscriptions(services: &Services) -> Vec<SubscriptionRow> {
    let rows = services.index(IndexRequest::Subscriptions, |reply| match reply {
        IndexReply::Subscriptions(rows) => Some(rows),
        _ => None,
    });
    rows.await.unwrap_or_else(|error| {
        tracing::error!(%error, "the subscriptions could not be read: telephones must subscribe again");
        Vec::new()
    })
}

/// In the order in which they were asked for: the last word about a subscription holds, and a NOTIFY, which carries
/// what was counted after that, goes out once its subscription is kept. Who hears none subscribes again
/// (RFC 6665 §4.1.2.4).
async fn answer(
    mut asked: mpsc::UnboundedReceiver<Asked>,
    services: Arc<Services>,
    says: mpsc::UnboundedSender<ToSignallingTask>,
) {
    while let Some(asked) = asked.recv().await {
        match asked {
            Asked::Put(row) => keep(&services, IndexRequest::SubscriptionPut(row)).await,
            Asked::Remove(id) => keep(&services, IndexRequest::SubscriptionRemove(id)).await,
            Asked::Count(mailbox) => {
                let counts = count(&services, mailbox).await;
                if says.send(ToSignallingTask::Counted { mailbox, counts }).is_err() {
                    return;
                }
            }
        }
    }
}

/// Tells the operator what became of telling a PBX that has not subscribed: once, not for each mailbox.
pub fn log(trunk: Option<&str>, news: MwiNews) {
    let trunk = trunk.unwrap_or("-");
    match news {
        MwiNews::Unreachable => {
            tracing::warn!(
                trunk,
                "a PBX that is told of lamps (trunk --mwi) cannot be reached or does not answer"
            );
        }
        MwiNews::Reachable => tracing::info!(trunk, "a PBX that is told of lamps answers again"),
        MwiNews::Refused(status) => {
            tracing::warn!(
                trunk,
                status,
                "a PBX refuses what it is told of a lamp unasked: see docs/mwi.md, and `hushbox mwi explain` for a mailbox"
            );
        }
        MwiNews::TooMany => {
            let most = UNASKED_LAMPS_MAX;
            tracing::warn!(
                most,
                "PBXs are told unasked of so many lamps at most: of further ones they are told nothing"
            );
        }
    }
}

async fn keep(services: &Services, request: IndexRequest) {
    if let Err(error) = services.index.run(request).await {
        // After a restart the telephone subscribes again, or is told once more than it wants.
        tracing::warn!(%error, "a subscription could not be kept");
    }
}

async fn count(services: &Services, mailbox: MailboxId) -> Option<Counts> {
    let counts = services.index(IndexRequest::Counts(mailbox), |reply| match reply {
        IndexReply::Counts(counts) => Some(counts),
        _ => None,
    });
    let counts = counts.await;
    counts
        .inspect_err(|error| tracing::warn!(%mailbox, %error, "messages could not be counted"))
        .ok()
}

#[cfg(test)]
mod tests {
    use hushbox_backend::MemoryIndex;

    use super::*;

    #[tokio::test]
    async fn only_what_changes_messages_is_a_change() {
        let memory = MemoryIndex::new();
        memory.fail(Some(IndexError::Full));
        let (index, mut changed) = WatchedIndex::new(Arc::new(memory));
        let mailbox = MailboxId::from_bytes([1; 16]);
        assert!(index.run(IndexRequest::Counts(mailbox)).await.is_err());
        assert!(index.run(IndexRequest::MetaGet(String::new())).await.is_err());
        assert!(changed.try_recv().is_err());
    }
}
