//! How a call came here: `target` and `cause` in a URI (RFC 4458, RFC 8119), History-Info (RFC 7044,
//! and RFC 4244's form), Diversion (RFC 5806).
//!
//! Parsers only: which of them counts, and for whom, is the application's. A value that is broken is
//! an [`Unreadable`] in its place, and the ones beside it are read all the same: these header fields
//! are older than their standards, and one bad writer on the way must not cost the others' words.

mod diversion;
mod history_info;
mod item;
mod voicemail_uri;

pub use diversion::{Diversion, DiversionReason};
pub use history_info::{HistoryEntry, HistoryIndex, Retargeting};
pub use voicemail_uri::{Target, VoicemailUri};

use crate::message::Message;
use crate::message::name::Name;
use std::fmt;

/// A value of a list that breaks the grammar, or goes beyond a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable;

/// Why a call was retargeted or ended, as a `Reason` says it (RFC 3326 §2): a number, and no text of
/// the peer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReasonCause {
    /// A SIP status.
    Sip(u16),
    /// A cause of ITU-T Q.850.
    Q850(u16),
}

impl fmt::Display for ReasonCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReasonCause::Sip(cause) => write!(f, "SIP {cause}"),
            ReasonCause::Q850(cause) => write!(f, "Q.850 {cause}"),
        }
    }
}

impl ReasonCause {
    /// What a CANCEL says when somebody else took the call (RFC 3326 §3.1).
    pub const COMPLETED_ELSEWHERE: Self = ReasonCause::Sip(200);

    /// The cause that a message's Reason header fields give.
    pub(crate) fn of_message(message: &Message<'_>) -> Option<Self> {
        let causes = message.values(Name::Reason).filter_map(Self::of);
        // As on one line: the SIP one, where there are several.
        causes.min_by_key(|cause| matches!(cause, ReasonCause::Q850(_)))
    }

    /// The cause of a Reason value: the SIP one, where there are several.
    fn of(value: &[u8]) -> Option<Self> {
        let mut best = None;
        for item in item::split(value, b',') {
            let mut parts = item::split(item, b';').map(crate::message::lex::trim);
            let protocol = parts.next().unwrap_or_default();
            let cause = parts.find_map(|part| {
                let mut halves = part.splitn(2, |b| *b == b'=');
                let name = crate::message::lex::trim(halves.next().unwrap_or_default());
                let value = crate::message::lex::trim(halves.next()?);
                let value = crate::message::lex::unquote(value);
                let number = crate::message::lex::number(&value, 999)?;
                name.eq_ignore_ascii_case(b"cause").then(|| u16::try_from(number).ok())?
            });
            let Some(cause) = cause else { continue };
            if protocol.eq_ignore_ascii_case(b"SIP") {
                return Some(ReasonCause::Sip(cause));
            }
            if protocol.eq_ignore_ascii_case(b"Q.850") {
                best = best.or(Some(ReasonCause::Q850(cause)));
            }
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invite::{Headers, OwnedUri};
    use bytes::Bytes;
    use proptest::prelude::*;

    /// Text that is close to what is written: broken in every place.
    fn close() -> impl Strategy<Value = Vec<u8>> {
        let word = prop::sample::select(vec![
            "<sip:",
            "1001",
            "@pbx",
            ">",
            ";",
            "reason=",
            "\"",
            "\\",
            "user-busy",
            ",",
            "?",
            "Reason=SIP%3Bcause%3D486",
            "Reason=SIP; cause=302",
            "&Privacy=history",
            ";index=",
            "1.1",
            "1",
            ".",
            "mp=",
            "rc=1",
            "np",
            ";target=",
            "sip%3A",
            "%40",
            "%",
            "%0",
            "tel:",
            ";cause=",
            "486",
            "=",
            " ",
            "[::1]",
            "<",
            "é",
        ]);
        prop_oneof![
            prop::collection::vec(word, 0..40).prop_map(|words| words.concat().into_bytes()),
            prop::collection::vec(any::<u8>(), 0..200),
        ]
    }

    proptest! {
        #[test]
        fn no_header_field_breaks_a_parser(lines in prop::collection::vec(close(), 0..4)) {
            for name in ["Diversion", "History-Info"] {
                let fields = lines.iter().map(|line| (name.to_owned(), Bytes::from(line.clone())));
                let headers = Headers::new(fields.collect());
                let diversions = Diversion::all(&headers);
                let entries = HistoryEntry::all(&headers);
                prop_assert!(diversions.len() <= crate::limits::MAX_RETARGETINGS + 1);
                prop_assert!(entries.len() <= crate::limits::MAX_RETARGETINGS + 1);
                for diversion in diversions.into_iter().flatten() {
                    let _ = diversion.voicemail();
                }
                let entries: Vec<_> = entries.into_iter().flatten().collect();
                prop_assert!(entries.is_sorted_by_key(|entry| entry.index.clone()));
            }
        }

        #[test]
        fn no_uri_breaks_the_voicemail_parser(text in close()) {
            let text = String::from_utf8_lossy(&text);
            for text in [text.to_string(), format!("sip:vm@h;target={text}")] {
                if let Ok(uri) = OwnedUri::parse(&text) {
                    let _ = VoicemailUri::of(&uri);
                }
            }
        }

        #[test]
        fn values_that_are_well_written_are_read_whatever_stands_beside_them(broken in close()) {
            // A quote or a bracket that does not end takes only its own line with it.
            let lines = [broken, b"<sip:1001@pbx>;reason=user-busy;index=1".to_vec()];
            for name in ["Diversion", "History-Info"] {
                let fields = lines.iter().map(|line| (name.to_owned(), Bytes::from(line.clone())));
                let headers = Headers::new(fields.collect());
                let found = match name {
                    "Diversion" => Diversion::all(&headers).into_iter().flatten()
                        .any(|d| d.reason == DiversionReason::UserBusy && d.uri.user() == Some("1001")),
                    _ => HistoryEntry::all(&headers).into_iter().flatten()
                        .any(|e| e.uri.user() == Some("1001")),
                };
                prop_assert!(found);
            }
        }
    }

    #[test]
    fn the_sip_cause_of_a_reason_comes_first() {
        for (value, expected) in [
            (&b"SIP;cause=486;text=\"Busy Here\""[..], Some(ReasonCause::Sip(486))),
            (b"sip ; text=\"a;cause=1,b\" ; Cause = 408", Some(ReasonCause::Sip(408))),
            (b"Q.850;cause=17", Some(ReasonCause::Q850(17))),
            (b"Q.850;cause=19, SIP;cause=480", Some(ReasonCause::Sip(480))),
            (b"Preemption;cause=1", None),
            (b"SIP;cause=", None),
            (b"SIP;cause=99999", None),
            (b"", None),
        ] {
            assert_eq!(ReasonCause::of(value), expected, "{}", String::from_utf8_lossy(value));
        }
    }
}
