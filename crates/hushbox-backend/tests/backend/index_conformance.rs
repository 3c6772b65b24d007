//! What every index must do.

use std::time::Duration;

use hushbox_backend::{MemoryIndex, SqliteIndex};
use hushbox_policy::retention::RetentionRule;
use hushbox_policy::{DeviceId, SubscriptionId, TrunkId};
use hushbox_store::row::hash_of;
use hushbox_store::{
    CertificateOwner, Counts, Destruction, Index, IndexError, IndexReply, IndexRequest, Listing,
    MessageRow, MessageState, StateChange, SubscriptionRow,
};

use crate::support::{Installation, MAILBOX, OTHER_MAILBOX, message};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Runs every case on a fresh index.
async fn conforms<I: Index>(fresh: impl AsyncFn() -> I) {
    a_message_reads_back_as_it_was_inserted(&fresh().await).await;
    inserting_again_changes_nothing_and_another_message_is_refused(&fresh().await).await;
    lists_are_by_mailbox_and_state_and_oldest_first(&fresh().await).await;
    states_change_as_the_store_says(&fresh().await).await;
    a_change_of_what_is_not_there_is_refused(&fresh().await).await;
    running_time_brings_messages_to_their_end_and_no_others(&fresh().await).await;
    destroying_removes_the_row_and_may_be_repeated(&fresh().await).await;
    object_keys_are_listed_with_their_accounts(&fresh().await).await;
    a_directory_is_put_whole_and_only_onto_what_was_read(&fresh().await).await;
    values_are_kept_by_name(&fresh().await).await;
    subscriptions_are_kept_replaced_and_removed(&fresh().await).await;
}

async fn insert(index: &impl Index, row: &MessageRow) {
    let reply = index.run(IndexRequest::InsertMessage(Box::new(row.clone()))).await;
    assert_eq!(reply, Ok(IndexReply::Inserted));
}

async fn one(index: &impl Index, row: &MessageRow) -> Option<MessageRow> {
    match index.run(IndexRequest::Message(row.id)).await.unwrap() {
        IndexReply::Message(row) => row.map(|row| *row),
        other => panic!("{other:?}"),
    }
}

async fn list(index: &impl Index, listing: Listing) -> Vec<MessageRow> {
    match index.run(IndexRequest::Messages(listing)).await.unwrap() {
        IndexReply::Messages(rows) => rows,
        other => panic!("{other:?}"),
    }
}

async fn change(index: &impl Index, change: StateChange) -> MessageRow {
    match index.run(IndexRequest::ChangeState(change)).await.unwrap() {
        IndexReply::Changed(row) => *row,
        other => panic!("{other:?}"),
    }
}

async fn spend(index: &impl Index, time: Duration) -> Vec<MessageRow> {
    match index.run(IndexRequest::SpendRunningTime(time)).await.unwrap() {
        IndexReply::Due(rows) => rows,
        other => panic!("{other:?}"),
    }
}

async fn counts(index: &impl Index) -> Counts {
    match index.run(IndexRequest::Counts(MAILBOX)).await.unwrap() {
        IndexReply::Counts(counts) => counts,
        other => panic!("{other:?}"),
    }
}

/// A row in some state, as a delivery makes it.
fn row(house: &mut Installation, byte: u8) -> MessageRow {
    house.delivered(byte, MAILBOX, 1).0
}

async fn a_message_reads_back_as_it_was_inserted(index: &impl Index) {
    let mut house = Installation::new();
    let plain = row(&mut house, 1);
    assert_eq!(one(index, &plain).await, None);
    insert(index, &plain).await;
    assert_eq!(one(index, &plain).await, Some(plain.clone()));
    let deleted = MessageRow {
        state: MessageState::Deleted,
        previous_state: Some(MessageState::Quiet),
        truncated: true,
        remaining: Some(Duration::from_nanos(1_234_567_890_123)),
        received_at: "2024-02-29T23:59:59.123456789Z".parse().unwrap(),
        audit_seq: u64::from(u32::MAX) + 5,
        samples: 1 << 40,
        ..row(&mut house, 2)
    };
    insert(index, &deleted).await;
    assert_eq!(one(index, &deleted).await, Some(deleted));
    assert_eq!(one(index, &plain).await, Some(plain));
}

