//! Routes of one node at another: any loss and any order in between, and both agree in the end.

use proptest::{collection::vec, prelude::*};
use rollcall_routing::{
    Draw, OwnRoutes, PeerRoutes, Route, RouteChange, RouteDigest, RouteSnapshot, Strategy as Choice, Told,
    filter_matches, split_shared,
};
use rollcall_types::{Home, Incarnation, NodeId};
use std::collections::{BTreeMap, BTreeSet};

const PEER: NodeId = NodeId(2);
const FILTERS: [&str; 7] = ["a", "a/+", "#", "$share/g/a/#", "$share/g/a", "$share/h/a/#", "b/c"];
const TOPICS: [&str; 5] = ["a", "a/b", "b/c", "$x", "c/d/e"];

#[derive(Clone, Debug)]
enum Step {
    Add(usize),
    Remove(usize),
    /// No member of a shared filter has a connection any more.
    AllAway(usize),
    /// The node begins a new incarnation.
    Restart,
    /// Something told arrives, from any place of what is under way, and perhaps stays to arrive again.
    Arrives {
        place: usize,
        again: bool,
    },
    Lost(usize),
    /// The peer's node learns which incarnation serves.
    LearnsOfIncarnation,
}

#[derive(Clone, Debug)]
enum Sent {
    Change(RouteChange),
    All(RouteSnapshot),
    Short(RouteDigest),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..FILTERS.len()).prop_map(Step::Add),
        3 => (0..FILTERS.len()).prop_map(Step::Remove),
        2 => (3..6_usize).prop_map(Step::AllAway),
        1 => Just(Step::Restart),
        8 => (any::<usize>(), any::<bool>()).prop_map(|(place, again)| Step::Arrives { place, again }),
        2 => any::<usize>().prop_map(Step::Lost),
        1 => Just(Step::LearnsOfIncarnation),
    ]
}

fn tell(routes: &mut PeerRoutes, sent: &Sent) -> Told {
    match sent {
        Sent::Change(change) => routes.apply(PEER, change),
        Sent::All(snapshot) => routes.install(PEER, snapshot),
        Sent::Short(digest) => routes.compare(PEER, *digest),
    }
}

fn alive(incarnation: u64) -> BTreeMap<NodeId, Option<Incarnation>> {
    BTreeMap::from([(PEER, Some(Incarnation(incarnation)))])
}

proptest! {
    #[test]
    fn tables_converge_whatever_is_lost_repeated_or_reordered(steps in vec(step(), 0..80)) {
        let (mut own, mut incarnation) = (OwnRoutes::new(), 1);
        own.begin(Incarnation(incarnation));
        let mut model = BTreeMap::<&str, u32>::new();
        let mut routes = PeerRoutes::new();
        routes.set_peers(&alive(incarnation));
        let mut under_way: Vec<Sent> = vec![];
        for step in steps {
            match step {
                Step::Add(filter) => {
                    *model.entry(FILTERS[filter]).or_default() += 1;
                    under_way.extend(own.add(FILTERS[filter]).map(Sent::Change));
                }
                Step::Remove(filter) => {
                    if let Some(count) = model.get_mut(FILTERS[filter]) {
                        *count = count.saturating_sub(1);
                    }
                    under_way.extend(own.remove(FILTERS[filter]).map(Sent::Change));
                }
                Step::AllAway(filter) => {
                    let count = own.count(FILTERS[filter]);
                    under_way.extend(own.set_members(FILTERS[filter], count, true).map(Sent::Change));
                }
                Step::Restart => {
                    incarnation += 1;
                    own.begin(Incarnation(incarnation));
                    model.clear();
                }
                Step::Arrives { place, again } if !under_way.is_empty() => {
                    let place = place % under_way.len();
                    let sent = if again { under_way[place].clone() } else { under_way.remove(place) };
                    if tell(&mut routes, &sent) == Told::Missing {
                        under_way.push(Sent::All(own.snapshot()));
                    }
                }
                Step::Lost(place) if !under_way.is_empty() => {
                    let place = place % under_way.len();
                    under_way.remove(place);
                }
                Step::LearnsOfIncarnation => routes.set_peers(&alive(incarnation)),
                _ => {}
            }
        }
        // All that is late arrives; then the two compare, as they do now and then.
        for sent in under_way {
            let _ = tell(&mut routes, &sent);
        }
        if tell(&mut routes, &Sent::Short(own.digest())) == Told::Missing {
            prop_assert_eq!(tell(&mut routes, &Sent::All(own.snapshot())), Told::Known);
        }
        prop_assert_eq!(tell(&mut routes, &Sent::Short(own.digest())), Told::Known);
        model.retain(|_, count| *count > 0);
        for topic in TOPICS {
            let wants = |filter: &str| filter_matches(split_shared(filter).map_or(filter, |(_, bare)| bare), topic);
            let found = routes.interested(topic);
            let plain = model.keys().any(|filter| split_shared(filter).is_none() && wants(filter));
            prop_assert_eq!(found.nodes.contains(&PEER), plain, "{}", topic);
            let groups: BTreeSet<&str> =
                model.keys().filter(|filter| split_shared(filter).is_some() && wants(filter)).copied().collect();
            prop_assert_eq!(found.groups.iter().map(AsRef::as_ref).collect::<BTreeSet<&str>>(), groups);
            for group in found.groups {
                prop_assert_eq!(routes.group(&group).unwrap().weight(), u64::from(model[&*group]));
            }
        }
    }
}

