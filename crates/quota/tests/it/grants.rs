//! Grants over heartbeats that are lost, overtaken and answered by one leader after the other.

use proptest::{collection::vec, prelude::*};
use rollcall_quota::{GrantTable, Use};
use rollcall_types::{Incarnation, NodeId};

const LIMIT: u32 = 1_000;

/// What may happen to a heartbeat.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    Answered,
    RequestLost,
    AnswerLost,
    /// It arrives behind the next one.
    Late,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Beat(usize, Way),
    Demand(usize, u32),
    /// The lease runs out, and the node comes again.
    LeaseLost(usize),
    /// It is declared dead, and stays so.
    Dies(usize),
    NewLeader,
    Tick,
    /// A lease and a margin after the last of them.
    AllLeasesSeenOut,
}

fn step() -> impl Strategy<Value = Step> {
    let node = 0..4_usize;
    let way = prop_oneof![
        8 => Just(Way::Answered),
        1 => Just(Way::RequestLost),
        1 => Just(Way::AnswerLost),
        1 => Just(Way::Late),
    ];
    prop_oneof![
        12 => (node.clone(), way).prop_map(|(node, way)| Step::Beat(node, way)),
        4 => (node.clone(), 0..3_000_u32).prop_map(|(node, demand)| Step::Demand(node, demand)),
        1 => node.clone().prop_map(Step::LeaseLost),
        1 => node.prop_map(Step::Dies),
        1 => Just(Step::NewLeader),
        4 => Just(Step::Tick),
        1 => Just(Step::AllLeasesSeenOut),
    ]
}

#[derive(Clone, Copy, Default)]
struct Node {
    incarnation: u64,
    sequence: u64,
    in_use: u32,
    demand: u32,
    dead: bool,
    /// A heartbeat that has not arrived yet.
    late: Option<(u64, u64, u32)>,
    /// The present leader has heard of it.
    heard: bool,
}

struct World {
    table: GrantTable,
    nodes: Vec<Node>,
}

impl World {
    fn new(nodes: usize) -> World {
        World { table: GrantTable::new(LIMIT), nodes: vec![Node { incarnation: 1, ..Node::default() }; nodes] }
    }

    fn id(place: usize) -> NodeId {
        NodeId(place as u64 + 1)
    }

    fn tell(&mut self, place: usize, incarnation: u64, sequence: u64, in_use: u32) -> Option<u32> {
        let said = Use { in_use, demand: self.nodes[place].demand };
        self.nodes[place].heard = true;
        self.table.heartbeat(World::id(place), Incarnation(incarnation), sequence, said)
    }

    fn beat(&mut self, place: usize, way: Way) {
        let node = &mut self.nodes[place];
        if node.dead {
            return;
        }
        node.sequence += 1;
        let Node { incarnation, sequence, in_use, late, .. } = *node;
        match way {
            Way::RequestLost => {}
            Way::Late => node.late = Some((incarnation, sequence, in_use)),
            Way::Answered | Way::AnswerLost => {
                let answer = self.tell(place, incarnation, sequence, in_use);
                if way == Way::Answered {
                    self.nodes[place].in_use = answer.expect("the newest heartbeat is answered");
                }
                if let Some((incarnation, sequence, in_use)) = late {
                    assert_eq!(self.tell(place, incarnation, sequence, in_use), None, "it was overtaken");
                    self.nodes[place].late = None;
                }
            }
        }
    }

