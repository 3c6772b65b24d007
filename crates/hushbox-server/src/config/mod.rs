//! `hushbox.toml`: as written ([`raw`]), then as meant ([`resolve`]).
//!
//! All mistakes are found in one reading, each with its key and its line. A key that is not known is a mistake:
//! a misspelt limit that is silently ignored is worse than a server that does not start.

pub mod raw;
pub mod registration;
pub mod resolve;
#[cfg(test)]
mod tests;

pub use registration::Registration;
pub use resolve::{Config, LogFormat, NamedFile, RtpPorts, load, parse};

use std::fmt;

/// One mistake in the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The line it stands on, counted from 1; absent for a key that is missing.
    pub line: Option<usize>,
    /// The key, with its section (`media.rtp_ports`); empty where the text is not TOML.
    pub key: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)
    }
}

/// Every mistake of one configuration file, in the order of its lines.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}
