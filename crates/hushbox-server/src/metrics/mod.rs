//! Counters for Prometheus: one function for each thing that is counted, so that names and labels stand here alone.
//!
//! Where no recorder is installed (no `ops.listen`, unit tests) all of this does nothing.

mod recorder;
pub mod table;

use std::sync::Arc;
use std::time::Duration;

use hushbox_call::EndReason;
use hushbox_call::call::CallReport;
use hushbox_call::setup::Purpose;
use hushbox_call::signalling::Why;
use hushbox_sip::{Load, Overflow, ParseError, Transport};
use metrics::{Counter, Gauge, counter, gauge, histogram};

use crate::log_in::Outcome;
pub use recorder::{Exposition, RecorderError, install};
use table as t;

/// The name of a trunk as a label: shared, since every request of the trunk carries it.
pub type TrunkName = Arc<str>;

/// The label of what comes from no trunk.
const NO_TRUNK: &str = "none";

/// The methods that have a label of their own; every other is `other`.
const METHODS: [&str; 14] = [
    "INVITE",
    "ACK",
    "BYE",
    "CANCEL",
    "OPTIONS",
    "UPDATE",
    "PRACK",
    "REGISTER",
    "SUBSCRIBE",
    "NOTIFY",
    "PUBLISH",
    "MESSAGE",
    "INFO",
    "REFER",
];

/// The kinds of calls, as [`CallReport::purpose`] has them.
const KINDS: [&str; 4] = ["deposit", "retrieval", "refused-retrieval", "refused-deposit"];

/// The classes of responses.
const CLASSES: [&str; 6] = ["1xx", "2xx", "3xx", "4xx", "5xx", "6xx"];

/// A method as a label.
pub fn method_label(method: &[u8]) -> &'static str {
    METHODS.into_iter().find(|known| known.as_bytes() == method).unwrap_or("other")
}

/// A transport as a label.
pub const fn transport_label(transport: Transport) -> &'static str {
    match transport {
        Transport::Udp => "udp",
        Transport::Tcp => "tcp",
        Transport::Tls => "tls",
    }
}

fn class_label(status: u16) -> &'static str {
    CLASSES.get(usize::from(status / 100).wrapping_sub(1)).copied().unwrap_or("other")
}

fn trunk_label(trunk: Option<&TrunkName>) -> metrics::SharedString {
    trunk.map_or(metrics::SharedString::const_str(NO_TRUNK), |name| {
        metrics::SharedString::from_shared(Arc::clone(name))
    })
}

/// What a call is for, as [`CallReport::purpose`] has it.
pub fn kind(purpose: &Purpose) -> &'static str {
    match purpose {
        Purpose::Deposit { .. } => KINDS[0],
        Purpose::Retrieval(_) => KINDS[1],
        Purpose::RefusedRetrieval(_) => KINDS[2],
        Purpose::RefusedDeposit { .. } => KINDS[3],
    }
}

/// A SIP request came.
pub fn sip_request(method: &'static str, transport: Transport, trunk: Option<&TrunkName>) {
    let (transport, trunk) = (transport_label(transport), trunk_label(trunk));
    counter!(t::SIP_REQUESTS, "method" => method, "transport" => transport, "trunk" => trunk)
        .increment(1);
}

/// Whether a registration holds.
pub fn registered(registration: usize, holds: bool) {
    gauge!(t::REGISTERED, "registration" => registration.to_string())
        .set(f64::from(u8::from(holds)));
}

/// A registration failed.
pub fn registration_failed(registration: usize) {
    counter!(t::REGISTRATION_FAILURES, "registration" => registration.to_string()).increment(1);
}

/// A SIP response was sent.
pub fn sip_response(status: u16, method: &'static str) {
    counter!(t::SIP_RESPONSES, "class" => class_label(status), "method" => method).increment(1);
}

/// A SIP request was sent.
pub fn sip_request_sent(method: &'static str) {
    counter!(t::SIP_REQUESTS_SENT, "method" => method).increment(1);
}

/// A SIP response came.
pub fn sip_response_received(status: u16, method: &'static str) {
    counter!(t::SIP_RESPONSES_RECEIVED, "class" => class_label(status), "method" => method)
        .increment(1);
}

/// Something came that is no SIP message.
pub fn sip_malformed(error: ParseError) {
    counter!(t::SIP_PARSE_ERRORS, "reason" => parse_error_label(error)).increment(1);
}

