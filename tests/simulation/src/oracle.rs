//! The judge. It sees everything that happens, knows ideal time, and has each promise of [`crate::invariants`] looked at
//! where something happens that concerns it.
//!
//! An operation whose outcome nobody learned is judged by the log: what is in it has happened, at its place.

use crate::{
    facts::{self, Facts, Query},
    group::Entry,
    invariants::{
        Verdict, acknowledged_claim_is_not_lost, claims_apply_once, cluster_rules, epochs_only_grow,
        events_follow_the_log, majority_serves, no_false_offline, no_lasting_false_online, one_owner_per_client,
        reads_are_linearizable, replicas_agree, will_fires_once,
    },
    node::{Answer, Process},
    world::World,
};
use rollcall_cluster::ClusterState;
use rollcall_presence::{FeedEntry, PartitionState};
use rollcall_types::{ClientId, Epoch, FeedPosition, Incarnation, NodeId, Owner, PartitionId};
use std::cell::RefCell;

/// A promise that does not hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// Which.
    pub invariant: &'static str,
    /// What contradicts it.
    pub sentence: String,
    /// Ideal time.
    pub at_us: u64,
}

/// The judge of one run.
pub struct Oracle {
    facts: RefCell<Facts>,
    events: RefCell<events_follow_the_log::Readers>,
    wills: RefCell<will_fires_once::Wills>,
    claims: RefCell<claims_apply_once::Connects>,
    reads: RefCell<reads_are_linearizable::Reads>,
    states: RefCell<replicas_agree::States>,
    failure: RefCell<Option<Failure>>,
}

impl Oracle {
    /// A judge of so many partitions.
    pub fn new(partitions: u16) -> Self {
        Oracle {
            facts: RefCell::new(Facts::new(partitions)),
            events: RefCell::default(),
            wills: RefCell::default(),
            claims: RefCell::default(),
            reads: RefCell::default(),
            states: RefCell::default(),
            failure: RefCell::default(),
        }
    }

    /// The first promise that did not hold, if one did not.
    pub fn failure(&self) -> Option<Failure> {
        self.failure.borrow().clone()
    }

    /// Something does not hold: the run ends.
    pub fn fail(&self, world: &World, invariant: &'static str, sentence: String) {
        let mut failure = self.failure.borrow_mut();
        if failure.is_none() {
            world.note(|| format!("VIOLATED {invariant}: {sentence}"));
            *failure = Some(Failure { invariant, sentence, at_us: world.scheduler.now_us() });
            world.scheduler.stop();
        }
    }

    fn judge(&self, world: &World, verdict: Verdict) {
        if let Err((invariant, sentence)) = verdict {
            self.fail(world, invariant, sentence);
        }
    }

    /// How much was judged: queries answered, connections made, takeovers, fences that ended a connection, wills.
    pub fn figures(&self) -> Figures {
        let mut figures = self.facts.borrow().figures;
        figures.wills = self.wills.borrow().fired();
        figures
    }

    /// The cluster group's log has grown.
    pub fn cluster_committed(
        &self,
        world: &World,
        entry: &Entry<ClusterState>,
        before: &ClusterState,
        after: &ClusterState,
    ) {
        self.judge(world, no_false_offline::of_retirement(world, entry, before, after));
        self.judge(world, cluster_rules::of_step(before, after));
    }

    /// A partition's log has grown.
    pub fn partition_committed(
        &self,
        world: &World,
        index: u64,
        entry: &Entry<PartitionState>,
        before: &PartitionState,
        after: &PartitionState,
    ) {
        let Some(command) = &entry.command else { return };
        let change = facts::Change::new(index, command, before, after);
        self.judge(world, one_owner_per_client::of_state(after));
        self.judge(world, epochs_only_grow::of_step(before, after));
        self.judge(world, claims_apply_once::of_connects(&mut self.claims.borrow_mut(), &change));
        self.judge(world, events_follow_the_log::of_state(after));
        self.judge(world, will_fires_once::of_state(after));
        self.judge(world, no_false_offline::of_change(world, &self.facts.borrow(), &change));
        self.judge(world, will_fires_once::of_change(&mut self.wills.borrow_mut(), &change));
        self.events.borrow_mut().grew(&change);
        self.facts.borrow_mut().changed(&world.all_clients, &change);
    }

    /// A replica has come to this position.
    pub fn replica_applied(&self, world: &World, node: NodeId, index: u64, state: &PartitionState) {
        self.reads.borrow_mut().shown(state.partition(), index);
        self.judge(world, acknowledged_claim_is_not_lost::of_replica(&self.facts.borrow(), node, index, state));
        self.judge(world, replicas_agree::of_replica(&mut self.states.borrow_mut(), node, index, state));
    }

    /// A process has ended, and its sockets with it.
    pub fn process_ended(&self, _world: &World, node: NodeId) {
        self.facts.borrow_mut().process_ended(node);
        self.events.borrow_mut().process_ended(node);
    }

