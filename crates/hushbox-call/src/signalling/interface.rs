//! What goes into signalling and what comes out of it.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hushbox_policy::{CallId, DeviceId, MailboxId, NoRoom, SubscriptionId, TrunkId};
use hushbox_sip::rate::Allowance;
use hushbox_sip::registration::{News, Settings};
use hushbox_sip::resolution::Target;
use hushbox_sip::{Attempt, CallIdHash, Destination, Flow};
use hushbox_store::keys::ServiceKey;
use hushbox_store::{Counts, Directory, SubscriptionRow};

use super::overload::{Part, Strain};
use crate::limits;
use crate::setup::{CallSetup, FromSignalling, ToSignalling};

/// A question where something is to be sent. Never used twice in a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LookUp(pub u64);

/// Whom a connection's certificate stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Peer {
    /// No certificate, or one that fits no record.
    #[default]
    Nobody,
    /// A device.
    Device(DeviceId),
    /// A trunk.
    Trunk(TrunkId),
    /// One that fits several records.
    Ambiguous,
}

/// What signalling is told at its start.
pub struct Config {
    /// Product, listeners, limits.
    pub sip: hushbox_sip::Config,
    /// The digest realm.
    pub realm: String,
    /// Opens the devices' digest secrets.
    pub service_key: ServiceKey,
    /// How many calls are let in.
    pub admission: Admission,
    /// Whether messages can't be opened: `*97` says so before any number.
    pub record_only: bool,
    /// How lamps are told.
    pub mwi: MwiConfig,
}

/// How lamps are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MwiConfig {
    /// NOTIFYs a second, all subscriptions together.
    pub notifies_per_second: u32,
    /// How often what lamps have acknowledged is compared with the store.
    pub compare_every: Duration,
}

impl Default for MwiConfig {
    fn default() -> Self {
        MwiConfig {
            notifies_per_second: limits::NOTIFIES_PER_SECOND,
            compare_every: limits::LAMPS_COMPARED_EVERY,
        }
    }
}

/// How many calls are let in.
#[derive(Clone, Copy, Debug)]
pub struct Admission {
    /// Calls at once.
    pub calls_max: usize,
    /// Of a hundred places so many are kept for those who hear messages.
    pub retrieval_reserved_percent: u8,
    /// How many messages one caller may leave in one mailbox; `None` counts none.
    pub deposits_per_caller: Option<Allowance>,
}

/// What happens to signalling. Its `Debug` hides what was sent: numbers, names and keys.
pub enum Input<'a> {
    /// A datagram came.
    Datagram {
        /// Where from.
        flow: Flow,
        /// Its content.
        bytes: &'a [u8],
    },
    /// A connection came up, with whom its certificate stands for.
    Connected {
        /// Which connection.
        flow: Flow,
        /// Who is at the other end.
        peer: Peer,
    },
    /// Bytes came on a connection.
    StreamData {
        /// Which connection.
        flow: Flow,
        /// As many as there were.
        bytes: &'a [u8],
    },
    /// A connection closed, from either side.
    StreamClosed {
        /// Which connection.
        flow: Flow,
    },
    /// A connection that [`Output::Connect`] asked for is open, with whom the server's certificate stands for.
    Opened {
        /// Which attempt this was.
        attempt: Attempt,
        /// The connection.
        flow: Flow,
        /// Who is at the other end.
        peer: Peer,
    },
    /// A connection that [`Output::Connect`] asked for could not be opened.
    Unopened {
        /// Which attempt this was.
        attempt: Attempt,
    },
    /// The directory has changed.
    Directory(Arc<Directory>),
    /// The messages of a mailbox have changed.
    MailboxChanged(MailboxId),
    /// The answer to [`Output::Count`]; none where the index could not say.
    Counted {
        /// Whose messages.
        mailbox: MailboxId,
        /// How many.
        counts: Option<Counts>,
    },
    /// The subscriptions of an earlier run, before anything else.
    Restore(Vec<SubscriptionRow>),
    /// Whether the data disk has too little room for a new deposit.
    DiskFull(bool),
    /// Whether messages can't be opened.
    RecordOnly(bool),
    /// How a part of the server keeps up: each says so every [`STRAIN_EVERY`](crate::limits::STRAIN_EVERY).
    Strain {
        /// Which part.
        part: Part,
        /// How it does.
        strain: Strain,
    },
    /// The server stops: no new calls.
    Drain,
    /// Be an extension of these PBXs; said once.
    Register(Vec<Settings>),
    /// What [`Output::Locate`] asked for.
    Located {
        /// Which question this answers.
        look_up: LookUp,
        /// In the order of trying; none where the name leads nowhere.
        destinations: Vec<Destination>,
    },
    /// A call says something.
    Call {
        /// Which call.
        call: CallId,
        /// What it says.
        says: ToSignalling,
    },
    /// Time has passed.
    Timeout,
}

