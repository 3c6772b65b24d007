//! One call's media.
//!
//! [`Leg::handle_input`] takes packets and time, [`Leg::poll_output`] gives packets, events and,
//! when there is nothing more, the instant at which [`Input::Timeout`] is wanted.
//!
//! A packet that does not authenticate changes nothing but a counter: not where packets are sent,
//! not whether the peer is alive, not the recording.

mod config;
mod output;
mod receiver;
mod report;
mod sender;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};

pub use config::{LegConfig, RecordingLimits, Security};
pub use output::{Event, Input, Output, RecordingEnd};
pub use report::{LegReport, RecordingSummary};

use crate::OfferError;
use crate::audio::Audio;
use crate::limits::{HOLD_MAX, MEDIA_DEAD, PACKET_BYTES, RTCP_INTERVAL};
use crate::recording::Recorder;
use crate::rtcp::{self, Report};
use crate::rtp::{self, Arrival, Packet};
use crate::sdp::{Agreed, Negotiation, PayloadMeaning};
use crate::srtp::SrtpError;
use crate::telephone_event::TelephoneEvent;
use receiver::{Protocol, Receiver};
use sender::Sender;

/// Comfort noise (RFC 3389): silence that was announced.
const COMFORT_NOISE: u8 = 13;

/// One call's media: negotiation, keys, packets, playing, recording, digits.
#[derive(Debug)]
pub struct Leg {
    epoch: Instant,
    random: ChaCha20Rng,
    negotiation: Negotiation,
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

