//! Opaque ids. They may stand in logs; none of them says anything about a patient.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Error;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// A new id (RFC 9562 §5.7, version 7) from the time and random bytes of the caller.
            #[must_use]
            pub const fn from_parts(unix_ms: u64, random: [u8; 10]) -> Self {
                Self(uuid::Builder::from_unix_timestamp_millis(unix_ms, &random).into_uuid())
            }

            /// The id that a stored UUID stands for.
            #[must_use]
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The id's UUID.
            #[must_use]
            pub const fn as_uuid(&self) -> Uuid {
                self.0
            }

            /// The id that sixteen stored bytes stand for.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }

            /// The id as sixteen bytes, as formats and associated data hold it.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self, Error> {
                Uuid::try_parse(text).map(Self).map_err(|_| Error::Id)
            }
        }
    )*};
}

ids! {
    /// An account: the tenant that persons, mailboxes, devices and grants belong to.
    AccountId;
    /// A mailbox of an account.
    MailboxId;
    /// A person: who hears, acts and answers for it.
    PersonId;
    /// A telephone that proves itself by digest or certificate, or an extension that a trunk asserts.
    DeviceId;
    /// A PBX or provider that proves itself by certificate.
    TrunkId;
    /// Another name of a mailbox: a number that reaches it from outside.
    AliasId;
    /// A dated grant that opens a mailbox to a person.
    GrantId;
    /// A message.
    MessageId;
    /// A log-in of a person, from its first factor to log-off.
    SessionId;
    /// A server process with a data folder and a log of its own.
    NodeId;
    /// A call, as logs name it. It has nothing of the SIP Call-ID.
    CallId;
    /// A subscription to how many messages a mailbox has.
    SubscriptionId;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_from_its_text_and_its_bytes() {
        let id = MessageId::from_parts(1_700_000_000_000, [7; 10]);
        assert_eq!(id.to_string().parse::<MessageId>(), Ok(id));
        assert_eq!(MessageId::from_bytes(*id.as_bytes()), id);
        assert_eq!(id.as_uuid().get_version_num(), 7);
    }

    #[test]
    fn ids_sort_by_the_time_they_were_made() {
        assert!(CallId::from_parts(1, [255; 10]) < CallId::from_parts(2, [0; 10]));
    }

    #[test]
    fn text_that_is_no_uuid_is_refused() {
        assert_eq!("1001".parse::<MailboxId>(), Err(Error::Id));
    }
}
