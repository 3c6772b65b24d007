//! The index in a SQLite file: `DATA/index.sqlite`, with its `-wal` and `-shm` beside it while the server runs.
//!
//! - `journal_mode=WAL` and `synchronous=FULL`: a change is on the disk when it is answered.
//! - `secure_delete=ON`: a destroyed row, and with it the only sealed copy of its message's key, is overwritten by
//!   zeros; the write-ahead log is emptied after it.
//! - One connection writes, a few read; writers never meet a busy database, and readers see whole changes.
//! - What waits for a rule waits in the server's running time. The index keeps one clock of it and each such message
//!   the reading at which its time is over, so that an hour passing writes one row.
//!
//! The version is sqlx's table of migrations; a file from a later program is refused.
//!
//! Making a file and opening one are apart: whoever has lost the file wants it back, and a new one in its place, with a
//! write-ahead log of its own, would be in the way of that.

use std::path::{Path, PathBuf};
use std::time::Duration;

use hushbox_audit::Hash;
use hushbox_policy::MailboxId;
use hushbox_store::row::hash_of;
use hushbox_store::{
    BoxFuture, Counts, Destruction, DirectoryRow, Index, IndexError, IndexReply, IndexRequest,
    Listing, MessageRow, MessageState, StateChange,
};
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::pool::PoolConnection;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};
use sqlx::{Connection, SqlSafeStr, Sqlite};

use super::row::{self, Clock};
use super::sql;
use crate::error::BackendError;
use crate::limits;

/// The file's name in the data folder.
pub const INDEX_FILE: &str = "index.sqlite";

/// What SQLite keeps beside the file while it is open: the write-ahead log, and what its users share.
const WAL: &str = "-wal";
const SHM: &str = "-shm";

/// "HBX1": tells file(1) and an operator whose database this is.
const APPLICATION_ID: &str = "0x48425831";

/// How long a statement waits for another process (a backup, somebody's sqlite3) to let go of the file.
const BUSY: Duration = Duration::from_secs(5);

/// The message is in the index's primary result code 13 (SQLITE_FULL), https://www.sqlite.org/rescode.html.
const SQLITE_FULL: i32 = 13;
/// SQLITE_CORRUPT and SQLITE_NOTADB.
const SQLITE_CORRUPT: i32 = 11;
const SQLITE_NOTADB: i32 = 26;

/// An index in a file.
#[derive(Clone, Debug)]
pub struct SqliteIndex {
    writer: SqlitePool,
    readers: SqlitePool,
}

impl SqliteIndex {
    /// Makes the file in the data folder, at this program's version. One that is there is an error.
    pub async fn create(data_folder: &Path) -> Result<SqliteIndex, BackendError> {
        let path = data_folder.join(INDEX_FILE);
        nothing_beside(&path)?;
        crate::files::write_new_private(&path, &[])?;
        Self::connect(&path).await
    }

    /// Opens the file in the data folder and brings it to this program's version. One that is not there is an error,
    /// and stays away.
    pub async fn open(data_folder: &Path) -> Result<SqliteIndex, BackendError> {
        let path = data_folder.join(INDEX_FILE);
        must_be_there(&path)?;
        Self::connect(&path).await
    }

    /// A value that a server keeps in the index of a data folder, read beside it or while there is none. Nothing is
    /// written: whose index this is must not come to depend on who has looked at it.
    pub async fn peek(data_folder: &Path, key: &str) -> Result<Option<Vec<u8>>, BackendError> {
        let path = data_folder.join(INDEX_FILE);
        must_be_there(&path)?;
        let options = SqliteConnectOptions::new().filename(&path).read_only(true);
        // Without a write-ahead log nobody has it open, and what stands in the file is all. SQLite would make a log
        // to read it.
        let options = options.immutable(!is_there(&beside(&path, WAL))?).busy_timeout(BUSY);
        let unusable = |error: sqlx::Error| BackendError::Damaged {
            path: path.clone(),
            what: format!("SQLite can't read it: {error}"),
        };
        let mut connection = SqliteConnection::connect_with(&options).await.map_err(unusable)?;
        let value = sqlx::query_scalar(sql::META).bind(key).fetch_optional(&mut connection).await;
        let closed = connection.close().await;
        let value = value.map_err(unusable)?;
        closed.map_err(unusable)?;
        Ok(value)
    }