#[test]
fn who_has_not_told_its_routes_wants_everything_and_a_fenced_one_nothing() {
    let mut routes = PeerRoutes::new();
    routes.set_peers(&alive(3));
    assert_eq!(routes.interested("x").nodes, BTreeSet::from([PEER]));
    let mut own = OwnRoutes::new();
    own.begin(Incarnation(3));
    own.add("a");
    own.add("$share/g/x");
    assert_eq!(routes.install(PEER, &own.snapshot()), Told::Known);
    assert!(routes.knows(PEER, Incarnation(3)) && !routes.knows(PEER, Incarnation(4)));
    assert_eq!(routes.interested("a").nodes, BTreeSet::from([PEER]));
    assert!(routes.interested("x").nodes.is_empty() && routes.interested("x").groups.len() == 1);
    routes.fence(PEER, Incarnation(3));
    assert_eq!(routes.interested("a"), Default::default());
    assert_eq!(routes.interested("x"), Default::default());
    assert_eq!(routes.install(PEER, &own.snapshot()), Told::Over, "it never revives");
    routes.set_peers(&alive(4));
    assert_eq!(routes.interested("a").nodes, BTreeSet::from([PEER]), "the next one has not told yet");
    routes.set_peers(&BTreeMap::new());
    assert_eq!(routes.interested("a"), Default::default());
}

#[test]
fn only_the_coming_and_going_of_a_plain_filter_is_told_and_each_change_of_a_shared_one() {
    let mut own = OwnRoutes::new();
    own.begin(Incarnation(1));
    let told: Vec<Option<u32>> =
        ["a", "a", "$share/g/a", "$share/g/a"].map(|f| own.add(f).map(|c| c.route.count)).to_vec();
    assert_eq!(told, [Some(1), None, Some(1), Some(2)]);
    let told: Vec<Option<u32>> = ["a", "a", "a", "$share/g/a"].map(|f| own.remove(f).map(|c| c.route.count)).to_vec();
    assert_eq!(told, [None, Some(0), None, Some(1)]);
    assert_eq!(own.snapshot().routes, [Route { filter: "$share/g/a".to_owned(), count: 1, away: false }]);
    assert_eq!(own.snapshot().sequence, 5);
}

