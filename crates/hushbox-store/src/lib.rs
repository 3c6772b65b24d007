//! Directory, messages, keys, sealing, spool format, commit and recovery of a voicemail server
