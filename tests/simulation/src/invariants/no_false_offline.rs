//! While a client holds a connection whose CONNACK was sent and that the broker has not closed, no query answers `false`,
//! unless the owner's lease had run out; from the end of the incarnation on its node sends the client nothing.

use super::Verdict;
use crate::{
    facts::{Change, Facts, Query},
    group::Entry,
    node::Answer,
    world::World,
};
use rollcall_cluster::{ClusterChange, ClusterState, invariants};
use rollcall_presence::Transition;
use rollcall_types::{DisconnectReason, Owner};

const NAME: &str = "no_false_offline";

/// An entry that ends a claim finds its socket closed; or its node's lease over, where the node is what is lost.
pub(crate) fn of_change(world: &World, facts: &Facts, change: &Change<'_>) -> Verdict {
    for event in &change.events {
        let Transition::Disconnected(reason) = &event.transition else { continue };
        let Some(connection) = facts.open_of((change.partition, event.epoch)) else { continue };
        let wrong = match reason {
            DisconnectReason::Takeovered | DisconnectReason::Discarded | DisconnectReason::Kicked => false,
            DisconnectReason::NodeLost => connection.has_lease(world),
            _ => true,
        };
        if wrong {
            let (id, epoch) = (&event.client_id, event.epoch);
            return Err((NAME, format!("{id} {epoch} is ended as {} while {} serves it", reason.name(), event.owner)));
        }
    }
    Ok(())
}

/// An incarnation is retired after its lease. A node that registers anew serves nobody.
pub(crate) fn of_retirement(
    world: &World,
    entry: &Entry<ClusterState>,
    before: &ClusterState,
    after: &ClusterState,
) -> Verdict {
    for (node, retired) in after.fences() {
        let earlier = before.fences().find(|(n, _)| *n == node).map(|(_, retired)| retired);
        let Some(process) = world.machine(node).running().filter(|_| earlier < Some(retired)) else { continue };
        let Some(lease_end) = process.lease_of(retired) else { continue };
        let found = invariants::lease_ends_before_retirement(lease_end, 0, process.boot_time());
        if let Some(violation) = found.first() {
            let told = entry.command.as_ref().map(|command| match &command.change {
                ClusterChange::Retire { .. } => "retired",
                _ => "registered anew",
            });
            let told = told.unwrap_or_default();
            return Err((NAME, format!("node {node} is {told} at incarnation {retired}: {}", violation.detail)));
        }
    }
    Ok(())
}

/// No packet of an incarnation that is over.
pub(crate) fn of_packet(world: &World, owner: Owner) -> Verdict {
    if world.cluster.truth(|state| state.is_alive(owner)) {
        return Ok(());
    }
    Err((NAME, format!("{owner} is retired and sends a packet to a client")))
}

/// No `false` about a client that is connected during the whole question.
pub(crate) fn of_answer(world: &World, facts: &Facts, query: &Query, answer: Answer) -> Verdict {
    if answer.online {
        return Ok(());
    }
    let held = query.held.iter().find(|socket| facts.connections.get(socket).is_some_and(|c| facts.is_held(world, c)));
    let Some(socket) = held else { return Ok(()) };
    Err((NAME, format!("{} answers that {} is offline, which holds socket {socket}", query.node, query.client_id)))
}