/// There was no room for a SIP request.
pub fn sip_no_room(why: Overflow, trunk: Option<&TrunkName>) {
    counter!(t::SIP_NO_ROOM, "reason" => why.as_str(), "trunk" => trunk_label(trunk)).increment(1);
}

const PARSE_ERRORS: [&str; 12] = [
    "not-sip",
    "start-line",
    "version",
    "uri",
    "header-line",
    "header",
    "missing-header",
    "repeated-header",
    "method-mismatch",
    "length",
    "too-large",
    "multipart",
];

fn parse_error_label(error: ParseError) -> &'static str {
    match error {
        ParseError::NotSip => "not-sip",
        ParseError::StartLine => "start-line",
        ParseError::Version => "version",
        ParseError::Uri => "uri",
        ParseError::HeaderLine => "header-line",
        ParseError::Header(_) => "header",
        ParseError::Missing(_) => "missing-header",
        ParseError::Repeated(_) => "repeated-header",
        ParseError::MethodMismatch => "method-mismatch",
        ParseError::Length => "length",
        ParseError::TooLarge(_) => "too-large",
        ParseError::Multipart => "multipart",
    }
}

/// What the SIP endpoint holds: set after everything that it does, so its gauges are kept.
pub struct EndpointGauges {
    transactions: Gauge,
    dialogs: Gauge,
    subscriptions: Gauge,
    before: Load,
}

impl EndpointGauges {
    /// The gauges, at nothing.
    pub fn new() -> Self {
        Self {
            transactions: gauge!(t::SIP_TRANSACTIONS),
            dialogs: gauge!(t::SIP_DIALOGS),
            subscriptions: gauge!(t::SIP_SUBSCRIPTIONS),
            before: Load::default(),
        }
    }

    /// Sets them.
    pub fn set(&mut self, load: Load) {
        if load != self.before {
            self.transactions.set(load.transactions as f64);
            self.dialogs.set(load.sessions as f64);
            self.subscriptions.set(load.subscriptions as f64);
            self.before = load;
        }
    }
}

impl Default for EndpointGauges {
    fn default() -> Self {
        Self::new()
    }
}

/// Counts one until it is dropped.
pub struct Counted(Gauge);

impl Counted {
    fn new(gauge: Gauge) -> Self {
        gauge.increment(1.0);
        Self(gauge)
    }

    /// A call of a kind.
    pub fn call(kind: &'static str) -> Self {
        Self::new(gauge!(t::CALLS, "kind" => kind))
    }

