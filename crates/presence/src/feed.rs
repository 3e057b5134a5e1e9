//! The record of transitions that everybody reads who must learn of a change.

use rollcall_types::{ClientId, ClusterTime, DisconnectReason, Epoch, FeedPosition, Owner, Will};
use serde::{Deserialize, Serialize};

/// One transition with its place.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FeedEntry {
    /// Where it stands in the partition's feed.
    pub position: FeedPosition,
    /// Cluster time of the transition.
    pub at: ClusterTime,
    /// The client.
    pub client_id: ClientId,
    /// Epoch of the connection concerned.
    pub epoch: Epoch,
    /// Who holds or held that epoch.
    pub owner: Owner,
    /// What happened.
    pub transition: Transition,
}

/// What happened to a client.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Transition {
    /// A claim was applied.
    Connected,
    /// The connection ended: released, displaced (`Takeovered`, `Discarded`), kicked, or lost with its node.
    Disconnected(DisconnectReason),
    /// The will of the epoch is to be published now.
    WillDue(Box<Will>),
}
