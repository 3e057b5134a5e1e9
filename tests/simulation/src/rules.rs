//! The two replicated states as the groups of the simulation run them, and where what happens to them is judged.

use crate::{
    group::{Entry, Group, Rules},
    node::Process,
    replica::Replica,
    world::World,
};
use rollcall_cluster::{ClusterCommand, ClusterOutcome, ClusterState};
use rollcall_presence::{Batch, Operation, Outcome, PartitionCommand, PartitionState};
use rollcall_types::{ClusterTime, GroupId, LogIndex, NodeId};
use std::rc::Rc;

impl Rules for ClusterState {
    type Command = ClusterCommand;
    type Outcome = ClusterOutcome;

    fn time(&self) -> ClusterTime {
        ClusterState::time(self)
    }

    fn apply(&mut self, index: LogIndex, command: ClusterCommand) -> ClusterOutcome {
        ClusterState::apply(self, index, command)
    }

    fn replica_of(process: &Process, _group: GroupId) -> Option<Rc<Replica<Self>>> {
        Some(Rc::clone(&process.cluster))
    }

    fn committed(world: &World, _group: GroupId, _index: u64, entry: &Entry<Self>, before: &Self, after: &Self) {
        world.oracle.cluster_committed(world, entry, before, after);
    }

    fn applied(_world: &World, _group: &Group<Self>, _node: NodeId, _index: u64, _state: &Self) {}

    fn told(command: &ClusterCommand) -> String {
        command.to_string()
    }
}

impl Rules for PartitionState {
    type Command = PartitionCommand;
    type Outcome = Vec<Vec<Outcome>>;

    fn time(&self) -> ClusterTime {
        PartitionState::time(self)
    }

    fn apply(&mut self, index: LogIndex, command: PartitionCommand) -> Vec<Vec<Outcome>> {
        PartitionState::apply(self, index, command)
    }

    fn replica_of(process: &Process, group: GroupId) -> Option<Rc<Replica<Self>>> {
        process.hosted.get(&group.as_partition()?).map(|hosted| Rc::clone(&hosted.replica))
    }

    fn committed(world: &World, _group: GroupId, index: u64, entry: &Entry<Self>, before: &Self, after: &Self) {
        world.oracle.partition_committed(world, index, entry, before, after);
    }

    fn applied(world: &World, _group: &Group<Self>, node: NodeId, index: u64, state: &Self) {
        world.oracle.replica_applied(world, node, index, state);
    }

    fn told(command: &PartitionCommand) -> String {
        let batches: Vec<String> = command.batches.iter().map(told_batch).collect();
        format!("{} {:?}", batches.join(", "), command.housekeeping)
    }
}

fn told_batch(batch: &Batch) -> String {
    let operations = batch.operations.iter().map(|operation| match operation {
        Operation::Claim(details) => format!("claim {} by {}", details.client_id, details.peer),
        Operation::Release { client_id, epoch, reason } => format!("release {client_id} {epoch} {}", reason.name()),
        Operation::Kick { client_id, .. } => format!("kick {client_id}"),
        Operation::ChangeKeepAlive { client_id, epoch, keep_alive_s } => {
            format!("keep {client_id} {epoch} alive {keep_alive_s}")
        }
    });
    let operations: Vec<String> = operations.collect();
    format!("{} from {}: {}", batch.owner, batch.first, operations.join("; "))
}
