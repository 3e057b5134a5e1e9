//! A claim whose CONNACK was sent is in the log, and every replica that has come so far knows of it, whatever died since.

use super::Verdict;
use crate::{
    facts::{Connection, Facts},
    world::World,
};
use rollcall_presence::PartitionState;
use rollcall_types::{LogIndex, NodeId};

const NAME: &str = "acknowledged_claim_is_not_lost";

/// CONNACK is sent for a claim that a quorum has.
pub(crate) fn of_connack(facts: &Facts, connection: &Connection) -> Verdict {
    let (partition, epoch) = connection.key;
    let claim = facts.claims.get(&connection.key);
    if claim.is_some_and(|claim| claim.client_id == connection.client_id && claim.owner == connection.owner) {
        return Ok(());
    }
    let (id, owner) = (&connection.client_id, connection.owner);
    Err((
        NAME,
        format!("{owner} sends CONNACK to {id} for epoch {epoch} of partition {partition}; the log has {claim:?}"),
    ))
}

/// A replica has every acknowledged claim up to where it stands, or a later one of the same client.
pub(crate) fn of_replica(facts: &Facts, node: NodeId, index: u64, state: &PartitionState) -> Verdict {
    for (_, connection) in facts.open().filter(|(_, connection)| connection.key.0 == state.partition()) {
        let key = &connection.key;
        let Some(claim) = facts.claims.get(key).filter(|claim| claim.index <= index) else { continue };
        let status = state.status(claim.client_id.as_str());
        let lost = status.epoch < Some(key.1) && facts.status_at(&claim.client_id, LogIndex(index)).epoch.is_some();
        if lost {
            let id = &claim.client_id;
            return Err((
                NAME,
                format!("node {node} at {index} knows {status:?} of {id}, which claimed epoch {}", key.1),
            ));
        }
    }
    Ok(())
}

/// The log still has every claim, or the client a later one, or its record was forgotten in time.
pub(crate) fn at_the_end(world: &World, facts: &Facts) -> Verdict {
    for key in facts.acknowledged.keys() {
        let Some(claim) = facts.claims.get(key) else { continue };
        let status = world.partition(key.0).truth(|state| state.status(claim.client_id.as_str()));
        let forgotten = status.epoch.is_none() && claim.ended.is_some();
        if status.epoch < Some(key.1) && !forgotten {
            return Err((NAME, format!("epoch {} of {} is lost; on record {status:?}", key.1, claim.client_id)));
        }
    }
    Ok(())
}
