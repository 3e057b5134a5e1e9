//! Who holds what: pure plans, made by the founders or by the controller. A plan travels inside a command, so that
//! plans may change from version to version.
//!
//! Here: the placement of a new cluster and the voters of the cluster group. Moves between placements are planned by
//! [`crate::rebalance`]. Carrying a plan out (learner, caught up, voter, removal) belongs to the controller.

use rollcall_types::{NodeId, PartitionId};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Places each partition on `replicas` distinct nodes, or on all where there are fewer. Replicas are spread so that
/// their number per node differs by at most 1, and so does the number of preferred leaders (the first replicas).
#[must_use]
pub fn initial_placement(nodes: &[NodeId], partitions: u16, replicas: u8) -> BTreeMap<PartitionId, Vec<NodeId>> {
    let nodes: Vec<NodeId> = nodes.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
    let mut spread = Spread::over(nodes.len());
    let wanted = usize::from(replicas).min(nodes.len());
    let mut sets: Vec<Vec<usize>> = (0..partitions).map(|_| spread.next_set(wanted)).collect();
    balance_leaders(&mut sets, nodes.len());
    let named = |set: Vec<usize>| set.into_iter().filter_map(|place| nodes.get(place).copied()).collect();
    (0..partitions).map(PartitionId).zip(sets.into_iter().map(named)).collect()
}

/// How much each node holds so far, and how often two nodes hold the same partition.
struct Spread {
    held: Vec<u32>,
    led: Vec<u32>,
    together: Vec<Vec<u32>>,
}

impl Spread {
    fn over(nodes: usize) -> Self {
        Spread { held: vec![0; nodes], led: vec![0; nodes], together: vec![vec![0; nodes]; nodes] }
    }

    /// The least loaded nodes; among equals those that share the fewest partitions with the ones already chosen, so
    /// that a dead node's load falls on many. The first is the one that leads the least.
    fn next_set(&mut self, wanted: usize) -> Vec<usize> {
        let mut set: Vec<usize> = Vec::with_capacity(wanted);
        while set.len() < wanted {
            let shared = |node: usize| set.iter().map(|other| self.together[node][*other]).sum::<u32>();
            let free = (0..self.held.len()).filter(|node| !set.contains(node));
            let Some(next) = free.min_by_key(|node| (self.held[*node], shared(*node), self.led[*node], *node)) else {
                break;
            };
            set.push(next);
        }
        set.sort_by_key(|node| (self.led[*node], *node));
        if let Some(leader) = set.first() {
            self.led[*leader] += 1;
        }
        for (place, node) in set.iter().enumerate() {
            self.held[*node] += 1;
            for other in set.iter().take(place) {
                self.together[*node][*other] += 1;
                self.together[*other][*node] += 1;
            }
        }
        set
    }
}

/// Moves leadership along chains of partitions from a node that leads two more than another, until none does. With
/// replicas balanced, a leader for each partition with a difference of at most 1 always exists, and such chains reach
/// it (no chain left means that the sum of squares is least).
fn balance_leaders(sets: &mut [Vec<usize>], nodes: usize) {
    while let Some(chain) = lightening_chain(sets, nodes) {
        for (partition, to) in chain {
            if let Some(place) = sets[partition].iter().position(|node| *node == to) {
                sets[partition].swap(0, place);
            }
        }
    }
    for set in sets {
        if let Some((_, followers)) = set.split_first_mut() {
            followers.sort_unstable();
        }
    }
}

/// Changes of leader (partition, new leader) that take one from a node and give it to one that leads at least two
/// fewer, passing it on in between.
pub(crate) fn lightening_chain(sets: &[Vec<usize>], nodes: usize) -> Option<Vec<(usize, usize)>> {
    let mut led = vec![0_u32; nodes];
    for leader in sets.iter().filter_map(|set| set.first()) {
        led[*leader] += 1;
    }
    let mut heavy: Vec<usize> = (0..nodes).collect();
    heavy.sort_by_key(|node| (std::cmp::Reverse(led[*node]), *node));
    for start in heavy {
        // Breadth first: how each node is reached, by which partition and from whom.
        let mut reached: BTreeMap<usize, (usize, usize)> = BTreeMap::new();
        let mut queue = VecDeque::from([start]);
        while let Some(from) = queue.pop_front() {
            if led[from] + 2 <= led[start] {
                return Some(chain_to(from, start, &reached));
            }
            for (partition, set) in sets.iter().enumerate().filter(|(_, set)| set.first() == Some(&from)) {
                for node in set.iter().skip(1) {
                    if *node != start && !reached.contains_key(node) {
                        reached.insert(*node, (partition, from));
                        queue.push_back(*node);
                    }
                }
            }
        }
    }
    None
}

fn chain_to(end: usize, start: usize, reached: &BTreeMap<usize, (usize, usize)>) -> Vec<(usize, usize)> {
    let mut chain = Vec::new();
    let mut node = end;
    while node != start {
        let Some((partition, from)) = reached.get(&node) else { break };
        chain.push((*partition, node));
        node = *from;
    }
    chain
}

/// How many members of the cluster group vote: all of up to two, three of up to four, five from five on. The others
/// are learners.
#[must_use]
pub fn cluster_group_voter_count(members: usize) -> usize {
    match members {
        0..=2 => members,
        3 | 4 => 3,
        _ => 5,
    }
}

/// The voters of the cluster group: present ones stay while they are members, the lowest ids fill up.
#[must_use]
pub fn cluster_group_voters(members: &[NodeId], present: &[NodeId]) -> BTreeSet<NodeId> {
    let members: BTreeSet<NodeId> = members.iter().copied().collect();
    let staying = present.iter().copied().filter(|node| members.contains(node));
    let mut voters: BTreeSet<NodeId> = BTreeSet::new();
    for node in staying.chain(members.iter().copied()) {
        if voters.len() < cluster_group_voter_count(members.len()) {
            voters.insert(node);
        }
    }
    voters
}
