//! Who called, sealed: the part of a message that names a caller. It exists in clear only in the call that records it
//! and for whoever is authorised to reveal or export it.

use std::fmt;

use hushbox_policy::{CallerName, CallerNumber};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use crate::error::SealError;
use crate::hpke::{self, Kind, Place};
use crate::keys::{MailboxPrivateKey, MailboxPublicKey};
use crate::limits;

/// Sealed envelopes come in steps of this many bytes, so that their length does not tell the caller's name.
const PADDED_TO: usize = 256;

/// What is known about a call beside its audio.
#[derive(Clone, Default)]
pub struct Envelope {
    /// The caller's number, if one was given.
    pub caller_number: Option<CallerNumber>,
    /// The caller's name, if one was given.
    pub caller_name: Option<CallerName>,
    /// Facts about the call that are not PHI by themselves but stand beside PHI.
    pub facts: CallFacts,
}

/// Facts about the call that left a message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallFacts {
    /// The log's id of the call, to find its lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<String>,
    /// The codec's name as in SDP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub codec: Option<String>,
    /// The SRTP suite; none for plain RTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub srtp: Option<String>,
}

impl fmt::Debug for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Envelope").field("facts", &self.facts).finish_non_exhaustive()
    }
}

/// The envelope in clear, on its way in or out of the seal.
#[derive(Serialize, Deserialize)]
struct Clear {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    number: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default)]
    facts: CallFacts,
}

impl Drop for Clear {
    fn drop(&mut self) {
        self.number.zeroize();
        self.name.zeroize();
    }
}

impl Envelope {
    /// Version (1), JSON, then spaces up to the step: JSON ignores them.
    fn to_clear(&self) -> Option<Zeroizing<Vec<u8>>> {
        let clear = Clear {
            number: self.caller_number.as_ref().map(|number| cut(number.expose())),
            name: self.caller_name.as_ref().map(|name| cut(name.expose())),
            facts: CallFacts {
                call: self.facts.call.as_deref().map(cut),
                codec: self.facts.codec.as_deref().map(cut),
                srtp: self.facts.srtp.as_deref().map(cut),
            },
        };
        // Full size from the start: a growing buffer would leave copies behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(limits::ENVELOPE_BYTES_MAX));
        bytes.push(VERSION);
        serde_json::to_writer(&mut *bytes, &clear).ok()?;
        let padded = bytes.len().next_multiple_of(PADDED_TO);
        bytes.resize(padded, b' ');
        Some(bytes)
    }

    fn from_clear(bytes: &[u8]) -> Option<Envelope> {
        let (&VERSION, json) = bytes.split_first()? else { return None };
        let clear: Clear = serde_json::from_slice(json).ok()?;
        Some(Envelope {
            caller_number: clear
                .number
                .as_deref()
                .and_then(|number| CallerNumber::new(number).ok()),
            caller_name: clear.name.as_deref().and_then(|name| CallerName::new(name).ok()),
            facts: clear.facts.clone(),
        })
    }

    pub(crate) fn seal(&self, to: &MailboxPublicKey, place: &Place) -> Result<Vec<u8>, SealError> {
        let clear = self.to_clear().ok_or(SealError::Cipher)?;
        hpke::seal(to, Kind::Envelope, place, &clear)
    }

    pub(crate) fn open(with: &MailboxPrivateKey, place: &Place, sealed: &[u8]) -> Option<Envelope> {
        Envelope::from_clear(&hpke::open(with, Kind::Envelope, place, sealed)?)
    }
}

const VERSION: u8 = 1;

/// Cuts at a character's border; a peer may send a name of any length.
fn cut(text: &str) -> String {
    text.get(..text.floor_char_boundary(limits::CALLER_BYTES_MAX)).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use hushbox_policy::{AccountId, MailboxId, MessageId, Profile};

    use super::*;
    use crate::hpke::generate_mailbox_keys;

    fn place() -> Place {
        Place {
            account: AccountId::from_bytes([1; 16]),
            mailbox: MailboxId::from_bytes([2; 16]),
            message: MessageId::from_bytes([3; 16]),
            epoch: 1,
            profile: Profile::Hipaa,
        }
    }

    fn envelope(number: &str, name: &str) -> Envelope {
        Envelope {
            caller_number: CallerNumber::new(number).ok(),
            caller_name: CallerName::new(name).ok(),
            facts: CallFacts { codec: Some("PCMU".into()), ..CallFacts::default() },
        }
    }

    #[test]
    fn the_caller_comes_back_for_the_mailbox_alone() {
        let (public, private) = generate_mailbox_keys().unwrap();
        let name = "Mary \"M\" Major\u{1}é";
        let sealed = envelope("+15551234567", name).seal(&public, &place()).unwrap();
        let opened = Envelope::open(&private, &place(), &sealed).unwrap();
        assert_eq!(opened.caller_number.unwrap().expose(), "+15551234567");
        assert_eq!(opened.caller_name.unwrap().expose(), name);
        assert_eq!(opened.facts.codec.as_deref(), Some("PCMU"));
        let (_, other) = generate_mailbox_keys().unwrap();
        assert!(Envelope::open(&other, &place(), &sealed).is_none());
    }

    #[test]
    fn a_sealed_envelope_shows_neither_the_caller_nor_how_long_the_name_is() {
        let (public, _) = generate_mailbox_keys().unwrap();
        let long =
            envelope("+15551234567", "Mary Major-Minor of Somewhere").seal(&public, &place());
        let short = envelope("1", "M").seal(&public, &place());
        let none = Envelope::default().seal(&public, &place()).unwrap();
        let long = long.unwrap();
        assert_eq!(long.len(), short.unwrap().len());
        assert_eq!(long.len(), none.len());
        assert!(!long.windows(7).any(|window| window == b"5551234"));
    }

    #[test]
    fn an_envelope_does_not_print_its_caller() {
        let printed = format!("{:?}", envelope("+15551234567", "Mary Major"));
        assert!(!printed.contains("555") && !printed.contains("Mary"), "{printed}");
    }

    #[test]
    fn a_fact_of_any_length_is_cut_at_a_character() {
        let fact = format!("{}é", "x".repeat(limits::CALLER_BYTES_MAX - 1));
        assert_eq!(cut(&fact).len(), limits::CALLER_BYTES_MAX - 1);
    }
}
