//! The simulated log is a sound one: openraft's own suite, with the least state machine that it accepts.

use crate::{
    chance::Chance,
    disk::Disk,
    log::{MemoryLog, MemorySnapshots, MemoryStores},
};
use futures_util::{Stream, StreamExt as _};
use openraft::{
    OptionalSend, StorageError,
    entry::RaftEntry as _,
    storage::{EntryResponder, RaftSnapshotBuilder, RaftStateMachine},
    testing::log::{StoreBuilder, Suite},
};
use rollcall_raft::{Snapshots as _, Stores as _};
use rollcall_storage::{LogId, Snapshot, SnapshotMeta, StoredMembership, TypeConfig};
use rollcall_types::GroupId;
use std::{io, sync::Arc};

/// The least state machine that the suite accepts.
#[derive(Clone)]
struct Positions {
    applied: Option<LogId>,
    membership: StoredMembership,
    snapshots: Arc<MemorySnapshots>,
}

impl RaftStateMachine<TypeConfig> for Positions {
    type SnapshotData = Vec<u8>;
    type SnapshotBuilder = Positions;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        Ok((self.applied, self.membership.clone()))
    }

    async fn apply<S>(&mut self, mut entries: S) -> io::Result<()>
    where
        S: Stream<Item = io::Result<EntryResponder<TypeConfig>>> + Unpin + OptionalSend,
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
        self.snapshots.save(meta.clone(), Vec::new()).await?;
        Ok(Snapshot { meta, snapshot: Vec::new() })
    }
}

/// Every test of the suite gets a disk of its own; the guard keeps the task that writes.
struct Fresh;

impl StoreBuilder<TypeConfig, MemoryLog, Positions, tokio::task::JoinSet<()>> for Fresh {
    async fn build(&self) -> Result<(tokio::task::JoinSet<()>, MemoryLog, Positions), StorageError<TypeConfig>> {
        let (stores, write) = MemoryStores::open(Disk::new(Chance::new(1, &[])));
        let mut guard = tokio::task::JoinSet::new();
        guard.spawn(write);
        let (log, snapshots) = stores.open(GroupId(1)).unwrap();
        let (applied, membership) = (None, StoredMembership::default());
        Ok((guard, log, Positions { applied, membership, snapshots: Arc::new(snapshots) }))
    }
}

#[tokio::test(start_paused = true)]
async fn the_simulated_log_passes_openrafts_suite() {
    Suite::test_all(Fresh).await.unwrap();
}
