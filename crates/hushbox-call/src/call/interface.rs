//! What goes into a call and what comes out of it.

use std::fmt;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hushbox_audit::{AuditError, AuditReply, AuditRequest, Hash};
use hushbox_media::recording::FormatError;
use hushbox_media::{LegConfig, LegReport};
use hushbox_policy::lockout::Try;
use hushbox_policy::{CallId, MessageId, Pin, PinVerifier};
use hushbox_sip::retargeting::ReasonCause;
use hushbox_store::spool::Record;
use hushbox_store::{
    Directory, IndexError, IndexReply, IndexRequest, IntegrityError, KeyError, KeyReply,
    KeyRequest, ObjectKey, ObjectsError,
};
use zeroize::Zeroizing;

use crate::EndReason;
use crate::limits::{RECORDING_MAX, RECORDING_SILENCE};
use crate::prompt::Prompts;
use crate::setup::{FromSignalling, ToSignalling};

/// What a call is made of, beside its setup.
pub struct Parts {
    /// The leg's addresses; its security is the setup's.
    pub leg: LegConfig,
    /// The directory of the moment.
    pub directory: Arc<Directory>,
    /// The language.
    pub prompts: Arc<Prompts>,
    /// 32 fresh random bytes: the key of the message, if one is left.
    pub message_key: Zeroizing<[u8; 32]>,
    /// 32 fresh random bytes for ids.
    pub seed: [u8; 32],
    /// When a recording ends by itself.
    pub recording: Recording,
}

/// When a recording ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recording {
    /// The longest one.
    pub max: Duration,
    /// After so long without voice or packets.
    pub silence: Duration,
}

impl Default for Recording {
    fn default() -> Self {
        Self { max: RECORDING_MAX, silence: RECORDING_SILENCE }
    }
}

/// What happens to a call. Its `Debug` hides what was sent: voices, keys pressed, SDP.
pub enum Input<'a> {
    /// A packet came to its RTP port.
    Rtp {
        /// From there.
        from: SocketAddr,
        /// It; decrypted in place.
        bytes: &'a mut [u8],
    },
    /// A packet came to its RTCP port.
    Rtcp {
        /// From there.
        from: SocketAddr,
        /// It; decrypted in place.
        bytes: &'a mut [u8],
    },
    /// Signalling says something.
    Signalling(FromSignalling),
    /// The answer to [`Output::Spool`]'s `Sync`, or a failed append.
    Spool(SpoolReply),
    /// The answer to [`Output::Audit`].
    Audit(Result<AuditReply, AuditError>),
    /// The answer to [`Output::AuditedManifest`]; an error where the log cannot be read.
    AuditedManifest(Result<Option<Hash>, AuditError>),
    /// The answer to [`Output::LogIn`].
    LogIn(LogInReply),
    /// The answer to [`Output::Key`].
    Key(Result<KeyReply, KeyError>),
    /// The answer to [`Output::Index`].
    Index(Result<IndexReply, IndexError>),
    /// The answer to [`Output::Object`].
    Object(Result<Bytes, ObjectsError>),
    /// The directory has changed.
    Directory(Arc<Directory>),
    /// The server stops: what is being recorded is saved, then BYE.
    ShutDown,
    /// Time has passed.
    Timeout,
}

/// What a call asks for. Its `Debug` hides what is sent.
pub enum Output {
    /// Send this from its RTP port.
    TransmitRtp {
        /// Where to.
        to: SocketAddr,
        /// A packet.
        bytes: Bytes,
    },
    /// Send this from its RTCP port.
    TransmitRtcp {
        /// Where to.
        to: SocketAddr,
        /// A packet.
        bytes: Bytes,
    },
    /// Tell signalling this.
    Signalling(ToSignalling),
    /// Append to the spool, or sync it.
    Spool(SpoolRequest),
    /// A message is saved: deliver it.
    Saved(MessageId),
    /// A recording could not be saved whole: deliver what the spool has of it, if anything, as a message that was cut.
    Abandoned(MessageId),
    /// Write this down, and say when it is durable. The call's id goes with it.
    Audit(AuditRequest),
    /// Which manifest hash does the log have for this message, under this sequence number?
    AuditedManifest {
        /// The message.
        message: MessageId,
        /// The record's place.
        seq: u64,
    },
    /// Look at locks, or try a PIN.
    LogIn(LogInRequest),
    /// Ask the key provider.
    Key(KeyRequest),
    /// Ask the index.
    Index(IndexRequest),
    /// Read a range of an audio object.
    Object {
        /// Which.
        key: ObjectKey,
        /// The bytes wanted.
        range: Range<u64>,
    },
    /// A message could not be played: a person has to look at it. Its record in the audit log is asked for beside this.
    Unplayable {
        /// The message.
        message: MessageId,
        /// Why.
        why: Unplayable,
    },
    /// The call is over. Nothing follows but packets of its last moment and `Timeout(None)`.
    Ended(Box<CallReport>),
    /// Nothing more until then.
    Timeout(Option<Instant>),
}

