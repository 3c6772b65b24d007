//! Packets that the peer sends.

use super::replay::ReplayWindow;
use super::session::{RTCP_ENCRYPTED, RTCP_HEADER_BYTES, SessionKeys};
use super::{MasterKey, Mki, PacketIndex, SrtpError};
use crate::limits::{PACKET_BYTES, SRTP_LIFETIME_MAX, SRTP_STREAMS};
use crate::rtp::{self, Header, Ssrc};

/// What the peer sends under one of its keys: any number of sources up to
/// [`SRTP_STREAMS`], each with its rollover counter and replay window.
#[derive(Debug)]
pub struct Inbound {
    rtp: SessionKeys,
    rtcp: SessionKeys,
    mki: Option<Mki>,
    /// Packets that the key may still protect (RFC 4568 §6.1).
    lifetime: u64,
    streams: Vec<Stream>,
    rtcp_streams: Vec<Stream>,
    /// The highest indices under the key before this one.
    carried: Vec<(Ssrc, PacketIndex)>,
}

#[derive(Debug)]
struct Stream {
    ssrc: Ssrc,
    window: ReplayWindow,
}

impl Inbound {
    /// For a key that the peer named, with its MKI and its lifetime in packets if it named them.
    pub fn new(master: &MasterKey, mki: Option<Mki>, lifetime: Option<u64>) -> Self {
        Self {
            rtp: SessionKeys::rtp(master),
            rtcp: SessionKeys::rtcp(master),
            mki,
            lifetime: lifetime.unwrap_or(SRTP_LIFETIME_MAX).min(SRTP_LIFETIME_MAX),
            streams: Vec::new(),
            rtcp_streams: Vec::new(),
            carried: Vec::new(),
        }
    }

    /// This key follows on `before`: RFC 3711 §3.3.1 keeps the rollover counters then, RFC 4568
    /// §7.1.4 starts them again where the address changed, and peers differ; so both are tried.
    /// Replay windows start anew.
    pub fn continuing(mut self, before: &Self) -> Self {
        let streams = before.streams.iter();
        self.carried =
            streams.map(|stream| (stream.ssrc, PacketIndex(stream.window.highest()))).collect();
        self
    }

    /// Whether a packet of any source has authenticated under this key.
    pub fn in_use(&self) -> bool {
        !self.streams.is_empty() || !self.rtcp_streams.is_empty()
    }

    /// Checks and decrypts an RTP packet in place; gives its index and its length in clear. On an
    /// error no state has changed, and the packet's octets are of no use any more.
    pub fn unprotect_rtp(&mut self, packet: &mut [u8]) -> Result<(PacketIndex, usize), SrtpError> {
        let header = Header::parse(packet).map_err(|_| SrtpError::Malformed)?;
        let offset = rtp::payload_offset(packet).map_err(|_| SrtpError::Malformed)?;
        let (tag, length) = self.rtp_tag(packet)?;
        if packet.len() > PACKET_BYTES || offset > length {
            return Err(SrtpError::Malformed);
        }
        let tag = &tag[..self.rtp.tag_bytes()];
        let packet = &mut packet[..length];
        let known = self.streams.iter().position(|stream| stream.ssrc == header.ssrc);
        // RFC 3711 §3.3: guess the index, check for replay, authenticate, decrypt, then update.
        let index = match known {
            Some(place) => {
                let window = &self.streams[place].window;
                let index = guess(PacketIndex(window.highest()), header.sequence)
                    .filter(|index| !window.is_replay(index.0))
                    .ok_or(SrtpError::Replay)?;
                self.rtp.open_rtp(packet, offset, tag, header.ssrc, index)?;
                index
            }
            None => self.open_new(packet, offset, tag, &header)?,
        };
        if self.lifetime == 0 {
            return Err(SrtpError::KeyExhausted);
        }
        match known {
            Some(place) => self.streams[place].window.mark(index.0),
            None => remember(&mut self.streams, header.ssrc, index.0)?,
        }
        self.lifetime -= 1;
        Ok((index, length))
    }