    async fn connect(path: &Path) -> Result<SqliteIndex, BackendError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(false)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY)
            .foreign_keys(true)
            .pragma("secure_delete", "ON")
            .pragma("application_id", APPLICATION_ID)
            // Temporary tables and sorters would write rows outside of what secure_delete covers.
            .pragma("temp_store", "MEMORY");
        let unusable = |error: &sqlx::Error| BackendError::Damaged {
            path: path.to_owned(),
            what: format!("SQLite can't use it: {error}"),
        };
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .after_release(|connection, _| Box::pin(Transaction::end(connection)))
            .connect_with(options.clone())
            .await
            .map_err(|error| unusable(&error))?;
        let readers = SqlitePoolOptions::new()
            .max_connections(limits::INDEX_CONNECTIONS_MAX - 1)
            .connect_lazy_with(options);
        let index = SqliteIndex { writer, readers };
        if let Err(error) = migrate(&index.writer, path).await {
            index.close().await;
            return Err(error);
        }
        Ok(index)
    }

    /// Ends all connections, which folds the write-ahead log into the file and removes it. Where another process has
    /// the file open, the log stays, and is empty.
    pub async fn close(&self) {
        self.readers.close().await;
        if !self.writer.is_closed() {
            self.empty_log().await;
        }
        self.writer.close().await;
    }

    async fn request(&self, request: IndexRequest) -> Result<IndexReply, IndexError> {
        match request {
            IndexRequest::InsertMessage(row) => self.insert(&row).await,
            IndexRequest::Messages(listing) => self.messages(&listing).await,
            IndexRequest::Message(id) => {
                let mut connection = self.readers.acquire().await.map_err(failed)?;
                let clock = clock(&mut connection).await?;
                let found = sqlx::query(sql::MESSAGE)
                    .bind(id.as_bytes().as_slice())
                    .fetch_optional(&mut *connection)
                    .await
                    .map_err(failed)?;
                let row = found.map(|found| row::message(&found, clock)).transpose()?;
                Ok(IndexReply::Message(row.map(Box::new)))
            }
            IndexRequest::ChangeState(change) => self.change(&change).await,
            IndexRequest::Counts(mailbox) => self.counts(mailbox).await,
            IndexRequest::Destroy(destruction) => self.destroy(&destruction).await,
            IndexRequest::ObjectKeys => self.object_keys().await,
            IndexRequest::SpendRunningTime(spent) => self.spend(spent).await,
            IndexRequest::DirectoryLoad => {
                let mut connection = self.readers.acquire().await.map_err(failed)?;
                Ok(IndexReply::Directory(directory(&mut connection).await?))
            }
            IndexRequest::DirectoryPut { rows, before } => self.put_directory(&rows, before).await,
            IndexRequest::SubscriptionPut(row) => {
                let put = row::bind_subscription(sqlx::query(sql::PUT_SUBSCRIPTION), &row)?;
                put.execute(&self.writer).await.map_err(failed)?;
                Ok(IndexReply::SubscriptionPut)
            }
            IndexRequest::SubscriptionRemove(id) => {
                let remove = sqlx::query(sql::REMOVE_SUBSCRIPTION).bind(id.as_bytes().as_slice());
                remove.execute(&self.writer).await.map_err(failed)?;
                Ok(IndexReply::SubscriptionRemoved)
            }
            IndexRequest::Subscriptions => {
                let all = sqlx::query(sql::SUBSCRIPTIONS);
                let found = all.fetch_all(&self.readers).await.map_err(failed)?;
                let rows = found.iter().map(row::subscription).collect::<Result<_, _>>()?;
                Ok(IndexReply::Subscriptions(rows))
            }
            IndexRequest::MetaGet(key) => {
                let value: Option<Vec<u8>> = sqlx::query_scalar(sql::META)
                    .bind(key)
                    .fetch_optional(&self.readers)
                    .await
                    .map_err(failed)?;
                Ok(IndexReply::Meta(value))
            }
            IndexRequest::MetaPut { key, value } => {
                let put = sqlx::query(sql::PUT_META).bind(key).bind(value);
                put.execute(&self.writer).await.map_err(failed)?;
                Ok(IndexReply::MetaPut)
            }
        }
    }

    async fn insert(&self, message: &MessageRow) -> Result<IndexReply, IndexError> {
        let mut transaction = self.begin().await?;
        let clock = clock(&mut transaction.connection).await?;
        if let Some(there) = find(&mut transaction.connection, message, clock).await? {
            // Signatures differ each time a manifest is signed: the manifest itself tells.
            return if there.manifest.bytes == message.manifest.bytes {
                Ok(IndexReply::Inserted)
            } else {
                Err(IndexError::Conflict(message.id))
            };
        }
        row::bind_message(sqlx::query(sql::INSERT_MESSAGE), message, clock)?
            .execute(&mut *transaction.connection)
            .await
            .map_err(failed)?;
        transaction.commit().await?;
        Ok(IndexReply::Inserted)
    }

    async fn messages(&self, listing: &Listing) -> Result<IndexReply, IndexError> {
        let mut connection = self.readers.acquire().await.map_err(failed)?;
        let clock = clock(&mut connection).await?;
        let mut query = sqlx::query(match listing.mailbox() {
            Some(_) => sql::MESSAGES_OF_MAILBOX,
            None => sql::MESSAGES_OF_ALL,
        });
        for state in MessageState::ALL {
            query = query.bind(listing.states().contains(&state).then_some(state.as_str()));
        }
        let mailbox = listing.mailbox();
        if let Some(mailbox) = &mailbox {
            query = query.bind(mailbox.as_bytes().as_slice());
        }
        let found = query.fetch_all(&mut *connection).await.map_err(failed)?;
        let rows =
            found.iter().map(|found| row::message(found, clock)).collect::<Result<_, _>>()?;
        Ok(IndexReply::Messages(rows))
    }

    async fn change(&self, change: &StateChange) -> Result<IndexReply, IndexError> {
        let message = change.message();
        let mut transaction = self.begin().await?;
        let clock = clock(&mut transaction.connection).await?;
        let found = sqlx::query(sql::MESSAGE)
            .bind(message.message.as_bytes().as_slice())
            .fetch_optional(&mut *transaction.connection)
            .await
            .map_err(failed)?
            .ok_or(IndexError::NoMessage(message.message))?;
        let mut row = row::message(&found, clock)?;
        if !change.apply(&mut row) {
            return Err(IndexError::NoMessage(message.message));
        }
        sqlx::query(sql::SET_STATE)
            .bind(message.message.as_bytes().as_slice())
            .bind(row.state.as_str())
            .bind(row.previous_state.map(MessageState::as_str))
            .bind(row.remaining.map(|remaining| clock.after(remaining)))
            .execute(&mut *transaction.connection)
            .await
            .map_err(failed)?;
        transaction.commit().await?;
        Ok(IndexReply::Changed(Box::new(row)))
    }

    async fn counts(&self, mailbox: MailboxId) -> Result<IndexReply, IndexError> {
        let found = sqlx::query(sql::COUNTS)
            .bind(mailbox.as_bytes().as_slice())
            .fetch_all(&self.readers)
            .await
            .map_err(failed)?;
        let mut counts = Counts::default();
        for found in &found {
            let state = row::state(&row::column::<String>(found, "state")?)?;
            counts.add(state, row::unsigned(found, "messages")?);
        }
        Ok(IndexReply::Counts(counts))
    }

    async fn destroy(&self, destruction: &Destruction) -> Result<IndexReply, IndexError> {
        let message = destruction.message();
        sqlx::query(sql::DESTROY)
            .bind(message.message.as_bytes().as_slice())
            .bind(message.mailbox.as_bytes().as_slice())
            .bind(message.account.as_bytes().as_slice())
            .execute(&self.writer)
            .await
            .map_err(failed)?;
        self.empty_log().await;
        Ok(IndexReply::Destroyed)
    }

    /// Empties the write-ahead log. A reader that is in the middle of a list keeps it from that; the next destruction
    /// does it then.
    async fn empty_log(&self) {
        let emptied = sqlx::query_scalar(sql::TRUNCATE_LOG).fetch_one(&self.writer).await;
        match emptied {
            Ok(0_i64) => {}
            Ok(_) => {
                tracing::warn!("the index's write-ahead log is being read and was not emptied")
            }
            Err(error) => tracing::warn!(%error, "the index's write-ahead log was not emptied"),
        }
    }

    async fn object_keys(&self) -> Result<IndexReply, IndexError> {
        let found = sqlx::query(sql::OBJECT_KEYS).fetch_all(&self.readers).await.map_err(failed)?;
        let keys = found.iter().map(|found| Ok((row::object_key(found)?, row::account(found)?)));
        Ok(IndexReply::ObjectKeys(keys.collect::<Result<_, IndexError>>()?))
    }

    async fn spend(&self, spent: Duration) -> Result<IndexReply, IndexError> {
        let mut transaction = self.begin().await?;
        let reading: i64 = sqlx::query_scalar(sql::ADVANCE_CLOCK)
            .bind(row::nanoseconds(spent))
            .fetch_one(&mut *transaction.connection)
            .await
            .map_err(failed)?;
        let due = sqlx::query(sql::MESSAGES_DUE)
            .bind(reading)
            .fetch_all(&mut *transaction.connection)
            .await
            .map_err(failed)?;
        transaction.commit().await?;
        let rows = due.iter().map(|found| row::message(found, Clock(reading)));
        Ok(IndexReply::Due(rows.collect::<Result<_, _>>()?))
    }

    async fn put_directory(
        &self,
        rows: &[DirectoryRow],
        before: Hash,
    ) -> Result<IndexReply, IndexError> {
        let mut transaction = self.begin().await?;
        if hash_of(&directory(&mut transaction.connection).await?) != before {
            return Err(IndexError::DirectoryChanged);
        }
        for row in rows {
            let version = i64::try_from(row.version)
                .map_err(|_| IndexError::Damaged("a version that no row can hold".to_owned()))?;
            sqlx::query(sql::PUT_DIRECTORY_ROW)
                .bind(row.row.kind.as_str())
                .bind(row.row.id.as_bytes().as_slice())
                .bind(version)
                .bind(row.body.as_slice())
                .bind(row.signature.as_slice())
                .execute(&mut *transaction.connection)
                .await
                .map_err(failed)?;
        }
        transaction.commit().await?;
        Ok(IndexReply::DirectoryPut)
    }

    async fn begin(&self) -> Result<Transaction, IndexError> {
        Transaction::begin(&self.writer).await
    }
}