impl fmt::Debug for Input<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Input::Datagram { flow, bytes } => {
                write!(f, "Datagram({flow:?}, {} octets)", bytes.len())
            }
            Input::Connected { flow, peer } => write!(f, "Connected({flow:?}, {peer:?})"),
            Input::StreamData { flow, bytes } => {
                write!(f, "StreamData({flow:?}, {} octets)", bytes.len())
            }
            Input::StreamClosed { flow } => write!(f, "StreamClosed({flow:?})"),
            Input::Opened { flow, peer, .. } => write!(f, "Opened({flow:?}, {peer:?})"),
            Input::Unopened { attempt } => write!(f, "Unopened({})", attempt.0),
            Input::Directory(_) => f.write_str("Directory(…)"),
            Input::MailboxChanged(mailbox) => write!(f, "MailboxChanged({mailbox})"),
            Input::Counted { mailbox, counts } => write!(f, "Counted({mailbox}, {counts:?})"),
            Input::Restore(rows) => write!(f, "Restore({} subscriptions)", rows.len()),
            Input::DiskFull(full) => write!(f, "DiskFull({full})"),
            Input::RecordOnly(only) => write!(f, "RecordOnly({only})"),
            Input::Strain { part, strain } => write!(f, "Strain({part:?}, {strain:?})"),
            Input::Drain => f.write_str("Drain"),
            Input::Register(settings) => write!(f, "Register({})", settings.len()),
            Input::Located { look_up, destinations } => {
                write!(f, "Located({}, {destinations:?})", look_up.0)
            }
            Input::Call { call, says } => write!(f, "Call({call}, {says:?})"),
            Input::Timeout => f.write_str("Timeout"),
        }
    }
}

