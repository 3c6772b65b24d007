//! A voicemail server that calls another: refused, never recorded.

use hushbox_sip::retargeting::{Diversion, HistoryEntry, VoicemailUri};
use hushbox_sip::{Invite, OwnedUri};
use hushbox_store::model::Mailbox;

use super::Question;
use super::history::{History, is_same};
use super::names::{Named, Names};

/// Why a call goes round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loop {
    /// It has been in this mailbox's voicemail before.
    SameMailbox,
    /// Another Hushbox calls.
    OtherServer,
}

impl Loop {
    /// RFC 3261 §21.4.20 for a loop; §21.4.18 for another server, which is none yet.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::SameMailbox => 482,
            Self::OtherServer => 480,
        }
    }
}

/// Looks for a loop, in headers that are not trusted too: all that they can do is to end their own call.
pub(super) fn find(
    question: &Question<'_>,
    names: &Names<'_, '_>,
    invite: &Invite,
    mailbox: &Mailbox,
) -> Option<Loop> {
    if is_ours(question.product, invite) {
        return Some(Loop::OtherServer);
    }
    let voicemail = Voicemail { names, mailbox, request_uri: &invite.request_uri };
    let diverted =
        Diversion::all(&invite.headers).into_iter().flatten().any(|d| voicemail.is_at(&d.uri));
    (diverted || came_back(&voicemail, invite)).then_some(Loop::SameMailbox)
}

/// Whether the call was in this voicemail, went on to somebody else, and is here again: an entry for each hop on the
/// way here is no loop.
fn came_back(voicemail: &Voicemail<'_, '_, '_>, invite: &Invite) -> bool {
    let entries: Vec<_> = HistoryEntry::all(&invite.headers).into_iter().flatten().collect();
    let history = History::new(&entries, &invite.request_uri);
    let mut was_here = false;
    history.before().any(|entry| {
        let is_here = voicemail.is_at(&entry.uri);
        let left = was_here && !is_here;
        was_here |= is_here;
        left
    })
}

/// RFC 3261 §20.41: the product before the slash.
fn is_ours(product: &str, invite: &Invite) -> bool {
    let name = |text: &[u8]| {
        let end = text.iter().position(|b| matches!(b, b'/' | b' ' | b'\t' | b'('));
        text[..end.unwrap_or(text.len())].to_ascii_lowercase()
    };
    let ours = name(product.as_bytes());
    ["User-Agent", "Server"]
        .into_iter()
        .flat_map(|field| invite.headers.all(field))
        .any(|value| !ours.is_empty() && name(value) == ours)
}

/// Where calls for one mailbox's voicemail go.
struct Voicemail<'n, 'q, 'a> {
    names: &'n Names<'q, 'a>,
    mailbox: &'n Mailbox,
    request_uri: &'n OwnedUri,
}

impl Voicemail<'_, '_, '_> {
    /// Whether an address is this mailbox's voicemail: its `target` says so; or it is a pilot number (not a person's)
    /// that this call was sent to as well.
    fn is_at(&self, uri: &OwnedUri) -> bool {
        let user = uri.user().unwrap_or_default();
        match VoicemailUri::of(uri).target {
            Some(Ok(target)) => self.is_ours(self.names.of(target.user(), target.host())),
            Some(Err(_)) => false,
            None => {
                is_same(uri, self.request_uri)
                    && matches!(self.names.of_request_uri(user), Named::Nobody(_))
                    && !user.is_empty()
            }
        }
    }

    fn is_ours(&self, named: Named<'_>) -> bool {
        matches!(named, Named::Mailbox(mailbox, _) if mailbox.id == self.mailbox.id)
    }
}