proptest! {
    /// With members here and on peers, each node is chosen as often as it has members, and none is left out or doubled.
    #[test]
    fn a_group_over_several_nodes_is_chosen_by_its_members(here in 0..4_u32, there in vec(0..4_u32, 1..5), rounds in 1..4_u32) {
        const GROUP: &str = "$share/g/a/+";
        let nodes: Vec<NodeId> = (2..).take(there.len()).map(NodeId).collect();
        let mut routes = PeerRoutes::new();
        routes.set_peers(&nodes.iter().map(|node| (*node, Some(Incarnation(1)))).collect());
        routes.set_own(GROUP, here, false);
        routes.set_own("a/+", 7, false);
        let mut members = BTreeMap::from([(Home::Here, here)]);
        for (node, count) in nodes.iter().zip(&there) {
            let told = (*count > 0).then(|| Route { filter: GROUP.to_owned(), count: *count, away: false });
            let snapshot =
                RouteSnapshot { incarnation: Incarnation(1), sequence: 0, routes: told.into_iter().collect() };
            prop_assert_eq!(routes.install(*node, &snapshot), Told::Known);
            members.insert(Home::Peer(*node), *count);
        }
        members.retain(|_, count| *count > 0);
        let draw = Draw { random: 0, client_hash: 0 };
        let mut chosen = BTreeMap::<Home, u32>::new();
        for _ in 0..members.values().sum::<u32>() * rounds {
            let home = routes.choose(GROUP, Choice::RoundRobin, draw, &BTreeSet::new());
            *chosen.entry(home.unwrap()).or_default() += 1;
        }
        prop_assert_eq!(chosen, members.iter().map(|(home, count)| (*home, count * rounds)).collect::<BTreeMap<_, _>>());
        let found = routes.interested("a/b");
        prop_assert_eq!(!found.groups.is_empty(), there.iter().any(|count| *count > 0));
        prop_assert!(found.nodes.is_empty() && found.untold.is_empty());
        prop_assert_eq!(routes.own_groups("a/b").count(), usize::from(here > 0));
        prop_assert_eq!(routes.own_groups("b/b").count(), 0);
        // A node that is fenced is chosen no more, and its members do not come back.
        routes.fence(nodes[0], Incarnation(1));
        members.remove(&Home::Peer(nodes[0]));
        let mut tried = BTreeSet::new();
        while let Some(home) = routes.choose(GROUP, Choice::RoundRobin, draw, &tried) {
            prop_assert!(tried.insert(home));
        }
        prop_assert_eq!(tried, members.keys().copied().collect::<BTreeSet<_>>());
    }
}

#[test]
fn whether_all_members_are_away_is_told_and_matters_while_others_are_left() {
    const GROUP: &str = "$share/g/a";
    let mut own = OwnRoutes::new();
    own.begin(Incarnation(1));
    own.set_members(GROUP, 2, false);
    let mut routes = PeerRoutes::new();
    routes.set_peers(&alive(1));
    routes.set_own(GROUP, 1, true);
    assert_eq!(routes.install(PEER, &own.snapshot()), Told::Known);
    let draw = Draw { random: 0, client_hash: 0 };
    let chosen = |routes: &PeerRoutes, tried: &[Home]| {
        let tried = tried.iter().copied().collect();
        (0..12).filter_map(|_| routes.choose(GROUP, Choice::RoundRobin, draw, &tried)).collect::<BTreeSet<_>>()
    };
    assert_eq!(chosen(&routes, &[]), BTreeSet::from([Home::Peer(PEER)]));
    assert_eq!(chosen(&routes, &[Home::Peer(PEER)]), BTreeSet::from([Home::Here]), "nobody else is left");
    assert_eq!(own.set_members(GROUP, 2, false), None, "nothing new");
    let gone = own.set_members(GROUP, 2, true).unwrap();
    assert_eq!(gone.route, Route { filter: GROUP.to_owned(), count: 2, away: true });
    assert_eq!(routes.apply(PEER, &gone), Told::Known);
    assert_eq!(chosen(&routes, &[]), BTreeSet::from([Home::Here, Home::Peer(PEER)]));
    assert_eq!(routes.compare(PEER, own.digest()), Told::Known);
    let left = own.set_members(GROUP, 0, true).unwrap();
    assert!(!left.route.away);
    assert_eq!(routes.apply(PEER, &left), Told::Known);
    assert_eq!(routes.compare(PEER, own.digest()), Told::Known);
    assert_eq!(chosen(&routes, &[]), BTreeSet::from([Home::Here]));
}
