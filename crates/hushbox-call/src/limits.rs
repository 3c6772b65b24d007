//! Every limit of a call's dialogue, in one place.

use std::time::Duration;

/// A message's longest recording.
pub const RECORDING_MAX: Duration = Duration::from_secs(180);
/// So long without voice or packets ends a recording. The silence stays in it.
pub const RECORDING_SILENCE: Duration = Duration::from_secs(10);
/// The longest number that a person can key.
pub const NUMBER_DIGITS_MAX: usize = 20;
/// The longest PIN: its last digit ends the entry.
pub const PIN_DIGITS_MAX: usize = 12;
/// So long after a digit an entry counts as complete.
pub const INTER_DIGIT: Duration = Duration::from_secs(3);
/// Tries at a log-in in one call.
pub const LOGIN_TRIES: usize = 3;
/// When a try is answered, counted from the end of its PIN: the same for known and unknown numbers.
pub const LOGIN_ANSWERS: [Duration; LOGIN_TRIES] =
    [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4)];
/// An answer that missed its moment waits for the next multiple of this, so that lateness tells nothing.
pub const LOGIN_ANSWER_STEP: Duration = Duration::from_secs(1);
/// Keys that are kept while an answer is awaited; more are dropped.
pub const TYPE_AHEAD_MAX: usize = 24;
/// So long without a key brings a reminder.
pub const IDLE: Duration = Duration::from_secs(10);
/// After so many reminders the person is logged off.
pub const REMINDERS: u32 = 3;
/// So long after the last key (or the end of a message) a person is logged off whatever is being said: with the
/// goodbye that makes less than 45 s.
pub const IDLE_LOG_OFF: Duration = Duration::from_secs(42);
/// A session's whole length. Neither media nor hold prolongs it.
pub const SESSION_MAX: Duration = Duration::from_secs(25 * 60);
/// A last word gets so long to be spoken; then the call ends all the same (a peer on hold hears nothing).
pub const FAREWELL_MAX: Duration = Duration::from_secs(12);
/// The same for the goodbye of a log-off: together with [`IDLE_LOG_OFF`] less than 45 s.
pub const LOG_OFF_FAREWELL_MAX: Duration = Duration::from_millis(2500);
/// How far `#` and `*` jump while a message plays.
pub const SKIP: Duration = Duration::from_secs(3);
/// Mailboxes that a person can choose from: one key each.
pub const MAILBOX_CHOICES_MAX: usize = 9;
/// What a refused call is told to wait.
pub const RETRY_AFTER_SECS: u32 = 30;
/// Wrong digests of an address that are answered at once in a [`WRONG_DIGEST_WINDOW`].
pub const WRONG_DIGESTS_AT_ONCE: u32 = 10;
/// The window in which they are counted.
pub const WRONG_DIGEST_WINDOW: Duration = Duration::from_secs(60);
/// How long further ones wait.
pub const WRONG_DIGEST_DELAY: Duration = Duration::from_secs(1);
/// How many of one address wait at once.
pub const WRONG_DIGESTS_WAITING_MAX: usize = 100;
/// Addresses whose wrong digests are counted.
pub const WRONG_DIGEST_ADDRESSES_MAX: usize = 4096;
/// How much of a message is queued ahead of the ear.
pub const PLAYBACK_AHEAD: Duration = Duration::from_secs(1);
/// From so many messages on the owner is warned that the mailbox is nearly full.
pub const MAILBOX_NEARLY_FULL: usize = 100;
/// How long a call that has ended waits for its last answers.
pub const SETTLE_MAX: Duration = Duration::from_secs(60);
