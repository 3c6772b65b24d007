//! What is kept of a subscription to a mailbox's state, so that a lamp goes on shining after a restart.
//!
//! It is no part of the directory: telephones make and end subscriptions themselves, all day.

use std::fmt;

use hushbox_policy::{MailboxId, SubscriptionId};
use jiff::Timestamp;

use crate::directory::CertificateOwner;

/// A subscription. Its `Debug` does not show the dialog, which has addresses in it.
#[derive(Clone, PartialEq, Eq)]
pub struct SubscriptionRow {
    /// Its id.
    pub id: SubscriptionId,
    /// Whose state it is about.
    pub mailbox: MailboxId,
    /// Who subscribed.
    pub owner: CertificateOwner,
    /// When it ends, if it is not refreshed.
    pub expires: Timestamp,
    /// Its dialog, as signalling keeps it: at most [`crate::limits::SUBSCRIPTION_BYTES_MAX`].
    pub dialog: Vec<u8>,
}

impl fmt::Debug for SubscriptionRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SubscriptionRow")
            .field("id", &self.id)
            .field("mailbox", &self.mailbox)
            .field("owner", &self.owner)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use hushbox_policy::DeviceId;

    use super::*;

    #[test]
    fn debug_shows_no_dialog() {
        let row = SubscriptionRow {
            id: SubscriptionId::from_bytes([1; 16]),
            mailbox: MailboxId::from_bytes([2; 16]),
            owner: CertificateOwner::Device(DeviceId::from_bytes([3; 16])),
            expires: Timestamp::UNIX_EPOCH,
            dialog: b"sip:jane@192.0.2.1".to_vec(),
        };
        let bytes = format!("{:?}", row.dialog);
        let printed = format!("{row:?}");
        assert!(!printed.contains("jane") && !printed.contains(&bytes), "{printed}");
    }
}
