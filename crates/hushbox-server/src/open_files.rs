//! The limit of open files: raised to what the system allows, or the limits that need it lowered, and said.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::Config;
use crate::limits;

/// Raises the limit, lowers `config.calls_max` to what files and ports allow, and says so.
pub fn fit(config: &mut Config) {
    let pairs = config.rtp_ports.pairs();
    if config.calls_max > pairs {
        tracing::warn!(
            calls_max = pairs,
            configured = config.calls_max,
            "media.rtp_ports holds no more calls"
        );
        config.calls_max = pairs;
    }
    let wanted = wanted(config);
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum.map_or(Some(wanted), |max| Some(max.min(wanted))),
        ..limit
    };
    if limit.current.is_some_and(|current| current < wanted)
        && let Err(error) = setrlimit(Resource::Nofile, raised)
    {
        tracing::warn!(%error, "the limit of open files could not be raised");
    }
    let Some(allowed) = getrlimit(Resource::Nofile).current else { return };
    let calls = calls_within(config, allowed);
    if calls < config.calls_max {
        tracing::warn!(
            calls_max = calls,
            configured = config.calls_max,
            open_files = allowed,
            "the limit of open files holds no more calls"
        );
        config.calls_max = calls;
    }
}

fn wanted(config: &Config) -> u64 {
    config.calls_max as u64 * 2 + config.connections_max as u64 + limits::SPARE_FILES
}

fn calls_within(config: &Config, allowed: u64) -> usize {
    let left = allowed.saturating_sub(config.connections_max as u64 + limits::SPARE_FILES) / 2;
    usize::try_from(left).unwrap_or(usize::MAX).max(1)
}
