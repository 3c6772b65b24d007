//! What is known of a lamp, for who asks why it is on or off.

use hushbox_sip::mwi::VoiceMessages;
use jiff::Timestamp;

use super::Watcher;

/// How a NOTIFY was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// With a success.
    Taken,
    /// With this status, and it is sent again later.
    Later(u16),
    /// With this status, by a PBX that has not subscribed: it takes no such NOTIFY, and is asked again now and then.
    Refused(u16),
    /// Not at all, by a PBX that has not subscribed.
    None,
    /// It was not sent: there is no way there now.
    NoWay,
}

/// What a lamp was told last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// What the NOTIFY said.
    pub counts: VoiceMessages,
    /// The mailbox's version that it counted.
    pub version: u64,
    /// When it was sent.
    pub at: Timestamp,
    /// How it was answered; none while that is awaited.
    pub answer: Option<Answer>,
}

/// What is known of a lamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LampReport {
    /// Whose it is.
    pub watcher: Watcher,
    /// What it was told last.
    pub told: Option<Told>,
    /// What it has acknowledged.
    pub taken: Option<VoiceMessages>,
    /// Whether something waits to be told.
    pub pending: bool,
}