impl fmt::Debug for Input<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Input::Rtp { from, bytes } => write!(f, "Rtp({from}, {} octets)", bytes.len()),
            Input::Rtcp { from, bytes } => write!(f, "Rtcp({from}, {} octets)", bytes.len()),
            Input::Signalling(says) => write!(f, "Signalling({says:?})"),
            Input::Spool(reply) => write!(f, "Spool({reply:?})"),
            Input::Audit(reply) => write!(f, "Audit({})", outcome(reply)),
            Input::AuditedManifest(hash) => {
                write!(f, "AuditedManifest({})", matches!(hash, Ok(Some(_))))
            }
            Input::LogIn(reply) => write!(f, "LogIn({reply:?})"),
            Input::Key(reply) => write!(f, "Key({})", outcome(reply)),
            Input::Index(reply) => write!(f, "Index({})", outcome(reply)),
            Input::Object(reply) => write!(f, "Object({})", outcome(reply)),
            Input::Directory(_) => f.write_str("Directory(…)"),
            Input::ShutDown => f.write_str("ShutDown"),
            Input::Timeout => f.write_str("Timeout"),
        }
    }
}

fn outcome<T, E>(reply: &Result<T, E>) -> &'static str {
    if reply.is_ok() { "done" } else { "failed" }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Output::TransmitRtp { to, bytes } => {
                write!(f, "TransmitRtp({to}, {} octets)", bytes.len())
            }
            Output::TransmitRtcp { to, bytes } => {
                write!(f, "TransmitRtcp({to}, {} octets)", bytes.len())
            }
            Output::Signalling(says) => write!(f, "Signalling({says:?})"),
            Output::Spool(SpoolRequest::Append(_)) => f.write_str("Spool(Append)"),
            Output::Spool(SpoolRequest::Sync) => f.write_str("Spool(Sync)"),
            Output::Saved(message) => write!(f, "Saved({message})"),
            Output::Abandoned(message) => write!(f, "Abandoned({message})"),
            Output::Audit(_) => f.write_str("Audit(…)"),
            Output::AuditedManifest { message, seq } => {
                write!(f, "AuditedManifest({message}, {seq})")
            }
            Output::LogIn(request) => write!(f, "LogIn({request:?})"),
            Output::Key(_) => f.write_str("Key(…)"),
            Output::Index(_) => f.write_str("Index(…)"),
            Output::Object { range, .. } => write!(f, "Object({range:?})"),
            Output::Unplayable { message, why } => write!(f, "Unplayable({message}, {why})"),
            Output::Ended(report) => write!(f, "Ended({report:?})"),
            Output::Timeout(at) => write!(f, "Timeout({at:?})"),
        }
    }
}

