//! Every number that bounds a value or a try, in one place.

use std::time::Duration;

/// Characters of a [`Number`](crate::Number).
pub const NUMBER_LENGTH_MAX: usize = 20;
/// [`DigitRule`](crate::DigitRule)s of a trunk.
pub const DIGIT_RULES_MAX: usize = 64;
/// Host names of a trunk.
pub const TRUNK_HOSTS_MAX: usize = 16;
/// Characters of a host name (RFC 1035 §2.3.4).
pub const HOST_LENGTH_MAX: usize = 253;
/// Digits that a [`Pin`](crate::Pin) can have; what is entered at the phone ends here.
pub const PIN_LENGTH_MAX: usize = 12;
/// Digits that a chosen PIN must have (hipaa-controls 5.3, 1).
pub const PIN_CHOSEN_LENGTH_MIN: usize = 6;
/// Digits of a PIN that Hushbox makes.
pub const PIN_GENERATED_LENGTH: usize = 8;
/// Bytes of a caller's number that are kept.
pub const CALLER_NUMBER_LENGTH_MAX: usize = 64;
/// Bytes of a caller's name that are kept.
pub const CALLER_NAME_LENGTH_MAX: usize = 128;
/// Characters of a [`Reason`](crate::Reason).
pub const REASON_LENGTH_MAX: usize = 200;
/// Characters that a reason must have at least.
pub const REASON_LENGTH_MIN: usize = 3;
/// Digits in a row that a reason may hold: seven would be a telephone number.
pub const REASON_DIGITS_MAX: usize = 6;

/// Log-in tries in one call; after the last a fixed prompt and BYE (hipaa-controls 5.3, 3).
pub const TRIES_PER_CALL: u32 = 3;
/// Silence that ends a PIN (hipaa-controls 5.3, 2).
pub const PIN_DIGIT_GAP: Duration = Duration::from_secs(3);

/// When the answer to a call's try, counted from zero, is spoken: known and unknown alike.
#[must_use]
pub const fn answer_deadline(attempt: u32) -> Duration {
    match attempt {
        0 => Duration::from_secs(1),
        1 => Duration::from_secs(2),
        _ => Duration::from_secs(4),
    }
}
