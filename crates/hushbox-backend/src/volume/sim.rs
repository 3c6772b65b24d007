//! A volume that forgets: for tests of what a crash, a torn write, a failed sync and a full disk do.
//!
//! Everything happens at once and nothing is random but for the seed given to [`SimVolume::crash`].

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Volume, VolumeFile};

/// Bytes that reach the disk together: a write is torn only between these.
const SECTOR_BYTES: usize = 512;

/// A disk of the given size; clones share it.
#[derive(Clone, Debug)]
pub struct SimVolume {
    disk: Arc<Mutex<Disk>>,
}

#[derive(Debug, Default)]
struct Disk {
    capacity_bytes: u64,
    syncs_fail: bool,
    /// Counts syncs of files, for tests of grouping.
    syncs: u64,
    /// Names as they are now, and as they were at the last `sync_names`.
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    /// Every file that ever was; names point into it.
    files: Vec<Contents>,
    /// Goes up with each crash: handles from before it are dead.
    boot: u64,
}

#[derive(Debug, Default, Clone)]
struct Contents {
    bytes: Vec<u8>,
    allocated: u64,
    durable: Vec<u8>,
    /// Writes since the last sync, in order.
    unsynced: Vec<(u64, Vec<u8>)>,
}

#[derive(Debug)]
struct SimFile {
    volume: SimVolume,
    file: usize,
    boot: u64,
}

impl SimVolume {
    /// An empty disk.
    pub fn new(capacity_bytes: u64) -> SimVolume {
        SimVolume { disk: Arc::new(Mutex::new(Disk { capacity_bytes, ..Disk::default() })) }
    }

    /// Changes its size: below what is used, it is full.
    pub fn set_capacity(&self, bytes: u64) {
        self.lock().capacity_bytes = bytes;
    }

    /// Makes syncs fail, or work again. A failed sync drops what it was to write, as Linux may.
    pub fn set_syncs_fail(&self, fail: bool) {
        self.lock().syncs_fail = fail;
    }

    /// How many files were synced so far.
    pub fn syncs(&self) -> u64 {
        self.lock().syncs
    }

    /// The power fails: of what was not synced, some writes are lost, some torn, in any order, as the seed says.
    pub fn crash(&self, seed: u64) {
        let mut disk = self.lock();
        let mut random = Random(seed);
        disk.boot += 1;
        disk.names = disk.durable_names.clone();
        for file in &mut disk.files {
            let mut survived = std::mem::take(&mut file.durable);
            for (offset, write) in std::mem::take(&mut file.unsynced) {
                let sectors = write.len().div_ceil(SECTOR_BYTES);
                for sector in 0..sectors {
                    let from = sector * SECTOR_BYTES;
                    let Some(bytes) = write.get(from..(from + SECTOR_BYTES).min(write.len()))
                    else {
                        continue;
                    };
                    if random.next().is_multiple_of(2) {
                        put(&mut survived, offset + from as u64, bytes);
                    }
                }
            }
            file.bytes.clone_from(&survived);
            file.durable = survived;
        }
    }

    /// The process dies but the machine lives: nothing written is lost.
    pub fn kill(&self) {
        self.lock().boot += 1;
    }

    /// Flips bits of a byte that stands on the disk.
    pub fn flip(&self, name: &str, offset: usize) {
        let mut disk = self.lock();
        let Some(file) = disk.names.get(name).copied() else { return };
        if let Some(contents) = disk.files.get_mut(file) {
            for bytes in [&mut contents.bytes, &mut contents.durable] {
                if let Some(byte) = bytes.get_mut(offset) {
                    *byte ^= 0x55;
                }
            }
        }
    }

    /// All bytes that stand on the disk, also of removed files and what a crash would lose.
    pub fn every_byte(&self) -> Vec<u8> {
        let disk = self.lock();
        let mut all = Vec::new();
        for file in &disk.files {
            all.extend_from_slice(&file.bytes);
            all.extend_from_slice(&file.durable);
            for (_, write) in &file.unsynced {
                all.extend_from_slice(write);
            }
        }
        all
    }

    fn lock(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn handle(&self, disk: &Disk, file: usize) -> Arc<dyn VolumeFile> {
        Arc::new(SimFile { volume: self.clone(), file, boot: disk.boot })
    }
}

impl Disk {
    fn used(&self) -> u64 {
        self.names
            .values()
            .filter_map(|file| self.files.get(*file))
            .map(|file| file.allocated.max(file.bytes.len() as u64))
            .sum()
    }