impl Index for SqliteIndex {
    fn run(&self, request: IndexRequest) -> BoxFuture<'_, Result<IndexReply, IndexError>> {
        Box::pin(self.request(request))
    }
}

fn is_there(path: &Path) -> Result<bool, BackendError> {
    path.try_exists().map_err(BackendError::io("look for", path))
}

fn must_be_there(path: &Path) -> Result<(), BackendError> {
    if is_there(path)? {
        return Ok(());
    }
    nothing_beside(path)?;
    Err(BackendError::Missing { path: path.to_owned(), what_to_do: "restore it from a backup" })
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// What another file has left would be played into whichever file comes to stand in its place.
fn nothing_beside(path: &Path) -> Result<(), BackendError> {
    for ending in [WAL, SHM] {
        let stray = beside(path, ending);
        if is_there(&stray)? {
            return Err(BackendError::Stray { path: stray, of: path.to_owned() });
        }
    }
    Ok(())
}

/// A transaction of the writer.
///
/// Not sqlx's own: SQLite itself rolls back on a full disk or an I/O error, and sqlx, which then finds nothing to roll
/// back, counts the transaction as open for ever and lets no other begin.
struct Transaction {
    connection: PoolConnection<Sqlite>,
}

impl Transaction {
    async fn begin(writer: &SqlitePool) -> Result<Transaction, IndexError> {
        let mut connection = writer.acquire().await.map_err(failed)?;
        sqlx::query(sql::BEGIN_WRITING).execute(&mut *connection).await.map_err(failed)?;
        Ok(Transaction { connection })
    }

    async fn commit(mut self) -> Result<(), IndexError> {
        sqlx::query(sql::COMMIT).execute(&mut *self.connection).await.map_err(failed)?;
        Ok(())
    }

    /// What every connection of the writer goes through before it is used again: one that was dropped in the middle
    /// of a transaction leaves it here.
    async fn end(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
        // An error says that there was none, as after every commit.
        let _ = sqlx::query(sql::ROLLBACK).execute(connection).await;
        Ok(true)
    }
}

async fn clock(connection: &mut SqliteConnection) -> Result<Clock, IndexError> {
    let reading = sqlx::query_scalar(sql::CLOCK).fetch_one(connection).await.map_err(failed)?;
    Ok(Clock(reading))
}

async fn find(
    connection: &mut SqliteConnection,
    message: &MessageRow,
    clock: Clock,
) -> Result<Option<MessageRow>, IndexError> {
    let id = message.id.as_bytes().as_slice();
    let found =
        sqlx::query(sql::MESSAGE).bind(id).fetch_optional(connection).await.map_err(failed)?;
    found.map(|found| row::message(&found, clock)).transpose()
}

async fn directory(connection: &mut SqliteConnection) -> Result<Vec<DirectoryRow>, IndexError> {
    let found = sqlx::query(sql::DIRECTORY).fetch_all(connection).await.map_err(failed)?;
    found.iter().map(row::directory).collect()
}

async fn migrate(pool: &SqlitePool, path: &Path) -> Result<(), BackendError> {
    let first = include_str!("../../migrations/sqlite/0001_directory_and_messages.sql");
    let second = include_str!("../../migrations/sqlite/0002_subscriptions.sql");
    let migration = |version, name: &'static str, sql: &'static str| {
        let simple = MigrationType::Simple;
        Migration::new(version, name.into(), simple, sql.into_sql_str(), false)
    };
    let migrations =
        vec![migration(1, "directory and messages", first), migration(2, "subscriptions", second)];
    Migrator::with_migrations(migrations).run(pool).await.map_err(|error| match error {
        MigrateError::VersionMissing(version) | MigrateError::VersionTooNew(version, _) => {
            BackendError::UnknownVersion {
                path: path.to_owned(),
                version: u32::try_from(version).unwrap_or(u32::MAX),
            }
        }
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)
            if result_code(&error) == Some(SQLITE_FULL) =>
        {
            BackendError::Full { path: path.to_owned() }
        }
        error => BackendError::Damaged { path: path.to_owned(), what: error.to_string() },
    })
}

fn result_code(error: &sqlx::Error) -> Option<i32> {
    let code: i32 = error.as_database_error()?.code()?.parse().ok()?;
    // The low byte of an extended result code is the primary one.
    Some(code & 0xff)
}

/// SQLite's messages name tables, columns and files, never values.
fn failed(error: sqlx::Error) -> IndexError {
    match result_code(&error) {
        Some(SQLITE_FULL) => IndexError::Full,
        Some(SQLITE_CORRUPT | SQLITE_NOTADB) => IndexError::Damaged(error.to_string()),
        _ => IndexError::Unavailable(error.to_string()),
    }
}
