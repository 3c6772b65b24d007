//! A message that was asked for and cannot be given out: one line in the log and one metric, wherever it was met. What
//! the audit log has of it is written by whoever met it.

use std::fmt;

use hushbox_policy::MessageId;

use crate::metrics;

/// Says it. `damaged`: the message itself is not what was recorded, or is gone; else it can't be read now.
pub fn say(id: MessageId, damaged: bool, why: &dyn fmt::Display) {
    metrics::message_unplayable(damaged);
    if damaged {
        tracing::error!(%id, %why, "a message is damaged or gone: docs/operations.md says what to do");
    } else {
        tracing::error!(%id, %why, "a message cannot be read now");
    }
}
