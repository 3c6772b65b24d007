//! Offer and answer (RFC 3264), with one audio stream and SRTP where it must be.

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use rand_core::RngCore;
use zeroize::Zeroizing;

use super::crypto_attribute::CryptoAttribute;
use super::formats::PayloadMap;
use super::parse::{Connection, Direction, Media, SessionDescription};
use super::write::{self, AudioLine, Line, RefusedLine};
use crate::OfferError;
use crate::audio::Codec;
use crate::srtp::{MasterKey, Suite};

/// What both sides agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Agreed {
    /// Where the peer wants RTP; nowhere while it holds by `c=0.0.0.0`.
    pub(crate) remote_rtp: Option<SocketAddr>,
    /// Where the peer wants RTCP.
    pub(crate) remote_rtcp: Option<SocketAddr>,
    /// RTCP goes over the RTP port (RFC 5761).
    pub(crate) rtcp_mux: bool,
    /// What we send.
    pub(crate) codec: Codec,
    /// Its payload type.
    pub(crate) payload_type: u8,
    /// What the peer may send.
    pub(crate) receive: PayloadMap,
    /// Whether the peer takes packets.
    pub(crate) may_send: bool,
    /// Milliseconds in our packets.
    pub(crate) packet_millis: u32,
    /// Keys, unless it is plain RTP.
    pub(crate) keys: Option<Keys>,
}

/// The keys of both directions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Keys {
    /// What the peer sends with.
    pub(crate) inbound: CryptoAttribute,
    /// What we send with.
    pub(crate) outbound: MasterKey,
}

impl Agreed {
    pub(crate) fn suite(&self) -> Option<Suite> {
        self.keys.as_ref().map(|keys| keys.outbound.suite())
    }
}

/// The session as its descriptions have it.
#[derive(Clone)]
pub(crate) struct Negotiation {
    local_ip: IpAddr,
    rtp_port: u16,
    srtp_only: bool,
    session_id: u64,
    version: u64,
    /// What we said last, without `o=`.
    said: Zeroizing<String>,
    /// The m-lines in their order; ours is none.
    lines: Vec<Option<RefusedLine>>,
    /// The transport of our m-line.
    protocol: Option<String>,
    agreed: Option<Agreed>,
    offered: Option<Offered>,
    /// What we said last, as the offer that it is when signalling repeats it to refresh the session.
    repeated: Option<Offered>,
}

/// An offer of ours that was not answered yet.
#[derive(Clone)]
struct Offered {
    keys: Vec<(u32, MasterKey)>,
    formats: PayloadMap,
    protocol: String,
    secure: bool,
}

/// An m-line of an offer that we can use.
struct Choice<'a> {
    index: usize,
    media: &'a Media,
    formats: PayloadMap,
    address: IpAddr,
    crypto: Option<CryptoAttribute>,
}

impl Negotiation {
    pub(crate) fn new(
        local_ip: IpAddr,
        rtp_port: u16,
        srtp_only: bool,
        random: &mut impl RngCore,
    ) -> Self {
        Self {
            local_ip,
            rtp_port,
            srtp_only,
            // RFC 8866 §5.2 wants an NTP timestamp's size; 62 bits are safe with every peer.
            session_id: random.next_u64() >> 2,
            version: 1,
            said: Zeroizing::default(),
            lines: Vec::new(),
            protocol: None,
            agreed: None,
            offered: None,
            repeated: None,
        }
    }

