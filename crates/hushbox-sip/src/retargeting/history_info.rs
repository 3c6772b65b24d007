//! History-Info (RFC 7044, and RFC 4244's form without `rc`, `mp` and `np`): every Request-URI that a
//! call had, as a tree of indexes.

use super::item::{self, Item};
use super::{ReasonCause, Unreadable, VoicemailUri};
use crate::invite::{Headers, OwnedUri};
use crate::limits;
use crate::message::lex;
use std::fmt;

/// One Request-URI that the call had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryEntry {
    /// The Request-URI.
    pub uri: OwnedUri,
    /// Its place in the tree.
    pub index: HistoryIndex,
    /// How it came about, where the proxy that wrote it knew RFC 7044.
    pub retargeting: Option<Retargeting>,
    /// Why the call was retargeted from it: the Reason in its URI (RFC 7044 §10.2).
    pub cause: Option<ReasonCause>,
    /// Whether it is not to be shown (Privacy in its URI).
    pub is_private: bool,
}

/// A place in the tree: `1.2.1`. Ordered as the tree is walked: RFC 7044 §10.3.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HistoryIndex(Vec<u32>);

/// RFC 7044 §10.4: how the Request-URI was determined, and from which entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Retargeting {
    /// `rc`: a registered contact of that user, the same person.
    RegisteredContact(HistoryIndex),
    /// `mp`: mapped to another user.
    Mapped(HistoryIndex),
    /// `np`: nothing but the next hop.
    NoChange(HistoryIndex),
}

impl HistoryEntry {
    /// Every entry of a request in the order of its index; those that can't be read come last.
    pub fn all(headers: &Headers) -> Vec<Result<HistoryEntry, Unreadable>> {
        let mut entries = item::values(headers, "History-Info", |item| Self::read(&item));
        entries.sort_by(|a, b| match (a, b) {
            (Ok(a), Ok(b)) => a.index.cmp(&b.index),
            (Ok(_), Err(_)) => std::cmp::Ordering::Less,
            (Err(_), Ok(_)) => std::cmp::Ordering::Greater,
            (Err(_), Err(_)) => std::cmp::Ordering::Equal,
        });
        entries
    }

    fn read(item: &Item<'_>) -> Result<Self, Unreadable> {
        // RFC 7044 §5: the index is mandatory; without it the order is not known.
        let index = item.param("index").ok_or(Unreadable)?;
        let parent =
            |name: &str| item.param(name).map(|text| HistoryIndex::parse(&text)).transpose();
        let retargeting = if let Some(of) = parent("mp")? {
            Some(Retargeting::Mapped(of))
        } else if let Some(of) = parent("rc")? {
            Some(Retargeting::RegisteredContact(of))
        } else {
            parent("np")?.map(Retargeting::NoChange)
        };
        Ok(HistoryEntry {
            uri: item.uri.clone(),
            index: HistoryIndex::parse(&index)?,
            retargeting,
            cause: item.uri_header("Reason").and_then(|reason| ReasonCause::of(&reason)),
            is_private: item.uri_header("Privacy").is_some_and(|privacy| {
                item::split(&privacy, b';').any(|p| lex::trim(p).eq_ignore_ascii_case(b"history"))
            }),
        })
    }

    /// `target` and `cause` of its URI.
    pub fn voicemail(&self) -> VoicemailUri {
        VoicemailUri::of(&self.uri)
    }
}

impl HistoryIndex {
    fn parse(text: &[u8]) -> Result<Self, Unreadable> {
        let mut places = Vec::new();
        for place in text.split(|b| *b == b'.') {
            if places.len() >= limits::MAX_HISTORY_DEPTH {
                return Err(Unreadable);
            }
            let place = lex::number(place, u64::from(u16::MAX)).ok_or(Unreadable)?;
            places.push(u32::try_from(place).map_err(|_| Unreadable)?);
        }
        Ok(HistoryIndex(places))
    }
}

