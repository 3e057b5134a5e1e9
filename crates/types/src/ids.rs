//! Identifiers and positions. Plain numbers with a name, so that one cannot be passed for another.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug, Serialize, Deserialize)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    };
}

number! {
    /// The number of a node in Raft, handed out at join and stored in its data directory. Starts at 1.
    NodeId(u64)
}
number! {
    /// Handed out by the cluster group at each start of a node's serving term; grows per node. Starts at 1.
    Incarnation(u64)
}
number! {
    /// A slice of the client-id space. 0-based; the number of partitions is fixed per cluster.
    PartitionId(u16)
}
number! {
    /// The fencing token of a claim: one step per claim of its partition's counter, below 2^53.
    Epoch(u64)
}
number! {
    /// A position in one Raft log.
    LogIndex(u64)
}
number! {
    /// The number of an operation of one incarnation on one partition; consecutive from 1.
    OperationNumber(u64)
}

/// One Raft group: the cluster group, or the group of a partition.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct GroupId(pub u32);

impl GroupId {
    /// Members, placement, accounts, policies and limits.
    pub const CLUSTER: GroupId = GroupId(0);

    /// The group of a partition.
    #[must_use]
    pub fn partition(partition: PartitionId) -> GroupId {
        GroupId(u32::from(partition.0) + 1)
    }

    /// The partition of this group; `None` for the cluster group.
    #[must_use]
    pub fn as_partition(self) -> Option<PartitionId> {
        self.0.checked_sub(1).and_then(|p| u16::try_from(p).ok()).map(PartitionId)
    }
}

impl fmt::Display for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.as_partition() {
            None => f.write_str("cluster"),
            Some(p) => write!(f, "partition-{p}"),
        }
    }
}

/// The stable, unique name of a node, e.g. its pod name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct NodeName(pub String);

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Who holds a claim: a node in one of its incarnations.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Owner {
    /// The node.
    pub node: NodeId,
    /// Its incarnation at the time of the claim.
    pub incarnation: Incarnation,
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node {} incarnation {}", self.node, self.incarnation)
    }
}

/// The place of a transition in its partition's feed: log index, then ordinal within that log entry.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
pub struct FeedPosition {
    /// Index of the log entry that made the transition.
    pub index: LogIndex,
    /// 0-based place among the transitions of that entry.
    pub ordinal: u32,
}

impl FeedPosition {
    /// Behind every transition of this log entry, and before those of the next.
    #[must_use]
    pub const fn behind(index: LogIndex) -> FeedPosition {
        FeedPosition { index, ordinal: u32::MAX }
    }
}

impl fmt::Display for FeedPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.index, self.ordinal)
    }
}
