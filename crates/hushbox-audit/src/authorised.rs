//! The proofs that follow a permit.

use std::fmt;
use std::marker::PhantomData;

use hushbox_policy::{
    Action, Actor, ChangeDirectory, Delete, Destroy, Export, Grounds, ListDirectory, ListMailbox,
    Listen, OpenMailbox, Reveal, Save, Undelete,
};
use jiff::Timestamp;

use crate::event::EventName;
use crate::log::{Durable, Position};

/// An action that the log knows an event for.
pub trait Recorded: Action {
    /// Its one primary event.
    const EVENT: EventName;
}

macro_rules! recorded {
    ($($action:ident => $event:ident;)*) => {$(
        impl Recorded for $action {
            const EVENT: EventName = EventName::$event;
        }
    )*};
}

recorded! {
    OpenMailbox => SessionStart;
    Listen => MsgPlayStart;
    Save => MsgFlag;
    Delete => MsgDelete;
    Undelete => MsgRestore;
    Export => MsgDownload;
    Reveal => MsgReveal;
    Destroy => MsgPurge;
    ListMailbox => MsgList;
    ChangeDirectory => DirectoryChange;
    ListDirectory => DirectoryList;
}

/// An action that was permitted and appended, and is not yet synced. It is worth nothing until then.
#[must_use = "it becomes an Authorised once its batch is synced"]
pub struct Pending<A: Action>(Authorised<A>);

impl<A: Action> Pending<A> {
    pub(crate) const fn new(
        grounds: Box<Grounds>,
        object: A::Object,
        position: Position,
        at: Timestamp,
    ) -> Self {
        Self(Authorised { grounds, object, position, at, action: PhantomData })
    }

    /// Its place in the log.
    #[must_use]
    pub const fn position(&self) -> Position {
        self.0.position
    }

    /// The proof, if the record is among those that were synced.
    ///
    /// # Errors
    ///
    /// Itself, if it is not.
    pub fn confirmed(self, durable: &Durable) -> Result<Authorised<A>, Self> {
        if durable.covers(self.0.position) { Ok(self.0) } else { Err(self) }
    }
}

impl<A: Action> fmt::Debug for Pending<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pending").field(&self.0).finish()
    }
}

/// Proof that an action was permitted and durably written down. What touches a message takes one by value, and the
/// object with it: it cannot be copied, made, or used for anything else.
#[must_use = "it was written down that this is done"]
pub struct Authorised<A: Action> {
    grounds: Box<Grounds>,
    object: A::Object,
    position: Position,
    at: Timestamp,
    action: PhantomData<fn() -> A>,
}

impl<A: Action> Authorised<A> {
    /// On what.
    #[must_use]
    pub const fn object(&self) -> &A::Object {
        &self.object
    }

    /// Who acts.
    #[must_use]
    pub fn actor(&self) -> Actor {
        self.grounds.actor
    }

    /// What was written down.
    #[must_use]
    pub fn grounds(&self) -> &Grounds {
        &self.grounds
    }

    /// Where it was written down.
    #[must_use]
    pub const fn position(&self) -> Position {
        self.position
    }

    /// When it was written down.
    #[must_use]
    pub const fn at(&self) -> Timestamp {
        self.at
    }
}

impl<A: Action> fmt::Debug for Authorised<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorised")
            .field("action", &A::NAME)
            .field("object", &self.object)
            .field("seq", &self.position.seq())
            .finish()
    }
}
