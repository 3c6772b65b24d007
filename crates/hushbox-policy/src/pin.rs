//! A PIN, for as long as it is in memory.

use std::fmt;

use zeroize::Zeroizing;

use crate::{Error, limits};

/// 1 to 12 digits that never show: no `Display`, a `Debug` without content, no comparison, overwritten when dropped.
#[derive(Clone)]
pub struct Pin(Zeroizing<String>);

impl Pin {
    /// The PIN that was entered.
    ///
    /// # Errors
    ///
    /// [`Error::Pin`] when it is empty, longer than 12, or not of digits.
    pub fn new(digits: &str) -> Result<Self, Error> {
        let valid = (1..=limits::PIN_LENGTH_MAX).contains(&digits.len())
            && digits.bytes().all(|byte| byte.is_ascii_digit());
        if valid { Ok(Self(Zeroizing::new(digits.to_owned()))) } else { Err(Error::Pin) }
    }

    /// The digits, for showing a new PIN to its owner once and for nothing else.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pin(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_does_not_print_itself() {
        assert_eq!(format!("{:?}", Pin::new("83920475").unwrap()), "Pin(…)");
    }

    #[test]
    fn only_one_to_twelve_digits_are_a_pin() {
        assert!(Pin::new("1").is_ok() && Pin::new("123456789012").is_ok());
        for digits in ["", "1234567890123", "12a4", "12 4", "*123", "１２３４"] {
            assert!(matches!(Pin::new(digits), Err(Error::Pin)), "{digits}");
        }
    }
}
