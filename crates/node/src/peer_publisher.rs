//! Messages to and from the other nodes, on the ordered stream of each pair.
//!
//! There is a stream to each node that serves, or may soon: what waits for one that is fenced concerns nobody any more.

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::join_all;
use prost::Message as _;
use rollcall_broker::Broker;
use rollcall_contracts::{Charge, DeliveryTarget as _, PeerPublisher};
use rollcall_mesh::{Mesh, NotQueued, OutgoingStreams, StreamOpening, StreamTarget, Taken};
use rollcall_proto::{StreamItem, stream_item};
use rollcall_raft::payload;
use rollcall_types::{Message, NodeId};
use std::{
    collections::BTreeSet,
    sync::{Arc, OnceLock},
};

/// Hands publishes of this node's clients to the other nodes.
#[derive(Default)]
pub(crate) struct Publisher {
    streams: OnceLock<OutgoingStreams>,
}

/// Messages need nothing before them.
struct NoOpening;

impl StreamOpening for NoOpening {
    fn opening(&self, _to: NodeId) -> Vec<Bytes> {
        Vec::new()
    }
}

impl Publisher {
    /// The links exist from now on.
    pub(crate) fn set_mesh(&self, mesh: Arc<Mesh>) {
        let _ = self.streams.set(OutgoingStreams::new(mesh, Arc::new(NoOpening)));
    }

    /// The other nodes that serve, or may soon.
    pub(crate) fn set_live(&self, peers: &BTreeSet<NodeId>) {
        if let Some(streams) = self.streams.get() {
            streams.set_peers(peers);
        }
    }

    /// The other nodes that serve, or may soon.
    pub(crate) fn live(&self) -> Vec<NodeId> {
        self.streams.get().map(|streams| streams.peers().into_iter().collect()).unwrap_or_default()
    }

    /// Returns once the node has taken what was queued for it before, or is live no more.
    pub(crate) async fn flush(&self, node: NodeId) {
        if let Some(streams) = self.streams.get()
            && let Ok(sent) = streams.send(node, Bytes::new()).await
        {
            let _ = sent.taken().await;
        }
    }

    /// Ends all streams; what waits is lost.
    pub(crate) async fn shutdown(&self) {
        if let Some(streams) = self.streams.get() {
            streams.shutdown().await;
        }
    }

    /// The streams and the encoded message, when there is anybody to send it to.
    fn prepare(&self, message: &Message) -> Option<(&OutgoingStreams, BTreeSet<NodeId>, Bytes)> {
        let streams = self.streams.get()?;
        let peers = streams.peers();
        if peers.is_empty() {
            return None;
        }
        let bytes = match payload::encode(message) {
            Ok(bytes) => Bytes::from(bytes),
            Err(error) => {
                tracing::error!(%error, "a message cannot be encoded");
                return None;
            }
        };
        let item = StreamItem { item: Some(stream_item::Item::Message(bytes)) };
        Some((streams, peers, Bytes::from(item.encode_to_vec())))
    }
}

#[async_trait]
impl PeerPublisher for Publisher {
    fn publish_to_peers(&self, message: Arc<Message>) {
        let Some((streams, peers, item)) = self.prepare(&message) else { return };
        for peer in peers {
            if streams.try_send_untold(peer, item.clone()) == Err(NotQueued::Full) {
                metrics::counter!("rollcall_messages_dropped_total", "reason" => "peer_queue_full").increment(1);
            }
        }
    }

    async fn publish(&self, message: Arc<Message>) -> Charge {
        let Some((streams, peers, item)) = self.prepare(&message) else { return Charge::none() };
        let mut sent = Vec::with_capacity(peers.len());
        for peer in peers {
            // One whose stream ended meanwhile is live no more.
            if let Ok(one) = streams.send(peer, item.clone()).await {
                sent.push(one.taken());
            }
        }
        let nodes = sent.len();
        let taken = Box::pin(async move {
            join_all(sent).await;
        });
        Charge { nodes, taken }
    }
}

/// Hands what peers' streams bring to this node's subscribers.
pub(crate) struct FromPeers(pub(crate) Arc<Broker>);

impl StreamTarget for FromPeers {
    fn take(&self, from: NodeId, item: Bytes) -> Taken {
        if item.is_empty() {
            return Taken::Yes;
        }
        // What cannot be read never can be: to ask again would hold up everything behind it.
        match StreamItem::decode(item).map(|item| item.item) {
            Ok(Some(stream_item::Item::Message(bytes))) => match payload::decode::<Message>(&bytes) {
                Ok(message) => return self.0.deliver_local(Arc::new(message)).map_or(Taken::Yes, Taken::Slowly),
                Err(error) => unreadable(from, &error),
            },
            Ok(None) => unreadable(from, &"an item of an unknown kind"),
            Err(error) => unreadable(from, &error),
        }
        Taken::Yes
    }
}

fn unreadable(from: NodeId, why: &dyn std::fmt::Display) {
    metrics::counter!("rollcall_messages_dropped_total", "reason" => "peer_item_unreadable").increment(1);
    tracing::warn!(peer = %from, %why, "an item of a peer cannot be read");
}
