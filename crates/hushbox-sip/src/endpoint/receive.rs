//! What comes in, and the order in which a request is judged (RFC 3261 §8.2).

use super::Endpoint;
use super::invite::unsupported;
use super::respond::ALLOW;
use crate::error::ParseError;
use crate::framing::Framed;
use crate::invite::CallIdHash;
use crate::message::method::Method;
use crate::message::name::Name;
use crate::message::uri::Scheme;
use crate::message::write::Reach;
use crate::message::{Draft, Message, Request, StartLine};
use crate::rejection::Rejection;
use crate::tap::Overflow;
use crate::transaction::Key;
use crate::transport::Flow;
use bytes::Bytes;
use std::time::Instant;

/// A request on its way through the checks.
#[derive(Clone, Copy)]
pub(super) struct Incoming<'a> {
    pub(super) now: Instant,
    pub(super) flow: Flow,
    /// Where its responses go.
    pub(super) reply_to: Flow,
    pub(super) reach: Reach,
    /// All of it.
    pub(super) bytes: &'a [u8],
    pub(super) message: &'a Message<'a>,
    pub(super) request: Request<'a>,
    /// Its transaction.
    pub(super) key: Key,
}

impl Endpoint {
    /// Takes what a stream held.
    pub(super) fn handle_framed(&mut self, now: Instant, flow: Flow, item: &Framed) {
        match item {
            Framed::Message(bytes) => self.handle_message(now, flow, bytes),
            // RFC 5626 §3.5.1.
            Framed::Ping => self.transmit(flow, Bytes::from_static(b"\r\n")),
            Framed::Pong => self.handle_pong(flow),
            Framed::Broken { error, head } => {
                self.show_malformed(flow, *error);
                if let Ok(draft) = Draft::read(head) {
                    self.respond_to_malformed(now, flow, &draft, *error);
                }
                self.disconnect(flow);
            }
        }
    }

    /// Takes one message.
    pub(super) fn handle_message(&mut self, now: Instant, flow: Flow, bytes: &[u8]) {
        let mut draft = match Draft::read(bytes) {
            Ok(draft) => draft,
            Err(error) => return self.show_malformed(flow, error),
        };
        let message = match draft.check() {
            Ok(message) => message,
            Err(error) => {
                self.show_malformed(flow, error);
                return self.respond_to_malformed(now, flow, &draft, error);
            }
        };
        self.show(flow, &message);
        match message.start() {
            StartLine::Response(status) => self.handle_response(now, &message, status),
            StartLine::Request(request) => {
                let incoming = self.incoming(now, flow, bytes, &message, request);
                self.handle_request(&incoming);
            }
        }
    }

    fn show(&mut self, flow: Flow, message: &Message<'_>) {
        let Some(tap) = &mut self.tap else { return };
        let begins = matches!(message.start(), StartLine::Request(r) if r.method == Method::Invite)
            && message.to().tag().is_none();
        let hash = || CallIdHash(self.keys.call_id_hash(message.call_id()));
        tap.received(flow, message, begins.then(hash));
    }

    fn show_malformed(&mut self, flow: Flow, error: ParseError) {
        if let Some(tap) = &mut self.tap {
            tap.malformed(flow, error);
        }
    }

    /// There is no room for it.
    pub(super) fn show_refused(&mut self, flow: Flow, why: Overflow) {
        if let Some(tap) = &mut self.tap {
            tap.refused(flow, why);
        }
    }

