//! A look at what comes in, for counters and traces.

use crate::error::ParseError;
use crate::invite::CallIdHash;
use crate::message::Message;
use crate::transport::Flow;

/// Is shown every message that comes in, before anything is made of it. It changes nothing: what goes out is seen
/// where it is sent.
pub trait Tap: Send {
    /// A message came. `begins` is there for an INVITE outside of any dialog: what stands for its Call-ID.
    fn received(&mut self, flow: Flow, message: &Message<'_>, begins: Option<CallIdHash>);

    /// What came is no message.
    fn malformed(&mut self, flow: Flow, error: ParseError);
}
