//! The other nodes' routes as they told them, and which nodes a message goes to.
//!
//! A node confirms what it is told only once messages can follow it: not before it knows that the other one serves. A
//! node that begins a new incarnation forgets what it was told as the earlier one: while it was counted out, nobody
//! waited for it.

use rollcall_mesh::Taken;
use rollcall_proto::{RouteChange, RoutesDigest, RoutesPart};
use rollcall_routing::{PeerRoutes, RouteDigest, RouteSnapshot, Told};
use rollcall_types::{Incarnation, NodeId};
use std::collections::{BTreeMap, BTreeSet};

/// Routes that a node is told by one other; one that has more gets every message.
const ROUTES_OF_PEER_MAX: usize = 4_000_000;

/// A member as this node knows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Standing {
    /// Its last incarnation.
    pub(crate) last: Incarnation,
    /// It serves, or may soon.
    pub(crate) alive: bool,
}

/// What the others told.
#[derive(Default)]
pub(crate) struct ToldRoutes {
    routes: PeerRoutes,
    members: BTreeMap<NodeId, Standing>,
    me: Incarnation,
    /// As which incarnation this node was told.
    told_as: BTreeMap<NodeId, Incarnation>,
    parts: BTreeMap<NodeId, Parts>,
}

/// Routes of which the last part has not come.
#[derive(Default)]
struct Parts {
    next: u32,
    routes: Vec<(String, u32)>,
}

/// Whether something told counts.
enum Counts {
    Yes,
    /// It is of an incarnation that is not known here yet.
    NotYet,
    Over,
}

impl ToldRoutes {
    /// The other members, and this node's incarnation. Streams to those alive exist already.
    pub(crate) fn set_members(&mut self, me: Incarnation, members: &BTreeMap<NodeId, Standing>) {
        let alive = members.iter().map(|(node, standing)| (*node, standing.alive.then_some(standing.last))).collect();
        self.routes.set_peers(&alive);
        for (node, standing) in members {
            if !standing.alive {
                self.routes.fence(*node, standing.last);
            }
        }
        self.members.clone_from(members);
        self.parts.retain(|node, _| members.contains_key(node));
        self.told_as.retain(|node, _| members.contains_key(node));
        self.me = self.me.max(me);
        for (node, told_as) in &self.told_as {
            if *told_as < self.me {
                self.routes.unlearn(*node);
            }
        }
    }

    /// The nodes that want a message, as far as is known.
    pub(crate) fn wanting(&self, topic: &str) -> BTreeSet<NodeId> {
        let interested = self.routes.interested(topic);
        let mut nodes = interested.nodes;
        for group in &interested.groups {
            nodes.extend(self.routes.nodes_of_group(group));
        }
        nodes
    }

    /// A peer tells a change.
    pub(crate) fn change(&mut self, from: NodeId, change: RouteChange) -> Taken {
        let Some(route) = change.route else { return Taken::Yes };
        let incarnation = Incarnation(change.incarnation);
        let change = rollcall_routing::RouteChange {
            incarnation,
            sequence: change.sequence,
            filter: route.filter,
            count: route.count,
        };
        self.taken(from, incarnation, |routes| routes.apply(from, &change))
    }

    /// A peer tells a part of all its routes.
    pub(crate) fn part(&mut self, from: NodeId, told: RoutesPart) -> Taken {
        let parts = self.parts.entry(from).or_default();
        if told.part == 0 {
            *parts = Parts::default();
        }
        let fits = told.part == parts.next && parts.routes.len() + told.routes.len() <= ROUTES_OF_PEER_MAX;
        if !fits {
            // Not known, so it gets everything.
            self.parts.remove(&from);
            return Taken::Yes;
        }
        let incarnation = Incarnation(told.incarnation);
        if told.last {
            match self.counts(from, incarnation) {
                Counts::Yes => {}
                Counts::NotYet => return Taken::StartOver,
                Counts::Over => {
                    self.parts.remove(&from);
                    return Taken::Yes;
                }
            }
        }
        let Some(parts) = self.parts.get_mut(&from) else { return Taken::Yes };
        parts.next += 1;
        parts.routes.extend(told.routes.into_iter().map(|route| (route.filter, route.count)));
        if !told.last {
            return Taken::Yes;
        }
        let routes = self.parts.remove(&from).map(|parts| parts.routes).unwrap_or_default();
        let receiver = Incarnation(told.receiver);
        // Of a time when nobody waited for this node: the sender tells anew as soon as it knows of this incarnation.
        if receiver < self.me {
            return Taken::Yes;
        }
        let snapshot = RouteSnapshot { incarnation, sequence: told.sequence, routes };
        if self.routes.install(from, &snapshot) == Told::Known {
            self.told_as.insert(from, receiver);
        }
        Taken::Yes
    }

    /// A peer compares, and waits for this before it answers its clients.
    pub(crate) fn digest(&mut self, from: NodeId, told: RoutesDigest) -> Taken {
        let incarnation = Incarnation(told.incarnation);
        let told = RouteDigest { incarnation, sequence: told.sequence, digest: told.digest };
        self.taken(from, incarnation, |routes| routes.compare(from, told))
    }

