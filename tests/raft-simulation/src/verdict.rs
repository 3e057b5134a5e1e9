//! The end of a world: all faults are healed, all must become well by itself, and then the whole history is judged.

use crate::{
    check::{Transition, Truth, contradictions},
    disk::Faults,
    history::Operation,
    network::Weather,
    node::Node,
    world::{WITHIN, World},
};
use rollcall_presence::Transition as FeedTransition;
use rollcall_types::{GroupId, PartitionId};
use std::collections::BTreeSet;

/// Most contradictions that a failing run shows.
const SHOWN_MAX: usize = 4;

impl World {
    /// Ends all faults, waits until all is well again, and holds the whole history against the log. Returns what
    /// contradicts it.
    #[must_use]
    pub fn verdict(&mut self) -> Vec<String> {
        self.load(false);
        self.heal();
        self.weather(Weather::FAIR);
        for id in self.nodes.keys().map(|id| id.0).collect::<Vec<_>>() {
            let node = self.node(id);
            let faulty = node.disk.faults().syncs_fail;
            node.disk.set_faults(Faults::default());
            if faulty {
                node.crash();
            }
            node.resume();
        }
        self.start_all();
        self.until("every node serves again", WITHIN, |world| world.nodes.values().all(Node::serves));
        self.run(500);
        self.until("all replicas stand at the same position", WITHIN, World::is_settled);
        // One question of each node about each client, so that the end of the history is judged, too.
        let keys: BTreeSet<String> = self.operations().into_iter().map(|operation| operation.key).collect();
        for node in self.nodes.keys().map(|id| id.0).collect::<Vec<_>>() {
            for key in &keys {
                self.answered(node, key);
            }
        }
        self.until("all replicas stand at the same position", WITHIN, World::is_settled);
        let (truth, mut found) = self.truth();
        found.extend(contradictions(&self.operations(), &truth));
        found
    }

    /// The verdict must be that nothing contradicts the log.
    pub fn conclude(mut self) -> Vec<Operation> {
        let found = self.verdict();
        let first: Vec<&String> = found.iter().take(SHOWN_MAX).collect();
        assert!(found.is_empty(), "seed {}: {} contradictions, the first are {first:#?}", self.seed, found.len());
        self.operations()
    }

    fn is_settled(&self) -> bool {
        (0..self.partitions).all(|partition| {
            let group = GroupId::partition(PartitionId(partition));
            let replications = self.nodes.values().filter_map(Node::replication);
            let handles: Vec<_> = replications.filter_map(|r| r.groups().handle(group)).collect();
            let positions: BTreeSet<(u64, u64)> = handles.iter().map(|handle| handle.progress()).collect();
            let leaders = handles.iter().filter(|handle| handle.is_leader()).count();
            leaders == 1 && positions.len() == 1 && positions.iter().all(|(applied, last)| applied == last)
        })
    }

    /// What the log says, by the feed of one replica of each partition; and where replicas differ.
    fn truth(&self) -> (Truth, Vec<String>) {
        let mut truth = Truth::new();
        let mut found = Vec::new();
        for partition in (0..self.partitions).map(PartitionId) {
            let replications = self.nodes.values().filter_map(Node::replication);
            let mut replicas = replications.filter_map(|r| r.groups().replica_of(partition));
            let first = replicas.next().unwrap();
            let first = first.replica().read();
            if replicas.any(|other| other.replica().read().state != first.state) {
                found.push(format!("the replicas of partition {partition} differ"));
            }
            let entries = first.state.presence.feed().after(None, usize::MAX).unwrap();
            let transitions = entries.iter().filter_map(|entry| {
                let began = match entry.transition {
                    FeedTransition::Connected => true,
                    FeedTransition::Disconnected(_) => false,
                    FeedTransition::WillDue(_) => return None,
                };
                Some(Transition {
                    index: entry.position.index,
                    key: entry.client_id.as_str().to_owned(),
                    epoch: entry.epoch,
                    node: entry.owner.node,
                    began,
                })
            });
            truth.insert(partition, transitions.collect());
        }
        (truth, found)
    }
}
