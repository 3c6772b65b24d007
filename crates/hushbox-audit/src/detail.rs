//! What an event says beyond its fields: named values of closed kinds, and no text that a caller chose.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use uuid::Uuid;

use crate::hash::Hash;

/// A value of a detail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DetailValue {
    /// A number of things, of bytes, of milliseconds: the name says which.
    Count(u64),
    /// Yes or no.
    Flag(bool),
    /// A hash.
    Hash(Hash),
    /// An id.
    Id(Uuid),
    /// A word that stands in the program.
    Word(Cow<'static, str>),
}

impl From<u64> for DetailValue {
    fn from(count: u64) -> Self {
        Self::Count(count)
    }
}

impl From<u32> for DetailValue {
    fn from(count: u32) -> Self {
        Self::Count(count.into())
    }
}

impl From<bool> for DetailValue {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

impl From<Hash> for DetailValue {
    fn from(hash: Hash) -> Self {
        Self::Hash(hash)
    }
}

impl From<Uuid> for DetailValue {
    fn from(id: Uuid) -> Self {
        Self::Id(id)
    }
}

impl From<&'static str> for DetailValue {
    fn from(word: &'static str) -> Self {
        Self::Word(Cow::Borrowed(word))
    }
}

impl fmt::Display for DetailValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => fmt::Display::fmt(count, f),
            Self::Flag(flag) => fmt::Display::fmt(flag, f),
            Self::Hash(hash) => fmt::Display::fmt(hash, f),
            Self::Id(id) => fmt::Display::fmt(id, f),
            Self::Word(word) => f.write_str(word),
        }
    }
}

/// Named values, in the order of their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Detail(pub(crate) BTreeMap<Cow<'static, str>, DetailValue>);

impl Detail {
    /// Nothing more to say.
    #[must_use]
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Says one thing more. Names and words stand in the program, so nobody outside can put text into the log.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<DetailValue>) -> Self {
        self.0.insert(Cow::Borrowed(name), value.into());
        self
    }

    /// The value of a name.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&DetailValue> {
        self.0.get(name)
    }

    /// Every name with its value.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &DetailValue)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), value))
    }
}
