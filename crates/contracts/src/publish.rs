//! Messages between the brokers of different nodes.

use crate::CallError;
use async_trait::async_trait;
use rollcall_types::{ClientId, Epoch, Message, NodeName};
use std::{fmt, pin::Pin, sync::Arc, time::Duration};

/// Downward call: hands a message to the other nodes. Implemented over the mesh. What one caller hands over reaches
/// each peer in that order.
#[async_trait]
pub trait PeerPublisher: Send + Sync + 'static {
    /// Sends to every other live node, in order per peer. Never blocks: what does not fit in a peer's bounded queue is
    /// dropped and counted (QoS 0).
    fn publish_to_peers(&self, message: Arc<Message>);

    /// The same for what must not be lost (QoS 1 and 2): returns once the message has its place in the queue of every
    /// other live node, which is the back-pressure to the publisher. Whoever hands over the next message of the same
    /// publisher awaits this first, so that the order is kept, and acknowledges once [`Charge::taken`] has come.
    async fn publish(&self, message: Arc<Message>) -> Charge;
}

/// A message on its way to the other nodes.
#[must_use = "the publisher is answered once the message is taken"]
pub struct Charge {
    /// Nodes it was queued for.
    pub nodes: usize,
    /// Comes when each of them has taken charge, or is live no more. It is bounded by the lease of a peer that does not
    /// answer. Check the own lease after it: who lost it meanwhile may have been counted out.
    pub taken: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Charge {
    /// Nobody else is concerned.
    pub fn none() -> Self {
        Charge { nodes: 0, taken: Box::pin(std::future::ready(())) }
    }
}

impl fmt::Debug for Charge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Charge").field("nodes", &self.nodes).finish_non_exhaustive()
    }
}

/// Downward call: a message for one client, to the node that owns its claim. Implemented over the mesh.
#[async_trait]
pub trait OwnerLinks: Send + Sync + 'static {
    /// `true` when the connection of that epoch took it.
    ///
    /// # Errors
    /// See [`CallError`].
    async fn deliver_to_owner(
        &self,
        node: &NodeName,
        client_id: &ClientId,
        epoch: Epoch,
        message: Arc<Message>,
    ) -> Result<bool, CallError>;
}

/// Upward call: a message that a peer, or a due will, hands to this node's subscribers.
pub trait DeliveryTarget: Send + Sync + 'static {
    /// Delivers to the matching sessions of this node only. Never blocks. Where a QoS 1 or 2 delivery met a slow consumer
    /// it tells how long the publisher's acknowledgement should wait, so that its queue does not overflow.
    fn deliver_local(&self, message: Arc<Message>) -> Option<Duration>;
}