/// What signalling asks for. Its `Debug` hides what is sent.
pub enum Output {
    /// Send this.
    Transmit {
        /// Where to.
        flow: Flow,
        /// A whole message.
        bytes: Bytes,
    },
    /// Close this connection.
    Disconnect {
        /// Which.
        flow: Flow,
    },
    /// Open this connection: say [`Input::Opened`] or [`Input::Unopened`].
    Connect {
        /// Which attempt this is.
        attempt: Attempt,
        /// Where to, and what the server must prove to be.
        destination: Destination,
    },
    /// Find out where this leads (RFC 3263): say [`Input::Located`].
    Locate {
        /// Which question this is.
        look_up: LookUp,
        /// The host, and what is known of port and transport.
        target: Target,
    },
    /// What became of a registration; for the log and for metrics.
    Registration {
        /// Its place in [`Input::Register`].
        number: usize,
        /// What.
        news: News,
    },
    /// What became of telling PBXs that have not subscribed; for the log.
    Mwi {
        /// Which PBX; none where it is about all of them.
        trunk: Option<TrunkId>,
        /// What.
        news: MwiNews,
    },
    /// A call was admitted: make a [`Call`](crate::Call). Without a port or a shard for it, say
    /// [`ToSignalling::Reject`] and [`ToSignalling::Over`] in its place.
    Start(Box<CallSetup>),
    /// Tell a call this.
    ToCall {
        /// Which call.
        call: CallId,
        /// What.
        says: FromSignalling,
    },
    /// Count a mailbox's messages: [`Input::Counted`] must follow.
    Count(MailboxId),
    /// Keep a subscription, in place of what was kept under its id.
    KeepSubscription(Box<SubscriptionRow>),
    /// A subscription is over: what was kept of it may go.
    ForgetSubscription(SubscriptionId),
    /// Who is at the other end of this connection is known now: a call from there was admitted. A connection that
    /// never gets so far is closed soon.
    Known {
        /// Which.
        flow: Flow,
    },
    /// A request was refused; for counters, and a line in the log.
    Refused(Refused),
    /// Nothing more until then.
    Timeout(Option<Instant>),
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Output::Transmit { flow, bytes } => {
                write!(f, "Transmit({flow:?}, {} octets)", bytes.len())
            }
            Output::Disconnect { flow } => write!(f, "Disconnect({flow:?})"),
            Output::Connect { attempt, .. } => write!(f, "Connect({})", attempt.0),
            Output::Locate { look_up, .. } => write!(f, "Locate({})", look_up.0),
            Output::Registration { number, news } => write!(f, "Registration({number}, {news:?})"),
            Output::Mwi { trunk, news } => write!(f, "Mwi({trunk:?}, {news:?})"),
            Output::Start(setup) => write!(f, "Start({setup:?})"),
            Output::ToCall { call, says } => write!(f, "ToCall({call}, {says:?})"),
            Output::Count(mailbox) => write!(f, "Count({mailbox})"),
            Output::KeepSubscription(row) => write!(f, "KeepSubscription({})", row.id),
            Output::ForgetSubscription(id) => write!(f, "ForgetSubscription({id})"),
            Output::Known { flow } => write!(f, "Known({flow:?})"),
            Output::Refused(refused) => write!(f, "Refused({refused:?})"),
            Output::Timeout(at) => write!(f, "Timeout({at:?})"),
        }
    }
}

/// What becomes of telling PBXs that have not subscribed. Said when it changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MwiNews {
    /// It cannot be found or reached, does not answer, or says 503.
    Unreachable,
    /// It answers again.
    Reachable,
    /// It takes no such NOTIFY of a mailbox, for the first time with this status.
    Refused(u16),
    /// There are more lamps than [`UNASKED_LAMPS_MAX`](crate::limits::UNASKED_LAMPS_MAX).
    TooMany,
}

/// What a request was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Asked {
    /// A call.
    Call,
    /// To change or end a call, from elsewhere than the call's.
    InCall,
    /// A subscription.
    Subscription,
}

/// A refused request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// What it was for.
    pub asked: Asked,
    /// The status that was answered; 0 where nothing was.
    pub status: u16,
    /// Why.
    pub why: Why,
    /// What stands for its SIP Call-ID in logs and traces.
    pub call_id_hash: CallIdHash,
    /// The PBX whose connection or address it came from.
    pub trunk: Option<TrunkId>,
}

/// Why a request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Why {
    /// A stranger, or a first request without credentials: challenged.
    Challenged,
    /// Wrong digest credentials: challenged again.
    WrongDigest,
    /// Credentials of an old nonce: challenged again.
    StaleNonce,
    /// Wrong digests without end from one address.
    TooManyWrongDigests,
    /// A certificate that fits two records.
    AmbiguousCertificate,
    /// A device calls what is not its account's, or who may only leave messages wants more.
    NotThisDevices,
    /// A trunk calls what none of its accounts has.
    NoSuchNumber,
    /// A voicemail server calls another.
    Loop,
    /// Something in the request can't be understood.
    NotUnderstood,
    /// The data disk is full.
    DiskFull,
    /// As many calls, or subscriptions, as there may be.
    Full,
    /// As many calls of this trunk as it may have.
    TrunkFull,
    /// The server is behind.
    Overloaded,
    /// One caller's messages without end, and no room to say so.
    Flood,
    /// The server stops.
    Draining,
    /// No media port is free.
    NoMediaPort,
    /// The subscription is over, or somebody else's.
    NoSubscription,
    /// A later request has overtaken it.
    Overtaken,
}

