//! At every log position a client id has at most one owner; and once everything is whole, at most one socket.

use super::Verdict;
use crate::{facts::Facts, world::World};
use rollcall_presence::{PartitionState, invariants};

const NAME: &str = "one_owner_per_client";

/// What the rules themselves promise of one state.
pub(crate) fn of_state(state: &PartitionState) -> Verdict {
    invariants::one_owner_per_client(state)
        .and_then(|()| invariants::fenced_owner_is_never_online(state))
        .and_then(|()| invariants::counts_agree(state))
        .map_err(|violation| (NAME, violation.to_string()))
}

/// Whoever was displaced has hung up: each open socket holds the present claim of its client.
pub(crate) fn of_sockets(world: &World, facts: &Facts) -> Verdict {
    for (socket, connection) in facts.open() {
        let (partition, epoch) = connection.key;
        let client_id = &connection.client_id;
        let status = world.partition(partition).truth(|state| state.status(client_id.as_str()));
        if !status.online || status.epoch != Some(epoch) {
            let of = connection.owner;
            return Err((
                NAME,
                format!("{of} keeps socket {socket} of {client_id}, epoch {epoch}; on record {status:?}"),
            ));
        }
    }
    Ok(())
}
