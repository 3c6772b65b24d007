//! Every limit of this crate, in one place.

/// The most audio (media's frames) that one sealed chunk holds; longer input is cut into several chunks.
///
/// A second of PCMU with its timing is about 9 KiB.
pub const CHUNK_BYTES_MAX: usize = 32 * 1024;

/// The most chunks of one message. At one a second this is nineteen hours, far beyond any recording limit; it keeps
/// the counter of the nonce (32 bits) and the memory of a reader bounded.
pub const CHUNKS_MAX: u32 = 1 << 16;

/// The longest record body in the spool: a whole chunk with its tag, or the first record, with room.
pub const SPOOL_PAYLOAD_BYTES_MAX: usize = 64 * 1024;

/// The longest sealed envelope. Names and numbers are cut to fit before sealing.
pub const ENVELOPE_BYTES_MAX: usize = 4 * 1024;

/// The longest caller number or name kept in an envelope, in bytes.
pub const CALLER_BYTES_MAX: usize = 256;

/// The longest wrapped key or sealed secret that is read.
pub const WRAPPED_BYTES_MAX: usize = 4 * 1024;

/// The longest manifest that is read.
pub const MANIFEST_BYTES_MAX: usize = 1024;

/// The longest alias of a mailbox.
pub const ALIAS_BYTES_MAX: usize = 64;

/// The longest dialog of a subscription that is kept; one whose addresses are longer ends with the server.
pub const SUBSCRIPTION_BYTES_MAX: usize = 16 * 1024;

/// The longest body of a directory row.
pub const ROW_BYTES_MAX: usize = 256 * 1024;

/// How many bytes of an object a player asks for at once.
pub const PLAYER_RANGE_BYTES: u64 = 64 * 1024;
