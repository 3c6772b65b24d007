//! The user agent server: one object, bytes and time in, bytes and events out.

mod change;
mod connections;
mod elsewhere;
mod in_dialog;
mod invite;
mod opened;
mod outgoing;
mod owed;
mod reach;
mod receive;
mod refresh;
mod respond;
mod session;
mod session_timer;
mod sources;
mod subscribe;
mod subscriptions;
mod timeouts;
mod timers;

use crate::auth::Challenge;
use crate::event::{Event, RequestId, Session, Usage};
use crate::limits::Limits;
use crate::outgoing::{Attempt, Destination};
use crate::overload::OverloadControl;
use crate::rejection::{Reason, Rejection};
use crate::subscription::{EndReason, KeptSubscription, Sending, Subscription};
use crate::tap::Tap;
use crate::transaction::{InviteServer, Key, Keys, NonInviteServer};
use crate::transport::{ConnectionId, Flow, HostPort, Listener};
use bytes::Bytes;
use connections::Connection;
use elsewhere::Waiting;
use outgoing::{Request, RequestClient};
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};
use reach::Reaching;
use session::{Call, Client, Phase};
use sources::Sources;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::net::IpAddr;
use std::time::{Duration, Instant};
use subscriptions::Notifier;
use timers::Timers;

/// How an endpoint presents itself and how much it takes on.
#[derive(Clone, Debug)]
pub struct Config {
    /// Product token for Server and User-Agent, such as `Hushbox/0.1`.
    pub product: String,
    /// The listeners; a flow's `local` finds the one that its Contact and Via name.
    pub listeners: Vec<Listener>,
    /// Limits that an installation sets.
    pub limits: Limits,
}

/// What happens to an endpoint.
pub enum Input<'a> {
    /// A datagram came.
    Datagram {
        /// Where from.
        flow: Flow,
        /// Its content.
        bytes: &'a [u8],
    },
    /// Bytes came on a stream; the first ones open it.
    StreamData {
        /// Which stream.
        flow: Flow,
        /// As many bytes as there were.
        bytes: &'a [u8],
    },
    /// A stream closed, from either side.
    StreamClosed {
        /// Which stream.
        flow: Flow,
    },
    /// A connection that was asked for is open.
    Connected {
        /// Which attempt this was.
        attempt: Attempt,
        /// The stream, with a number of its own.
        flow: Flow,
    },
    /// A connection that was asked for could not be opened, or its peer is not whom it must be.
    Unconnected {
        /// Which attempt this was.
        attempt: Attempt,
    },
    /// The time of the last `Output::Timeout` has come.
    Timeout,
}

/// What an endpoint asks for.
pub enum Output {
    /// Send this.
    Transmit {
        /// Where to: on a stream by its connection, else to the remote address.
        flow: Flow,
        /// A whole message.
        bytes: Bytes,
    },
    /// Send what was given for this stream, then close it: what comes on it can no longer be
    /// framed, or is too slow. `Input::StreamClosed` must follow, as for every stream.
    Disconnect {
        /// Which stream.
        flow: Flow,
    },
    /// Open a connection; `Input::Connected` or `Input::Unconnected` must follow.
    Connect {
        /// Which attempt this is.
        attempt: Attempt,
        /// Where to.
        destination: Destination,
    },
    /// Something happened to a session, or to a request of ours.
    Event(Event),
    /// Nothing more now; come back with `Input::Timeout` at this time, or when something happens.
    Timeout(Option<Instant>),
}

/// How much an endpoint holds. All zero when nothing is going on and timers have run out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Calls, answered or not.
    pub sessions: usize,
    /// Subscriptions.
    pub subscriptions: usize,
    /// Transactions, of all kinds.
    pub transactions: usize,
    /// Stream connections.
    pub connections: usize,
    /// Everything else that is kept.
    pub others: usize,
}

/// A SIP user agent server: transactions, dialogs and the order of checks.
pub struct Endpoint {
    config: Config,
    /// Whose credentials are for us; until it is said, anybody's are.
    realm: Option<String>,
    keys: Keys,
    rng: ChaCha20Rng,
    next_id: u64,
    outputs: VecDeque<Output>,
    timers: Timers,
    invite_servers: BTreeMap<Key, InviteServer>,
    non_invite_servers: BTreeMap<Key, NonInviteServer>,
    clients: BTreeMap<Key, Client>,
    /// Requests that must not come again by another path, and which transaction each is.
    merges: BTreeMap<Key, Key>,
    merge_of: BTreeMap<Key, Key>,
    calls: BTreeMap<Session, Call>,
    dialogs: BTreeMap<Key, Session>,
    by_transaction: BTreeMap<Key, Session>,
    by_connection: BTreeSet<(ConnectionId, Session)>,
    changes: BTreeMap<RequestId, Session>,
    elsewhere: BTreeMap<RequestId, Waiting>,
    connections: BTreeMap<ConnectionId, Connection>,
    /// Connections that are being opened.
    attempts: BTreeMap<Attempt, Destination>,
    /// Peers that are being connected to.
    reaching: BTreeMap<Usage, Reaching>,
    /// Requests of our own outside of the calls, and their transactions.
    requests: BTreeMap<RequestId, Request>,
    request_clients: BTreeMap<Key, RequestClient>,
    identities: BTreeMap<ConnectionId, u64>,
    sources: Sources,
    tap: Option<Box<dyn Tap>>,
    notifier: Notifier,
}

