//! Once all is healed for a lease and a second, and two elections, nobody is online without a connection.

use super::{Violation, holds};
use crate::{clients::name, world::World};
use std::collections::BTreeSet;

pub(crate) fn at_the_end(world: &World) -> Result<(), Violation> {
    let open: BTreeSet<usize> = world.oracle.open().map(|(_, fact)| fact.client).collect();
    for client in 0..world.clients.len() {
        for group in &world.partitions {
            let status = group.state.status(&name(client));
            holds("no_lasting_false_online", !status.online || open.contains(&client), || {
                format!("c{client} has no connection, the record says {status:?}")
            })?;
        }
    }
    Ok(())
}
