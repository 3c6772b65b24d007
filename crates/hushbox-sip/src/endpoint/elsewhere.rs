//! Requests inside a dialog that come neither from its connection nor from another one that is known to be its peer's:
//! the application says whose they are.

use super::Endpoint;
use super::receive::Incoming;
use crate::auth::Challenge;
use crate::event::{Event, RequestId, Session};
use crate::invite::{CallIdHash, Elsewhere, OwnedUri};
use crate::limits;
use crate::message::{Draft, StartLine};
use crate::rejection::Rejection;
use crate::transaction::Key;
use crate::transport::Flow;
use bytes::Bytes;
use std::time::Instant;

/// A request that waits for the application's word. It is kept as it came, and read again then.
pub(super) struct Waiting {
    transaction: Key,
    flow: Flow,
    bytes: Bytes,
}

/// What the application says of such a request.
enum Answer<'a> {
    Admit,
    Refuse(&'a Rejection),
}

impl Endpoint {
    /// Asks the application whose this request is.
    pub(super) fn ask_whose(&mut self, incoming: &Incoming<'_>, session: Session) {
        // A repetition while the first one waits.
        if self.elsewhere.values().any(|waiting| waiting.transaction == incoming.key) {
            return;
        }
        if self.elsewhere.len() >= limits::MAX_ELSEWHERE {
            return self.refuse(incoming, &Rejection::new(481));
        }
        self.next_id += 1;
        let id = RequestId(self.next_id);
        let waiting = Waiting {
            transaction: incoming.key,
            flow: incoming.flow,
            bytes: Bytes::copy_from_slice(incoming.bytes),
        };
        self.elsewhere.insert(id, waiting);
        let request = Elsewhere {
            flow: incoming.flow,
            call_id_hash: CallIdHash(self.keys.call_id_hash(incoming.message.call_id())),
            method: String::from_utf8_lossy(incoming.request.method.text()).into_owned(),
            request_uri: OwnedUri::from(&incoming.request.uri),
            authorization: self.authorization(incoming.message),
        };
        self.emit(Event::Elsewhere { session, id, request: Box::new(request) });
    }

    /// The request is the peer's: it counts, and what we send goes there from now on.
    pub fn admit_elsewhere(&mut self, now: Instant, id: RequestId) {
        self.fire_timers(now);
        self.answer_elsewhere(now, id, &Answer::Admit);
    }

    /// The request is not the peer's.
    pub fn refuse_elsewhere(&mut self, now: Instant, id: RequestId, rejection: &Rejection) {
        self.fire_timers(now);
        self.answer_elsewhere(now, id, &Answer::Refuse(rejection));
    }

    /// The request must first show whose it is: 401 and these challenges.
    pub fn challenge_elsewhere(&mut self, now: Instant, id: RequestId, challenges: &[Challenge]) {
        self.refuse_elsewhere(now, id, &Rejection::challenge(challenges));
    }

    /// Drops the request without a word: for a flood that is not worth one.
    pub fn discard_elsewhere(&mut self, id: RequestId) {
        self.elsewhere.remove(&id);
    }

    fn answer_elsewhere(&mut self, now: Instant, id: RequestId, answer: &Answer<'_>) {
        let Some(Waiting { flow, bytes, .. }) = self.elsewhere.remove(&id) else { return };
        let Ok(mut draft) = Draft::read(&bytes) else { return };
        let Ok(message) = draft.check() else { return };
        let StartLine::Request(request) = message.start() else { return };
        let incoming = self.incoming(now, flow, &bytes, &message, request);
        match answer {
            Answer::Refuse(rejection) => self.refuse(&incoming, rejection),
            Answer::Admit => match self.find_dialog(&incoming) {
                Some(session) => self.handle_from_peer(&incoming, session),
                // It has ended in the meantime.
                None => self.refuse(&incoming, &Rejection::new(481)),
            },
        }
    }
}