impl Endpoint {
    /// An endpoint. Tags, branches and keys of its tables come from the seed, which must be fresh
    /// and secret.
    pub fn new(config: Config, seed: [u8; 32]) -> Self {
        let mut rng = ChaCha20Rng::from_seed(seed);
        let mut secret = [0; 32];
        rng.fill_bytes(&mut secret);
        let sources = Sources::new(&config.limits);
        Endpoint {
            config,
            realm: None,
            keys: Keys::new(&secret),
            rng,
            next_id: 0,
            outputs: VecDeque::new(),
            timers: Timers::default(),
            invite_servers: BTreeMap::new(),
            non_invite_servers: BTreeMap::new(),
            clients: BTreeMap::new(),
            merges: BTreeMap::new(),
            merge_of: BTreeMap::new(),
            calls: BTreeMap::new(),
            dialogs: BTreeMap::new(),
            by_transaction: BTreeMap::new(),
            by_connection: BTreeSet::new(),
            changes: BTreeMap::new(),
            elsewhere: BTreeMap::new(),
            connections: BTreeMap::new(),
            attempts: BTreeMap::new(),
            reaching: BTreeMap::new(),
            requests: BTreeMap::new(),
            request_clients: BTreeMap::new(),
            identities: BTreeMap::new(),
            sources,
            tap: None,
            notifier: Notifier::default(),
        }
    }

    /// Shows `tap` every message that comes in from now on.
    pub fn set_tap(&mut self, tap: Box<dyn Tap>) {
        self.tap = Some(tap);
    }