    /// A connection of a listener.
    pub fn connection(transport: Transport) -> Self {
        let listener = transport_label(transport);
        counter!(t::CONNECTIONS_OPENED, "listener" => listener).increment(1);
        Self::new(gauge!(t::CONNECTIONS, "listener" => listener))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

/// A call was let in.
pub fn call_admitted(kind: &'static str, trunk: Option<&TrunkName>) {
    counter!(t::CALLS_ADMITTED, "kind" => kind, "trunk" => trunk_label(trunk)).increment(1);
}

/// A call was refused.
pub fn call_refused(why: Why, trunk: Option<&TrunkName>) {
    counter!(t::CALLS_REFUSED, "reason" => why.as_str(), "trunk" => trunk_label(trunk))
        .increment(1);
}

/// A request inside a call, from elsewhere, was asked whose it is.
pub fn in_call_refused(why: Why) {
    counter!(t::IN_CALL_REFUSED, "reason" => why.as_str()).increment(1);
}

/// A subscription was refused.
pub fn subscription_refused(why: Why) {
    counter!(t::SUBSCRIPTIONS_REFUSED, "reason" => why.as_str()).increment(1);
}

/// A call has ended.
pub fn call_ended(report: &CallReport) {
    let kind = report.purpose;
    counter!(t::CALLS_ENDED, "kind" => kind, "reason" => report.end.as_str()).increment(1);
    histogram!(t::CALL_SECONDS, "kind" => kind).record(report.duration);
    if let Some(leg) = &report.leg {
        counter!(t::RTP_RECEIVED).increment(leg.received);
        counter!(t::RTP_LOST).increment(leg.lost);
        counter!(t::SRTP_AUTH_FAILURES).increment(leg.auth_failures);
        counter!(t::SRTP_REPLAYS).increment(leg.replays);
    }
}

/// A call was answered, so long after its first INVITE.
pub fn invite_answered(after: Duration) {
    histogram!(t::INVITE_SECONDS).record(after);
}

/// A message was saved.
pub fn message_saved() {
    counter!(t::MESSAGES_SAVED).increment(1);
}

/// A recording was cut by the spool.
pub fn message_cut() {
    counter!(t::MESSAGES_CUT).increment(1);
}

/// A message was asked for, and is damaged or cannot be read now.
pub fn message_unplayable(damaged: bool) {
    counter!(t::MESSAGES_UNPLAYABLE, "reason" => UNPLAYABLE[usize::from(!damaged)]).increment(1);
}

/// Why a message can't be played.
const UNPLAYABLE: [&str; 2] = ["damaged", "unreadable"];

/// A message reached its mailbox.
pub fn message_delivered() {
    counter!(t::MESSAGES_DELIVERED).increment(1);
}

/// An attempt to deliver a message failed.
pub fn delivery_failed() {
    counter!(t::DELIVERY_FAILURES).increment(1);
}

/// How many messages are on their way, and how long the oldest has been.
pub fn deliveries(pending: usize, oldest: Duration) {
    gauge!(t::DELIVERIES_PENDING).set(pending as f64);
    gauge!(t::DELIVERY_LAG).set(oldest.as_secs_f64());
}

/// A sync of a spool took so long.
pub fn spool_synced(took: Duration) {
    histogram!(t::SPOOL_SYNC_SECONDS).record(took);
}

/// What a shard's spool holds and can take.
pub fn spool(shard: u16, undelivered: usize, room_bytes: u64) {
    gauge!(t::SPOOL_UNDELIVERED, "shard" => shard.to_string()).set(undelivered as f64);
    gauge!(t::SPOOL_ROOM, "shard" => shard.to_string()).set(room_bytes as f64);
}

/// Free bytes on a folder's disk.
pub fn disk_free(folder: &'static str, bytes: u64) {
    gauge!(t::DISK_FREE, "folder" => folder).set(bytes as f64);
}

/// A batch of audit records was written, or could not be.
pub fn audit_written(took: Duration, done: bool) {
    if done {
        histogram!(t::AUDIT_APPEND_SECONDS).record(took);
    } else {
        counter!(t::AUDIT_FAILURES).increment(1);
    }
}

/// Audit records that wait.
pub fn audit_queue(waiting: usize) {
    gauge!(t::AUDIT_QUEUE).set(waiting as f64);
}

/// A PIN was tried.
pub fn log_in(outcome: Outcome) {
    counter!(t::LOG_INS, "outcome" => log_in_label(outcome)).increment(1);
}

const LOG_IN_OUTCOMES: [Outcome; 6] = [
    Outcome::Right,
    Outcome::Wrong,
    Outcome::WrongAndLocked,
    Outcome::Locked,
    Outcome::Busy,
    Outcome::Unavailable,
];

const fn log_in_label(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Right => "right",
        Outcome::Wrong => "wrong",
        Outcome::WrongAndLocked => "wrong-and-locked",
        Outcome::Locked => "locked",
        Outcome::Busy => "busy",
        Outcome::Unavailable => "unavailable",
    }
}

/// Places that are taken before the comparison of PINs.
pub fn pin_queue(bound: bool, held: usize) {
    let lane = if bound { "bound" } else { "others" };
    gauge!(t::PIN_QUEUE, "lane" => lane).set(held as f64);
}

/// Why a connection was closed as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoConnection {
    /// There are as many as there may be, in all or from its address.
    Limit,
    /// The last places are for peers with a certificate.
    Stranger,
}

/// A connection was closed as it came.
pub fn connection_refused(why: NoConnection) {
    let reason = match why {
        NoConnection::Limit => "limit",
        NoConnection::Stranger => "stranger",
    };
    counter!(t::CONNECTIONS_REFUSED, "reason" => reason).increment(1);
}

/// A datagram was dropped.
pub fn datagram_dropped() {
    counter!(t::DATAGRAMS_DROPPED).increment(1);
}

