//! `--as`: a person's PIN, compared as at a telephone: counted first, with a decoy for numbers that nobody has.

use hushbox_audit::{Event, EventName, Outcome, Who};
use hushbox_policy::{Pin, PinVerifier, Try};
use tokio::sync::oneshot;

use super::{Operator, OperatorError, numbered};
use crate::control::InTheNameOf;
use crate::decisions::PinCompared;
use crate::locks::Tried;
use crate::pin_pool::Comparison;
use crate::random;

/// A person whose PIN was right.
pub(super) struct Proved(pub(super) PinCompared);

impl Operator {
    /// Compares the PIN. What fails looks the same whatever was wrong.
    pub(super) async fn prove(&self, by: &InTheNameOf, uid: u32) -> Result<Proved, OperatorError> {
        let opening = self.services.opening.as_ref().ok_or(OperatorError::RecordOnly)?;
        let directory = self.services.directory();
        let person = numbered(&by.person, &directory)
            .and_then(|(accounts, number)| directory.person_by_number(&number, &accounts))
            .filter(|person| !person.disabled);
        // A PIN that cannot be one is compared like any other, so that it counts like any other.
        let pin = Pin::new(by.pin.expose())
            .or_else(|_| Pin::new("0"))
            .map_err(|_| OperatorError::WrongLogin)?;
        let fits = Pin::new(by.pin.expose()).is_ok();
        let attempt = Try::operator(person.map(|person| person.id), uid);
        let (sender, tried) = oneshot::channel();
        self.services.locks.count(
            attempt,
            Box::new(move |tried| {
                let _gone = sender.send(tried);
            }),
        );
        match tried.await.unwrap_or(Tried::Unavailable) {
            Tried::Counted => {}
            Tried::Locked(_) => {
                self.note(
                    EventName::AuthLock,
                    person.map(|person| person.id),
                    uid,
                    Outcome::Refused,
                );
                return Err(OperatorError::Locked);
            }
            Tried::Unavailable => return Err(OperatorError::Busy),
        }
        let verifier = person
            .map_or_else(|| PinVerifier::decoy(random::bytes()), |person| person.verifier.clone());
        let (sender, compared) = oneshot::channel();
        let done = Box::new(move |right| {
            let _gone = sender.send(right);
        });
        if opening.pins.submit(Comparison { pin, verifier, bound: false, done }).is_err() {
            let (sender, taken_back) = oneshot::channel();
            self.services.locks.success(
                attempt,
                Box::new(move |()| {
                    let _gone = sender.send(());
                }),
            );
            let _done = taken_back.await;
            return Err(OperatorError::Busy);
        }
        let right = compared.await.unwrap_or(false) && fits;
        match person.filter(|_| right) {
            Some(person) => {
                self.services.locks.success(attempt, Box::new(|()| ()));
                self.note(EventName::AuthOk, Some(person.id), uid, Outcome::Done);
                Ok(Proved(PinCompared::equal(person.id, uid)))
            }
            None => {
                self.note(
                    EventName::AuthFail,
                    person.map(|person| person.id),
                    uid,
                    Outcome::Refused,
                );
                Err(OperatorError::WrongLogin)
            }
        }
    }

    fn note(
        &self,
        name: EventName,
        person: Option<hushbox_policy::PersonId>,
        uid: u32,
        outcome: Outcome,
    ) {
        let mut event = Event::new(name, person.map_or(Who::Operator { uid }, Who::Person));
        event.uid = Some(uid);
        event.outcome = outcome;
        self.services.audit.note(event);
    }
}
