//! Where responses go and what they are made of.

use super::Endpoint;
use super::receive::Incoming;
use super::timers::Timer;
use crate::error::ParseError;
use crate::message::address::Address;
use crate::message::lex::Cursor;
use crate::message::method::Method;
use crate::message::name::Name;
use crate::message::via::Via;
use crate::message::write::{Reach, Writer};
use crate::message::{Draft, Message};
use crate::rejection::Rejection;
use crate::transaction::{InviteServer, canonical};
use crate::transport::{Flow, Transport};
use bytes::Bytes;
use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

/// What we serve, for Allow (RFC 3261 §20.5). Not NOTIFY: it is known and answered 481, since nothing here subscribes.
pub(super) const ALLOW: &str = "INVITE, ACK, BYE, CANCEL, OPTIONS, UPDATE, PRACK, SUBSCRIBE";
/// Extensions that we have (RFC 3261 §20.37). With 100rel nothing is sent reliably, since nothing
/// provisional is sent after 100 (RFC 3262 §3); but who requires it must not be refused.
pub(super) const SUPPORTED: [&str; 2] = ["timer", "100rel"];

/// What is needed to answer a request after its message is gone.
#[derive(Clone)]
pub(super) struct Answerable {
    /// Via, From, To with our tag, Call-ID, CSeq.
    copied: Vec<u8>,
    /// Record-Route lines, for a 2xx (RFC 3261 §12.1.1).
    record_route: Vec<u8>,
}

impl Answerable {
    pub(super) fn new(request: &Message<'_>, reach: &Reach, to_tag: &str) -> Self {
        let mut copied = Writer::fragment();
        copied.copied(request, reach, Some(to_tag));
        let mut record_route = Writer::fragment();
        for value in request.values(Name::RecordRoute) {
            record_route.echo("Record-Route", value);
        }
        Answerable { copied: copied.into_vec(), record_route: record_route.into_vec() }
    }

    pub(super) fn response(&self, status: u16) -> Writer {
        let mut writer = Writer::response(status);
        writer.lines(&self.copied);
        if (200..300).contains(&status) {
            writer.lines(&self.record_route);
        }
        writer
    }

    pub(super) fn rejection(&self, rejection: &Rejection, product: &str, host: &str) -> Bytes {
        // A redirection would be toll fraud, and a success is no refusal.
        let status = if (400..700).contains(&rejection.status) { rejection.status } else { 500 };
        let mut writer = self.response(status);
        write_rejection(&mut writer, rejection, host);
        writer.field("Server", product);
        writer.finish()
    }
}

/// The header fields of a refusal.
pub(super) fn write_rejection(writer: &mut Writer, rejection: &Rejection, host: &str) {
    if let Some((code, text)) = &rejection.warning {
        let text = crate::message::write::Quoted(text);
        writer.field("Warning", format_args!("{code:03} {host} {text}"));
    }
    if let Some(seconds) = rejection.retry_after {
        writer.field("Retry-After", seconds);
    }
    for (name, value) in &rejection.headers {
        writer.foreign(name, value);
    }
}

/// RFC 3261 §18.2.1 and RFC 3581 §4: what the topmost Via is told, and where responses go.
pub(super) fn reach(flow: Flow, via: &Via<'_>) -> (Reach, Flow) {
    let source = canonical(flow.remote);
    let asks_rport = via.params().has("rport");
    let sent_by = std::str::from_utf8(via.host()).unwrap_or_default();
    let bare = sent_by.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(sent_by);
    let is_source = bare.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical() == source.ip());
    let reach = Reach {
        received: (asks_rport || !is_source).then_some(source.ip()),
        rport: asks_rport.then_some(source.port()),
        overload: None,
    };
    let reply_to = match flow.transport {
        // RFC 3261 §18.2.2: on a stream, the connection; `maddr` is not followed.
        Transport::Tcp | Transport::Tls => flow,
        Transport::Udp if asks_rport => flow,
        Transport::Udp => {
            let port = via.port().unwrap_or(flow.transport.default_port());
            Flow { remote: SocketAddr::new(flow.remote.ip(), port), ..flow }
        }
    };
    (reach, reply_to)
}

impl Endpoint {
    /// Answers without keeping anything: a repetition gets the same answer again (RFC 3261
    /// §8.2.7).
    pub(super) fn respond_stateless(&mut self, incoming: &Incoming<'_>, rejection: &Rejection) {
        let bytes = self.refusal(incoming, rejection);
        self.transmit(incoming.reply_to, bytes);
    }

