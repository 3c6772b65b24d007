//! What can go wrong, sorted by whose fault it is.

use std::path::PathBuf;

/// One error enum for the crate. No variant carries a secret, a key or a digit.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file's content is not what it should be.
    #[error("{path}: {what}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// A script cannot be read.
    #[error("script: {0}")]
    Script(String),
    /// The plan of a call contradicts itself.
    #[error("{0}")]
    Plan(String),
    /// The connection could not be made.
    #[error("no connection to {address}: {what}")]
    Connect {
        /// Where to.
        address: std::net::SocketAddr,
        /// Why not.
        what: String,
    },
    /// The connection was lost.
    #[error("the connection was lost: {0}")]
    ConnectionLost(String),
    /// The peer sent something that is not SIP.
    #[error("the peer's message cannot be read: {0}")]
    Malformed(String),
    /// The peer sent more than is taken.
    #[error("the peer's message is too long: {0}")]
    TooLong(&'static str),
    /// No answer came in time.
    #[error("no answer to {0} in time")]
    NoAnswer(&'static str),
    /// The peer's SDP answer breaks offer/answer.
    #[error("the SDP answer is wrong: {0}")]
    Answer(String),
    /// The peer's challenge cannot be answered.
    #[error("the challenge cannot be answered: {0}")]
    Challenge(&'static str),
    /// A packet could not be protected.
    #[error("SRTP: {0}")]
    Srtp(String),
    /// A socket failed.
    #[error("socket: {0}")]
    Socket(#[from] std::io::Error),
}

impl Error {
    /// An error about a file.
    pub fn file(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Self::File { path: path.into(), source }
    }

    /// An error about what a file holds.
    pub fn content(path: impl Into<PathBuf>, what: impl Into<String>) -> Self {
        Self::Content { path: path.into(), what: what.into() }
    }
}
