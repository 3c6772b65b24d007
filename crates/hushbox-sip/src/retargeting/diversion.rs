//! Diversion (RFC 5806): from whom a call was diverted and why, the latest first.

use super::item::{self, Item};
use super::{Unreadable, VoicemailUri};
use crate::invite::{Headers, OwnedUri};
use crate::message::lex;

/// One diversion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diversion {
    /// From whom.
    pub uri: OwnedUri,
    /// Why.
    pub reason: DiversionReason,
    /// How many diversions it stands for, at least one (RFC 5806 §4).
    pub counter: u32,
    /// Whether the diverting party's address is not to be shown (`privacy` other than `off`).
    pub is_private: bool,
}

/// RFC 5806 §4, `diversion-reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DiversionReason {
    /// `user-busy`
    UserBusy,
    /// `no-answer`
    NoAnswer,
    /// `unavailable`
    Unavailable,
    /// `unconditional`
    Unconditional,
    /// `time-of-day`
    TimeOfDay,
    /// `do-not-disturb`
    DoNotDisturb,
    /// `deflection`
    Deflection,
    /// `follow-me`
    FollowMe,
    /// `out-of-service`
    OutOfService,
    /// `away`
    Away,
    /// `unknown`, any other, or none.
    Unknown,
}

impl DiversionReason {
    fn of(text: &[u8]) -> Self {
        [
            ("user-busy", Self::UserBusy),
            ("no-answer", Self::NoAnswer),
            ("unavailable", Self::Unavailable),
            ("unconditional", Self::Unconditional),
            ("time-of-day", Self::TimeOfDay),
            ("do-not-disturb", Self::DoNotDisturb),
            ("deflection", Self::Deflection),
            ("follow-me", Self::FollowMe),
            ("out-of-service", Self::OutOfService),
            ("away", Self::Away),
        ]
        .into_iter()
        .find(|(name, _)| text.eq_ignore_ascii_case(name.as_bytes()))
        .map_or(Self::Unknown, |(_, reason)| reason)
    }
}

impl Diversion {
    /// Every diversion of a request, the latest first, as RFC 5806 has them: several on a line
    /// or a line each.
    pub fn all(headers: &Headers) -> Vec<Result<Diversion, Unreadable>> {
        item::values(headers, "Diversion", |item| Self::read(&item))
    }

    fn read(item: &Item<'_>) -> Result<Self, Unreadable> {
        let counter = match item.param("counter") {
            Some(text) => u32::try_from(lex::number(&text, 99).ok_or(Unreadable)?).unwrap_or(1),
            None => 1,
        };
        Ok(Diversion {
            uri: item.uri.clone(),
            reason: item
                .param("reason")
                .map_or(DiversionReason::Unknown, |reason| DiversionReason::of(&reason)),
            counter: counter.max(1),
            is_private: item
                .param("privacy")
                .is_some_and(|privacy| !privacy.eq_ignore_ascii_case(b"off")),
        })
    }

    /// `target` and `cause` of its address: there where a voicemail server diverted the call.
    pub fn voicemail(&self) -> VoicemailUri {
        VoicemailUri::of(&self.uri)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn diversions(lines: &[&str]) -> Vec<Result<Diversion, Unreadable>> {
        let fields = lines
            .iter()
            .map(|line| ("Diversion".to_owned(), Bytes::copy_from_slice(line.as_bytes())));
        Diversion::all(&Headers::new(fields.collect()))
    }

    fn short(lines: &[&str]) -> Vec<String> {
        diversions(lines)
            .iter()
            .map(|value| match value {
                Ok(d) => format!(
                    "{} {:?} {}{}",
                    d.uri.user().unwrap_or("-"),
                    d.reason,
                    d.counter,
                    if d.is_private { " private" } else { "" }
                ),
                Err(Unreadable) => "unreadable".to_owned(),
            })
            .collect()
    }

    #[test]
    fn several_on_a_line_and_a_line_each_are_the_same() {
        let expected = ["1002 NoAnswer 1", "1001 UserBusy 2"];
        let one = "<sip:1002@pbx>;reason=no-answer, \
                   <sip:1001@pbx>;reason=user-busy;counter=2;privacy=off";
        assert_eq!(short(&[one]), expected);
        let (first, second) = one.split_once(", ").unwrap_or_default();
        assert_eq!(short(&[first, second]), expected);
    }

    #[test]
    fn every_writers_form_is_read() {
        for (line, expected) in [
            ("<sip:1001@pbx>", "1001 Unknown 1"),
            ("<sip:1001@pbx>;reason=\"user-busy\"", "1001 UserBusy 1"),
            (
                "\"Jones, Bob; MD\" <sip:1001@pbx>; Reason = No-Answer ; screen=no",
                "1001 NoAnswer 1",
            ),
            ("Bob <sips:1001@pbx;user=phone>;privacy=full", "1001 Unknown 1 private"),
            ("sip:1001@pbx;reason=follow-me;counter=1", "1001 FollowMe 1"),
            ("<tel:+1-555-555-1001>;reason=unconditional", "+15555551001 Unconditional 1"),
            ("<sip:1001@pbx>;reason=somewhat;x-own=\"a,b\"", "1001 Unknown 1"),
            ("<sip:1001@pbx>;counter=0", "1001 Unknown 1"),
            ("<sip:anonymous@anonymous.invalid>;reason=away", "anonymous Away 1"),
            ("<sip:pbx>;reason=time-of-day", "- TimeOfDay 1"),
            ("<sip:a,b@pbx>;reason=out-of-service", "a,b OutOfService 1"),
        ] {
            assert_eq!(short(&[line]), [expected], "{line}");
        }
    }

    #[test]
    fn a_broken_value_spoils_no_other() {
        assert_eq!(
            short(&["<sip:1003@pbx>;reason=,<sip:1002@pbx", "<sip:1001@pbx>;reason=user-busy"]),
            ["unreadable", "unreadable", "1001 UserBusy 1"]
        );
        for line in
            ["<nonsense>", "\"open <sip:1001@pbx>", "<sip:1001@pbx>;counter=x", "<sip:a b@c>"]
        {
            assert_eq!(short(&[line]), ["unreadable"], "{line}");
        }
        assert!(short(&["", " , ,"]).is_empty());
    }

    #[test]
    fn what_is_too_much_is_not_read() {
        let line = vec!["<sip:1001@pbx>"; 500].join(",");
        let read = short(&[&line]);
        assert_eq!(read.len(), crate::limits::MAX_RETARGETINGS + 1);
        assert_eq!(read.last().map(String::as_str), Some("unreadable"));
    }
}
