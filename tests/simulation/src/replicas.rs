//! How replicas follow their groups: the leader spreads new entries, and whoever lags asks for what it lacks. With the
//! entries come the feeds, each node reading from cursors of its own.

use crate::{plan::Broken, world::World};
use rollcall_presence::{PartitionCommand, Transition};
use rollcall_types::{FeedPosition, LogIndex, Owner};

/// How often a replica asks for what it may lack.
const FOLLOW_EVERY_MS: u64 = 60;

impl World {
    /// Appends to a partition's log and looks at what that did.
    pub(crate) fn append(
        &mut self,
        partition: usize,
        command: PartitionCommand,
    ) -> Vec<Vec<rollcall_presence::Outcome>> {
        let group = &mut self.partitions[partition];
        let before = group.state.clone();
        let (index, outcome) = group.append(command);
        let verdicts = self.oracle.appended(partition, index, &before, &group.state, self.now);
        self.note(&format!("partition {partition}: entry {index}"));
        self.judge(verdicts);
        outcome
    }

    pub(crate) fn spread_cluster(&mut self, leader: usize) {
        for node in 0..self.nodes.len() {
            self.send(leader, node, Box::new(move |world| world.catch_up_cluster(node)));
        }
    }

    pub(crate) fn spread(&mut self, partition: usize, leader: usize) {
        for node in self.partitions[partition].voters.clone() {
            self.send(leader, node, Box::new(move |world| world.catch_up(node, partition)));
        }
        for node in 0..self.nodes.len() {
            if !self.nodes[node].partitions.contains_key(&partition) {
                self.send(leader, node, Box::new(move |world| world.read_feed(node, partition)));
            }
        }
    }

    /// Applies what the cluster group has, as far as it is known here.
    pub(crate) fn catch_up_cluster(&mut self, node: usize) {
        let boot = self.boot(node);
        let replica = &mut self.nodes[node].cluster;
        while let Some(command) = self.cluster.log.get(usize::try_from(replica.applied).unwrap_or(usize::MAX)) {
            replica.applied += 1;
            replica.state.apply(LogIndex(replica.applied), command.clone());
            replica.clock.applied(replica.state.time(), boot);
        }
    }

    /// Applies what a partition has, and reads its feed.
    pub(crate) fn catch_up(&mut self, node: usize, partition: usize) {
        let boot = self.boot(node);
        let Some(replica) = self.nodes[node].partitions.get_mut(&partition) else { return };
        let log = &self.partitions[partition].log;
        while let Some(command) = log.get(usize::try_from(replica.applied).unwrap_or(usize::MAX)) {
            replica.applied += 1;
            replica.state.apply(LogIndex(replica.applied), command.clone());
            replica.clock.applied(replica.state.time(), boot);
        }
        self.read_feed(node, partition);
    }

    /// Asks the leaders again and again, so that nothing is missed for ever.
    pub(crate) fn follow_groups(&mut self, node: usize) {
        if let Some(leader) = self.cluster.leader {
            self.ask_leader(node, leader, None);
        }
        for partition in 0..self.partitions.len() {
            if let Some(leader) = self.partitions[partition].leader {
                self.ask_leader(node, leader, Some(partition));
            }
        }
        self.at_node(node, FOLLOW_EVERY_MS, Box::new(move |world| world.follow_groups(node)));
    }

    fn ask_leader(&mut self, node: usize, leader: usize, partition: Option<usize>) {
        self.send(
            node,
            leader,
            Box::new(move |world| {
                let leads = match partition {
                    None => world.cluster.leader == Some(leader),
                    Some(partition) => world.partitions[partition].leader == Some(leader),
                };
                if leads {
                    world.send(
                        leader,
                        node,
                        Box::new(move |world| match partition {
                            None => world.catch_up_cluster(node),
                            Some(partition) if world.nodes[node].partitions.contains_key(&partition) => {
                                world.catch_up(node, partition);
                            }
                            Some(partition) => world.read_feed(node, partition),
                        }),
                    );
                }
            }),
        );
    }

    /// Reads on from this node's cursor: from its own replica, else as a peer with one told it.
    pub(crate) fn read_feed(&mut self, node: usize, partition: usize) {
        let mut cursor = self.nodes[node].cursors[partition];
        if self.plan.is_broken(Broken::FeedReadTwice) && self.random.u8(0..30) == 0 {
            cursor = FeedPosition::default();
        }
        let state = match self.nodes[node].partitions.get(&partition) {
            Some(replica) => &replica.state,
            None => &self.partitions[partition].state,
        };
        let entries = state.feed().after(Some(cursor), usize::MAX).expect("the feed keeps all in these small worlds");
        for entry in entries {
            self.nodes[node].cursors[partition] = entry.position;
            let verdict = self.oracle.read_entry(node, partition, &entry);
            self.judge(verdict);
            if let Transition::Disconnected(_) = entry.transition {
                self.epoch_ended(node, partition, entry.owner, entry.epoch.0);
            }
        }
    }

    /// An epoch of this partition ended: if it is one of this node's, its connection is hung up.
    pub(crate) fn epoch_ended(&mut self, node: usize, partition: usize, owner: Owner, epoch: u64) {
        if self.nodes[node].owner() != Some(owner) {
            return;
        }
        self.nodes[node].ended.insert((partition, epoch));
        let concerned =
            self.nodes[node].connections.iter().find(|(_, c)| c.partition == partition && c.epoch == Some(epoch));
        if let Some((connection, _)) = concerned {
            let connection = *connection;
            self.hang_up(node, connection, "its epoch ended");
        }
    }
}
