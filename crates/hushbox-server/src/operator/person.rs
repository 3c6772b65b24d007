//! `--as`: a person's PIN, compared as at a telephone: counted first, with a decoy for numbers that nobody has.

use hushbox_audit::{Event, EventName, Outcome as Audited, Who};
use hushbox_policy::{Denied, Pin, PinVerifier, Try};
use hushbox_store::{Directory, MessageRow};
use tokio::sync::oneshot;

use super::{Operator, OperatorError, numbered};
use crate::control::InTheNameOf;
use crate::decisions::PinCompared;
use crate::log_in::Outcome;
use crate::random;

/// A person whose PIN was right.
pub(super) struct Proved(pub(super) PinCompared);

impl Operator {
    /// Compares the PIN. What fails looks the same whatever was wrong.
    pub(super) async fn prove(&self, by: &InTheNameOf, uid: u32) -> Result<Proved, OperatorError> {
        let opening = self.services.opening.as_ref().ok_or(OperatorError::RecordOnly)?;
        let directory = self.services.directory();
        let person = numbered(&by.person, &directory, Directory::person_by_number)?
            .filter(|person| !person.disabled);
        // A PIN that cannot be one is compared like any other, so that it counts like any other.
        let pin = Pin::new(by.pin.expose())
            .or_else(|_| Pin::new("0"))
            .map_err(|_| OperatorError::WrongLogin)?;
        let fits = Pin::new(by.pin.expose()).is_ok();
        let attempt = Try::operator(person.map(|person| person.id), uid);
        let verifier = person
            .map_or_else(|| PinVerifier::decoy(random::bytes()), |person| person.verifier.clone());
        let (sender, answer) = oneshot::channel();
        let done = Box::new(move |outcome| {
            let _gone = sender.send(outcome);
        });
        opening.log_ins.attempt(attempt, pin, verifier, false, done);
        let id = person.map(|person| person.id);
        match (answer.await.unwrap_or(Outcome::Unavailable), id) {
            (Outcome::Right, Some(id)) if fits => {
                self.note(EventName::AuthOk, Some(id), uid, Audited::Done);
                Ok(Proved(PinCompared::equal(id, uid)))
            }
            (outcome @ (Outcome::Right | Outcome::Wrong | Outcome::WrongAndLocked), _) => {
                self.note(EventName::AuthFail, id, uid, Audited::Refused);
                if outcome == Outcome::WrongAndLocked {
                    self.note(EventName::AuthLock, id, uid, Audited::Refused);
                }
                Err(OperatorError::WrongLogin)
            }
            (Outcome::Locked, _) => {
                self.note(EventName::AuthLock, id, uid, Audited::Refused);
                Err(OperatorError::Locked)
            }
            (Outcome::Busy | Outcome::Unavailable, _) => Err(OperatorError::Busy),
        }
    }

    /// Writes down that policy said no to a person who had proved who they are.
    pub(super) fn refused(&self, proved: &Proved, uid: u32, row: &MessageRow, denied: Denied) {
        self.services.audit.note(refusal(proved, uid, row, denied));
    }

    /// The same of a mailbox whose callers stay hidden in a listing.
    pub(super) fn refused_reveal(&self, proved: &Proved, uid: u32, row: &MessageRow, why: Denied) {
        self.services.audit.note(Event { message: None, ..refusal(proved, uid, row, why) });
    }

    fn note(
        &self,
        name: EventName,
        person: Option<hushbox_policy::PersonId>,
        uid: u32,
        outcome: Audited,
    ) {
        let mut event = Event::new(name, person.map_or(Who::Operator { uid }, Who::Person));
        event.uid = Some(uid);
        event.outcome = outcome;
        self.services.audit.note(event);
    }
}

fn refusal(proved: &Proved, uid: u32, row: &MessageRow, denied: Denied) -> Event {
    let mut event = Event::new(EventName::AccessRefused, Who::Person(proved.0.person()));
    event.uid = Some(uid);
    event.outcome = Audited::Refused;
    event.account = Some(row.account);
    event.mailbox = Some(row.mailbox);
    event.message = Some(row.id);
    event.rule = Some(denied.rule().into());
    event
}
