//! Every statement that the SQLite index runs, but for the migrations in `migrations/sqlite`.

/// The columns of a message, as [`super::row`] reads and binds them.
macro_rules! select_message {
    ($rest:literal) => {
        concat!(
            "SELECT id, account, mailbox, epoch, profile, state, previous_state, received_at, samples, ",
            "sample_rate, truncated, sealed_key, sealed_envelope, manifest, signature, audit_seq, ",
            "object_key, due FROM message ",
            $rest
        )
    };
}

/// A transaction that will write takes the lock at once: it can't find at its end that another was faster.
pub(super) const BEGIN_WRITING: &str = "BEGIN IMMEDIATE";

pub(super) const COMMIT: &str = "COMMIT";

pub(super) const ROLLBACK: &str = "ROLLBACK";

pub(super) const INSERT_MESSAGE: &str = "INSERT INTO message (id, account, mailbox, epoch, profile, state, \
     previous_state, received_at, samples, sample_rate, truncated, sealed_key, sealed_envelope, manifest, signature, \
     audit_seq, object_key, due) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)";

pub(super) const MESSAGE: &str = select_message!("WHERE id = ?1");

pub(super) const MESSAGES_OF_MAILBOX: &str =
    select_message!("WHERE mailbox = ?5 AND state IN (?1, ?2, ?3, ?4) ORDER BY received_at, id");

pub(super) const MESSAGES_OF_ALL: &str =
    select_message!("WHERE state IN (?1, ?2, ?3, ?4) ORDER BY received_at, id");

pub(super) const MESSAGES_DUE: &str = select_message!("WHERE due <= ?1 ORDER BY received_at, id");

pub(super) const SET_STATE: &str =
    "UPDATE message SET state = ?2, previous_state = ?3, due = ?4 WHERE id = ?1";

pub(super) const COUNTS: &str =
    "SELECT state, count(*) AS messages FROM message WHERE mailbox = ?1 GROUP BY state";

pub(super) const DESTROY: &str =
    "DELETE FROM message WHERE id = ?1 AND mailbox = ?2 AND account = ?3";

/// After a destruction: what the write-ahead log held of the row goes, too. The first column is 0 if it did.
pub(super) const TRUNCATE_LOG: &str = "PRAGMA wal_checkpoint(TRUNCATE)";

pub(super) const OBJECT_KEYS: &str =
    "SELECT object_key, account FROM message ORDER BY object_key, account";

pub(super) const CLOCK: &str = "SELECT reading FROM running_clock WHERE one = 1";

pub(super) const ADVANCE_CLOCK: &str =
    "UPDATE running_clock SET reading = reading + ?1 WHERE one = 1 RETURNING reading";

pub(super) const DIRECTORY: &str =
    "SELECT kind, id, version, body, signature FROM directory ORDER BY kind, id";

pub(super) const PUT_DIRECTORY_ROW: &str = "INSERT INTO directory (kind, id, version, body, signature) \
     VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (kind, id) DO UPDATE \
     SET version = excluded.version, body = excluded.body, signature = excluded.signature";

pub(super) const META: &str = "SELECT value FROM meta WHERE key = ?1";

pub(super) const PUT_META: &str = "INSERT INTO meta (key, value) VALUES (?1, ?2) \
     ON CONFLICT (key) DO UPDATE SET value = excluded.value";

pub(super) const PUT_SUBSCRIPTION: &str = "INSERT INTO subscription (id, mailbox, owner_kind, owner, expires, dialog) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (id) DO UPDATE \
     SET mailbox = excluded.mailbox, owner_kind = excluded.owner_kind, owner = excluded.owner, \
     expires = excluded.expires, dialog = excluded.dialog";

pub(super) const REMOVE_SUBSCRIPTION: &str = "DELETE FROM subscription WHERE id = ?1";

pub(super) const SUBSCRIPTIONS: &str =
    "SELECT id, mailbox, owner_kind, owner, expires, dialog FROM subscription ORDER BY id";
