//! Replicas that stand at the same position have the same state, byte for byte, however they came there: entry by entry, or
//! from a snapshot.

use super::Verdict;
use crate::world::World;
use rollcall_presence::PartitionState;
use rollcall_types::{NodeId, PartitionId};
use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hasher},
};

const NAME: &str = "replicas_agree";
/// At every so many positions states are compared.
const EVERY: u64 = 25;

/// The hash of the state that the first replica had at a position.
#[derive(Default)]
pub(crate) struct States {
    first: BTreeMap<(PartitionId, u64), (NodeId, u64)>,
}

/// A replica has come to a position.
pub(crate) fn of_replica(states: &mut States, node: NodeId, index: u64, state: &PartitionState) -> Verdict {
    if !index.is_multiple_of(EVERY) {
        return Ok(());
    }
    let mut hasher = DefaultHasher::new();
    hasher.write(&postcard::to_allocvec(state).unwrap_or_default());
    let hash = hasher.finish();
    let (other, first) = *states.first.entry((state.partition(), index)).or_insert((node, hash));
    if first == hash {
        return Ok(());
    }
    Err((NAME, format!("nodes {other} and {node} differ at {index} of partition {}", state.partition())))
}

/// Every replica that has applied everything has the state that the log makes.
pub(crate) fn at_the_end(world: &World) -> Verdict {
    for node in world.nodes() {
        let Some(process) = world.machine(node).running() else { continue };
        for (partition, hosted) in &process.hosted {
            let group = world.partition(*partition);
            let at = hosted.replica.position().index;
            if at == group.length() && !group.truth(|truth| *truth == *hosted.replica.read()) {
                return Err((NAME, format!("node {node} differs from the log at {at} of partition {partition}")));
            }
        }
    }
    Ok(())
}
