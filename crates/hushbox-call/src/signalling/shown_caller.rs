//! What a person is told of a caller: the number and the name.

use hushbox_policy::{CallerName, CallerNumber};
use hushbox_sip::message::uri::Scheme;
use hushbox_sip::{AssertedIdentity, Invite, withholds_identity};

use super::Signalling;
use crate::setup::Caller;

impl Signalling {
    /// The number and the name of who calls; none of what the caller withholds.
    ///
    /// A trunk's word counts before From (RFC 3325 §5), unless its password is all that is known of it. A telephone
    /// asserts nothing.
    pub(super) fn shown_caller(
        &self,
        invite: &Invite,
        caller: Caller,
    ) -> (Option<CallerNumber>, Option<CallerName>) {
        let asserts = match caller {
            Caller::Trunk(_) => !self.is_by_digest(caller),
            Caller::Device(_) => false,
        };
        shown_caller(invite, asserts)
    }
}

/// The same. Of two asserted identities the `tel:` one has the number as it is dialled.
fn shown_caller(invite: &Invite, asserts: bool) -> (Option<CallerNumber>, Option<CallerName>) {
    if withholds_identity(&invite.headers) {
        return (None, None);
    }
    let asserted = if asserts { AssertedIdentity::all(&invite.headers) } else { Vec::new() };
    let tel = asserted.iter().find(|identity| identity.uri.scheme() == Scheme::Tel);
    // RFC 3323 §4.1.1.3: this name is nobody's.
    let given = |text: &&str| !text.is_empty() && !text.eq_ignore_ascii_case("anonymous");
    let number = tel.or(asserted.first()).and_then(|identity| identity.uri.user()).filter(given);
    let number = number.or(invite.from_user.as_deref().filter(given));
    let name = asserted.iter().find_map(|identity| identity.display.as_deref()).filter(given);
    let name = name.or(invite.from_display.as_deref().filter(given));
    (
        number.and_then(|number| CallerNumber::new(number).ok()),
        name.and_then(|name| CallerName::new(name).ok()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use hushbox_sip::{Flow, Headers, OwnedUri, Transport};

    fn shown(asserts: bool, from: (&str, &str), fields: &[(&str, &str)]) -> (String, String) {
        let at = "192.0.2.1:5061".parse().unwrap();
        let flow = Flow { transport: Transport::Udp, local: at, remote: at, connection: None };
        let mut invite = Invite::new(flow, OwnedUri::parse("sip:1001@clinic.example").unwrap());
        invite.from_user = Some(from.0.to_owned());
        invite.from_display = Some(from.1.to_owned());
        let field = |(name, value): &(&str, &str)| {
            ((*name).to_owned(), Bytes::copy_from_slice(value.as_bytes()))
        };
        invite.headers = Headers::new(fields.iter().map(field).collect());
        let (number, name) = shown_caller(&invite, asserts);
        let text = |text: Option<&str>| text.unwrap_or("-").to_owned();
        (
            text(number.as_ref().map(CallerNumber::expose)),
            text(name.as_ref().map(CallerName::expose)),
        )
    }

    const PAI: &str = "P-Asserted-Identity";
    const JANE: (&str, &str) = ("1005", "Jane");

    fn is(number: &str, name: &str) -> (String, String) {
        (number.to_owned(), name.to_owned())
    }

    #[test]
    fn a_trunk_says_who_calls() {
        assert_eq!(shown(true, JANE, &[]), is("1005", "Jane"));
        let both = "\"Dr. Major\" <sip:mmajor@pbx>, <tel:+1-555-555-1234>";
        assert_eq!(shown(true, JANE, &[(PAI, both)]), is("+15555551234", "Dr. Major"));
        let one = [(PAI, "<sip:4930@pbx>")];
        assert_eq!(shown(true, ("anonymous", "Anonymous"), &one), is("4930", "-"));
        assert_eq!(shown(true, JANE, &[(PAI, "broken <")]), is("1005", "Jane"));
    }

    #[test]
    fn who_withholds_it_is_not_shown() {
        for privacy in ["id", "user;critical"] {
            let fields = [(PAI, "\"Jane\" <sip:4930@pbx>"), ("Privacy", privacy)];
            assert_eq!(shown(true, JANE, &fields), is("-", "-"), "{privacy}");
        }
        assert_eq!(shown(true, JANE, &[("Privacy", "none")]), is("1005", "Jane"));
        assert_eq!(shown(true, ("anonymous", ""), &[]), is("-", "-"));
    }

    #[test]
    fn a_telephone_and_a_trunk_with_a_password_assert_nothing() {
        let forged = [(PAI, "\"The Director\" <tel:+15550000001>")];
        assert_eq!(shown(false, JANE, &forged), is("1005", "Jane"));
    }
}
