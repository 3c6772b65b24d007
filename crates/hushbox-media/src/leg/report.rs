//! What a leg and a recording say about themselves at the end.

use crate::audio::Codec;
use crate::srtp::Suite;

/// What a recording was.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RecordingSummary {
    /// Its length in samples at 8 kHz.
    pub samples: u64,
    /// Audio packets in it.
    pub packets: u64,
    /// Whether 100 ms in one piece were above -45 dBm0.
    pub voiced: bool,
    /// Whether all of it was zeros (also true when no packet came).
    pub digital_silence: bool,
}

/// What happened on a leg.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LegReport {
    /// The SRTP suite in use; none for plain RTP.
    pub suite: Option<Suite>,
    /// What we send.
    pub codec: Option<Codec>,
    /// RTP packets accepted.
    pub received: u64,
    /// RTP packets sent.
    pub sent: u64,
    /// RTP packets that never came, by sequence numbers.
    pub lost: u64,
    /// Packets that came twice or too late.
    pub replays: u64,
    /// SRTP or SRTCP packets that did not authenticate.
    pub auth_failures: u64,
    /// Packets dropped for another reason: plain where SRTP is due, unknown payload type, garbage.
    pub dropped: u64,
    /// Jitter of what came (RFC 3550 §6.4.1), in samples.
    pub jitter: u32,
}
