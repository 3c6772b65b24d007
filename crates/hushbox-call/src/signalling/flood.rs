//! How many messages one caller may leave in one mailbox in a while: robocalls and calls that go round are told so.

use std::time::Instant;

use hushbox_policy::{CallerKey, CallerKeys, CallerNumber, MailboxId};
use hushbox_sip::rate::{Allowance, Rates};

use crate::limits::FLOOD_CALLERS_MAX;

/// What callers have left lately.
#[derive(Debug)]
pub(super) struct Flood {
    keys: CallerKeys,
    /// None where there is no quota.
    left: Option<Rates<CallerKey>>,
}

impl Flood {
    /// With this quota; the secret must be fresh.
    pub(super) fn new(quota: Option<Allowance>, secret: &[u8; 32]) -> Self {
        let left = quota.map(|quota| Rates::new(quota, FLOOD_CALLERS_MAX));
        Self { keys: CallerKeys::new(secret), left }
    }

    /// Whether this caller may leave one more in this mailbox. Those without a number share what one may.
    pub(super) fn allows(
        &self,
        now: Instant,
        mailbox: MailboxId,
        number: Option<&CallerNumber>,
    ) -> bool {
        self.left.as_ref().is_none_or(|left| left.allows(now, self.keys.of(mailbox, number)))
    }

    /// This caller leaves one more.
    pub(super) fn count(
        &mut self,
        now: Instant,
        mailbox: MailboxId,
        number: Option<&CallerNumber>,
    ) {
        let key = self.keys.of(mailbox, number);
        if let Some(left) = &mut self.left {
            left.take(now, key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    fn t0() -> Instant {
        #[expect(clippy::disallowed_methods, reason = "any origin will do in a test")]
        Instant::now()
    }

    const ONE: MailboxId = MailboxId::from_bytes([1; 16]);
    const OTHER: MailboxId = MailboxId::from_bytes([2; 16]);

    fn flood(calls: u32) -> Flood {
        Flood::new(Some(Allowance::new(calls, Duration::from_secs(600))), &[7; 32])
    }

    fn number(text: &str) -> CallerNumber {
        CallerNumber::new(text).unwrap()
    }

    fn leaves(flood: &mut Flood, mailbox: MailboxId, number: Option<&CallerNumber>) -> bool {
        let allowed = flood.allows(t0(), mailbox, number);
        if allowed {
            flood.count(t0(), mailbox, number);
        }
        allowed
    }

    #[test]
    fn a_caller_has_a_quota_in_each_mailbox_and_those_without_a_number_share_one() {
        let mut flood = flood(3);
        let caller = number("+15551234567");
        for who in [Some(&caller), None] {
            let said: Vec<bool> = (0..4).map(|_| leaves(&mut flood, ONE, who)).collect();
            assert_eq!(said, [true, true, true, false]);
            assert!(leaves(&mut flood, OTHER, who), "another mailbox");
        }
        assert!(leaves(&mut flood, ONE, Some(&number("+15557654321"))), "another caller");
    }

    #[test]
    fn the_first_call_is_never_refused_and_without_a_quota_none_is() {
        let mut none_at_all = flood(0);
        assert!(leaves(&mut none_at_all, ONE, None) && !leaves(&mut none_at_all, ONE, None));
        let mut without = Flood::new(None, &[7; 32]);
        assert!((0..1000).all(|_| leaves(&mut without, ONE, None)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4))]
        /// Somebody who calls under ever new numbers neither grows the table nor is forgotten under the old one.
        #[test]
        fn forged_numbers_make_nobody_forgotten(seed in any::<u32>()) {
            let now = t0();
            let mut flood = flood(2);
            let caller = number("+15551234567");
            while leaves(&mut flood, ONE, Some(&caller)) {}
            for n in 0..FLOOD_CALLERS_MAX as u32 + 1_000 {
                let forged = number(&format!("{}", u64::from(seed) << 32 | u64::from(n)));
                prop_assert!(flood.allows(now, ONE, Some(&forged)), "a first call");
                flood.count(now, ONE, Some(&forged));
            }
            prop_assert!(!flood.allows(now, ONE, Some(&caller)));
            prop_assert_eq!(flood.left.as_ref().map(Rates::len), Some(FLOOD_CALLERS_MAX));
        }
    }
}
