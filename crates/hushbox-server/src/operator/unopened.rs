//! A message that was permitted and could not be opened: damaged, gone, or out of reach for now.

use hushbox_audit::{Event, EventName, Outcome, Who};
use hushbox_store::{IntegrityError, KeyError, MessageRow, ObjectsError};

use super::person::Proved;
use super::{Operator, OperatorError};
use crate::unplayable;

/// Why a message could not be opened, as a listing has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unopened {
    /// It is not what was recorded, or its audio is gone.
    Damaged,
    /// It could not be read now.
    Unreadable,
    /// Its mailbox's key could not be unwrapped.
    Key,
}

impl Unopened {
    /// Its stable name.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Damaged => "damaged",
            Self::Unreadable => "unreadable",
            Self::Key => "key",
        }
    }

    /// What of an error is about one message; nothing where the command as a whole has failed.
    pub(super) const fn of(error: &OperatorError) -> Option<Self> {
        match error {
            OperatorError::Integrity(IntegrityError::Epoch(_)) => Some(Self::Key),
            OperatorError::Integrity(_)
            | OperatorError::Frames(_)
            | OperatorError::Objects(ObjectsError::NotFound) => Some(Self::Damaged),
            OperatorError::Objects(ObjectsError::Unavailable(_) | ObjectsError::Full) => {
                Some(Self::Unreadable)
            }
            // Without the root key no message opens.
            OperatorError::Key(KeyError::Missing(_)) => None,
            OperatorError::Key(_) => Some(Self::Key),
            _ => None,
        }
    }
}

impl Operator {
    /// Says in the log, in a metric and in the audit log that a message could not be opened to somebody.
    pub(super) fn unopened(
        &self,
        proved: &Proved,
        uid: u32,
        row: &MessageRow,
        error: &OperatorError,
    ) -> Option<Unopened> {
        let why = Unopened::of(error)?;
        unplayable::say(row.id, why == Unopened::Damaged, error);
        let name = match why {
            Unopened::Damaged => EventName::IntegrityFailure,
            Unopened::Key => EventName::KeyUnwrapDenied,
            Unopened::Unreadable => return Some(why),
        };
        let mut event = Event::new(name, Who::Person(proved.0.person()));
        event.uid = Some(uid);
        event.outcome = Outcome::Failed;
        event.account = Some(row.account);
        event.mailbox = Some(row.mailbox);
        event.message = Some(row.id);
        self.services.audit.note(event);
        Some(why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_cannot_be_read_and_a_key_that_is_not_there_are_no_damage() {
        let of = |error: OperatorError| Unopened::of(&error);
        assert_eq!(of(ObjectsError::NotFound.into()), Some(Unopened::Damaged));
        assert_eq!(of(IntegrityError::Envelope.into()), Some(Unopened::Damaged));
        assert_eq!(of(IntegrityError::Epoch(2).into()), Some(Unopened::Key));
        assert_eq!(of(KeyError::Damaged.into()), Some(Unopened::Key));
        assert_eq!(
            of(ObjectsError::Unavailable("i/o error".to_owned()).into()),
            Some(Unopened::Unreadable)
        );
        assert_eq!(of(KeyError::Missing("root.key".to_owned()).into()), None);
        assert_eq!(of(OperatorError::Gone), None);
    }
}
