//! The replica as openraft's state machine: apply in order, snapshot to a file, restore from one.

use crate::{replica::AnyReplica, stores::Snapshots};
use futures_util::{Stream, StreamExt as _};
use openraft::{
    OptionalSend,
    storage::{EntryResponder, RaftSnapshotBuilder, RaftStateMachine},
};
use rollcall_storage::{LogId, Snapshot, SnapshotMeta, StoredMembership, TypeConfig};
use std::{io, sync::Arc};

/// openraft's side of one replica.
pub(crate) struct Machine {
    replica: Arc<dyn AnyReplica>,
    snapshots: Arc<dyn Snapshots>,
}

impl Machine {
    pub(crate) fn new(replica: Arc<dyn AnyReplica>, snapshots: Arc<dyn Snapshots>) -> Self {
        Machine { replica, snapshots }
    }
}

impl RaftStateMachine<TypeConfig> for Machine {
    type SnapshotData = Vec<u8>;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), io::Error> {
        Ok(self.replica.applied())
    }

    async fn apply<Strm>(&mut self, mut entries: Strm) -> Result<(), io::Error>
    where
        Strm: Stream<Item = Result<EntryResponder<TypeConfig>, io::Error>> + Unpin + OptionalSend,
    {
        while let Some(next) = entries.next().await {
            let (entry, responder) = next?;
            #[cfg(feature = "mutants")]
            rollcall_contracts::crash_points::pass("before_apply");
            let outcome = self.replica.apply(&entry)?;
            #[cfg(feature = "mutants")]
            rollcall_contracts::crash_points::pass("applied");
            if let Some(responder) = responder {
                responder.send(outcome);
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        Builder { replica: Arc::clone(&self.replica), snapshots: Arc::clone(&self.snapshots) }
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, snapshot: Vec<u8>) -> Result<(), io::Error> {
        self.replica.restore(meta.last_log_id, meta.last_membership.clone(), &snapshot)?;
        self.snapshots.save(meta.clone(), snapshot).await
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot>, io::Error> {
        Ok(self.snapshots.load().await?.map(|(meta, snapshot)| Snapshot { meta, snapshot }))
    }
}

/// Builds a snapshot beside the running machine.
pub(crate) struct Builder {
    replica: Arc<dyn AnyReplica>,
    snapshots: Arc<dyn Snapshots>,
}

impl RaftSnapshotBuilder<TypeConfig> for Builder {
    type SnapshotData = Vec<u8>;

    async fn build_snapshot(&mut self) -> Result<Snapshot, io::Error> {
        let replica = Arc::clone(&self.replica);
        let (last_log_id, last_membership, bytes) = beside(move || replica.snapshot()).await??;
        let meta = SnapshotMeta { last_log_id, last_membership };
        self.snapshots.save(meta.clone(), bytes.clone()).await?;
        Ok(Snapshot { meta, snapshot: bytes })
    }
}

/// Away from the tasks, since it takes as long as the state is large.
async fn beside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    #[cfg(feature = "simulation")]
    if rollcall_storage::simulation::now_ms().is_some() {
        // A thread of its own would run at a moment that no seed decides.
        return Ok(work());
    }
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)
}
