//! The tamper-evident log of a voicemail server: records in, writes and proofs out
