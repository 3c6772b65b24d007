//! What goes in and comes out of a leg.

use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;

/// What a leg is told.
#[derive(Debug)]
pub enum Input<'a> {
    /// A packet came to the RTP port.
    Rtp {
        /// Its source.
        from: SocketAddr,
        /// It; decrypted in place.
        bytes: &'a mut [u8],
    },
    /// A packet came to the RTCP port.
    Rtcp {
        /// Its source.
        from: SocketAddr,
        /// It; decrypted in place.
        bytes: &'a mut [u8],
    },
    /// The instant of the last [`Output::Timeout`] has come, or any other.
    Timeout,
}

/// What a leg wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Send this from the RTP port.
    TransmitRtp {
        /// Where to.
        to: SocketAddr,
        /// The packet.
        bytes: Bytes,
    },
    /// Send this from the RTCP port.
    TransmitRtcp {
        /// Where to.
        to: SocketAddr,
        /// The packet.
        bytes: Bytes,
    },
    /// Something happened.
    Event(Event),
    /// Nothing more to do until then (or until an input comes).
    Timeout(Option<Instant>),
}

/// What happened on a leg.
#[derive(Clone, PartialEq, Eq)]
pub enum Event {
    /// A key was pressed: `0`-`9`, `*`, `#`, `A`-`D`. Once a press.
    Digit(char),
    /// Less than half a second is queued; said once after each [`Leg::play`](crate::Leg::play).
    PlaybackLow,
    /// All that was queued has been sent.
    PlaybackFinished,
    /// Recorded frames in the format of [`recording`](crate::recording), in whole records.
    Frames(Bytes),
    /// The recording reached a limit. [`Leg::stop_recording`](crate::Leg::stop_recording) is
    /// still to be called; nothing is recorded meanwhile.
    RecordingEnded(RecordingEnd),
    /// The peer put us on hold.
    Held,
    /// The peer took us back.
    Resumed,
    /// On hold for five minutes.
    HeldTooLong,
    /// Neither RTP nor RTCP for 30 s while not on hold, or the peer's key is used up.
    MediaDead,
}

impl std::fmt::Debug for Event {
    // Digits may be a PIN, frames are what a caller said: neither is shown.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Digit(_) => f.write_str("Digit(…)"),
            Self::PlaybackLow => f.write_str("PlaybackLow"),
            Self::PlaybackFinished => f.write_str("PlaybackFinished"),
            Self::Frames(bytes) => write!(f, "Frames({} octets)", bytes.len()),
            Self::RecordingEnded(end) => f.debug_tuple("RecordingEnded").field(end).finish(),
            Self::Held => f.write_str("Held"),
            Self::Resumed => f.write_str("Resumed"),
            Self::HeldTooLong => f.write_str("HeldTooLong"),
            Self::MediaDead => f.write_str("MediaDead"),
        }
    }
}

/// Which limit ended a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordingEnd {
    /// The longest recording.
    MaxLength,
    /// Silence, or no packets.
    Silence,
}
