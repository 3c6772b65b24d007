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
/// What a refused call is told to wait at least, and what is drawn on top of it at most: who is refused together does
/// not come back together.
pub const RETRY_AFTER_SECS: u32 = 5;
/// The same where it takes longer until there is room: on a disk, or while the server stops.
pub const RETRY_AFTER_LONG_SECS: u32 = 30;
/// One in so many places is for calls that hear only that they were in vain.
pub const ANNOUNCED_ONE_IN: usize = 20;
/// Callers of mailboxes whose calls are counted.
pub const FLOOD_CALLERS_MAX: usize = 16_384;
/// How often the parts of a server say how they keep up, and how often what is refused changes.
pub const STRAIN_EVERY: Duration = Duration::from_millis(500);
/// A part whose timers come so late, four times in a row, is behind.
pub const STRAIN_LATE_HIGH: Duration = Duration::from_millis(200);
/// One whose timers come no later than this is in time.
pub const STRAIN_LATE_LOW: Duration = Duration::from_millis(50);
/// A disk that has been syncing for so long is behind.
pub const STRAIN_SYNC_HIGH: Duration = Duration::from_secs(5);
/// One that has been syncing no longer than this is in time.
pub const STRAIN_SYNC_LOW: Duration = Duration::from_secs(1);
/// A queue that is so full of a hundred is behind.
pub const STRAIN_QUEUE_HIGH_PERCENT: u8 = 50;
/// One that is no fuller is in time.
pub const STRAIN_QUEUE_LOW_PERCENT: u8 = 10;
/// A part that has said nothing for so long is stuck.
pub const STRAIN_SILENT_MAX: Duration = Duration::from_secs(5);
/// Parts that are listened to: as many shards as there may be, and signalling.
pub const STRAIN_PARTS_MAX: usize = 65;
/// For how long a PBX keeps calls to itself that it was asked to (RFC 7339 §4.3), unless it hears something newer.
pub const OVERLOAD_VALIDITY: Duration = Duration::from_secs(2);
/// Wrong digests of an address (of IPv6: a /64) that are answered at once in a [`WRONG_DIGEST_WINDOW`].
pub const WRONG_DIGESTS_AT_ONCE: u32 = 10;
/// The window in which they are counted.
pub const WRONG_DIGEST_WINDOW: Duration = Duration::from_secs(60);
/// How long further ones wait.
pub const WRONG_DIGEST_DELAY: Duration = Duration::from_secs(1);
/// How many of one address wait at once.
pub const WRONG_DIGESTS_WAITING_MAX: usize = 100;
/// Addresses (of IPv6: /64) whose wrong digests are counted.
pub const WRONG_DIGEST_ADDRESSES_MAX: usize = 4096;
/// A subscription's shortest time; less than it is answered 423.
pub const SUBSCRIPTION_SHORTEST: Duration = Duration::from_secs(60);
/// How long a subscription lasts that asks for no time (RFC 3842 §3.4: an hour), and the longest: who is gone is told
/// nothing after it.
pub const SUBSCRIPTION_LONGEST: Duration = Duration::from_secs(3600);
/// Subscriptions of one telephone; with the next one the oldest ends.
pub const SUBSCRIPTIONS_OF_A_DEVICE_MAX: usize = 16;
/// The shortest time between two NOTIFYs of one subscription.
pub const NOTIFY_INTERVAL: Duration = Duration::from_secs(1);
/// How long a NOTIFY that failed waits before the next one, doubled with each failure.
pub const NOTIFY_WAIT_FIRST: Duration = Duration::from_secs(15);
/// The longest wait, whatever Retry-After says.
pub const NOTIFY_WAIT_MAX: Duration = Duration::from_secs(600);
/// NOTIFYs without an answer that one PBX has which has not subscribed.
pub const UNASKED_AT_ONCE: usize = 32;
/// Mailboxes of which PBXs are told unasked, each counted once for each PBX; of further ones they are told nothing.
pub const UNASKED_LAMPS_MAX: usize = 50_000;
/// How long a PBX that refuses such a NOTIFY is left alone with this mailbox, doubled with each refusal.
pub const REFUSED_WAIT_FIRST: Duration = Duration::from_secs(300);
/// The longest that it is.
pub const REFUSED_WAIT_MAX: Duration = Duration::from_secs(3600);
/// How long it holds where a PBX was found; the DNS keeps its answers beside that.
pub const LOCATED_FOR: Duration = Duration::from_secs(60);
/// NOTIFYs a second, all subscriptions together, unless the configuration says otherwise.
pub const NOTIFIES_PER_SECOND: u32 = 50;
/// How often what lamps have acknowledged is compared with the store.
pub const LAMPS_COMPARED_EVERY: Duration = Duration::from_secs(300);
/// When the store is asked again after it could not count.
pub const COUNT_AGAIN: Duration = Duration::from_secs(5);
/// How much of a message is queued ahead of the ear.
pub const PLAYBACK_AHEAD: Duration = Duration::from_secs(1);
/// From so many messages on the owner is warned that the mailbox is nearly full.
pub const MAILBOX_NEARLY_FULL: usize = 100;
/// How long a call that has ended waits for its last answers.
pub const SETTLE_MAX: Duration = Duration::from_secs(60);
