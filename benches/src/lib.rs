//! What the benchmarks share: the message that is read, what is done with it, and how that is measured.
//!
//! - [`invite`]: a 1.2 kB INVITE, and what each library makes of it.
//! - [`contest`]: contestants that take turns in one run, so that a drift of the machine meets all of them.
//!
//! Deliberately absent: targets and verdicts. `benches/` prints figures; what must hold on every machine, the number
//! of allocations, is an ordinary test in `tests/`.

pub mod contest;
pub mod invite;