/// Why a TLS handshake failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsFailure {
    /// A certificate that fits a record is outside of its dates.
    OutOfDate,
    /// One that fits a record was revoked.
    Revoked,
    /// Another fault of the peer's certificate or signature.
    Certificate,
    /// The peer does not accept our certificate, or says no for a reason of its own.
    Alert,
    /// No version or cipher suite in common.
    Incompatible,
    /// What came is not TLS.
    NotTls,
    /// It took too long.
    Slow,
    /// The connection closed.
    Closed,
    /// Anything else.
    Other,
}

impl TlsFailure {
    const ALL: [Self; 9] = [
        Self::OutOfDate,
        Self::Revoked,
        Self::Certificate,
        Self::Alert,
        Self::Incompatible,
        Self::NotTls,
        Self::Slow,
        Self::Closed,
        Self::Other,
    ];

    /// Its stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OutOfDate => "out-of-date",
            Self::Revoked => "revoked",
            Self::Certificate => "certificate",
            Self::Alert => "alert",
            Self::Incompatible => "incompatible",
            Self::NotTls => "not-tls",
            Self::Slow => "slow",
            Self::Closed => "closed",
            Self::Other => "other",
        }
    }
}

/// A TLS handshake failed.
pub fn tls_failed(why: TlsFailure) {
    counter!(t::TLS_FAILURES, "reason" => why.as_str()).increment(1);
}

/// Changed certificate files were taken, or refused.
pub fn tls_reloaded(taken: bool) {
    counter!(t::TLS_RELOADS, "outcome" => if taken { "taken" } else { "refused" }).increment(1);
}

/// When a certificate ends.
pub fn certificate_end(usage: &'static str, file: &str, unix_secs: i64) {
    gauge!(t::CERTIFICATE_END, "use" => usage, "file" => file.to_owned()).set(unix_secs as f64);
}

/// The machine's clock was set.
pub fn clock_step(forward: bool) {
    let direction = if forward { "forward" } else { "backward" };
    counter!(t::CLOCK_STEPS, "direction" => direction).increment(1);
}

/// Whether the machine's clock is ahead and not believed.
pub fn clock_doubted(doubted: bool) {
    gauge!(t::CLOCK_DOUBTED).set(if doubted { 1.0 } else { 0.0 });
}

/// Whether new calls are taken.
pub fn ready(ready: bool) {
    gauge!(t::READY).set(if ready { 1.0 } else { 0.0 });
}

/// Whether messages can't be opened.
pub fn record_only(record_only: bool) {
    gauge!(t::RECORD_ONLY).set(if record_only { 1.0 } else { 0.0 });
}

/// What the machine says of the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// CPU time, in milliseconds.
    pub cpu_millis: u64,
    /// Memory.
    pub resident_bytes: u64,
    /// Open files.
    pub open_files: u64,
    /// How many may be open.
    pub max_files: u64,
}

/// Sets what the machine says of the process.
pub fn process(process: Process) {
    counter!(t::CPU_TIME).absolute(process.cpu_millis);
    gauge!(t::RESIDENT_BYTES).set(process.resident_bytes as f64);
    gauge!(t::OPEN_FILES).set(process.open_files as f64);
    gauge!(t::MAX_FILES).set(process.max_files as f64);
}

/// Puts a trunk's counters at zero, so that its first call is an increase.
pub fn trunk(trunk: &TrunkName) {
    counters_of_trunk(Some(trunk));
}

fn counters_of_trunk(trunk: Option<&TrunkName>) {
    for kind in KINDS {
        zero(counter!(t::CALLS_ADMITTED, "kind" => kind, "trunk" => trunk_label(trunk)));
    }
    for why in Overflow::ALL {
        zero(counter!(t::SIP_NO_ROOM, "reason" => why.as_str(), "trunk" => trunk_label(trunk)));
    }
    for why in Why::ALL {
        zero(counter!(t::CALLS_REFUSED, "reason" => why.as_str(), "trunk" => trunk_label(trunk)));
    }
}

fn zero(counter: Counter) {
    counter.increment(0);
}

