//! Placing a call: INVITE, challenges, CANCEL, ACK (RFC 3261 §13, §17.1.1, §22).

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::time::timeout_at;

use crate::dialog::{Dialog, Route};
use crate::digest::{answered_in, authorization, challenges};
use crate::error::Error;
use crate::g711::Codec;
use crate::limits::{CHALLENGES_MAX, FINAL_RESPONSE_MAX, T2};
use crate::media::Sockets;
use crate::message::{Message, Response, Writer, parameter, uri_of};
use crate::sdp::{Agreement, Offer, Security};
use crate::transport::{Connection, Identity, Transport};

/// Fills a buffer with random octets.
pub fn fill_random(bytes: &mut [u8]) -> Result<(), Error> {
    aws_lc_rs::rand::fill(bytes).map_err(|_| Error::Plan("no randomness".into()))
}

/// A random token for tags, branches and the like.
pub fn token() -> Result<String, Error> {
    let mut bytes = [0; 12];
    fill_random(&mut bytes)?;
    Ok(hex::encode(bytes))
}

/// Whom to call, as whom, and how.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The server.
    pub address: SocketAddr,
    /// How to reach it.
    pub transport: Transport,
    /// The Request-URI.
    pub uri: String,
    /// Certificates, CA, credentials.
    pub identity: Identity,
    /// The user in From.
    pub from: String,
    /// The display name in From.
    pub display_name: Option<String>,
    /// What is offered for the media.
    pub security: Security,
    /// The codecs in order.
    pub codecs: Vec<Codec>,
    /// Headers to add to the INVITE, as they are.
    pub headers: Vec<(String, String)>,
    /// Leave the offer to the server: INVITE without SDP, our answer in the ACK.
    pub late_offer: bool,
    /// Cancel if there is no final response by then.
    pub cancel_after: Option<Duration>,
}

impl Plan {
    /// A call with SRTP in both suites and both laws, from `caller`.
    pub fn new(transport: Transport, address: SocketAddr, uri: impl Into<String>) -> Self {
        Self {
            address,
            transport,
            uri: uri.into(),
            identity: Identity::default(),
            from: "caller".into(),
            display_name: None,
            security: Security::Sdes(crate::srtp::Suite::ALL.to_vec()),
            codecs: vec![Codec::Pcmu, Codec::Pcma],
            headers: Vec::new(),
            late_offer: false,
            cancel_after: None,
        }
    }
}

/// What became of an INVITE.
pub enum Reply {
    /// The call stands.
    Answered(Box<Established>),
    /// It was refused (or cancelled: 487).
    Refused(Refusal),
}

/// A call that stands: ACK is sent, media may start.
pub struct Established {
    /// The signalling from here on.
    pub dialog: Dialog,
    /// What was agreed about media.
    pub agreement: Agreement,
    /// What was offered.
    pub offer: Offer,
    /// The bound ports.
    pub sockets: Sockets,
    /// From the last INVITE to its 200.
    pub answered_after: Duration,
    /// Every status that came, in order.
    pub statuses: Vec<u16>,
}

/// A final response other than 2xx.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The status code.
    pub status: u16,
    /// The reason phrase.
    pub reason: String,
    /// The Warning header, if there is one (RFC 3261 §20.43).
    pub warning: Option<String>,
    /// The Retry-After header.
    pub retry_after: Option<String>,
    /// Every status that came, in order.
    pub statuses: Vec<u16>,
}

