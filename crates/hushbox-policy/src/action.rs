//! What can be asked for. Each action is a type that has no values and names its object.

use std::fmt;

use crate::ids::{AccountId, MailboxId, MessageId};
use crate::record::{RecordKind, RecordRef};

/// A message, with where it belongs: a request about it is about all three.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageRef {
    /// The account of its mailbox.
    pub account: AccountId,
    /// Its mailbox.
    pub mailbox: MailboxId,
    /// The message itself.
    pub message: MessageId,
}

/// What an action's object is, whatever its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Every mailbox.
    Everything,
    /// One mailbox.
    Mailbox(MailboxId),
    /// One message.
    Message(MessageRef),
    /// One record of the directory.
    Record(RecordRef),
}

/// Something that needs a permit. The list is closed: nobody else can add to it.
pub trait Action: sealed::Sealed + fmt::Debug + Send + Sync + 'static {
    /// What it is done to.
    type Object: Clone + fmt::Debug + Send + Sync + 'static;
    /// Its name in rules and refusals.
    const NAME: &'static str;
    /// The object, as rules see it.
    fn target(object: &Self::Object) -> Target;
}

/// An action that both profiles know.
pub trait EitherProfile: Action {}

/// An action that only the profile `standard` knows.
pub trait StandardOnly: Action {}

mod sealed {
    pub trait Sealed {}
}

macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident($object:ty) = $text:literal, $kind:ident, $target:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub enum $name {}

        impl sealed::Sealed for $name {}
        impl $kind for $name {}

        impl Action for $name {
            type Object = $object;
            const NAME: &'static str = $text;

            fn target(object: &$object) -> Target {
                let target: fn(&$object) -> Target = $target;
                target(object)
            }
        }
    )*};
}

actions! {
    /// Log in to a mailbox: counts, order and states of its messages.
    OpenMailbox(MailboxId) = "open-mailbox", EitherProfile, |mailbox| Target::Mailbox(*mailbox);
    /// Hear a message.
    Listen(MessageRef) = "listen", EitherProfile, |message| Target::Message(*message);
    /// Mark a message as heard, because it was played to its end or saved.
    Save(MessageRef) = "save", EitherProfile, |message| Target::Message(*message);
    /// Mark a message as deleted.
    Delete(MessageRef) = "delete", EitherProfile, |message| Target::Message(*message);
    /// Take that mark away.
    Undelete(MessageRef) = "undelete", EitherProfile, |message| Target::Message(*message);
    /// Take a message's audio out of custody.
    Export(MessageRef) = "export", EitherProfile, |message| Target::Message(*message);
    /// Show a message's caller.
    Reveal(MessageRef) = "reveal", EitherProfile, |message| Target::Message(*message);
    /// Destroy a message's key and audio. Rules do this; persons mark.
    Destroy(MessageRef) = "destroy", EitherProfile, |message| Target::Message(*message);
    /// List messages by their unsealed facts: one mailbox's, or all.
    ListMailbox(Option<MailboxId>) = "list-mailbox", EitherProfile,
        |mailbox| mailbox.map_or(Target::Everything, Target::Mailbox);
    /// Change the directory: make, change or remove a record.
    ChangeDirectory(RecordRef) = "change-directory", EitherProfile, |record| Target::Record(*record);
    /// List the directory's records of one kind, without their secrets.
    ListDirectory(RecordKind) = "list-directory", EitherProfile, |_| Target::Everything;
    /// Turn a message's audio into text.
    Transcribe(MessageRef) = "transcribe", StandardOnly, |message| Target::Message(*message);
    /// Send a message's audio by email.
    EmailAudio(MessageRef) = "email-audio", StandardOnly, |message| Target::Message(*message);
}
