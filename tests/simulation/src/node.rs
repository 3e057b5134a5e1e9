//! One node: what it keeps in memory, its clock, and how it dies and comes back.

use crate::{
    broker::Connection,
    group::{Group, Rules},
    operations::Queue,
    plan::Plan,
    world::{Task, World},
};
use rollcall_cluster::{ClusterClock, ClusterState, LeaseTable, NodeLease};
use rollcall_presence::PartitionState;
use rollcall_types::{BootTime, ClusterTime, FeedPosition, Incarnation, NodeId, Owner};
use std::collections::{BTreeMap, BTreeSet};

/// A replica of a group.
pub(crate) struct Replica<S> {
    pub(crate) state: S,
    pub(crate) applied: u64,
    pub(crate) clock: ClusterClock,
}

impl<S: Rules> Replica<S> {
    fn restored(group: &Group<S>, now: BootTime) -> Self {
        let (applied, state) = group.restored();
        let clock = ClusterClock::new(state.time(), now, ClusterTime(1));
        Replica { state, applied, clock }
    }
}

/// One node.
pub(crate) struct Node {
    pub(crate) id: NodeId,
    /// Grows with each start: what an earlier process had under way never happens.
    pub(crate) process: u64,
    pub(crate) up: bool,
    pub(crate) paused: bool,
    pub(crate) backlog: Vec<Task>,
    rate: u64,
    offset: u64,
    pub(crate) cluster: Replica<ClusterState>,
    pub(crate) partitions: BTreeMap<usize, Replica<PartitionState>>,
    pub(crate) lease: NodeLease,
    /// The incarnation of the present term of serving, with or without a lease yet.
    pub(crate) serving: Option<Incarnation>,
    pub(crate) table: LeaseTable,
    pub(crate) led_term: u64,
    pub(crate) connections: BTreeMap<u64, Connection>,
    pub(crate) queues: Vec<Queue>,
    pub(crate) cursors: Vec<FeedPosition>,
    /// Epochs that ended before this node knew that they were its own.
    pub(crate) ended: BTreeSet<(usize, u64)>,
    /// Connections and claims that did not fit each other at the last comparison.
    pub(crate) suspects: BTreeSet<(String, u64)>,
    /// The last read point heard of, by partition: only for a broken rule.
    pub(crate) old_points: BTreeMap<usize, u64>,
}

impl Node {
    pub(crate) fn new(
        place: usize,
        plan: &Plan,
        cluster: &Group<ClusterState>,
        partitions: &[Group<PartitionState>],
    ) -> Node {
        let offset = 10_000 * (place as u64 + 1);
        let mut node = Node {
            id: NodeId(place as u64 + 1),
            process: 0,
            up: false,
            paused: false,
            backlog: Vec::new(),
            rate: plan.clock_rates[place],
            offset,
            cluster: Replica::restored(cluster, BootTime(offset)),
            partitions: BTreeMap::new(),
            lease: NodeLease::new(plan.terms()),
            serving: None,
            table: LeaseTable::new(plan.terms()),
            led_term: 0,
            connections: BTreeMap::new(),
            queues: Vec::new(),
            cursors: Vec::new(),
            ended: BTreeSet::new(),
            suspects: BTreeSet::new(),
            old_points: BTreeMap::new(),
        };
        node.forget(place, plan, cluster, partitions, BootTime(offset));
        node
    }

    /// A new process: memory is empty, the disk holds the last snapshot.
    fn forget(
        &mut self,
        place: usize,
        plan: &Plan,
        cluster: &Group<ClusterState>,
        partitions: &[Group<PartitionState>],
        now: BootTime,
    ) {
        self.process += 1;
        self.backlog.clear();
        self.paused = false;
        self.cluster = Replica::restored(cluster, now);
        let hosted = partitions.iter().enumerate().filter(|(_, group)| group.voters.contains(&place));
        self.partitions = hosted.map(|(partition, group)| (partition, Replica::restored(group, now))).collect();
        self.lease = NodeLease::new(plan.terms());
        self.serving = None;
        self.table = LeaseTable::new(plan.terms());
        self.led_term = 0;
        self.connections.clear();
        self.queues = (0..partitions.len()).map(|_| Queue::default()).collect();
        // A reader begins where the feed ends now.
        let end = |group: &Group<PartitionState>| group.state.feed().last_position().unwrap_or_default();
        self.cursors = partitions.iter().map(end).collect();
        self.ended.clear();
        self.suspects.clear();
        self.old_points.clear();
    }

    /// The incarnation whose operations count now.
    pub(crate) fn owner(&self) -> Option<Owner> {
        self.serving.map(|incarnation| Owner { node: self.id, incarnation })
    }
}

impl World {
    /// This node's boot clock, which runs a little fast or slow.
    pub(crate) fn boot(&self, node: usize) -> BootTime {
        let node = &self.nodes[node];
        BootTime(node.offset + self.now * node.rate / 1_000)
    }

    /// Whether this node may send to its clients now.
    pub(crate) fn may_serve(&self, node: usize) -> bool {
        let there = &self.nodes[node];
        there.serving.is_some_and(|incarnation| there.lease.may_serve(incarnation, self.boot(node)))
    }

    pub(crate) fn start_node(&mut self, node: usize) {
        let now = self.boot(node);
        let (plan, nodes) = (&self.plan, &mut self.nodes);
        nodes[node].forget(node, plan, &self.cluster, &self.partitions, now);
        self.nodes[node].up = true;
        self.note(&format!("n{} starts", node + 1));
        self.oracle.reader_began(node, &self.nodes[node].cursors.clone());
        self.at_node(node, 1, Box::new(move |world| world.follow_groups(node)));
        self.at_node(node, 5, Box::new(move |world| world.register(node)));
        self.at_node(node, 5, Box::new(move |world| world.lease_loop(node)));
        self.at_node(node, 5, Box::new(move |world| world.duties_loop(node)));
        self.at_node(node, 20, Box::new(move |world| world.housekeeping_loop(node)));
        self.at_node(node, 30, Box::new(move |world| world.reconcile_loop(node)));
    }

    /// The process is gone, and its sockets with it.
    pub(crate) fn kill_node(&mut self, node: usize) {
        if !self.nodes[node].up {
            return;
        }
        self.note(&format!("n{} is killed", node + 1));
        self.nodes[node].up = false;
        let gone: Vec<u64> = self.nodes[node].connections.keys().copied().collect();
        self.nodes[node].connections.clear();
        for connection in gone {
            self.oracle.broker_closed(connection, self.now);
            self.tell_client_of_close(connection);
        }
    }

    pub(crate) fn pause_node(&mut self, node: usize) {
        self.note(&format!("n{} stands still", node + 1));
        self.nodes[node].paused = true;
    }

    /// Goes on: what came meanwhile is handled in its order.
    pub(crate) fn resume_node(&mut self, node: usize) {
        if !self.nodes[node].paused {
            return;
        }
        self.note(&format!("n{} goes on", node + 1));
        self.nodes[node].paused = false;
        let process = self.nodes[node].process;
        for task in std::mem::take(&mut self.nodes[node].backlog) {
            self.at_process(node, process, 0, task);
        }
    }
}
