//! One call's media.
//!
//! [`Leg::handle_input`] takes packets and time, [`Leg::poll_output`] gives packets, events and,
//! when there is nothing more, the instant at which [`Input::Timeout`] is wanted.
//!
//! A packet that does not authenticate changes nothing but a counter: not where packets are sent,
//! not whether the peer is alive, not the recording.

mod agreement;
mod config;
mod incoming;
mod output;
mod receiver;
mod report;
mod sender;
mod timing;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};

pub use config::{LegConfig, RecordingLimits, Security};
pub use output::{Event, Input, Output, RecordingEnd};
pub use report::{LegReport, RecordingSummary};

use crate::OfferError;
use crate::audio::Audio;
use crate::recording::Recorder;
use crate::rtcp;
use crate::sdp::{Agreed, Negotiation};
use receiver::Receiver;
use sender::Sender;

/// One call's media: negotiation, keys, packets, playing, recording, digits.
pub struct Leg {
    epoch: Instant,
    random: ChaCha20Rng,
    negotiation: Negotiation,
    /// What a re-INVITE was answered that may still be cancelled.
    prepared: Option<(Negotiation, Option<Agreed>)>,
    agreed: Option<Agreed>,
    sender: Sender,
    receiver: Receiver,
    recorder: Option<Recorder>,
    /// What [`Event::RecordingEnded`] was said of.
    recording_ended: bool,
    cname: [u8; 24],
    rtcp_due: Option<Instant>,
    state: State,
    held: Option<Held>,
    /// When something of the peer's last came.
    heard: Instant,
    dead_said: bool,
    outputs: VecDeque<Output>,
}

impl std::fmt::Debug for Leg {
    // Keys, what was said and what is played are not shown.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Leg")
            .field("state", &self.state)
            .field("held", &self.held)
            .field("report", &self.report())
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the ACK: what comes is heard, nothing is sent.
    Negotiating,
    Started,
    HungUp,
}

#[derive(Debug, Clone, Copy)]
struct Held {
    since: Instant,
    too_long_said: bool,
}

impl Leg {
    /// Answers an offer.
    pub fn answer(
        now: Instant,
        config: LegConfig,
        offer: &[u8],
    ) -> Result<(Self, Bytes), OfferError> {
        let mut leg = Self::new(now, config);
        let (agreed, answer) = leg.negotiation.answer(offer, &mut leg.random)?;
        leg.apply(now, agreed);
        Ok((leg, answer))
    }

    /// Makes an offer, for an INVITE that brought none.
    pub fn offer(now: Instant, config: LegConfig) -> (Self, Bytes) {
        let mut leg = Self::new(now, config);
        let offer = leg.negotiation.offer(&mut leg.random);
        (leg, offer)
    }

    /// Takes the answer to our offer.
    pub fn handle_answer(&mut self, now: Instant, sdp: &[u8]) -> Result<(), OfferError> {
        let agreed = self.negotiation.take_answer(sdp)?;
        self.apply(now, agreed);
        Ok(())
    }

    /// Takes the answer to our last description, which signalling has offered again to refresh the session. It may
    /// bring another address or key (RFC 3264 §8). On an error everything stays as it was.
    pub fn handle_refresh_answer(&mut self, now: Instant, sdp: &[u8]) -> Result<(), OfferError> {
        let agreed = self.negotiation.take_repeated_answer(sdp)?;
        self.apply(now, agreed);
        Ok(())
    }

    /// Answers a re-INVITE's offer, or makes a full one where it brought none (the answer then
    /// comes by [`Leg::handle_answer`]). Nothing changes until [`Leg::commit_reoffer`]: whoever asked may have
    /// cancelled it meanwhile (RFC 3261 §14.1).
    pub fn prepare_reoffer(&mut self, offer: Option<&[u8]>) -> Result<Bytes, OfferError> {
        let mut negotiation = self.negotiation.clone();
        let (agreed, sdp) = match offer {
            None => (None, negotiation.offer(&mut self.random)),
            Some(offer) => {
                let (agreed, answer) = negotiation.answer(offer, &mut self.random)?;
                (Some(agreed), answer)
            }
        };
        self.prepared = Some((negotiation, agreed));
        Ok(sdp)
    }

    /// Puts to work what [`Leg::prepare_reoffer`] has answered last.
    pub fn commit_reoffer(&mut self, now: Instant) {
        let Some((negotiation, agreed)) = self.prepared.take() else { return };
        self.negotiation = negotiation;
        if let Some(agreed) = agreed {
            self.apply(now, agreed);
        }
    }

