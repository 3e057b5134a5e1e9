//! Every partition's feed, read from any node: what a stream of presence events is made of.
//!
//! A reader keeps one position for each partition. Entries of one partition come in the order of its log, and so do those
//! of one client; between partitions there is no order.

use crate::StatusError;
use async_trait::async_trait;
use rollcall_presence::FeedEntry;
use rollcall_types::{FeedPosition, NodeId, NodeName, PartitionId};
use std::{sync::Arc, time::Duration};

/// The feeds of all partitions, whether or not they have a replica here.
#[async_trait]
pub trait PresenceFeeds: Send + Sync + 'static {
    /// Which feeds there are; `None` while the node does not know yet.
    fn feeds(&self) -> Option<FeedsKnown>;

    /// Entries behind these positions, one for each partition in their order; waits for the first of them, at most this
    /// long. `limit` is about how many of all partitions together.
    async fn next(&self, after: &[FeedPosition], limit: usize, within: Duration) -> Result<FeedBatch, FeedError>;

    /// A position of each partition, in their order, that everything lies before which was committed before this call.
    /// It takes a quorum.
    async fn confirm(&self) -> Vec<Result<FeedPosition, StatusError>>;

    /// The name of a node that entries speak of.
    fn name_of(&self, node: NodeId) -> Option<NodeName>;
}

/// Which feeds there are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FeedsKnown {
    /// The history that positions belong to: they mean nothing in another.
    pub history: String,
    /// Number of partitions.
    pub partitions: u16,
}

/// What was read.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FeedBatch {
    /// In the order of the log within each partition.
    pub entries: Vec<(PartitionId, Arc<FeedEntry>)>,
    /// For each partition: with these entries, everything up to here was read. Never before where it was read from.
    pub through: Vec<FeedPosition>,
    /// Partitions that nobody could be asked about now. Nothing of them was left out: their position stays.
    pub unread: Vec<PartitionId>,
}

/// Why nothing was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FeedError {
    /// Entries behind the position are no longer kept. Reading on would leave them out: begin afresh.
    #[error("the feed of partition {0} is no longer kept from this position on")]
    Gone(PartitionId),
    /// The node is starting or stopping. May be read elsewhere.
    #[error("the node is not ready")]
    NotReady,
}
