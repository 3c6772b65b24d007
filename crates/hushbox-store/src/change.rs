//! What may happen to a message's row: only what somebody was permitted to do and was written down.

use hushbox_audit::Authorised;
use hushbox_policy::{Delete, Destroy, MessageRef, Save, Undelete};

use crate::message::{MessageRow, MessageState};

/// A change of state that was permitted and written down. The index applies it by [`StateChange::apply`].
#[derive(Debug)]
pub struct StateChange {
    message: MessageRef,
    change: Change,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Heard,
    Saved,
    Deleted,
    Undeleted,
}

impl StateChange {
    /// It was played to its end: a new one becomes heard, a quiet one stays quiet.
    pub fn heard(authorised: Authorised<Save>) -> StateChange {
        StateChange { message: *authorised.object(), change: Change::Heard }
    }

    /// Somebody wants to keep it: a quiet one, too.
    pub fn saved(authorised: Authorised<Save>) -> StateChange {
        StateChange { message: *authorised.object(), change: Change::Saved }
    }

    /// Somebody marked it as deleted.
    pub fn deleted(authorised: Authorised<Delete>) -> StateChange {
        StateChange { message: *authorised.object(), change: Change::Deleted }
    }

    /// Somebody took the mark away.
    pub fn undeleted(authorised: Authorised<Undelete>) -> StateChange {
        StateChange { message: *authorised.object(), change: Change::Undeleted }
    }

    /// Which message.
    pub fn message(&self) -> MessageRef {
        self.message
    }

    /// Changes a row; false, with the row as it was, for the row of another message. Applying a change again changes
    /// nothing more.
    pub fn apply(&self, row: &mut MessageRow) -> bool {
        if row.message_ref() != self.message {
            return false;
        }
        let to = match (self.change, row.state) {
            (Change::Heard, MessageState::New) => MessageState::Heard,
            (Change::Saved, MessageState::New | MessageState::Quiet) => MessageState::Heard,
            (Change::Deleted, MessageState::New | MessageState::Heard | MessageState::Quiet) => {
                MessageState::Deleted
            }
            (Change::Undeleted, MessageState::Deleted) => {
                row.previous_state.unwrap_or(MessageState::Heard)
            }
            (Change::Heard | Change::Saved | Change::Deleted | Change::Undeleted, unchanged) => {
                unchanged
            }
        };
        if to != row.state {
            row.previous_state = (to == MessageState::Deleted).then_some(row.state);
            row.state = to;
            row.remaining = to.kept_for();
        }
        true
    }
}

/// A message's end, permitted to a rule and written down: its row goes, and with it the only sealed copy of its key.
#[derive(Debug)]
pub struct Destruction {
    message: MessageRef,
}

impl Destruction {
    /// Of the message that was authorised.
    pub fn new(authorised: Authorised<Destroy>) -> Destruction {
        Destruction { message: *authorised.object() }
    }

    /// Which message.
    pub fn message(&self) -> MessageRef {
        self.message
    }
}
