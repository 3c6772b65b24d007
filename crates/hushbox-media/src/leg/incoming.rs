//! Packets that come: opened first, believed after.

use std::net::SocketAddr;
use std::time::Instant;

use super::receiver::Protocol;
use super::{Event, Leg};
use crate::limits::PACKET_BYTES;
use crate::rtcp;
use crate::rtp::{self, Arrival, Packet};
use crate::sdp::PayloadMeaning;
use crate::srtp::SrtpError;
use crate::telephone_event::TelephoneEvent;

/// Comfort noise (RFC 3389): silence that was announced.
const COMFORT_NOISE: u8 = 13;

impl Leg {
    pub(super) fn handle_rtp(&mut self, now: Instant, from: SocketAddr, bytes: &mut [u8]) {
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
            Ok(packet) if self.receiver.may_come_from(now, from) => packet,
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
        if arrival != Arrival::Late {
            self.receiver.came_from(now, from, opened.old_key);
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

    pub(super) fn handle_rtcp(
        &mut self,
        now: Instant,
        from: SocketAddr,
        bytes: &mut [u8],
        mux: bool,
    ) {
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
                    self.receiver.may_come_from(now, from)
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
}
