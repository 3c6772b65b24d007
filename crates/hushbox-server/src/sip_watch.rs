//! Counts every SIP message, and keeps the last calls' for `hushbox trace`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hushbox_call::setup::CallSetup;
use hushbox_call::signalling::{Asked, Peer, Refused};
use hushbox_policy::TrunkId;
use hushbox_sip::message::StartLine;
use hushbox_sip::{CallIdHash, ConnectionId, Flow, Message, Overflow, ParseError, Tap, Transport};
use hushbox_store::Directory;

use crate::metrics::{self, TrunkName, method_label};
use crate::trace::Trace;

/// Looks on: one end is the endpoint's [`Tap`], the other the signalling task's.
#[derive(Clone)]
pub struct SipWatch {
    trace: Arc<Trace>,
    peers: Arc<Mutex<Peers>>,
}

/// Which trunk a message comes from.
struct Peers {
    directory: Arc<Directory>,
    names: BTreeMap<TrunkId, TrunkName>,
    connections: BTreeMap<ConnectionId, TrunkId>,
}

impl Peers {
    fn trunk(&self, flow: Flow) -> Option<TrunkName> {
        let id = match (flow.transport, flow.connection) {
            (Transport::Tls, connection) => *self.connections.get(&connection?)?,
            // On a socket of both families an IPv4 peer has an IPv6 address around its own.
            _ => self.directory.trunk_by_lab_address(flow.remote.ip().to_canonical())?.id,
        };
        self.names.get(&id).cloned()
    }

    fn learn(&mut self, directory: Arc<Directory>) {
        self.names =
            directory.trunks().map(|trunk| (trunk.id, trunk.name.as_str().into())).collect();
        self.names.values().for_each(metrics::trunk);
        self.directory = directory;
    }
}

impl SipWatch {
    /// Over this trace, with the trunks of this directory.
    pub fn new(trace: Arc<Trace>, directory: Arc<Directory>) -> Self {
        let mut peers = Peers {
            directory: Arc::clone(&directory),
            names: BTreeMap::new(),
            connections: BTreeMap::new(),
        };
        peers.learn(directory);
        Self { trace, peers: Arc::new(Mutex::new(peers)) }
    }

    /// The directory has changed.
    pub fn directory(&self, directory: Arc<Directory>) {
        self.peers().learn(directory);
    }

    /// What a trunk is called.
    pub fn trunk_name(&self, trunk: TrunkId) -> Option<TrunkName> {
        self.peers().names.get(&trunk).cloned()
    }

    /// A connection came up.
    pub fn opened(&self, flow: Flow, peer: Peer) {
        if let (Some(connection), Peer::Trunk(trunk)) = (flow.connection, peer) {
            self.peers().connections.insert(connection, trunk);
        }
    }

    /// A connection is gone.
    pub fn closed(&self, flow: Flow) {
        if let Some(connection) = flow.connection {
            self.peers().connections.remove(&connection);
        }
    }

    /// A message is sent.
    pub fn sent(&self, flow: Flow, bytes: &[u8]) {
        // What we write ourselves can be read; what cannot is an answer to something malformed, or a keep-alive.
        let Ok(message) = Message::parse(bytes) else { return };
        let method = method_label(message.cseq().method.text());
        match message.start() {
            StartLine::Request(_) => metrics::sip_request_sent(method),
            StartLine::Response(status) => metrics::sip_response(status, method),
        }
        if let Some(after) = self.trace.sent(flow, &message) {
            metrics::invite_answered(after);
        }
    }

    /// A call was let in. Answers its trunk's name.
    pub fn admitted(&self, setup: &CallSetup) -> Option<TrunkName> {
        let kind = metrics::kind(&setup.purpose);
        let trunk = setup.caller.trunk().and_then(|id| self.trunk_name(id));
        self.trace.admitted(setup.call_id_hash, setup.id, kind, trunk.clone());
        trunk
    }

    /// A request was refused.
    pub fn refused(&self, refused: &Refused) {
        match refused.asked {
            Asked::Call => {
                let trunk = refused.trunk.and_then(|id| self.trunk_name(id));
                metrics::call_refused(refused.why, trunk.as_ref());
                self.trace.refused(refused, trunk);
            }
            Asked::InCall => metrics::in_call_refused(refused.why),
            Asked::Subscription => metrics::subscription_refused(refused.why),
        }
    }

    fn peers(&self) -> MutexGuard<'_, Peers> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tap for SipWatch {
    fn received(&mut self, flow: Flow, message: &Message<'_>, begins: Option<CallIdHash>) {
        let trunk = self.peers().trunk(flow);
        match message.start() {
            StartLine::Request(request) => {
                let method = method_label(request.method.text());
                metrics::sip_request(method, flow.transport, trunk.as_ref());
            }
            StartLine::Response(status) => {
                let method = method_label(message.cseq().method.text());
                metrics::sip_response_received(status, method);
            }
        }
        self.trace.received(flow, message, begins, trunk.as_ref());
    }

    fn malformed(&mut self, _: Flow, error: ParseError) {
        metrics::sip_malformed(error);
    }

    fn refused(&mut self, flow: Flow, why: Overflow) {
        metrics::sip_no_room(why, self.peers().trunk(flow).as_ref());
    }
}
