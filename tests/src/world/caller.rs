//! A caller who writes each message, and has an SRTP (`webrtc-srtp`) that is not the server's.

mod media;
mod sip;

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Instant;

use bytes::Bytes;
use hushbox_load::digest::{self, Credentials};
use hushbox_load::message::Message;
use hushbox_load::srtp::Suite;
use hushbox_sip::{ConnectionId, Flow, Transport};

use super::{Agenda, CallerId, Happening, LINK_DELAY};
use media::Media;
use sip::Dialog;
pub use sip::Response;

/// Where the server listens.
pub fn server_address(transport: Transport) -> SocketAddr {
    let port = match transport {
        Transport::Tls => 5061,
        Transport::Tcp => 5062,
        Transport::Udp => 5060,
    };
    SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), port))
}

/// What a caller offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// RTP/SAVP with this suite.
    Srtp(Suite),
    /// RTP/AVP.
    Plain,
    /// No body: the server is to offer.
    Nothing,
}

/// One caller with one connection and one call at a time.
pub struct Caller {
    id: CallerId,
    transport: Transport,
    /// Its number, in From.
    pub number: String,
    /// Its address; on `lab`, whose it is decides.
    address: Ipv4Addr,
    dialog: Option<Dialog>,
    media: Option<Media>,
    offer: Offer,
    responses: Vec<Response>,
    /// What it answers a challenge with, once a call.
    pub credentials: Option<Credentials>,
    challenged: bool,
    /// Whether it acknowledges answers.
    pub acknowledges: bool,
    /// The server has hung up.
    pub hung_up_on: bool,
    calls: u32,
    notes: VecDeque<String>,
}

impl Caller {
    pub(super) fn new(id: CallerId, transport: Transport) -> Self {
        let address = match transport {
            Transport::Tls => Ipv4Addr::new(198, 51, 100, 7),
            Transport::Tcp | Transport::Udp => Ipv4Addr::LOCALHOST,
        };
        Self {
            id,
            transport,
            number: "5551234".to_owned(),
            address,
            dialog: None,
            media: None,
            offer: Offer::Plain,
            responses: Vec::new(),
            credentials: None,
            challenged: false,
            acknowledges: true,
            hung_up_on: false,
            calls: 0,
            notes: VecDeque::new(),
        }
    }

    /// Its connection.
    pub fn flow(&self) -> Flow {
        let stream = self.transport != Transport::Udp;
        Flow {
            transport: self.transport,
            local: server_address(self.transport),
            remote: self.sip_address(),
            connection: stream.then(|| ConnectionId(u64::try_from(self.id.0).expect("few"))),
        }
    }

    fn sip_address(&self) -> SocketAddr {
        SocketAddr::from((self.address, 30_000 + u16::try_from(self.id.0).expect("few")))
    }

    fn rtp_address(&self) -> SocketAddr {
        SocketAddr::from((self.address, 40_000 + 2 * u16::try_from(self.id.0).expect("few")))
    }

    pub(super) fn has_port(&self, address: SocketAddr) -> bool {
        let rtp = self.rtp_address();
        address == rtp || address == SocketAddr::new(rtp.ip(), rtp.port() + 1)
    }

    /// Calls a URI.
    pub fn invite(&mut self, now: Instant, agenda: &mut Agenda, uri: &str, offer: Offer) {
        self.calls += 1;
        self.responses.clear();
        self.hung_up_on = false;
        self.challenged = false;
        self.offer = offer;
        let media = Media::new(self.id, self.calls, offer, self.rtp_address());
        let sdp = (offer != Offer::Nothing).then(|| media.description());
        self.media = Some(media);
        let dialog = Dialog::new(self, uri, self.calls);
        let invite = dialog.invite(sdp.as_deref());
        self.dialog = Some(dialog);
        self.note(&format!("INVITE {uri} {offer:?}"));
        self.send(now, agenda, invite);
    }

