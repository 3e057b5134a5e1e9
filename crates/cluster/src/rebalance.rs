//! The next move between placements: pure, one partition at a time, so that little is under way at once.
//!
//! In this order: replicas leave nodes that leave; partitions get the replicas they lack; replicas spread over zones;
//! replicas per node even out, where that puts no two into one zone; preferred leaders even out, which moves no data.
//! Repeated until nothing is left to do, which comes to an end: each step clears a leaver, fills a gap, or lowers
//! (replicas that share a zone, sum of squared loads, sum of squared leaders) in lexicographic order. Carrying a move
//! out belongs to the controller.

use crate::{ClusterState, planner};
use rollcall_types::{NodeId, PartitionId};
use std::collections::{BTreeMap, BTreeSet};

/// How the planner sees a node.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Standing {
    /// Its failure domain; a node without one is a domain of its own.
    pub zone: Option<String>,
    /// It serves and stays, so it may be given replicas. Others keep what they hold: they may come back.
    pub may_receive: bool,
    /// It leaves, so it must give up what it holds.
    pub must_leave: bool,
}

/// What to plan for.
#[derive(Clone, Debug)]
pub struct Layout<'a> {
    /// All members.
    pub nodes: BTreeMap<NodeId, Standing>,
    /// Who holds what, as wanted so far.
    pub placement: &'a BTreeMap<PartitionId, Vec<NodeId>>,
    /// Replicas wanted for each partition.
    pub wanted: u8,
    /// Partitions that are still on the way to their placement: nothing is changed there but what leaves.
    pub busy: BTreeSet<PartitionId>,
}

/// A partition's next placement.
pub type Move = (PartitionId, Vec<NodeId>);

impl<'a> Layout<'a> {
    /// The layout of a formed cluster; before that, an empty one.
    #[must_use]
    pub fn of(state: &'a ClusterState) -> Self {
        let standing = |m: &crate::Member| Standing {
            zone: m.addresses.zone.clone(),
            may_receive: m.alive().is_some() && !m.leaving,
            must_leave: m.leaving,
        };
        Layout {
            nodes: state.members().iter().map(|(node, member)| (*node, standing(member))).collect(),
            placement: state.placement(),
            wanted: state.facts().map_or(1, |facts| facts.replicas),
            busy: state.moving().keys().copied().collect(),
        }
    }

    /// The next move; `None` when nothing is left to do, or nothing can be done now.
    #[must_use]
    pub fn next_move(&self) -> Option<Move> {
        self.clear_a_leaver()
            .or_else(|| self.fill_a_gap())
            .or_else(|| self.spread_over_zones())
            .or_else(|| self.even_out())
            .or_else(|| self.even_out_leaders())
    }

    fn clear_a_leaver(&self) -> Option<Move> {
        self.placement.iter().find_map(|(partition, replicas)| {
            let place = replicas.iter().position(|node| self.standing(*node).is_none_or(|s| s.must_leave))?;
            let mut next = replicas.clone();
            next.remove(place);
            match self.best_for(&next) {
                Some(node) => next.insert(place, node),
                // Somebody may come who takes it over. Only where nobody can, the partition does with the others.
                None if next.is_empty() || self.may_come(&next) => return None,
                None => {}
            }
            Some((*partition, next))
        })
    }

    fn fill_a_gap(&self) -> Option<Move> {
        self.idle().find_map(|(partition, replicas)| {
            if replicas.len() >= usize::from(self.wanted) {
                return None;
            }
            let mut next = replicas.clone();
            next.push(self.best_for(replicas)?);
            Some((*partition, next))
        })
    }

    /// A replica that shares its zone goes to a zone without one.
    fn spread_over_zones(&self) -> Option<Move> {
        self.idle().find_map(|(partition, replicas)| {
            let shared = self.shared_zones(replicas);
            if shared == 0 {
                return None;
            }
            // The last first, so that the preferred leader stays where it can.
            (0..replicas.len()).rev().find_map(|place| {
                let mut next = replicas.clone();
                next.remove(place);
                let node = self.best_for(&next)?;
                next.insert(place, node);
                (self.shared_zones(&next) < shared).then_some((*partition, next))
            })
        })
    }