    /// Answers a re-INVITE's offer, or makes a full one where it brought none (the answer then
    /// comes by [`Leg::handle_answer`]). On an error everything stays as it was.
    pub fn handle_reoffer(
        &mut self,
        now: Instant,
        offer: Option<&[u8]>,
    ) -> Result<Bytes, OfferError> {
        let Some(offer) = offer else { return Ok(self.negotiation.offer(&mut self.random)) };
        let (agreed, answer) = self.negotiation.answer(offer, &mut self.random)?;
        self.apply(now, agreed);
        Ok(answer)
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

    /// Puts what was agreed on to work; what is as before goes on undisturbed.
    fn apply(&mut self, now: Instant, agreed: Agreed) {
        let before = self.agreed.take();
        let (theirs, ours) = match &before {
            Some(before) => (
                before.keys.as_ref().map(|keys| &keys.inbound),
                before.keys.as_ref().map(|keys| &keys.outbound),
            ),
            None => (None, None),
        };
        let keys = agreed.keys.as_ref();
        let inbound = keys.map(|keys| &keys.inbound);
        let outbound = keys.map(|keys| &keys.outbound);
        // The tag may change; the key, its MKI and its lifetime make it another one.
        let same = match (theirs, inbound) {
            (Some(theirs), Some(inbound)) => {
                theirs.master == inbound.master && theirs.mki == inbound.mki
            }
            (None, None) => true,
            _ => false,
        };
        if !same {
            self.receiver.set_key(inbound);
        }
        if ours != outbound || before.is_none() {
            self.sender.set_key(outbound, &mut self.random);
        }
        let moved = before.as_ref().is_some_and(|before| {
            agreed.remote_rtp.is_some() && before.remote_rtp != agreed.remote_rtp
        });
        if moved {
            self.receiver.forget_source(now);
        }
        self.sender.set_format(agreed.codec, agreed.payload_type, agreed.packet_millis);
        let holds = !agreed.may_send;
        self.agreed = Some(agreed);
        match (self.held, holds) {
            (None, true) => {
                self.held = Some(Held { since: now, too_long_said: false });
                if let Some(recorder) = &mut self.recorder {
                    recorder.pause(now);
                }
                self.event(Event::Held);
            }
            (Some(_), false) => {
                self.held = None;
                self.heard = now;
                if let Some(recorder) = &mut self.recorder {
                    recorder.resume(now);
                }
                self.event(Event::Resumed);
            }
            _ => {}
        }
        self.update_running(now);
        self.advance(now);
    }

    fn update_running(&mut self, now: Instant) {
        let may_send = self.agreed.as_ref().is_some_and(|agreed| agreed.may_send);
        self.sender.set_running(now, may_send && self.state == State::Started);
    }

    fn handle_rtp(&mut self, now: Instant, from: SocketAddr, bytes: &mut [u8]) {
        let Some(agreed) = &self.agreed else { return };
        if rtp::is_rtcp(bytes) && agreed.rtcp_mux {
            return self.handle_rtcp(now, from, bytes, true);
        }
        if bytes.len() > PACKET_BYTES {
            self.receiver.dropped += 1;
            return;
        }
        let opened = match self.receiver.open(Protocol::Rtp, bytes) {
            Ok(opened) => opened,
            Err(SrtpError::KeyExhausted) => return self.media_dead(),
            Err(_) => return,
        };
        let packet = match Packet::parse(&bytes[..opened.length]) {
            Ok(packet) if self.receiver.accept_source(now, from, opened.old_key) => packet,
            _ => {
                self.receiver.dropped += 1;
                return;
            }
        };
        self.heard = now;
        let arrival = self.receiver.reception.arrived(&packet.header);
        if arrival == Arrival::Duplicate {
            self.receiver.replays += 1;
            return;
        }
        let header = &packet.header;
        match agreed.receive.meaning(header.payload_type) {
            Some(PayloadMeaning::TelephoneEvent) => {
                let key = TelephoneEvent::parse(packet.payload)
                    .and_then(|event| self.receiver.presses.receive(header, event));
                if let Some(key) = key {
                    self.event(Event::Digit(key));
                }
            }
            Some(PayloadMeaning::Audio(codec)) => {
                self.receiver.reception.audio_arrived(self.epoch, now, header.timestamp);
                if let Some(recorder) = &mut self.recorder {
                    let late = arrival == Arrival::Late;
                    recorder.audio(now, header, late, codec, packet.payload);
                }
            }
            None if header.payload_type == COMFORT_NOISE => {}
            None => self.receiver.dropped += 1,
        }
    }

    fn handle_rtcp(&mut self, now: Instant, from: SocketAddr, bytes: &mut [u8], mux: bool) {
        let Some(agreed) = &self.agreed else { return };
        let described = agreed.remote_rtcp;
        if bytes.len() > PACKET_BYTES {
            self.receiver.dropped += 1;
            return;
        }
        let Ok(opened) = self.receiver.open(Protocol::Rtcp, bytes) else { return };
        let accepted = match rtcp::parse(&bytes[..opened.length]) {
            Ok(received) => {
                let known = if mux {
                    self.receiver.accept_source(now, from, opened.old_key)
                } else {
                    self.receiver.accept_rtcp_source(from, described)
                };
                known.then_some(received)
            }
            Err(_) => None,
        };
        let Some(received) = accepted else {
            self.receiver.dropped += 1;
            return;
        };
        self.heard = now;
        if let Some(lsr) = received.sender_report {
            self.receiver.sender_report(now, lsr);
        }
    }

    /// Does what is due.
    fn advance(&mut self, now: Instant) {
        while let Some(tick) = self.sender.tick(now) {
            if let (Some(bytes), Some(to)) = (tick.packet, self.rtp_destination()) {
                self.outputs.push_back(Output::TransmitRtp { to, bytes });
            }
            if tick.low {
                self.event(Event::PlaybackLow);
            }
            if tick.finished {
                self.event(Event::PlaybackFinished);
            }
        }
        self.advance_recording(now);
        if self.rtcp_due.is_some_and(|due| now >= due) {
            self.send_report(now, false);
            self.rtcp_due = Some(now + self.rtcp_wait());
        }
        if let Some(held) = &mut self.held
            && !held.too_long_said
            && now >= held.since + HOLD_MAX
        {
            held.too_long_said = true;
            self.event(Event::HeldTooLong);
        }
        if self.dead_at().is_some_and(|dead| now >= dead) {
            self.media_dead();
        }
    }

    fn advance_recording(&mut self, now: Instant) {
        let Some(recorder) = &mut self.recorder else { return };
        let ended = recorder.handle_timeout(now);
        if let Some(frames) = recorder.frames(now) {
            self.outputs.push_back(Output::Event(Event::Frames(frames)));
        }
        if let Some(end) = ended
            && !self.recording_ended
        {
            self.recording_ended = true;
            self.event(Event::RecordingEnded(end));
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let held = self.held.filter(|held| !held.too_long_said).map(|held| held.since + HOLD_MAX);
        let recorder = self.recorder.as_ref().and_then(Recorder::deadline);
        let live = self.state != State::HungUp;
        [self.sender.deadline(), recorder, self.rtcp_due, held.filter(|_| live), self.dead_at()]
            .into_iter()
            .flatten()
            .min()
    }

    /// When a silent peer counts as gone: not before the start, not on hold, once.
    fn dead_at(&self) -> Option<Instant> {
        let counts = self.state == State::Started && self.held.is_none() && !self.dead_said;
        counts.then(|| self.heard + MEDIA_DEAD)
    }

    fn media_dead(&mut self) {
        if !self.dead_said {
            self.dead_said = true;
            self.event(Event::MediaDead);
        }
    }

    fn rtp_destination(&self) -> Option<SocketAddr> {
        self.receiver.rtp_source().or(self.agreed.as_ref()?.remote_rtp)
    }

    /// RFC 3550 §6.2: not in step with anybody else.
    fn rtcp_wait(&mut self) -> Duration {
        let half = RTCP_INTERVAL / 2;
        half + RTCP_INTERVAL.mul_f64(f64::from(self.random.next_u32()) / f64::from(u32::MAX))
    }

    fn send_report(&mut self, now: Instant, goodbye: bool) {
        let Some(agreed) = &self.agreed else { return };
        let mux = agreed.rtcp_mux;
        let to = if mux {
            self.rtp_destination()
        } else {
            self.receiver.rtcp_source().or(agreed.remote_rtcp)
        };
        let Some(to) = to else { return };
        let report = Report {
            ssrc: self.sender.ssrc(),
            sender: self.sender.info(self.epoch, now),
            block: self.receiver.reception.report(),
            last: self.receiver.last_report(now),
            cname: &self.cname,
            goodbye,
        };
        let mut buffer = [0; rtcp::BUFFER_BYTES];
        let length = report.write(&mut buffer);
        if let Some(bytes) = self.sender.seal_rtcp(&mut buffer, length) {
            self.outputs.push_back(if mux {
                Output::TransmitRtp { to, bytes }
            } else {
                Output::TransmitRtcp { to, bytes }
            });
        }
    }

    fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }
}
