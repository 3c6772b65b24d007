//! Subscriptions as the application sees them (RFC 6665): what asks for one, what becomes of one, and what has to be
//! kept of one so that it survives a restart.

use crate::auth::Authorization;
use crate::invite::{CallIdHash, Headers, Invite, OwnedUri};
use crate::mwi::{CONTENT_TYPE, EVENT_PACKAGE};
use crate::rejection::Rejection;
use crate::transport::Flow;
use std::fmt;
use std::time::{Duration, Instant};

/// A subscription, from its SUBSCRIBE to its end. Never used twice in a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Subscription(pub u64);

/// A SUBSCRIBE to `message-summary` that passed every check that needs no identity: a new subscription, a refresh, a
/// poll or an end.
pub struct Subscribe {
    /// The request, as an INVITE would stand there: who and where are judged alike.
    pub request: Invite,
    /// Which subscription it goes on with; none begins one.
    pub subscription: Option<Subscription>,
    /// Whether it came from where the subscription did, or from the same identity. A new one never does.
    pub is_from_subscriber: bool,
    /// How long it is to last; zero asks for the state once, or ends it (RFC 6665 §4.1.2.3, §4.4.3).
    pub expires: Option<Duration>,
    /// Whether an Accept header field leaves us no body to send.
    pub refuses_summary: bool,
    /// To's URI: who the subscriber says it watches.
    pub to_uri: OwnedUri,
}

impl Subscribe {
    /// What must be refused once the subscriber is known and the mailbox found.
    pub fn after_authentication(&self, shortest: Duration) -> Option<Rejection> {
        let request = &self.request;
        if !request.unsupported.is_empty() {
            let tags = request.unsupported.join(", ");
            return Some(Rejection::new(420).with_header("Unsupported", &tags));
        }
        if self.refuses_summary {
            return Some(Rejection::new(406).with_header("Accept", CONTENT_TYPE));
        }
        // RFC 6665 §4.2.1.1: never zero, and nothing that lasts an hour is too brief.
        let too_brief = |asked: Duration| {
            !asked.is_zero() && asked < shortest && asked < Duration::from_secs(3600)
        };
        if self.expires.is_some_and(too_brief) {
            let min = shortest.as_secs().to_string();
            return Some(Rejection::new(423).with_header("Min-Expires", &min));
        }
        None
    }
}

impl fmt::Debug for Subscribe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscribe")
            .field("request", &self.request)
            .field("subscription", &self.subscription)
            .field("is_from_subscriber", &self.is_from_subscriber)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

/// Whether a NOTIFY went out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sending {
    /// It did: [`crate::Event::Notified`] or [`crate::Event::Unsubscribed`] follows.
    Sent,
    /// There is no way to the subscriber now; another try may find one, once it has connected again.
    NoWay,
    /// There is no such subscription.
    Gone,
}

/// How a NOTIFY was answered, where the subscription goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notified {
    /// With a success.
    Taken,
    /// With a failure that passes: again after this time.
    Later {
        /// The status.
        status: u16,
        /// How long its Retry-After asks to wait.
        after: Option<Duration>,
    },
}

/// How a subscription ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsubscribed {
    /// The subscriber ended it, or had asked for the state once.
    Asked,
    /// Nobody refreshed it.
    Expired,
    /// We ended it.
    Revoked,
    /// A NOTIFY was answered with this status, which says that the subscriber wants no more (RFC 6665 §4.2.2).
    Refused(u16),
    /// A NOTIFY was not answered.
    NoAnswer,
}

/// Why we end a subscription, as its last NOTIFY says (RFC 6665 §4.1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// It may not be watched any more.
    Rejected,
    /// What was watched is gone.
    NoResource,
    /// Subscribe again at once.
    Deactivated,
    /// It takes too much; subscribe again later.
    GiveUp,
}

impl EndReason {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            EndReason::Rejected => "rejected",
            EndReason::NoResource => "noresource",
            EndReason::Deactivated => "deactivated",
            EndReason::GiveUp => "giveup",
        }
    }
}

/// What is kept of a subscription: its dialog, and where its NOTIFYs went. Made by
/// [`crate::Endpoint::keep`], taken back by [`crate::Endpoint::restore`]. Its `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct KeptSubscription {
    /// Call-ID.
    pub call_id: Vec<u8>,
    /// From of our NOTIFYs, with our tag.
    pub local: Vec<u8>,
    /// To of our NOTIFYs, with the subscriber's tag.
    pub remote: Vec<u8>,
    /// Our tag.
    pub local_tag: Vec<u8>,
    /// The subscriber's tag.
    pub remote_tag: Vec<u8>,
    /// The Request-URI of our NOTIFYs.
    pub remote_target: Vec<u8>,
    /// The Record-Route values, in order.
    pub route_set: Vec<Vec<u8>>,
    /// The number of our last NOTIFY that is known.
    pub local_cseq: u32,
    /// The number of the last SUBSCRIBE.
    pub remote_cseq: u32,
    /// Whether everything in it stays on TLS.
    pub is_secure: bool,
    /// The Event header field's `id`.
    pub event_id: Option<Vec<u8>>,
    /// What it came over. Its connection is gone after a restart.
    pub flow: Flow,
    /// Where its requests came from: without `rport` another port than NOTIFYs go to.
    pub source: std::net::SocketAddr,
    /// Whose connection it came over, as [`crate::Endpoint::identify`] was told.
    pub identity: Option<u64>,
    /// When it ends.
    pub until: Instant,
}

impl fmt::Debug for KeptSubscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeptSubscription")
            .field("transport", &self.flow.transport)
            .field("routes", &self.route_set.len())
            .finish_non_exhaustive()
    }
}

/// The value of a NOTIFY's Event header field.
pub(crate) fn event_value(id: Option<&[u8]>) -> Vec<u8> {
    match id {
        Some(id) => [EVENT_PACKAGE.as_bytes(), b";id=", id].concat(),
        None => EVENT_PACKAGE.as_bytes().to_vec(),
    }
}

/// A subscribe-like request as tests and simulations begin with it.
impl Subscribe {
    /// A new subscription to this address, without anything else.
    pub fn new(flow: Flow, request_uri: OwnedUri) -> Self {
        Subscribe {
            to_uri: request_uri.clone(),
            request: Invite::new(flow, request_uri),
            subscription: None,
            is_from_subscriber: false,
            expires: None,
            refuses_summary: false,
        }
    }

    /// The credentials in it.
    pub fn authorization(&self) -> Option<&Authorization> {
        self.request.authorization.as_ref()
    }

    /// Stands for the Call-ID in logs.
    pub fn call_id_hash(&self) -> CallIdHash {
        self.request.call_id_hash
    }

    /// Its header fields.
    pub fn headers(&self) -> &Headers {
        &self.request.headers
    }
}
