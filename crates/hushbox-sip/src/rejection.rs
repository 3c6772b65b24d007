//! What the application says when it refuses or ends a call.

use crate::auth::Challenge;

/// A refusal: a status from 300 to 699 and what goes with it. Values are cleaned when they are
/// written, so that nothing in them can become a header of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The status code.
    pub status: u16,
    /// A Warning's code and text (RFC 3261 §20.43).
    pub warning: Option<(u16, String)>,
    /// Seconds after which the caller may try again.
    pub retry_after: Option<u32>,
    /// Further header fields, by name and value.
    pub headers: Vec<(String, String)>,
}

impl Rejection {
    /// A bare refusal.
    pub fn new(status: u16) -> Self {
        Rejection { status, warning: None, retry_after: None, headers: Vec::new() }
    }

    /// 401 with a WWW-Authenticate header field for each challenge.
    pub(crate) fn challenge(challenges: &[Challenge]) -> Self {
        challenges.iter().fold(Rejection::new(401), |rejection, challenge| {
            rejection.with_header("WWW-Authenticate", challenge.value())
        })
    }

    /// 415, with what a body may be (RFC 3261 §8.2.3).
    pub(crate) fn unsupported_body() -> Self {
        Rejection::new(415)
            .with_header("Accept", crate::message::content::ACCEPT)
            .with_header("Accept-Encoding", "identity")
            .with_header("Accept-Language", "en")
    }

    /// Adds a Warning header field.
    #[must_use]
    pub fn with_warning(mut self, code: u16, text: &str) -> Self {
        self.warning = Some((code, text.to_owned()));
        self
    }

    /// Adds a Retry-After header field.
    #[must_use]
    pub fn with_retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// Adds any other header field.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// Which list of causes a [`Reason`] speaks (RFC 3326 §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReasonProtocol {
    /// ITU-T Q.850 cause values: 16 is normal clearing.
    Q850,
    /// SIP status codes.
    Sip,
}

/// Why we hang up, for the Reason header field of a BYE (RFC 3326).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// Which list `cause` is from.
    pub protocol: ReasonProtocol,
    /// The cause.
    pub cause: u16,
    /// A text for who reads a trace.
    pub text: String,
}

impl Reason {
    /// A Q.850 cause.
    pub fn q850(cause: u16, text: &str) -> Self {
        Reason { protocol: ReasonProtocol::Q850, cause, text: text.to_owned() }
    }

    /// A SIP status as cause.
    pub fn sip(cause: u16, text: &str) -> Self {
        Reason { protocol: ReasonProtocol::Sip, cause, text: text.to_owned() }
    }

    /// Q.850 cause 16.
    pub fn normal_clearing() -> Self {
        Reason::q850(16, "Normal call clearing")
    }
}
