//! The lock-out counters on a disk.
//!
//! ```text
//! DATA/lockout    header: magic "HBLOCKS" version(1), zeros to 64 bytes
//!                 slots of 64 bytes: a policy::lockout::CounterRow (with its CRC), or zeros
//! ```
//!
//! A counter has a slot of its own, overwritten in place: 64 bytes at a multiple of 64 lie in one sector, so a crash
//! leaves the old row or the new one. The file is written in full when it is made, so a full disk does not stop the
//! counting of tries.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use hushbox_policy::lockout::{CounterRow, LockKey, ROW_LENGTH};

use crate::error::BackendError;
use crate::limits;
use crate::volume::{Volume, VolumeFile, read_all, write_zeros};

/// The file's name in the data folder.
pub const LOCKOUT_FILE: &str = "lockout";

const MAGIC: &[u8; 7] = b"HBLOCKS";
const VERSION: u8 = 1;
const SLOT_BYTES: u64 = ROW_LENGTH as u64;

/// The counters' file. Its calls block for one sync: keep it off the threads that carry media.
#[derive(Debug)]
pub struct LockoutFile {
    path: PathBuf,
    file: Arc<dyn VolumeFile>,
    slots: u32,
    used: BTreeMap<LockKey, u32>,
    free: Vec<u32>,
}

/// What a start found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadedCounters {
    /// The counters.
    pub rows: Vec<CounterRow>,
    /// Slots that could not be read. Not the result of a crash: the disk is failing, or somebody wrote into the file.
    pub damaged: u32,
}

impl LockoutFile {
    /// Opens the file in the data folder, or makes it.
    pub fn open(volume: &dyn Volume) -> Result<(LockoutFile, LoadedCounters), BackendError> {
        let path = volume.path().join(LOCKOUT_FILE);
        let names = volume.names().map_err(BackendError::io("list", volume.path()))?;
        let exists = names.iter().any(|name| name == LOCKOUT_FILE);
        let file = if exists { volume.open(LOCKOUT_FILE) } else { volume.create(LOCKOUT_FILE) };
        let file = file.map_err(BackendError::io("open", &path))?;
        let max = SLOT_BYTES * u64::from(limits::LOCKOUT_SLOTS_MAX + 1);
        let bytes = read_all(file.as_ref(), max).map_err(BackendError::io("read", &path))?;
        let mut opened =
            LockoutFile { path, file, slots: 0, used: BTreeMap::new(), free: Vec::new() };
        let mut loaded = LoadedCounters::default();
        let (slots, _) = bytes.as_chunks::<ROW_LENGTH>();
        match slots.split_first() {
            Some((header, slots)) if *header != [0; ROW_LENGTH] => {
                opened.check(header)?;
                opened.load(slots, &mut loaded);
            }
            // New, or its making was cut short before the header, which is written last.
            _ => {
                opened.grow(limits::LOCKOUT_SLOTS_AT_FIRST)?;
                let mut header = [0; ROW_LENGTH];
                header[..7].copy_from_slice(MAGIC);
                header[7] = VERSION;
                let doing = BackendError::io("write", &opened.path);
                opened
                    .file
                    .write_at(&header, 0)
                    .and_then(|()| opened.file.sync())
                    .and_then(|()| volume.sync_names())
                    .map_err(doing)?;
            }
        }
        Ok((opened, loaded))
    }

    /// Writes rows, each to its counter's slot, and syncs once. A clear row frees its slot.
    pub fn write(&mut self, rows: &[CounterRow]) -> Result<(), BackendError> {
        if rows.is_empty() {
            return Ok(());
        }
        let mut freed = Vec::new();
        for row in rows {
            let known = self.used.get(&row.key).copied();
            let slot = match known {
                Some(slot) => slot,
                None if row.is_clear() => continue,
                None => self.take_slot()?,
            };
            let bytes = if row.is_clear() { [0; ROW_LENGTH] } else { row.to_bytes() };
            let written = self.file.write_at(&bytes, offset_of(slot));
            if written.is_err() && known.is_none() {
                self.free.push(slot);
            }
            written.map_err(BackendError::io("write", &self.path))?;
            self.used.insert(row.key, slot);
            if row.is_clear() {
                freed.push((row.key, slot));
            }
        }
        self.file.sync().map_err(BackendError::io("sync", &self.path))?;
        for (key, slot) in freed {
            self.used.remove(&key);
            self.free.push(slot);
        }
        Ok(())
    }

