//! One value for "now".

use std::time::Instant;

/// The time of an input: durations count in `monotonic`, dates in `utc`.
///
/// The caller sees to it that `utc` never falls behind the highest one it has handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// What durations, timers and locks count in.
    pub monotonic: Instant,
    /// What dates are compared with and records are stamped with.
    pub utc: jiff::Timestamp,
}
