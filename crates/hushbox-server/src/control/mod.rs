//! The control socket: one JSON object a line, a request up, replies down.
//!
//! The socket is 0660 in the data folder; whoever can open it may list and check. What opens a message or shows a
//! caller asks for a person's PIN besides. The peer's uid is in every record.

pub mod client;
pub mod directory;
pub mod server;
pub mod socket;

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

/// What a command asks of the running server.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// How the server is: one row.
    Status,
    /// Rows of mailboxes.
    MailboxList,
    /// Rows of messages.
    MessageList {
        /// Only this mailbox: NUMBER or ACCOUNT/NUMBER.
        mailbox: Option<String>,
        /// Show who called, in this person's name.
        reveal: Option<InTheNameOf>,
    },
    /// What a mailbox's lamps should show, and what they were told: one row.
    MwiExplain {
        /// NUMBER or ACCOUNT/NUMBER.
        mailbox: String,
    },
    /// Whose mailbox a pasted INVITE would reach: one row.
    Resolve(Resolve),
    /// A message's audio.
    MessageExport {
        /// Which one.
        id: String,
        /// In whose name.
        by: InTheNameOf,
    },
    /// The SIP messages of a call, reduced: rows; without a call, the calls that are kept.
    Trace {
        /// Its id, or what stands for its SIP Call-ID in the log.
        call: Option<String>,
    },
    /// A list or a change of the directory's records.
    Directory(directory::DirectoryRequest),
}

/// An INVITE, and whose it would be.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resolve {
    /// The INVITE as text: a caller's number stands in it.
    pub message: Secret,
    /// The trunk's name; where there is one trunk alone, that.
    pub trunk: Option<String>,
    /// The device's user name, in place of a trunk.
    pub device: Option<String>,
    /// Whether it comes over a `lab` listener.
    pub lab: bool,
}

/// `--as`: a person, the PIN and the reason.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InTheNameOf {
    /// NUMBER or ACCOUNT/NUMBER.
    pub person: String,
    /// The PIN.
    pub pin: Secret,
    /// Why.
    pub reason: String,
}

/// Text that does not print itself and is overwritten when dropped.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The secret itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// One line of an answer. Rows and audio come before the one `End` or `Refused` that ends it.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// One row.
    Row(serde_json::Value),
    /// What the audio that follows is.
    AudioFormat {
        /// Samples a second, of 16-bit mono.
        sample_rate: u32,
    },
    /// Samples, little-endian, in Base64.
    Audio(String),
    /// A secret that was made and is shown this once.
    Secret {
        /// What it is: `PIN of 7003`.
        name: String,
        /// The secret.
        secret: Secret,
    },
    /// All was said.
    End,
    /// It was not done, and why.
    Refused(String),
}

/// Rows have callers in them and audio is what they said: neither prints itself.
impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Secret { name, .. } => write!(f, "Secret({name})"),
            Self::Row(_) => f.write_str("Row(..)"),
            Self::AudioFormat { sample_rate } => {
                f.debug_struct("AudioFormat").field("sample_rate", sample_rate).finish()
            }
            Self::Audio(text) => write!(f, "Audio({} characters)", text.len()),
            Self::End => f.write_str("End"),
            Self::Refused(why) => f.debug_tuple("Refused").field(why).finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_audio_do_not_print_themselves() {
        let row = Reply::Row(serde_json::json!({ "caller": "5551234567" }));
        assert!(!format!("{row:?}").contains("555"));
        let audio = Reply::Audio("c2VjcmV0".to_owned());
        assert_eq!(format!("{audio:?}"), "Audio(8 characters)");
    }
}
