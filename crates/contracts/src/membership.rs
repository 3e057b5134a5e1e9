//! The cluster's members as the management API sees them.

use async_trait::async_trait;
use rollcall_types::{Incarnation, NodeId, NodeName, PartitionId};

/// One member, as this node knows it: possibly behind.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MemberView {
    /// Its id, never used again.
    pub id: NodeId,
    /// Its name.
    pub name: NodeName,
    /// Its failure domain.
    pub zone: Option<String>,
    /// Where other nodes reach it.
    pub mesh: String,
    /// The incarnation that serves, or may soon; `None` while it is down.
    pub alive: Option<Incarnation>,
    /// It is to leave, or was replaced.
    pub leaving: bool,
    /// It is to serve nobody for now.
    pub draining: bool,
    /// Partitions it is to hold.
    pub partitions: u16,
    /// It votes in the cluster group.
    pub votes: bool,
}

/// One partition, as this node knows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PartitionView {
    /// Which.
    pub partition: PartitionId,
    /// Who is to hold it; the first is to lead it.
    pub replicas: Vec<NodeId>,
    /// Its group has not followed its placement yet.
    pub moving: bool,
    /// Who leads it, if that is known here.
    pub leader: Option<NodeId>,
    /// How many entries each of `replicas` lacks, in the same order. Its leader knows; elsewhere all are `None`.
    pub lags: Vec<Option<u64>>,
}

/// Why a member was not told to leave, or to serve nobody.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LeaveError {
    /// There is no such member.
    #[error("there is no node of that name")]
    UnknownNode,
    /// The cluster refuses; do not retry.
    #[error("{0}")]
    Refused(String),
    /// No quorum answered; whether it was told is unknown. Retrying is harmless.
    #[error("the cluster group did not answer in time")]
    Unavailable,
}

/// Members and placement, implemented by `node`.
#[async_trait]
pub trait Membership: Send + Sync + 'static {
    /// The name of this node.
    fn me(&self) -> NodeName;

    /// Who leads the cluster group, if that is known here.
    fn leader(&self) -> Option<NodeId>;

    /// All members by id; empty before the cluster is formed.
    fn members(&self) -> Vec<MemberView>;

    /// All partitions; empty before the cluster is formed.
    fn partitions(&self) -> Vec<PartitionView>;

    /// Tells a member to leave: it hands over what it holds and is removed. Returns once that is decided.
    ///
    /// # Errors
    /// See [`LeaveError`].
    async fn leave(&self, name: &str, by: &str, source: &str) -> Result<(), LeaveError>;

    /// Tells a member to serve no clients and to lead nothing until it is told otherwise (`drain` false). Returns once
    /// that is decided.
    ///
    /// # Errors
    /// See [`LeaveError`].
    async fn drain(&self, name: &str, drain: bool, by: &str, source: &str) -> Result<(), LeaveError>;
}
