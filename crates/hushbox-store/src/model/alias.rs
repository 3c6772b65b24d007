//! Another name of a mailbox: a DID, or any other user part of a SIP address.

use std::fmt;
use std::str::FromStr;

use hushbox_policy::{AccountId, AliasId, MailboxId};
use serde::{Deserialize, Serialize};

use crate::limits;

/// Another name of a mailbox. It is looked for where no mailbox has that number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alias {
    /// Its id.
    pub id: AliasId,
    /// The account.
    pub account: AccountId,
    /// The name, unique in its account and among the accounts of a trunk.
    pub name: AliasName,
    /// The mailbox that it reaches.
    pub mailbox: MailboxId,
}

/// The user part of a SIP address that no escape is needed for: `+15551234567`, `front.desk`.
///
/// RFC 3261 §25.1: `user` is unreserved or one of `&=+$,;?/`; of these, what separates parts in commands and addresses
/// (`/ ; ? & = $ ,`) is left out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AliasName(String);

/// It is no name that a mailbox can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an alias has 1 to 64 letters, digits and characters of +-_.!~*'()")]
pub struct NotAnAlias;

impl AliasName {
    /// The name that this text is.
    pub fn new(text: &str) -> Result<AliasName, NotAnAlias> {
        let fits = (1..=limits::ALIAS_BYTES_MAX).contains(&text.len());
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"+-_.!~*'()".contains(&byte);
        if fits && text.bytes().all(allowed) {
            Ok(AliasName(text.to_owned()))
        } else {
            Err(NotAnAlias)
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AliasName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for AliasName {
    type Err = NotAnAlias;

    fn from_str(text: &str) -> Result<AliasName, NotAnAlias> {
        AliasName::new(text)
    }
}

impl TryFrom<String> for AliasName {
    type Error = NotAnAlias;

    fn try_from(text: String) -> Result<AliasName, NotAnAlias> {
        AliasName::new(&text)
    }
}

impl From<AliasName> for String {
    fn from(name: AliasName) -> String {
        name.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alias_is_a_user_part_that_needs_no_escape() {
        for text in ["+15551234567", "user", "front.desk", "*98", "a-b_c!~'()"] {
            assert_eq!(AliasName::new(text).map(|name| name.to_string()).as_deref(), Ok(text));
        }
        for text in ["", "a@b", "a b", "clinic/1001", "a;b", "%41", "\u{e9}", &"1".repeat(65)] {
            assert_eq!(AliasName::new(text), Err(NotAnAlias), "{text}");
        }
    }
}
