//! History-Info as a story: who was called, who diverted, and why.

use hushbox_policy::Diverted;
use hushbox_sip::OwnedUri;
use hushbox_sip::retargeting::{HistoryEntry, HistoryIndex, Retargeting};

use super::Cause;

/// Entries in the order of their index.
pub(super) struct History<'e> {
    entries: &'e [HistoryEntry],
    /// Where the request itself stands; it has none where the last proxy did not write it.
    current: Option<usize>,
    /// Whether whoever wrote them knew RFC 7044.
    is_tagged: bool,
}

impl<'e> History<'e> {
    pub(super) fn new(entries: &'e [HistoryEntry], request_uri: &OwnedUri) -> Self {
        let last = entries.len().checked_sub(1);
        let current = last.filter(|at| is_same(&entries[*at].uri, request_uri));
        let is_tagged = entries.iter().any(|entry| entry.retargeting.is_some());
        History { entries, current, is_tagged }
    }

    /// All but the request itself: whom the caller wanted first, or who diverted it last.
    pub(super) fn in_turn(&self, diverted: Diverted) -> Vec<usize> {
        let mut places: Vec<usize> = self.places().collect();
        if diverted == Diverted::Newest {
            places.reverse();
        }
        places
    }

    fn places(&self) -> impl Iterator<Item = usize> + use<'_> {
        (0..self.entries.len()).filter(|at| Some(*at) != self.current)
    }

    /// Whether the call was taken from that person to another: it has a Reason, or another entry was mapped from it
    /// (RFC 7044 §10.4); RFC 4244 lets only the order say so.
    pub(super) fn was_diverted(&self, at: usize) -> bool {
        let entry = &self.entries[at];
        entry.cause.is_some() || !self.is_tagged || self.mapped_from(&entry.index).is_some()
    }

    fn mapped_from(&self, index: &HistoryIndex) -> Option<&HistoryEntry> {
        self.entries.iter().find(
            |entry| matches!(&entry.retargeting, Some(Retargeting::Mapped(of)) if of == index),
        )
    }

    /// Why: its own Reason, or the `cause` of the entry that it was mapped to (RFC 7044 §10.2, RFC 4458 §2.2); without
    /// tags, that of the next entry.
    pub(super) fn cause(&self, at: usize) -> Option<Cause> {
        let entry = &self.entries[at];
        let own = entry.cause.and_then(Cause::of_reason);
        own.or_else(|| {
            let next = self.mapped_from(&entry.index);
            let next = next.or_else(|| self.entries.get(at + 1).filter(|_| !self.is_tagged));
            next?.voicemail().cause.and_then(Cause::of_status)
        })
    }

    /// The entries before the request itself, in their order.
    pub(super) fn before(&self) -> impl Iterator<Item = &'e HistoryEntry> + use<'e, '_> {
        self.places().map(|at| &self.entries[at])
    }
}

/// The same user at the same host: parameters are added and dropped on the way.
pub(super) fn is_same(one: &OwnedUri, other: &OwnedUri) -> bool {
    one.user() == other.user() && one.host() == other.host()
}
