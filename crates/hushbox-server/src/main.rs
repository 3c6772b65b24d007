//! The program `hushbox`.
fn main() {}
