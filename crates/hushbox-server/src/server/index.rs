//! The index, open for as long as something is done with it.
//!
//! Closed, it is one file: that can be copied, and replaced by a backup. A write-ahead log that was left beside it would
//! be played into the backup, which is then lost; so also a start that is refused closes it.

use std::path::Path;
use std::time::Duration;

use hushbox_backend::SqliteIndex;
use tokio::time::timeout;

use super::ServerError;

/// How long closing may take. A backup that reads the file holds it up for as long as a statement waits, five seconds.
const CLOSE_MAX: Duration = Duration::from_secs(8);

/// Does something with the index of a data folder, and closes it whatever came of that.
pub(super) async fn with_index<T>(
    data: &Path,
    work: impl AsyncFnOnce(SqliteIndex) -> Result<T, ServerError>,
) -> Result<T, ServerError> {
    let index = SqliteIndex::open(data).await?;
    let done = work(index.clone()).await;
    if timeout(CLOSE_MAX, index.close()).await.is_err() {
        tracing::warn!(
            "the index could not be closed in time: index.sqlite-wal belongs to index.sqlite, copy both or none"
        );
    }
    done
}

#[cfg(test)]
mod tests {
    use super::super::data::Data;
    use super::super::data::tests::trial;
    use super::*;
    use crate::config::Config;
    use crate::fatal::Fatal;

    const FILES: [&str; 3] = ["index.sqlite", "index.sqlite-wal", "index.sqlite-shm"];

    async fn start(config: &Config) -> Result<(), ServerError> {
        let open = async |index| Data::open(config, &Fatal::unheard(), index).await.map(drop);
        with_index(&config.data, open).await
    }

    async fn refused(config: &Config) -> String {
        start(config).await.expect_err("refused").to_string()
    }

    fn there(config: &Config) -> Vec<&'static str> {
        FILES.into_iter().filter(|name| config.data.join(name).exists()).collect()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_backup_of_the_index_is_copied_over_whatever_was_refused_and_starts() {
        let (parent, other_parent) =
            (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let config = tokio::task::block_in_place(|| trial(parent.path()));
        let other = tokio::task::block_in_place(|| trial(other_parent.path()));
        let place = config.data.join("index.sqlite");
        let backup = parent.path().join("backup");
        start(&config).await.expect("it starts");
        assert_eq!(there(&config), ["index.sqlite"], "closed");
        std::fs::copy(&place, &backup).expect("copied");

        std::fs::remove_file(&place).expect("removed");
        let error = refused(&config).await;
        assert!(error.contains("index.sqlite is missing: restore it from a backup"), "{error}");
        assert!(there(&config).is_empty(), "{:?}", there(&config));
        std::fs::copy(&backup, &place).expect("restored");
        start(&config).await.expect("it starts");

        std::fs::copy(other.data.join("index.sqlite"), &place).expect("copied");
        let error = refused(&config).await;
        assert!(error.contains("changed outside of Hushbox"), "{error}");
        std::fs::copy(&backup, &place).expect("restored");
        start(&config).await.expect("it starts");

        std::fs::write(&place, b"").expect("emptied");
        let error = refused(&config).await;
        assert!(error.contains("restore index.sqlite from a backup"), "{error}");
        std::fs::copy(&backup, &place).expect("restored");
        start(&config).await.expect("it starts");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_write_ahead_log_without_its_index_is_named_and_left_as_it_is() {
        let parent = tempfile::tempdir().expect("a folder");
        let config = tokio::task::block_in_place(|| trial(parent.path()));
        let wal = config.data.join("index.sqlite-wal");
        std::fs::remove_file(config.data.join("index.sqlite")).expect("removed");
        std::fs::write(&wal, b"the last changes").expect("written");
        let error = refused(&config).await;
        assert!(error.contains("index.sqlite-wal stands without"), "{error}");
        assert_eq!(there(&config), ["index.sqlite-wal"]);
        assert_eq!(std::fs::read(&wal).expect("read"), b"the last changes");
    }
}