/// Places a call.
pub async fn invite(plan: &Plan) -> Result<Reply, Error> {
    let connection = Connection::open(plan.transport, plan.address, &plan.identity).await?;
    let sockets = Sockets::bind(connection.local.ip()).await?;
    let mut id = [0; 4];
    fill_random(&mut id)?;
    let offer =
        Offer::new(sockets.local()?, &plan.security, &plan.codecs, u32::from_be_bytes(id).into())?;
    let domain = plan.uri.split_once('@').map_or("localhost", |(_, d)| d);
    let from_uri = format!("sip:{}@{}", plan.from, domain.split(';').next().unwrap_or(domain));
    let from = match &plan.display_name {
        Some(name) => {
            format!("\"{}\" <{from_uri}>;tag={}", name.replace(['"', '\\'], ""), token()?)
        }
        None => format!("<{from_uri}>;tag={}", token()?),
    };
    let local = connection.local;
    let mut caller = Caller {
        plan,
        connection,
        offer,
        from,
        to: format!("<{}>", plan.uri),
        call_id: token()?,
        contact: format!("<sip:{}@{local};transport={}>", plan.from, plan.transport.parameter()),
        statuses: Vec::new(),
    };
    let mut credentials = None;
    for cseq in 1..=1 + CHALLENGES_MAX as u32 {
        let began = Instant::now();
        let branch = format!("z9hG4bK{}", token()?);
        let response = caller.transact(cseq, &branch, credentials.as_ref()).await?;
        if (200..300).contains(&response.status) {
            return caller.answered(cseq, &response, sockets, began.elapsed()).await;
        }
        let retry = caller.credentials_for(&response, cseq)?;
        match retry {
            Some(answer) => credentials = Some(answer),
            None => return Ok(Reply::Refused(caller.refused(&response))),
        }
    }
    Err(Error::Challenge("the server asks again and again"))
}

/// The header that answers a challenge: its name and value.
type Answer = (&'static str, String);

struct Caller<'a> {
    plan: &'a Plan,
    connection: Connection,
    offer: Offer,
    from: String,
    to: String,
    call_id: String,
    contact: String,
    statuses: Vec<u16>,
}

