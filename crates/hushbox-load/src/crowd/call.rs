//! One call of a crowd: the messages it sends, and where it stands.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::PTIME;
use super::reply::Reply;
use super::sound::{Packets, Port};
use crate::limits::T1;
use crate::message::{Writer, uri_of};
use crate::transport::Transport;

/// What all calls have in common.
pub(super) struct Dialled {
    /// The Request-URI.
    pub(super) uri: String,
    /// Tells this run's Call-IDs, tags and branches from those of others.
    pub(super) run: String,
    pub(super) transport: Transport,
}

/// Where a call stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// INVITE is out.
    Inviting,
    /// Answered, and acknowledged.
    Talking {
        /// When it was answered.
        since: Instant,
    },
    /// BYE is out.
    Leaving,
}

/// A call.
pub(super) struct Call {
    number: usize,
    local: SocketAddr,
    pub(super) link: usize,
    pub(super) port: Option<Port>,
    pub(super) phase: Phase,
    pub(super) began: Instant,
    /// When what waits for an answer was sent first.
    pub(super) asked: Instant,
    /// What waits for an answer.
    pub(super) last: Vec<u8>,
    pub(super) repeat_at: Option<Instant>,
    pub(super) repeat_after: Duration,
    repeats: bool,
    spoken: usize,
    /// From the 2xx: To, with the server's tag, and its Contact.
    to: String,
    target: String,
}

impl Call {
    pub(super) fn new(
        number: usize,
        link: usize,
        (local, transport): (SocketAddr, Transport),
        port: Option<Port>,
        now: Instant,
    ) -> Self {
        let repeats = transport == Transport::Udp;
        Self {
            number,
            local,
            link,
            port,
            phase: Phase::Inviting,
            began: now,
            asked: now,
            last: Vec::new(),
            repeat_at: repeats.then(|| now + T1),
            repeat_after: T1,
            repeats,
            spoken: 0,
            to: String::new(),
            target: String::new(),
        }
    }

    fn request(&self, dialled: &Dialled, method: &str, cseq: u32, branch: &str) -> Writer {
        let Dialled { uri, run, transport } = dialled;
        let (number, local, via) = (self.number, self.local, transport.via());
        let target = if self.target.is_empty() { uri } else { &self.target };
        let to = if self.to.is_empty() { format!("<{uri}>") } else { self.to.clone() };
        let domain = uri.split_once('@').map_or("localhost", |(_, domain)| domain);
        Writer::new(&format!("{method} {target} SIP/2.0"))
            .header(
                "Via",
                &format!("SIP/2.0/{via} {local};branch=z9hG4bK{run}-{number}-{branch};rport"),
            )
            .header("Max-Forwards", "70")
            // Each call is another caller: a quota counts them one by one.
            .header("From", &format!("<sip:+1555{number:07}@{domain}>;tag={run}-{number}"))
            .header("To", &to)
            .header("Call-ID", &format!("{number}-{run}"))
            .header("CSeq", &format!("{cseq} {method}"))
    }

    pub(super) fn invite(&self, dialled: &Dialled, offer: &str) -> Vec<u8> {
        let contact = format!("<sip:{};transport={}>", self.local, dialled.transport.parameter());
        self.request(dialled, "INVITE", 1, "i")
            .header("Contact", &contact)
            .header("Allow", "INVITE, ACK, BYE, CANCEL, OPTIONS")
            .header("User-Agent", concat!("hushbox-load/", env!("CARGO_PKG_VERSION")))
            .sdp(offer)
    }

    /// Takes a 2xx.
    pub(super) fn answered(&mut self, reply: &Reply<'_>, now: Instant) {
        self.phase = Phase::Talking { since: now };
        self.repeat_at = None;
        reply.to.clone_into(&mut self.to);
        reply.contact.and_then(uri_of).unwrap_or_default().clone_into(&mut self.target);
    }

    /// The ACK of the 2xx.
    pub(super) fn ack(&self, dialled: &Dialled) -> Vec<u8> {
        self.request(dialled, "ACK", 1, "a").end()
    }

    /// The ACK of a refusal: of the INVITE's own transaction (RFC 3261 §17.1.1.3).
    pub(super) fn refused(&mut self, dialled: &Dialled, reply: &Reply<'_>) -> Vec<u8> {
        reply.to.clone_into(&mut self.to);
        self.request(dialled, "ACK", 1, "i").end()
    }

    /// BYE.
    pub(super) fn leave(&mut self, dialled: &Dialled, now: Instant) -> Vec<u8> {
        self.phase = Phase::Leaving;
        self.asked = now;
        self.repeat_at = self.repeats.then(|| now + T1);
        self.repeat_after = T1;
        self.request(dialled, "BYE", 2, "b").end()
    }

    /// Sends the packets that are due so long after the answer: how many went out, and how many could not.
    pub(super) fn speak(&mut self, packets: &Packets, after: Duration) -> (u64, u64) {
        let Some(port) = &self.port else { return (0, 0) };
        // Calls that were answered together still speak one after the other.
        let phase = PTIME * (self.number % 10) as u32 / 10;
        let due = (after.saturating_sub(phase).as_millis() / PTIME.as_millis()) as usize;
        let (mut sent, mut unsent) = (0, 0);
        while self.spoken < due {
            match packets.get(self.spoken).map(|packet| port.send(packet)) {
                Some(true) => sent += 1,
                Some(false) => unsent += 1,
                None => break,
            }
            self.spoken += 1;
        }
        (sent, unsent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dialled() -> Dialled {
        let uri = "sip:1001@clinic.example".to_owned();
        Dialled { uri, run: "r".to_owned(), transport: Transport::Udp }
    }

    fn call() -> Call {
        let local = "127.0.0.1:5080".parse().expect("an address");
        Call::new(7, 0, (local, Transport::Udp), None, Instant::now())
    }

    #[test]
    fn ack_and_bye_go_to_the_contact_with_the_servers_tag() {
        let mut call = call();
        let ok = b"SIP/2.0 200 OK\r\nTo: <sip:1001@clinic.example>;tag=s\r\nCall-ID: 7-r\r\nCSeq: 1 INVITE\r\n\
            Contact: <sip:127.0.0.1:5060;transport=udp>\r\n\r\n";
        call.answered(&Reply::read(ok).expect("a reply"), Instant::now());
        for (bytes, first, branch) in [
            (call.ack(&dialled()), "ACK sip:127.0.0.1:5060;transport=udp SIP/2.0\r\n", "r-7-a"),
            (
                call.leave(&dialled(), Instant::now()),
                "BYE sip:127.0.0.1:5060;transport=udp SIP/2.0\r\n",
                "r-7-b",
            ),
        ] {
            let text = String::from_utf8(bytes).expect("text");
            assert!(text.starts_with(first) && text.contains(branch), "{text}");
            assert!(text.contains("To: <sip:1001@clinic.example>;tag=s\r\n"), "{text}");
        }
        assert_eq!(call.phase, Phase::Leaving);
    }

    #[test]
    fn the_ack_of_a_refusal_belongs_to_the_invite() {
        let mut call = call();
        let busy = b"SIP/2.0 503 Busy\r\nt: <sip:1001@clinic.example>;tag=s\r\ni: 7-r\r\nCSeq: 1 INVITE\r\n\r\n";
        let ack = call.refused(&dialled(), &Reply::read(busy).expect("a reply"));
        let text = String::from_utf8(ack).expect("text");
        assert!(text.starts_with("ACK sip:1001@clinic.example SIP/2.0\r\n"), "{text}");
        assert!(text.contains("branch=z9hG4bKr-7-i;"), "{text}");
    }
}
