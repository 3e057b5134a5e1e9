//! Operations of an incarnation on a partition: numbered, sent in batches, repeated under the same numbers until their
//! outcome is known. And the leader's housekeeping: missing fences, wills that are due.

use crate::{plan::Broken, world::World};
use rollcall_presence::{Batch, ClaimDetails, Housekeeping, Operation, Outcome, PartitionCommand, Refusal};
use rollcall_types::{ClientId, DisconnectReason, Epoch, OperationNumber};
use std::collections::VecDeque;

/// Most operations in a batch.
const BATCH_MAX: usize = 4;
/// A batch without an outcome is sent again after this.
const RETRY_AFTER_MS: u64 = 120;
/// How often a partition's leader looks for what is due.
const HOUSEKEEPING_EVERY_MS: u64 = 50;

/// One operation.
#[derive(Clone)]
pub(crate) enum Op {
    Claim { connection: u64, details: Box<ClaimDetails> },
    Release { client_id: ClientId, epoch: Epoch, reason: DisconnectReason },
}

/// The queue of one partition on one node.
#[derive(Default)]
pub(crate) struct Queue {
    next: u64,
    pub(crate) waiting: VecDeque<Op>,
    /// Of the batch under way, if there is one.
    under_way: Option<usize>,
    attempt: u64,
}

impl Queue {
    pub(crate) fn begin(&mut self) {
        *self = Queue { next: 1, attempt: self.attempt + 1, ..Queue::default() };
    }

    pub(crate) fn end(&mut self) {
        self.waiting.clear();
        self.under_way = None;
        self.attempt += 1;
    }
}

impl World {
    pub(crate) fn enqueue(&mut self, node: usize, partition: usize, op: Op) {
        if self.nodes[node].serving.is_some() {
            self.nodes[node].queues[partition].waiting.push_back(op);
            self.pump(node, partition);
        }
    }

    /// Sends the next batch, unless one is under way.
    fn pump(&mut self, node: usize, partition: usize) {
        let queue = &mut self.nodes[node].queues[partition];
        if queue.under_way.is_some() || queue.waiting.is_empty() {
            return;
        }
        queue.under_way = Some(queue.waiting.len().min(BATCH_MAX));
        self.try_batch(node, partition);
    }

    /// Proposes the batch under way, and again after a while.
    fn try_batch(&mut self, node: usize, partition: usize) {
        let Some(owner) = self.nodes[node].owner() else { return };
        let again = self.plan.is_broken(Broken::NewNumbersOnRetry);
        let queue = &mut self.nodes[node].queues[partition];
        let Some(count) = queue.under_way else { return };
        queue.attempt += 1;
        let (attempt, first) = (queue.attempt, queue.next);
        let operations = queue.waiting.iter().take(count).map(operation).collect();
        let batch = Batch { owner, first: OperationNumber(first), operations };
        if let Some(leader) = self.partitions[partition].leader {
            self.send(
                node,
                leader,
                Box::new(move |world| {
                    if world.partitions[partition].leader != Some(leader) {
                        return;
                    }
                    let command = world.command(leader, partition, vec![batch], Vec::new());
                    world.propose(
                        partition,
                        leader,
                        command,
                        Box::new(move |world, outcomes| {
                            let Some(outcomes) = outcomes else { return };
                            let outcomes = outcomes.into_iter().next().unwrap_or_default();
                            world.send(
                                leader,
                                node,
                                Box::new(move |world| world.settled(node, partition, first, outcomes)),
                            );
                        }),
                    );
                }),
            );
        }
        self.at_node(
            node,
            RETRY_AFTER_MS,
            Box::new(move |world| {
                let queue = &mut world.nodes[node].queues[partition];
                if queue.under_way.is_some() && queue.attempt == attempt {
                    if again {
                        queue.next += count as u64;
                    }
                    world.try_batch(node, partition);
                }
            }),
        );
    }

    fn command(
        &self,
        leader: usize,
        partition: usize,
        batches: Vec<Batch>,
        housekeeping: Vec<Housekeeping>,
    ) -> PartitionCommand {
        let at = self.nodes[leader].partitions[&partition].clock.at(self.boot(leader));
        PartitionCommand { at, batches, housekeeping }
    }

    /// The outcomes of the batch under way; late ones of an earlier batch change nothing.
    fn settled(&mut self, node: usize, partition: usize, first: u64, mut outcomes: Vec<Outcome>) {
        let queue = &mut self.nodes[node].queues[partition];
        let Some(count) = queue.under_way.filter(|_| queue.next == first) else { return };
        if let [Outcome::Refused(Refusal::Gap { expected })] = outcomes[..]
            && self.plan.is_broken(Broken::NewNumbersOnRetry)
        {
            queue.next = expected.0;
            return;
        }
        queue.next += count as u64;
        queue.under_way = None;
        let done: Vec<Op> = queue.waiting.drain(..count).collect();
        outcomes.resize(count, Outcome::Refused(Refusal::Fenced));
        for (op, outcome) in done.into_iter().zip(outcomes) {
            if let Op::Claim { connection, details } = op {
                self.claimed(node, partition, connection, &details, &outcome);
            }
        }
        self.pump(node, partition);
    }

    /// What the leaders of partitions on this node propose by themselves.
    pub(crate) fn housekeeping_loop(&mut self, node: usize) {
        for partition in 0..self.partitions.len() {
            if self.partitions[partition].leader != Some(node) {
                continue;
            }
            self.catch_up(node, partition);
            let there = &self.nodes[node];
            let Some(replica) = there.partitions.get(&partition) else { continue };
            let missing = |(other, up_to): &(rollcall_types::NodeId, rollcall_types::Incarnation)| {
                replica.state.fenced_up_to(*other).is_none_or(|fenced| fenced < *up_to)
            };
            let fences = there.cluster.state.fences().filter(missing);
            let mut steps: Vec<Housekeeping> =
                fences.map(|(node, up_to)| Housekeeping::Fence { node, up_to }).collect();
            let now = replica.clock.at(self.boot(node));
            if replica.state.next_will_due().is_some_and(|due| due <= now) {
                steps.push(Housekeeping::FireWills { limit: 8 });
            }
            if !steps.is_empty() {
                let command = self.command(node, partition, Vec::new(), steps);
                self.propose(partition, node, command, Box::new(|_, _| {}));
            }
        }
        self.at_node(node, HOUSEKEEPING_EVERY_MS, Box::new(move |world| world.housekeeping_loop(node)));
    }
}

fn operation(op: &Op) -> Operation {
    match op {
        Op::Claim { details, .. } => Operation::Claim(details.clone()),
        Op::Release { client_id, epoch, reason } => {
            Operation::Release { client_id: client_id.clone(), epoch: *epoch, reason: *reason }
        }
    }
}
