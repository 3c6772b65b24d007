//! What can be wrong with bytes that should be of the log.

/// Bytes or text that the log did not write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A record that cannot be read.
    #[error("an audit record that cannot be read")]
    Record,
    /// A record of a version that this build does not know.
    #[error("an audit record of an unknown version")]
    Version,
    /// A segment without its header.
    #[error("not a segment of an audit log")]
    Header,
    /// A frame whose length is none.
    #[error("an audit record of an impossible length")]
    Length,
    /// Text that is no SHA-256 hash.
    #[error("not a SHA-256 hash")]
    Hash,
    /// A name that is no event's.
    #[error("not the name of an event")]
    Name,
}