/// Why a message could not be played.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unplayable {
    /// It is not what was recorded.
    #[error("{0}")]
    Damaged(#[from] IntegrityError),
    /// Its audio is not there.
    #[error("its audio is gone")]
    Gone,
    /// What was sealed is no recording.
    #[error("what was recorded cannot be decoded: {0}")]
    Frames(#[from] FormatError),
    /// The objects could not be read: another time they may be.
    #[error("{0}")]
    Objects(ObjectsError),
    /// The audit log could not be read: another time it may be.
    #[error("the audit log cannot be read")]
    Audit,
    /// The key is not at hand, or what was listed has gone from the session.
    #[error("the mailbox's key is not open")]
    NoKey,
}

impl Unplayable {
    /// Whether the message itself is damaged or gone, and not only out of reach for now.
    pub const fn is_damage(&self) -> bool {
        match self {
            Self::Damaged(error) => error.is_damage(),
            Self::Gone | Self::Frames(_) => true,
            Self::Objects(_) | Self::Audit | Self::NoKey => false,
        }
    }
}

impl From<ObjectsError> for Unplayable {
    fn from(error: ObjectsError) -> Self {
        match error {
            ObjectsError::NotFound => Self::Gone,
            ObjectsError::Unavailable(_) | ObjectsError::Full => Self::Objects(error),
        }
    }
}

/// What is asked of the spool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SpoolRequest {
    /// Append this; synced at least once a second with everybody's. Answered only if it fails.
    Append(Record),
    /// Sync what this call appended; answered.
    Sync,
}

/// What the spool answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpoolReply {
    /// Everything that this call appended before the `Sync` is on the disk.
    Synced,
    /// An append or a sync failed: what was synced before is safe, nothing after is.
    Failed,
}

/// What is asked of those who keep locks and compare PINs.
pub enum LogInRequest {
    /// May this try be made at all? Answer `Free`, `Locked` (only where [`is_spoken`]) or `Unavailable`.
    ///
    /// [`is_spoken`]: hushbox_policy::lockout::Locked::is_spoken
    Check(Try),
    /// Look at the lock again (locked: `RefusedByLock`); have a place to compare in (none: `Busy`, nothing counted); count
    /// the try durably (not possible: `Unavailable`); compare; take the count back if it was right. Answer `Accepted`,
    /// `Refused` or `RefusedAndLocked`.
    Try {
        /// What is counted.
        attempt: Try,
        /// What was keyed.
        pin: Pin,
        /// What it must fit: a decoy for whoever can't log in from here.
        verifier: Box<PinVerifier>,
        /// Whether it is from a device bound to the person: those go first.
        bound: bool,
    },
}

impl fmt::Debug for LogInRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LogInRequest::Check(_) => "Check(…)",
            LogInRequest::Try { .. } => "Try(…)",
        })
    }
}

/// What is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogInReply {
    /// A try may be made.
    Free,
    /// Too many wrong ones before.
    Locked,
    /// The PIN was right.
    Accepted,
    /// It was not.
    Refused,
    /// It was not, and it was one too many: a lock begins. The caller hears what [`LogInReply::Refused`] says.
    RefusedAndLocked,
    /// A lock stands in the way: nothing was compared. The caller hears what [`LogInReply::Refused`] says.
    RefusedByLock,
    /// Too many log-ins at once; nothing was counted.
    Busy,
    /// The count could not be made durable; nothing was compared.
    Unavailable,
}

/// What a call was: one line in the log, one metric.
#[derive(Clone, Debug)]
pub struct CallReport {
    /// Its id.
    pub call: CallId,
    /// What it was for: `deposit`, `retrieval` or `refused-retrieval`.
    pub purpose: &'static str,
    /// How it ended.
    pub end: EndReason,
    /// Why the caller ended it, as far as it said so.
    pub cause: Option<ReasonCause>,
    /// The dialogue's last state: where it was when it ended.
    pub stage: &'static str,
    /// From its INVITE to its end.
    pub duration: Duration,
    /// The message that it left.
    pub saved: Option<MessageId>,
    /// Messages played to their end.
    pub heard: usize,
    /// Changes of messages that could not be applied; they are in the audit log and not in the index.
    pub lost_changes: usize,
    /// What happened on its leg.
    pub leg: Option<LegReport>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_never_printed() {
        let at = "192.0.2.1:4000".parse().unwrap();
        let input = Input::Rtp { from: at, bytes: &mut [0xab; 172] };
        let output = Output::TransmitRtcp { to: at, bytes: Bytes::from_static(&[0xab; 172]) };
        assert_eq!(format!("{input:?}"), "Rtp(192.0.2.1:4000, 172 octets)");
        assert_eq!(format!("{output:?}"), "TransmitRtcp(192.0.2.1:4000, 172 octets)");
        let audio = Input::Object(Ok(Bytes::from_static(b"sealed")));
        assert_eq!(format!("{audio:?}"), "Object(done)");
    }
}
