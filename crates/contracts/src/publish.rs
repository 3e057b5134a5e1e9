//! Messages between the brokers of different nodes.

use crate::CallError;
use async_trait::async_trait;
use rollcall_types::{ClientId, Epoch, Message, NodeName};
use std::{fmt, future::Future, pin::Pin, sync::Arc};

/// Downward call: hands a message to the other nodes. Implemented over the mesh.
pub trait PeerPublisher: Send + Sync + 'static {
    /// Sends to every other live node, in order per peer. Never blocks: what does not fit in a peer's bounded queue is
    /// dropped and counted (QoS 0).
    fn publish_to_peers(&self, message: Arc<Message>);

    /// Hands a message over and tells when the other nodes' matching sessions have taken charge of it. Never blocks; the
    /// message has its place in the order of each peer when this returns. An implementation that knows nothing of
    /// acknowledgements says that it is done.
    fn hand_over(&self, message: Arc<Message>) -> HandedOver {
        self.publish_to_peers(message);
        HandedOver::Done
    }
}

/// What became of a message handed to the other nodes.
pub enum HandedOver {
    /// Nothing is waited for.
    Done,
    /// True when every live node with a matching session has it; false when that cannot be said. Resolves in any case, at
    /// the latest when a silent node is fenced.
    Later(Pin<Box<dyn Future<Output = bool> + Send>>),
}

impl fmt::Debug for HandedOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            HandedOver::Done => "Done",
            HandedOver::Later(_) => "Later",
        })
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
    /// Delivers to the matching sessions of this node only. Never blocks.
    fn deliver_local(&self, message: Arc<Message>);
}
