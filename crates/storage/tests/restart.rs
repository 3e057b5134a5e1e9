//! What a restart finds, and what holds while the store runs.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod logs;

use logs::{
    append, begin, copy_directory, entries, entry, log_id, open, open_with, read_all, sized_entry, snapshot_meta, vote,
};
use openraft::{RaftLogReader as _, storage::RaftLogStorage as _};
use rollcall_storage::{DataDirectory, Entry, SnapshotError, Store, StoreConfig, StoreError};
use rollcall_types::GroupId;
use std::{fs, time::Duration};

const GROUP: GroupId = GroupId(1);

/// Memory for no entry that is durable: what is read comes from the database.
fn without_cache() -> StoreConfig {
    StoreConfig { group_cache_bytes: 0, ..StoreConfig::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_reads_back_log_vote_committed_position_purge_and_snapshot() {
    let place = tempfile::tempdir().unwrap();
    {
        let store = open(place.path());
        let (mut log, snapshots) = store.group(GROUP).unwrap();
        log.save_vote(&vote(3, 2)).await.unwrap();
        append(&mut log, entries(3, 1..=20)).await.unwrap();
        snapshots.save(snapshot_meta(3, 12), b"state".to_vec()).await.unwrap();
        log.save_committed(Some(log_id(3, 18))).await.unwrap();
        log.purge(log_id(3, 7)).await.unwrap();
        log.truncate_after(Some(log_id(3, 19))).await.unwrap();
        append(&mut log, vec![entry(4, 20)]).await.unwrap();
        let (mut other, _) = store.group(GroupId::CLUSTER).unwrap();
        append(&mut other, entries(1, 0..3)).await.unwrap();
    }
    let strict = StoreConfig { witness_sync: Duration::ZERO, ..StoreConfig::default() };
    for config in [StoreConfig::default(), without_cache(), strict] {
        let store = open_with(place.path(), config);
        assert_eq!(store.groups(), [GroupId::CLUSTER, GROUP]);
        let (mut log, snapshots) = store.group(GROUP).unwrap();
        let mut expected = entries(3, 8..=19);
        expected.push(entry(4, 20));
        assert_eq!(read_all(&mut log).await.unwrap(), expected);
        assert_eq!(log.read_vote().await.unwrap(), Some(vote(3, 2)));
        assert_eq!(log.saved_term(), 3);
        assert_eq!(log.read_committed().await.unwrap(), Some(log_id(3, 18)));
        let state = log.get_log_state().await.unwrap();
        assert_eq!((state.last_purged_log_id, state.last_log_id), (Some(log_id(3, 7)), Some(log_id(4, 20))));
        assert_eq!(snapshots.load().await.unwrap(), Some((snapshot_meta(3, 12), b"state".to_vec())));
        let (mut other, _) = store.group(GroupId::CLUSTER).unwrap();
        assert_eq!(read_all(&mut other).await.unwrap(), entries(1, 0..3));
        log.save_vote(&vote(3, 2)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_are_readable_before_they_are_durable_and_wherever_they_are() {
    let place = tempfile::tempdir().unwrap();
    // Room for a few entries only: the rest is read from the database.
    let config = StoreConfig { group_cache_bytes: 600, ..StoreConfig::default() };
    let store = open_with(place.path(), config);
    let (mut log, _) = store.group(GROUP).unwrap();
    let mut durable = Vec::new();
    for index in 0..200 {
        durable.push(begin(&mut log, vec![entry(1, index)]).await);
        assert_eq!(log.try_get_log_entries(index..=index).await.unwrap(), [entry(1, index)]);
    }
    for waiting in durable {
        waiting.await.unwrap();
    }
    assert_eq!(read_all(&mut log).await.unwrap(), entries(1, 0..200));
    assert_eq!(log.try_get_log_entries(50..60).await.unwrap(), entries(1, 50..60));
    assert_eq!(log.limited_get_log_entries(195, 200).await.unwrap()[0], entry(1, 195));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bounded_read_returns_a_bounded_piece_and_never_nothing() {
    let place = tempfile::tempdir().unwrap();
    for config in [StoreConfig::default(), without_cache()] {
        let store = open_with(place.path(), config);
        let (mut log, _) = store.group(GROUP).unwrap();
        if log.get_log_state().await.unwrap().last_log_id.is_none() {
            append(&mut log, (0..8).map(|index| sized_entry(1, index, 400_000)).collect()).await.unwrap();
        }
        let piece = log.limited_get_log_entries(0, 8).await.unwrap();
        assert_eq!(piece, (0..2).map(|index| sized_entry(1, index, 400_000)).collect::<Vec<Entry>>());
        assert_eq!(log.limited_get_log_entries(7, 8).await.unwrap(), [sized_entry(1, 7, 400_000)]);
        assert_eq!(log.try_get_log_entries(0..8).await.unwrap().len(), 8);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn large_entries_stay_in_the_synced_file() {
    let place = tempfile::tempdir().unwrap();
    let large: Vec<Entry> = (0..60).map(|index| sized_entry(1, index, 1_000 + 3_000 * index as usize)).collect();
    {
        let store = open(place.path());
        let (mut log, _) = store.group(GROUP).unwrap();
        append(&mut log, large.clone()).await.unwrap();
        append(&mut log, vec![sized_entry(1, 60, 3 << 20)]).await.unwrap();
        // sled writes what it takes for too large to files of their own, which it does not sync.
        assert_eq!(fs::read_dir(place.path().join("db/blobs")).unwrap().count(), 0);
    }
    let store = open_with(place.path(), without_cache());
    let (mut log, _) = store.group(GROUP).unwrap();
    assert_eq!(log.try_get_log_entries(0..60).await.unwrap(), large);
    assert_eq!(log.try_get_log_entries(60..).await.unwrap(), [sized_entry(1, 60, 3 << 20)]);
    log.truncate_after(Some(log_id(1, 58))).await.unwrap();
    append(&mut log, vec![entry(2, 59)]).await.unwrap();
    drop(store);
    let store = open(place.path());
    let (mut log, _) = store.group(GROUP).unwrap();
    assert_eq!(log.try_get_log_entries(58..).await.unwrap(), [large[58].clone(), entry(2, 59)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_commit_serves_many_appends_of_many_groups() {
    let place = tempfile::tempdir().unwrap();
    let store = open(place.path());
    let mut tasks = tokio::task::JoinSet::new();
    for group in 0..7 {
        let (mut log, _) = store.group(GroupId(group)).unwrap();
        tasks.spawn(async move {
            let mut durable = Vec::new();
            for index in 0..300 {
                durable.push(begin(&mut log, vec![entry(1, index)]).await);
            }
            for waiting in durable {
                waiting.await.unwrap();
            }
        });
    }
    tasks.join_all().await;
    let commits = store.commits();
    assert!((1..2_100 / 10).contains(&commits), "{commits} commits for 2100 appends");
}

#[tokio::test(flavor = "multi_thread")]
async fn purging_goes_on_beside_appending_and_frees_the_database() {
    let place = tempfile::tempdir().unwrap();
    let store = open_with(place.path(), without_cache());
    let (mut log, snapshots) = store.group(GROUP).unwrap();
    snapshots.save(snapshot_meta(1, 10_000), Vec::new()).await.unwrap();
    let mut reader = log.clone();
    let mut reading = tokio::task::JoinSet::new();
    reading.spawn(async move {
        let mut reads = 0;
        loop {
            let read = read_all(&mut reader).await.unwrap();
            for pair in read.windows(2) {
                assert_eq!(pair[0].log_id.index + 1, pair[1].log_id.index);
            }
            reads += 1;
            if read.last().is_some_and(|last| last.log_id.index == 4_999) {
                return reads;
            }
            tokio::task::yield_now().await;
        }
    });
    for batch in 0..50 {
        let first = batch * 100;
        append(&mut log, entries(1, first..first + 100)).await.unwrap();
        if first >= 200 {
            log.purge(log_id(1, first - 100)).await.unwrap();
        }
    }
    assert!(reading.join_all().await[0] > 0);
    assert_eq!(read_all(&mut log).await.unwrap(), entries(1, 4_801..5_000));
    drop(store);
    let store = open(place.path());
    let (mut log, _) = store.group(GROUP).unwrap();
    assert_eq!(read_all(&mut log).await.unwrap(), entries(1, 4_801..5_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_store_deletes_what_was_purged_and_keeps_the_rest() {
    let place = tempfile::tempdir().unwrap();
    let store = open(place.path());
    let (mut log, snapshots) = store.group(GROUP).unwrap();
    append(&mut log, entries(1, 0..3_000)).await.unwrap();
    snapshots.save(snapshot_meta(1, 2_990), Vec::new()).await.unwrap();
    log.purge(log_id(1, 2_899)).await.unwrap();
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while store.purged_values() < 2_900 {
        assert!(std::time::Instant::now() < deadline, "only {} deleted", store.purged_values());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(store.purged_values(), 2_900);
    assert_eq!(read_all(&mut log).await.unwrap(), entries(1, 2_900..3_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_committed_position_nobody_waits_for_reaches_the_disk_by_itself() {
    let place = tempfile::tempdir().unwrap();
    let store = open(place.path());
    let (mut log, _) = store.group(GROUP).unwrap();
    append(&mut log, entries(1, 0..3)).await.unwrap();
    let commits = store.commits();
    log.save_committed(Some(log_id(1, 2))).await.unwrap();
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while store.commits() == commits {
        assert!(std::time::Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // As a kill would leave it.
    let copy = tempfile::tempdir().unwrap();
    copy_directory(place.path(), copy.path());
    let store = open(copy.path());
    let (mut log, _) = store.group(GROUP).unwrap();
    assert_eq!(log.read_committed().await.unwrap(), Some(log_id(1, 2)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vote_is_seen_by_read_points_before_it_is_saved() {
    let place = tempfile::tempdir().unwrap();
    let store = open(place.path());
    let (mut log, _) = store.group(GROUP).unwrap();
    let watched = log.clone();
    {
        let save = vote(9, 1);
        let mut saving = std::pin::pin!(log.save_vote(&save));
        // One poll: the write is queued at most.
        let polled = futures_util::poll!(saving.as_mut());
        assert_eq!(watched.saved_term(), 9);
        if polled.is_pending() {
            saving.await.unwrap();
        }
    }
    log.save_vote(&vote(4, 1)).await.unwrap();
    assert_eq!(log.saved_term(), 9, "it never falls");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_that_leaves_a_hole_is_refused_and_changes_nothing() {
    let place = tempfile::tempdir().unwrap();
    let store = open(place.path());
    let (mut log, _) = store.group(GROUP).unwrap();
    append(&mut log, entries(1, 0..3)).await.unwrap();
    let refusal = append(&mut log, vec![entry(1, 4)]).await.unwrap_err().to_string();
    assert!(refusal.contains("the log of partition-0 continues at 3"), "{refusal}");
    append(&mut log, vec![entry(1, 3)]).await.unwrap();
    assert_eq!(read_all(&mut log).await.unwrap(), entries(1, 0..4));
    assert_eq!(store.health(), Ok(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_newest_snapshot_is_kept_and_leftovers_go() {
    let place = tempfile::tempdir().unwrap();
    let files = place.path().join("snapshots/group-1");
    let count = || fs::read_dir(&files).unwrap().count();
    {
        let store = open(place.path());
        let (_, snapshots) = store.group(GROUP).unwrap();
        assert_eq!(snapshots.load().await.unwrap(), None);
        for index in [5, 9, 7] {
            snapshots.save(snapshot_meta(1, index), vec![index as u8; 10]).await.unwrap();
        }
        assert_eq!(count(), 1);
        snapshots.save(snapshot_meta(1, 9), vec![1]).await.unwrap();
        assert_eq!(count(), 1);
    }
    let newest = fs::read_dir(&files).unwrap().next().unwrap().unwrap().path();
    fs::write(newest.with_file_name(format!("snapshot-{:020}-{:020}", 3, 1)), b"older").unwrap();
    fs::write(newest.with_file_name(format!("snapshot-{:020}-{:020}.unfinished", 30, 1)), b"torn").unwrap();
    let store = open(place.path());
    let (_, snapshots) = store.group(GROUP).unwrap();
    assert_eq!(count(), 1);
    assert_eq!(snapshots.load().await.unwrap(), Some((snapshot_meta(1, 9), vec![1])));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_begins_after_the_newest_snapshot_is_refused() {
    let place = tempfile::tempdir().unwrap();
    {
        let store = open(place.path());
        let (mut log, snapshots) = store.group(GROUP).unwrap();
        append(&mut log, entries(1, 0..10)).await.unwrap();
        snapshots.save(snapshot_meta(1, 5), vec![1]).await.unwrap();
        log.purge(log_id(1, 5)).await.unwrap();
    }
    fs::remove_dir_all(place.path().join("snapshots")).unwrap();
    let store = open(place.path());
    let refusal = store.group(GROUP).map(|_| ()).unwrap_err();
    assert!(matches!(refusal, StoreError::Snapshot(SnapshotError::Missing { purged: 5, .. })), "{refusal}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_jumps_to_an_installed_snapshot_and_goes_on_after_it() {
    let place = tempfile::tempdir().unwrap();
    {
        let store = open(place.path());
        let (mut log, snapshots) = store.group(GROUP).unwrap();
        append(&mut log, entries(1, 0..10)).await.unwrap();
        snapshots.save(snapshot_meta(3, 500), vec![1]).await.unwrap();
        log.purge(log_id(3, 500)).await.unwrap();
        assert_eq!(read_all(&mut log).await.unwrap(), []);
        append(&mut log, entries(3, 501..505)).await.unwrap();
        assert_eq!(log.try_get_log_entries(0..503).await.unwrap(), entries(3, 501..503));
    }
    let store = open_with(place.path(), without_cache());
    let (mut log, _) = store.group(GROUP).unwrap();
    assert_eq!(read_all(&mut log).await.unwrap(), entries(3, 501..505));
    let state = log.get_log_state().await.unwrap();
    assert_eq!((state.last_purged_log_id, state.last_log_id), (Some(log_id(3, 500)), Some(log_id(3, 504))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_store_answers_with_errors_and_its_directory_is_free() {
    let place = tempfile::tempdir().unwrap();
    let store = open(place.path());
    let (mut log, _) = store.group(GROUP).unwrap();
    append(&mut log, entries(1, 0..3)).await.unwrap();
    store.close();
    assert!(append(&mut log, vec![entry(1, 3)]).await.is_err());
    assert!(log.save_vote(&vote(2, 1)).await.is_err());
    assert!(log.truncate_after(None).await.is_err());
    assert!(store.group(GroupId(2)).is_err());
    drop(store);
    // The old handle is still there.
    let reopened = open(place.path());
    let (mut again, _) = reopened.group(GROUP).unwrap();
    assert_eq!(read_all(&mut again).await.unwrap(), entries(1, 0..3));
    drop(log);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_another_directory_is_refused() {
    let place = tempfile::tempdir().unwrap();
    for name in ["a", "b"] {
        let store = open(&place.path().join(name));
        let (mut log, _) = store.group(GROUP).unwrap();
        append(&mut log, entries(1, 0..3)).await.unwrap();
    }
    fs::remove_dir_all(place.path().join("b/db")).unwrap();
    copy_directory(&place.path().join("a/db"), &place.path().join("b/db"));
    let directory = DataDirectory::open(place.path().join("b")).unwrap();
    let refusal = Store::open(&directory, StoreConfig::default()).map(|_| ()).unwrap_err().to_string();
    assert!(refusal.contains("made for another data directory"), "{refusal}");
}