    fn check(&self, header: &[u8; ROW_LENGTH]) -> Result<(), BackendError> {
        if !header.starts_with(MAGIC) {
            return Err(BackendError::Damaged {
                path: self.path.clone(),
                what: "it does not begin as a file of lock-out counters does".to_owned(),
            });
        }
        if header[7] != VERSION {
            let (path, version) = (self.path.clone(), header[7].into());
            return Err(BackendError::UnknownVersion { path, version });
        }
        Ok(())
    }

    fn load(&mut self, slots: &[[u8; ROW_LENGTH]], loaded: &mut LoadedCounters) {
        for (slot, bytes) in (0_u32..).zip(slots) {
            self.slots = slot + 1;
            match CounterRow::from_bytes(bytes) {
                Ok(Some(row)) => {
                    loaded.rows.push(row);
                    if let Some(earlier) = self.used.insert(row.key, slot) {
                        self.free.push(earlier);
                    }
                }
                Ok(None) => self.free.push(slot),
                Err(_) => {
                    loaded.damaged += 1;
                    self.free.push(slot);
                }
            }
        }
        // The lowest slot is taken first.
        self.free.sort_unstable_by(|a, b| b.cmp(a));
    }

    fn take_slot(&mut self) -> Result<u32, BackendError> {
        if self.free.is_empty() {
            let slots = self.slots.saturating_mul(2).min(limits::LOCKOUT_SLOTS_MAX);
            if slots == self.slots {
                return Err(BackendError::TableFull { path: self.path.clone() });
            }
            self.grow(slots)?;
        }
        self.free.pop().ok_or_else(|| BackendError::TableFull { path: self.path.clone() })
    }

    fn grow(&mut self, slots: u32) -> Result<(), BackendError> {
        let to = offset_of(slots);
        self.file
            .allocate(to)
            .and_then(|_| write_zeros(self.file.as_ref(), offset_of(self.slots), to))
            .map_err(BackendError::io("enlarge", &self.path))?;
        self.free.extend((self.slots..slots).rev());
        self.slots = slots;
        Ok(())
    }
}

