//! What enters the replicated log of a partition. Stored: variants and fields are only ever added at the end, under a
//! new format version.

use rollcall_types::{
    ClientId, ClusterTime, DisconnectReason, Epoch, Incarnation, NodeId, OperationNumber, Owner, Protocol, Will,
};
use serde::{Deserialize, Serialize};

/// One log entry: the leader's own housekeeping, which is applied first, and the batches of any number of nodes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PartitionCommand {
    /// Cluster time of the proposal. Apply uses the greater of this and the last applied time.
    pub at: ClusterTime,
    /// Operations of nodes, each batch numbered.
    pub batches: Vec<Batch>,
    /// Steps of the leader, not numbered: each is idempotent.
    pub housekeeping: Vec<Housekeeping>,
}

/// Consecutive operations of one incarnation on this partition, applied strictly in order of their numbers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Batch {
    /// Whose operations these are.
    pub owner: Owner,
    /// Number of the first; the others follow without a gap.
    pub first: OperationNumber,
    /// The operations.
    pub operations: Vec<Operation>,
}

impl Batch {
    /// Whether any of it came with format version 2.
    #[must_use]
    pub fn tells_of_keep_alives(&self) -> bool {
        self.operations.iter().any(|operation| matches!(operation, Operation::ChangeKeepAlive { .. }))
    }
}

/// One numbered operation.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Operation {
    /// A connection of the batch's owner takes the client id.
    Claim(Box<ClaimDetails>),
    /// The connection of that epoch has ended. An epoch that is not current changes nothing.
    Release {
        /// The client.
        client_id: ClientId,
        /// Epoch of the claim that ends.
        epoch: Epoch,
        /// Why it ended.
        reason: DisconnectReason,
    },
    /// An operator ends the client's connection, whoever owns it.
    Kick {
        /// The client.
        client_id: ClientId,
        /// Only if this is the current epoch; `None` for whichever is current.
        epoch: Option<Epoch>,
    },
    /// The connection of that epoch, which is the batch's owner's, has another keep-alive. An epoch that is not current
    /// changes nothing. Since format version 2.
    ChangeKeepAlive {
        /// The client.
        client_id: ClientId,
        /// Epoch of its claim.
        epoch: Epoch,
        /// In force from now on, in seconds.
        keep_alive_s: u16,
    },
}

/// The facts of a connection that a claim records.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ClaimDetails {
    /// The client.
    pub client_id: ClientId,
    /// The account; empty for an anonymous client.
    pub username: String,
    /// Protocol version.
    pub protocol: Protocol,
    /// Clean start (v5) or clean session (v3).
    pub clean_start: bool,
    /// Keep-alive in force, in seconds; 0 = off.
    pub keep_alive_s: u16,
    /// Session expiry in seconds after the connection's end; 0 ends with it, `u32::MAX` never.
    pub session_expiry_s: u32,
    /// `address:port` of the client.
    pub peer: String,
    /// Refuse to displace a connection of another account.
    pub bind_account: bool,
    /// The will, if any.
    pub will: Option<Will>,
}

/// A step of the partition's leader.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Housekeeping {
    /// All incarnations of the node up to this one are dead: their claims do not count.
    Fence {
        /// The node.
        node: NodeId,
        /// The highest dead incarnation.
        up_to: Incarnation,
    },
    /// Fire wills that are due at the command's time, at most `limit` of them. Wills of clients lost with a node wait
    /// for this step even without a delay, so that the feed takes them in portions.
    FireWills {
        /// Most wills fired by this step.
        limit: u32,
    },
    /// Forget offline records whose time and session are over and which owe no will. Goes on where the last step
    /// stopped.
    Forget {
        /// Offline records older than this many milliseconds are forgotten.
        keep_ms: u64,
        /// Most records looked at by this step.
        limit: u32,
    },
}