async fn inserting_again_changes_nothing_and_another_message_is_refused(index: &impl Index) {
    let mut house = Installation::new();
    let inserted = row(&mut house, 1);
    insert(index, &inserted).await;
    let heard = change(index, StateChange::heard(house.save(&inserted))).await;
    // A delivery that is repeated after a crash signs again: the signature differs, the manifest does not.
    let mut again = inserted.clone();
    again.manifest.signature[9] ^= 1;
    insert(index, &again).await;
    assert_eq!(one(index, &inserted).await, Some(heard.clone()), "its state least of all");
    let mut other = inserted.clone();
    other.manifest.bytes[20] ^= 1;
    let refused = index.run(IndexRequest::InsertMessage(Box::new(other))).await;
    assert_eq!(refused, Err(IndexError::Conflict(inserted.id)));
    assert_eq!(one(index, &inserted).await, Some(heard));
}

async fn lists_are_by_mailbox_and_state_and_oldest_first(index: &impl Index) {
    let mut house = Installation::new();
    let mut rows = Vec::new();
    // Messages 4 to 1 are received one second after the other; 5 and 6 at the same moment.
    for (byte, second) in [(4, 0), (3, 1), (2, 2), (1, 3), (6, 4), (5, 4)] {
        let mut row = row(&mut house, byte);
        row.received_at += Duration::from_secs(second);
        insert(index, &row).await;
        rows.push(row);
    }
    let elsewhere = house.delivered(9, OTHER_MAILBOX, 1).0;
    insert(index, &elsewhere).await;
    let quiet =
        MessageRow { state: MessageState::Quiet, remaining: Some(14 * DAY), ..row(&mut house, 7) };
    insert(index, &quiet).await;
    let open = house.log_in(MAILBOX);
    let ids = |rows: Vec<MessageRow>| rows.into_iter().map(|row| row.id).collect::<Vec<_>>();
    let new = list(index, Listing::opened(&open, [MessageState::New])).await;
    assert_eq!(ids(new), [4, 3, 2, 1, 5, 6].map(message));
    let both = list(index, Listing::opened(&open, [MessageState::New, MessageState::Quiet])).await;
    assert_eq!(both.len(), 7);
    let quiets = list(index, Listing::opened(&open, [MessageState::Quiet])).await;
    assert_eq!(quiets, [quiet]);
    assert_eq!(list(index, Listing::opened(&open, [])).await, []);
    let all = list(index, Listing::authorised(house.list_all())).await;
    assert_eq!(all.len(), 8);
    assert_eq!(counts(index).await, Counts { new: 6, quiet: 1, ..Counts::default() });
}

async fn states_change_as_the_store_says(index: &impl Index) {
    let mut house = Installation::new();
    let row = row(&mut house, 1);
    insert(index, &row).await;
    let heard = change(index, StateChange::heard(house.save(&row))).await;
    assert_eq!((heard.state, heard.remaining), (MessageState::Heard, None));
    let deleted = change(index, StateChange::deleted(house.delete(&heard))).await;
    assert_eq!(deleted.state, MessageState::Deleted);
    assert_eq!(deleted.previous_state, Some(MessageState::Heard));
    assert_eq!(deleted.remaining, Some(RetentionRule::Deleted.keeps()));
    assert_eq!(one(index, &row).await, Some(deleted.clone()));
    assert_eq!(counts(index).await, Counts { deleted: 1, ..Counts::default() });
    let back = change(index, StateChange::undeleted(house.undelete(&deleted))).await;
    assert_eq!(back, heard);
    assert_eq!(one(index, &row).await, Some(heard));
}

