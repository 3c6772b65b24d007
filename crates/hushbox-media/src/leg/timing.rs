//! What time brings: packets that are due, reports, limits.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand_core::RngCore;

use super::{Event, Leg, Output, State};
use crate::limits::{HOLD_MAX, MEDIA_DEAD, RTCP_INTERVAL};
use crate::recording::Recorder;
use crate::rtcp::{self, Report};

impl Leg {
    /// Does what is due.
    pub(super) fn advance(&mut self, now: Instant) {
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

    pub(super) fn deadline(&self) -> Option<Instant> {
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

    pub(super) fn media_dead(&mut self) {
        if !self.dead_said {
            self.dead_said = true;
            self.event(Event::MediaDead);
        }
    }

    fn rtp_destination(&self) -> Option<SocketAddr> {
        self.receiver.rtp_source().or(self.agreed.as_ref()?.remote_rtp)
    }

    /// RFC 3550 §6.2: not in step with anybody else.
    pub(super) fn rtcp_wait(&mut self) -> Duration {
        let half = RTCP_INTERVAL / 2;
        half + RTCP_INTERVAL.mul_f64(f64::from(self.random.next_u32()) / f64::from(u32::MAX))
    }

    pub(super) fn send_report(&mut self, now: Instant, goodbye: bool) {
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
}