    /// Answers an offer. On an error nothing has changed.
    pub(crate) fn answer(
        &mut self,
        offer: &[u8],
        random: &mut impl RngCore,
    ) -> Result<(Agreed, Bytes), OfferError> {
        let offer = SessionDescription::parse(offer)?;
        // RFC 3264 §8: m-lines are switched off, never taken away.
        if offer.media.len() < self.lines.len() {
            return Err(OfferError::Discontinuous("fewer m-lines than before"));
        }
        let choice = self.choose(&offer)?;
        if let Some(agreed) = &self.agreed
            && agreed.receive.contradicts(choice.media)
        {
            return Err(OfferError::Discontinuous("payload type with a new meaning"));
        }
        let lines = offer
            .media
            .iter()
            .enumerate()
            .map(|(index, media)| (index != choice.index).then(|| RefusedLine::of(media)))
            .collect();
        let mut agreed = agree(&offer, choice.media, choice.address, &choice.formats)?;
        let tag = choice.crypto.as_ref().map(|crypto| crypto.tag);
        agreed.keys = choice.crypto.map(|inbound| {
            let outbound = self
                .key_to_keep(&agreed, &inbound)
                .unwrap_or_else(|| random_key(inbound.master.suite(), random));
            Keys { inbound, outbound }
        });
        // RFC 4568 §5.1.2: one line, with the tag of the one that was chosen.
        let crypto: Vec<_> = tag
            .zip(agreed.keys.as_ref())
            .map(|(tag, keys)| (tag, keys.outbound.clone()))
            .into_iter()
            .collect();
        let theirs = offer.direction_of(choice.media);
        let audio = AudioLine {
            port: self.rtp_port,
            protocol: &choice.media.protocol,
            formats: &agreed.receive,
            crypto: &crypto,
            direction: Direction::new(agreed.may_send, theirs.sends()),
            packet_millis: agreed.packet_millis,
            rtcp_mux: agreed.rtcp_mux,
        };
        let sdp = self.say(lines, audio);
        self.repeated = Some(Offered {
            keys: crypto,
            formats: agreed.receive.clone(),
            protocol: choice.media.protocol.clone(),
            secure: self.srtp_only || agreed.keys.is_some(),
        });
        self.protocol = Some(choice.media.protocol.clone());
        self.offered = None;
        self.agreed = Some(agreed.clone());
        Ok((agreed, sdp))
    }

    /// Makes an offer with every format and suite of ours.
    pub(crate) fn offer(&mut self, random: &mut impl RngCore) -> Bytes {
        let secure =
            self.srtp_only || self.agreed.as_ref().is_some_and(|agreed| agreed.keys.is_some());
        // RFC 8643 §3: keys on RTP/AVP leave it to the peer; RTP/SAVP does not. What was agreed
        // on before stays.
        let usual = if secure { "RTP/SAVP" } else { "RTP/AVP" };
        let protocol = self.protocol.clone().unwrap_or_else(|| usual.to_owned());
        let keys: Vec<_> = (1..).zip(Suite::ALL.map(|suite| random_key(suite, random))).collect();
        let mut formats = PayloadMap::ours();
        let mut rtcp_mux = false;
        if let Some(agreed) = &self.agreed {
            formats = agreed.receive.completed_by(formats);
            rtcp_mux = agreed.rtcp_mux;
        }
        let mut lines = self.lines.clone();
        if lines.is_empty() {
            lines.push(None);
        }
        let audio = AudioLine {
            port: self.rtp_port,
            protocol: &protocol,
            formats: &formats,
            crypto: &keys,
            direction: Direction::SendRecv,
            packet_millis: 20,
            rtcp_mux,
        };
        let sdp = self.say(lines, audio);
        let offered = Offered { keys, formats, protocol, secure };
        self.repeated = Some(offered.clone());
        self.offered = Some(offered);
        sdp
    }

    /// Takes the answer to what we said last, which was offered again to refresh the session. On an error nothing has
    /// changed.
    pub(crate) fn take_repeated_answer(&mut self, answer: &[u8]) -> Result<Agreed, OfferError> {
        let offered = std::mem::replace(&mut self.offered, self.repeated.clone());
        let taken = self.take_answer(answer);
        self.offered = offered;
        taken
    }

