//! One call to a voicemail server: its dialogue with a person (deposit, log-in, menus), joined to signalling and media.
//!
//! Pure like the crates below it: time, random bytes, packets and the store's answers come in as values; transmissions,
//! requests and deadlines go out as values. There is no socket, no clock, no file and no thread here.
//!
//! - [`Signalling`]: the SIP endpoint, and who may call whom.
//! - [`addressing`]: whose mailbox a call is for, and why.
//! - [`Call`]: one call, from its admission to its one [`EndReason`].
//! - [`tui`]: the dialogue. It knows neither SIP nor RTP.
//! - [`prompt`], [`speech`]: what can be spoken, and how numbers, dates and times are.
//! - [`mwi`]: who is told how many messages wait, and when.
//! - [`end`]: how calls end.
//! - [`limits`]: every limit.

pub mod addressing;
pub mod call;
pub mod end;
pub mod limits;
pub mod mwi;
pub mod prompt;
pub mod setup;
pub mod signalling;
pub mod speech;
#[cfg(test)]
mod testing;
pub mod tui;

pub use call::{Call, CallReport};
pub use end::EndReason;
pub use prompt::Prompts;
pub use setup::{CallSetup, FromSignalling, Purpose, ToSignalling};
pub use signalling::Signalling;
