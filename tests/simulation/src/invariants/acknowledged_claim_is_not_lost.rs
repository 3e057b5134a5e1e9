//! Once all is healed, an acknowledged connection that nobody closed is the claim on record; and no record lies behind
//! what was acknowledged.

use super::{Violation, holds};
use crate::{clients::name, world::World};

const NAME: &str = "acknowledged_claim_is_not_lost";

pub(crate) fn at_the_end(world: &World) -> Result<(), Violation> {
    for (number, fact) in world.oracle.open() {
        let status = world.partitions[fact.partition].state.status(&name(fact.client));
        holds(NAME, status.online && status.epoch.is_some_and(|epoch| epoch.0 == fact.epoch), || {
            format!("connection {number} is open with epoch {}, the record says {status:?}", fact.epoch)
        })?;
    }
    for fact in world.oracle.connections.values().filter(|fact| fact.acknowledged.is_some()) {
        let status = world.partitions[fact.partition].state.status(&name(fact.client));
        holds(NAME, status.epoch.is_some_and(|epoch| epoch.0 >= fact.epoch), || {
            format!("epoch {} of c{} was acknowledged, the record says {status:?}", fact.epoch, fact.client)
        })?;
    }
    Ok(())
}
