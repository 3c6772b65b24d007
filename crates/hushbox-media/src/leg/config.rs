//! What a leg is told at its start.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

/// Whether RTP may go in clear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// SRTP or nothing.
    SrtpOnly,
    /// RTP, or SRTP where it is offered. For listeners that serve no account with PHI.
    Lab,
}

/// What a leg is told at its start.
#[derive(Clone)]
pub struct LegConfig {
    /// The address in our session descriptions: where peers reach us.
    pub local_ip: IpAddr,
    /// The port for RTP; RTCP has the next one.
    pub rtp_port: u16,
    /// Whether RTP may go in clear.
    pub security: Security,
    /// The source of every random value of this leg: keys, SSRC, sequence number. Never used twice.
    pub seed: [u8; 32],
}

impl fmt::Debug for LegConfig {
    // The seed makes keys: it is not shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LegConfig")
            .field("local_ip", &self.local_ip)
            .field("rtp_port", &self.rtp_port)
            .field("security", &self.security)
            .finish_non_exhaustive()
    }
}

/// When a recording ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordingLimits {
    /// The longest recording.
    pub max: Duration,
    /// Ends after this long below -45 dBm0 or without packets.
    pub silence: Duration,
}

impl Default for RecordingLimits {
    fn default() -> Self {
        Self { max: Duration::from_secs(180), silence: Duration::from_secs(10) }
    }
}