    /// Takes the answer to our offer. On an error nothing has changed.
    pub(crate) fn take_answer(&mut self, answer: &[u8]) -> Result<Agreed, OfferError> {
        let offered = self.offered.as_ref().ok_or(OfferError::Answer("none awaited"))?;
        let answer = SessionDescription::parse(answer)?;
        if answer.media.len() != self.lines.len() {
            return Err(OfferError::Answer("another number of m-lines"));
        }
        let ours = self.lines.iter().position(Option::is_none);
        let media = ours.and_then(|index| answer.media.get(index)).ok_or(OfferError::NoAudio)?;
        if media.kind != "audio" || media.port == 0 {
            return Err(OfferError::NoAudio);
        }
        if !media.protocol.eq_ignore_ascii_case(&offered.protocol) {
            return Err(OfferError::Transport);
        }
        let theirs = PayloadMap::of(media);
        let address = self.address(&answer, media)?;
        let mut agreed = agree(&answer, media, address, &theirs)?;
        // RFC 3264 §6.1: the peer sends with the payload types of our offer.
        agreed.receive = offered.formats.clone();
        agreed.rtcp_mux &= self.agreed.as_ref().is_some_and(|before| before.rtcp_mux);
        let crypto = CryptoAttribute::acceptable(media.values("crypto"));
        let keys = crypto.into_iter().find_map(|inbound| {
            let (_, outbound) = offered.keys.iter().find(|(tag, master)| {
                *tag == inbound.tag && master.suite() == inbound.master.suite()
            })?;
            Some(Keys { inbound, outbound: outbound.clone() })
        });
        // A peer that names keys, even unusable ones, will send SRTP.
        if keys.is_none() && (offered.secure || media.has("crypto")) {
            return Err(OfferError::NoSecurity);
        }
        agreed.keys = keys;
        self.protocol = Some(offered.protocol.clone());
        self.offered = None;
        self.agreed = Some(agreed.clone());
        Ok(agreed)
    }

    /// The first m-line that we can use; one with SRTP goes before one without.
    fn choose<'a>(&self, offer: &'a SessionDescription) -> Result<Choice<'a>, OfferError> {
        let mut refusal = OfferError::NoAudio;
        let mut plain = None;
        for (index, media) in offer.media.iter().enumerate() {
            match self.judge(offer, index, media) {
                Ok(choice) if choice.crypto.is_some() => return Ok(choice),
                Ok(choice) => plain = plain.or(Some(choice)),
                // The line that came furthest tells the peer most.
                Err(error) => refusal = further(refusal, error),
            }
        }
        plain.ok_or(refusal)
    }

    fn judge<'a>(
        &self,
        offer: &SessionDescription,
        index: usize,
        media: &'a Media,
    ) -> Result<Choice<'a>, OfferError> {
        if media.kind != "audio" || media.port == 0 {
            return Err(OfferError::NoAudio);
        }
        let secure = match media.protocol.to_ascii_uppercase().as_str() {
            "RTP/SAVP" | "RTP/SAVPF" => true,
            "RTP/AVP" | "RTP/AVPF" => false,
            _ => return Err(OfferError::Transport),
        };
        let formats = PayloadMap::of(media);
        if formats.audio().is_none() {
            return Err(OfferError::NoCommonFormat);
        }
        let address = self.address(offer, media)?;
        let crypto = choose_crypto(media);
        // A session that was secure stays so, also one with keys on RTP/AVP (RFC 8643 §3.1).
        let was_secure = self.agreed.as_ref().is_some_and(|agreed| agreed.keys.is_some());
        let has_keys = crypto.is_some();
        let acceptable =
            if secure { has_keys } else { !self.srtp_only && (has_keys || !was_secure) };
        if !acceptable {
            return Err(OfferError::NoSecurity);
        }
        Ok(Choice { index, media, formats, address, crypto })
    }

    fn address(&self, sdp: &SessionDescription, media: &Media) -> Result<IpAddr, OfferError> {
        match sdp.connection_of(media) {
            Some(Connection::Ip(ip)) if ip.is_ipv4() == self.local_ip.is_ipv4() => {
                let ip = *ip;
                let broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
                if ip.is_multicast() || broadcast { Err(OfferError::Address) } else { Ok(ip) }
            }
            Some(_) => Err(OfferError::Address),
            // RFC 8866 §5.7: there must be one somewhere.
            None => Err(OfferError::Malformed("no c-line")),
        }
    }

    /// Our key goes on while the peer's key and address stay. Else a new one, since whoever
    /// listens there now may count its packets from zero (RFC 4568 §7.1.4).
    fn key_to_keep(&self, next: &Agreed, inbound: &CryptoAttribute) -> Option<MasterKey> {
        let before = self.agreed.as_ref()?;
        let keys = before.keys.as_ref()?;
        let moved = next.remote_rtp.is_some()
            && before.remote_rtp.is_some()
            && next.remote_rtp != before.remote_rtp;
        (keys.inbound.master == inbound.master && !moved).then(|| keys.outbound.clone())
    }

    /// RFC 3264 §8: the version goes up by one when, and only when, something else changed.
    fn say(&mut self, lines: Vec<Option<RefusedLine>>, audio: AudioLine<'_>) -> Bytes {
        let mut audio = Some(audio);
        let written: Vec<_> = lines
            .iter()
            .filter_map(|line| match line {
                Some(refused) => Some(Line::Refused(refused)),
                None => audio.take().map(Line::Audio),
            })
            .collect();
        let body = write::body(self.local_ip, &written);
        drop(written);
        if !self.said.is_empty() && *self.said != *body {
            self.version += 1;
        }
        let head = write::head(self.local_ip, self.session_id, self.version);
        let sdp = Bytes::from([head.as_bytes(), body.as_bytes()].concat());
        self.said = body;
        self.lines = lines;
        sdp
    }
}

