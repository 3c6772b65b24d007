//! What goes into the log-in and what comes out of it.

use std::fmt;

use crate::end::EndReason;
use crate::prompt::Utterance;
use crate::tui::digits::{Digits, Keys};

/// Who may log in from where the call comes from. The source alone decides it, before a number is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A device that is bound to one person: the PIN alone.
    OnePerson,
    /// A device that several persons use: number, then PIN.
    AnyPerson,
    /// Nobody.
    Refused(Refusal),
}

/// Why nobody may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Nobody's factors could suffice from here.
    NotFromThisTelephone,
    /// This server can't open messages now.
    CannotBeOpened,
}

/// What happens to a log-in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// The caller acknowledged the answer: media may flow.
    Confirmed,
    /// A key.
    Digit(char),
    /// All that was to be said has been said.
    PromptFinished,
    /// The answer to [`Output::CheckLock`].
    Lock(LockAnswer),
    /// The answer to [`Output::TryPin`].
    Pin(PinAnswer),
    /// The call is over on the caller's side, or neither media nor the person's rights last.
    HungUp(EndReason),
    /// Time has passed.
    Timeout,
}

impl fmt::Debug for Input {
    // A key may be one of a PIN.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Input::Confirmed => f.write_str("Confirmed"),
            Input::Digit(_) => f.write_str("Digit(…)"),
            Input::PromptFinished => f.write_str("PromptFinished"),
            Input::Lock(answer) => f.debug_tuple("Lock").field(answer).finish(),
            Input::Pin(answer) => f.debug_tuple("Pin").field(answer).finish(),
            Input::HungUp(reason) => f.debug_tuple("HungUp").field(reason).finish(),
            Input::Timeout => f.write_str("Timeout"),
        }
    }
}

/// Whether this number may try from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockAnswer {
    /// It may.
    Free,
    /// Too many wrong tries.
    Locked,
    /// The counters can't be kept now.
    Unavailable,
}

/// What came of a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PinAnswer {
    /// The person is who they say.
    Accepted,
    /// They are not, or their factors can't suffice from here.
    Refused,
    /// Too many log-ins at once: the try was not counted.
    Busy,
    /// Counters or audit log can't be kept now.
    Unavailable,
}

/// What a log-in asks for. Its `Debug` hides what was keyed: a PIN may have been keyed for the number.
#[derive(Clone, PartialEq, Eq)]
pub enum Output {
    /// Say this after what is being said.
    Say(Vec<Utterance>),
    /// Say no more.
    StopSpeaking,
    /// May this number try? `None` is the one person of the device.
    CheckLock {
        /// The number that was keyed.
        number: Option<String>,
    },
    /// Count the try, then compare.
    TryPin {
        /// The number that was keyed.
        number: Option<String>,
        /// The PIN that was keyed.
        pin: Digits,
    },
    /// The person is logged in. Keys that they pressed since the PIN follow.
    LoggedIn {
        /// Those keys, in order.
        type_ahead: Keys,
    },
    /// The dialogue is over: send BYE unless the caller did.
    HangUp(EndReason),
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Output::Say(words) => f.debug_tuple("Say").field(words).finish(),
            Output::StopSpeaking => f.write_str("StopSpeaking"),
            Output::CheckLock { number } => write!(f, "CheckLock(number: {})", number.is_some()),
            Output::TryPin { number, pin: _ } => {
                write!(f, "TryPin(number: {}, …)", number.is_some())
            }
            Output::LoggedIn { type_ahead } => f.debug_tuple("LoggedIn").field(type_ahead).finish(),
            Output::HangUp(reason) => f.debug_tuple("HangUp").field(reason).finish(),
        }
    }
}
