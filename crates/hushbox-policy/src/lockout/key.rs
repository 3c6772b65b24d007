//! What is counted.

use std::net::IpAddr;

use aws_lc_rs::digest;

use crate::Number;
use crate::ids::{DeviceId, PersonId, TrunkId};

/// Where an unbound log-in comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SourceId {
    /// A device, for persons who are not bound to it; also an extension that a trunk asserts.
    Device(DeviceId),
    /// A trunk's unbound callers together.
    Trunk(TrunkId),
    /// An address.
    Address(IpAddr),
}

/// A counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LockKey {
    /// A person and a device that is bound to them.
    Pair(PersonId, DeviceId),
    /// A person, for all unbound sources.
    Person(PersonId),
    /// A source, for persons who are not bound to it.
    Source(SourceId),
    /// A person by `--as`, and who typed it.
    Operator(PersonId, u32),
    /// All unbound sources.
    Global,
}

/// A number that was tried, to tell different ones apart and for nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tag([u8; 8]);

impl Tag {
    pub(crate) fn of(number: &Number) -> Self {
        let hash = digest::digest(&digest::SHA256, number.as_str().as_bytes());
        let mut tag = [0; 8];
        tag.copy_from_slice(&hash.as_ref()[..8]);
        Self(tag)
    }
}
