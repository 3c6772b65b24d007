//! Event, Subscription-State and Expires (RFC 6665 §8.2, RFC 3261 §20.19).

use super::lex::{self, Cursor};
use super::params::Params;
use std::time::Duration;

/// An Event header field: a package and its parameters.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct EventPackage<'a> {
    package: &'a [u8],
    id: Option<&'a [u8]>,
}

impl<'a> EventPackage<'a> {
    /// Parses a header field's value.
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        let mut cursor = Cursor::new(value);
        cursor.skip_lws();
        // A template (`presence.winfo`) is part of the token: a dot is a token character.
        let package = cursor.token()?;
        let params = Params::parse(&mut cursor)?;
        cursor.at_end().then_some(EventPackage { package, id: params.get("id") })
    }

    /// Whether it is this package. Package names compare by octets (RFC 6665 §8.2.1).
    pub fn is(&self, package: &str) -> bool {
        self.package == package.as_bytes()
    }

    /// The `id` parameter, which tells subscriptions of one dialog apart and stands in each NOTIFY
    /// (RFC 6665 §4.5.2).
    pub fn id(&self) -> Option<&'a [u8]> {
        self.id
    }
}

/// A Subscription-State header field (RFC 6665 §8.2.3), as a subscriber reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubscriptionState<'a> {
    /// `active`, `pending`, `terminated` or something else.
    pub state: &'a [u8],
    /// Why it ended.
    pub reason: Option<&'a [u8]>,
    /// How long it still lasts.
    pub expires: Option<Duration>,
}

impl<'a> SubscriptionState<'a> {
    /// Parses a header field's value.
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        let mut cursor = Cursor::new(value);
        cursor.skip_lws();
        let state = cursor.token()?;
        let params = Params::parse(&mut cursor)?;
        let expires = match params.get("expires") {
            Some(value) => Some(delta_seconds(value)?),
            None => None,
        };
        cursor.at_end().then_some(SubscriptionState {
            state,
            reason: params.get("reason"),
            expires,
        })
    }
}

/// `delta-seconds`; more than fits is as much as fits (RFC 3261 §20.19).
pub(crate) fn delta_seconds(value: &[u8]) -> Option<Duration> {
    let value = lex::trim(value);
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let most = u64::from(u32::MAX);
    Some(Duration::from_secs(lex::number(value, most).unwrap_or(most)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_has_a_name_and_perhaps_an_id() {
        let read = |text: &'static str| EventPackage::parse(text.as_bytes());
        let plain = read("message-summary").expect("an event");
        assert!(plain.is("message-summary"));
        assert_eq!(plain.id(), None);
        let with_id = read(" message-summary ; id=7;x ").expect("an event");
        assert_eq!(with_id.id(), Some(&b"7"[..]));
        assert!(!read("presence.winfo").expect("an event").is("presence"));
        for text in ["", ";id=1", "a b", "message-summary;", "message-summary, presence"] {
            assert!(read(text).is_none(), "{text:?}");
        }
    }

    #[test]
    fn a_subscription_state_is_read_whole() {
        let read = |text: &'static str| SubscriptionState::parse(text.as_bytes());
        let active = read("active;expires=3600").expect("a state");
        assert_eq!(
            (active.state, active.expires),
            (&b"active"[..], Some(Duration::from_secs(3600)))
        );
        let over = read("terminated ;reason=timeout").expect("a state");
        assert_eq!((over.state, over.reason), (&b"terminated"[..], Some(&b"timeout"[..])));
        assert_eq!(read("active;expires=soon"), None);
        assert_eq!(read(""), None);
    }

    #[test]
    fn too_many_seconds_are_as_many_as_fit() {
        assert_eq!(delta_seconds(b" 3600 "), Some(Duration::from_secs(3600)));
        assert_eq!(
            delta_seconds(b"99999999999999999999999"),
            Some(Duration::from_secs(0xffff_ffff))
        );
        assert_eq!(delta_seconds(b"-1"), None);
        assert_eq!(delta_seconds(b""), None);
    }
}
