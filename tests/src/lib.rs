//! Shared pieces of the tests: the world, the clock, the link, the disk, the caller, and peers that are not ours.

pub mod baresip;
pub mod calls;
#[cfg(doctest)]
mod compile_fail;
pub mod fuzz;
pub mod kamailio;
pub mod transcript;
pub mod trial;
pub mod tunnel;
pub mod world;