    /// CONNACK is sent.
    pub fn connected(
        &self,
        world: &World,
        process: &Process,
        client_id: &ClientId,
        epoch: Epoch,
        incarnation: Incarnation,
        socket: u64,
    ) {
        let owner = Owner { node: process.me, incarnation };
        let partition = world.partition_of(client_id);
        world.note(|| format!("{owner} sends CONNACK to {client_id}, epoch {epoch}, socket {socket}"));
        let connection = facts::Connection::new(world, client_id, (partition, epoch), owner);
        self.judge(world, acknowledged_claim_is_not_lost::of_connack(&self.facts.borrow(), &connection));
        self.judge(world, no_false_offline::of_packet(world, owner));
        self.facts.borrow_mut().connected(socket, connection);
    }

    /// Any other packet is sent to a client.
    pub fn packet_sent(&self, world: &World, node: NodeId, incarnation: Incarnation) {
        self.judge(world, no_false_offline::of_packet(world, Owner { node, incarnation }));
    }

    /// A node has closed a socket.
    pub fn socket_closed(&self, world: &World, socket: u64) {
        world.note(|| format!("socket {socket} is closed"));
        self.facts.borrow_mut().socket_closed(socket);
    }

    /// A node begins to follow a feed, or to follow it anew after a gap.
    pub fn feed_started(&self, process: &Process, partition: PartitionId, at: FeedPosition) {
        self.events.borrow_mut().started(process, partition, at);
    }

    /// The same, for a reader that hides that it begins anew.
    pub fn feed_started_if_new(&self, process: &Process, partition: PartitionId, at: FeedPosition) {
        if !self.events.borrow().follows(process, partition) {
            self.feed_started(process, partition, at);
        }
    }

    /// A node has read one entry of a feed.
    pub fn feed_read(&self, world: &World, process: &Process, partition: PartitionId, entry: &FeedEntry) {
        let verdict = self.events.borrow_mut().read(process, partition, entry);
        self.judge(world, verdict);
    }

    /// A node delivers a will to its subscribers.
    pub fn will_delivered(&self, world: &World, process: &Process, partition: PartitionId, entry: &FeedEntry) {
        let verdict = self.wills.borrow_mut().delivered(process, partition, entry.epoch);
        self.judge(world, verdict);
    }

    /// A question is asked, at a node.
    pub fn query_begins(&self, world: &World, client_id: &ClientId, node: NodeId) -> Query {
        let partition = world.partition_of(client_id);
        let held = self.facts.borrow().held(world, client_id);
        let shown = self.reads.borrow().least(partition, client_id);
        Query::new(client_id.clone(), partition, node, shown, held)
    }

    /// The question is answered.
    pub fn query_answered(&self, world: &World, query: &Query, answer: Answer) {
        world.note(|| format!("{} answers {}: {answer:?}", query.node, query.client_id));
        self.judge(world, reads_are_linearizable::of_answer(&self.facts.borrow(), world, query, answer));
        self.judge(world, no_false_offline::of_answer(world, &self.facts.borrow(), query, answer));
        self.reads.borrow_mut().answered(query, answer);
        self.facts.borrow_mut().figures.answers += 1;
    }

    /// Everything is whole and has had its time: sockets and claims agree, or this says why not.
    pub fn converged(&self, world: &World) -> Verdict {
        let facts = self.facts.borrow();
        no_lasting_false_online::of_sockets(world)?;
        one_owner_per_client::of_sockets(world, &facts)
    }

    /// After a node's death and the promised time: none of its clients is online.
    pub fn node_is_dead(&self, world: &World, node: NodeId) {
        self.judge(world, no_lasting_false_online::of_dead_node(world, node));
    }

    /// Whoever should serve did not.
    pub fn not_served(&self, world: &World, sentence: String) {
        self.judge(world, majority_serves::of_refusal(sentence));
    }

    /// At the end of a run.
    pub fn at_the_end(&self, world: &World) {
        self.judge(world, will_fires_once::at_the_end(world, &self.wills.borrow()));
        self.judge(world, acknowledged_claim_is_not_lost::at_the_end(world, &self.facts.borrow()));
        self.judge(world, replicas_agree::at_the_end(world));
    }
}

/// How much was judged.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Figures {
    /// Queries that were answered.
    pub answers: u64,
    /// Connections that got their CONNACK.
    pub connections: u64,
    /// Claims that displaced another.
    pub takeovers: u64,
    /// Claims that ended with their node.
    pub lost_with_node: u64,
    /// Wills fired.
    pub wills: u64,
}

impl Figures {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Figures) -> Figures {
        Figures {
            answers: self.answers + other.answers,
            connections: self.connections + other.connections,
            takeovers: self.takeovers + other.takeovers,
            lost_with_node: self.lost_with_node + other.lost_with_node,
            wills: self.wills + other.wills,
        }
    }
}