    /// Hangs up.
    pub fn bye(&mut self, now: Instant, agenda: &mut Agenda) {
        self.note("BYE");
        if let Some(media) = &mut self.media {
            media.stop();
        }
        let bye = self.dialog.as_mut().expect("a dialog").bye();
        self.send(now, agenda, bye);
    }

    /// Goes on with another caller's dialog, over a connection of its own.
    pub fn take_over(&mut self, other: &Self) {
        self.dialog = other.dialog.clone();
        self.responses.clear();
        self.challenged = false;
    }

    /// Gives up before the answer.
    pub fn cancel(&mut self, now: Instant, agenda: &mut Agenda) {
        self.note("CANCEL");
        let cancel = self.dialog.as_ref().expect("a dialog").cancel();
        self.send(now, agenda, cancel);
    }

    /// Asks for hold, or to go on.
    pub fn hold(&mut self, now: Instant, agenda: &mut Agenda, hold: bool) {
        self.note(if hold { "re-INVITE sendonly" } else { "re-INVITE sendrecv" });
        let media = self.media.as_mut().expect("media");
        media.set_direction(if hold { "sendonly" } else { "sendrecv" });
        let sdp = media.description();
        let invite = self.dialog.as_mut().expect("a dialog").reinvite(&sdp);
        self.send(now, agenda, invite);
    }

    /// Asks for other media in the call, as this description has it.
    pub fn reinvite(&mut self, now: Instant, agenda: &mut Agenda, sdp: &str) {
        self.note("re-INVITE");
        self.responses.clear();
        let invite = self.dialog.as_mut().expect("a dialog").reinvite(sdp);
        self.send(now, agenda, invite);
    }

    /// The description of its media.
    pub fn description(&self) -> String {
        self.media.as_ref().map(Media::description).unwrap_or_default()
    }

    /// Presses keys, one after the other (RFC 4733).
    pub fn press(&mut self, keys: &str) {
        self.note(&format!("presses {}", keys.len()));
        self.media.as_mut().expect("media").press(keys);
    }

    /// Speaks these octets of PCMU, from the next packet on; silence follows.
    pub fn speak(&mut self, pcmu: &[u8]) {
        self.media.as_mut().expect("media").speak(pcmu);
    }

    /// Whether it sends packets at all.
    pub fn set_sending(&mut self, sending: bool) {
        self.media.as_mut().expect("media").set_sending(sending);
    }

    /// The final response to its last INVITE.
    pub fn answer(&self) -> Option<&Response> {
        self.responses.iter().find(|r| r.method == "INVITE" && r.status >= 200)
    }

    /// Whether its last INVITE has no final response yet.
    pub fn is_waiting(&self) -> bool {
        self.dialog.is_some() && self.answer().is_none()
    }

    /// Every response so far.
    pub fn responses(&self) -> &[Response] {
        &self.responses
    }

