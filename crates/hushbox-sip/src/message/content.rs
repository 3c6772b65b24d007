//! What a body is: Content-Type, Content-Disposition and multipart (RFC 3261 §20, RFC 5621).

/// What we take (RFC 3261 §8.2.3), for an Accept header field.
pub(crate) const ACCEPT: &str = "application/sdp, multipart/mixed, multipart/related";
