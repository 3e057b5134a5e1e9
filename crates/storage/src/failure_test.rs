//! What a failed sync does. It cannot be brought about from outside, so the sync is replaced.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use crate::{
    DataDirectory, LogId, LogPayload, LogStore, Store, StoreConfig, TypeConfig, Vote,
    raft_types::{CommittedLeaderId, Entry, EntryPayload},
};
use openraft::{
    RaftLogReader as _,
    storage::{IOFlushed, RaftLogStorage as _},
    type_config::TypeConfigExt as _,
};
use rollcall_types::GroupId;
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
};

fn entry(index: u64) -> Entry {
    let payload = EntryPayload::Normal(LogPayload::from(vec![index as u8; 20]));
    Entry { log_id: LogId::new(CommittedLeaderId::new(1), index), payload }
}

async fn append(log: &mut LogStore, index: u64) -> io::Result<()> {
    let (sender, receiver) = TypeConfig::oneshot();
    log.append([entry(index)], IOFlushed::signal(sender)).await?;
    receiver.await.map_err(io::Error::other)?
}

/// A store whose syncs fail once the switch is set.
fn open(path: &std::path::Path) -> (Store, Arc<AtomicBool>) {
    let fails = Arc::new(AtomicBool::new(false));
    let switch = Arc::clone(&fails);
    let sync =
        Box::new(
            move || {
                if switch.load(Ordering::SeqCst) { Err(io::Error::other("input/output error")) } else { Ok(()) }
            },
        );
    let directory = DataDirectory::open(path).unwrap();
    (Store::open_with(&directory, StoreConfig::default(), Some(sync)).unwrap(), fails)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_sync_is_final_even_if_the_next_one_would_succeed() {
    let place = tempfile::tempdir().unwrap();
    let (store, fails) = open(place.path());
    let (mut log, _) = store.group(GroupId(1)).unwrap();
    let (mut other, _) = store.group(GroupId(2)).unwrap();
    append(&mut log, 0).await.unwrap();
    assert_eq!(store.health(), Ok(()));

    fails.store(true, Ordering::SeqCst);
    assert!(append(&mut log, 1).await.is_err());
    fails.store(false, Ordering::SeqCst);

    let reason = store.health().unwrap_err();
    assert!(reason.contains("syncing the database failed: input/output error"), "{reason}");
    assert!(append(&mut log, 2).await.is_err());
    assert!(append(&mut other, 0).await.is_err());
    assert!(log.save_vote(&Vote::new(5, 1)).await.is_err());
    assert_eq!(log.saved_term(), 5, "too high is safe, too low is not");
    assert!(log.truncate_after(None).await.is_err());
    assert!(log.purge(entry(0).log_id).await.is_err());
    assert!(log.save_committed(None).await.is_err());
    assert!(log.read_vote().await.is_err());
    assert!(log.try_get_log_entries(..).await.is_err());
    assert!(store.group(GroupId(3)).is_err());
    assert!(store.health().is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_who_waits_for_a_failed_sync_hears_of_it() {
    let place = tempfile::tempdir().unwrap();
    let (entered, at_sync) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let sync = Box::new(move || {
        entered.send(()).map_err(io::Error::other)?;
        released.recv().map_err(io::Error::other)?;
        Err(io::Error::other("no space"))
    });
    let directory = DataDirectory::open(place.path()).unwrap();
    let store = Store::open_with(&directory, StoreConfig::default(), Some(sync)).unwrap();
    let mut waiting = tokio::task::JoinSet::new();
    for group in 0..4 {
        let (mut log, _) = store.group(GroupId(group)).unwrap();
        waiting.spawn(async move { append(&mut log, 0).await });
    }
    let (mut voter, _) = store.group(GroupId(5)).unwrap();
    waiting.spawn(async move { voter.save_vote(&Vote::new(1, 1)).await });
    // The first commit stands at its sync; whoever is not in it waits in the queue.
    tokio::task::spawn_blocking(move || at_sync.recv()).await.unwrap().unwrap();
    release.send(()).unwrap();
    assert!(waiting.join_all().await.iter().all(Result::is_err));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panicking_writer_fails_the_store() {
    let place = tempfile::tempdir().unwrap();
    let directory = DataDirectory::open(place.path()).unwrap();
    let sync = Box::new(|| -> io::Result<()> { std::panic::panic_any("a bug") });
    let store = Store::open_with(&directory, StoreConfig::default(), Some(sync)).unwrap();
    let (mut log, _) = store.group(GroupId(1)).unwrap();
    assert!(append(&mut log, 0).await.is_err());
    assert!(store.health().unwrap_err().contains("panicked"));
}