    /// Checks and decrypts an RTCP packet in place; gives its length in clear. On an error no
    /// state has changed, and the packet's octets are of no use any more.
    pub fn unprotect_rtcp(&mut self, packet: &mut [u8]) -> Result<usize, SrtpError> {
        let tag_bytes = self.rtcp.tag_bytes();
        let mki_bytes = self.mki.as_ref().map_or(0, |mki| mki.octets().len());
        let trailer = 4 + mki_bytes + tag_bytes;
        let length = packet.len().checked_sub(trailer).ok_or(SrtpError::Malformed)?;
        if length < RTCP_HEADER_BYTES || packet.len() > PACKET_BYTES || packet[0] >> 6 != 2 {
            return Err(SrtpError::Malformed);
        }
        let (packet, trailer) = packet.split_at_mut(length);
        // RFC 3711 §3.4: index, MKI, tag. RFC 7714 §9.3: tag, index, MKI.
        let (word, mki, tag) = if self.rtcp.rtcp_tag_first() {
            let (tag, rest) = trailer.split_at(tag_bytes);
            (&rest[..4], &rest[4..], tag)
        } else {
            let (rest, tag) = trailer.split_at(4 + mki_bytes);
            (&rest[..4], &rest[4..], tag)
        };
        if self.mki.as_ref().is_some_and(|ours| ours.octets() != mki) {
            return Err(SrtpError::Mki);
        }
        let word = u32::from_be_bytes([word[0], word[1], word[2], word[3]]);
        if word & RTCP_ENCRYPTED == 0 {
            return Err(SrtpError::Clear);
        }
        let index = word & !RTCP_ENCRYPTED;
        let ssrc = Ssrc(u32::from_be_bytes([packet[4], packet[5], packet[6], packet[7]]));
        let known = self.rtcp_streams.iter().position(|stream| stream.ssrc == ssrc);
        if known.is_some_and(|at| self.rtcp_streams[at].window.is_replay(u64::from(index))) {
            return Err(SrtpError::Replay);
        }
        self.rtcp.open_rtcp(packet, tag, ssrc, index)?;
        match known {
            Some(place) => self.rtcp_streams[place].window.mark(u64::from(index)),
            None => remember(&mut self.rtcp_streams, ssrc, u64::from(index))?,
        }
        Ok(length)
    }

    /// The tag of an RTP packet, and the length before tag and MKI.
    fn rtp_tag(&self, packet: &[u8]) -> Result<([u8; 16], usize), SrtpError> {
        let tag_bytes = self.rtp.tag_bytes();
        let mki = self.mki.as_ref().map_or(&[][..], Mki::octets);
        let trailer = tag_bytes + mki.len();
        let length = packet.len().checked_sub(trailer).ok_or(SrtpError::Malformed)?;
        let trailer = &packet[length..];
        // RFC 7714 §8: the GCM tag is a part of the cipher text and stands before the MKI.
        let (found, octets) = if self.rtp.rtcp_tag_first() {
            (&trailer[tag_bytes..], &trailer[..tag_bytes])
        } else {
            (&trailer[..mki.len()], &trailer[mki.len()..])
        };
        if found != mki {
            return Err(SrtpError::Mki);
        }
        let mut tag = [0; 16];
        tag[..tag_bytes].copy_from_slice(octets);
        Ok((tag, length))
    }

    /// Opens the first packet of a source: under a rollover counter that was carried over, under
    /// zero, and under one in case that the packets before the first wrap were lost.
    fn open_new(
        &self,
        packet: &mut [u8],
        offset: usize,
        tag: &[u8],
        header: &Header,
    ) -> Result<PacketIndex, SrtpError> {
        let carried = self.carried.iter().find(|(ssrc, _)| *ssrc == header.ssrc);
        let carried = carried.and_then(|&(_, highest)| guess(highest, header.sequence));
        let zero = PacketIndex::new(0, header.sequence);
        let wrapped = (header.sequence < 0x8000).then(|| PacketIndex::new(1, header.sequence));
        let candidates = [carried.filter(|&index| index != zero), Some(zero), wrapped];
        // A failed attempt spoils the octets: all but the last work on a copy.
        let mut copy = [0; PACKET_BYTES];
        let copy = &mut copy[..packet.len()];
        for index in candidates.into_iter().flatten() {
            copy.copy_from_slice(packet);
            if self.rtp.open_rtp(copy, offset, tag, header.ssrc, index).is_ok() {
                packet.copy_from_slice(copy);
                return Ok(index);
            }
        }
        Err(SrtpError::Authentication)
    }
}

/// RFC 3711 §3.3.1 and appendix A: the index nearest to the highest one.
fn guess(highest: PacketIndex, sequence: u16) -> Option<PacketIndex> {
    let roc = highest.roc();
    let roc = if highest.sequence() < 0x8000 {
        if i32::from(sequence) - i32::from(highest.sequence()) > 0x8000 {
            roc.checked_sub(1)?
        } else {
            roc
        }
    } else if i32::from(highest.sequence()) - 0x8000 > i32::from(sequence) {
        roc.checked_add(1)?
    } else {
        roc
    };
    Some(PacketIndex::new(roc, sequence))
}

fn remember(streams: &mut Vec<Stream>, ssrc: Ssrc, index: u64) -> Result<(), SrtpError> {
    // Forgetting an old source would let its packets be replayed: the new one is refused.
    if streams.len() >= SRTP_STREAMS {
        return Err(SrtpError::TooManyStreams);
    }
    streams.push(Stream { ssrc, window: ReplayWindow::starting_with(index) });
    Ok(())
}

#[cfg(test)]
mod tests;
