//! What the disk of a node that does not run says of a partition: its newest snapshot, and the log applied to it. What
//! does not belong here: a running group (`group`), and what is done with the state.

use crate::{
    GroupsConfig, Replica, Stores,
    partition::Partition,
    replica::AnyReplica as _,
    stores::{Snapshots as _, StoredLog as _},
};
use rollcall_types::{GroupId, PartitionId};
use std::io;

/// Entries read at a time.
const BATCH: u64 = 1024;

/// The state of a partition after the last entry on this disk, whether or not that is committed.
///
/// # Errors
/// A sentence, when the log or the snapshot cannot be read.
pub async fn recall<S: Stores>(stores: &S, partition: PartitionId) -> Result<Replica<Partition>, String> {
    let replica = Replica::new(Partition::new(partition, GroupsConfig::default().partition_limits()));
    let (log, snapshots) = stores.open(GroupId::partition(partition))?;
    let unreadable = |error: io::Error| format!("partition {partition} cannot be read: {error}");
    if let Some((meta, bytes)) = snapshots.load().await.map_err(unreadable)? {
        replica.restore(meta.last_log_id, meta.last_membership, &bytes).map_err(unreadable)?;
    }
    loop {
        let from = replica.applied().0.map_or(0, |last| last.index + 1);
        let entries = log.entries(from..from + BATCH).await.map_err(unreadable)?;
        if entries.is_empty() {
            return Ok(replica);
        }
        for entry in &entries {
            replica.apply(entry).map_err(unreadable)?;
        }
    }
}