    /// Both at once. On an error everything stays as it was.
    pub fn handle_reoffer(
        &mut self,
        now: Instant,
        offer: Option<&[u8]>,
    ) -> Result<Bytes, OfferError> {
        let sdp = self.prepare_reoffer(offer)?;
        self.commit_reoffer(now);
        Ok(sdp)
    }

    /// The session is confirmed: from here on packets are sent.
    pub fn start(&mut self, now: Instant) {
        if self.state == State::Negotiating {
            self.state = State::Started;
            self.heard = now;
            self.rtcp_due = Some(now + self.rtcp_wait());
            self.update_running(now);
            self.advance(now);
        }
    }

    /// Appends to what is played.
    pub fn play(&mut self, now: Instant, audio: Audio) {
        self.sender.play(now, audio);
        self.advance(now);
    }

    /// Forgets what is queued to be played. The time of the packet that is under way ends first.
    pub fn stop_playing(&mut self, _now: Instant) {
        self.sender.stop_playing();
    }

    /// How much was played since the last [`Leg::stop_playing`].
    pub fn played(&self) -> Duration {
        self.sender.played()
    }

    /// How much is queued to be played.
    pub fn queued(&self) -> Duration {
        self.sender.queued()
    }

    /// From here on what arrives is recorded. A recording before it is forgotten.
    pub fn start_recording(&mut self, now: Instant, limits: RecordingLimits) {
        let mut recorder = Recorder::new(now, limits);
        if self.held.is_some() {
            recorder.pause(now);
        }
        self.recorder = Some(recorder);
        self.recording_ended = false;
    }

    /// Ends the recording; its last frames are given out as an event.
    pub fn stop_recording(&mut self, _now: Instant) -> RecordingSummary {
        let Some(recorder) = self.recorder.take() else { return RecordingSummary::default() };
        let (summary, frames) = recorder.finish();
        if let Some(frames) = frames {
            self.event(Event::Frames(frames));
        }
        summary
    }

    /// Says goodbye by RTCP and sends nothing more; what still comes is not looked at.
    pub fn hang_up(&mut self, now: Instant) {
        if self.state == State::Started {
            self.send_report(now, true);
        }
        self.state = State::HungUp;
        self.rtcp_due = None;
        self.sender.set_running(now, false);
    }

    /// Takes a packet or the passing of time.
    pub fn handle_input(&mut self, now: Instant, input: Input<'_>) {
        if self.state != State::HungUp {
            match input {
                Input::Rtp { from, bytes } => self.handle_rtp(now, from, bytes),
                Input::Rtcp { from, bytes } => self.handle_rtcp(now, from, bytes, false),
                Input::Timeout => {}
            }
        }
        self.advance(now);
    }

    /// The next output; [`Output::Timeout`] when there is nothing more to do now.
    pub fn poll_output(&mut self) -> Output {
        self.outputs.pop_front().unwrap_or_else(|| Output::Timeout(self.deadline()))
    }

    /// What happened on this leg so far.
    pub fn report(&self) -> LegReport {
        LegReport {
            suite: self.agreed.as_ref().and_then(Agreed::suite),
            codec: self.agreed.as_ref().map(|agreed| agreed.codec),
            received: self.receiver.reception.received(),
            sent: self.sender.sent(),
            lost: self.receiver.reception.lost(),
            replays: self.receiver.replays,
            auth_failures: self.receiver.auth_failures,
            dropped: self.receiver.dropped,
            jitter: self.receiver.reception.jitter(),
        }
    }

    fn new(now: Instant, config: LegConfig) -> Self {
        let mut random = ChaCha20Rng::from_seed(config.seed);
        let srtp_only = config.security == Security::SrtpOnly;
        let negotiation =
            Negotiation::new(config.local_ip, config.rtp_port, srtp_only, &mut random);
        let mut cname = [0; 12];
        random.fill_bytes(&mut cname);
        Self {
            epoch: now,
            negotiation,
            prepared: None,
            agreed: None,
            sender: Sender::new(&mut random),
            receiver: Receiver::default(),
            recorder: None,
            recording_ended: false,
            cname: rtcp::cname(cname),
            rtcp_due: None,
            state: State::Negotiating,
            held: None,
            heard: now,
            dead_said: false,
            outputs: VecDeque::new(),
            random,
        }
    }

    fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }
}
