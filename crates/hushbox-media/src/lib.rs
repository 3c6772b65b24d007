//! Media of a voicemail server as a pure core: SDP, RTP, RTCP, SRTP, codecs and telephone digits.
//!
//! A [`leg::Leg`] is one call's media: it answers or makes an offer, takes packets and time, and
//! gives back packets, events and the next instant at which it wants to be called. It opens no
//! socket, reads no clock, and draws every random byte from the seed in its configuration.
//!
//! - [`sdp`]: parse, write, offer and answer, `a=crypto`.
//! - [`srtp`]: the transform of RFC 3711 and RFC 7714 over aws-lc-rs's primitives.
//! - [`rtp`], [`rtcp`]: packets in and out, reception statistics.
//! - [`telephone_event`]: keys pressed by the caller.
//! - [`audio`]: G.711, levels, tones, prompts, what is queued to be played.
//! - [`recording`]: the format of recorded frames, and their timeline.
//! - [`leg`]: all of it together.
//!
//! Deliberately absent: DTLS-SRTP, ICE, video, transcoding of what is recorded, any repair of
//! lost audio other than silence of the right length.

pub mod audio;
mod error;
pub mod leg;
pub mod limits;
pub mod recording;
pub mod rtcp;
pub mod rtp;
pub mod sdp;
pub mod srtp;
pub mod telephone_event;
#[cfg(test)]
mod test_support;

pub use error::OfferError;
pub use leg::{
    Event, Input, Leg, LegConfig, LegReport, Output, RecordingEnd, RecordingLimits,
    RecordingSummary, Security,
};
