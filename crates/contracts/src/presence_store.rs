//! The replicated presence store as the broker and the gateway see it.

use async_trait::async_trait;
use rollcall_presence::{ClaimDetails, Displaced};
use rollcall_types::{ClientId, DisconnectReason, Epoch, LogIndex, NodeName, PartitionId};
use std::{pin::Pin, sync::Arc, time::Instant};

/// Claims, releases and linearizable questions, from any node.
#[async_trait]
pub trait PresenceStore: Send + Sync + 'static {
    /// Commits a claim on a quorum. When the caller gives up waiting (drops the future), the store queues a release
    /// behind the claim by itself, so that nothing is left claimed.
    async fn claim(&self, details: ClaimDetails) -> Result<ClaimGranted, ClaimError>;

    /// Queues the release of a claim. Never blocks; retried until applied or the incarnation is over.
    fn release(&self, client_id: ClientId, epoch: Epoch, reason: DisconnectReason);

    /// Ends a client's connection, wherever it is. `true` when one was online.
    async fn kick(&self, client_id: ClientId) -> Result<bool, ClaimError>;

    /// Queues what is to stand on record as the keep-alive of a claim of this node's, behind everything that was queued
    /// for the client before. Never blocks; retried until applied or the incarnation is over, whether or not anybody
    /// awaits the answer.
    ///
    /// # Errors
    /// When it could not be queued; it will not be recorded then.
    fn record_keep_alive(
        &self,
        _client_id: &ClientId,
        _epoch: Epoch,
        _keep_alive_s: u16,
    ) -> Result<KeepAliveRecorded, ClaimError> {
        Err(ClaimError::NotServing)
    }

    /// Is this client online? Linearizable, within `status_deadline_ms`, or an error; never a guess.
    async fn status(&self, client_id: ClientId) -> Result<StatusAnswer, StatusError>;

    /// Asks like [`Self::status`], for an asker that has many questions under way: the answer goes to `inbox` under
    /// `ticket`, together with others, so that one wake-up serves many. Returns when the asker may give up: an answer
    /// that comes later counts no more. `None` when the store only answers one by one.
    fn ask(&self, _client_id: &ClientId, _ticket: u64, _inbox: &Arc<dyn StatusInbox>) -> Option<Instant> {
        None
    }

    /// Waits until every release queued so far was applied, or the deadline passes. `true` when all were.
    async fn released(&self, deadline: std::time::Duration) -> bool;
}

/// Comes once the record is committed: `true`; `false` when the claim was over before. An error tells that nobody knows
/// yet.
pub type KeepAliveRecorded = Pin<Box<dyn Future<Output = Result<bool, ClaimError>> + Send>>;

/// Where answers to [`PresenceStore::ask`] go.
pub trait StatusInbox: Send + Sync + 'static {
    /// Answers with their tickets. Never blocks.
    fn answers(&self, answers: Vec<(u64, Result<StatusAnswer, StatusError>)>);
}

/// A committed claim.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClaimGranted {
    /// The epoch of this connection.
    pub epoch: Epoch,
    /// The online claim it displaced.
    pub displaced: Option<Displaced>,
}

/// Why a claim was not granted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ClaimError {
    /// No quorum answered in time; whether it was applied is unknown, a release follows it. Retry later.
    #[error("no quorum for the client's partition")]
    Unavailable,
    /// This node's incarnation is over or not yet begun. Retry on another node. Not applied.
    #[error("this node serves no clients now")]
    NotServing,
    /// A newer claim displaced this one before it was answered. Applied; do not retry.
    #[error("displaced by a newer connection")]
    Displaced,
    /// Another account holds the client id. Not applied; do not retry.
    #[error("the client id is held by another account")]
    OtherAccount,
    /// Too many claims wait already. Not applied; retry later.
    #[error("too many connects wait")]
    Busy,
    /// The facts of the connection, its will above all, are larger than a claim may be. Not applied; do not retry.
    #[error("the will and the facts of the connection are too large")]
    TooLarge,
}

/// A linearizable answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StatusAnswer {
    /// Online or not.
    pub online: bool,
    /// The client's partition.
    pub partition: PartitionId,
    /// The read position in that partition's log.
    pub index: LogIndex,
    /// Epoch of the last claim on record.
    pub epoch: Option<Epoch>,
    /// Name of the owner's node, while online.
    pub node: Option<NodeName>,
}

/// Why there is no answer. All may be retried; nothing happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum StatusError {
    /// No quorum confirmed a read point within the deadline.
    #[error("no quorum confirmed the answer in time")]
    NoQuorum,
    /// Too many questions wait already.
    #[error("too many questions wait")]
    Busy,
    /// The node is starting or stopping.
    #[error("the node is not ready")]
    NotReady,
}

/// Upward call: the store tells the broker that a connection of this node has lost its claim.
pub trait ConnectionEnding: Send + Sync + 'static {
    /// The claim of `epoch` is over. A later epoch of the client on this node is not concerned. Never blocks.
    fn claim_ended(&self, client_id: &ClientId, epoch: Epoch, kind: EndingKind);
}

/// How a claim was ended by others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EndingKind {
    /// A newer connection took the client id (v5: DISCONNECT 0x8E).
    Takeover,
    /// An operator ended it (v5: DISCONNECT 0x98).
    Kicked,
    /// The node's incarnation is over: close without a word.
    NodeLost,
}