    /// The prompts it heard since the last time this was asked.
    pub fn take_prompts(&mut self) -> Vec<&'static str> {
        self.media.as_mut().map(Media::take_prompts).unwrap_or_default()
    }

    /// Everything it heard, as PCMU on the timeline of the packets.
    pub fn heard(&self) -> Vec<u8> {
        self.media.as_ref().map(Media::heard).unwrap_or_default()
    }

    /// Whether what is heard now is neither prompt nor silence.
    pub fn hears_voice(&self) -> bool {
        self.media.as_ref().is_some_and(Media::hears_voice)
    }

    /// Packets that did not open: none, ever.
    pub fn broken_packets(&self) -> usize {
        self.media.as_ref().map_or(0, Media::broken)
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.media.as_ref().and_then(Media::deadline)
    }

    pub(super) fn timeout(&mut self, now: Instant, agenda: &mut Agenda) {
        let from = self.rtp_address();
        let Some(media) = &mut self.media else { return };
        while let Some((port, bytes)) = media.next_packet(now) {
            let bytes = Bytes::from(bytes);
            agenda.send_media(now, || Happening::MediaToServer {
                from,
                port,
                bytes: bytes.clone(),
            });
        }
    }

    pub(super) fn media(&mut self, to: SocketAddr, bytes: &[u8]) {
        if to != self.rtp_address() {
            return;
        }
        if let Some(media) = &mut self.media
            && let Some(prompt) = media.receive(bytes)
        {
            self.note(&format!("hears {prompt}"));
        }
    }

    pub(super) fn sip(&mut self, now: Instant, bytes: &[u8], agenda: &mut Agenda) {
        let text = String::from_utf8(bytes.to_vec()).expect("text");
        if !text.starts_with("SIP/2.0 ") {
            return self.request(now, &text, agenda);
        }
        let response = Response::parse(&text);
        self.note(&format!("{} {}", response.status, response.method));
        if response.status == 401 && !self.challenged && self.credentials.is_some() {
            return self.answer_challenge(now, bytes, &response, agenda);
        }
        if response.method == "INVITE" && response.status >= 200 {
            self.final_response(now, &response, agenda);
        }
        self.responses.push(response);
    }

    fn answer_challenge(
        &mut self,
        now: Instant,
        bytes: &[u8],
        response: &Response,
        agenda: &mut Agenda,
    ) {
        self.challenged = true;
        let dialog = self.dialog.as_mut().expect("a dialog");
        let Ok(Message::Response(message)) = hushbox_load::message::parse(bytes) else {
            panic!("no response")
        };
        let challenges = digest::challenges(&message.headers);
        let credentials = self.credentials.as_ref().expect("credentials");
        let method = &response.method;
        let value =
            digest::authorization(credentials, &challenges, method, dialog.target(), "a cnonce")
                .expect("an algorithm");
        if method == "BYE" {
            let bye = dialog.bye_again(&value);
            self.note("BYE with credentials");
            return self.send(now, agenda, bye);
        }
        let ack = dialog.ack_of_refusal(response);
        let sdp = (self.offer != Offer::Nothing)
            .then(|| self.media.as_ref().expect("media").description());
        let invite = dialog.invite_again(sdp.as_deref(), &value);
        self.send(now, agenda, ack);
        self.note("INVITE with credentials");
        self.send(now, agenda, invite);
    }

    fn final_response(&mut self, now: Instant, response: &Response, agenda: &mut Agenda) {
        let Some(dialog) = &mut self.dialog else { return };
        if response.status >= 300 {
            if response.status != 491 && !dialog.is_confirmed() {
                self.media = None;
            }
            let ack = self.dialog.as_ref().expect("a dialog").ack_of_refusal(response);
            return self.send(now, agenda, ack);
        }
        dialog.confirm(response);
        if !self.acknowledges {
            return;
        }
        let media = self.media.as_mut().expect("media");
        media.take_description(&response.body);
        let answer = (self.offer == Offer::Nothing).then(|| media.description());
        self.offer = if self.offer == Offer::Nothing { Offer::Plain } else { self.offer };
        let ack = dialog.ack(answer.as_deref());
        media.start(now);
        self.note("ACK");
        self.send(now, agenda, ack);
    }

    fn request(&mut self, now: Instant, text: &str, agenda: &mut Agenda) {
        let method = text.split(' ').next().unwrap_or_default().to_owned();
        self.note(&format!("gets {method}"));
        // No key, caller or header makes the server call, transfer or ask anybody (hipaa-controls 5.3).
        assert_eq!(method, "BYE", "the only request that the server makes");
        self.hung_up_on = true;
        if let Some(media) = &mut self.media {
            media.stop();
        }
        self.send(now, agenda, sip::ok(text));
    }

    fn send(&self, now: Instant, agenda: &mut Agenda, text: String) {
        let what = Happening::SipToServer(self.id, Bytes::from(text));
        agenda.plan(now + LINK_DELAY, what);
    }

    fn note(&mut self, what: &str) {
        self.notes.push_back(format!("caller  {what}"));
    }

    pub(super) fn take_notes(&mut self) -> Vec<String> {
        self.notes.drain(..).collect()
    }
}
