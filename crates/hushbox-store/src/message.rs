//! A message as the index knows it: a row and its states.

use std::fmt;
use std::time::Duration;

use hushbox_policy::retention::{RetentionRule, Waiting};
use hushbox_policy::{AccountId, MailboxId, MessageFacts, MessageId, MessageRef, Profile};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::hpke::Place;
use crate::manifest::SignedManifest;
use crate::objects::ObjectKey;

/// What a mailbox says about a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MessageState {
    /// Nobody has heard it to its end.
    New,
    /// Played to its end, or saved.
    Heard,
    /// Nobody speaks in it: no lamp, not counted, destroyed after two weeks.
    Quiet,
    /// Marked as deleted: destroyed after two weeks.
    Deleted,
}

impl MessageState {
    /// Every state.
    pub const ALL: [MessageState; 4] =
        [MessageState::New, MessageState::Heard, MessageState::Quiet, MessageState::Deleted];

    /// The name, as listings and the index have it.
    pub fn as_str(self) -> &'static str {
        match self {
            MessageState::New => "new",
            MessageState::Heard => "heard",
            MessageState::Quiet => "quiet",
            MessageState::Deleted => "deleted",
        }
    }

    /// The state of that name.
    pub fn from_name(name: &str) -> Option<MessageState> {
        MessageState::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// How long a message that enters this state is kept; none: for good.
    pub(crate) fn kept_for(self) -> Option<Duration> {
        self.rule().map(RetentionRule::keeps)
    }

    /// The rule under which a message in this state waits to be destroyed.
    fn rule(self) -> Option<RetentionRule> {
        match self {
            MessageState::New | MessageState::Heard => None,
            MessageState::Quiet => Some(RetentionRule::Quiet),
            MessageState::Deleted => Some(RetentionRule::Deleted),
        }
    }
}

impl fmt::Display for MessageState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A delivered message. What names the caller is sealed; the rest stands in clear in the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageRow {
    /// Its id.
    pub id: MessageId,
    /// The account.
    pub account: AccountId,
    /// The mailbox.
    pub mailbox: MailboxId,
    /// The epoch of the mailbox's key that its key is sealed to.
    pub epoch: u32,
    /// The profile under which it was recorded.
    pub profile: Profile,
    /// Its state.
    pub state: MessageState,
    /// The state before it was deleted; none for any other.
    pub previous_state: Option<MessageState>,
    /// When the recording began.
    pub received_at: Timestamp,
    /// Its length in samples.
    pub samples: u64,
    /// Samples a second.
    pub sample_rate: u32,
    /// A crash cut it.
    pub truncated: bool,
    /// Its key, sealed to the mailbox.
    pub sealed_key: Vec<u8>,
    /// Its envelope, sealed to the mailbox.
    pub sealed_envelope: Vec<u8>,
    /// The manifest and the node's signature.
    pub manifest: SignedManifest,
    /// Where the audit log has the manifest's hash: the record's sequence number.
    pub audit_seq: u64,
    /// The audio object.
    pub object_key: ObjectKey,
    /// Running time left until a rule destroys it; none while no rule applies.
    pub remaining: Option<Duration>,
}

impl MessageRow {
    /// Which message it is, as requests name it.
    pub fn message_ref(&self) -> MessageRef {
        MessageRef { account: self.account, mailbox: self.mailbox, message: self.id }
    }

    /// Its length.
    pub fn duration(&self) -> Duration {
        if self.sample_rate == 0 {
            return Duration::ZERO;
        }
        Duration::from_secs(self.samples / u64::from(self.sample_rate))
            + Duration::from_nanos(
                self.samples % u64::from(self.sample_rate) * 1_000_000_000
                    / u64::from(self.sample_rate),
            )
    }

    /// What policy wants to know of it.
    pub fn facts(&self) -> MessageFacts {
        let waiting = self
            .state
            .rule()
            .zip(self.remaining)
            .map(|(rule, remaining)| Waiting { rule, remaining });
        MessageFacts { message: self.message_ref(), profile: self.profile, waiting }
    }

    pub(crate) fn place(&self) -> Place {
        Place {
            account: self.account,
            mailbox: self.mailbox,
            message: self.id,
            epoch: self.epoch,
            profile: self.profile,
        }
    }
}
