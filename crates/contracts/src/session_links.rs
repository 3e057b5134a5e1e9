//! The way of sessions between nodes. What is said is the brokers' own affair; the mechanism carries bytes.

use crate::CallError;
use async_trait::async_trait;
use bytes::Bytes;
use rollcall_types::NodeId;
use std::time::Duration;

/// Downward call: one broker asks another about a session. Implemented over the mesh.
#[async_trait]
pub trait SessionLinks: Send + Sync + 'static {
    /// The other nodes that serve, or may soon.
    fn others(&self) -> Vec<NodeId>;

    /// Asks the broker of a node.
    ///
    /// # Errors
    /// See [`CallError`].
    async fn ask(&self, node: NodeId, request: Bytes, within: Duration) -> Result<Bytes, CallError>;

    /// Returns once a node has taken every message that was queued for it by this node before the call, or serves no
    /// more.
    async fn flush(&self, node: NodeId);
}
