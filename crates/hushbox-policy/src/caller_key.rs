//! A caller and a mailbox as a key of a table: what counts calls need not know who calls.

use std::fmt;

use aws_lc_rs::hmac;

use crate::{CallerNumber, MailboxId};

/// Stands for one caller of one mailbox. Nobody finds the number in it without the secret of the run that made it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallerKey([u8; 16]);

impl fmt::Debug for CallerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CallerKey(…)")
    }
}

/// Makes [`CallerKey`]s.
pub struct CallerKeys(hmac::Key);

impl CallerKeys {
    /// Under this secret, which must be fresh.
    #[must_use]
    pub fn new(secret: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// The key of a caller. Those without a number are one; a number is the same however it is punctuated.
    #[must_use]
    pub fn of(&self, mailbox: MailboxId, number: Option<&CallerNumber>) -> CallerKey {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(mailbox.as_uuid().as_bytes());
        if let Some(number) = number {
            context.update(b"number");
            for c in number.expose().chars().filter(|c| c.is_alphanumeric()) {
                context.update(c.to_ascii_lowercase().encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
        let mut key = [0; 16];
        key.iter_mut().zip(context.sign().as_ref()).for_each(|(to, from)| *to = *from);
        CallerKey(key)
    }
}

impl fmt::Debug for CallerKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CallerKeys(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_tells_callers_and_mailboxes_apart_and_says_nothing() {
        let keys = CallerKeys::new(&[1; 32]);
        let (one, other) = (MailboxId::from_bytes([1; 16]), MailboxId::from_bytes([2; 16]));
        let number = |text: &str| CallerNumber::new(text).unwrap();
        let key = keys.of(one, Some(&number("+15551234567")));
        assert_eq!(key, keys.of(one, Some(&number("+1 (555) 123-4567"))));
        assert_ne!(key, keys.of(one, Some(&number("+15551234568"))));
        assert_ne!(key, keys.of(other, Some(&number("+15551234567"))));
        assert_ne!(key, keys.of(one, None));
        assert_eq!(keys.of(one, None), keys.of(one, None));
        assert_ne!(keys.of(one, None), keys.of(other, None));
        assert_ne!(key, CallerKeys::new(&[2; 32]).of(one, Some(&number("+15551234567"))));
        assert_eq!(format!("{key:?} {keys:?}"), "CallerKey(…) CallerKeys(…)");
    }
}
