//! What can be wrong with what a peer offers.

/// Why a session description was not taken. Nothing of the description is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OfferError {
    /// It is no session description.
    #[error("malformed session description: {0}")]
    Malformed(&'static str),
    /// It passes one of the limits of [`limits`](crate::limits).
    #[error("session description too large: {0}")]
    TooLarge(&'static str),
    /// No m-line is audio that is on.
    #[error("no audio stream offered")]
    NoAudio,
    /// The audio has no format that is spoken here.
    #[error("no common audio format")]
    NoCommonFormat,
    /// The media transport is none that is spoken here.
    #[error("media transport not acceptable")]
    Transport,
    /// SRTP is needed and there is none, or no crypto line is acceptable.
    #[error("no acceptable SRTP keys offered")]
    NoSecurity,
    /// The address is a name or of a family that is not served here.
    #[error("media address not acceptable")]
    Address,
    /// A re-offer breaks RFC 3264 §8: fewer m-lines, a payload type with a new meaning.
    #[error("offer does not continue the session: {0}")]
    Discontinuous(&'static str),
    /// An answer that does not fit our offer, or an answer where none was awaited.
    #[error("answer does not fit the offer: {0}")]
    Answer(&'static str),
}

impl OfferError {
    /// The SIP status that says so.
    pub fn status(&self) -> u16 {
        match self {
            Self::Malformed(_) | Self::TooLarge(_) => 400,
            // RFC 3261 §21.4.26.
            _ => 488,
        }
    }

    /// The warn-code and text of a Warning header (RFC 3261 §20.43).
    pub fn warning(&self) -> (u16, &'static str) {
        match self {
            Self::Malformed(_) | Self::TooLarge(_) => (399, "Malformed session description"),
            Self::Address => (301, "Incompatible network address formats"),
            Self::NoAudio => (304, "Media type not available"),
            Self::NoCommonFormat => (305, "Incompatible media format"),
            Self::Transport => (302, "Incompatible transport protocol"),
            Self::NoSecurity => (399, "SRTP with acceptable keys required"),
            Self::Discontinuous(_) => (399, "Offer does not continue the session"),
            Self::Answer(_) => (399, "Answer does not fit the offer"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_488_and_garbage_is_400() {
        assert_eq!(OfferError::NoSecurity.status(), 488);
        assert_eq!(OfferError::NoAudio.warning().0, 304);
        assert_eq!(OfferError::NoCommonFormat.warning().0, 305);
        assert_eq!(OfferError::Malformed("x").status(), 400);
    }
}
