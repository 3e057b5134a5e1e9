//! Questions: asked of any node, answered at a read point taken after they came, or not at all.

use crate::{group::partition_of, plan::Broken, world::World};
use rollcall_presence::Status;

/// A question is refused after this.
const DEADLINE_MS: u64 = 1_000;
/// One try to get a read point.
const TRY_MS: u64 = 200;
/// How often a node looks whether its replica stands at a read point.
const WAIT_STEP_MS: u64 = 4;

/// A question on its way.
#[derive(Clone, Copy)]
struct Question {
    id: u64,
    client: usize,
    partition: usize,
    node: usize,
    began: u64,
    /// Where the partition's log ended when it was asked.
    committed: u64,
}

impl World {
    /// Asks about any client at any node, again and again.
    pub(crate) fn question_loop(&mut self) {
        let client = self.random.usize(0..self.clients.len());
        let node = self.random.usize(0..self.nodes.len());
        self.ask(client, node);
        let pause = self.random.u64(1..2 * self.plan.question_pause_ms);
        self.after(pause, Box::new(World::question_loop));
    }

    pub(crate) fn ask(&mut self, client: usize, node: usize) {
        let partition = partition_of(self, &crate::clients::name(client));
        let committed = self.partitions[partition].end();
        let id = self.oracle.asked();
        let question = Question { id, client, partition, node, began: self.now, committed };
        self.at_node(node, 1, Box::new(move |world| world.question_arrives(question)));
    }

    fn question_arrives(&mut self, question: Question) {
        // A node without a replica passes it on, one hop.
        let node = question.node;
        if self.nodes[node].partitions.contains_key(&question.partition) {
            return self.ask_point(question, node);
        }
        let voters = &self.partitions[question.partition].voters;
        let other = voters[self.random.usize(0..voters.len())];
        self.send(node, other, Box::new(move |world| world.ask_point(question, other)));
    }

    /// At a node with a replica: each try is a request of its own.
    fn ask_point(&mut self, question: Question, here: usize) {
        if self.oracle.is_done(question.id) || self.now > question.began + DEADLINE_MS {
            return;
        }
        let partition = question.partition;
        if self.plan.is_broken(Broken::LocalReads) {
            return self.answer(question, here);
        }
        if let Some(point) = self.nodes[here].old_points.get(&partition).copied()
            && self.plan.is_broken(Broken::ReadPointReused)
        {
            return self.wait_for(question, here, point);
        }
        let process = self.nodes[here].process;
        if let Some(leader) = self.partitions[partition].leader {
            self.send(
                here,
                leader,
                Box::new(move |world| {
                    let round = world.random.u64(1..8);
                    let term = world.partitions[partition].term;
                    world.at_node(
                        leader,
                        round,
                        Box::new(move |world| {
                            let group = &world.partitions[partition];
                            let leads = group.leader == Some(leader) && group.term == term;
                            if leads && world.reaches_majority(leader, &group.voters) {
                                let point = group.end();
                                world.send(
                                    leader,
                                    here,
                                    Box::new(move |world| {
                                        world.nodes[here].old_points.insert(partition, point);
                                        world.wait_for(question, here, point);
                                    }),
                                );
                            }
                        }),
                    );
                }),
            );
        }
        self.at_process(here, process, TRY_MS, Box::new(move |world| world.ask_point(question, here)));
    }

    fn wait_for(&mut self, question: Question, here: usize, point: u64) {
        if self.oracle.is_done(question.id) || self.now > question.began + DEADLINE_MS {
            return;
        }
        if self.nodes[here].partitions.get(&question.partition).is_some_and(|replica| replica.applied >= point) {
            return self.answer(question, here);
        }
        self.at_node(here, WAIT_STEP_MS, Box::new(move |world| world.wait_for(question, here, point)));
    }

    fn answer(&mut self, question: Question, here: usize) {
        let Some(replica) = self.nodes[here].partitions.get(&question.partition) else { return };
        let id = crate::clients::name(question.client);
        let (status, index): (Status, u64) = (replica.state.status(&id), replica.applied);
        self.note(&format!("n{} says of c{}: {status:?} at {index}", question.node + 1, question.client));
        self.oracle.done(question.id);
        let verdict = crate::invariants::reads_are_linearizable::check(
            &self.oracle,
            (question.client, question.partition),
            question.committed,
            (status, index),
        );
        self.judge(verdict);
        self.check_false_offline(question.client, question.began, status.online);
    }

    /// `false` while a connection is held whose owner's lease is valid breaks a promise.
    fn check_false_offline(&mut self, client: usize, began: u64, online: bool) {
        if online {
            return;
        }
        let newest = self.partitions.iter().find_map(|group| group.state.status(&crate::clients::name(client)).epoch);
        for held in self.oracle.held_since(client, began) {
            // A later claim has displaced it; its owner learns of it soon.
            if newest.is_some_and(|newest| newest.0 > held.epoch) {
                continue;
            }
            let leased = self.nodes[held.node].up && self.may_serve(held.node);
            let verdict = crate::invariants::no_false_offline::at_answer(&held, leased);
            self.judge(verdict);
        }
    }
}
