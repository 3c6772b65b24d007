//! Writes recorded frames.

use bytes::{BufMut, Bytes, BytesMut};

use super::{HEADER_BYTES, Kind, MAGIC, PAYLOAD_MAX};
use crate::audio::Codec;
use crate::limits::FRAMES_BYTES;

/// Gathers recorded frames and gives them out in whole records.
#[derive(Default)]
pub struct FrameWriter {
    buffer: BytesMut,
    started: bool,
}

impl std::fmt::Debug for FrameWriter {
    // What a caller said is not shown.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FrameWriter({} octets)", self.buffer.len())
    }
}

impl FrameWriter {
    /// Adds a payload at its place in samples since the start. Returns false, and adds nothing,
    /// if it is longer than a record may be.
    pub fn frame(&mut self, codec: Codec, place: u32, payload: &[u8]) -> bool {
        payload.len() <= PAYLOAD_MAX && self.record(Kind::Frame(codec), place, payload)
    }

    /// Says that the recording lasts at least until this place.
    pub fn until(&mut self, place: u32) {
        self.record(Kind::Until, place, &[]);
    }

    /// Octets that wait to be taken.
    pub fn len(&self) -> usize {
        self.buffer.len()
    }

    /// Whether nothing waits to be taken.
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// Takes what was gathered: whole records.
    pub fn take(&mut self) -> Bytes {
        self.buffer.split().freeze()
    }

    fn record(&mut self, kind: Kind, place: u32, payload: &[u8]) -> bool {
        let Ok(length) = u16::try_from(payload.len()) else { return false };
        if self.buffer.capacity() - self.buffer.len() < MAGIC.len() + HEADER_BYTES + payload.len() {
            // Takes the same memory again once what was given out has been dropped.
            self.buffer.reserve(FRAMES_BYTES);
        }
        if !self.started {
            self.buffer.put_slice(&MAGIC);
            self.started = true;
        }
        self.buffer.put_u8(kind.to_octet());
        self.buffer.put_u32(place);
        self.buffer.put_u16(length);
        self.buffer.put_slice(payload);
        true
    }
}