    fn tick(&mut self, all_seen_out: bool) {
        let alive = self.nodes.iter().enumerate().filter(|(_, node)| !node.dead);
        let alive: Vec<_> = alive.map(|(place, node)| (World::id(place), Incarnation(node.incarnation))).collect();
        self.table.alive(alive, all_seen_out);
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Beat(place, way) => self.beat(place, way),
            Step::Demand(place, demand) => self.nodes[place].demand = demand,
            Step::LeaseLost(place) => self.lose(place),
            Step::Dies(place) => {
                self.lose(place);
                // One at least goes on.
                self.nodes[place].dead = place > 0;
            }
            Step::NewLeader => {
                self.table = GrantTable::new(LIMIT);
                self.nodes.iter_mut().for_each(|node| node.heard = false);
            }
            Step::Tick => self.tick(false),
            Step::AllLeasesSeenOut => {
                for place in 0..self.nodes.len() {
                    if !self.nodes[place].heard {
                        self.lose(place);
                    }
                }
                self.tick(true);
            }
        }
    }

    /// The lease has run out: nothing is used any more, and a later incarnation comes.
    fn lose(&mut self, place: usize) {
        let node = &mut self.nodes[place];
        node.in_use = 0;
        node.late = None;
        node.incarnation += 1;
        node.sequence = 0;
    }

    fn in_use(&self) -> Vec<u32> {
        self.nodes.iter().map(|node| node.in_use).collect()
    }

    /// All heartbeats once, in order.
    fn round(&mut self) {
        (0..self.nodes.len()).for_each(|place| self.beat(place, Way::Answered));
        self.tick(false);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    /// Promise 10, `quota_is_never_exceeded`.
    #[test]
    fn what_all_nodes_use_is_never_more_than_the_limit(steps in vec(step(), 1..200)) {
        let mut world = World::new(4);
        for step in steps {
            world.step(step);
            let in_use = world.in_use();
            let sum: u32 = in_use.iter().sum();
            prop_assert!(sum <= LIMIT, "{in_use:?} after {step:?}");
            prop_assert!(world.table.at_most() <= u64::from(LIMIT), "{:?}", world.table);
        }
    }

    /// Whatever happened before: three rounds later the grants are as the demand is.
    #[test]
    fn grants_follow_the_demand_within_three_rounds(
        steps in vec(step(), 0..100),
        demands in vec(0..3_000_u32, 4),
    ) {
        let mut world = World::new(4);
        steps.into_iter().for_each(|step| world.step(step));
        for (node, demand) in world.nodes.iter_mut().zip(&demands) {
            (node.demand, node.dead) = (*demand, false);
        }
        world.round();
        (0..3).for_each(|_| world.round());
        let in_use = world.in_use();
        let wanted: u32 = demands.iter().sum();
        let admitted: u32 = in_use.iter().zip(&demands).map(|(rate, demand)| rate.min(demand)).sum();
        // What each may be off by, and the floor that stays with those whom nobody asks.
        let off = 4 * (LIMIT / 50) + 3 * (LIMIT / 100);
        prop_assert!(admitted + off >= wanted.min(LIMIT), "{in_use:?} for {demands:?}");
    }
}

#[test]
fn all_demand_at_one_node_gets_95_percent_and_moves_with_it() {
    let mut world = World::new(3);
    (0..3).for_each(|_| world.round());
    assert_eq!(world.in_use(), [333, 333, 333], "nobody is asked");
    for place in [1, 0, 2] {
        world.nodes.iter_mut().for_each(|node| node.demand = 0);
        world.nodes[place].demand = 5_000;
        (0..3).for_each(|_| world.round());
        assert!(world.nodes[place].in_use >= 950, "{:?}", world.in_use());
    }
}

/// A call may come over two ways.
#[test]
fn a_heartbeat_that_comes_twice_is_answered_alike() {
    let mut world = World::new(3);
    (0..3).for_each(|_| world.round());
    world.nodes[0].demand = 5_000;
    world.nodes[0].sequence += 1;
    let sequence = world.nodes[0].sequence;
    let first = world.tell(0, 1, sequence, 333);
    world.nodes[1].demand = 5_000;
    assert_eq!(world.tell(0, 1, sequence, 333), first);
    assert!(first.is_some() && world.table.at_most() <= u64::from(LIMIT));
}

#[test]
fn what_a_silent_node_may_still_use_is_nobody_elses() {
    let mut world = World::new(3);
    (0..3).for_each(|_| world.round());
    world.nodes[0].demand = 5_000;
    for _ in 0..5 {
        world.beat(0, Way::Answered);
        world.beat(1, Way::Answered);
        world.tick(false);
    }
    assert_eq!(world.nodes[2].in_use, 333);
    assert!(world.nodes[0].in_use <= 657, "{:?}", world.in_use());
    // Its lease is over.
    world.step(Step::Dies(2));
    world.tick(false);
    (0..3).for_each(|_| world.round());
    assert!(world.nodes[0].in_use >= 950, "{:?}", world.in_use());
}

#[test]
fn a_node_that_comes_again_gets_its_floor_of_those_who_have_it_all() {
    let mut world = World::new(3);
    world.nodes[0].demand = 5_000;
    world.step(Step::Dies(2));
    (0..4).for_each(|_| world.round());
    assert_eq!(world.in_use(), [990, 10, 0]);
    world.nodes[2].dead = false;
    (0..4).for_each(|_| world.round());
    assert_eq!(world.in_use(), [980, 10, 10]);
}

#[test]
fn a_new_leader_raises_nobody_before_it_knows_all() {
    let mut world = World::new(3);
    (0..3).for_each(|_| world.round());
    world.step(Step::NewLeader);
    world.nodes[0].demand = 5_000;
    world.tick(false);
    for _ in 0..5 {
        world.beat(0, Way::Answered);
        world.beat(1, Way::Answered);
        world.tick(false);
        assert_eq!(world.in_use(), [333, 333, 333]);
    }
    // One to hear of all, one to shrink, one to hear of that, one to raise.
    (0..4).for_each(|_| world.round());
    assert!(world.nodes[0].in_use >= 950, "{:?}", world.in_use());
}
