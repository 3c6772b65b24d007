//! The call generator of the Hushbox voicemail server, with a SIP and an SRTP side of its own
