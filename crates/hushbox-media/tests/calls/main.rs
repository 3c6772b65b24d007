//! Calls in virtual time: between two legs, against a scripted peer, against hostile input.

mod hostile;
mod peer;
mod session;
mod whole;
mod world;
