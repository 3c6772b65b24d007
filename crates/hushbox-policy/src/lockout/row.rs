//! A counter as it is kept: 64 bytes, so that a file of fixed slots holds it and one write never crosses a sector.

use std::net::IpAddr;
use std::time::Duration;

use super::key::{LockKey, SourceId};
use crate::Error;
use crate::ids::{DeviceId, PersonId, TrunkId};

/// A counter's state at the moment it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CounterRow {
    /// Which counter. A later row with the same key replaces this one.
    pub key: LockKey,
    /// Failures in a row, or within the window.
    pub failures: u32,
    /// How often it has locked since the last success.
    pub locks: u32,
    /// Different numbers tried within the window.
    pub numbers: u32,
    /// Whether it holds something back, and for how long still.
    pub hold: Hold,
}

/// What a counter holds back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// Nothing.
    Free,
    /// Nothing yet; its window is open for so long still.
    Window(Duration),
    /// Tries, for so long still.
    Locked(Duration),
    /// Tries, until somebody lifts it.
    Hard,
}

/// Length of a row.
pub const ROW_LENGTH: usize = 64;
const VERSION: u8 = 1;
const KEY_AT: usize = 24;

impl CounterRow {
    /// A row that says: nothing is counted here any more.
    #[must_use]
    pub const fn clear(key: LockKey) -> Self {
        Self { key, failures: 0, locks: 0, numbers: 0, hold: Hold::Free }
    }

    /// Whether it says that nothing is counted, so that its slot is free.
    #[must_use]
    pub fn is_clear(&self) -> bool {
        self.failures == 0 && self.locks == 0 && self.hold == Hold::Free
    }

    /// The remaining time of a lock.
    #[must_use]
    pub const fn remaining(&self) -> Option<Duration> {
        match self.hold {
            Hold::Locked(remaining) => Some(remaining),
            Hold::Free | Hold::Window(_) | Hold::Hard => None,
        }
    }

