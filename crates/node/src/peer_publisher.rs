//! Messages and routes to and from the other nodes, on the ordered stream of each pair.
//!
//! A message goes to the nodes that told a route for it, and to those that have not told yet.
//! There is a stream to each node that serves, or may soon: what waits for one that is fenced concerns nobody any more.

use crate::{
    own_routes::Own,
    told_routes::{Standing, ToldRoutes},
};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::join_all;
use parking_lot::{Mutex, RwLock};
use prost::Message as _;
use rollcall_broker::Broker;
use rollcall_contracts::{Announced, Charge, DeliveryTarget as _, PeerPublisher, RouteBoard};
use rollcall_mesh::{Mesh, NotQueued, OutgoingStreams, StreamOpening, StreamTarget, Taken};
use rollcall_proto::{StreamItem, stream_item};
use rollcall_raft::payload;
use rollcall_types::{Incarnation, Message, NodeId};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// How often the other nodes compare what they know of this node's routes.
const COMPARE_EVERY: Duration = Duration::from_secs(10);

/// Hands publishes of this node's clients to the other nodes that want them, and tells those what is wanted here.
#[derive(Default)]
pub(crate) struct Publisher {
    streams: OnceLock<OutgoingStreams>,
    routes: Arc<Routes>,
    begun: watch::Sender<Incarnation>,
}

/// What is told and what was told. Where both are locked, `own` comes first.
#[derive(Default)]
pub(crate) struct Routes {
    own: Mutex<Own>,
    told: RwLock<ToldRoutes>,
}

impl StreamOpening for Routes {
    fn opening(&self, to: NodeId) -> Vec<Bytes> {
        self.own.lock().whole(to)
    }
}

impl Publisher {
    /// For what peers tell.
    pub(crate) fn routes(&self) -> Arc<Routes> {
        self.routes.clone()
    }

    /// The links exist from now on.
    pub(crate) fn set_mesh(&self, mesh: Arc<Mesh>) {
        let _ = self.streams.set(OutgoingStreams::new(mesh, self.routes.clone()));
    }

    /// The other members, and the incarnation of this node that serves, or may soon.
    pub(crate) fn set_members(&self, me: Option<Incarnation>, members: &BTreeMap<NodeId, Standing>) {
        let Some(streams) = self.streams.get() else { return };
        let me = me.unwrap_or_default();
        let live: BTreeMap<NodeId, Incarnation> = members
            .iter()
            .filter(|(_, standing)| standing.alive)
            .map(|(node, standing)| (*node, standing.last))
            .collect();
        // What a stream opens with names the incarnations, and what is confirmed needs the stream: in this order.
        let untold = self.routes.own.lock().set_live(me, &live);
        let open = streams.peers();
        streams.set_peers(&live.into_keys().collect());
        self.routes.told.write().set_members(me, members);
        let own = self.routes.own.lock();
        for node in untold.into_iter().filter(|node| open.contains(node)) {
            for part in own.whole(node) {
                // Where there is no room, the next change shows a gap, and the stream begins anew.
                let _ = streams.try_send_untold(node, part);
            }
        }
        drop(own);
        self.begun.send_if_modified(|begun| std::mem::replace(begun, me.max(*begun)) < me);
    }

    /// Waits until messages go where clients of this incarnation want them: all members that came before are known.
    pub(crate) async fn begun(&self, incarnation: Incarnation) {
        // The sender lives as long as this.
        let _ = self.begun.subscribe().wait_for(|begun| *begun >= incarnation).await;
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

    /// Has the other nodes compare now and then, so that no difference lasts.
    pub(crate) async fn compare_now_and_then(&self, stop: CancellationToken) {
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = tokio::time::sleep(COMPARE_EVERY) => self.tell(|own| Some(own.digest())),
            }
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
        let peers = self.routes.told.read().wanting(&message.topic);
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

    fn tell(&self, change: impl FnOnce(&mut Own) -> Option<Bytes>) {
        // Queued under the lock, so that changes leave in the order of their numbers.
        let mut own = self.routes.own.lock();
        if let Some(item) = change(&mut own)
            && let Some(streams) = self.streams.get()
        {
            for peer in streams.peers() {
                let _ = streams.try_send_untold(peer, item.clone());
            }
        }
    }
}

impl RouteBoard for Publisher {
    fn route_added(&self, filter: &str) {
        self.tell(|own| own.add(filter));
    }

    fn route_removed(&self, filter: &str) {
        self.tell(|own| own.remove(filter));
    }

    fn announce(&self) -> Option<Announced> {
        let streams = self.streams.get()?;
        let own = self.routes.own.lock();
        let peers = streams.peers();
        if peers.is_empty() {
            return None;
        }
        let item = own.digest();
        let mut sent = Vec::with_capacity(peers.len());
        for peer in peers {
            match streams.try_send(peer, item.clone()) {
                Ok(one) => sent.push(one.taken()),
                // It is live no more.
                Err(NotQueued::Gone) => {}
                Err(NotQueued::Full) => return Some(Box::pin(std::future::ready(false))),
            }
        }
        Some(Box::pin(async move {
            join_all(sent).await;
            true
        }))
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

/// Hands what peers' streams bring to this node's subscribers, and to its view of their routes.
pub(crate) struct FromPeers {
    pub(crate) broker: Arc<Broker>,
    pub(crate) routes: Arc<Routes>,
}

impl StreamTarget for FromPeers {
    fn take(&self, from: NodeId, item: Bytes) -> Taken {
        if item.is_empty() {
            return Taken::Yes;
        }
        // What cannot be read never can be: to ask again would hold up everything behind it.
        match StreamItem::decode(item).map(|item| item.item) {
            Ok(Some(stream_item::Item::Message(bytes))) => match payload::decode::<Message>(&bytes) {
                Ok(message) => {
                    metrics::counter!("rollcall_peer_messages_received_total").increment(1);
                    return self.broker.deliver_local(Arc::new(message)).map_or(Taken::Yes, Taken::Slowly);
                }
                Err(error) => unreadable(from, &error),
            },
            Ok(Some(stream_item::Item::RouteChange(change))) => return self.routes.told.write().change(from, change),
            Ok(Some(stream_item::Item::Routes(part))) => return self.routes.told.write().part(from, part),
            Ok(Some(stream_item::Item::RoutesDigest(digest))) => return self.routes.told.write().digest(from, digest),
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
