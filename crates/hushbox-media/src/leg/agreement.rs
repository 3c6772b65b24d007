//! What was agreed on, put to work.

use std::time::Instant;

use super::{Event, Held, Leg, State};
use crate::sdp::Agreed;

impl Leg {
    /// Puts what was agreed on to work; what is as before goes on undisturbed.
    pub(super) fn apply(&mut self, now: Instant, agreed: Agreed) {
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

    pub(super) fn update_running(&mut self, now: Instant) {
        let may_send = self.agreed.as_ref().is_some_and(|agreed| agreed.may_send);
        self.sender.set_running(now, may_send && self.state == State::Started);
    }
}
