//! A number that is dialled or keyed in: of a mailbox or of a person.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, limits};

/// 1 to 20 digits or `*`. The numbers of mailboxes and staff are no PHI; a caller's is a
/// [`CallerNumber`](crate::CallerNumber).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Number(String);

impl Number {
    /// The number that this text is.
    ///
    /// # Errors
    ///
    /// [`Error::Number`] for any other text.
    pub fn new(text: &str) -> Result<Self, Error> {
        let valid = (1..=limits::NUMBER_LENGTH_MAX).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'*');
        if valid { Ok(Self(text.to_owned())) } else { Err(Error::Number) }
    }

    /// The number as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Number {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::new(text)
    }
}

impl TryFrom<String> for Number {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        Self::new(&text)
    }
}

impl From<Number> for String {
    fn from(number: Number) -> Self {
        number.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_and_stars_are_a_number() {
        for text in ["1", "1001", "*97", "12345678901234567890"] {
            assert_eq!(Number::new(text).map(String::from), Ok(text.to_owned()));
        }
    }

    #[test]
    fn anything_else_is_no_number() {
        for text in ["", "+15551234567", "alice", "10 01", "123456789012345678901", "１２"] {
            assert_eq!(Number::new(text), Err(Error::Number), "{text}");
        }
    }
}
