//! Who a trusted peer says is calling (RFC 3325), and whether the caller wants that shown (RFC 3323).
//!
//! Parsers only: whose word counts is the application's.

use crate::invite::{Headers, OwnedUri};
use crate::limits;
use crate::message::address::addresses;
use crate::message::lex;
use std::fmt;

/// A value of P-Asserted-Identity.
#[derive(Clone, PartialEq, Eq)]
pub struct AssertedIdentity {
    /// A `sip:`, `sips:` or `tel:` URI.
    pub uri: OwnedUri,
    /// The name beside it.
    pub display: Option<String>,
}

impl AssertedIdentity {
    /// What is asserted, in order: RFC 3325 §9.1 knows two at most, one `sip:` or `sips:` and one `tel:`. A value that is
    /// broken ends its line.
    pub fn all(headers: &Headers) -> Vec<Self> {
        let values = headers.all("P-Asserted-Identity");
        let read = values.flat_map(|value| addresses(value).map_while(|address| address));
        read.take(limits::MAX_ASSERTED_IDENTITIES)
            .map(|address| AssertedIdentity {
                uri: OwnedUri::from(&address.uri()),
                display: address.display().map(|name| name.into_owned()),
            })
            .collect()
    }
}

/// A name and a number say who calls.
impl fmt::Debug for AssertedIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AssertedIdentity({:?}, …)", self.uri.scheme())
    }
}

/// Whether Privacy asks that the person who is called is not told who calls: `id` (RFC 3325 §9.3) or `user` (RFC 3323
/// §4.2). `header` and `session` are for those on the way, and `none` asks for nothing.
pub fn withholds_identity(headers: &Headers) -> bool {
    let values = headers.all("Privacy").flat_map(|value| value.split(|b| matches!(b, b';' | b',')));
    values.map(lex::trim).any(|value| {
        [&b"id"[..], b"user"].iter().any(|withheld| value.eq_ignore_ascii_case(withheld))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn headers(name: &str, lines: &[&str]) -> Headers {
        let fields = lines.iter().map(|line| (name.to_owned(), Bytes::from(line.to_string())));
        Headers::new(fields.collect())
    }

    fn asserted(lines: &[&str]) -> Vec<String> {
        AssertedIdentity::all(&headers("P-Asserted-Identity", lines))
            .iter()
            .map(|identity| {
                let user = identity.uri.user().unwrap_or("nobody");
                format!("{} {user}", identity.display.as_deref().unwrap_or("-"))
            })
            .collect()
    }

    #[test]
    fn both_identities_are_read_on_one_line_or_two() {
        let expected = ["Cullen Jennings fluffy", "- +14085264000"];
        let sip = "\"Cullen Jennings\" <sip:fluffy@cisco.com>";
        assert_eq!(asserted(&[sip, "tel:+14085264000"]), expected);
        assert_eq!(asserted(&[&format!("{sip}, <tel:+1-408-526-4000>")]), expected);
        assert_eq!(asserted(&["sip:1001@pbx", "sip:a@b", "tel:1"]).len(), 2);
    }

    #[test]
    fn what_is_broken_costs_its_own_line_only() {
        assert_eq!(asserted(&["\"a <sip:a@b>", "<sip:1001@pbx>, junk junk"]), ["- 1001"]);
        assert!(asserted(&["", ",", "<>"]).is_empty());
        assert!(asserted(&[]).is_empty());
    }

    #[test]
    fn id_and_user_withhold_and_the_rest_does_not() {
        for (value, withheld) in [
            ("id", true),
            ("ID;critical", true),
            ("header; user", true),
            ("none", false),
            ("header;session;history", false),
            ("identity", false),
            ("", false),
        ] {
            assert_eq!(withholds_identity(&headers("Privacy", &[value])), withheld, "{value}");
        }
    }

    #[test]
    fn nothing_of_an_identity_is_printed() {
        let identity =
            &AssertedIdentity::all(&headers("P-Asserted-Identity", &["Mary <sip:m@h>"]))[0];
        assert_eq!(format!("{identity:?}"), "AssertedIdentity(Sip, …)");
    }
}