    /// Takes an input. Drain [`Endpoint::poll_output`] afterwards.
    pub fn handle_input(&mut self, now: Instant, input: Input<'_>) {
        self.fire_timers(now);
        match input {
            Input::Datagram { flow, bytes } => self.handle_message(now, flow, bytes),
            Input::StreamData { flow, bytes } => self.handle_stream(now, flow, bytes),
            Input::StreamClosed { flow } => self.handle_closed(now, flow),
            Input::Connected { attempt, flow } => self.handle_connected(now, attempt, flow),
            Input::Unconnected { attempt } => self.handle_unconnected(now, attempt),
            Input::Timeout => {}
        }
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Output {
        self.outputs.pop_front().unwrap_or_else(|| Output::Timeout(self.timers.next()))
    }

    /// Says whose connection this is (a client certificate, say), by any number that stands for
    /// that identity: requests inside a dialog then count from another connection of the same
    /// identity too, and a dialog outlives its connection.
    pub fn identify(&mut self, connection: ConnectionId, identity: u64) {
        self.identities.insert(connection, identity);
    }

    /// Says whose this session is, where its request showed that (digest, say) and not its
    /// connection: the session then outlives its connection like one of [`Endpoint::identify`].
    pub fn recognise(&mut self, session: Session, identity: u64) {
        if let Some(call) = self.calls.get_mut(&session) {
            call.identity = Some(identity);
        }
    }

    /// Says that this connection is a neighbour's: a PBX, whose calls the application counts. It may ask as often as
    /// it likes, and is told of overload where it takes part in that (RFC 7339).
    pub fn add_neighbour(&mut self, connection: ConnectionId) {
        self.sources.add_neighbour(connection);
    }

    /// Says from which addresses neighbours send without TLS.
    pub fn set_neighbour_addresses(&mut self, addresses: BTreeSet<IpAddr>) {
        self.sources.set_addresses(addresses);
    }

    /// Says which credentials are for us: a request may carry those for other servers on its way, too (RFC 3261
    /// §22.3).
    pub fn set_realm(&mut self, realm: &str) {
        self.realm = Some(realm.to_owned());
    }

    /// What neighbours that take part in overload control are told from now on (RFC 7339).
    pub fn set_overload(&mut self, overload: OverloadControl) {
        self.sources.set_overload(overload);
    }

    /// Answers a call with 200 and this SDP, which is an offer where the INVITE had none.
    pub fn answer(&mut self, now: Instant, session: Session, sdp: Bytes) {
        self.fire_timers(now);
        self.answer_first(now, session, &sdp);
    }

    /// Refuses a call. A status that is no refusal becomes 500.
    pub fn reject(&mut self, now: Instant, session: Session, rejection: Rejection) {
        self.fire_timers(now);
        self.reject_first(now, session, &rejection);
    }

    /// Refuses a call with 401 and these challenges.
    pub fn challenge(&mut self, now: Instant, session: Session, challenges: Vec<Challenge>) {
        self.fire_timers(now);
        self.challenge_first(now, session, &challenges);
    }

    /// Answers a re-INVITE with 200 and this SDP. False if it is over already (a CANCEL came before): then nothing was
    /// sent, and what was agreed before it stays (RFC 3261 §14.1).
    pub fn answer_reinvite(&mut self, now: Instant, request: RequestId, sdp: Bytes) -> bool {
        self.fire_timers(now);
        self.answer_change(now, request, &sdp)
    }

    /// Refuses a re-INVITE; the session stays as it was.
    pub fn reject_reinvite(&mut self, now: Instant, request: RequestId, rejection: Rejection) {
        self.fire_timers(now);
        self.reject_change(now, request, &rejection);
    }

    /// Ends a call: BYE, after the ACK where that is still to come (RFC 3261 §15). A call that was
    /// not answered yet is refused with 480.
    pub fn hang_up(&mut self, now: Instant, session: Session, reason: Reason) {
        self.fire_timers(now);
        let Some(call) = self.calls.get_mut(&session) else { return };
        let waits = call.awaits_first_ack();
        match &mut call.phase {
            Phase::Ringing { .. } => self.reject_first(now, session, &Rejection::new(480)),
            Phase::Answered { hang_up } if waits => *hang_up = Some(reason),
            Phase::Answered { .. } => self.send_bye(now, session, &reason),
            Phase::Ending => {}
        }
    }

    /// Drops a call that was not answered yet without a word: for a flood that is not worth one.
    pub fn discard(&mut self, now: Instant, session: Session) {
        self.fire_timers(now);
        self.discard_first(session);
    }

    /// Accepts a SUBSCRIBE for this time (zero: for one NOTIFY). [`Endpoint::notify`] must follow as soon as the
    /// state is known (RFC 6665 §4.2.1.2). Where the subscription could not be made, the status that was answered: 503
    /// for want of room, 481 if it is over, 500 if a later request has overtaken this one, 0 where nothing was.
    pub fn accept_subscribe(
        &mut self,
        now: Instant,
        request: RequestId,
        expires: Duration,
    ) -> Result<Subscription, u16> {
        self.fire_timers(now);
        self.accept_asked(now, request, expires)
    }

    /// Refuses a SUBSCRIBE; a subscription that it wanted to refresh stays as it was.
    pub fn reject_subscribe(&mut self, now: Instant, request: RequestId, rejection: Rejection) {
        self.fire_timers(now);
        self.reject_asked(now, request, &rejection);
    }

    /// Refuses a SUBSCRIBE with 401 and these challenges.
    pub fn challenge_subscribe(
        &mut self,
        now: Instant,
        request: RequestId,
        challenges: Vec<Challenge>,
    ) {
        self.fire_timers(now);
        self.challenge_asked(now, request, &challenges);
    }

    /// Drops a SUBSCRIBE without a word.
    pub fn discard_subscribe(&mut self, now: Instant, request: RequestId) {
        self.fire_timers(now);
        self.discard_asked(request);
    }

    /// Tells a subscriber the state.
    pub fn notify(&mut self, now: Instant, subscription: Subscription, body: &Bytes) -> Sending {
        self.fire_timers(now);
        self.send_state(now, subscription, Some(body))
    }

    /// Ends a subscription, with a last NOTIFY where there is a way.
    pub fn end_subscription(
        &mut self,
        now: Instant,
        subscription: Subscription,
        reason: EndReason,
        body: Option<&Bytes>,
    ) {
        self.fire_timers(now);
        self.revoke(now, subscription, reason, body);
    }

    /// Says whose this subscription is, where its request showed that and not its connection: see
    /// [`Endpoint::recognise`].
    pub fn recognise_subscriber(&mut self, subscription: Subscription, identity: u64) {
        self.notifier.recognise(subscription, identity);
    }

    /// Whether two subscriptions are of one place: then the earlier one is of a telephone that has started again.
    pub fn is_same_place(&self, one: Subscription, other: Subscription) -> bool {
        self.notifier.is_same_place(one, other)
    }

    /// Forgets a subscription without a word.
    pub fn forget_subscription(&mut self, subscription: Subscription) {
        self.unsubscribe(subscription, crate::subscription::Unsubscribed::Revoked);
    }

    /// What has to be kept of a subscription so that it survives a restart; `None` of one that is over.
    pub fn keep(&self, subscription: Subscription) -> Option<KeptSubscription> {
        self.kept(subscription)
    }

    /// Takes a subscription back that was kept. `None` where there is no room, or it is there already.
    pub fn restore(&mut self, kept: KeptSubscription) -> Option<Subscription> {
        self.take_back(kept)
    }

    /// How much is held.
    pub fn load(&self) -> Load {
        let servers = self.invite_servers.len() + self.non_invite_servers.len();
        Load {
            sessions: self.calls.len(),
            subscriptions: self.notifier.subscriptions(),
            transactions: servers
                + self.clients.len()
                + self.request_clients.len()
                + self.notifier.transactions(),
            connections: self.connections.len(),
            others: self.merges.len()
                + self.merge_of.len()
                + self.dialogs.len()
                + self.by_transaction.len()
                + self.by_connection.len()
                + self.changes.len()
                + self.elsewhere.len()
                + self.requests.len()
                + self.attempts.len()
                + self.reaching.len()
                + self.identities.len()
                + self.notifier.others()
                + self.sources.len(),
        }
    }

    /// Sends, unless there is nothing left to send on.
    fn transmit(&mut self, flow: Flow, bytes: Bytes) {
        let is_open = flow.connection.is_none_or(|c| self.connections.contains_key(&c));
        if is_open {
            self.outputs.push_back(Output::Transmit { flow, bytes });
        }
    }

    /// Takes back what was said and nobody has taken yet.
    fn unsay(&mut self, said: &Bytes) {
        let is_it = |o: &Output| matches!(o, Output::Transmit { bytes, .. } if bytes == said);
        if let Some(at) = self.outputs.iter().position(is_it) {
            self.outputs.remove(at);
        }
    }

    /// How peers of a flow's listener reach us.
    fn advertised(&self, flow: Flow) -> HostPort {
        let same_transport =
            || self.config.listeners.iter().filter(|l| l.transport == flow.transport);
        same_transport()
            .find(|l| l.local == flow.local)
            .or_else(|| same_transport().next())
            .map_or_else(|| HostPort::from(flow.local), |l| l.advertised.clone())
    }

    /// A Via of ours (RFC 3261 §8.1.1.7, RFC 3581 §3).
    fn via(&self, flow: Flow, branch: &str) -> String {
        let transport = flow.transport.via_name();
        let rport = if flow.transport.is_reliable() { "" } else { ";rport" };
        format!("SIP/2.0/{transport} {};branch={branch}{rport}", self.advertised(flow))
    }

    /// What a refused caller is told to wait: not everybody the same, so that they do not come back at once.
    fn retry_after(&mut self) -> u32 {
        5 + self.rng.next_u32() % 10
    }

    fn contact_of(&self, session: Session, flow: Flow) -> String {
        let is_secure = self.calls.get(&session).is_some_and(|c| c.dialog.is_secure());
        self.contact(flow, is_secure)
    }

    /// Our Contact (RFC 3261 §12.1.1).
    fn contact(&self, flow: Flow, is_secure: bool) -> String {
        let advertised = self.advertised(flow);
        if is_secure {
            return format!("<sips:voicemail@{advertised}>");
        }
        let transport = flow.transport.uri_name();
        format!("<sip:voicemail@{advertised};transport={transport}>")
    }
}

impl fmt::Debug for Input<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Input::Datagram { bytes, .. } => write!(f, "Datagram({} bytes)", bytes.len()),
            Input::StreamData { flow, bytes } => {
                write!(f, "StreamData({:?}, {} bytes)", flow.transport, bytes.len())
            }
            Input::StreamClosed { flow } => write!(f, "StreamClosed({:?})", flow.transport),
            Input::Connected { attempt, .. } => write!(f, "Connected({})", attempt.0),
            Input::Unconnected { attempt } => write!(f, "Unconnected({})", attempt.0),
            Input::Timeout => f.write_str("Timeout"),
        }
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Output::Transmit { flow, bytes } => {
                write!(f, "Transmit({:?}, {} bytes)", flow.transport, bytes.len())
            }
            Output::Disconnect { flow } => write!(f, "Disconnect({:?})", flow.transport),
            Output::Connect { attempt, .. } => write!(f, "Connect({})", attempt.0),
            Output::Event(event) => write!(f, "Event({event:?})"),
            Output::Timeout(at) => write!(f, "Timeout({at:?})"),
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("load", &self.load()).finish_non_exhaustive()
    }
}
