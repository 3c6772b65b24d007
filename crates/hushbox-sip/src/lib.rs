//! SIP signalling of a voicemail server as a pure core: bytes and time in, bytes and events out
