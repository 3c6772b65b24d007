//! The system's randomness, and ids made from it.

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use jiff::Timestamp;

/// `N` random bytes.
///
/// # Panics
///
/// Where the system has no randomness: then nothing that follows would be a secret.
#[must_use]
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).expect("the system gives random bytes");
    bytes
}

/// What the ids of policy are made from: milliseconds of Unix time, and random bytes.
#[must_use]
pub fn id_parts(now: Timestamp) -> (u64, [u8; 10]) {
    (u64::try_from(now.as_millisecond()).unwrap_or(0), bytes())
}

/// A password of 24 characters (more than 128 bits) that is easy to copy: no `l`, no `1`, no `0`, no `o`.
#[must_use]
pub fn password() -> String {
    const CHARACTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    bytes::<24>().iter().map(|byte| char::from(CHARACTERS[usize::from(byte % 32)])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_differ_and_hold_letters_and_digits_only() {
        let (one, two) = (password(), password());
        assert_ne!(one, two);
        assert!(one.len() == 24 && one.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    }
}
