//! A folder of a few flat files, as spool, audit log and lock-out counters use it.
//!
//! They work on this trait and not on `std::fs`, because a crash between a write and its sync is what they exist for,
//! and only a disk that forgets on command ([`sim::SimVolume`]) can show that. [`folder::Folder`] is the real one.
//!
//! A write is durable after [`VolumeFile::sync`], a new or removed name after [`Volume::sync_names`]; nothing else is.

pub mod folder;
pub mod sim;

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::limits;

/// A folder of flat files.
pub trait Volume: Send + Sync + fmt::Debug {
    /// Where it is, for messages to an operator.
    fn path(&self) -> &Path;
    /// Makes a new file that its owner alone may read; an existing one is an error.
    fn create(&self, name: &str) -> io::Result<Arc<dyn VolumeFile>>;
    /// Opens a file for reading and writing.
    fn open(&self, name: &str) -> io::Result<Arc<dyn VolumeFile>>;
    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// The names, sorted.
    fn names(&self) -> io::Result<Vec<String>>;
    /// Makes new and removed names durable.
    fn sync_names(&self) -> io::Result<()>;
    /// Bytes that may still be written here.
    fn free_bytes(&self) -> io::Result<u64>;
}

/// An open file of a volume. Reads and writes name their place: there is no position.
pub trait VolumeFile: Send + Sync + fmt::Debug {
    /// Its length.
    fn len(&self) -> io::Result<u64>;
    /// True when it has no bytes.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// Bytes that the file system holds for it, also beyond its length.
    fn allocated(&self) -> io::Result<u64>;
    /// Takes space for the first `len` bytes so that writing them can't meet a full disk; the length stays. False
    /// where the file system can't do that.
    fn allocate(&self, len: u64) -> io::Result<bool>;
    /// Reads from `offset` until `buffer` is full or the file ends; the number of bytes read.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all bytes at `offset`.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Cuts or extends (by zeros).
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Makes everything written so far durable (`fdatasync`).
    fn sync(&self) -> io::Result<()>;
}

/// Reads a whole file of at most `max` bytes.
pub(crate) fn read_all(file: &dyn VolumeFile, max: u64) -> io::Result<Vec<u8>> {
    let len = file.len()?;
    let too_long = || io::Error::new(io::ErrorKind::FileTooLarge, "longer than such a file can be");
    if len > max {
        return Err(too_long());
    }
    let mut bytes = vec![0; usize::try_from(len).map_err(|_| too_long())?];
    let read = file.read_at(&mut bytes, 0)?;
    bytes.truncate(read);
    Ok(bytes)
}

/// Writes zeros from `from` to `to`.
pub(crate) fn write_zeros(file: &dyn VolumeFile, from: u64, to: u64) -> io::Result<()> {
    let zeros = vec![0; limits::ZERO_PIECE_BYTES];
    let mut at = from;
    while at < to {
        let left = usize::try_from(to - at).unwrap_or(usize::MAX);
        let piece = zeros.get(..left.min(zeros.len())).unwrap_or(&zeros);
        file.write_at(piece, at)?;
        at += piece.len() as u64;
    }
    Ok(())
}
