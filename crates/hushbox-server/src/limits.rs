//! Every limit of the shell that is not a key of the configuration.

use std::time::Duration;

/// How long a TLS handshake may take.
pub const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// How long a new connection may stay without a byte.
pub const FIRST_BYTE_MAX: Duration = Duration::from_secs(30);
/// How long a connection may stay without a byte while nobody knows who is at its other end.
pub const STRANGER_IDLE_MAX: Duration = Duration::from_secs(60);
/// How long a connection may stay at all while nobody knows who is at its other end, whatever it sends.
pub const STRANGER_MAX: Duration = Duration::from_secs(300);
/// One in so many connections is kept for peers whose certificate fits a record.
pub const KEPT_FOR_KNOWN: usize = 4;
/// How long any connection may stay without a byte: longer than the longest call.
pub const IDLE_MAX: Duration = Duration::from_secs(2 * 3600);
/// How long one write to a peer may take before the peer counts as gone.
pub const WRITE_MAX: Duration = Duration::from_secs(10);
/// After how much silence the system asks a peer whether it is still there.
pub const KEEPALIVE: Duration = Duration::from_secs(60);
/// How long a connection of ours may take to open, its handshake included. Signalling gives up by itself, too.
pub const CONNECT_MAX: Duration = Duration::from_secs(10);
/// How long finding out where something is to be sent may take.
pub const LOOK_UP_MAX: Duration = Duration::from_secs(30);
/// How long one question to one name server may take.
pub const DNS_TRY_MAX: Duration = Duration::from_secs(3);
/// How often one question is asked.
pub const DNS_TRIES: usize = 2;
/// Registrations in the configuration.
pub const REGISTRATIONS_MAX: usize = 16;
/// The longest password file.
pub const PASSWORD_FILE_BYTES: u64 = 1024;
/// The most that is read from a stream at once.
pub const READ_BYTES: usize = 16 * 1024;
/// The largest datagram.
pub const DATAGRAM_BYTES: usize = 64 * 1024;
/// Bytes that may wait for a slow peer; with the next message it is disconnected.
pub const WRITE_QUEUE_BYTES: usize = 2 * 1024 * 1024;
/// The same for a peer that nobody knows.
pub const STRANGER_WRITE_QUEUE_BYTES: usize = 256 * 1024;
/// Bytes that are written to a connection together.
pub const WRITE_BATCH_BYTES: usize = 32 * 1024;
/// What may wait for the signalling task. Streams then wait, datagrams are dropped: their senders repeat them.
pub const ARRIVALS_QUEUE: usize = 1024;
/// Connections that the system may hold for us before they are accepted.
pub const BACKLOG: i32 = 1024;
/// How long accepting rests when the system has no descriptor left.
pub const ACCEPT_REST: Duration = Duration::from_millis(100);
/// The longest request line on the control socket.
pub const CONTROL_LINE_BYTES: usize = 64 * 1024;
/// The longest text that `resolve` takes: an INVITE's head, so that it fits a request line whatever JSON makes of it.
pub const RESOLVE_BYTES: usize = 24 * 1024;
/// What Server and User-Agent say.
pub const PRODUCT: &str = concat!("Hushbox/", env!("CARGO_PKG_VERSION"));
/// The longest reply line on the control socket.
pub const CONTROL_REPLY_BYTES: usize = 4 * 1024 * 1024;
/// Control connections at once.
pub const CONTROL_CONNECTIONS: usize = 16;
/// How long a control connection may stay without a request.
pub const CONTROL_IDLE: Duration = Duration::from_secs(60);
/// SIP sessions of strangers, who are asked who they are or wait for that: beside those of calls.
pub const SPARE_SESSIONS: usize = 4096;
/// Open files that the server needs beside calls and connections.
pub const SPARE_FILES: u64 = 128;
/// How often a rejected certificate is written to the audit log.
pub const REJECTED_NOTED_EVERY: Duration = Duration::from_secs(10);
/// Packets of one call that failed their authentication, from which on the audit log has it.
pub const AUTH_FAILURES_NOTED: u64 = 50;
/// How often the certificates' files are looked at.
pub const TLS_FILES_LOOKED_AT_EVERY: Duration = Duration::from_secs(5);
/// After how many such looks the ends of the certificates are.
pub const CERTIFICATE_ENDS_LOOKED_AT_EVERY: u32 = 720;
/// Calls whose SIP messages are kept for `trace`.
pub const TRACED_CALLS: usize = 1000;
/// Refused requests whose SIP messages are kept for `trace`, apart from those calls.
pub const TRACED_REFUSED: usize = 500;
/// Messages of one call that are kept: the first half and the last.
pub const TRACED_MESSAGES: usize = 64;
/// HTTP connections for metrics and health at once.
pub const OPS_CONNECTIONS: usize = 16;
/// How long a request for them may take to come, and a connection to be silent.
pub const OPS_HEAD_MAX: Duration = Duration::from_secs(10);
/// The longest that such a connection stays.
pub const OPS_CONNECTION_MAX: Duration = Duration::from_secs(600);
/// How long the tasks that carry calls may take to answer before `/health/live` says that they do not.
pub const LIVE_MAX: Duration = Duration::from_secs(10);
/// How often measured durations are put into their buckets.
pub const METRICS_UPKEEP: Duration = Duration::from_secs(5);
