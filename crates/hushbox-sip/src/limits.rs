//! Every limit on what a peer can make us hold or do.

use std::time::Duration;

/// RFC 3261 §17.1.1.1, table 4: the round-trip estimate.
pub const T1: Duration = Duration::from_millis(500);
/// RFC 3261 §17.1.2.2, table 4: the longest interval between repetitions.
pub const T2: Duration = Duration::from_secs(4);
/// RFC 3261 §17.1.2.2, table 4: how long a message can stay in the network.
pub const T4: Duration = Duration::from_secs(5);
/// 64*T1: timers B, F, H, J and L (RFC 3261 §17, RFC 6026 §8).
pub const TIMEOUT: Duration = Duration::from_secs(32);

/// Bytes of start line and header fields together.
pub const MAX_HEAD_BYTES: usize = 64 * 1024;
/// Bytes of a body.
pub const MAX_BODY_BYTES: usize = 64 * 1024;
/// Bytes of a start line.
pub const MAX_START_LINE_BYTES: usize = 8 * 1024;
/// Header fields in a message.
pub const MAX_FIELDS: usize = 256;
/// Via values in a message.
pub const MAX_VIAS: usize = 70;
/// Record-Route values that become a route set.
pub const MAX_ROUTES: usize = 32;
/// Bytes of a host name (RFC 1035 §2.3.4).
pub const MAX_HOST_BYTES: usize = 255;
/// Bytes of a branch, a tag or a Call-ID.
pub const MAX_IDENTIFIER_BYTES: usize = 1024;
/// Parts of a multipart body.
pub const MAX_PARTS: usize = 16;
/// Multipart bodies inside one another.
pub const MAX_PART_DEPTH: usize = 3;
/// Option tags of Require that an application is told of.
pub const MAX_OPTION_TAGS: usize = 32;
/// Seconds of the shortest session interval (RFC 4028 §4).
pub const MIN_SESSION_EXPIRES_SECS: u32 = 90;
/// Seconds of the shortest one that is kept for a peer that can't be told: one that would be over before a refresh
/// can have failed (64*T1) is none.
pub const SHORTEST_SESSION_EXPIRES_SECS: u32 = 32;
/// Values of P-Asserted-Identity that are read (RFC 3325 §9.1).
pub const MAX_ASSERTED_IDENTITIES: usize = 2;
/// Values of History-Info, or of Diversion, that are read.
pub const MAX_RETARGETINGS: usize = 64;
/// Places of a History-Info index.
pub const MAX_HISTORY_DEPTH: usize = 32;
/// Requests inside dialogs that wait until it is known whose they are; beyond, they meet 481.
pub const MAX_ELSEWHERE: usize = 128;
/// 2xx responses of one dialog that wait for their ACK.
pub const MAX_UNACKNOWLEDGED: usize = 4;
/// Empty lines before a message on a stream (RFC 3261 §7.5, RFC 5626 §3.5.1).
pub const MAX_KEEP_ALIVE_BYTES: usize = 64;
/// Requests of our own outside of the calls that wait for an answer.
pub const MAX_REQUESTS: usize = 4096;
/// RFC 3261 §18.1.1: bytes of a request that go into a datagram where nothing is known of the path.
pub const MAX_UDP_REQUEST_BYTES: usize = 1300;
/// Connections that we opened or are opening.
pub const MAX_OPENED: usize = 256;
/// Destinations that a URI may lead to.
pub const MAX_DESTINATIONS: usize = 16;
/// Questions to the DNS about one URI.
pub const MAX_QUESTIONS: usize = 48;
/// SRV records of one answer that are looked at.
pub const MAX_RECORDS: usize = 64;
/// How long it may take to find out where a registrar is.
pub const LOCATE_TIMEOUT: Duration = Duration::from_secs(60);
/// Contacts of a registrar's answer that are looked at.
pub const MAX_CONTACTS: usize = 64;
/// The longest registration that is believed.
pub const MAX_EXPIRES: Duration = Duration::from_secs(86_400);
/// How often one REGISTER is sent again because its interval was too brief.
pub const MAX_EXTENDED: u32 = 2;
/// A registration is refreshed at least so long before its end, if it lasts that long at all: the
/// first registrar can then time out, and another can be asked.
pub const REFRESH_MARGIN: Duration = Duration::from_secs(66);
/// RFC 5626 §4.5: the first wait after a registration failed, and the longest.
pub const RETRY_BASE: Duration = Duration::from_secs(30);
/// The longest wait after a registration failed.
pub const RETRY_MAX: Duration = Duration::from_secs(1_800);
/// The same where a registrar refused, so that no account there is locked by us.
pub const REFUSED_RETRY_BASE: Duration = Duration::from_secs(300);
/// The longest wait after a registrar refused.
pub const REFUSED_RETRY_MAX: Duration = Duration::from_secs(3_600);
/// The longest that a registrar may tell us to wait.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(3_600);
/// RFC 5626 §4.5: a registration that has held for so long has worked.
pub const STABLE_AFTER: Duration = Duration::from_secs(120);
/// The longest wait after the connection of one that had worked broke.
pub const FLOW_RETRY: Duration = Duration::from_secs(5);
/// How long a connection may take to open, its TLS handshake included.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a BYE is sent where the connection breaks before its answer.
pub const MAX_BYES: u32 = 2;
/// How long after a refresh that found no connection, or lost it, the next one is tried.
pub const REFRESH_AGAIN: Duration = Duration::from_secs(10);
/// How long a connection that we opened stays without use.
pub const OPENED_IDLE: Duration = Duration::from_secs(120);
/// RFC 5626 §4.4.1: how long a peer may take to answer a keep-alive.
pub const PONG_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of a message summary that is read.
pub const MAX_SUMMARY_BYTES: usize = 4 * 1024;
/// How long a subscription that ends waits for the state that its last NOTIFY tells.
pub const LAST_STATE_WAIT: Duration = Duration::from_secs(10);
/// By how much CSeq goes on after a restart: more than the NOTIFYs of the longest subscription at one
/// a second, none of whose numbers may come again (RFC 3261 §12.2.1.1).
pub const CSEQ_LEAP: u32 = 1 << 18;
/// Sources whose requests are counted.
pub const MAX_SOURCES: usize = 16_384;
/// One in so many transactions is kept for peers that are known.
pub const KEPT_FOR_KNOWN: usize = 4;
/// Nonces whose use is remembered.
pub const MAX_NONCES: usize = 65_536;
/// Challenges of one response that are looked at, and protection spaces that are kept.
pub const MAX_CHALLENGES: usize = 8;
/// Challenges that one request is sent again for.
pub const MAX_CHALLENGE_ROUNDS: u32 = 6;
/// Challenges in a row that say that our nonce was only too old.
pub const MAX_STALE: u32 = 3;
/// How long a nonce is good for.
pub const NONCE_LIFETIME: Duration = Duration::from_secs(300);

/// Limits that an installation sets.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Calls at once, answered or not.
    pub sessions_max: usize,
    /// Subscriptions at once; beyond, SUBSCRIBE meets 503.
    pub subscriptions_max: usize,
    /// Server transactions at once; beyond, requests meet 503 and nothing is kept.
    pub transactions_max: usize,
    /// Stream connections that may have bytes of an unfinished message.
    pub connections_max: usize,
    /// How long a message on a stream may take to become whole.
    pub message_timeout: Duration,
    /// Requests that begin something new, a second and source, neighbours aside; `None` counts none.
    pub requests_per_source: Option<u32>,
    /// Answers to malformed messages, a second.
    pub error_replies_per_second: u32,
    /// The same to one address.
    pub error_replies_per_source: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            sessions_max: 10_000,
            subscriptions_max: 20_000,
            transactions_max: 100_000,
            connections_max: 10_000,
            message_timeout: Duration::from_secs(10),
            requests_per_source: Some(200),
            error_replies_per_second: 100,
            error_replies_per_source: 10,
        }
    }
}
