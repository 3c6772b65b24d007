//! What the server's process has used, as Linux counts it (proc(5)).

use std::path::PathBuf;
use std::time::Duration;

use crate::error::Error;
use crate::transport::read_small;

/// USER_HZ: 100 on every architecture that this is built for.
const TICKS_PER_SECOND: u64 = 100;

/// A process.
#[derive(Debug, Clone)]
pub(super) struct Process {
    folder: PathBuf,
}

/// What it has used up to now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Used {
    /// Processor time of all its threads, in user and kernel.
    pub(super) processor: Duration,
    /// Resident memory.
    pub(super) resident_kib: u64,
}

impl Process {
    /// A process that must be there.
    pub(super) fn of(pid: u32) -> Result<Self, Error> {
        let process = Self { folder: format!("/proc/{pid}").into() };
        process.used()?;
        Ok(process)
    }

    pub(super) fn used(&self) -> Result<Used, Error> {
        let read = |name: &str| {
            let path = self.folder.join(name);
            let text = String::from_utf8_lossy(&read_small(&path)?).into_owned();
            Ok::<_, Error>((path, text))
        };
        let (path, stat) = read("stat")?;
        let processor = processor(&stat).ok_or_else(|| Error::content(path, "no times"))?;
        let (path, status) = read("status")?;
        let resident_kib = resident(&status).ok_or_else(|| Error::content(path, "no VmRSS"))?;
        Ok(Used { processor, resident_kib })
    }
}

/// utime and stime, fields 14 and 15; the name in field 2 may hold anything.
fn processor(stat: &str) -> Option<Duration> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    Some(Duration::from_millis((ticks()? + ticks()?) * 1000 / TICKS_PER_SECOND))
}

fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_whatever_the_process_is_called() {
        let stat = "12 (a ) b) S 1 12 12 0 -1 4194560 100 0 0 0 150 25 0 0 20 0 1 0 100 0 0";
        assert_eq!(processor(stat), Some(Duration::from_millis(1750)));
        assert_eq!(processor("12 (a)"), None);
    }

    #[test]
    fn this_process_has_used_memory() {
        let process = Process::of(std::process::id()).expect("it runs");
        assert!(process.used().expect("figures").resident_kib > 0);
        assert!(Process::of(u32::MAX).is_err());
    }
}
