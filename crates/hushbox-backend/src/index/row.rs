//! A stored row and what it means. Whatever a disk gives back is checked: a row that can't be is damaged, not guessed.

use std::time::Duration;

use hushbox_policy::{AccountId, DeviceId, MailboxId, MessageId, Profile, SubscriptionId, TrunkId};
use hushbox_store::{
    CertificateOwner, DirectoryRow, IndexError, MessageRow, MessageState, ObjectKey, RowId,
    RowKind, SignedManifest, SubscriptionRow,
};
use jiff::Timestamp;
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Row, Sqlite};
use uuid::Uuid;

const DEVICE: &str = "device";
const TRUNK: &str = "trunk";

/// A reading of the running clock, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Clock(pub(super) i64);

impl Clock {
    /// The reading at which `remaining` is over.
    pub(super) fn after(self, remaining: Duration) -> i64 {
        self.0.saturating_add(nanoseconds(remaining))
    }

    fn until(self, due: i64) -> Duration {
        Duration::from_nanos(u64::try_from(due.saturating_sub(self.0)).unwrap_or(0))
    }
}

/// A duration as the clock counts it.
pub(super) fn nanoseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

/// Binds a subscription's columns in the order of [`super::sql::PUT_SUBSCRIPTION`].
pub(super) fn bind_subscription<'q>(
    query: Query<'q, Sqlite, SqliteArguments>,
    row: &'q SubscriptionRow,
) -> Result<Query<'q, Sqlite, SqliteArguments>, IndexError> {
    let expires = i64::try_from(row.expires.as_nanosecond()).map_err(|_| outside("time"))?;
    let (kind, owner) = match row.owner {
        CertificateOwner::Device(id) => (DEVICE, id.as_uuid()),
        CertificateOwner::Trunk(id) => (TRUNK, id.as_uuid()),
    };
    Ok(query
        .bind(row.id.as_bytes().as_slice())
        .bind(row.mailbox.as_bytes().as_slice())
        .bind(kind)
        .bind(owner.as_bytes().to_vec())
        .bind(expires)
        .bind(row.dialog.as_slice()))
}

/// A subscription, checked.
pub(super) fn subscription(found: &SqliteRow) -> Result<SubscriptionRow, IndexError> {
    let owner = id(found, "owner")?;
    let kind = column::<String>(found, "owner_kind")?;
    let expires = Timestamp::from_nanosecond(column::<i64>(found, "expires")?.into());
    Ok(SubscriptionRow {
        id: SubscriptionId::from_bytes(id(found, "id")?),
        mailbox: MailboxId::from_bytes(id(found, "mailbox")?),
        owner: match kind.as_str() {
            DEVICE => CertificateOwner::Device(DeviceId::from_bytes(owner)),
            TRUNK => CertificateOwner::Trunk(TrunkId::from_bytes(owner)),
            _ => return Err(damaged("owner_kind")),
        },
        expires: expires.map_err(|_| damaged("expires"))?,
        dialog: column(found, "dialog")?,
    })
}

/// Binds a new message's columns in the order of [`super::sql::INSERT_MESSAGE`].
pub(super) fn bind_message<'q>(
    query: Query<'q, Sqlite, SqliteArguments>,
    row: &'q MessageRow,
    clock: Clock,
) -> Result<Query<'q, Sqlite, SqliteArguments>, IndexError> {
    let received_at =
        i64::try_from(row.received_at.as_nanosecond()).map_err(|_| outside("time"))?;
    let samples = i64::try_from(row.samples).map_err(|_| outside("length"))?;
    let audit_seq = i64::try_from(row.audit_seq).map_err(|_| outside("audit record"))?;
    Ok(query
        .bind(row.id.as_bytes().as_slice())
        .bind(row.account.as_bytes().as_slice())
        .bind(row.mailbox.as_bytes().as_slice())
        .bind(i64::from(row.epoch))
        .bind(i64::from(row.profile.to_byte()))
        .bind(row.state.as_str())
        .bind(row.previous_state.map(MessageState::as_str))
        .bind(received_at)
        .bind(samples)
        .bind(i64::from(row.sample_rate))
        .bind(row.truncated)
        .bind(row.sealed_key.as_slice())
        .bind(row.sealed_envelope.as_slice())
        .bind(row.manifest.bytes.as_slice())
        .bind(row.manifest.signature.as_slice())
        .bind(audit_seq)
        .bind(row.object_key.as_str())
        .bind(row.remaining.map(|remaining| clock.after(remaining))))
}

