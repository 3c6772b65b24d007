//! Why an operator asks: text that goes to the audit log as it is.

use std::fmt;

use crate::{Error, limits};

/// 3 to 200 printable characters without what could be a telephone number: seven digits or more.
///
/// The audit log holds no telephone number (hipaa-controls 8, "never in it"), so a reason that has one is refused
/// while its author can still mend it. A date (2026-03-04) and a ticket whose letters touch its digits (INC0012345)
/// are none.
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

    /// A reason that was accepted when it was written down: what is refused may have changed since.
    #[must_use]
    pub const fn read_back(text: String) -> Self {
        Self(text)
    }

    /// The reason as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn holds_number(text: &str) -> bool {
    let mut digits = 0;
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        if let Some(behind) = behind_date(rest).or_else(|| behind_ticket(rest)) {
            digits = 0;
            rest = behind;
            continue;
        }
        if character.is_numeric() {
            digits += 1;
        } else if !matches!(character, ' ' | '.' | '-' | '/' | '(' | ')' | '+') {
            digits = 0;
        }
        if digits > limits::REASON_DIGITS_MAX {
            return true;
        }
        rest = &rest[character.len_utf8()..];
    }
    false
}

/// What follows a date, if the text begins with one and no digit follows.
fn behind_date(text: &str) -> Option<&str> {
    let (date, behind) = text.split_at_checked(10)?;
    let is_date = date.bytes().enumerate().all(|(place, byte)| match place {
        4 | 7 => byte == b'-',
        _ => byte.is_ascii_digit(),
    });
    let ends = !behind.starts_with(|next: char| next.is_numeric() || next == '-');
    (is_date && ends && matches!(&date[..2], "19" | "20")).then_some(behind)
}

/// What follows a word that begins with a letter, its digits with it.
fn behind_ticket(text: &str) -> Option<&str> {
    text.starts_with(char::is_alphabetic)
        .then(|| text.trim_start_matches(|character: char| character.is_alphanumeric()))
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
    fn dates_and_tickets_are_no_telephone_numbers() {
        for text in
            ["as of 2026-03-04", "INC0012345", "REQ-12345, 2026-03-04 09:30", "case A1234567"]
        {
            assert!(Reason::new(text).is_ok(), "{text}");
        }
        for text in ["555-2026-03-045", "2026-03-04-5551234567", "INC 5551234567", "+4930 1234567"]
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
