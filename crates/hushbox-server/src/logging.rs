//! Log lines on standard error: text or JSON.
//!
//! What is logged is opaque ids, closed words and numbers. Libraries are held to warnings: what they trace is what
//! they carry.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::config::LogFormat;

/// The crates whose lines follow the configured level.
const OURS: [&str; 8] = [
    "hushbox",
    "hushbox_server",
    "hushbox_backend",
    "hushbox_call",
    "hushbox_store",
    "hushbox_audit",
    "hushbox_sip",
    "hushbox_media",
];

/// Starts logging for the process. A second call changes nothing.
pub fn start(format: LogFormat, level: &str) {
    let mut filter = "warn".to_owned();
    for name in OURS {
        filter.push_str(&format!(",{name}={level}"));
    }
    let builder = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_writer(std::io::stderr)
        .with_target(false);
    let _already = match format {
        LogFormat::Text => builder.with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
}
