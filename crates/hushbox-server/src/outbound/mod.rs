//! What this server begins itself: connections to others, and finding out where they are.
//!
//! Whether a connection is reused, which destination comes next and when it is given up is decided in `hushbox-sip`;
//! here are the sockets, the handshakes and the questions to the DNS.

mod connector;
pub mod registrations;
mod resolver;
pub mod server_certificates;

pub use connector::{Connector, Secure};
pub use resolver::{DnsError, Finder};

#[cfg(test)]
mod tests;
