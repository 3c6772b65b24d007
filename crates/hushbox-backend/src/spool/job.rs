//! What a spool has done by its helper thread. A job holds all that it needs.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use super::log::Position;
use super::segment::{self, Blank};
use crate::error::BackendError;
use crate::volume::{Volume, VolumeFile};

/// Something for a helper thread to do.
#[derive(Debug)]
pub struct Job(pub(super) Task);

#[derive(Debug)]
pub(super) enum Task {
    Sync { files: Vec<Arc<dyn VolumeFile>>, generations: BTreeSet<u64>, upto: Position },
    Overwrite { generation: u64, file: Arc<dyn VolumeFile>, used: u64 },
    Prepare { volume: Arc<dyn Volume>, number: u32, len: u64 },
}

/// What came of a job.
#[derive(Debug)]
pub struct JobDone(pub(super) Outcome);

#[derive(Debug)]
pub(super) enum Outcome {
    Synced { upto: Position, generations: BTreeSet<u64>, result: io::Result<()> },
    Overwritten { generation: u64, result: io::Result<()> },
    Prepared(Result<Blank, BackendError>),
}

impl Job {
    /// Does it. This blocks.
    pub fn run(self) -> JobDone {
        JobDone(match self.0 {
            Task::Sync { files, generations, upto } => {
                let result = files.iter().try_for_each(|file| file.sync());
                Outcome::Synced { upto, generations, result }
            }
            Task::Overwrite { generation, file, used } => {
                Outcome::Overwritten { generation, result: segment::overwrite(file.as_ref(), used) }
            }
            Task::Prepare { volume, number, len } => {
                Outcome::Prepared(Blank::create(volume.as_ref(), number, len))
            }
        })
    }
}
