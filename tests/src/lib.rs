//! Shared pieces of the tests: the world, the clock, the link, the disk, the caller.

pub mod calls;
pub mod fuzz;
pub mod trial;