    /// One replica goes from a node to one that holds at least two fewer.
    fn even_out(&self) -> Option<Move> {
        let mut receivers: Vec<NodeId> = self.receivers().collect();
        receivers.sort_by_key(|node| (self.held(*node), *node));
        let mut givers = receivers.clone();
        givers.sort_by_key(|node| (std::cmp::Reverse(self.held(*node)), *node));
        for to in &receivers {
            for from in givers.iter().filter(|from| self.held(**from) >= self.held(*to) + 2) {
                // Preferred leaders stay where another partition can move instead.
                let movable = self.idle().filter_map(|(partition, replicas)| {
                    let place = replicas.iter().position(|node| node == from)?;
                    let mut next = replicas.clone();
                    next[place] = *to;
                    let moves = !replicas.contains(to) && self.shared_zones(&next) <= self.shared_zones(replicas);
                    moves.then_some((place == 0, *partition, next))
                });
                if let Some((_, partition, next)) = movable.min_by_key(|(leads, partition, _)| (*leads, *partition)) {
                    return Some((partition, next));
                }
            }
        }
        None
    }

    fn even_out_leaders(&self) -> Option<Move> {
        let nodes: Vec<NodeId> = self.nodes.keys().copied().collect();
        let place = |node: &NodeId| nodes.binary_search(node).ok();
        let partitions: Vec<PartitionId> = self.placement.keys().copied().collect();
        let sets: Vec<Vec<usize>> =
            self.placement.values().map(|replicas| replicas.iter().filter_map(place).collect()).collect();
        let chain = planner::lightening_chain(&sets, nodes.len())?;
        // The end of the chain first: each step by itself moves the lead to a node that leads fewer, or as many.
        let (set, to) = *chain.first()?;
        let partition = *partitions.get(set)?;
        let to = *nodes.get(to)?;
        let mut next = self.placement.get(&partition)?.clone();
        let position = next.iter().position(|node| *node == to)?;
        next.swap(0, position);
        (!self.busy.contains(&partition)).then_some((partition, next))
    }

    fn idle(&self) -> impl Iterator<Item = (&PartitionId, &Vec<NodeId>)> {
        self.placement.iter().filter(|(partition, _)| !self.busy.contains(partition))
    }

    /// Whether a member that stays could join these replicas once it serves.
    fn may_come(&self, others: &[NodeId]) -> bool {
        self.nodes.iter().any(|(node, standing)| !standing.must_leave && !others.contains(node))
    }

    fn standing(&self, node: NodeId) -> Option<&Standing> {
        self.nodes.get(&node)
    }

    fn receivers(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.nodes.iter().filter(|(_, standing)| standing.may_receive && !standing.must_leave).map(|(node, _)| *node)
    }

    fn held(&self, node: NodeId) -> usize {
        self.placement.values().filter(|replicas| replicas.contains(&node)).count()
    }

    /// Who should join these replicas: a zone of its own first, then the least loaded.
    fn best_for(&self, others: &[NodeId]) -> Option<NodeId> {
        self.receivers().filter(|node| !others.contains(node)).min_by_key(|node| {
            let with = [others, &[*node]].concat();
            (self.shared_zones(&with), self.held(*node), *node)
        })
    }

    /// Replicas beyond the first of each zone.
    fn shared_zones(&self, replicas: &[NodeId]) -> usize {
        let zones: BTreeSet<(Option<&str>, NodeId)> = replicas
            .iter()
            .map(|node| match self.standing(*node).and_then(|standing| standing.zone.as_deref()) {
                Some(zone) => (Some(zone), NodeId(0)),
                None => (None, *node),
            })
            .collect();
        replicas.len() - zones.len()
    }
}
