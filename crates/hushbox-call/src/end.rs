//! How a call ended: log field, metric label and test expectation at once.

use std::fmt;

/// Why a call ended. Each variant's text tells an operator what to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EndReason {
    /// A message was saved, the caller heard so, and Hushbox hung up. Nothing to do.
    Completed,
    /// The person pressed `#` in the main menu. Nothing to do.
    LoggedOff,
    /// The far end sent BYE. Whether a message was saved stands beside it. Nothing to do.
    CallerHungUp,
    /// The far end sent CANCEL before the call was answered. Nothing to do; if every call ends so, the PBX gives up
    /// before Hushbox answers: look at the machine's load.
    Cancelled,
    /// No packet came, or digital silence alone: there is no message. If many calls end so, media does not reach the
    /// RTP ports: check the firewall and `media.advertised_address`.
    NothingRecorded,
    /// Three tries with a wrong number or PIN. If it repeats from one device, somebody is guessing, or a person needs a
    /// new PIN.
    LoginFailed,
    /// Too many wrong tries in earlier calls: the lock was said and the call ended. It ends by itself after 15 minutes
    /// or more.
    Locked,
    /// `*97` from a source that nobody can log in from: a trunk, or a device bound to nobody. Give the person a device
    /// of their own.
    NotFromThisTelephone,
    /// `*97` on a server that can't open messages: put `keys/root.key` back (see `check-config`) and restart.
    RecordOnly,
    /// The caller had left as many messages in this mailbox as one caller may in a while, heard so, and left none. If
    /// it repeats, somebody floods the mailbox, or a PBX sends calls round; if its callers are people, raise
    /// `limits.deposits_per_caller_max`.
    TooManyMessages,
    /// No key for too long after log-in. Nothing to do.
    Idle,
    /// A session reached its longest length. Nothing to do.
    SessionLimit,
    /// The person, the device or the grant was removed or disabled during the call. Nothing to do.
    Revoked,
    /// Neither RTP nor RTCP for 30 s. What was recorded is saved. If it repeats, look for a NAT or firewall that
    /// closes the path, and at `auth_failures` in the call's line of the log.
    MediaDead,
    /// On hold for 5 minutes. What was recorded is saved. Nothing to do.
    HeldTooLong,
    /// No acceptable offer: 488 or 400 was answered. On a TLS listener the PBX must offer SRTP; the Warning header
    /// of the answer names what was missing.
    OfferRefused,
    /// The ACK brought no answer, or one that can't be used, to our offer. Check the PBX's codec and SRTP settings.
    AnswerRefused,
    /// The 200 was never acknowledged. The Contact or Record-Route that Hushbox answered with does not lead back:
    /// check `sip.advertised_host`.
    NoAck,
    /// The signalling connection was lost. What was recorded is saved. If it repeats, look at the PBX's side of it.
    ConnectionLost,
    /// The spool refused a record or a sync: the message's end may be missing. Look at the data disk at once.
    SaveFailed,
    /// The audit log, the index, an audio object or a key was not available, and nothing is played without them. The
    /// log names which.
    Unavailable,
    /// The server was stopped. What was recorded is saved. Nothing to do.
    Shutdown,
}

impl EndReason {
    /// Every reason, for tables of metrics and documentation.
    pub const ALL: [Self; 22] = [
        Self::Completed,
        Self::LoggedOff,
        Self::CallerHungUp,
        Self::Cancelled,
        Self::NothingRecorded,
        Self::LoginFailed,
        Self::Locked,
        Self::NotFromThisTelephone,
        Self::RecordOnly,
        Self::TooManyMessages,
        Self::Idle,
        Self::SessionLimit,
        Self::Revoked,
        Self::MediaDead,
        Self::HeldTooLong,
        Self::OfferRefused,
        Self::AnswerRefused,
        Self::NoAck,
        Self::ConnectionLost,
        Self::SaveFailed,
        Self::Unavailable,
        Self::Shutdown,
    ];

    /// The stable name in logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::LoggedOff => "logged-off",
            Self::CallerHungUp => "caller-hung-up",
            Self::Cancelled => "cancelled",
            Self::NothingRecorded => "nothing-recorded",
            Self::LoginFailed => "login-failed",
            Self::Locked => "locked",
            Self::NotFromThisTelephone => "not-from-this-telephone",
            Self::RecordOnly => "record-only",
            Self::TooManyMessages => "too-many-messages",
            Self::Idle => "idle",
            Self::SessionLimit => "session-limit",
            Self::Revoked => "revoked",
            Self::MediaDead => "media-dead",
            Self::HeldTooLong => "held-too-long",
            Self::OfferRefused => "offer-refused",
            Self::AnswerRefused => "answer-refused",
            Self::NoAck => "no-ack",
            Self::ConnectionLost => "connection-lost",
            Self::SaveFailed => "save-failed",
            Self::Unavailable => "unavailable",
            Self::Shutdown => "shutdown",
        }
    }
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_reason_has_a_name_of_its_own() {
        let names: BTreeSet<_> = EndReason::ALL.iter().map(|r| r.as_str()).collect();
        assert_eq!(names.len(), EndReason::ALL.len());
    }
}
