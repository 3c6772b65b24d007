//! The Hushbox voicemail server: sockets, clocks, tasks, configuration and command line.
//!
//! Everything that decides stands in the pure crates; what is here carries bytes, time and replies to them. There is
//! no rule about who may do what in this crate, no parser of SIP, SDP or RTP, and no format of its own on disk except
//! `hushbox.toml` and `trial.json`.

pub mod audit_head;
pub mod audit_task;
pub mod certificates;
pub mod cli;
pub mod client_certificates;
pub mod clock;
pub mod config;
pub mod control;
pub mod decisions;
pub mod delivery;
pub mod digest_secret;
pub mod directory_writer;
pub mod exceptions;
pub mod fatal;
pub mod files;
pub mod housekeeping;
pub mod identity;
pub mod limits;
pub mod listener;
pub mod locks;
pub mod log_in;
pub mod logging;
pub mod media_shard;
pub mod metrics;
pub mod mwi;
pub mod open_files;
pub mod operator;
pub mod ops;
pub mod outbound;
pub mod pin_pool;
pub mod privacy;
pub mod prompts;
pub mod random;
pub mod records;
pub mod rtp_ports;
pub mod server;
pub mod services;
pub mod signalling;
pub mod sip_watch;
pub mod sockets;
pub mod tls;
pub mod tls_files;
pub mod trace;
pub mod trial;
pub mod trial_folder;
pub mod unplayable;