    /// Fails when a file growing from `now` to `then` bytes would not fit.
    fn room(&self, now: u64, then: u64) -> io::Result<()> {
        let more = then.saturating_sub(now);
        if more > 0 && self.used() + more > self.capacity_bytes {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }
}

impl Volume for SimVolume {
    fn path(&self) -> &Path {
        Path::new("/simulated")
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn VolumeFile>> {
        let mut disk = self.lock();
        if disk.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let file = disk.files.len();
        disk.files.push(Contents::default());
        disk.names.insert(name.to_owned(), file);
        Ok(self.handle(&disk, file))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn VolumeFile>> {
        let disk = self.lock();
        let file = *disk.names.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(self.handle(&disk, file))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.lock().names.remove(name).map(|_| ()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.lock().names.keys().cloned().collect())
    }

    fn sync_names(&self) -> io::Result<()> {
        let mut disk = self.lock();
        if disk.syncs_fail {
            return Err(io::Error::other("simulated"));
        }
        disk.durable_names = disk.names.clone();
        Ok(())
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let disk = self.lock();
        Ok(disk.capacity_bytes.saturating_sub(disk.used()))
    }
}

impl SimFile {
    fn with<T>(&self, act: impl FnOnce(&mut Disk, usize) -> io::Result<T>) -> io::Result<T> {
        let mut disk = self.volume.lock();
        if disk.boot != self.boot {
            return Err(io::Error::other("a handle from before the crash"));
        }
        act(&mut disk, self.file)
    }
}

fn contents(disk: &mut Disk, file: usize) -> io::Result<&mut Contents> {
    disk.files.get_mut(file).ok_or_else(|| io::ErrorKind::NotFound.into())
}

impl VolumeFile for SimFile {
    fn len(&self) -> io::Result<u64> {
        self.with(|disk, file| Ok(contents(disk, file)?.bytes.len() as u64))
    }

    fn allocated(&self) -> io::Result<u64> {
        self.with(|disk, file| {
            let contents = contents(disk, file)?;
            Ok(contents.allocated.max(contents.bytes.len() as u64))
        })
    }

    fn allocate(&self, len: u64) -> io::Result<bool> {
        let now = self.allocated()?;
        self.with(|disk, file| {
            disk.room(now, len)?;
            let contents = contents(disk, file)?;
            contents.allocated = contents.allocated.max(len);
            Ok(true)
        })
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.with(|disk, file| {
            let start = usize::try_from(offset).unwrap_or(usize::MAX);
            let from = contents(disk, file)?.bytes.get(start..).unwrap_or_default();
            let read = from.len().min(buffer.len());
            for (to, from) in buffer.iter_mut().zip(from) {
                *to = *from;
            }
            Ok(read)
        })
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let now = self.allocated()?;
        self.with(|disk, file| {
            disk.room(now, offset + bytes.len() as u64)?;
            let contents = contents(disk, file)?;
            put(&mut contents.bytes, offset, bytes);
            contents.unsynced.push((offset, bytes.to_vec()));
            Ok(())
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let now = self.allocated()?;
        self.with(|disk, file| {
            disk.room(now, len)?;
            let contents = contents(disk, file)?;
            let to = usize::try_from(len).unwrap_or(usize::MAX);
            if to < contents.bytes.len() {
                contents.allocated = len;
            }
            // The length is taken as durable at once: no test depends on losing one.
            contents.bytes.resize(to, 0);
            contents.durable.resize(to, 0);
            contents.unsynced.retain(|(offset, write)| offset + write.len() as u64 <= len);
            Ok(())
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.with(|disk, file| {
            disk.syncs += 1;
            let fail = disk.syncs_fail;
            let contents = contents(disk, file)?;
            contents.unsynced.clear();
            if fail {
                return Err(io::Error::other("simulated"));
            }
            contents.durable.clone_from(&contents.bytes);
            Ok(())
        })
    }
}

fn put(bytes: &mut Vec<u8>, offset: u64, write: &[u8]) {
    let start = usize::try_from(offset).unwrap_or(usize::MAX);
    let end = start.saturating_add(write.len());
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    if let Some(place) = bytes.get_mut(start..end) {
        place.copy_from_slice(write);
    }
}

/// SplitMix64: enough to choose what a crash loses.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
