//! What a group keeps beyond the life of the process, as this crate asks for it: a log, and snapshots. The store of
//! `storage` gives both; a simulation may give others.
//!
//! What belongs here: the seam, and starting openraft over it. What does not: how anything is stored.

use crate::{machine::Machine, network::Network, replica::AnyReplica};
use async_trait::async_trait;
use openraft::{
    Config, Raft,
    storage::{RaftLogReader as _, RaftLogStorage},
};
use rollcall_storage::{Entry, LogStore, SnapshotMeta, SnapshotStore, Store, TypeConfig};
use rollcall_types::GroupId;
use std::{io, ops::Range, sync::Arc};

/// The logs and snapshots of a node's groups.
pub trait Stores: Send + Sync + 'static {
    /// The log of a group.
    type Log: RaftLogStorage<TypeConfig> + SavedTerm + Clone;
    /// The snapshots of a group.
    type Snapshots: Snapshots;

    /// What is kept of a group; empty if it is new.
    ///
    /// # Errors
    /// A sentence, when it cannot be used.
    fn open(&self, group: GroupId) -> Result<(Self::Log, Self::Snapshots), String>;

    /// The groups of which something is kept.
    fn known(&self) -> Vec<GroupId>;
}

/// The promise that read points rest on; see [`LogStore::saved_term`].
pub trait SavedTerm: Send + Sync + 'static {
    /// The highest term of which this node ever began to save a vote.
    fn saved_term(&self) -> u64;
}

/// The entries of a log that nobody writes.
#[async_trait]
pub(crate) trait StoredLog {
    /// Those of the range that there are, in order.
    async fn entries(&self, range: Range<u64>) -> io::Result<Vec<Entry>>;
}

#[async_trait]
impl<L: RaftLogStorage<TypeConfig> + Clone> StoredLog for L {
    async fn entries(&self, range: Range<u64>) -> io::Result<Vec<Entry>> {
        let mut log = self.clone();
        let Some(last) = log.get_log_state().await?.last_log_id else { return Ok(Vec::new()) };
        let range = range.start..range.end.min(last.index + 1);
        if range.is_empty() {
            return Ok(Vec::new());
        }
        log.get_log_reader().await.try_get_log_entries(range).await
    }
}

/// The snapshots of one group. Only the newest counts.
#[async_trait]
pub trait Snapshots: Send + Sync + 'static {
    /// Keeps a snapshot, durably, in place of the one before. One that covers less than what is kept is dropped.
    ///
    /// # Errors
    /// When it is not kept.
    async fn save(&self, meta: SnapshotMeta, content: Vec<u8>) -> io::Result<()>;

    /// The newest snapshot, if there is one.
    ///
    /// # Errors
    /// When it cannot be read.
    async fn load(&self) -> io::Result<Option<(SnapshotMeta, Vec<u8>)>>;
}

impl Stores for Store {
    type Log = LogStore;
    type Snapshots = SnapshotStore;

    fn open(&self, group: GroupId) -> Result<(LogStore, SnapshotStore), String> {
        self.group(group).map_err(|e| e.to_string())
    }

    fn known(&self) -> Vec<GroupId> {
        self.groups()
    }
}

impl SavedTerm for LogStore {
    fn saved_term(&self) -> u64 {
        LogStore::saved_term(self)
    }
}

#[async_trait]
impl Snapshots for SnapshotStore {
    async fn save(&self, meta: SnapshotMeta, content: Vec<u8>) -> io::Result<()> {
        SnapshotStore::save(self, meta, content).await
    }

    async fn load(&self) -> io::Result<Option<(SnapshotMeta, Vec<u8>)>> {
        SnapshotStore::load(self).await
    }
}

/// A running Raft instance and its log's promise.
pub(crate) type Started = (Raft<TypeConfig, Machine>, Arc<dyn SavedTerm>);

/// Starts openraft over whatever [`Stores`] there are, so that nothing above depends on which. openraft itself is
/// compiled for the log's own type.
#[async_trait]
pub(crate) trait StartRaft: Send + Sync + 'static {
    async fn start(
        &self,
        group: GroupId,
        me: u64,
        config: Config,
        network: Network,
        replica: Arc<dyn AnyReplica>,
    ) -> Result<Started, String>;
}

#[async_trait]
impl<S: Stores> StartRaft for S {
    async fn start(
        &self,
        group: GroupId,
        me: u64,
        config: Config,
        network: Network,
        replica: Arc<dyn AnyReplica>,
    ) -> Result<Started, String> {
        let (log, snapshots) = self.open(group)?;
        let machine = Machine::new(replica, Arc::new(snapshots));
        let raft = Raft::new(me, Arc::new(config), network, log.clone(), machine).await.map_err(|e| e.to_string())?;
        Ok((raft, Arc::new(log)))
    }
}
