//! The other nodes' routes as this node knows them, and who wants a message.
//!
//! A peer whose routes are not known is taken to want everything: a node that has just started must not lose what it
//! accepts. Each peer's routes belong to one incarnation; a newer one starts afresh, and a fenced one's are dropped.

use crate::{
    Affinity, Draw, Group, Route, RouteChange, RouteDigest, RouteSnapshot, Strategy, SubscriptionTable, filter_matches,
    routes::{Members, hash_of},
    split_shared,
};
use rollcall_types::{Home, Incarnation, NodeId};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// What became of something a peer told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Told {
    /// It is known now, or was already.
    Known,
    /// Something before it is missing or differs: ask for all routes.
    Missing,
    /// It is of an incarnation that is over.
    Over,
}

/// The routes of all peers.
#[derive(Clone, Debug, Default)]
pub struct PeerRoutes {
    peers: BTreeMap<NodeId, Peer>,
    table: SubscriptionTable<Interest, ()>,
    /// Members by node, this one's included.
    groups: BTreeMap<Arc<str>, Group<Home>>,
    me: NodeId,
}

/// Who has a route: a node, for itself or as home of some members of a shared group (named by its whole text).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Interest {
    node: NodeId,
    group: Option<Arc<str>>,
}

#[derive(Clone, Debug, Default)]
struct Peer {
    /// The incarnation that serves, or may soon.
    alive: Option<Incarnation>,
    /// Incarnations up to this one are over.
    fenced: Incarnation,
    incarnation: Incarnation,
    /// Number of the last change; `None` until its routes were told.
    sequence: Option<u64>,
    digest: u64,
    shared: BTreeMap<Arc<str>, Members>,
}

/// Who of the other nodes wants a message.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Interested {
    /// Nodes with plain subscriptions, or whose routes are not known.
    pub nodes: BTreeSet<NodeId>,
    /// Those of them whose routes are not known.
    pub untold: BTreeSet<NodeId>,
    /// Shared groups with members there, by their whole text.
    pub groups: BTreeSet<Arc<str>>,
}

impl PeerRoutes {
    /// No peers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Which node this is, so that all choose alike by the hash of a client.
    pub fn identify(&mut self, me: NodeId) {
        self.me = me;
    }

    /// The peers there are, with the incarnations that serve, or may soon. What others told is dropped, earlier
    /// incarnations are over, and one that serves wants everything until it tells.
    pub fn set_peers(&mut self, peers: &BTreeMap<NodeId, Option<Incarnation>>) {
        let gone: Vec<NodeId> = self.peers.keys().filter(|node| !peers.contains_key(node)).copied().collect();
        for node in gone {
            self.forget(node);
            self.peers.remove(&node);
        }
        for (node, alive) in peers {
            self.peers.entry(*node).or_default().alive = *alive;
            if let Some(Incarnation(alive)) = *alive {
                self.fence(*node, Incarnation(alive.saturating_sub(1)));
            }
        }
    }

    /// Incarnations of a node up to this one are over: their routes are dropped, and nothing is kept for them.
    pub fn fence(&mut self, node: NodeId, up_to: Incarnation) {
        let Some(peer) = self.peers.get_mut(&node) else { return };
        peer.fenced = peer.fenced.max(up_to);
        if peer.incarnation <= up_to {
            self.forget(node);
        }
    }

    /// What is known of a peer counts no more: it wants everything until it tells all its routes again.
    pub fn unlearn(&mut self, node: NodeId) {
        self.forget(node);
    }

    /// A peer tells one change.
    pub fn apply(&mut self, from: NodeId, change: &RouteChange) -> Told {
        let Some(peer) = self.peers.get_mut(&from) else { return Told::Over };
        if change.incarnation < peer.incarnation || change.incarnation <= peer.fenced {
            return Told::Over;
        }
        let Some(sequence) = peer.sequence.filter(|_| change.incarnation == peer.incarnation) else {
            return Told::Missing;
        };
        if change.sequence <= sequence {
            return Told::Known;
        }
        if change.sequence > sequence + 1 {
            return Told::Missing;
        }
        peer.sequence = Some(change.sequence);
        self.set(from, &change.route);
        Told::Known
    }

    /// A peer tells all its routes.
    pub fn install(&mut self, from: NodeId, snapshot: &RouteSnapshot) -> Told {
        let Some(peer) = self.peers.get(&from) else { return Told::Over };
        let older = snapshot.incarnation == peer.incarnation && peer.sequence.is_some_and(|s| s > snapshot.sequence);
        if snapshot.incarnation < peer.incarnation || snapshot.incarnation <= peer.fenced {
            return Told::Over;
        }
        if older {
            return Told::Known;
        }
        self.forget(from);
        if let Some(peer) = self.peers.get_mut(&from) {
            peer.incarnation = snapshot.incarnation;
            peer.sequence = Some(snapshot.sequence);
        }
        for route in &snapshot.routes {
            self.set(from, route);
        }
        Told::Known
    }