/// The header takes the place of the first slot.
fn offset_of(slot: u32) -> u64 {
    (u64::from(slot) + 1) * SLOT_BYTES
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hushbox_policy::lockout::Hold;
    use hushbox_policy::{DeviceId, PersonId};

    use super::*;
    use crate::volume::folder::Folder;
    use crate::volume::sim::SimVolume;

    fn row(person: u8, failures: u32) -> CounterRow {
        let person = PersonId::from_bytes([person; 16]);
        let key = LockKey::Pair(person, DeviceId::from_bytes([9; 16]));
        let hold = Hold::Locked(Duration::from_secs(900));
        CounterRow { key, failures, locks: 1, numbers: 0, hold }
    }

    fn many(count: u32) -> Vec<CounterRow> {
        (0..count)
            .map(|number| {
                let mut id = [1; 16];
                id[..4].copy_from_slice(&number.to_be_bytes());
                let key = LockKey::Pair(PersonId::from_bytes(id), DeviceId::from_bytes([9; 16]));
                CounterRow { key, ..row(0, number + 1) }
            })
            .collect()
    }

    #[test]
    fn counters_in_a_real_folder_outlive_a_restart() {
        let data = tempfile::tempdir().unwrap();
        let folder = Folder::open_or_create(data.path()).unwrap();
        let (mut file, loaded) = LockoutFile::open(&folder).unwrap();
        assert_eq!(loaded, LoadedCounters::default());
        file.write(&[row(1, 3), row(2, 1)]).unwrap();
        file.write(&[row(1, 4)]).unwrap();
        let (mut file, loaded) = LockoutFile::open(&folder).unwrap();
        assert_eq!(loaded.rows, [row(1, 4), row(2, 1)]);
        file.write(&[CounterRow::clear(row(1, 0).key)]).unwrap();
        let (_, loaded) = LockoutFile::open(&folder).unwrap();
        assert_eq!(loaded.rows, [row(2, 1)]);
    }

    #[test]
    fn a_count_that_was_written_is_there_after_every_crash() {
        for seed in 0..50 {
            let disk = SimVolume::new(1 << 24);
            let (mut file, _) = LockoutFile::open(&disk).unwrap();
            file.write(&[row(1, 1)]).unwrap();
            file.write(&[row(1, 2)]).unwrap();
            disk.crash(seed);
            let (_, loaded) = LockoutFile::open(&disk).unwrap();
            assert_eq!(loaded.rows, [row(1, 2)], "seed {seed}");
        }
    }

    #[test]
    fn a_crash_while_the_file_is_made_leaves_one_that_opens() {
        for seed in 0..50 {
            let disk = SimVolume::new(1 << 24);
            let file = disk.create(LOCKOUT_FILE).unwrap();
            disk.sync_names().unwrap();
            write_zeros(file.as_ref(), 64, 10_000).unwrap();
            disk.crash(seed);
            let (mut file, loaded) = LockoutFile::open(&disk).unwrap();
            assert_eq!(loaded, LoadedCounters::default());
            file.write(&[row(1, 1)]).unwrap();
        }
    }

    #[test]
    fn a_full_disk_does_not_stop_the_counting() {
        let disk = SimVolume::new(1 << 24);
        let (mut file, _) = LockoutFile::open(&disk).unwrap();
        disk.set_capacity(0);
        file.write(&many(limits::LOCKOUT_SLOTS_AT_FIRST)).unwrap();
        assert!(file.write(&[row(7, 1)]).unwrap_err().is_full(), "one more needs a bigger file");
        disk.set_capacity(1 << 24);
        file.write(&[row(7, 1)]).unwrap();
        let (_, loaded) = LockoutFile::open(&disk).unwrap();
        assert_eq!(loaded.rows.len(), limits::LOCKOUT_SLOTS_AT_FIRST as usize + 1);
    }

    #[test]
    fn the_table_is_bounded_and_a_cleared_counter_makes_room() {
        let disk = SimVolume::new(1 << 24);
        let (mut file, _) = LockoutFile::open(&disk).unwrap();
        let rows = many(limits::LOCKOUT_SLOTS_MAX);
        file.write(&rows).unwrap();
        assert!(matches!(file.write(&[row(7, 1)]), Err(BackendError::TableFull { .. })));
        file.write(&[CounterRow::clear(rows[5].key)]).unwrap();
        file.write(&[row(7, 1)]).unwrap();
    }

    #[test]
    fn a_damaged_slot_is_reported_and_the_others_stand() {
        let disk = SimVolume::new(1 << 24);
        let (mut file, _) = LockoutFile::open(&disk).unwrap();
        file.write(&[row(1, 3), row(2, 1)]).unwrap();
        disk.flip(LOCKOUT_FILE, 64 + 30);
        let (_, loaded) = LockoutFile::open(&disk).unwrap();
        assert_eq!((loaded.rows, loaded.damaged), (vec![row(2, 1)], 1));
    }

    #[test]
    fn a_later_version_and_another_file_are_refused() {
        let disk = SimVolume::new(1 << 24);
        LockoutFile::open(&disk).unwrap();
        disk.flip(LOCKOUT_FILE, 7);
        assert!(matches!(LockoutFile::open(&disk), Err(BackendError::UnknownVersion { .. })));
        disk.flip(LOCKOUT_FILE, 0);
        assert!(matches!(LockoutFile::open(&disk), Err(BackendError::Damaged { .. })));
    }
}
