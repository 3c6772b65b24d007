//! What a call asks the log for, as one type, so that a pure core can emit it and take the reply.

use hushbox_policy::{
    ChangeDirectory, Delete, Destroy, Export, ListDirectory, ListMailbox, Listen, Now, OpenMailbox,
    Permit, Reveal, Save, Undelete,
};

use crate::authorised::{Authorised, Pending};
use crate::event::{Event, EventExtra};
use crate::log::{Durable, Log, Position};

/// The log cannot be written: access is refused, recording goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuditError {
    /// The disk is full or fails, or the server is on its way down.
    #[error("the audit log cannot be written")]
    Unavailable,
}

macro_rules! requests {
    ($($action:ident,)*) => {
        /// Something to write down.
        #[derive(Debug)]
        pub enum AuditRequest {
            $(
                #[doc = concat!("A permit for [`", stringify!($action), "`].")]
                $action(Permit<$action>),
            )*
            /// Something that happened without a permit.
            Event(Event),
        }

        /// It is written down, and on disk.
        #[derive(Debug)]
        pub enum AuditReply {
            $(
                #[doc = concat!("The proof for [`", stringify!($action), "`].")]
                $action(Authorised<$action>),
            )*
            /// What happened is written down.
            Event,
        }

        /// A request that was appended and waits for its batch.
        #[derive(Debug)]
        pub enum PendingReply {
            $(
                #[doc = concat!("Of a [`", stringify!($action), "`].")]
                $action(Pending<$action>),
            )*
            /// Of an event.
            Event(Position),
        }

        impl Log {
            /// Appends any request.
            pub fn submit(&mut self, now: Now, request: AuditRequest, extra: EventExtra) -> PendingReply {
                match request {
                    $(AuditRequest::$action(permit) => {
                        PendingReply::$action(self.append(now, permit, extra))
                    })*
                    AuditRequest::Event(event) => PendingReply::Event(self.append_event(now, event)),
                }
            }
        }

        impl PendingReply {
            /// The reply, if the record is among those that were synced.
            ///
            /// # Errors
            ///
            /// Itself, if it is not.
            pub fn confirmed(self, durable: &Durable) -> Result<AuditReply, Self> {
                match self {
                    $(Self::$action(pending) => {
                        pending.confirmed(durable).map(AuditReply::$action).map_err(Self::$action)
                    })*
                    Self::Event(position) if durable.covers(position) => Ok(AuditReply::Event),
                    Self::Event(position) => Err(Self::Event(position)),
                }
            }
        }

        $(
            impl From<Permit<$action>> for AuditRequest {
                fn from(permit: Permit<$action>) -> Self {
                    Self::$action(permit)
                }
            }
        )*
    };
}

requests! {
    OpenMailbox, Listen, Save, Delete, Undelete, Export, Reveal, Destroy, ListMailbox,
    ChangeDirectory, ListDirectory,
}

impl From<Event> for AuditRequest {
    fn from(event: Event) -> Self {
        Self::Event(event)
    }
}
