//! Messages to the other nodes: one bounded queue and one ordered stream of calls for each peer.

use bytes::Bytes;
use parking_lot::RwLock;
use prost::Message as _;
use rollcall_contracts::PeerPublisher;
use rollcall_mesh::Mesh;
use rollcall_proto::{DeliverRequest, Kind};
use rollcall_raft::payload;
use rollcall_types::{Message, NodeId};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

/// Messages that wait for one peer; beyond it they are dropped and counted.
const QUEUE_MAX: usize = 16_384;
/// Most messages in one call.
const BATCH_MAX: usize = 256;
/// Longest time for one call; what it carried is lost then (QoS 0).
const DELIVER_WITHIN: Duration = Duration::from_secs(5);
/// Deliveries from one peer keep their order.
const DELIVERY_LANE: u32 = u32::MAX;

/// Hands publishes of this node's clients to the other nodes.
#[derive(Default)]
pub(crate) struct Publisher {
    mesh: OnceLock<Arc<Mesh>>,
    peers: RwLock<BTreeMap<NodeId, mpsc::Sender<Bytes>>>,
    tasks: TaskTracker,
}

impl Publisher {
    /// The links exist from now on.
    pub(crate) fn set_mesh(&self, mesh: Arc<Mesh>) {
        let _ = self.mesh.set(mesh);
    }

    /// Opens a stream to each new peer and ends those of departed ones.
    pub(crate) fn set_peers(&self, peers: &BTreeSet<NodeId>) {
        let Some(mesh) = self.mesh.get() else { return };
        let mut open = self.peers.write();
        open.retain(|peer, _| peers.contains(peer));
        for &peer in peers {
            open.entry(peer).or_insert_with(|| {
                let (sender, queue) = mpsc::channel(QUEUE_MAX);
                self.tasks.spawn(run(Arc::clone(mesh), peer, queue));
                sender
            });
        }
    }

    /// Ends all streams; what waits is lost.
    pub(crate) async fn shutdown(&self) {
        self.peers.write().clear();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl PeerPublisher for Publisher {
    fn publish_to_peers(&self, message: Arc<Message>) {
        let peers = self.peers.read();
        if peers.is_empty() {
            return;
        }
        let Ok(bytes) = payload::encode(message.as_ref()).map(Bytes::from) else { return };
        for sender in peers.values() {
            if sender.try_send(bytes.clone()).is_err() {
                metrics::counter!("rollcall_messages_dropped_total", "reason" => "peer_queue_full").increment(1);
            }
        }
    }
}

async fn run(mesh: Arc<Mesh>, peer: NodeId, mut queue: mpsc::Receiver<Bytes>) {
    let mut messages = Vec::with_capacity(BATCH_MAX);
    while queue.recv_many(&mut messages, BATCH_MAX).await > 0 {
        let count = messages.len() as u64;
        let request = Bytes::from(DeliverRequest { messages: std::mem::take(&mut messages) }.encode_to_vec());
        if mesh.call(peer, Kind::Deliver as u32, 0, DELIVERY_LANE, request, DELIVER_WITHIN).await.is_err() {
            metrics::counter!("rollcall_messages_dropped_total", "reason" => "peer_unreachable").increment(count);
        }
    }
}
