//! What the store asks of the index and what it is told. The shell runs the requests; nothing here awaits.

use std::collections::BTreeSet;
use std::time::Duration;

use hushbox_audit::{Authorised, Hash};
use hushbox_policy::{AccountId, ListMailbox, MailboxId, MessageId, SubscriptionId};

use crate::change::{Destruction, StateChange};
use crate::error::IndexError;
use crate::future::BoxFuture;
use crate::message::{MessageRow, MessageState};
use crate::objects::ObjectKey;
use crate::open::OpenMailbox;
use crate::row::DirectoryRow;
use crate::subscription::SubscriptionRow;

/// Which messages somebody may list.
#[derive(Debug)]
pub struct Listing {
    mailbox: Option<MailboxId>,
    states: BTreeSet<MessageState>,
}

impl Listing {
    /// Of the mailbox that was authorised, or of all.
    pub fn authorised(authorised: Authorised<ListMailbox>) -> Listing {
        Listing { mailbox: *authorised.object(), states: MessageState::ALL.into() }
    }

    /// Of a mailbox that somebody has logged in to.
    pub fn opened(
        mailbox: &OpenMailbox,
        states: impl IntoIterator<Item = MessageState>,
    ) -> Listing {
        Listing { mailbox: Some(mailbox.mailbox()), states: states.into_iter().collect() }
    }

    /// The mailbox; none for all.
    pub fn mailbox(&self) -> Option<MailboxId> {
        self.mailbox
    }

    /// Messages in these states.
    pub fn states(&self) -> &BTreeSet<MessageState> {
        &self.states
    }
}

/// What is asked.
#[derive(Debug)]
pub enum IndexRequest {
    /// Insert a delivered message. If its id is there already with the same manifest, nothing changes, its state least
    /// of all; with another manifest it is a [`IndexError::Conflict`].
    InsertMessage(Box<MessageRow>),
    /// The messages of a listing, oldest first (by `received_at`, then id).
    Messages(Listing),
    /// One message.
    Message(MessageId),
    /// Change a message's state by [`StateChange::apply`], in one transaction.
    ChangeState(StateChange),
    /// How many messages a mailbox has in each state.
    Counts(MailboxId),
    /// Remove a message's row, overwriting what it held.
    Destroy(Destruction),
    /// The objects that rows name: what a start-up check compares with the objects there are.
    ObjectKeys,
    /// The server has run for so long since it last asked: every message that waits for a rule waits so much less.
    /// Durable when answered.
    SpendRunningTime(Duration),
    /// Every row of the directory.
    DirectoryLoad,
    /// Insert or replace rows (by kind and id), all or none, if the directory's hash is still that.
    DirectoryPut {
        /// The rows.
        rows: Vec<DirectoryRow>,
        /// [`crate::row::hash_of`] the rows that are there.
        before: Hash,
    },
    /// Insert or replace a subscription, by its id.
    SubscriptionPut(Box<SubscriptionRow>),
    /// Remove a subscription; one that is not there is no error.
    SubscriptionRemove(SubscriptionId),
    /// Every subscription, by id.
    Subscriptions,
    /// A value that the server keeps: the root key's id, the highest UTC seen.
    MetaGet(String),
    /// Store such a value.
    MetaPut {
        /// Its name.
        key: String,
        /// Its bytes.
        value: Vec<u8>,
    },
}

/// How many messages there are in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Not heard.
    pub new: u64,
    /// Heard.
    pub heard: u64,
    /// Without a voice.
    pub quiet: u64,
    /// Marked as deleted.
    pub deleted: u64,
}

impl Counts {
    /// Counts a message.
    pub fn add(&mut self, state: MessageState, messages: u64) {
        let count = match state {
            MessageState::New => &mut self.new,
            MessageState::Heard => &mut self.heard,
            MessageState::Quiet => &mut self.quiet,
            MessageState::Deleted => &mut self.deleted,
        };
        *count = count.saturating_add(messages);
    }
}

/// What is answered, one for each request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IndexReply {
    /// The message is in the index, now or since earlier.
    Inserted,
    /// The messages.
    Messages(Vec<MessageRow>),
    /// The message, if there is one.
    Message(Option<Box<MessageRow>>),
    /// The row after the change.
    Changed(Box<MessageRow>),
    /// The counts.
    Counts(Counts),
    /// The row is gone (also if it was gone before); its object may go.
    Destroyed,
    /// The objects that rows name, with the accounts they belong to, sorted.
    ObjectKeys(Vec<(ObjectKey, AccountId)>),
    /// The messages whose time is over: each needs a permit to be destroyed.
    Due(Vec<MessageRow>),
    /// The directory's rows.
    Directory(Vec<DirectoryRow>),
    /// The rows are in the directory.
    DirectoryPut,
    /// The subscription is kept.
    SubscriptionPut,
    /// The subscription is not there (any more).
    SubscriptionRemoved,
    /// The subscriptions.
    Subscriptions(Vec<SubscriptionRow>),
    /// The value, if there is one.
    Meta(Option<Vec<u8>>),
    /// It is stored.
    MetaPut,
}

/// An index: SQLite, PostgreSQL, memory.
pub trait Index: Send + Sync {
    /// Runs one request.
    fn run(&self, request: IndexRequest) -> BoxFuture<'_, Result<IndexReply, IndexError>>;
}
