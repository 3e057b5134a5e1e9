//! Messages and routes to the other nodes, on the ordered stream of each pair.
//!
//! A message goes to the nodes that told a route for it, and to those that have not told yet. There is a stream to each
//! node that serves, or may soon: what waits for one that is fenced concerns nobody any more. What comes from the others
//! is `from_peers.rs`, what the items look like `parts.rs`.

use crate::{
    own_routes::Own,
    parts::{Items, failed_groups},
    told_routes::{Standing, ToldRoutes},
};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::join_all;
use parking_lot::{Mutex, RwLock};
use rollcall_contracts::{Announced, Charge, Part, PeerPublisher, RouteBoard, Spread, Unserved};
use rollcall_mesh::{Mesh, NotQueued, OutgoingStreams, Sent, StreamOpening, Taken};
use rollcall_proto::{RouteChange, RoutesDigest, RoutesPart};
use rollcall_routing::Strategy;
use rollcall_types::{ClientId, Home, Incarnation, Message, NodeId};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// How often the other nodes compare what they know of this node's routes.
pub(crate) const COMPARE_EVERY: Duration = Duration::from_secs(10);

/// Hands publishes of this node's clients to the other nodes that want them, and tells those what is wanted here.
#[derive(Default)]
pub(crate) struct Publisher {
    streams: OnceLock<OutgoingStreams>,
    routes: Arc<Routes>,
    begun: watch::Sender<Incarnation>,
    me: OnceLock<NodeId>,
}

/// What is told and what was told. Where both are locked, `own` comes first.
#[derive(Default)]
pub(crate) struct Routes {
    own: Mutex<Own>,
    told: RwLock<ToldRoutes>,
    /// Grows whenever a peer has told something new.
    view: AtomicU64,
}

impl Routes {
    fn new(strategy: Strategy) -> Self {
        Routes { told: RwLock::new(ToldRoutes::new(strategy)), ..Routes::default() }
    }

    fn view(&self) -> u64 {
        self.view.load(Ordering::SeqCst)
    }

    /// A peer tells a change of its routes.
    pub(crate) fn change(&self, from: NodeId, change: RouteChange) -> Taken {
        self.news(|told| told.change(from, change))
    }

    /// A peer tells a part of all its routes.
    pub(crate) fn part(&self, from: NodeId, part: RoutesPart) -> Taken {
        self.news(|told| told.part(from, part))
    }

    /// A peer compares.
    pub(crate) fn digest(&self, from: NodeId, digest: RoutesDigest) -> Taken {
        self.told.write().digest(from, digest)
    }

    fn news(&self, tell: impl FnOnce(&mut ToldRoutes) -> Taken) -> Taken {
        let mut told = self.told.write();
        let taken = tell(&mut told);
        self.view.fetch_add(1, Ordering::SeqCst);
        taken
    }
}

impl StreamOpening for Routes {
    fn opening(&self, to: NodeId) -> Vec<Bytes> {
        self.own.lock().whole(to)
    }
}

impl Publisher {
    /// Members of shared groups are chosen by this strategy.
    pub(crate) fn new(strategy: Strategy) -> Self {
        Publisher { routes: Arc::new(Routes::new(strategy)), ..Publisher::default() }
    }

    /// For what peers tell.
    pub(crate) fn routes(&self) -> Arc<Routes> {
        self.routes.clone()
    }

    /// The links exist from now on.
    pub(crate) fn set_mesh(&self, mesh: Arc<Mesh>) {
        let _ = self.streams.set(OutgoingStreams::new(mesh, self.routes.clone()));
    }

    /// Who this node is, from now on.
    pub(crate) fn identify(&self, me: NodeId) {
        let _ = self.me.set(me);
        self.routes.told.write().identify(me);
    }

