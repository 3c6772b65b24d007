//! One call to a voicemail server: its dialogue with a person (deposit, log-in, menus), joined to signalling and media.
//!
//! Pure like the crates below it: time, random bytes, packets and the store's answers come in as values; transmissions,
//! requests and deadlines go out as values. There is no socket, no clock, no file and no thread here.
//!
//! - [`tui`]: the dialogue. It knows neither SIP nor RTP.
//! - [`prompt`], [`speech`]: what can be spoken, and how numbers, dates and times are.
//! - [`end`]: how calls end.
//! - [`limits`]: every limit.

pub mod end;
pub mod limits;
pub mod prompt;
pub mod speech;
pub mod tui;

pub use end::EndReason;