impl Caller<'_> {
    fn request(&self, method: &str, cseq: u32, branch: &str, to: &str) -> Writer {
        let (via, local) = (self.plan.transport.via(), self.connection.local);
        Writer::new(&format!("{method} {} SIP/2.0", self.plan.uri))
            .header("Via", &format!("SIP/2.0/{via} {local};branch={branch};rport"))
            .header("Max-Forwards", "70")
            .header("From", &self.from)
            .header("To", to)
            .header("Call-ID", &self.call_id)
            .header("CSeq", &format!("{cseq} {method}"))
    }

    fn invite(&self, cseq: u32, branch: &str, credentials: Option<&Answer>) -> Vec<u8> {
        let mut writer = self
            .request("INVITE", cseq, branch, &self.to)
            .header("Contact", &self.contact)
            .header("Allow", "INVITE, ACK, BYE, CANCEL, OPTIONS")
            .header("User-Agent", concat!("hushbox-load/", env!("CARGO_PKG_VERSION")));
        for (name, value) in &self.plan.headers {
            writer = writer.header(name, value);
        }
        if let Some((name, value)) = credentials {
            writer = writer.header(name, value);
        }
        if self.plan.late_offer { writer.end() } else { writer.sdp(&self.offer.text()) }
    }

    /// One INVITE transaction; its non-2xx final response is acknowledged here (RFC 3261 §17.1.1.3).
    async fn transact(
        &mut self,
        cseq: u32,
        branch: &str,
        credentials: Option<&Answer>,
    ) -> Result<Response, Error> {
        let invite = self.invite(cseq, branch, credentials);
        self.connection.send(&invite).await?;
        let deadline = tokio::time::Instant::now() + FINAL_RESPONSE_MAX;
        let mut cancel_at = self.plan.cancel_after.map(|d| tokio::time::Instant::now() + d);
        let mut repeat_after = self.connection.first_repeat();
        let mut repeat_at = repeat_after.map(|d| tokio::time::Instant::now() + d);
        let mut provisional = false;
        loop {
            let wake = [repeat_at, cancel_at.filter(|_| provisional)].into_iter().flatten().min();
            let wake = wake.unwrap_or(deadline).min(deadline);
            let message = match timeout_at(wake, self.connection.receive()).await {
                Ok(message) => message?,
                Err(_) if wake >= deadline => return Err(Error::NoAnswer("INVITE")),
                Err(_) if repeat_at == Some(wake) => {
                    self.connection.send(&invite).await?;
                    repeat_after = repeat_after.map(|d| (d * 2).min(T2 * 4));
                    repeat_at = repeat_after.map(|d| wake + d);
                    continue;
                }
                Err(_) => {
                    // RFC 3261 §9.1: only after a provisional response, with the INVITE's branch.
                    cancel_at = None;
                    let cancel = self.request("CANCEL", cseq, branch, &self.to).end();
                    self.connection.send(&cancel).await?;
                    continue;
                }
            };
            let Message::Response(response) = message else { continue };
            let ours = response.headers.branch() == Some(branch)
                && response.headers.cseq() == Some((cseq, "INVITE"));
            if !ours {
                continue;
            }
            self.statuses.push(response.status);
            repeat_at = None;
            match response.status {
                100..200 => provisional = true,
                200..300 => return Ok(response),
                _ => {
                    let to = response.headers.first("To").unwrap_or(&self.to).to_owned();
                    let ack = self.request("ACK", cseq, branch, &to).end();
                    self.connection.send(&ack).await?;
                    return Ok(response);
                }
            }
        }
    }

    /// What to say to a challenge, or nothing if there is nothing (more) to say.
    fn credentials_for(&self, response: &Response, cseq: u32) -> Result<Option<Answer>, Error> {
        let Some(credentials) = &self.plan.identity.credentials else { return Ok(None) };
        let Some(header) = answered_in(response.status) else { return Ok(None) };
        let offered = challenges(&response.headers);
        // RFC 7616 §3.3: without stale=true, a second challenge says that the password was wrong.
        if cseq > 1 && !offered.iter().any(|c| c.stale) {
            return Ok(None);
        }
        let value = authorization(credentials, &offered, "INVITE", &self.plan.uri, &token()?)?;
        Ok(Some((header, value)))
    }

    fn refused(self, response: &Response) -> Refusal {
        Refusal {
            status: response.status,
            reason: response.reason.clone(),
            warning: response.headers.first("Warning").map(str::to_owned),
            retry_after: response.headers.first("Retry-After").map(str::to_owned),
            statuses: self.statuses,
        }
    }

    async fn answered(
        mut self,
        cseq: u32,
        response: &Response,
        sockets: Sockets,
        answered_after: Duration,
    ) -> Result<Reply, Error> {
        let headers = &response.headers;
        let to = headers.first("To").unwrap_or_default().to_owned();
        if parameter(&to, "tag").is_none() {
            return Err(Error::Malformed("a 2xx without To tag".into()));
        }
        let target = headers.first("Contact").and_then(uri_of);
        let target = target.ok_or_else(|| Error::Malformed("a 2xx without Contact".into()))?;
        // RFC 3261 §12.1.2: the caller takes the route in reverse.
        let mut route_set = headers.record_route();
        route_set.reverse();
        let route = Route {
            target: target.to_owned(),
            route_set,
            from: self.from,
            to,
            call_id: self.call_id,
            contact: self.contact,
        };
        let mut dialog = Dialog::new(self.connection, route, cseq);
        let agreed = match self.plan.late_offer {
            true => self.offer.answer(&response.body),
            false => self.offer.read_answer(&response.body),
        };
        let answer = (self.plan.late_offer && agreed.is_ok()).then(|| self.offer.text());
        dialog.acknowledge(cseq, answer.as_deref()).await?;
        let agreement = match agreed {
            Ok(agreement) => agreement,
            Err(e) => {
                // RFC 3261 §13.2.2.4: an answer that is not acceptable: ACK, then BYE.
                dialog.start().hang_up().await?;
                return Err(e);
            }
        };
        Ok(Reply::Answered(Box::new(Established {
            dialog,
            agreement,
            offer: self.offer,
            sockets,
            answered_after,
            statuses: self.statuses,
        })))
    }
}
