//! One call's media.
//!
//! [`Leg::handle_input`] takes packets and time, [`Leg::poll_output`] gives packets, events and,
//! when there is nothing more, the instant at which [`Input::Timeout`] is wanted.

mod config;
mod output;
mod report;

use std::time::{Duration, Instant};

use bytes::Bytes;

pub use config::{LegConfig, RecordingLimits, Security};
pub use output::{Event, Input, Output, RecordingEnd};
pub use report::{LegReport, RecordingSummary};

use crate::OfferError;
use crate::audio::Audio;

/// One call's media: negotiation, keys, packets, playing, recording, digits.
#[derive(Debug)]
pub struct Leg {
    config: LegConfig,
}

impl Leg {
    /// Answers an offer.
    pub fn answer(
        _now: Instant,
        _config: LegConfig,
        _offer: &[u8],
    ) -> Result<(Self, Bytes), OfferError> {
        Err(OfferError::NoAudio)
    }

    /// Makes an offer, for an INVITE that brought none.
    pub fn offer(_now: Instant, config: LegConfig) -> (Self, Bytes) {
        (Self { config }, Bytes::new())
    }

    /// Takes the answer to our offer.
    pub fn handle_answer(&mut self, _now: Instant, _sdp: &[u8]) -> Result<(), OfferError> {
        let _ = &self.config;
        Err(OfferError::Answer("none awaited"))
    }

    /// Answers a re-INVITE's offer, or makes a full one where it brought none (the answer then
    /// comes by [`Leg::handle_answer`]). On an error everything stays as it was.
    pub fn handle_reoffer(
        &mut self,
        _now: Instant,
        _offer: Option<&[u8]>,
    ) -> Result<Bytes, OfferError> {
        Err(OfferError::NoAudio)
    }

    /// The session is confirmed: from here on packets are sent.
    pub fn start(&mut self, _now: Instant) {}

    /// Appends to what is played.
    pub fn play(&mut self, _now: Instant, _audio: Audio) {}

    /// Forgets what is queued to be played.
    pub fn stop_playing(&mut self, _now: Instant) {}

    /// How much was played since the last [`Leg::stop_playing`].
    pub fn played(&self) -> Duration {
        Duration::ZERO
    }

    /// How much is queued to be played.
    pub fn queued(&self) -> Duration {
        Duration::ZERO
    }

    /// From here on what arrives is recorded.
    pub fn start_recording(&mut self, _now: Instant, _limits: RecordingLimits) {}

    /// Ends the recording; its last frames are given out as an event.
    pub fn stop_recording(&mut self, _now: Instant) -> RecordingSummary {
        RecordingSummary::default()
    }

    /// Says goodbye by RTCP and sends nothing more.
    pub fn hang_up(&mut self, _now: Instant) {}

    /// Takes a packet or the passing of time.
    pub fn handle_input(&mut self, _now: Instant, _input: Input<'_>) {}

    /// The next output; [`Output::Timeout`] when there is nothing more to do now.
    pub fn poll_output(&mut self) -> Output {
        Output::Timeout(None)
    }

    /// What happened on this leg so far.
    pub fn report(&self) -> LegReport {
        LegReport::default()
    }
}
