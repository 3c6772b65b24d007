//! The two profiles.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Error;

/// What an account is held to. `hipaa` is the default.
///
/// The order is of strictness: `max` is the stricter one.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// What a business outside of healthcare may want.
    Standard,
    /// What HIPAA asks for, and nothing that contradicts it.
    #[default]
    Hipaa,
}

impl Profile {
    /// The stricter of an account's and a message's profile holds: leaving `hipaa` frees no old message, entering
    /// it locks them all.
    #[must_use]
    pub fn stricter(self, other: Self) -> Self {
        self.max(other)
    }

    /// The name, as configuration and records have it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Hipaa => "hipaa",
        }
    }

    /// The octet that formats hold.
    #[must_use]
    pub const fn to_byte(self) -> u8 {
        match self {
            Self::Hipaa => 1,
            Self::Standard => 2,
        }
    }

    /// The profile that a stored octet stands for.
    #[must_use]
    pub const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Hipaa),
            2 => Some(Self::Standard),
            _ => None,
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Profile {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "hipaa" => Ok(Self::Hipaa),
            "standard" => Ok(Self::Standard),
            _ => Err(Error::Name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hipaa_is_the_default_and_the_stricter_one() {
        assert_eq!(Profile::default(), Profile::Hipaa);
        assert_eq!(Profile::Standard.stricter(Profile::Hipaa), Profile::Hipaa);
        assert_eq!(Profile::Hipaa.stricter(Profile::Standard), Profile::Hipaa);
        assert_eq!(Profile::Standard.stricter(Profile::Standard), Profile::Standard);
    }

    #[test]
    fn a_profile_reads_back_from_its_name_and_its_octet() {
        for profile in [Profile::Hipaa, Profile::Standard] {
            assert_eq!(profile.as_str().parse(), Ok(profile));
            assert_eq!(Profile::from_byte(profile.to_byte()), Some(profile));
        }
        assert_eq!(Profile::from_byte(0), None);
    }
}
