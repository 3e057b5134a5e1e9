//! The other nodes' routes as they told them, and which nodes a message goes to.
//!
//! A node confirms what it is told only once messages can follow it: not before it knows that the other one serves. A
//! node that begins a new incarnation forgets what it was told as the earlier one: while it was counted out, nobody
//! waited for it.

use rollcall_contracts::{Part, Spread, Unserved};
use rollcall_mesh::Taken;
use rollcall_proto::{Route, RouteChange, RoutesDigest, RoutesPart};
use rollcall_routing::{Affinity, Draw, PeerRoutes, RouteDigest, RouteSnapshot, Strategy, Told};
use rollcall_types::{ClientId, Home, Incarnation, NodeId};
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
    /// How a node is chosen among those with members of a shared group, each as often as it has members.
    strategy: Strategy,
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
    routes: Vec<rollcall_routing::Route>,
}

/// Whether something told counts.
enum Counts {
    Yes,
    /// It is of an incarnation that is not known here yet.
    NotYet,
    Over,
}

impl ToldRoutes {
    /// Nothing was told yet.
    pub(crate) fn new(strategy: Strategy) -> Self {
        ToldRoutes { strategy, ..ToldRoutes::default() }
    }

    /// Which node this is.
    pub(crate) fn identify(&mut self, me: NodeId) {
        self.routes.identify(me);
    }

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

    /// The members of a shared group on this node.
    pub(crate) fn set_own(&mut self, group: &str, count: u32, away: bool) {
        self.routes.set_own(group, count, away);
    }

    /// Who gets a message: nodes with plain subscribers, and one node of each shared group that has members elsewhere. Who
    /// has not told its routes gets everything, but for the groups that others were chosen for.
    pub(crate) fn spread(&self, topic: &str, client_hash: u64) -> Spread {
        self.spread_by(topic, client_hash, |group| self.choose(group, client_hash, &BTreeSet::new()))
    }

    /// The same for what is about one client: each group's node is that client's, for all that know of the same members.
    pub(crate) fn spread_about(&self, topic: &str, about: &ClientId, me: NodeId) -> Spread {
        let of = Affinity::of(about.as_str());
        self.spread_by(topic, 0, |group| self.routes.keeper(group, of, me))
    }

    fn spread_by(&self, topic: &str, client_hash: u64, choose: impl Fn(&str) -> Option<Home>) -> Spread {
        let interested = self.routes.interested(topic);
        if interested.nodes.is_empty() && interested.groups.is_empty() {
            return Spread::here();
        }
        let mut here = Part { client_hash, ..Part::whole() };
        let mut peers: BTreeMap<NodeId, Part> = interested.nodes.iter().map(|node| (*node, Part::plain())).collect();
        for group in &interested.groups {
            match choose(group) {
                Some(Home::Here) => here.groups.push(group.clone()),
                Some(Home::Peer(node)) => {
                    here.except.get_or_insert_default().push(group.clone());
                    let part = peers.entry(node).or_insert_with(Part::none);
                    part.groups.push(group.clone());
                    part.client_hash = client_hash;
                }
                None => {}
            }
        }
        for node in interested.untold {
            let own = self.routes.own_groups(topic).filter(|own| !interested.groups.contains(*own));
            let except = own.chain(&interested.groups).cloned().collect();
            let part = peers.entry(node).or_insert_with(Part::plain);
            (part.except, part.client_hash) = (Some(except), client_hash);
        }
        Spread { here, peers: peers.into_iter().collect(), view: None }
    }

    /// The nodes whose plain subscribers want a message.
    pub(crate) fn wanting(&self, topic: &str) -> BTreeSet<NodeId> {
        self.routes.interested(topic).nodes
    }

    /// Another node for a message of a shared group.
    pub(crate) fn choose_again(&self, unserved: &Unserved) -> Option<Home> {
        self.choose(&unserved.group, unserved.client_hash, &unserved.tried)
    }

    fn choose(&self, group: &str, client_hash: u64, tried: &BTreeSet<Home>) -> Option<Home> {
        let random = if self.strategy == Strategy::Random { rand::random() } else { 0 };
        self.routes.choose(group, self.strategy, Draw { random, client_hash }, tried)
    }