async fn a_change_of_what_is_not_there_is_refused(index: &impl Index) {
    let mut house = Installation::new();
    let row = row(&mut house, 1);
    let refused = index.run(IndexRequest::ChangeState(StateChange::saved(house.save(&row)))).await;
    assert_eq!(refused, Err(IndexError::NoMessage(row.id)));
    // Under the id stands a message of another mailbox than the authorised one.
    insert(index, &MessageRow { mailbox: OTHER_MAILBOX, ..row.clone() }).await;
    let refused = index.run(IndexRequest::ChangeState(StateChange::saved(house.save(&row)))).await;
    assert_eq!(refused, Err(IndexError::NoMessage(row.id)));
}

async fn running_time_brings_messages_to_their_end_and_no_others(index: &impl Index) {
    let mut house = Installation::new();
    let (kept, first, second) = (row(&mut house, 1), row(&mut house, 2), row(&mut house, 3));
    for row in [&kept, &first, &second] {
        insert(index, row).await;
    }
    change(index, StateChange::deleted(house.delete(&first))).await;
    assert_eq!(spend(index, 4 * DAY).await, []);
    change(index, StateChange::deleted(house.delete(&second))).await;
    let waiting = one(index, &first).await.unwrap();
    assert_eq!(waiting.remaining, Some(10 * DAY));
    assert_eq!(spend(index, 10 * DAY - Duration::from_nanos(1)).await, []);
    let due = spend(index, Duration::from_nanos(1)).await;
    assert_eq!(due.iter().map(|row| row.id).collect::<Vec<_>>(), [first.id]);
    assert_eq!(due[0].remaining, Some(Duration::ZERO));
    let due = spend(index, 365 * DAY).await;
    assert_eq!(due.iter().map(|row| row.id).collect::<Vec<_>>(), [first.id, second.id]);
    assert_eq!(due[0].remaining, Some(Duration::ZERO));
    // Taken back in the last moment, it waits for nothing any more.
    change(index, StateChange::undeleted(house.undelete(&due[0]))).await;
    assert_eq!(spend(index, Duration::ZERO).await.len(), 1);
    assert_eq!(one(index, &kept).await, Some(kept));
}

async fn destroying_removes_the_row_and_may_be_repeated(index: &impl Index) {
    let mut house = Installation::new();
    let (row, other) = (row(&mut house, 1), row(&mut house, 2));
    insert(index, &row).await;
    insert(index, &other).await;
    let deleted = change(index, StateChange::deleted(house.delete(&row))).await;
    spend(index, 15 * DAY).await;
    let due = MessageRow { remaining: Some(Duration::ZERO), ..deleted };
    for _ in 0..2 {
        let destruction = Destruction::new(house.destroy(&due));
        let reply = index.run(IndexRequest::Destroy(destruction)).await;
        assert_eq!(reply, Ok(IndexReply::Destroyed));
        assert_eq!(one(index, &row).await, None);
    }
    assert_eq!(one(index, &other).await, Some(other));
}

async fn object_keys_are_listed_with_their_accounts(index: &impl Index) {
    let mut house = Installation::new();
    let mut keys = Vec::new();
    for byte in [3, 1, 2] {
        let row = row(&mut house, byte);
        insert(index, &row).await;
        keys.push((row.object_key, row.account));
    }
    keys.sort();
    assert_eq!(index.run(IndexRequest::ObjectKeys).await, Ok(IndexReply::ObjectKeys(keys)));
}

