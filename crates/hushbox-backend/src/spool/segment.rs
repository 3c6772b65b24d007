//! One segment: a preallocated file, taken from zeros to records and back to zeros.

use std::collections::BTreeSet;
use std::sync::Arc;

use hushbox_policy::MessageId;
use hushbox_store::spool::{SEGMENT_HEADER_LEN, segment_header};

use super::log::Position;
use crate::error::BackendError;
use crate::volume::{Volume, VolumeFile, write_zeros};

/// The ending of a segment's name.
const SUFFIX: &str = ".seg";

/// A file that is all zeros, has its full length and is synced.
#[derive(Debug)]
pub(super) struct Blank {
    pub(super) name: String,
    pub(super) file: Arc<dyn VolumeFile>,
    pub(super) len: u64,
}

/// A file with records.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) name: String,
    pub(super) file: Arc<dyn VolumeFile>,
    pub(super) len: u64,
    /// Everything from here on is zeros, as far as is known.
    pub(super) used: u64,
    /// Messages with a record of their content here.
    pub(super) messages: BTreeSet<MessageId>,
    /// Messages whose mark of delivery stands here.
    pub(super) marks: BTreeSet<MessageId>,
    /// The last record that was appended here.
    pub(super) last: Position,
    /// Overwriting it has begun.
    pub(super) freeing: bool,
}

/// The number in a segment's name.
pub(super) fn number_of(name: &str) -> Option<u32> {
    name.strip_suffix(SUFFIX)?.parse().ok()
}

impl Blank {
    /// Makes a new file: written with zeros in full, because the first write to a block that is only allocated makes
    /// the sync write metadata too.
    pub(super) fn create(
        volume: &dyn Volume,
        number: u32,
        len: u64,
    ) -> Result<Blank, BackendError> {
        let name = format!("{number:08}{SUFFIX}");
        let path = volume.path().join(&name);
        let file = volume.create(&name).map_err(BackendError::io("make", &path))?;
        let made = file
            .allocate(len)
            .and_then(|_| write_zeros(file.as_ref(), 0, len))
            .and_then(|()| file.sync())
            .and_then(|()| volume.sync_names());
        if let Err(error) = made {
            // What could not be made in full must not take up the space that is short.
            let _ = volume.remove(&name);
            return Err(BackendError::io("make", &path)(error));
        }
        Ok(Blank { name, file, len })
    }

    /// Begins a segment. The header is synced together with the first records.
    pub(super) fn begin(
        self,
        volume: &dyn Volume,
        generation: u64,
    ) -> Result<Segment, BackendError> {
        self.file
            .write_at(&segment_header(generation), 0)
            .map_err(BackendError::io("write", &volume.path().join(&self.name)))?;
        Ok(Segment {
            name: self.name,
            file: self.file,
            len: self.len,
            used: SEGMENT_HEADER_LEN as u64,
            messages: BTreeSet::new(),
            marks: BTreeSet::new(),
            last: Position::default(),
            freeing: false,
        })
    }
}

/// Overwrites a segment's used bytes by zeros, its header first.
pub(super) fn overwrite(file: &dyn VolumeFile, used: u64) -> std::io::Result<()> {
    write_zeros(file, 0, SEGMENT_HEADER_LEN as u64)?;
    file.sync()?;
    write_zeros(file, SEGMENT_HEADER_LEN as u64, used)?;
    file.sync()
}
