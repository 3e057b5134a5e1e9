//! Messages between the brokers of different nodes.

use rollcall_types::Message;
use std::sync::Arc;

/// Downward call: hands a message to the other nodes. Implemented over the mesh.
pub trait PeerPublisher: Send + Sync + 'static {
    /// Sends to every other live node, in order per peer. Never blocks: what does not fit in a peer's bounded queue is
    /// dropped and counted (QoS 0).
    fn publish_to_peers(&self, message: Arc<Message>);
}

/// Upward call: a message that a peer, or a due will, hands to this node's subscribers.
pub trait DeliveryTarget: Send + Sync + 'static {
    /// Delivers to the matching sessions of this node only. Never blocks.
    fn deliver_local(&self, message: Arc<Message>);
}