    /// A peer tells what its routes are in short. Changes on their way make no difference: what is told travels in
    /// order.
    pub fn compare(&self, from: NodeId, told: RouteDigest) -> Told {
        let Some(peer) = self.peers.get(&from) else { return Told::Over };
        if told.incarnation < peer.incarnation || told.incarnation <= peer.fenced {
            return Told::Over;
        }
        let known = peer.sequence.map(|sequence| (peer.incarnation, sequence, peer.digest));
        match known {
            Some((incarnation, sequence, _)) if incarnation == told.incarnation && sequence > told.sequence => {
                Told::Known
            }
            Some(known) if known == (told.incarnation, told.sequence, told.digest) => Told::Known,
            _ => Told::Missing,
        }
    }

    /// Whether the peer's routes are known, in this incarnation or a later one.
    #[must_use]
    pub fn knows(&self, node: NodeId, incarnation: Incarnation) -> bool {
        self.peers.get(&node).is_some_and(|peer| peer.sequence.is_some() && peer.incarnation >= incarnation)
    }

    /// Who wants a message with this topic.
    #[must_use]
    pub fn interested(&self, topic: &str) -> Interested {
        let unknown = |(node, peer): (&NodeId, &Peer)| {
            let untold = peer.sequence.is_none() && peer.alive.is_some_and(|alive| alive > peer.fenced);
            untold.then_some(*node)
        };
        let untold: BTreeSet<NodeId> = self.peers.iter().filter_map(unknown).collect();
        let mut interested = Interested { nodes: untold.clone(), untold, groups: BTreeSet::new() };
        if self.table.is_empty() {
            return interested;
        }
        self.table.for_each_match(topic, |interest, ()| match &interest.group {
            None => {
                interested.nodes.insert(interest.node);
            }
            Some(group) => {
                interested.groups.insert(Arc::clone(group));
            }
        });
        interested
    }

    /// The members of a shared group on this node, as others are told; 0: none any more. Other filters change nothing.
    pub fn set_own(&mut self, group: &str, count: u32, away: bool) {
        if split_shared(group).is_some() {
            self.set_members(&group.into(), Home::Here, Members { count, away });
        }
    }

    /// The shared groups with members on this node that a message with this topic is for. Looks at every group there is.
    pub fn own_groups(&self, topic: &str) -> impl Iterator<Item = &Arc<str>> {
        let matches = move |group: &str| split_shared(group).is_some_and(|(_, filter)| filter_matches(filter, topic));
        self.groups.iter().filter(move |(text, group)| matches(text) && group.has(&Home::Here)).map(|(text, _)| text)
    }

    /// The members of a shared group by node.
    #[must_use]
    pub fn group(&self, group: &str) -> Option<&Group<Home>> {
        self.groups.get(group)
    }

    /// Chooses a node for a shared group among those with members that were not tried for this message.
    #[must_use]
    pub fn choose(&self, group: &str, strategy: Strategy, draw: Draw, tried: &BTreeSet<Home>) -> Option<Home> {
        let node = |home: &Home| match home {
            Home::Here => self.me,
            Home::Peer(node) => *node,
        };
        self.groups.get(group)?.choose_ranked(strategy, draw, tried, node)
    }

    /// The node whose members of a shared group get all that is about one client; `me` is this node.
    #[must_use]
    pub fn keeper(&self, group: &str, of: Affinity, me: NodeId) -> Option<Home> {
        let name = |home: &Home| match home {
            Home::Here => me.0,
            Home::Peer(node) => node.0,
        };
        self.groups.get(group)?.keeper(of, name)
    }

    fn set(&mut self, node: NodeId, route: &Route) {
        let Some(peer) = self.peers.get_mut(&node) else { return };
        let members = Members { count: route.count, away: route.away };
        let Some((_, filter)) = split_shared(&route.filter) else {
            let (interest, filter) = (Interest { node, group: None }, &route.filter);
            let before = Members { count: u32::from(self.table.has(&interest, filter)), away: false };
            peer.digest ^= hash_of(filter, before) ^ hash_of(filter, members);
            if members.count == 0 {
                self.table.remove(&interest, filter);
            } else {
                self.table.add(interest, filter, ());
            }
            return;
        };
        let text: Arc<str> = route.filter.as_str().into();
        let before = match members.count {
            0 => peer.shared.remove(&text),
            _ => peer.shared.insert(Arc::clone(&text), members),
        };
        peer.digest ^= hash_of(&text, before.unwrap_or_default()) ^ hash_of(&text, members);
        let interest = Interest { node, group: Some(Arc::clone(&text)) };
        if members.count == 0 {
            self.table.remove(&interest, filter);
        } else {
            self.table.add(interest, filter, ());
        }
        self.set_members(&text, Home::Peer(node), members);
    }

    fn set_members(&mut self, text: &Arc<str>, home: Home, members: Members) {
        let group = self.groups.entry(Arc::clone(text)).or_default();
        if members.away {
            group.set_away(home, members.count);
        } else {
            group.set(home, members.count);
        }
        if group.is_empty() {
            self.groups.remove(text);
        }
    }

    /// Drops what is known of a peer's routes.
    fn forget(&mut self, node: NodeId) {
        let Some(peer) = self.peers.get_mut(&node) else { return };
        let shared = std::mem::take(&mut peer.shared);
        peer.sequence = None;
        peer.digest = 0;
        self.table.remove_all(&Interest { node, group: None });
        for text in shared.into_keys() {
            self.set_members(&text, Home::Peer(node), Members::default());
            self.table.remove_all(&Interest { node, group: Some(text) });
        }
    }
}
