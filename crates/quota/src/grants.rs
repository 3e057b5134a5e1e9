//! Who may admit how much of an instance's rate, as the leader of the cluster group keeps it: grants that ride on leases.
//!
//! Nothing is replicated. A heartbeat says what rate its node **uses** and what it is **asked** for; the answer says what it
//! may use from then on, for as long as the lease that the same answer renews. A node waits for one answer at a time, so a
//! newer heartbeat proves that no older answer counts any more: what a node may use at most is the greater of what it said
//! last and what it was answered since. The sum of that over all nodes is never more than the limit, since an answer takes
//! only what the others leave: one is raised only after another said that it uses less, or its lease is surely over.
//!
//! A new leader knows none of this. Until every living node has said what it uses, or a lease and its margin have passed, it
//! confirms what nodes use and raises nobody.
//!
//! What does not belong here: clocks, heartbeats, and the limiter that holds a node to its grant.

use rollcall_types::{Incarnation, NodeId};
use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
};

/// One in so many of the limit is left to a node that nobody asks, so that its first requests find room.
const FLOOR_PART: u32 = 100;
/// A grant that is off by no more than one in so many of the limit stays as it is, and so do all while nobody is asked for
/// more than half of what it has.
const STEADY_PART: u32 = 50;

/// What a heartbeat says of the quota.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Use {
    /// The rate the node uses; 0 for none.
    pub in_use: u32,
    /// The units a second that it was asked for lately, admitted or not.
    pub demand: u32,
}

/// One node as the leader knows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Grant {
    /// Whose it is.
    pub incarnation: Incarnation,
    /// What it was answered last.
    pub granted: u32,
    /// What it may use at most: what it said last or was answered since, whichever is more.
    pub at_most: u32,
    /// What it was asked for.
    pub demand: u32,
    sequence: u64,
}

/// The grants of one term of leadership.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GrantTable {
    limit: u32,
    nodes: BTreeMap<NodeId, Grant>,
    knows_all: bool,
}

impl GrantTable {
    /// Of an instance that may so many units a second, at the beginning of a term.
    #[must_use]
    pub fn new(limit: u32) -> Self {
        GrantTable { limit, nodes: BTreeMap::new(), knows_all: false }
    }

    /// A heartbeat came; the rate that its node may use from now on. One that comes twice is answered alike; `None` for one
    /// that a newer one has overtaken: it must not be answered at all.
    pub fn heartbeat(&mut self, node: NodeId, incarnation: Incarnation, sequence: u64, said: Use) -> Option<u32> {
        if let Some(known) = self.nodes.get(&node) {
            match (incarnation, sequence).cmp(&(known.incarnation, known.sequence)) {
                Ordering::Less => return None,
                Ordering::Equal => return Some(known.granted),
                Ordering::Greater => {}
            }
        }
        let Use { in_use, demand } = said;
        // What was answered before it is known to count no more.
        let fresh = Grant { incarnation, granted: in_use, at_most: in_use, demand, sequence };
        self.nodes.insert(node, fresh);
        let granted = if self.knows_all { self.next(node, in_use) } else { in_use };
        if let Some(grant) = self.nodes.get_mut(&node) {
            grant.granted = granted;
            grant.at_most = granted.max(in_use);
        }
        Some(granted)
    }

    /// These incarnations live: the grants of all others are over. With `all_leases_were_seen_out` a lease and its margin
    /// have passed since the term began, so that nobody uses what an earlier leader granted and this one has not confirmed.
    pub fn alive(&mut self, alive: impl IntoIterator<Item = (NodeId, Incarnation)>, all_leases_were_seen_out: bool) {
        let alive: BTreeMap<NodeId, Incarnation> = alive.into_iter().collect();
        // A later incarnation than the state shows has been heard of: the state shows it soon.
        self.nodes.retain(|node, grant| alive.get(node).is_some_and(|last| grant.incarnation >= *last));
        let heard: BTreeSet<NodeId> = self.nodes.keys().copied().collect();
        self.knows_all |= all_leases_were_seen_out || alive.keys().all(|node| heard.contains(node));
    }

    /// What all nodes together may use at most.
    #[must_use]
    pub fn at_most(&self) -> u64 {
        self.nodes.values().map(|grant| u64::from(grant.at_most)).sum()
    }

    /// All nodes that were heard of in this term.
    #[must_use]
    pub fn nodes(&self) -> &BTreeMap<NodeId, Grant> {
        &self.nodes
    }

    /// The instance's limit.
    #[must_use]
    pub fn limit(&self) -> u32 {
        self.limit
    }

    fn next(&self, node: NodeId, in_use: u32) -> u32 {
        let others = self.nodes.iter().filter(|(other, _)| **other != node).map(|(_, grant)| u64::from(grant.at_most));
        let left = u64::from(self.limit).saturating_sub(others.sum());
        let left = u32::try_from(left).unwrap_or(u32::MAX);
        let wanted = self.target(node).min(left);
        // Nobody waits for what little it would give up.
        let all_have_a_part = self.nodes.values().all(|grant| grant.granted >= self.floor());
        let is_near = wanted.abs_diff(in_use) <= self.limit / STEADY_PART;
        let nobody_is_short = self.nodes.values().all(|grant| grant.demand <= grant.granted / 2);
        if (is_near || nobody_is_short) && all_have_a_part && in_use <= left { in_use } else { wanted }
    }

    fn count(&self) -> u32 {
        u32::try_from(self.nodes.len()).unwrap_or(u32::MAX).max(1)
    }

    fn floor(&self) -> u32 {
        (self.limit / FLOOR_PART).max(1).min(self.limit / self.count())
    }

    /// What the node would have, could all change at once: what it is asked for and a part of what is left over; where
    /// there is not enough, as much as any other that wants as much or more.
    fn target(&self, node: NodeId) -> u32 {
        let (count, floor) = (self.count(), self.floor());
        let need = |grant: &Grant| grant.demand.max(floor);
        let mut needs: Vec<(u32, NodeId)> = self.nodes.iter().map(|(node, grant)| (need(grant), *node)).collect();
        let sum: u64 = needs.iter().map(|(need, _)| u64::from(*need)).sum();
        if let Some(spare) = u64::from(self.limit).checked_sub(sum) {
            let own = self.nodes.get(&node).map_or(floor, need);
            return own.saturating_add(u32::try_from(spare / u64::from(count)).unwrap_or(u32::MAX));
        }
        needs.sort_unstable();
        let (mut left, mut still) = (self.limit, count);
        for (need, other) in needs {
            let part = need.min(left / still.max(1));
            if other == node {
                return part;
            }
            left -= part;
            still = still.saturating_sub(1);
        }
        floor
    }
}
