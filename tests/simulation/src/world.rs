//! Everything there is, and the order in which it happens: events by time, then by the order in which they were made.

use crate::{
    clients::Client, group::Group, invariants::Violation, network::Network, node::Node, oracle::Oracle, plan::Plan,
    trace::Trace,
};
use rollcall_cluster::ClusterState;
use rollcall_presence::PartitionState;
use std::{cmp::Reverse, collections::BinaryHeap};

/// Something that happens.
pub(crate) type Task = Box<dyn FnOnce(&mut World)>;

/// The world of one run. Times are in milliseconds of true time, which nobody in it can read.
pub(crate) struct World {
    pub(crate) now: u64,
    pub(crate) plan: Plan,
    pub(crate) random: fastrand::Rng,
    pub(crate) network: Network,
    pub(crate) nodes: Vec<Node>,
    pub(crate) cluster: Group<ClusterState>,
    pub(crate) partitions: Vec<Group<PartitionState>>,
    pub(crate) clients: Vec<Client>,
    pub(crate) oracle: Oracle,
    pub(crate) trace: Trace,
    pub(crate) next_connection: u64,
    pub(crate) violation: Option<Violation>,
    /// Clients do nothing any more.
    pub(crate) quiet: bool,
    queue: BinaryHeap<Reverse<Scheduled>>,
    sequence: u64,
}

struct Scheduled {
    at: u64,
    sequence: u64,
    task: Task,
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.sequence) == (other.at, other.sequence)
    }
}

impl Eq for Scheduled {}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.sequence).cmp(&(other.at, other.sequence))
    }
}

impl World {
    pub(crate) fn new(plan: Plan, whole_trace: bool) -> World {
        let random = fastrand::Rng::with_seed(plan.seed);
        let (cluster, partitions) = crate::group::founded(&plan);
        let nodes = (0..plan.nodes).map(|place| Node::new(place, &plan, &cluster, &partitions)).collect();
        World {
            now: 0,
            network: Network::new(plan.nodes),
            clients: (0..plan.clients).map(Client::new).collect(),
            oracle: Oracle::new(&plan),
            trace: Trace::new(whole_trace),
            next_connection: 1,
            violation: None,
            quiet: false,
            queue: BinaryHeap::new(),
            sequence: 0,
            random,
            nodes,
            cluster,
            partitions,
            plan,
        }
    }

    /// Lets something happen after a while.
    pub(crate) fn after(&mut self, delay: u64, task: Task) {
        self.sequence += 1;
        self.queue.push(Reverse(Scheduled { at: self.now + delay, sequence: self.sequence, task }));
    }

    /// Lets the process that runs on a node now do something after a while: never, if it has died by then, and later, if
    /// it stands still.
    pub(crate) fn at_node(&mut self, node: usize, delay: u64, task: Task) {
        let process = self.nodes[node].process;
        self.at_process(node, process, delay, task);
    }

    pub(crate) fn at_process(&mut self, node: usize, process: u64, delay: u64, task: Task) {
        self.after(
            delay,
            Box::new(move |world| {
                let there = &mut world.nodes[node];
                if !there.up || there.process != process {
                    return;
                }
                if there.paused {
                    there.backlog.push(task);
                } else {
                    task(world);
                }
            }),
        );
    }

    /// Runs until this time, or until a promise is broken.
    pub(crate) fn run_until(&mut self, end: u64) {
        while self.violation.is_none() {
            match self.queue.peek() {
                Some(Reverse(next)) if next.at <= end => {}
                _ => break,
            }
            let Some(Reverse(next)) = self.queue.pop() else { break };
            self.now = next.at;
            (next.task)(self);
        }
        self.now = self.now.max(end);
    }

    pub(crate) fn note(&mut self, text: &str) {
        self.trace.line(self.now, text);
    }

    /// A promise does not hold. The first one counts.
    pub(crate) fn broken(&mut self, invariant: &'static str, detail: String) {
        if self.violation.is_none() {
            self.note(&format!("VIOLATION {invariant}: {detail}"));
            self.violation = Some(Violation { invariant, detail });
        }
    }

    /// What a check found.
    pub(crate) fn judge(&mut self, verdict: Result<(), Violation>) {
        if let Err(Violation { invariant, detail }) = verdict {
            self.broken(invariant, detail);
        }
    }
}