    fn taken(&mut self, from: NodeId, of: Incarnation, tell: impl FnOnce(&mut PeerRoutes) -> Told) -> Taken {
        match self.counts(from, of) {
            Counts::Yes => {}
            Counts::NotYet => return Taken::StartOver,
            Counts::Over => return Taken::Yes,
        }
        match tell(&mut self.routes) {
            Told::Known | Told::Over => Taken::Yes,
            // One whose routes are not known gets everything, which covers any change.
            Told::Missing if !self.routes.knows(from, Incarnation(0)) => Taken::Yes,
            Told::Missing => Taken::StartOver,
        }
    }

    fn counts(&self, from: NodeId, of: Incarnation) -> Counts {
        match self.members.get(&from) {
            None => Counts::NotYet,
            Some(standing) if of > standing.last => Counts::NotYet,
            Some(standing) if of < standing.last || !standing.alive => Counts::Over,
            Some(_) => Counts::Yes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rollcall_proto::Route;

    const PEER: NodeId = NodeId(2);

    fn with(me: u64, last: u64) -> ToldRoutes {
        let mut told = ToldRoutes::default();
        set(&mut told, me, last, true);
        told
    }

    fn set(told: &mut ToldRoutes, me: u64, last: u64, alive: bool) {
        told.set_members(Incarnation(me), &BTreeMap::from([(PEER, Standing { last: Incarnation(last), alive })]));
    }

    fn all(incarnation: u64, receiver: u64, filters: &[&str]) -> RoutesPart {
        let route = |filter: &&str| Route { filter: (*filter).to_owned(), count: 1 };
        let routes = filters.iter().map(route).collect();
        RoutesPart { incarnation, sequence: 0, receiver, part: 0, last: true, routes }
    }

    fn change(incarnation: u64, sequence: u64, filter: &str, count: u32) -> RouteChange {
        RouteChange { incarnation, sequence, route: Some(Route { filter: filter.to_owned(), count }) }
    }

    fn wants(told: &ToldRoutes, topic: &str) -> bool {
        told.wanting(topic).contains(&PEER)
    }

    #[test]
    fn who_has_told_gets_what_it_wants_and_who_has_not_gets_everything() {
        let mut told = with(1, 1);
        assert!(wants(&told, "x"), "nothing is known");
        assert_eq!(told.part(PEER, all(1, 1, &["a/+", "$share/g/s"])), Taken::Yes);
        assert!(!wants(&told, "x") && wants(&told, "a/1") && wants(&told, "s"));
        assert_eq!(told.change(PEER, change(1, 1, "x", 1)), Taken::Yes);
        assert_eq!(told.change(PEER, change(1, 2, "$share/g/s", 0)), Taken::Yes);
        assert!(wants(&told, "x") && !wants(&told, "s"));
    }

    #[test]
    fn a_gap_or_another_digest_asks_for_all_routes() {
        let mut told = with(1, 1);
        assert_eq!(told.part(PEER, all(1, 1, &[])), Taken::Yes);
        assert_eq!(told.change(PEER, change(1, 2, "x", 1)), Taken::StartOver);
        let other = RoutesDigest { incarnation: 1, sequence: 0, digest: 7 };
        assert_eq!(told.digest(PEER, other), Taken::StartOver);
        assert_eq!(told.digest(PEER, RoutesDigest { digest: 0, ..other }), Taken::Yes);
    }

    #[test]
    fn nothing_is_confirmed_before_messages_can_follow_it() {
        let mut told = with(1, 1);
        assert_eq!(told.change(PEER, change(2, 1, "x", 1)), Taken::StartOver, "it is not known to serve");
        assert_eq!(told.part(PEER, all(2, 1, &["x"])), Taken::StartOver);
        assert_eq!(told.change(NodeId(9), change(1, 1, "x", 1)), Taken::StartOver);
        set(&mut told, 1, 2, true);
        assert_eq!(told.part(PEER, all(2, 1, &["x"])), Taken::Yes);
        assert!(wants(&told, "x") && !wants(&told, "y"));
        set(&mut told, 1, 2, false);
        assert!(!wants(&told, "x"));
        assert_eq!(told.change(PEER, change(2, 1, "y", 1)), Taken::Yes, "it is over");
        assert!(!wants(&told, "y"));
    }

    #[test]
    fn what_was_told_to_an_earlier_incarnation_is_forgotten() {
        let mut told = with(1, 1);
        assert_eq!(told.part(PEER, all(1, 1, &["a"])), Taken::Yes);
        set(&mut told, 2, 1, true);
        assert!(wants(&told, "x"), "changes may have been missed");
        assert_eq!(told.part(PEER, all(1, 1, &["a"])), Taken::Yes);
        assert!(wants(&told, "x"), "still of the earlier time");
        assert_eq!(told.change(PEER, change(1, 1, "b", 1)), Taken::Yes, "it gets everything anyway");
        assert_eq!(told.part(PEER, all(1, 2, &["a"])), Taken::Yes);
        assert!(!wants(&told, "x") && wants(&told, "a"));
    }

    #[test]
    fn routes_may_come_in_parts() {
        let mut told = with(1, 1);
        let (first, second) = (all(1, 1, &["a"]), all(1, 1, &["b"]));
        let first = RoutesPart { last: false, ..first };
        assert_eq!(told.part(PEER, first.clone()), Taken::Yes);
        assert!(wants(&told, "x"));
        assert_eq!(told.part(PEER, first), Taken::Yes, "the stream began anew");
        assert_eq!(told.part(PEER, RoutesPart { part: 1, ..second }), Taken::Yes);
        assert!(wants(&told, "a") && wants(&told, "b") && !wants(&told, "x"));
    }
}