    /// Who this node is. Nobody is served before it is known.
    fn me(&self) -> NodeId {
        self.me.get().copied().unwrap_or_default()
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

    /// Has the other nodes compare every so often, so that no difference lasts.
    pub(crate) async fn compare_now_and_then(&self, every: Duration, stop: CancellationToken) {
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = tokio::time::sleep(every) => self.tell(|own| Some(own.digest())),
            }
        }
    }

    /// A subscription more that the others are not told of: what a fault would have to do.
    #[cfg(test)]
    pub(crate) fn route_added_unheard(&self, filter: &str) {
        assert!(self.routes.own.lock().add(filter).is_some());
    }

    /// Ends all streams; what waits is lost.
    pub(crate) async fn shutdown(&self) {
        if let Some(streams) = self.streams.get() {
            streams.shutdown().await;
        }
    }

    /// Queues a message for a peer, waiting for room. `None` when the peer is live no more.
    async fn send(&self, to: NodeId, item: Bytes) -> Option<Sent> {
        self.streams.get()?.send(to, item).await.ok()
    }

    /// A peer has told something new since then.
    fn has_news(&self, view: Option<u64>) -> bool {
        view.is_some_and(|view| view != self.routes.view())
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

    fn members(&self, group: &str, count: u32, away: bool) {
        self.tell(|own| {
            self.routes.told.write().set_own(group, count, away);
            own.set_members(group, count, away)
        });
    }

    fn told(&self, prefix: &str, after: &str, most: usize) -> Vec<(String, u32)> {
        self.routes.own.lock().following(prefix, after, most)
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
    fn spread(&self, topic: &str, client_hash: u64) -> Spread {
        // Looked at first: what comes between is looked at again.
        let view = Some(self.routes.view());
        Spread { view, ..self.routes.told.read().spread(topic, client_hash) }
    }

    fn spread_about(&self, topic: &str, about: &ClientId) -> Spread {
        let view = Some(self.routes.view());
        Spread { view, ..self.routes.told.read().spread_about(topic, about, self.me()) }
    }

    fn choose_again(&self, unserved: &Unserved) -> Option<Home> {
        self.routes.told.read().choose_again(unserved)
    }

    fn publish_to_peers(&self, message: Arc<Message>, peers: Vec<(NodeId, Part)>) {
        if peers.is_empty() {
            return;
        }
        let (Some(streams), Some(items)) = (self.streams.get(), Items::of(&message)) else { return };
        for (peer, part) in peers {
            if streams.try_send_untold(peer, items.for_part(&part)) == Err(NotQueued::Full) {
                metrics::counter!("rollcall_messages_dropped_total", "reason" => "peer_queue_full").increment(1);
            }
        }
    }

    async fn publish(&self, message: Arc<Message>, spread: Spread) -> Charge {
        if self.concerns_nobody(&spread) {
            return Charge::none();
        }
        let Spread { mut peers, view, .. } = spread;
        let Some(items) = Items::of(&message) else { return Charge::none() };
        // All at once, so that each has its place in every queue that has room.
        let queued = peers.iter().map(|(peer, part)| self.send(*peer, items.for_part(part)));
        let mut sent = join_all(queued).await;
        if self.has_news(view) {
            // A session may be moving, and its new node may know already that this one has heard of it. Whoever comes
            // later still finds the message in the queue of the old one.
            let wanting = self.routes.told.read().wanting(&message.topic);
            for node in wanting {
                if !peers.iter().any(|(peer, part)| *peer == node && part.plain) {
                    sent.push(self.send(node, items.for_part(&Part::plain())).await);
                    peers.push((node, Part::plain()));
                }
            }
        }
        Charge { nodes: peers.len(), taken: Box::pin(unserved(peers, sent)) }
    }

    fn concerns_nobody(&self, spread: &Spread) -> bool {
        spread.peers.is_empty() && !self.has_news(spread.view)
    }
}

/// The groups that were not served, once every peer has answered or is live no more.
async fn unserved(peers: Vec<(NodeId, Part)>, sent: Vec<Option<Sent>>) -> Vec<Unserved> {
    let mut unserved = Vec::new();
    for ((peer, part), sent) in peers.into_iter().zip(sent) {
        let answer = match sent {
            Some(sent) => sent.answer().await,
            None => None,
        };
        let client_hash = part.client_hash;
        let failed = failed_groups(part, answer.as_ref()).into_iter();
        let tried = BTreeSet::from([Home::Peer(peer)]);
        unserved.extend(failed.map(|group| Unserved { group, tried: tried.clone(), client_hash }));
    }
    unserved
}