    pub(super) fn incoming<'a>(
        &self,
        now: Instant,
        flow: Flow,
        bytes: &'a [u8],
        message: &'a Message<'a>,
        request: Request<'a>,
    ) -> Incoming<'a> {
        let (reach, reply_to) = self.reach(flow, message.via());
        let key = self.transaction_of(flow, message, request.method);
        Incoming { now, flow, reply_to, reach, bytes, message, request, key }
    }

    /// The transaction of a message, or, for ACK and CANCEL, of its INVITE.
    pub(super) fn transaction_of(&self, flow: Flow, m: &Message<'_>, method: Method<'_>) -> Key {
        self.keys.transaction(&flow, self.identity_of(flow), m, method)
    }

    fn handle_request(&mut self, incoming: &Incoming<'_>) {
        let (message, method) = (incoming.message, incoming.request.method);
        self.note_alias(incoming);
        // RFC 3261 §17: ACK is never answered.
        if method == Method::Ack {
            return self.handle_ack(incoming);
        }
        if self.absorb_repetition(incoming) || self.refuse_flood(incoming) {
            return;
        }
        // protocols.md §2.10: the method before everything, so that a REGISTER meets no challenge.
        match method {
            Method::Unserved("INFO") if self.is_info_of_a_package(incoming) => {
                let rejection = Rejection::new(469).with_header("Recv-Info", "");
                return self.respond_stateless(incoming, &rejection);
            }
            Method::Unserved(_) => {
                let rejection = Rejection::new(405).with_header("Allow", ALLOW);
                return self.respond_stateless(incoming, &rejection);
            }
            Method::Unknown(_) => {
                let rejection = Rejection::new(501).with_header("Allow", ALLOW);
                return self.respond_stateless(incoming, &rejection);
            }
            Method::Cancel => return self.handle_cancel(incoming),
            Method::Invite
            | Method::Ack
            | Method::Bye
            | Method::Options
            | Method::Update
            | Method::Prack
            | Method::Subscribe
            | Method::Notify => {}
        }
        // RFC 3261 §8.2.2.1.
        if incoming.request.uri.scheme() == Scheme::Other {
            return self.respond_stateless(incoming, &Rejection::new(416));
        }
        match method {
            Method::Subscribe if message.to().tag().is_some() => {
                return self.handle_subscribe(incoming);
            }
            // RFC 6665 §4.1.3: nothing here has subscribed to anything.
            Method::Notify => return self.respond_stateless(incoming, &Rejection::new(481)),
            _ if message.to().tag().is_some() => return self.handle_in_dialog(incoming),
            _ => {}
        }
        // RFC 3261 §8.2.2.2: the same request by another path must not become a second call.
        if self.merges.contains_key(&self.keys.merged(message)) {
            return self.refuse(incoming, &Rejection::new(482));
        }
        match method {
            Method::Invite => self.handle_invite(incoming),
            Method::Subscribe => self.handle_subscribe(incoming),
            Method::Options if self.refuse_extensions(incoming) => {}
            Method::Options => self.handle_options(incoming),
            // RFC 3261 §12.2.2, §15.1.2: these mean a dialog, and name none.
            _ => self.respond_stateless(incoming, &Rejection::new(481)),
        }
    }

    /// RFC 6086 §4.2.2: inside a call, one of a package gets 469 with those that we take, which are none.
    fn is_info_of_a_package(&self, incoming: &Incoming<'_>) -> bool {
        incoming.message.values(Name::InfoPackage).next().is_some()
            && self.find_dialog(incoming).is_some()
    }

    /// RFC 3261 §17.2: a request that is known already gets what it got before.
    fn absorb_repetition(&mut self, incoming: &Incoming<'_>) -> bool {
        let again = if let Some(transaction) = self.invite_servers.get(&incoming.key) {
            transaction.handle_invite()
        } else if let Some(transaction) = self.non_invite_servers.get(&incoming.key) {
            transaction.handle_request()
        } else {
            return false;
        };
        if let Some(bytes) = again {
            self.transmit(incoming.reply_to, bytes);
        }
        true
    }

    /// RFC 3261 §8.2.2.3: 420 for what Require names and we do not have. True if it was sent.
    pub(super) fn refuse_extensions(&mut self, incoming: &Incoming<'_>) -> bool {
        let unsupported = unsupported(incoming.message);
        if unsupported.is_empty() {
            return false;
        }
        let tags = unsupported.join(", ");
        let rejection = Rejection::new(420).with_header("Unsupported", &tags);
        self.refuse(incoming, &rejection);
        true
    }

    /// RFC 3261 §11.2: the same for everybody and whatever the user, so that it tells nothing.
    pub(super) fn handle_options(&mut self, incoming: &Incoming<'_>) {
        let mut writer = self.start_response(incoming, 200);
        self.write_capabilities(&mut writer);
        let bytes = writer.finish();
        self.transmit(incoming.reply_to, bytes);
    }

    /// Refuses a request whose body can not be read.
    pub(super) fn respond_to_bad_body(&mut self, incoming: &Incoming<'_>, error: ParseError) {
        self.refuse(incoming, &Rejection::new(error.status()));
    }
}