/// Puts everything at zero whose labels are known: what is not there can't be alerted on.
fn zeros() {
    for transport in [Transport::Tls, Transport::Udp, Transport::Tcp] {
        let transport = transport_label(transport);
        zero(counter!(t::SIP_REQUESTS,
            "method" => "INVITE", "transport" => transport, "trunk" => NO_TRUNK));
    }
    for listener in [Transport::Tls, Transport::Tcp].map(transport_label) {
        zero(counter!(t::CONNECTIONS_OPENED, "listener" => listener));
        gauge!(t::CONNECTIONS, "listener" => listener).set(0.0);
    }
    for class in CLASSES {
        zero(counter!(t::SIP_RESPONSES, "class" => class, "method" => "INVITE"));
    }
    zero(counter!(t::SIP_REQUESTS_SENT, "method" => "BYE"));
    zero(counter!(t::SIP_RESPONSES_RECEIVED, "class" => "2xx", "method" => "BYE"));
    for reason in PARSE_ERRORS {
        zero(counter!(t::SIP_PARSE_ERRORS, "reason" => reason));
    }
    counters_of_trunk(None);
    for why in Why::ALL {
        zero(counter!(t::IN_CALL_REFUSED, "reason" => why.as_str()));
        zero(counter!(t::SUBSCRIPTIONS_REFUSED, "reason" => why.as_str()));
    }
    for kind in KINDS {
        gauge!(t::CALLS, "kind" => kind).set(0.0);
        let _registered = histogram!(t::CALL_SECONDS, "kind" => kind);
        for reason in EndReason::ALL {
            zero(counter!(t::CALLS_ENDED, "kind" => kind, "reason" => reason.as_str()));
        }
    }
    for histogram in [t::INVITE_SECONDS, t::SPOOL_SYNC_SECONDS, t::AUDIT_APPEND_SECONDS] {
        let _registered = histogram!(histogram);
    }
    for outcome in LOG_IN_OUTCOMES {
        zero(counter!(t::LOG_INS, "outcome" => log_in_label(outcome)));
    }
    for why in [NoConnection::Limit, NoConnection::Stranger] {
        let reason = match why {
            NoConnection::Limit => "limit",
            NoConnection::Stranger => "stranger",
        };
        zero(counter!(t::CONNECTIONS_REFUSED, "reason" => reason));
    }
    for why in TlsFailure::ALL {
        zero(counter!(t::TLS_FAILURES, "reason" => why.as_str()));
    }
    for outcome in ["taken", "refused"] {
        zero(counter!(t::TLS_RELOADS, "outcome" => outcome));
    }
    for reason in UNPLAYABLE {
        zero(counter!(t::MESSAGES_UNPLAYABLE, "reason" => reason));
    }
    for direction in ["forward", "backward"] {
        zero(counter!(t::CLOCK_STEPS, "direction" => direction));
    }
    for counter in [
        t::MESSAGES_SAVED,
        t::MESSAGES_CUT,
        t::MESSAGES_DELIVERED,
        t::DELIVERY_FAILURES,
        t::AUDIT_FAILURES,
        t::RTP_RECEIVED,
        t::RTP_LOST,
        t::SRTP_AUTH_FAILURES,
        t::SRTP_REPLAYS,
        t::DATAGRAMS_DROPPED,
    ] {
        zero(counter!(counter));
    }
    for gauge in [
        t::SIP_TRANSACTIONS,
        t::SIP_DIALOGS,
        t::SIP_SUBSCRIPTIONS,
        t::DELIVERIES_PENDING,
        t::DELIVERY_LAG,
        t::AUDIT_QUEUE,
        t::CLOCK_DOUBTED,
        t::READY,
        t::RECORD_ONLY,
    ] {
        gauge!(gauge).set(0.0);
    }
    pin_queue(true, 0);
    pin_queue(false, 0);
    gauge!(t::BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_method_that_nobody_knows_is_other() {
        assert_eq!(method_label(b"INVITE"), "INVITE");
        assert_eq!(method_label(b"5551234567"), "other");
        assert_eq!(method_label(b"invite"), "other", "methods are case-sensitive");
    }

    #[test]
    fn a_status_that_is_none_is_other() {
        assert_eq!(class_label(100), "1xx");
        assert_eq!(class_label(699), "6xx");
        assert_eq!(class_label(99), "other");
        assert_eq!(class_label(700), "other");
    }

    #[test]
    fn names_say_their_kind_and_unit() {
        let mut names = BTreeSet::new();
        for metric in t::ALL {
            assert!(names.insert(metric.name), "{} twice", metric.name);
            assert_eq!(
                metric.kind == t::Kind::Counter,
                metric.name.ends_with("_total"),
                "{}",
                metric.name
            );
            assert!(metric.kind != t::Kind::Histogram || metric.name.ends_with("_seconds"));
        }
    }
}