impl From<NoRoom> for Why {
    fn from(why: NoRoom) -> Self {
        match why {
            NoRoom::Draining => Why::Draining,
            NoRoom::Full => Why::Full,
            NoRoom::TrunkFull => Why::TrunkFull,
            NoRoom::DiskFull => Why::DiskFull,
            NoRoom::Overloaded => Why::Overloaded,
            NoRoom::Flood => Why::Flood,
        }
    }
}

impl Why {
    /// Every reason, for tables of metrics and documentation.
    pub const ALL: [Self; 18] = [
        Self::Challenged,
        Self::WrongDigest,
        Self::StaleNonce,
        Self::TooManyWrongDigests,
        Self::AmbiguousCertificate,
        Self::NotThisDevices,
        Self::NoSuchNumber,
        Self::Loop,
        Self::NotUnderstood,
        Self::DiskFull,
        Self::Full,
        Self::TrunkFull,
        Self::Overloaded,
        Self::Flood,
        Self::Draining,
        Self::NoMediaPort,
        Self::NoSubscription,
        Self::Overtaken,
    ];

    /// The stable name in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Why::Challenged => "challenged",
            Why::WrongDigest => "wrong-digest",
            Why::StaleNonce => "stale-nonce",
            Why::TooManyWrongDigests => "too-many-wrong-digests",
            Why::AmbiguousCertificate => "ambiguous-certificate",
            Why::NotThisDevices => "not-this-devices",
            Why::NoSuchNumber => "no-such-number",
            Why::Loop => "loop",
            Why::NotUnderstood => "not-understood",
            Why::DiskFull => "disk-full",
            Why::Full => "full",
            Why::TrunkFull => "trunk-full",
            Why::Overloaded => "overloaded",
            Why::Flood => "flood",
            Why::Draining => "draining",
            Why::NoMediaPort => "no-media-port",
            Why::NoSubscription => "no-subscription",
            Why::Overtaken => "overtaken",
        }
    }
}

impl Peer {
    /// A number that stands for the identity, so that a dialog outlives its connection.
    pub(super) fn number(self) -> Option<u64> {
        let id = match self {
            Peer::Nobody | Peer::Ambiguous => return None,
            Peer::Device(id) => id.as_uuid(),
            Peer::Trunk(id) => id.as_uuid(),
        };
        let (high, low) = id.as_u64_pair();
        // The version and variant bits of both halves are constant: folding loses nothing that tells ids apart.
        Some(high.rotate_left(32) ^ low)
    }
}

#[cfg(test)]
mod tests {
    use hushbox_sip::Transport;

    use super::*;

    #[test]
    fn every_reason_has_a_name_of_its_own() {
        let names: std::collections::BTreeSet<_> =
            Why::ALL.iter().map(|why| why.as_str()).collect();
        assert_eq!(names.len(), Why::ALL.len());
    }

    #[test]
    fn messages_are_never_printed() {
        let at = "192.0.2.1:5061".parse().unwrap();
        let flow = Flow { transport: Transport::Tcp, local: at, remote: at, connection: None };
        let bytes = b"INVITE sip:1001@clinic.example SIP/2.0";
        let input = Input::StreamData { flow, bytes };
        let output = Output::Transmit { flow, bytes: Bytes::from_static(bytes) };
        for printed in [format!("{input:?}"), format!("{output:?}")] {
            assert!(printed.ends_with("38 octets)"), "{printed}");
        }
    }
}