    /// Answers a request whose answer depends on what else is going on: an INVITE keeps its
    /// transaction, so that a repetition can't meet another answer.
    pub(super) fn refuse(&mut self, incoming: &Incoming<'_>, rejection: &Rejection) {
        if incoming.request.method != Method::Invite || self.overflow(incoming.flow).is_some() {
            return self.respond_stateless(incoming, rejection);
        }
        let bytes = self.refusal(incoming, rejection);
        let server = InviteServer::refused(incoming.now, incoming.reply_to, bytes.clone());
        self.timers.set(Timer::InviteServer(incoming.key), server.deadline());
        self.invite_servers.insert(incoming.key, server);
        self.transmit(incoming.reply_to, bytes);
    }

    fn refusal(&self, incoming: &Incoming<'_>, rejection: &Rejection) -> Bytes {
        let mut writer = self.start_response(incoming, rejection.status);
        write_rejection(&mut writer, rejection, &self.warn_agent(incoming.flow));
        writer.field("Server", &self.config.product);
        writer.finish()
    }

    /// A response with a tag that follows from the request.
    pub(super) fn start_response(&self, incoming: &Incoming<'_>, status: u16) -> Writer {
        let mut writer = Writer::response(status);
        let tag = self.keys.tag(&incoming.key);
        writer.copied(incoming.message, &incoming.reach, Some(&tag));
        writer
    }

    /// What a 200 says of us.
    pub(super) fn write_capabilities(&self, writer: &mut Writer) {
        writer.field("Allow", ALLOW);
        writer.field("Allow-Events", crate::mwi::EVENT_PACKAGE);
        writer.field("Accept", crate::message::content::ACCEPT);
        writer.field("Accept-Encoding", "identity");
        writer.field("Accept-Language", "en");
        writer.field("Supported", SUPPORTED.join(", "));
        writer.field("Server", &self.config.product);
    }

    /// Who warns (RFC 3261 §20.43).
    pub(super) fn warn_agent(&self, flow: Flow) -> String {
        self.advertised(flow).to_string()
    }

    /// RFC 3261 §8.2.6.2: To with a tag where it has none, the same at each repetition. What can't be read stays as it is.
    fn tagged<'a>(
        &self,
        name: Name,
        value: &'a [u8],
        via: &[u8],
        call_id: Option<&[u8]>,
    ) -> Cow<'a, [u8]> {
        let lacks_tag = Address::parse_single(value).is_some_and(|to| to.tag().is_none());
        if name != Name::To || !lacks_tag {
            return Cow::Borrowed(value);
        }
        let tag = self.keys.tag_of_malformed(via, call_id.unwrap_or_default());
        Cow::Owned([value, b";tag=", tag.as_bytes()].concat())
    }

    /// Answers what is no valid request, as far as it can be read: never an ACK, never a response,
    /// and only so many a second.
    pub(super) fn respond_to_malformed(
        &mut self,
        now: Instant,
        flow: Flow,
        draft: &Draft<'_>,
        error: ParseError,
    ) {
        let field = |name| draft.fields.iter().find(|f| f.name == name).map(|f| f.value);
        let is_request = draft.method.is_some_and(|m| m.text() != b"ACK");
        let (Some(via), Some(cseq)) = (field(Name::Via), field(Name::CSeq)) else { return };
        if !is_request {
            return;
        }
        if !self.sources.take_error_reply(now, flow) {
            return self.give_up_on(flow);
        }
        let mut writer = Writer::response(error.status());
        let vias = draft.fields.iter().filter(|f| f.name == Name::Via).map(|f| f.value);
        let reply_to = match Via::parse(&mut Cursor::new(via)) {
            Some(via) => {
                let (reach, reply_to) = reach(flow, &via);
                writer.vias(vias, &reach);
                reply_to
            }
            None => {
                vias.for_each(|via| writer.echo("Via", via));
                flow
            }
        };
        for name in [Name::From, Name::To, Name::CallId] {
            if let (Some(value), Some(long)) = (field(name), name.long()) {
                writer.echo(long, &self.tagged(name, value, via, field(Name::CallId)));
            }
        }
        writer.echo("CSeq", cseq);
        writer.field("Server", &self.config.product);
        let bytes = writer.finish();
        self.transmit(reply_to, bytes);
    }
}
