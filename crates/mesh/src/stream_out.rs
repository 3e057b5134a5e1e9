//! The sending end of the ordered streams: one for each peer, over framed calls.
//!
//! Some batches are under way at once, in one lane, so that they arrive in order. When a call fails its outcome is
//! unknown and everything that is not acknowledged goes again under the same numbers; the receiver takes each number
//! once. A receiver that does not know the stream, or lacks something, is told the opening first. Which way a batch goes,
//! by the peer's own link or over a common node, is the mesh's business, and may change between two batches. What the
//! items mean belongs to the shells above.

use crate::{
    Mesh,
    limits::{PAYLOAD_BYTES_MAX, STREAM_BATCHES_UNDER_WAY, STREAM_CALL_WITHIN, STREAM_PAUSE},
    stream_queue::{NotQueued, Sent, StreamQueue},
};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream::FuturesOrdered};
use parking_lot::RwLock;
use prost::Message as _;
use rollcall_proto::{Kind, StreamAck};
use rollcall_types::NodeId;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The batches of a pair keep their order.
const STREAM_LANE: u32 = u32::MAX;

/// What a peer must know before anything else in a stream; asked whenever one begins.
pub trait StreamOpening: Send + Sync + 'static {
    /// The first items.
    fn opening(&self, to: NodeId) -> Vec<Bytes>;
}

/// The streams of this node to its peers.
pub struct OutgoingStreams {
    mesh: Arc<Mesh>,
    opening: Arc<dyn StreamOpening>,
    peers: RwLock<BTreeMap<NodeId, Outgoing>>,
    tasks: TaskTracker,
}

struct Outgoing {
    queue: Arc<StreamQueue>,
    stop: CancellationToken,
}

/// Why a stream does not go on as it was.
enum Halt {
    /// The outcome of something is unknown, or it came out of turn: send it again.
    Again,
    /// The receiver wants another stream.
    StartOver,
}

impl OutgoingStreams {
    /// No stream yet.
    #[must_use]
    pub fn new(mesh: Arc<Mesh>, opening: Arc<dyn StreamOpening>) -> Self {
        OutgoingStreams { mesh, opening, peers: RwLock::default(), tasks: TaskTracker::new() }
    }

    /// Opens a stream to each new peer and ends those of departed ones: what waited for them counts as not taken.
    pub fn set_peers(&self, peers: &BTreeSet<NodeId>) {
        let mut open = self.peers.write();
        open.retain(|peer, outgoing| {
            let stays = peers.contains(peer);
            if !stays {
                outgoing.end();
            }
            stays
        });
        for &peer in peers {
            open.entry(peer).or_insert_with(|| {
                let (queue, stop) = (Arc::new(StreamQueue::new()), CancellationToken::new());
                let run = run(Arc::clone(&self.mesh), Arc::clone(&self.opening), peer, Arc::clone(&queue));
                let stopped = stop.clone();
                self.tasks.spawn(async move { stopped.run_until_cancelled(run).await });
                Outgoing { queue, stop }
            });
        }
    }

    /// The peers there is a stream to.
    #[must_use]
    pub fn peers(&self) -> BTreeSet<NodeId> {
        self.peers.read().keys().copied().collect()
    }

    /// Queues an item for a peer, waiting for room. Whoever needs an order awaits this before the next one.
    ///
    /// # Errors
    /// `Gone` when there is no stream to the peer, `Full` for an item that is too large for any batch.
    pub async fn send(&self, to: NodeId, item: Bytes) -> Result<Sent, NotQueued> {
        self.queue(to, &item)?.push(item).await
    }

    /// Queues an item for a peer if there is room now.
    ///
    /// # Errors
    /// See [`NotQueued`].
    pub fn try_send(&self, to: NodeId, item: Bytes) -> Result<Sent, NotQueued> {
        self.queue(to, &item)?.try_push(item)
    }

    /// Queues an item that nobody waits for, if there is room now.
    ///
    /// # Errors
    /// See [`NotQueued`].
    pub fn try_send_untold(&self, to: NodeId, item: Bytes) -> Result<(), NotQueued> {
        self.queue(to, &item)?.try_push_untold(item)
    }

    /// Items that a peer is not known to have taken.
    #[must_use]
    pub fn backlog(&self, to: NodeId) -> usize {
        self.peers.read().get(&to).map_or(0, |outgoing| outgoing.queue.len())
    }

    /// Ends all streams; what waits is not taken.
    pub async fn shutdown(&self) {
        self.set_peers(&BTreeSet::new());
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn queue(&self, to: NodeId, item: &Bytes) -> Result<Arc<StreamQueue>, NotQueued> {
        if item.len() > PAYLOAD_BYTES_MAX / 2 {
            return Err(NotQueued::Full);
        }
        self.peers.read().get(&to).map(|outgoing| Arc::clone(&outgoing.queue)).ok_or(NotQueued::Gone)
    }
}

impl Outgoing {
    fn end(&self) {
        self.stop.cancel();
        self.queue.end();
    }
}

impl Drop for OutgoingStreams {
    fn drop(&mut self) {
        self.peers.get_mut().values().for_each(Outgoing::end);
    }
}

async fn run(mesh: Arc<Mesh>, opening: Arc<dyn StreamOpening>, peer: NodeId, queue: Arc<StreamQueue>) {
    let mut ways = mesh.reached_watch();
    let start_over = || queue.start_over(rand::random(), opening.opening(peer));
    start_over();
    loop {
        let Ok(way) = ways.wait_for(|ways| ways.contains_key(&peer)).await.map(|ways| ways.get(&peer).copied()) else {
            return;
        };
        let changed = async { ways.wait_for(|ways| ways.get(&peer).copied() != way).await.is_ok() };
        let halt = tokio::select! {
            halt = send(&mesh, peer, &queue) => halt,
            // What is under way on the old one may never be answered.
            exists = changed => if exists { Halt::Again } else { return },
        };
        match halt {
            Halt::StartOver => {
                // What the receiver lacks may be no item of ours: it asks again until it has it.
                tokio::time::sleep(STREAM_PAUSE).await;
                start_over();
            }
            Halt::Again => {
                tokio::time::sleep(STREAM_PAUSE).await;
                queue.rewind();
            }
        }
    }
}

/// Sends until something does not go as it should.
async fn send(mesh: &Mesh, peer: NodeId, queue: &StreamQueue) -> Halt {
    let mut under_way = FuturesOrdered::new();
    loop {
        while under_way.len() < STREAM_BATCHES_UNDER_WAY
            && let Some((batch, behind)) = queue.next_batch()
        {
            let payload = Bytes::from(batch.encode_to_vec());
            match mesh.begin_call(peer, Kind::Stream as u32, 0, STREAM_LANE, payload, STREAM_CALL_WITHIN) {
                Ok(answer) => under_way.push_back(async move { (behind, answer.wait().await) }),
                Err(_) => return Halt::Again,
            }
        }
        let has_room = under_way.len() < STREAM_BATCHES_UNDER_WAY;
        let (behind, outcome) = tokio::select! {
            Some(answered) = under_way.next() => answered,
            () = queue.filled.notified(), if has_room => continue,
        };
        let ack = match outcome.map(StreamAck::decode) {
            Ok(Ok(ack)) => ack,
            Ok(Err(_)) | Err(_) => return Halt::Again,
        };
        queue.taken_before(ack.next, ack.answers, &ack.slow);
        if ack.start_over {
            queue.peer_has(ack.stream);
            return Halt::StartOver;
        }
        if ack.next < behind {
            return Halt::Again;
        }
    }
}