impl RefusedLine {
    fn of(media: &Media) -> Self {
        Self {
            kind: media.kind.clone(),
            protocol: media.protocol.clone(),
            formats: media.formats.clone(),
        }
    }
}

/// Everything but keys, from the peer's description.
fn agree(
    sdp: &SessionDescription,
    media: &Media,
    address: IpAddr,
    formats: &PayloadMap,
) -> Result<Agreed, OfferError> {
    let (payload_type, codec) = formats.audio().ok_or(OfferError::NoCommonFormat)?;
    let somewhere = !address.is_unspecified();
    let rtcp_mux = media.has("rtcp-mux");
    let remote_rtp = somewhere.then(|| SocketAddr::new(address, media.port));
    let remote_rtcp = if rtcp_mux { remote_rtp } else { rtcp_address(media, address) };
    Ok(Agreed {
        remote_rtp,
        remote_rtcp: remote_rtcp.filter(|_| somewhere),
        rtcp_mux,
        codec,
        payload_type,
        receive: formats.clone(),
        may_send: somewhere && sdp.direction_of(media).receives(),
        packet_millis: packet_millis(media),
        keys: None,
    })
}

/// `a=rtcp` (RFC 3605), else the next port.
fn rtcp_address(media: &Media, address: IpAddr) -> Option<SocketAddr> {
    let Some(value) = media.values("rtcp").next() else {
        return Some(SocketAddr::new(address, media.port.checked_add(1)?));
    };
    let mut fields = value.split_ascii_whitespace();
    let port = fields.next()?.parse().ok().filter(|&port| port != 0)?;
    let elsewhere = fields.nth(2).and_then(|ip| ip.parse::<IpAddr>().ok());
    let address = elsewhere.filter(|ip| ip.is_ipv4() == address.is_ipv4()).unwrap_or(address);
    Some(SocketAddr::new(address, port))
}

/// 20 ms, unless the peer cannot take that much (RFC 8866 §6.5).
fn packet_millis(media: &Media) -> u32 {
    let most = media.values("maxptime").next().and_then(|value| value.parse::<f64>().ok());
    if most.is_some_and(|most| most < 20.0) { 10 } else { 20 }
}

/// Our preference among the lines that are acceptable; among equals the peer's.
fn choose_crypto(media: &Media) -> Option<CryptoAttribute> {
    let lines = CryptoAttribute::acceptable(media.values("crypto"));
    lines
        .into_iter()
        .min_by_key(|line| Suite::ALL.iter().position(|&suite| suite == line.master.suite()))
}

fn random_key(suite: Suite, random: &mut impl RngCore) -> MasterKey {
    let mut octets = Zeroizing::new(vec![0; suite.key_bytes() + suite.salt_bytes()]);
    random.fill_bytes(&mut octets);
    MasterKey::new(suite, &octets).expect("made with the suite's length")
}

/// Of two refusals the one that was found later in [`Negotiation::judge`].
fn further(one: OfferError, other: OfferError) -> OfferError {
    let rank = |error: &OfferError| match error {
        OfferError::NoAudio => 0,
        OfferError::Transport => 1,
        OfferError::NoCommonFormat => 2,
        OfferError::NoSecurity => 4,
        _ => 3,
    };
    if rank(&other) > rank(&one) { other } else { one }
}

#[cfg(test)]
mod peer_tests;
#[cfg(test)]
mod tests;
