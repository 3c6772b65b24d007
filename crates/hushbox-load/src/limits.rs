//! Every bound of the generator: on what a server may send, and on how long anything may take.

use std::time::Duration;

/// The longest head (start line and headers) of a message.
pub const HEAD_MAX: usize = 64 * 1024;
/// The longest body of a message.
pub const BODY_MAX: usize = 64 * 1024;
/// Messages that wait between the reader of a connection and the dialog.
pub const QUEUE_MAX: usize = 64;
/// Calls of a crowd at once: each has a port for its media.
pub const CALLS_AT_ONCE_MAX: usize = 10_000;
/// Connections that a crowd shares.
pub const CONNECTIONS_MAX: usize = 1000;
/// Messages that wait between a crowd and each of its connections.
pub const CROWD_QUEUE_MAX: usize = 16 * 1024;
/// Digests answered for one request: a first challenge and a stale nonce.
pub const CHALLENGES_MAX: usize = 2;
/// The longest wait for a connection, its TLS handshake included.
pub const CONNECT_MAX: Duration = Duration::from_secs(10);
/// The longest wait for a final response (RFC 3261 §17.1.1.2: 64 * T1).
pub const FINAL_RESPONSE_MAX: Duration = Duration::from_secs(32);
/// The longest wait for the answer to a BYE.
pub const BYE_MAX: Duration = Duration::from_secs(8);
/// RFC 3261 §17.1.1.1: the round-trip estimate that repeats start from.
pub const T1: Duration = Duration::from_millis(500);
/// RFC 3261 §17.1.2.2: the longest gap between repeats.
pub const T2: Duration = Duration::from_secs(4);
/// The longest call: what is heard and what is said are kept in memory.
pub const CALL_MAX: Duration = Duration::from_secs(45 * 60);
/// Digits of one `press`.
pub const DIGITS_MAX: usize = 32;
/// Steps of one script.
pub const STEPS_MAX: usize = 64;
/// The largest WAV file that is read.
pub const WAV_MAX_BYTES: u64 = 64 * 1024 * 1024;
/// The largest trial.json, PEM file or set of secrets that is read.
pub const FILE_MAX_BYTES: u64 = 1024 * 1024;
/// SSRCs listened to in one call.
pub const SSRCS_MAX: usize = 8;
/// A jump of RTP time beyond this is taken for a new start, not for a gap.
pub const GAP_MAX: Duration = Duration::from_secs(60);
/// Messages in the doctor's mailbox that the probe looks through for its own.
pub const MESSAGES_MAX: usize = 12;
