//! The index in a SQL database.
//!
//! SQLite now; `sql` has every statement and `row` what a stored row means, so that another engine differs in its
//! statements and nowhere else. What an index must do is tested by the suite in
//! `tests/backend`, which the one in [memory](crate::memory) passes too.

mod row;
mod sql;
pub mod sqlite;
