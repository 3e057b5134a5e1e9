//! Once all is healed, every node serves under a valid lease, every group has a leader, and questions are answered.

use super::{Violation, holds};
use crate::world::World;

const NAME: &str = "majority_serves";

pub(crate) fn at_the_end(world: &World, answered: u64) -> Result<(), Violation> {
    for node in 0..world.nodes.len() {
        holds(NAME, world.may_serve(node), || format!("n{} does not serve", node + 1))?;
    }
    let led = world.cluster.leader.is_some() && world.partitions.iter().all(|group| group.leader.is_some());
    holds(NAME, led, || "a group has no leader".to_owned())?;
    holds(NAME, answered > 0, || "no question was answered after all was healed".to_owned())?;
    for (partition, group) in world.partitions.iter().enumerate() {
        for (node, there) in world.nodes.iter().enumerate() {
            let applied = there.partitions.get(&partition).map_or(group.end(), |replica| replica.applied);
            holds(NAME, applied + 5 >= group.end(), || format!("n{} lags in partition {partition}", node + 1))?;
        }
    }
    Ok(())
}
