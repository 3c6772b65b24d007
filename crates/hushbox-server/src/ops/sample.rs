//! What is looked up when somebody asks for metrics: disks, the process, deliveries, the clock.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::process::{Resource, getrlimit};

use super::health::Health;
use crate::config::Config;
use crate::delivery::Watched;
use crate::metrics::{self, Process};
use crate::services::Services;

/// Where to look.
#[derive(Clone)]
pub struct Sampled {
    health: Arc<Health>,
    services: Arc<Services>,
    deliveries: Watched,
    data: PathBuf,
    audit: PathBuf,
}

impl Sampled {
    /// Looks at these.
    pub fn new(
        config: &Config,
        health: Arc<Health>,
        services: Arc<Services>,
        deliveries: Watched,
    ) -> Self {
        let (data, audit) = (config.data.clone(), config.audit.clone());
        Self { health, services, deliveries, data, audit }
    }

    /// Looks. This blocks for as long as the disks take to answer.
    pub fn take(&self) {
        metrics::ready(self.health.ready().is_ok());
        let (pending, oldest) = self.deliveries.borrow().waiting();
        metrics::deliveries(pending, oldest);
        metrics::audit_queue(self.services.audit.waiting());
        if let Some(opening) = &self.services.opening {
            let (bound, others) = opening.log_ins.held();
            metrics::pin_queue(true, bound);
            metrics::pin_queue(false, others);
        }
        metrics::clock_doubted(self.services.clock.doubts());
        for (name, folder) in [("data", &self.data), ("audit", &self.audit)] {
            if let Some(bytes) = free_bytes(folder) {
                metrics::disk_free(name, bytes);
            }
        }
        metrics::process(process());
    }
}

/// What an unprivileged process may still write.
fn free_bytes(folder: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(folder).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

fn process() -> Process {
    let (cpu_millis, resident_bytes) = usage().unwrap_or_default();
    Process {
        cpu_millis,
        resident_bytes,
        open_files: std::fs::read_dir("/proc/self/fd").map_or(0, |files| files.count() as u64),
        max_files: getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX),
    }
}

/// CPU time in milliseconds and resident memory, of proc(5).
fn usage() -> Option<(u64, u64)> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The command's name may hold spaces and parentheses: count from behind it.
    let (_, fields) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
    let number = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok());
    let ticks = number(11)?.saturating_add(number(12)?);
    let millis = ticks.saturating_mul(1000) / rustix::param::clock_ticks_per_second().max(1);
    Some((millis, number(21)?.saturating_mul(rustix::param::page_size() as u64)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_says_something_of_this_process() {
        let process = process();
        assert!(process.resident_bytes > 1024 * 1024, "{process:?}");
        assert!(process.open_files > 2 && process.open_files <= process.max_files, "{process:?}");
        assert!(free_bytes(Path::new("/")).is_some());
    }
}
