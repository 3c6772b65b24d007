//! What a rule destroys, and when.
//!
//! The time counts while the server runs and is kept as remaining time, like a lock: a stopped server and a clock
//! that jumps destroy nothing early.

use std::time::Duration;

use crate::permit::{Actor, SetBy};

/// How long a message that is marked as deleted can still be had back.
pub const DELETED_KEPT: Duration = Duration::from_secs(14 * 24 * 60 * 60);
/// How long a message without a voice is kept.
pub const QUIET_KEPT: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// A rule that destroys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RetentionRule {
    /// Messages that somebody marked as deleted.
    Deleted,
    /// Messages without a voice.
    Quiet,
}

impl RetentionRule {
    /// Every rule of this build.
    pub const ALL: [Self; 2] = [Self::Deleted, Self::Quiet];

    /// Its id in records.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::Deleted => "retention.deleted",
            Self::Quiet => "retention.quiet",
        }
    }

    /// How long it waits.
    #[must_use]
    pub const fn keeps(self) -> Duration {
        match self {
            Self::Deleted => DELETED_KEPT,
            Self::Quiet => QUIET_KEPT,
        }
    }

    /// The rule as the one who acts.
    #[must_use]
    pub const fn actor(self) -> Actor {
        Actor::Rule { id: self.id(), set_by: SetBy::Build }
    }
}

/// A message that waits to be destroyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The rule that it falls under.
    pub rule: RetentionRule,
    /// The running time that is left to it.
    pub remaining: Duration,
}