impl fmt::Display for HistoryIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, place) in self.0.iter().enumerate() {
            write!(f, "{}{place}", if n == 0 { "" } else { "." })?;
        }
        Ok(())
    }
}

impl fmt::Debug for HistoryIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn entries(lines: &[&str]) -> Vec<String> {
        let fields = lines
            .iter()
            .map(|line| ("History-Info".to_owned(), Bytes::copy_from_slice(line.as_bytes())));
        HistoryEntry::all(&Headers::new(fields.collect()))
            .iter()
            .map(|entry| match entry {
                Ok(e) => {
                    let mut text = format!("{} {}", e.index, e.uri.user().unwrap_or("-"));
                    match &e.retargeting {
                        Some(Retargeting::RegisteredContact(of)) => text += &format!(" rc={of}"),
                        Some(Retargeting::Mapped(of)) => text += &format!(" mp={of}"),
                        Some(Retargeting::NoChange(of)) => text += &format!(" np={of}"),
                        None => {}
                    }
                    match e.cause {
                        Some(ReasonCause::Sip(n)) => text += &format!(" SIP {n}"),
                        Some(ReasonCause::Q850(n)) => text += &format!(" Q.850 {n}"),
                        None => {}
                    }
                    if e.is_private {
                        text += " private";
                    }
                    text
                }
                Err(Unreadable) => "unreadable".to_owned(),
            })
            .collect()
    }

    #[test]
    fn rfc_7044_entries_have_their_reason_privacy_and_origin() {
        // The shape of RFC 7131 §3.3, voicemail.
        assert_eq!(
            entries(&[
                "<sip:bob@example.com>;index=1, \
                 <sip:bob@192.0.2.4?Reason=SIP%3Bcause%3D408%3Btext%3D%22Request%20Timeout%22&\
                 Privacy=history>;index=1.1;rc=1",
                "<sip:vm@example.com;target=sip:bob%40example.com;cause=408>;index=1.2;mp=1, \
                 <sip:vm@192.0.2.6;target=sip:bob%40example.com;cause=408>;index=1.2.1;rc=1.2",
            ]),
            ["1 bob", "1.1 bob rc=1 SIP 408 private", "1.2 vm mp=1", "1.2.1 vm rc=1.2",]
        );
    }

    #[test]
    fn rfc_4244_writes_its_reason_without_escapes() {
        assert_eq!(
            entries(&["<sip:UserA@ims.example.com>;index=1,\
                 <sip:UserA@192.0.2.3?Reason=SIP; cause=302; text=\"Moved, Temporarily\">; index=1.1,\
                 <sip:UserB@example.com?Reason=SIP%3Bcause%3D486>;foo=bar;index=1.2",]),
            ["1 UserA", "1.1 UserA SIP 302", "1.2 UserB SIP 486"]
        );
    }

    #[test]
    fn entries_are_ordered_by_their_index_whatever_their_place() {
        assert_eq!(
            entries(&[
                "<sip:d@h>;index=1.10, <sip:c@h>;index=1.9.1",
                "<sip:b@h>;index=1.9,<sip:a@h>;index=1"
            ]),
            ["1 a", "1.9 b", "1.9.1 c", "1.10 d"]
        );
    }

    #[test]
    fn broken_entries_come_last_and_spoil_no_other() {
        assert_eq!(
            entries(&[
                "<sip:a@h>, <sip:b@h>;index=1.x, <sip:c@h>;index=1;rc=, <sip:d@h>;index=1.2, <;index=1",
            ]),
            ["1.2 d", "unreadable", "unreadable", "unreadable", "unreadable"]
        );
        let deep = vec!["1"; limits::MAX_HISTORY_DEPTH + 1].join(".");
        assert_eq!(entries(&[&format!("<sip:a@h>;index={deep}")]), ["unreadable"]);
    }

    #[test]
    fn a_question_mark_in_the_user_part_begins_no_headers() {
        assert_eq!(
            entries(&["<sip:a?b@h?Reason=Q.850%3Bcause%3D17>;index=1;np=1"]),
            ["1 a?b np=1 Q.850 17"]
        );
    }
}
