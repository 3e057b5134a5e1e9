//! After a connection's end `true` ends with its release, and after a node's death within the promised time.

use super::Verdict;
use crate::world::World;
use rollcall_types::{ClientId, Epoch, NodeId, Owner};
use std::ops::Bound;

const NAME: &str = "no_lasting_false_online";

/// The claims that are online on record.
fn online(world: &World) -> Vec<(ClientId, Owner, Epoch)> {
    let mut all = Vec::new();
    for group in &world.partitions {
        group.truth(|state| {
            let records = state.clients_from(Bound::Unbounded).filter(|(_, record)| record.online());
            all.extend(records.map(|(client_id, record)| (client_id.clone(), record.owner(), record.epoch())));
        });
    }
    all
}

/// Every claim that is online has its socket.
pub(crate) fn of_sockets(world: &World) -> Verdict {
    for (client_id, owner, epoch) in online(world) {
        let held = world.machine(owner.node).running().is_some_and(|p| p.holds(&client_id, owner, epoch));
        if !held {
            return Err((NAME, format!("{client_id} is online with {owner}, epoch {epoch}, and has no socket there")));
        }
    }
    Ok(())
}

/// No claim of a dead node is online.
pub(crate) fn of_dead_node(world: &World, node: NodeId) -> Verdict {
    let lasting = online(world).into_iter().find(|(_, owner, _)| owner.node == node);
    let Some((client_id, owner, epoch)) = lasting else { return Ok(()) };
    Err((NAME, format!("{client_id} is still online with {owner}, epoch {epoch}, which is dead for too long")))
}