    /// A peer tells a change.
    pub(crate) fn change(&mut self, from: NodeId, change: RouteChange) -> Taken {
        let Some(route) = change.route else { return Taken::Yes };
        let incarnation = Incarnation(change.incarnation);
        let change = rollcall_routing::RouteChange { incarnation, sequence: change.sequence, route: route_of(route) };
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
        parts.routes.extend(told.routes.into_iter().map(route_of));
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

fn route_of(Route { filter, count, away }: Route) -> rollcall_routing::Route {
    rollcall_routing::Route { filter, count, away }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const ME: NodeId = NodeId(1);
    const PEER: NodeId = NodeId(2);
    const OTHER: NodeId = NodeId(3);
    const THIRD: NodeId = NodeId(4);

    fn with(me: u64, last: u64) -> ToldRoutes {
        let mut told = ToldRoutes::default();
        set(&mut told, me, last, true);
        told
    }

    fn set(told: &mut ToldRoutes, me: u64, last: u64, alive: bool) {
        told.set_members(Incarnation(me), &BTreeMap::from([(PEER, Standing { last: Incarnation(last), alive })]));
    }

    fn all(incarnation: u64, receiver: u64, filters: &[&str]) -> RoutesPart {
        let route = |filter: &&str| Route { filter: (*filter).to_owned(), count: 1, away: false };
        let routes = filters.iter().map(route).collect();
        RoutesPart { incarnation, sequence: 0, receiver, part: 0, last: true, routes }
    }

    fn change(incarnation: u64, sequence: u64, filter: &str, count: u32) -> RouteChange {
        RouteChange { incarnation, sequence, route: Some(Route { filter: filter.to_owned(), count, away: false }) }
    }

    fn wants(told: &ToldRoutes, topic: &str) -> bool {
        told.spread(topic, 0).peers.iter().any(|(node, _)| *node == PEER)
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

    fn with_groups(filters: &[(NodeId, &str, u32)]) -> ToldRoutes {
        let mut told = ToldRoutes::default();
        let standing = Standing { last: Incarnation(1), alive: true };
        told.set_members(Incarnation(1), &[PEER, OTHER].map(|node| (node, standing)).into());
        for node in [PEER, OTHER] {
            let routes = filters.iter().filter(|(at, ..)| *at == node);
            let routes = routes
                .map(|(_, filter, count)| Route { filter: (*filter).to_owned(), count: *count, away: false })
                .collect();
            assert_eq!(told.part(node, RoutesPart { routes, ..all(1, 1, &[]) }), Taken::Yes);
        }
        for (_, group, count) in filters.iter().filter(|(at, ..)| *at == ME) {
            told.set_own(group, *count, false);
        }
        told
    }

    /// How often each node serves the group in so many messages, this one included.
    fn served(told: &ToldRoutes, group: &str, topic: &str, messages: usize) -> BTreeMap<NodeId, usize> {
        let mut served = BTreeMap::new();
        for _ in 0..messages {
            let Spread { here, peers, .. } = told.spread(topic, 0);
            let parts = peers.iter().map(|(node, part)| (*node, part)).chain([(ME, &here)]);
            let by: Vec<NodeId> = parts.filter(|(_, part)| part.serves(group)).map(|(node, _)| node).collect();
            assert_eq!(by.len(), 1, "{group} is served by {by:?}");
            *served.entry(by[0]).or_default() += 1;
        }
        served
    }

    #[test]
    fn each_group_is_served_by_one_node_as_often_as_it_has_members() {
        let told = with_groups(&[(ME, "$share/g/s", 1), (PEER, "$share/g/s", 2), (OTHER, "$share/g/s", 3)]);
        assert_eq!(served(&told, "$share/g/s", "s", 60), BTreeMap::from([(ME, 10), (PEER, 20), (OTHER, 30)]));
        assert_eq!(served(&told, "$share/only/s", "s", 10), BTreeMap::from([(ME, 10)]), "nobody else has members");
        let told = with_groups(&[(PEER, "$share/g/#", 1), (OTHER, "$share/h/s", 1), (OTHER, "s", 1)]);
        assert_eq!(served(&told, "$share/g/#", "s", 4), BTreeMap::from([(PEER, 4)]));
        assert_eq!(served(&told, "$share/h/s", "s", 4), BTreeMap::from([(OTHER, 4)]));
        let plain: Vec<_> = told.spread("s", 0).peers.into_iter().map(|(node, part)| (node, part.plain)).collect();
        assert_eq!(plain, [(PEER, false), (OTHER, true)]);
        assert_eq!(told.spread("$share", 0), Spread::here());
    }

    #[test]
    fn who_has_not_told_serves_the_groups_that_nobody_else_was_chosen_for() {
        let mut told = with_groups(&[(ME, "$share/mine/s", 1), (ME, "$share/far/x", 1), (PEER, "$share/g/s", 1)]);
        let third = (THIRD, Standing { last: Incarnation(1), alive: true });
        let mut members = told.members.clone();
        members.extend([third]);
        told.set_members(Incarnation(1), &members);
        for group in ["$share/mine/s", "$share/g/s"] {
            assert_eq!(served(&told, group, "s", 3).len(), 1);
        }
        let peers = told.spread("s", 0).peers;
        let (_, part) = peers.iter().find(|(node, _)| *node == THIRD).unwrap();
        assert!(part.plain && part.serves("$share/unknown/s") && part.serves("$share/far/x"));
    }

    #[test]
    fn a_message_goes_on_to_nodes_that_were_not_tried() {
        let told = with_groups(&[(ME, "$share/g/s", 1), (PEER, "$share/g/s", 1)]);
        let unserved = |group: &str, tried: &[Home]| Unserved {
            group: group.into(),
            tried: tried.iter().copied().collect(),
            client_hash: 0,
        };
        let peer = Home::Peer(PEER);
        assert_eq!(told.choose_again(&unserved("$share/g/s", &[peer])), Some(Home::Here));
        assert_eq!(told.choose_again(&unserved("$share/g/s", &[peer, Home::Here])), None);
        assert_eq!(told.choose_again(&unserved("$share/h/s", &[])), None);
    }

    #[test]
    fn by_the_hash_of_the_client_every_node_chooses_the_same_one_and_tells_it_the_hash() {
        let nodes = [ME, PEER, OTHER];
        // The same three members, as each of the three nodes sees them.
        let views = nodes.map(|me| {
            let mut told = ToldRoutes::new(Strategy::HashOfClient);
            told.identify(me);
            let standing = Standing { last: Incarnation(1), alive: true };
            let others: Vec<NodeId> = nodes.into_iter().filter(|node| *node != me).collect();
            told.set_members(Incarnation(1), &others.iter().map(|node| (*node, standing)).collect());
            for node in others {
                assert_eq!(told.part(node, all(1, 1, &["$share/g/s"])), Taken::Yes);
            }
            told.set_own("$share/g/s", 1, false);
            (me, told)
        });
        let mut reached = BTreeSet::new();
        for client_hash in 0..30 {
            let chosen = views.each_ref().map(|(me, told)| {
                let Spread { here, peers, .. } = told.spread("s", client_hash);
                let all = peers.into_iter().chain([(*me, here)]);
                let serving =
                    |(node, part): (NodeId, Part)| part.serves("$share/g/s").then_some((node, part.client_hash));
                all.filter_map(serving).collect::<Vec<_>>()
            });
            assert_eq!(chosen[0].len(), 1);
            assert_eq!(chosen[0][0].1, client_hash);
            assert!(chosen[1] == chosen[0] && chosen[2] == chosen[0], "{chosen:?}");
            reached.insert(chosen[0][0].0);
        }
        assert_eq!(reached, BTreeSet::from(nodes));
    }

    #[test]
    fn by_chance_all_nodes_with_members_get_some() {
        let mut told = with_groups(&[(ME, "$share/g/s", 1), (PEER, "$share/g/s", 1), (OTHER, "$share/g/s", 1)]);
        told.strategy = Strategy::Random;
        let served = served(&told, "$share/g/s", "s", 300);
        assert!(served.len() == 3 && served.values().all(|count| (20..=180).contains(count)), "{served:?}");
    }

    /// Three nodes that know of the same members, each by itself.
    #[test]
    fn all_nodes_choose_the_same_one_for_a_client_and_only_one() {
        let group = "$share/g/$events/#";
        let topic = "$events/client_connected";
        let counts = [(ME, 1), (PEER, 2), (OTHER, 1)];
        let views: Vec<(NodeId, ToldRoutes)> = counts
            .iter()
            .map(|(me, own)| {
                let mut told = ToldRoutes::default();
                let standing = Standing { last: Incarnation(1), alive: true };
                let others: Vec<_> = counts.iter().filter(|(node, _)| node != me).collect();
                told.set_members(Incarnation(1), &others.iter().map(|(node, _)| (*node, standing)).collect());
                for (node, count) in others {
                    let route = Route { filter: group.to_owned(), count: *count, away: false };
                    let part = RoutesPart { routes: vec![route], ..all(1, 1, &[]) };
                    assert_eq!(told.part(*node, part), Taken::Yes);
                }
                told.set_own(group, *own, false);
                (*me, told)
            })
            .collect();
        let mut served: BTreeMap<NodeId, usize> = BTreeMap::new();
        for client in (0..2000).map(|n| ClientId::new(&format!("client-{n}")).unwrap()) {
            let by: Vec<NodeId> = views
                .iter()
                .filter(|(me, told)| told.spread_about(topic, &client, *me).here.serves(group))
                .map(|(me, _)| *me)
                .collect();
            assert_eq!(by.len(), 1, "{client} is served by {by:?}");
            *served.entry(by[0]).or_default() += 1;
        }
        assert!(
            served.values().sum::<usize>() == 2000 && served[&PEER] > served[&ME].max(served[&OTHER]),
            "{served:?}"
        );
    }
}