async fn a_directory_is_put_whole_and_only_onto_what_was_read(index: &impl Index) {
    let house = Installation::new();
    let put = async |rows, before| index.run(IndexRequest::DirectoryPut { rows, before }).await;
    let load = async || match index.run(IndexRequest::DirectoryLoad).await.unwrap() {
        IndexReply::Directory(rows) => rows,
        other => panic!("{other:?}"),
    };
    assert_eq!(load().await, []);
    let nothing = hash_of(&[]);
    assert_eq!(put(house.rows.clone(), nothing).await, Ok(IndexReply::DirectoryPut));
    let there = load().await;
    assert_eq!(there.len(), house.rows.len());
    assert_eq!(hash_of(&there), hash_of(&house.rows));
    hushbox_store::Directory::build(&there, &house.directory_key.public())
        .expect("signed as before");

    let mut next = house.rows[0].clone();
    next.version += 1;
    let refused = put(vec![next.clone()], nothing).await;
    assert_eq!(refused, Err(IndexError::DirectoryChanged));
    assert_eq!(load().await, there);
    assert_eq!(put(vec![next.clone()], hash_of(&there)).await, Ok(IndexReply::DirectoryPut));
    let now = load().await;
    assert_eq!(now.len(), there.len());
    assert!(now.contains(&next) && !now.contains(&house.rows[0]));
}

async fn values_are_kept_by_name(index: &impl Index) {
    let get = async |key: &str| index.run(IndexRequest::MetaGet(key.to_owned())).await;
    assert_eq!(get("root-key").await, Ok(IndexReply::Meta(None)));
    for value in [vec![1, 2, 3], vec![], vec![0; 1000]] {
        let put = IndexRequest::MetaPut { key: "root-key".to_owned(), value: value.clone() };
        assert_eq!(index.run(put).await, Ok(IndexReply::MetaPut));
        assert_eq!(get("root-key").await, Ok(IndexReply::Meta(Some(value))));
    }
    assert_eq!(get("utc").await, Ok(IndexReply::Meta(None)));
}

async fn subscriptions_are_kept_replaced_and_removed(index: &impl Index) {
    let row = |byte: u8, owner: CertificateOwner| SubscriptionRow {
        id: SubscriptionId::from_bytes([byte; 16]),
        mailbox: MAILBOX,
        owner,
        expires: "2026-03-09T12:00:00.123456789Z".parse().unwrap(),
        dialog: vec![1, 0, 255, byte],
    };
    let all = async || index.run(IndexRequest::Subscriptions).await.unwrap();
    let put = async |row: &SubscriptionRow| {
        let reply = index.run(IndexRequest::SubscriptionPut(Box::new(row.clone()))).await;
        assert_eq!(reply, Ok(IndexReply::SubscriptionPut));
    };
    assert_eq!(all().await, IndexReply::Subscriptions(Vec::new()));
    let phone = row(2, CertificateOwner::Device(DeviceId::from_bytes([7; 16])));
    let pbx = row(1, CertificateOwner::Trunk(TrunkId::from_bytes([8; 16])));
    put(&phone).await;
    put(&pbx).await;
    assert_eq!(all().await, IndexReply::Subscriptions(vec![pbx.clone(), phone.clone()]));
    let refreshed = SubscriptionRow {
        mailbox: OTHER_MAILBOX,
        expires: "2026-03-09T13:00:00Z".parse().unwrap(),
        dialog: Vec::new(),
        ..phone.clone()
    };
    put(&refreshed).await;
    assert_eq!(all().await, IndexReply::Subscriptions(vec![pbx.clone(), refreshed]));
    for _ in 0..2 {
        let reply = index.run(IndexRequest::SubscriptionRemove(phone.id)).await;
        assert_eq!(reply, Ok(IndexReply::SubscriptionRemoved));
    }
    assert_eq!(all().await, IndexReply::Subscriptions(vec![pbx]));
}

#[tokio::test]
async fn the_index_in_memory_conforms() {
    conforms(async || MemoryIndex::new()).await;
}

#[tokio::test]
async fn the_index_in_sqlite_conforms() {
    let folders = std::sync::Mutex::new(Vec::new());
    conforms(async || {
        let folder = tempfile::tempdir().unwrap();
        let index = SqliteIndex::create(folder.path()).await.unwrap();
        folders.lock().unwrap().push(folder);
        index
    })
    .await;
}