    /// version 1 | kind of key 1 | hold 1 | 0 | failures 4 | locks 4 | numbers 4 | milliseconds 8 | key 32 | 0 4 |
    /// CRC-32 of the 60 before it 4; integers are little-endian.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; ROW_LENGTH] {
        let (hold, left) = match self.hold {
            Hold::Free => (0, Duration::ZERO),
            Hold::Window(left) => (1, left),
            Hold::Locked(left) => (2, left),
            Hold::Hard => (3, Duration::ZERO),
        };
        let (kind, key) = key_bytes(&self.key);
        let mut bytes = [0; ROW_LENGTH];
        bytes[..4].copy_from_slice(&[VERSION, kind, hold, 0]);
        bytes[4..8].copy_from_slice(&self.failures.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.locks.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.numbers.to_le_bytes());
        let milliseconds = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
        bytes[16..KEY_AT].copy_from_slice(&milliseconds.to_le_bytes());
        bytes[KEY_AT..KEY_AT + 32].copy_from_slice(&key);
        let crc = crc32(&bytes[..60]);
        bytes[60..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The row that these bytes are; `None` for a slot that was never written.
    ///
    /// # Errors
    ///
    /// [`Error::CounterRow`] for a torn or damaged one.
    pub fn from_bytes(bytes: &[u8; ROW_LENGTH]) -> Result<Option<Self>, Error> {
        if bytes.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        if crc32(&bytes[..60]).to_le_bytes() != bytes[60..] || bytes[0] != VERSION {
            return Err(Error::CounterRow);
        }
        let left = Duration::from_millis(u64::from_le_bytes(array(&bytes[16..KEY_AT])?));
        let hold = match bytes[2] {
            0 => Hold::Free,
            1 => Hold::Window(left),
            2 => Hold::Locked(left),
            3 => Hold::Hard,
            _ => return Err(Error::CounterRow),
        };
        Ok(Some(Self {
            key: key_from(bytes[1], &array(&bytes[KEY_AT..KEY_AT + 32])?)?,
            failures: u32::from_le_bytes(array(&bytes[4..8])?),
            locks: u32::from_le_bytes(array(&bytes[8..12])?),
            numbers: u32::from_le_bytes(array(&bytes[12..16])?),
            hold,
        }))
    }
}

fn key_bytes(key: &LockKey) -> (u8, [u8; 32]) {
    let mut bytes = [0; 32];
    let kind = match key {
        LockKey::Pair(person, device) => {
            bytes[..16].copy_from_slice(person.as_bytes());
            bytes[16..].copy_from_slice(device.as_bytes());
            1
        }
        LockKey::Person(person) => {
            bytes[..16].copy_from_slice(person.as_bytes());
            2
        }
        LockKey::Operator(person, uid) => {
            bytes[..16].copy_from_slice(person.as_bytes());
            bytes[16..20].copy_from_slice(&uid.to_le_bytes());
            3
        }
        LockKey::Global => 4,
        LockKey::Source(SourceId::Device(device)) => {
            bytes[..16].copy_from_slice(device.as_bytes());
            5
        }
        LockKey::Source(SourceId::Trunk(trunk)) => {
            bytes[..16].copy_from_slice(trunk.as_bytes());
            6
        }
        LockKey::Source(SourceId::Address(IpAddr::V4(address))) => {
            bytes[..4].copy_from_slice(&address.octets());
            7
        }
        LockKey::Source(SourceId::Address(IpAddr::V6(address))) => {
            bytes[..16].copy_from_slice(&address.octets());
            8
        }
    };
    (kind, bytes)
}

fn key_from(kind: u8, bytes: &[u8; 32]) -> Result<LockKey, Error> {
    let first: [u8; 16] = array(&bytes[..16])?;
    let four: [u8; 4] = array(&bytes[..4])?;
    Ok(match kind {
        1 => LockKey::Pair(PersonId::from_bytes(first), DeviceId::from_bytes(array(&bytes[16..])?)),
        2 => LockKey::Person(PersonId::from_bytes(first)),
        3 => {
            let uid = u32::from_le_bytes(array(&bytes[16..20])?);
            LockKey::Operator(PersonId::from_bytes(first), uid)
        }
        4 => LockKey::Global,
        5 => LockKey::Source(SourceId::Device(DeviceId::from_bytes(first))),
        6 => LockKey::Source(SourceId::Trunk(TrunkId::from_bytes(first))),
        7 => LockKey::Source(SourceId::Address(four.into())),
        8 => LockKey::Source(SourceId::Address(first.into())),
        _ => return Err(Error::CounterRow),
    })
}

fn array<const N: usize>(bytes: &[u8]) -> Result<[u8; N], Error> {
    bytes.try_into().map_err(|_| Error::CounterRow)
}

/// CRC-32 (ISO 3309), bit by bit: a row is 60 bytes, and a torn write is all it must find.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keys() -> impl Strategy<Value = LockKey> {
        let person = any::<[u8; 16]>().prop_map(PersonId::from_bytes);
        let device = any::<[u8; 16]>().prop_map(DeviceId::from_bytes);
        let trunk = any::<[u8; 16]>().prop_map(TrunkId::from_bytes);
        prop_oneof![
            (person.clone(), device.clone())
                .prop_map(|(person, device)| LockKey::Pair(person, device)),
            person.clone().prop_map(LockKey::Person),
            (person, any::<u32>()).prop_map(|(person, uid)| LockKey::Operator(person, uid)),
            Just(LockKey::Global),
            device.prop_map(|device| LockKey::Source(SourceId::Device(device))),
            trunk.prop_map(|trunk| LockKey::Source(SourceId::Trunk(trunk))),
            any::<IpAddr>().prop_map(|address| LockKey::Source(SourceId::Address(address))),
        ]
    }

    fn holds() -> impl Strategy<Value = Hold> {
        let left = any::<u32>().prop_map(|left| Duration::from_millis(left.into()));
        prop_oneof![
            Just(Hold::Free),
            Just(Hold::Hard),
            left.clone().prop_map(Hold::Window),
            left.prop_map(Hold::Locked),
        ]
    }

    proptest! {
        #[test]
        fn a_row_reads_back_as_it_was_written(
            key in keys(), hold in holds(), failures: u32, locks: u32, numbers: u32,
        ) {
            let row = CounterRow { key, failures, locks, numbers, hold };
            prop_assert_eq!(CounterRow::from_bytes(&row.to_bytes()), Ok(Some(row)));
        }

        #[test]
        fn a_damaged_row_is_refused(key in keys(), hold in holds(), at in 0_usize..64, with in 1_u8..) {
            let row = CounterRow { key, failures: 3, locks: 1, numbers: 2, hold };
            let mut bytes = row.to_bytes();
            bytes[at] ^= with;
            prop_assert_eq!(CounterRow::from_bytes(&bytes), Err(Error::CounterRow));
        }

        #[test]
        fn no_bytes_make_reading_panic(bytes in proptest::collection::vec(any::<u8>(), 64)) {
            let _ = CounterRow::from_bytes(&bytes.try_into().unwrap());
        }
    }

    #[test]
    fn a_slot_that_was_never_written_is_no_row() {
        assert_eq!(CounterRow::from_bytes(&[0; 64]), Ok(None));
    }

    /// The golden row of version 1; its CRC was computed with Python's zlib.
    #[test]
    fn a_row_of_version_1_is_still_written_and_read() {
        let row = CounterRow {
            key: LockKey::Pair(PersonId::from_bytes([0x11; 16]), DeviceId::from_bytes([0x22; 16])),
            failures: 3,
            locks: 2,
            numbers: 0,
            hold: Hold::Locked(Duration::from_secs(30 * 60)),
        };
        let golden = concat!(
            "01010200030000000200000000000000",
            "40771b0000000000",
            "11111111111111111111111111111111",
            "22222222222222222222222222222222",
            "000000006f1b611a",
        );
        assert_eq!(hex::encode(row.to_bytes()), golden);
        let bytes: [u8; ROW_LENGTH] = hex::decode(golden).unwrap().try_into().unwrap();
        assert_eq!(CounterRow::from_bytes(&bytes), Ok(Some(row)));
    }

    #[test]
    fn the_checksum_is_crc_32() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    }
}
