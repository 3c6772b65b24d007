//! Why an operator asks: text that goes to the audit log as it is.

use std::fmt;

use crate::{Error, limits};

/// 3 to 200 printable characters without a number of seven digits or more.
///
/// The audit log holds no telephone number (hipaa-controls 8, "never in it"), so a reason that has one is refused
/// while its author can still mend it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason(String);

impl Reason {
    /// The reason that was given.
    ///
    /// # Errors
    ///
    /// [`Error::Reason`] when it is too short, too long, has control characters, or holds what looks like a
    /// telephone number, also one written with blanks, dots, hyphens or brackets.
    pub fn new(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        let length = text.chars().count();
        let fits = (limits::REASON_LENGTH_MIN..=limits::REASON_LENGTH_MAX).contains(&length);
        if !fits || text.chars().any(char::is_control) || holds_number(text) {
            return Err(Error::Reason);
        }
        Ok(Self(text.to_owned()))
    }

    /// The reason as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn holds_number(text: &str) -> bool {
    let mut digits = 0;
    for character in text.chars() {
        if character.is_numeric() {
            digits += 1;
        } else if !matches!(character, ' ' | '.' | '-' | '/' | '(' | ')' | '+') {
            digits = 0;
        }
        if digits > limits::REASON_DIGITS_MAX {
            return true;
        }
    }
    false
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_in_words_is_kept() {
        let reason = Reason::new("  complaint 4411, asked by Dr Example ").unwrap();
        assert_eq!(reason.as_str(), "complaint 4411, asked by Dr Example");
    }

    #[test]
    fn a_reason_with_a_telephone_number_is_refused() {
        for text in ["call 5551234567", "call 555-123-4567", "from (555) 123 45 67", "+1 555.123.4"]
        {
            assert_eq!(Reason::new(text), Err(Error::Reason), "{text}");
        }
    }

    #[test]
    fn no_reason_is_no_reason() {
        for text in ["", "  ", "ab", "two\nlines", &"x".repeat(201)] {
            assert_eq!(Reason::new(text), Err(Error::Reason), "{text}");
        }
    }
}
