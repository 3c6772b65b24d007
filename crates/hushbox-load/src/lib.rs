//! The call generator of the Hushbox voicemail server, with a SIP and an SRTP side of its own.
//!
//! Nothing here comes from the server's crates, and nothing there from here: two ends that shared a parser, a
//! codec table or an SRTP transform would also share its mistakes. SIP headers are read by `rsip`, SRTP is
//! `webrtc-srtp`'s; what those lack (SHA-256 digest, IPv6, stream framing, SDP) is written here from the RFCs.
//!
//! - One call: [`client`] (INVITE to BYE), [`dialog`], [`message`], [`digest`], [`transport`], [`sdp`].
//! - Its sound: [`media`] (pacing, digits, RTCP), [`srtp`], [`rtp`], [`g711`], [`timeline`] (what was heard).
//! - What a caller does: [`script`], [`scenario`].
//! - Many calls at once, to measure a server: [`crowd`].
//! - What came of it: [`measure`], [`report`], [`probe`] (the proof that a server works, for `hushbox doctor`).
//!
//! Deliberately absent: registration, ICE, DTLS, codecs beyond G.711, and any way to print a secret.

pub mod cli;
pub mod client;
pub mod crowd;
pub mod dialog;
pub mod digest;
pub mod error;
pub mod g711;
pub mod limits;
pub mod measure;
pub mod media;
pub mod message;
pub mod probe;
pub mod report;
pub mod rtp;
pub mod scenario;
pub mod script;
pub mod sdp;
pub mod srtp;
pub mod timeline;
pub mod transport;
pub mod trial;
pub mod voice;

pub use error::Error;
