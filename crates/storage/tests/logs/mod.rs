//! Entries, appends and readings for the tests of the store.

#![allow(dead_code, unreachable_pub, missing_docs, clippy::unwrap_used, clippy::expect_used)]

use openraft::{
    RaftLogReader as _,
    storage::{IOFlushed, RaftLogStorage as _},
    type_config::TypeConfigExt as _,
};
use rollcall_storage::{
    CommittedLeaderId, DataDirectory, Entry, EntryPayload, LogId, LogPayload, LogStore, Membership, SnapshotMeta,
    Store, StoreConfig, StoredMembership, TypeConfig, Vote,
};
use std::{collections::BTreeSet, fs, io, path::Path};

pub fn log_id(term: u64, index: u64) -> LogId {
    LogId::new(CommittedLeaderId::new(term), index)
}

/// An entry whose content tells its place.
pub fn entry(term: u64, index: u64) -> Entry {
    sized_entry(term, index, 40)
}

pub fn sized_entry(term: u64, index: u64, bytes: usize) -> Entry {
    let content = (0..bytes).map(|at| (at as u64 ^ index ^ term << 4) as u8).collect::<Vec<u8>>();
    Entry { log_id: log_id(term, index), payload: EntryPayload::Normal(LogPayload::from(content)) }
}

pub fn entries(term: u64, indexes: impl IntoIterator<Item = u64>) -> Vec<Entry> {
    indexes.into_iter().map(|index| entry(term, index)).collect()
}

/// Starts an append; the future ends when it is durable.
pub async fn begin(log: &mut LogStore, entries: Vec<Entry>) -> impl Future<Output = io::Result<()>> + use<> {
    let (sender, receiver) = TypeConfig::oneshot();
    let begun = log.append(entries, IOFlushed::signal(sender)).await;
    async move {
        begun?;
        receiver.await.map_err(io::Error::other)?
    }
}

pub async fn append(log: &mut LogStore, entries: Vec<Entry>) -> io::Result<()> {
    begin(log, entries).await.await
}

pub async fn read_all(log: &mut LogStore) -> io::Result<Vec<Entry>> {
    log.try_get_log_entries(0..).await
}

pub fn open(path: &Path) -> Store {
    open_with(path, StoreConfig::default())
}

pub fn open_with(path: &Path, config: StoreConfig) -> Store {
    Store::open(&DataDirectory::open(path).unwrap(), config).unwrap()
}

pub fn vote(term: u64, node: u64) -> Vote {
    Vote::new(term, node)
}

pub fn snapshot_meta(term: u64, index: u64) -> SnapshotMeta {
    let membership = Membership::new_with_defaults(vec![BTreeSet::from([1, 2, 3])], []);
    SnapshotMeta {
        last_log_id: Some(log_id(term, index)),
        last_membership: StoredMembership::new(Some(log_id(term, 1)), membership),
    }
}

/// Copies a data directory as it is, for instance while a store has it open, as a kill would leave it.
pub fn copy_directory(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for item in fs::read_dir(from).unwrap() {
        let item = item.unwrap();
        if item.file_type().unwrap().is_dir() {
            copy_directory(&item.path(), &to.join(item.file_name()));
        } else {
            fs::copy(item.path(), to.join(item.file_name())).unwrap();
        }
    }
}

/// A directory on a memory file system, where syncing costs nothing, if there is one.
pub fn fast_directory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}
