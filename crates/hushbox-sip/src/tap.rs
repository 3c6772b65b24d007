//! A look at what comes in, for counters and traces.

use crate::error::ParseError;
use crate::invite::CallIdHash;
use crate::message::Message;
use crate::transport::Flow;

/// Why the endpoint itself had no room for a request that begins something new: the application never saw it, but for
/// a subscription's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Overflow {
    /// Too many from one source in a second.
    Source,
    /// As many sessions as there may be.
    Sessions,
    /// As many transactions as there may be.
    Transactions,
    /// As many subscriptions as there may be.
    Subscriptions,
}

impl Overflow {
    /// Every one.
    pub const ALL: [Self; 4] =
        [Self::Source, Self::Sessions, Self::Transactions, Self::Subscriptions];

    /// Its stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Sessions => "sessions",
            Self::Transactions => "transactions",
            Self::Subscriptions => "subscriptions",
        }
    }
}

/// Is shown every message that comes in, before anything is made of it. It changes nothing: what goes out is seen
/// where it is sent.
pub trait Tap: Send {
    /// A message came. `begins` is there for an INVITE outside of any dialog: what stands for its Call-ID.
    fn received(&mut self, flow: Flow, message: &Message<'_>, begins: Option<CallIdHash>);

    /// What came is no message.
    fn malformed(&mut self, flow: Flow, error: ParseError);

    /// There was no room for what came: it gets 503, or nothing where its source may be forged.
    fn refused(&mut self, flow: Flow, why: Overflow);
}
