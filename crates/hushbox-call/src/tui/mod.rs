//! The dialogue with a person: what is said, recorded and done, and when.
//!
//! Each stage is a state machine of one shape: inputs with the moment they happened, outputs taken one by one, a deadline.
//! None of them knows SIP, RTP, the audit log or a key: [`crate::call`] joins them to those.

pub mod announcement;
pub mod deposit;
pub mod digits;
pub mod idle;
pub mod login;
pub mod menu;

use crate::prompt::{PromptId, Utterance};

/// The name of every dialogue's last state.
pub(crate) const OVER: &str = "Over";

/// Prompts as something to say.
pub(crate) fn say<I: IntoIterator<Item = PromptId>>(prompts: I) -> Vec<Utterance> {
    prompts.into_iter().map(Utterance::Prompt).collect()
}
