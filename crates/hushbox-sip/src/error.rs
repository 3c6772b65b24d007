//! The crate's error: what is wrong with a message. It names the part, never its content.

/// Why bytes are no message, or no message that we serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Nothing in it says that it is SIP.
    #[error("not a SIP message")]
    NotSip,
    /// The start line breaks the grammar.
    #[error("malformed start line")]
    StartLine,
    /// A version other than SIP/2.0.
    #[error("SIP version not supported")]
    Version,
    /// The Request-URI, or another URI that must be understood, breaks the grammar.
    #[error("malformed URI")]
    Uri,
    /// A header line breaks the grammar.
    #[error("malformed header line")]
    HeaderLine,
    /// A header field that has to be understood breaks its grammar.
    #[error("malformed header field {0}")]
    Header(&'static str),
    /// A header field that every message needs is absent.
    #[error("missing header field {0}")]
    Missing(&'static str),
    /// A header field that stands once at most stands there twice.
    #[error("repeated header field {0}")]
    Repeated(&'static str),
    /// CSeq names another method than the start line.
    #[error("CSeq names another method than the request line")]
    MethodMismatch,
    /// The body is shorter than Content-Length says, or there is no Content-Length on a stream.
    #[error("body does not fit Content-Length")]
    Length,
    /// A limit of [`crate::limits`] was passed.
    #[error("message is larger than the limit on {0}")]
    TooLarge(&'static str),
    /// A multipart body breaks its grammar.
    #[error("malformed multipart body")]
    Multipart,
}

impl ParseError {
    /// The status that says so to the peer.
    pub fn status(self) -> u16 {
        match self {
            ParseError::Version => 505,
            // RFC 3261 §21.5.7.
            ParseError::TooLarge(_) => 513,
            ParseError::NotSip
            | ParseError::StartLine
            | ParseError::Uri
            | ParseError::HeaderLine
            | ParseError::Header(_)
            | ParseError::Missing(_)
            | ParseError::Repeated(_)
            | ParseError::MethodMismatch
            | ParseError::Length
            | ParseError::Multipart => 400,
        }
    }
}
