//! Payload types and what they mean (RFC 3551 §6, RFC 8866 §6.6).

use super::parse::Media;
use crate::audio::Codec;

/// The clock rate of everything that is spoken here.
const CLOCK_RATE: &str = "8000";

/// What a payload type means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PayloadMeaning {
    Audio(Codec),
    TelephoneEvent,
}

impl PayloadMeaning {
    /// `a=rtpmap` without the payload type.
    pub(crate) fn rtpmap(self) -> String {
        let name = match self {
            Self::Audio(codec) => codec.name(),
            Self::TelephoneEvent => "telephone-event",
        };
        format!("{name}/{CLOCK_RATE}")
    }
}

/// The payload types that were agreed on, the preferred one first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct PayloadMap(Vec<(u8, PayloadMeaning)>);

impl PayloadMap {
    /// What we offer.
    pub(crate) fn ours() -> Self {
        Self(vec![
            (0, PayloadMeaning::Audio(Codec::Pcmu)),
            (8, PayloadMeaning::Audio(Codec::Pcma)),
            (101, PayloadMeaning::TelephoneEvent),
        ])
    }

    /// What is spoken here of an m-line's formats, in its order. Payload types in the range that
    /// RTCP uses do not count (RFC 5761 §4).
    pub(crate) fn of(media: &Media) -> Self {
        let mut map = Self::default();
        for format in &media.formats {
            let Ok(payload_type) = format.parse::<u8>() else { continue };
            if payload_type > 127 || (64..96).contains(&payload_type) {
                continue;
            }
            if let Some(meaning) = meaning_of(media, payload_type)
                && map.meaning(payload_type).is_none()
            {
                map.0.push((payload_type, meaning));
            }
        }
        map
    }

    pub(crate) fn meaning(&self, payload_type: u8) -> Option<PayloadMeaning> {
        self.0.iter().find(|(known, _)| *known == payload_type).map(|&(_, meaning)| meaning)
    }

    /// The first audio codec with its payload type.
    pub(crate) fn audio(&self) -> Option<(u8, Codec)> {
        self.0.iter().find_map(|&(payload_type, meaning)| match meaning {
            PayloadMeaning::Audio(codec) => Some((payload_type, codec)),
            PayloadMeaning::TelephoneEvent => None,
        })
    }

    /// Whether a payload type means something else in `other`. RFC 3264 §8.3.2: a payload type
    /// keeps its meaning for as long as the session lasts.
    pub(crate) fn contradicts(&self, other: &Media) -> bool {
        self.0.iter().any(|&(payload_type, meaning)| {
            other.formats.iter().any(|format| format.parse() == Ok(payload_type))
                && meaning_of(other, payload_type) != Some(meaning)
        })
    }

    /// These, and of `more` what is not among them yet and has a payload type that is free.
    pub(crate) fn completed_by(&self, more: Self) -> Self {
        let mut map = self.clone();
        for (payload_type, meaning) in more.0 {
            if map.meaning(payload_type).is_none() && map.iter().all(|(_, known)| known != meaning)
            {
                map.0.push((payload_type, meaning));
            }
        }
        map
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u8, PayloadMeaning)> {
        self.0.iter().copied()
    }
}

/// From `a=rtpmap`, else from the static assignments.
fn meaning_of(media: &Media, payload_type: u8) -> Option<PayloadMeaning> {
    let mapped = media.values("rtpmap").find_map(|value| {
        let (number, encoding) = value.split_once(char::is_whitespace)?;
        (number.parse() == Ok(payload_type)).then(|| encoding.trim())
    });
    let Some(encoding) = mapped else {
        return match payload_type {
            0 => Some(PayloadMeaning::Audio(Codec::Pcmu)),
            8 => Some(PayloadMeaning::Audio(Codec::Pcma)),
            _ => None,
        };
    };
    let mut parts = encoding.split('/');
    let (name, clock_rate) = (parts.next()?, parts.next()?);
    if clock_rate != CLOCK_RATE || parts.next().is_some_and(|channels| channels != "1") {
        return None;
    }
    [
        PayloadMeaning::Audio(Codec::Pcmu),
        PayloadMeaning::Audio(Codec::Pcma),
        PayloadMeaning::TelephoneEvent,
    ]
    .into_iter()
    .find(|meaning| {
        let ours = meaning.rtpmap();
        ours.split('/').next().is_some_and(|ours| ours.eq_ignore_ascii_case(name))
    })
}
