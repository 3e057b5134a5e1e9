//! What the data directory of a node that does not run says: every transition that the feeds of its partitions keep.
//! What does not belong here: how that is printed, and a node that runs, which answers over its listeners.

use crate::StartError;
use rollcall_presence::{FeedEntry, Transition};
use rollcall_storage::{DataDirectory, Store, StoreConfig};
use rollcall_types::PartitionId;
use serde::Serialize;
use std::path::Path;

/// One transition of one client.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct PastTransition {
    /// Partition of the client.
    pub partition: u16,
    /// Index of the log entry that made it.
    pub index: u64,
    /// Place among the transitions of that entry.
    pub ordinal: u32,
    /// Cluster time, in milliseconds.
    pub at_ms: u64,
    /// The client.
    pub client_id: String,
    /// Epoch of the connection concerned.
    pub epoch: u64,
    /// Id of the node that holds or held it.
    pub node: u64,
    /// The incarnation of that node.
    pub incarnation: u64,
    /// What happened: `connected`, `disconnected`, `will_due`.
    pub transition: &'static str,
    /// Why it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
}

/// One partition on this disk.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PartitionOnDisk {
    /// Which.
    pub partition: u16,
    /// The last log entry on this disk. The entries at the end may not be committed.
    pub last_index: u64,
    /// The transitions kept, in order.
    pub transitions: Vec<PastTransition>,
}

/// Reads a data directory, partition by partition, up to the last log entry on this disk. Nothing is changed, but the
/// directory is locked meanwhile.
///
/// # Errors
/// When it is no data directory, a node holds it, or it is damaged.
pub async fn partitions_on_disk(path: &Path) -> Result<Vec<PartitionOnDisk>, StartError> {
    if !path.join("header").is_file() {
        let what = format!("{} is no data directory of a node; give the one that node.data_dir names", path.display());
        return Err(StartError::Internal(what));
    }
    let directory = DataDirectory::open(path)?;
    let store = Store::open(&directory, StoreConfig::default())?;
    let mut groups = store.groups();
    groups.sort_unstable();
    let mut found = Vec::new();
    for partition in groups.into_iter().filter_map(rollcall_types::GroupId::as_partition) {
        let replica = rollcall_raft::recall(&store, partition).await.map_err(StartError::Internal)?;
        let applied = replica.read();
        let feed = applied.state.presence.feed();
        // Entries that fell out are gone; what is kept begins right after them.
        let kept = feed.after(None, usize::MAX).or_else(|gap| feed.after(Some(gap.last_dropped), usize::MAX));
        let kept = kept.map_err(|gap| StartError::Internal(gap.to_string()))?;
        found.push(PartitionOnDisk {
            partition: partition.0,
            last_index: applied.index().0,
            transitions: kept.iter().map(|entry| transition(partition, entry)).collect(),
        });
    }
    store.close();
    Ok(found)
}

fn transition(partition: PartitionId, entry: &FeedEntry) -> PastTransition {
    let (name, reason) = match &entry.transition {
        Transition::Connected => ("connected", None),
        Transition::Disconnected(reason) => ("disconnected", Some(reason.name())),
        Transition::WillDue(_) => ("will_due", None),
    };
    PastTransition {
        partition: partition.0,
        index: entry.position.index.0,
        ordinal: entry.position.ordinal,
        at_ms: entry.at.0,
        client_id: entry.client_id.as_str().to_owned(),
        epoch: entry.epoch.0,
        node: entry.owner.node.0,
        incarnation: entry.owner.incarnation.0,
        transition: name,
        reason,
    }
}
