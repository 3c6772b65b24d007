//! What the endpoint tells the application.

use crate::invite::{Elsewhere, Invite};
use crate::outgoing::{Response, Undelivered};
use crate::retargeting::ReasonCause;
use crate::subscription::{Notified, Subscribe, Subscription, Unsubscribed};
use crate::transport::Flow;
use bytes::Bytes;
use std::fmt;

/// A call, from its INVITE to its end. Never used twice in a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Session(pub u64);

/// A usage of a dialog in which we send requests (RFC 5057 §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Usage {
    /// A call.
    Session(Session),
    /// A subscription.
    Subscription(Subscription),
}

impl From<Session> for Usage {
    fn from(session: Session) -> Self {
        Usage::Session(session)
    }
}

impl From<Subscription> for Usage {
    fn from(subscription: Subscription) -> Self {
        Usage::Subscription(subscription)
    }
}

/// A request inside a dialog that waits for the application's answer, or one of ours that waits for
/// the peer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(pub u64);

/// Something happened to a session. [`Event::Terminated`] is always the last of a session and comes
/// exactly once; commands for a session that is over do nothing.
pub enum Event {
    /// A call came in; `100 Trying` is on its way. Answer with [`crate::Endpoint::answer`],
    /// [`crate::Endpoint::reject`] or [`crate::Endpoint::challenge`].
    Invite {
        /// The new session.
        session: Session,
        /// What was asked.
        invite: Box<Invite>,
    },
    /// The caller gave up before the answer: 487 was sent.
    Cancelled {
        /// The session.
        session: Session,
        /// Why, as far as the caller says (RFC 3326).
        cause: Option<ReasonCause>,
    },
    /// The ACK of the 200 arrived: media may start. It comes again for a re-INVITE that carried no
    /// offer, since then the ACK carries the answer to ours.
    Acknowledged {
        /// The session.
        session: Session,
        /// The SDP answer, where the 200 carried our offer; `None` there is a peer's fault.
        answer: Option<Bytes>,
    },
    /// A re-INVITE (or UPDATE with an offer) asks to change the session. Answer with
    /// [`crate::Endpoint::answer_reinvite`] or [`crate::Endpoint::reject_reinvite`].
    Reinvite {
        /// The session.
        session: Session,
        /// Which request is to be answered.
        request: RequestId,
        /// The SDP offer; `None` asks for ours.
        offer: Option<Bytes>,
        /// What it came over.
        flow: Flow,
    },
    /// A re-INVITE of ours, which refreshes the session, was answered with this.
    Refreshed {
        /// The session.
        session: Session,
        /// The SDP answer; `None` where it can't be read.
        answer: Option<Bytes>,
    },
    /// A request inside the session's dialog came neither from its connection nor from another one
    /// of its identity. Answer with [`crate::Endpoint::admit_elsewhere`],
    /// [`crate::Endpoint::challenge_elsewhere`], [`crate::Endpoint::refuse_elsewhere`] or
    /// [`crate::Endpoint::discard_elsewhere`]; it can outlast its session.
    Elsewhere {
        /// The session.
        session: Session,
        /// Which request is to be answered.
        id: RequestId,
        /// What it shows of its sender.
        request: Box<Elsewhere>,
    },
    /// The caller hung up; 200 was sent.
    Bye {
        /// The session.
        session: Session,
        /// Why, as far as the caller says (RFC 3326).
        cause: Option<ReasonCause>,
    },
    /// The session broke.
    Failed {
        /// The session.
        session: Session,
        /// How.
        failure: Failure,
    },
    /// A request of ours outside of the calls has its final response: of the last destination that
    /// gave one, where all were unavailable.
    Answered {
        /// Which request.
        request: RequestId,
        /// What was answered.
        response: Box<Response>,
    },
    /// No destination has answered a request of ours outside of the calls.
    Unanswered {
        /// Which request.
        request: RequestId,
        /// Why, of the last destination.
        why: Undelivered,
    },
    /// A SUBSCRIBE came in. Answer with [`crate::Endpoint::accept_subscribe`],
    /// [`crate::Endpoint::reject_subscribe`] or [`crate::Endpoint::challenge_subscribe`].
    Subscribe {
        /// Which request is to be answered.
        request: RequestId,
        /// What was asked.
        subscribe: Box<Subscribe>,
    },
    /// A NOTIFY was answered, and the subscription goes on.
    Notified {
        /// The subscription.
        subscription: Subscription,
        /// How it was answered.
        how: Notified,
    },
    /// A subscription was not refreshed in time: [`crate::Endpoint::notify`] tells it the last state.
    SubscriptionEnding {
        /// The subscription.
        subscription: Subscription,
    },
    /// There is a request to send inside a session's dialog, and no connection to the peer.
    /// [`crate::Endpoint::connect_to`] must follow: with where the next hop is, or with nothing.
    NoWay {
        /// The session.
        session: Session,
    },
    /// Whether there is a way to a peer that [`crate::Endpoint::connect_to`] was asked to reach.
    Reached {
        /// Whose peer it is.
        usage: Usage,
        /// Whether there is one; without, none of the destinations took a connection.
        found: bool,
    },
    /// A subscription is over: always its last event, and exactly once.
    Unsubscribed {
        /// The subscription.
        subscription: Subscription,
        /// How it ended.
        how: Unsubscribed,
    },
    /// Nothing is left of the session but transactions that run out by themselves.
    Terminated {
        /// The session.
        session: Session,
    },
}

/// How a session broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Failure {
    /// No ACK came for 64*T1; a BYE was sent (RFC 3261 §13.3.1.4).
    NoAck,
    /// Its connection closed, and nothing says that another belongs to the same peer.
    ConnectionLost,
    /// Our BYE was never answered.
    ByeTimeout,
    /// The session timer ran out without a refresh; a BYE was sent (RFC 4028 §10).
    SessionExpired,
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, session) = match self {
            Event::Invite { session, .. } => ("Invite", session),
            Event::Cancelled { session, .. } => ("Cancelled", session),
            Event::Acknowledged { session, .. } => ("Acknowledged", session),
            Event::Reinvite { session, .. } => ("Reinvite", session),
            Event::Refreshed { session, .. } => ("Refreshed", session),
            Event::Elsewhere { session, .. } => ("Elsewhere", session),
            Event::Bye { session, .. } => ("Bye", session),
            Event::Failed { session, failure } => {
                return write!(f, "Failed({}, {failure:?})", session.0);
            }
            Event::Terminated { session } => ("Terminated", session),
            Event::Answered { request, response } => {
                return write!(f, "Answered({}, {})", request.0, response.status);
            }
            Event::Unanswered { request, why } => {
                return write!(f, "Unanswered({}, {why:?})", request.0);
            }
            Event::Subscribe { request, .. } => return write!(f, "Subscribe({})", request.0),
            Event::Notified { subscription, how } => {
                return write!(f, "Notified({}, {how:?})", subscription.0);
            }
            Event::SubscriptionEnding { subscription } => {
                return write!(f, "SubscriptionEnding({})", subscription.0);
            }
            Event::NoWay { session } => ("NoWay", session),
            Event::Reached { usage, found } => return write!(f, "Reached({usage:?}, {found})"),
            Event::Unsubscribed { subscription, how } => {
                return write!(f, "Unsubscribed({}, {how:?})", subscription.0);
            }
        };
        write!(f, "{name}({})", session.0)
    }
}
