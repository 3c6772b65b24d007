//! Every size and bound of this crate, in one place.

/// Bytes of a spool segment: preallocated, then filled, then overwritten.
pub const SPOOL_SEGMENT_BYTES: u64 = 16 * 1024 * 1024;

/// The smallest spool segment that is accepted: the longest record must fit into one, with its header.
pub const SPOOL_SEGMENT_BYTES_MIN: u64 = 128 * 1024;

/// Shards whose spools are looked for in a data folder.
pub const SHARDS_MAX: u16 = 1024;

/// Bytes of an audit segment before the next one begins. A start reads the last one whole.
pub const AUDIT_SEGMENT_BYTES: u64 = 16 * 1024 * 1024;

/// Bytes that stay allocated ahead of the audit log, to be used when the disk is full.
pub const AUDIT_RESERVE_BYTES: u64 = 4 * 1024 * 1024;

/// The reserve is topped up in steps of this size, so that not every append asks the file system.
pub const AUDIT_ALLOCATION_STEP_BYTES: u64 = 1024 * 1024;

/// Lock-out counters for which room is made when the file is: a full disk must not stop the counting.
pub const LOCKOUT_SLOTS_AT_FIRST: u32 = 4096;

/// The most lock-out counters. Beyond, a try can't be counted and is refused.
pub const LOCKOUT_SLOTS_MAX: u32 = 65_536;

/// The longest key file that is read.
pub const KEY_FILE_BYTES_MAX: u64 = 8 * 1024;

/// Connections of the index: one writes at a time, the others read.
pub const INDEX_CONNECTIONS_MAX: u32 = 4;

/// Zeros are written in pieces of this size.
pub const ZERO_PIECE_BYTES: usize = 256 * 1024;
