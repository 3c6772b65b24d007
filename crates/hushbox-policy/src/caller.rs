//! Who called: PHI as soon as it stands beside a practice's mailbox.

use std::fmt;

use zeroize::Zeroizing;

use crate::{Error, limits};

macro_rules! callers {
    ($($(#[$doc:meta])* $name:ident, $max:expr;)*) => {$(
        $(#[$doc])*
        ///
        /// It cannot be printed, compared or serialised; the store seals it and a reveal shows it.
        #[derive(Clone)]
        pub struct $name(Zeroizing<String>);

        impl $name {
            /// What the call said, as it said it.
            ///
            /// # Errors
            ///
            /// [`Error::Caller`] when it is empty or too long to keep.
            pub fn new(text: &str) -> Result<Self, Error> {
                if text.is_empty() || text.len() > $max {
                    return Err(Error::Caller);
                }
                Ok(Self(Zeroizing::new(text.to_owned())))
            }

            /// The text, for sealing it and for showing it to whom a reveal was authorised.
            #[must_use]
            pub fn expose(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(…)"))
            }
        }
    )*};
}

callers! {
    /// The number of a caller.
    CallerNumber, limits::CALLER_NUMBER_LENGTH_MAX;
    /// The name that a call gave for its caller.
    CallerName, limits::CALLER_NAME_LENGTH_MAX;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_do_not_print_themselves() {
        let number = CallerNumber::new("+15551234567").unwrap();
        let name = CallerName::new("Mary Major").unwrap();
        assert_eq!(format!("{number:?} {name:?}"), "CallerNumber(…) CallerName(…)");
    }

    #[test]
    fn what_is_too_long_to_keep_is_refused() {
        assert!(matches!(CallerNumber::new(&"1".repeat(65)), Err(Error::Caller)));
        assert!(matches!(CallerName::new(""), Err(Error::Caller)));
    }
}
