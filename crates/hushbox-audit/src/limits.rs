//! Every number that bounds the log.

/// Bytes of one record. What a record holds is bounded by the program; this bounds what a damaged file can claim.
pub const RECORD_LENGTH_MAX: usize = 4096;
/// Bytes of a frame besides its record: the length before it and the leaf hash behind it.
pub const FRAME_OVERHEAD: usize = 4 + 32;
/// Bytes behind the last good record that a crash can have left unsynced. More is not a crash.
pub const TORN_MAX: usize = 4 * 1024 * 1024;
/// What is kept free on disk for records when it is full (design.md "Defaults").
pub const RESERVE: u64 = 4 * 1024 * 1024;
