//! Session timers (RFC 4028): either end refreshes, or the session is over.

use crate::error::ParseError;
use crate::limits::{MIN_SESSION_EXPIRES_SECS as MIN_SE_SECS, SHORTEST_SESSION_EXPIRES_SECS};
use crate::message::Message;
use crate::message::lex::{self, Cursor};
use crate::message::name::Name;
use crate::message::params::Params;
use crate::message::write::Writer;
use std::time::{Duration, Instant};

/// What was agreed for a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SessionTimer {
    expires_secs: u32,
    /// Whether we are the one who refreshes.
    pub(super) is_ours: bool,
    /// Whether the peer knows of session timers, or a proxy asked for one.
    peer_supports: bool,
    /// The longest Min-SE that came in this dialog (RFC 4028 §7.4).
    pub(super) min_se_secs: u32,
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Nothing,
    Timer(SessionTimer),
    /// An interval that is too short, by a peer that understands 422.
    TooShort,
}

/// RFC 4028 §9: what a request asks of us, and what we make of it.
pub(super) fn asked(request: &Message<'_>) -> Result<Asked, ParseError> {
    let Some(value) = request.values(Name::SessionExpires).next() else {
        return Ok(Asked::Nothing);
    };
    let (secs, refresher) = parse(value).ok_or(ParseError::Header("Session-Expires"))?;
    let peer_supports = request
        .option_tags(Name::Supported)
        .chain(request.option_tags(Name::Require))
        .any(|tag| tag.eq_ignore_ascii_case(b"timer"));
    if secs < MIN_SE_SECS && peer_supports {
        return Ok(Asked::TooShort);
    }
    // Table 2: who does not support it can't refresh; else the peer may choose, and is chosen.
    let is_ours = match refresher {
        _ if !peer_supports => true,
        Some(refresher) => refresher.eq_ignore_ascii_case(b"uas"),
        None => false,
    };
    // §9: never raised. Who asks for less than §4 allows and does not know 422 gets what it asked for.
    if secs < SHORTEST_SESSION_EXPIRES_SECS {
        return Ok(Asked::Nothing);
    }
    let min_se_secs = min_se(request);
    Ok(Asked::Timer(SessionTimer { expires_secs: secs, is_ours, peer_supports, min_se_secs }))
}

/// The shortest interval that a message's sender can bear (RFC 4028 §5).
pub(super) fn min_se(message: &Message<'_>) -> u32 {
    let value = message.values(Name::MinSe).next();
    value.and_then(parse).map_or(MIN_SE_SECS, |(secs, _)| secs.max(MIN_SE_SECS))
}

/// `delta-seconds *( SEMI se-params )`: the interval and who refreshes.
pub(super) fn parse(value: &[u8]) -> Option<(u32, Option<&[u8]>)> {
    let mut cursor = Cursor::new(value);
    let digits = cursor.take_while(|b| b.is_ascii_digit());
    let secs = lex::number(digits, u64::from(u32::MAX))?;
    let params = Params::parse(&mut cursor)?;
    cursor.at_end().then_some((u32::try_from(secs).ok()?, params.get("refresher")))
}

impl SessionTimer {
    /// The same, after the peer has answered our refresh with this Session-Expires.
    pub(super) fn refreshed(self, value: Option<&[u8]>) -> Option<Self> {
        let (secs, refresher) = parse(value?)?;
        // In an answer to our request, the client is us.
        let is_ours = refresher.is_none_or(|r| r.eq_ignore_ascii_case(b"uac"));
        Some(SessionTimer { expires_secs: secs.max(MIN_SE_SECS), is_ours, ..self })
    }

    /// The same with a longer interval, as a 422 asks.
    pub(super) fn at_least(self, min_se_secs: u32) -> Self {
        let min_se_secs = self.min_se_secs.max(min_se_secs);
        SessionTimer { expires_secs: self.expires_secs.max(min_se_secs), min_se_secs, ..self }
    }

    /// The same with what the dialog has asked for before.
    pub(super) fn remembering(self, min_se_secs: u32) -> Self {
        SessionTimer { min_se_secs: self.min_se_secs.max(min_se_secs), ..self }
    }

    /// When it has to be refreshed by us: after half of it (RFC 4028 §7.4).
    pub(super) fn refresh_at(&self, now: Instant) -> Option<Instant> {
        self.is_ours.then(|| now + self.expires() / 2)
    }

    /// When it has to be given up: min(32 s, a third) before its end (RFC 4028 §10).
    pub(super) fn give_up_at(&self, now: Instant) -> Instant {
        let expires = self.expires();
        now + expires - Duration::from_secs(32).min(expires / 3)
    }

    fn expires(&self) -> Duration {
        Duration::from_secs(u64::from(self.expires_secs))
    }

    /// What a 2xx to a request says of it (RFC 4028 §9).
    pub(super) fn write_answer(&self, writer: &mut Writer) {
        let refresher = if self.is_ours { "uas" } else { "uac" };
        let secs = self.expires_secs;
        writer.field("Session-Expires", format_args!("{secs};refresher={refresher}"));
        if self.peer_supports {
            writer.field("Require", "timer");
        }
    }

    /// What a refresh of ours says of it (RFC 4028 §7.4).
    pub(super) fn write_request(&self, writer: &mut Writer) {
        let secs = self.expires_secs.max(self.min_se_secs);
        writer.field("Session-Expires", format_args!("{secs};refresher=uac"));
        writer.field("Min-SE", self.min_se_secs);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timer(secs: u32, is_ours: bool) -> SessionTimer {
        SessionTimer { expires_secs: secs, is_ours, peer_supports: true, min_se_secs: MIN_SE_SECS }
    }

    #[test]
    fn values_are_read_strictly() {
        assert_eq!(parse(b"1800;refresher=uas"), Some((1800, Some(&b"uas"[..]))));
        assert_eq!(parse(b"90 ; x=y"), Some((90, None)));
        assert_eq!(parse(b"-1"), None);
        assert_eq!(parse(b"90, 91"), None);
        assert_eq!(parse(b"99999999999"), None);
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "an origin for virtual time")]
    fn a_third_or_32_seconds_are_left_at_the_end() {
        let now = Instant::now();
        let secs = |timer: SessionTimer| (timer.give_up_at(now) - now).as_secs();
        assert_eq!(secs(timer(1800, false)), 1768);
        assert_eq!(secs(timer(90, true)), 60);
        assert_eq!(timer(90, false).refresh_at(now), None);
        assert_eq!(timer(90, true).refresh_at(now), Some(now + Duration::from_secs(45)));
    }
}