/// Reads a message.
pub(super) fn message(row: &SqliteRow, clock: Clock) -> Result<MessageRow, IndexError> {
    let profile = column::<i64>(row, "profile")?;
    let profile = u8::try_from(profile).ok().and_then(Profile::from_byte);
    let received_at = Timestamp::from_nanosecond(column::<i64>(row, "received_at")?.into());
    let previous_state = column::<Option<String>>(row, "previous_state")?;
    Ok(MessageRow {
        id: MessageId::from_bytes(id(row, "id")?),
        account: account(row)?,
        mailbox: MailboxId::from_bytes(id(row, "mailbox")?),
        epoch: unsigned(row, "epoch")?,
        profile: profile.ok_or_else(|| damaged("profile"))?,
        state: state(&column::<String>(row, "state")?)?,
        previous_state: previous_state.as_deref().map(state).transpose()?,
        received_at: received_at.map_err(|_| damaged("received_at"))?,
        samples: unsigned(row, "samples")?,
        sample_rate: unsigned(row, "sample_rate")?,
        truncated: column(row, "truncated")?,
        sealed_key: column(row, "sealed_key")?,
        sealed_envelope: column(row, "sealed_envelope")?,
        manifest: SignedManifest {
            bytes: column(row, "manifest")?,
            signature: column(row, "signature")?,
        },
        audit_seq: unsigned(row, "audit_seq")?,
        object_key: object_key(row)?,
        remaining: column::<Option<i64>>(row, "due")?.map(|due| clock.until(due)),
    })
}

/// Reads a row of the directory.
pub(super) fn directory(row: &SqliteRow) -> Result<DirectoryRow, IndexError> {
    let kind: RowKind = column::<String>(row, "kind")?.parse().map_err(|()| damaged("kind"))?;
    Ok(DirectoryRow {
        row: RowId { kind, id: Uuid::from_bytes(id(row, "id")?) },
        version: unsigned(row, "version")?,
        body: column(row, "body")?,
        signature: column(row, "signature")?,
    })
}

/// Reads the account.
pub(super) fn account(row: &SqliteRow) -> Result<AccountId, IndexError> {
    Ok(AccountId::from_bytes(id(row, "account")?))
}

/// Reads the object's name.
pub(super) fn object_key(row: &SqliteRow) -> Result<ObjectKey, IndexError> {
    Ok(ObjectKey::from_stored(column::<String>(row, "object_key")?))
}

/// Reads a state's name.
pub(super) fn state(name: &str) -> Result<MessageState, IndexError> {
    MessageState::from_name(name).ok_or_else(|| damaged("state"))
}

/// Reads a number that is never negative.
pub(super) fn unsigned<T: TryFrom<i64>>(
    row: &SqliteRow,
    name: &'static str,
) -> Result<T, IndexError> {
    T::try_from(column::<i64>(row, name)?).map_err(|_| damaged(name))
}

/// Reads a column.
pub(super) fn column<'r, T>(row: &'r SqliteRow, name: &'static str) -> Result<T, IndexError>
where
    T: sqlx::Decode<'r, Sqlite> + sqlx::Type<Sqlite>,
{
    row.try_get(name).map_err(|_| damaged(name))
}

fn id(row: &SqliteRow, name: &'static str) -> Result<[u8; 16], IndexError> {
    column::<&[u8]>(row, name)?.try_into().map_err(|_| damaged(name))
}

fn damaged(column: &'static str) -> IndexError {
    IndexError::Damaged(format!("column {column}"))
}

fn outside(what: &'static str) -> IndexError {
    IndexError::Damaged(format!("a {what} that no row can hold"))
}
