//! openraft's own suite for log stores, run against ours with the least state machine that it accepts.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use futures_util::{Stream, StreamExt as _};
use openraft::{
    OptionalSend, StorageError,
    entry::RaftEntry as _,
    storage::{EntryResponder, RaftSnapshotBuilder, RaftStateMachine},
    testing::log::{StoreBuilder, Suite},
};
use rollcall_storage::{
    DataDirectory, LogId, LogStore, Snapshot, SnapshotMeta, SnapshotStore, Store, StoreConfig, StoredMembership,
    TypeConfig,
};
use rollcall_types::GroupId;
use std::io;
use tempfile::TempDir;

/// Remembers positions only; its snapshots go through the real snapshot store.
#[derive(Clone)]
struct Positions {
    applied: Option<LogId>,
    membership: StoredMembership,
    snapshots: SnapshotStore,
}

impl RaftStateMachine<TypeConfig> for Positions {
    type SnapshotData = Vec<u8>;
    type SnapshotBuilder = Positions;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        Ok((self.applied, self.membership.clone()))
    }

    async fn apply<Strm>(&mut self, mut entries: Strm) -> io::Result<()>
    where
        Strm: Stream<Item = io::Result<EntryResponder<TypeConfig>>> + Unpin + OptionalSend,
    {
        while let Some(next) = entries.next().await {
            let (entry, responder) = next?;
            self.applied = Some(entry.log_id());
            if let Some(membership) = entry.get_membership() {
                self.membership = StoredMembership::new(Some(entry.log_id()), membership);
            }
            if let Some(responder) = responder {
                responder.send(Vec::new());
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Positions {
        self.clone()
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, snapshot: Vec<u8>) -> io::Result<()> {
        self.applied = meta.last_log_id;
        self.membership = meta.last_membership.clone();
        self.snapshots.save(meta.clone(), snapshot).await
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<Snapshot>> {
        Ok(self.snapshots.load().await?.map(|(meta, snapshot)| Snapshot { meta, snapshot }))
    }
}

impl RaftSnapshotBuilder<TypeConfig> for Positions {
    type SnapshotData = Vec<u8>;

    async fn build_snapshot(&mut self) -> io::Result<Snapshot> {
        let meta = SnapshotMeta { last_log_id: self.applied, last_membership: self.membership.clone() };
        self.snapshots.save(meta.clone(), b"positions".to_vec()).await?;
        Ok(Snapshot { meta, snapshot: b"positions".to_vec() })
    }
}

/// A store and its files, which go with it.
type Guard = (Store, TempDir);

/// Every test of the suite gets a store in a directory of its own. A cache of no bytes sends the reads to the database.
struct Fresh {
    group_cache_bytes: usize,
}

impl StoreBuilder<TypeConfig, LogStore, Positions, Guard> for Fresh {
    async fn build(&self) -> Result<(Guard, LogStore, Positions), StorageError<TypeConfig>> {
        let place = tempfile::tempdir().unwrap();
        let config = StoreConfig { group_cache_bytes: self.group_cache_bytes, ..StoreConfig::default() };
        let store = Store::open(&DataDirectory::open(place.path()).unwrap(), config).unwrap();
        let (log, snapshots) = store.group(GroupId(1)).unwrap();
        let positions = Positions { applied: None, membership: StoredMembership::default(), snapshots };
        Ok(((store, place), log, positions))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_store_passes_openrafts_suite_from_memory() {
    Suite::test_all(Fresh { group_cache_bytes: 1 << 20 }).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_store_passes_openrafts_suite_from_the_database() {
    Suite::test_all(Fresh { group_cache_bytes: 0 }).await.unwrap();
}
