//! What a registrar's answer says about our binding (RFC 3261 §10.2.4, §10.2.8, RFC 5626 §5.4).

use crate::invite::Headers;
use crate::limits;
use crate::message::address::{Address, addresses};
use crate::message::lex;
use std::time::Duration;

/// For how long we are bound. `None` if others are, and we are not.
pub(super) fn granted(
    headers: &Headers,
    user: &str,
    instance: &str,
    asked: Duration,
) -> Option<Duration> {
    let contacts: Vec<_> =
        headers.all("Contact").flat_map(addresses).flatten().take(limits::MAX_CONTACTS).collect();
    let wanted = lex::unescape_text(user.as_bytes());
    let is_ours = |contact: &&Address<'_>| {
        let named = contact.params().get("+sip.instance").map(lex::unquote);
        let is_other_instance = named.is_some_and(|named| {
            let bare = named.strip_prefix(b"<").and_then(|n| n.strip_suffix(b">"));
            !bare.unwrap_or(&named).eq_ignore_ascii_case(instance.as_bytes())
        });
        !is_other_instance && contact.uri().user().as_deref() == Some(&*wanted)
    };
    let header = headers.first("Expires").and_then(seconds);
    let ours: Vec<_> = contacts.iter().filter(is_ours).collect();
    // Some registrars do not list what they have bound.
    if ours.is_empty() && !contacts.is_empty() {
        return None;
    }
    let of_contact = |contact: &Address<'_>| contact.params().get("expires").and_then(seconds);
    let longest = ours.iter().filter_map(|contact| of_contact(contact)).max();
    let granted = longest.or(header).unwrap_or(asked);
    (!granted.is_zero()).then_some(granted.min(limits::MAX_EXPIRES))
}

/// RFC 3261 §20.23.
pub(super) fn min_expires(headers: &Headers) -> Option<Duration> {
    headers.first("Min-Expires").and_then(seconds).filter(|min| *min <= limits::MAX_EXPIRES)
}

/// RFC 5626 §5.4, §11: how long the registrar waits for a sign of life. None says that it does not
/// know of flows; that it does and names no time leaves ours.
pub(super) fn flow_timer(headers: &Headers) -> Option<Duration> {
    let timer = headers.first("Flow-Timer").and_then(seconds).filter(|timer| !timer.is_zero());
    let requires = headers
        .all("Require")
        .flat_map(|value| value.split(|b| *b == b','))
        .any(|tag| lex::trim(tag).eq_ignore_ascii_case(b"outbound"));
    timer.or_else(|| requires.then_some(limits::MAX_EXPIRES))
}

fn seconds(text: &[u8]) -> Option<Duration> {
    lex::number(lex::trim(text), u64::from(u32::MAX)).map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    const ASKED: Duration = Duration::from_secs(600);
    const OURS: &str = "urn:uuid:00000000-0000-4000-8000-000000000001";

    fn headers(fields: &[(&str, &str)]) -> Headers {
        let owned = |(name, value): &(&str, &str)| {
            ((*name).to_owned(), Bytes::copy_from_slice(value.as_bytes()))
        };
        Headers::new(fields.iter().map(owned).collect())
    }

    fn granted_secs(fields: &[(&str, &str)]) -> Option<u64> {
        granted(&headers(fields), "*97", OURS, ASKED).map(|d| d.as_secs())
    }

    #[test]
    fn our_own_contact_says_how_long_and_others_do_not() {
        let contact = "<sip:9@h>;expires=3600, <sip:%2A97@vm;transport=tls>;expires=300";
        assert_eq!(granted_secs(&[("Contact", contact), ("Expires", "60")]), Some(300));
        assert_eq!(granted_secs(&[("Contact", "<sip:*97@vm>"), ("Expires", "60")]), Some(60));
        assert_eq!(granted_secs(&[("Contact", "<sip:*97@vm>")]), Some(600));
        assert_eq!(granted_secs(&[]), Some(600), "one that lists nothing");
        assert_eq!(granted_secs(&[("Contact", "<sip:9@h>;expires=3600")]), None, "not ours");
        assert_eq!(granted_secs(&[("Contact", "<sip:*97@vm>;expires=0")]), None);
        let other = "<sip:*97@vm2>;expires=9;+sip.instance=\"<urn:uuid:2>\"";
        assert_eq!(granted_secs(&[("Contact", other)]), None, "another server's");
        let mine = format!("<sip:*97@vm>;+sip.instance=\"<{OURS}>\";expires=77");
        assert_eq!(granted_secs(&[("Contact", &format!("{other}, {mine}"))]), Some(77));
        assert_eq!(granted_secs(&[("Contact", "<sip:*97@vm>;expires=4000000000")]), Some(86_400));
    }

    #[test]
    fn times_are_read_and_absurd_ones_bounded() {
        let min = |value| min_expires(&headers(&[("Min-Expires", value)])).map(|d| d.as_secs());
        assert_eq!(min(" 1800 "), Some(1_800));
        assert_eq!(min("4000000000"), None);
    }

    #[test]
    fn a_registrar_that_knows_of_flows_says_so() {
        assert_eq!(flow_timer(&headers(&[])), None);
        let named = headers(&[("Flow-Timer", "30"), ("Require", "outbound")]);
        assert_eq!(flow_timer(&named), Some(Duration::from_secs(30)));
        assert!(flow_timer(&headers(&[("Require", "gruu, Outbound")])).is_some());
    }
}
