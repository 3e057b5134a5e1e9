//! Databases that are whole by sled's own account and wrong by ours.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use crate::{
    DataDirectory, LogId, LogPayload, LogStore, Store, StoreConfig, StoreError, TypeConfig, Vote,
    raft_types::{CommittedLeaderId, Entry, EntryPayload},
    record::{MARK_KEY, encode_entry, entry_key},
};
use openraft::{
    RaftLogReader as _,
    storage::{IOFlushed, RaftLogStorage as _},
    type_config::TypeConfigExt as _,
};
use rollcall_types::GroupId;
use std::path::Path;

const GROUP: GroupId = GroupId(4);

fn entry(term: u64, index: u64) -> Entry {
    let payload = EntryPayload::Normal(LogPayload::from(vec![index as u8; 20]));
    Entry { log_id: LogId::new(CommittedLeaderId::new(term), index), payload }
}

async fn append(log: &mut LogStore, entries: Vec<Entry>) {
    let (sender, receiver) = TypeConfig::oneshot();
    log.append(entries, IOFlushed::signal(sender)).await.unwrap();
    receiver.await.unwrap().unwrap();
}

fn open(path: &Path) -> Result<Store, StoreError> {
    Store::open(&DataDirectory::open(path).unwrap(), StoreConfig::default())
}

/// A log 0..10, the first five of term 1, the others of term 2, changed behind the store's back.
async fn refusal_after(change: impl FnOnce(&sled::Tree)) -> String {
    let place = tempfile::tempdir().unwrap();
    {
        let store = open(place.path()).unwrap();
        let (mut log, _) = store.group(GROUP).unwrap();
        log.save_vote(&Vote::new(1, 1)).await.unwrap();
        append(&mut log, (0..5).map(|index| entry(1, index)).collect()).await;
        append(&mut log, (5..10).map(|index| entry(2, index)).collect()).await;
    }
    tamper(place.path(), change);
    open(place.path()).map(|_| ()).expect_err("a tampered log was accepted").to_string()
}

fn tamper(path: &Path, change: impl FnOnce(&sled::Tree)) {
    // The store that was dropped lets go of its lock a moment later.
    let database = crate::store::open_database(&path.join("db"), &StoreConfig::default()).unwrap();
    let tree = database.open_tree("group-4").unwrap();
    change(&tree);
    database.flush().unwrap();
}

fn assert_says(refusal: &str, parts: &[&str]) {
    assert!(refusal.starts_with("the log of partition-3 is damaged"), "{refusal}");
    for part in parts {
        assert!(refusal.contains(part), "{refusal}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_version_of_an_entry_breaks_the_chain() {
    let older = encode_entry(GROUP, Some(1), &entry(1, 5)).unwrap();
    let refusal = refusal_after(|tree| {
        tree.insert(entry_key(5, 0), older.parts[0].as_slice()).unwrap();
    })
    .await;
    assert_says(&refusal, &["at index 6", "it follows an entry of term 2, but the one before it has term 1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_entry_is_named() {
    let refusal = refusal_after(|tree| drop(tree.remove(entry_key(3, 0)).unwrap())).await;
    assert_says(&refusal, &["at index 3", "the entry is missing, the next one is 4"]);
    let refusal = refusal_after(|tree| drop(tree.remove(entry_key(0, 0)).unwrap())).await;
    assert_says(&refusal, &["at index 0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_ends_too_early_or_too_late_is_refused() {
    let refusal = refusal_after(|tree| drop(tree.remove(entry_key(9, 0)).unwrap())).await;
    assert_says(&refusal, &["at index 9", "the log ends with 2.8, it should end with 2.9"]);
    let extra = encode_entry(GROUP, Some(2), &entry(2, 10)).unwrap();
    let refusal = refusal_after(|tree| {
        tree.insert(entry_key(10, 0), extra.parts[0].as_slice()).unwrap();
    })
    .await;
    assert_says(&refusal, &["the log ends with 2.10, it should end with 2.9"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_in_the_wrong_place_is_refused() {
    let refusal = refusal_after(|tree| {
        let other = tree.get(entry_key(4, 0)).unwrap().unwrap();
        tree.insert(entry_key(3, 0), other).unwrap();
    })
    .await;
    assert_says(&refusal, &["at index 3", "checksum"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_entry_without_its_end_is_refused() {
    let large = Entry {
        log_id: LogId::new(CommittedLeaderId::new(2), 9),
        payload: EntryPayload::Normal(LogPayload::from(vec![1; 10_000])),
    };
    let parts = encode_entry(GROUP, Some(2), &large).unwrap().parts;
    let refusal = refusal_after(|tree| {
        tree.insert(entry_key(9, 0), parts[0].as_slice()).unwrap();
        tree.insert(entry_key(9, 1), parts[1].as_slice()).unwrap();
    })
    .await;
    assert_says(&refusal, &["at index 9", "its end is missing"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_mark_is_a_lost_vote() {
    let refusal = refusal_after(|tree| drop(tree.remove(MARK_KEY).unwrap())).await;
    assert_says(&refusal, &["was acknowledged, but the database ends with write 0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_record_is_refused() {
    let refusal = refusal_after(|tree| drop(tree.insert([9, 9], b"?").unwrap())).await;
    assert_says(&refusal, &["there is an unknown record"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_found_while_serving_stops_the_store() {
    let place = tempfile::tempdir().unwrap();
    let config = StoreConfig { group_cache_bytes: 0, ..StoreConfig::default() };
    let store = Store::open(&DataDirectory::open(place.path()).unwrap(), config).unwrap();
    let (mut log, _) = store.group(GROUP).unwrap();
    append(&mut log, (0..5).map(|index| entry(1, index)).collect()).await;
    let mut value = log.group.tree().unwrap().get(entry_key(2, 0)).unwrap().unwrap().to_vec();
    value[8] ^= 1;
    log.group.tree().unwrap().insert(entry_key(2, 0), value).unwrap();
    assert_eq!(log.try_get_log_entries(0..2).await.unwrap().len(), 2);
    let error = log.try_get_log_entries(0..5).await.unwrap_err().to_string();
    assert_says(&error, &["at index 2"]);
    assert_eq!(store.health().unwrap_err(), error);
    assert!(log.save_vote(&Vote::new(2, 1)).await.is_err());
}
