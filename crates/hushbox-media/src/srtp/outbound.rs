//! Packets that we send.

use super::session::{RTCP_HEADER_BYTES, SessionKeys};
use super::{MasterKey, PacketIndex, SrtpError};
use crate::limits::{SRTCP_INDEX_MAX, SRTP_LIFETIME_MAX};
use crate::rtp::{self, Header, Ssrc};

/// One of our streams under one of our keys. An index is used once, and never again.
#[derive(Debug)]
pub struct Outbound {
    ssrc: Ssrc,
    rtp: SessionKeys,
    rtcp: SessionKeys,
    /// The lowest index that was not used.
    next: u64,
    rtcp_next: u32,
}

impl Outbound {
    /// A stream whose first packet will have this sequence number and a rollover counter of zero.
    /// Below 2^15, so that losing the first packets does not confuse the receiver.
    pub fn new(master: &MasterKey, ssrc: Ssrc, first_sequence: u16) -> Self {
        Self {
            ssrc,
            rtp: SessionKeys::rtp(master),
            rtcp: SessionKeys::rtcp(master),
            next: u64::from(first_sequence),
            rtcp_next: 0,
        }
    }

    /// Protects the RTP packet in `buffer[..length]` in place; gives its new length. The buffer
    /// needs room for the tag.
    pub fn protect_rtp(&mut self, buffer: &mut [u8], length: usize) -> Result<usize, SrtpError> {
        let packet = buffer.get(..length).ok_or(SrtpError::Malformed)?;
        let header = Header::parse(packet).map_err(|_| SrtpError::Malformed)?;
        let offset = rtp::payload_offset(packet).map_err(|_| SrtpError::Malformed)?;
        let ahead = header.sequence.wrapping_sub(self.next as u16);
        // Sequence numbers go forward only: a step back would use the key stream twice.
        if header.ssrc != self.ssrc || ahead >= 0x8000 {
            return Err(SrtpError::Reuse);
        }
        let index = self.next + u64::from(ahead);
        if index >= SRTP_LIFETIME_MAX {
            return Err(SrtpError::KeyExhausted);
        }
        let length = self.rtp.seal_rtp(buffer, offset, length, self.ssrc, PacketIndex(index))?;
        self.next = index + 1;
        Ok(length)
    }

    /// Protects the RTCP packet in `buffer[..length]` in place; gives its new length. The buffer
    /// needs room for index and tag.
    pub fn protect_rtcp(&mut self, buffer: &mut [u8], length: usize) -> Result<usize, SrtpError> {
        if length < RTCP_HEADER_BYTES {
            return Err(SrtpError::Malformed);
        }
        if self.rtcp_next > SRTCP_INDEX_MAX {
            return Err(SrtpError::KeyExhausted);
        }
        let length = self.rtcp.seal_rtcp(buffer, length, self.ssrc, self.rtcp_next)?;
        self.rtcp_next += 1;
        Ok(length)
    }

    /// The stream's source.
    pub fn ssrc(&self) -> Ssrc {
        self.ssrc
    }
}
