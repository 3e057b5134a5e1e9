//! Calls between nodes, as what is called sees them.

use async_trait::async_trait;
use bytes::Bytes;
use rollcall_types::NodeId;
use std::time::Duration;

/// One request of a peer. The payload's meaning depends on `kind`, a number of `proto`.
#[derive(Clone, Debug)]
pub struct PeerCall {
    /// The peer that sent it, as authenticated on the link.
    pub from: NodeId,
    /// What is asked (`rollcall_proto::Kind`).
    pub kind: u32,
    /// Raft group concerned; 0 is the cluster group.
    pub group: u32,
    /// The encoded request.
    pub payload: Bytes,
    /// The caller gives up after this many milliseconds.
    pub deadline_ms: u32,
}

/// Answers peers. Calls that name the same non-zero lane arrive one after another in the order sent; others run side
/// by side.
#[async_trait]
pub trait PeerHandler: Send + Sync + 'static {
    /// Answers one call. An `Err` text reaches the caller as [`CallError::Refused`].
    async fn handle(&self, call: PeerCall) -> Result<Bytes, String>;
}

/// The way to the peers.
#[async_trait]
pub trait PeerLinks: Send + Sync + 'static {
    /// Asks a peer and waits for the answer until the deadline.
    ///
    /// # Errors
    /// See [`CallError`]; it tells whether the call was handled.
    async fn call(
        &self,
        to: NodeId,
        kind: u32,
        group: u32,
        lane: u32,
        payload: Bytes,
        deadline: Duration,
    ) -> Result<Bytes, CallError>;

    /// Sends a snapshot of a group to a peer and waits until it is installed.
    ///
    /// # Errors
    /// See [`CallError`].
    async fn send_snapshot(
        &self,
        to: NodeId,
        group: u32,
        head: Bytes,
        data: Bytes,
        deadline: Duration,
    ) -> Result<Bytes, CallError>;

    /// Whether calls to the peer have a way, as far as is known: a link of this node, or one over a common node.
    fn is_reached(&self, peer: NodeId) -> bool;
}

/// Why a call to a peer gave no answer.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CallError {
    /// No link to the peer: it was not sent. Not applied.
    #[error("no link to the peer: {0}")]
    Unreachable(String),
    /// Sent, no answer in time or the link broke: whether it was handled is unknown.
    #[error("no answer: {0}")]
    Unknown(String),
    /// The peer answered that it cannot. Not applied.
    #[error("refused by the peer: {0}")]
    Refused(String),
    /// Too many calls wait on the link. Not sent.
    #[error("the link is full")]
    Full,
}
