//! Epochs, counters, fences, incarnations and time never go back, nothing that ended revives, and one CONNECT makes at most
//! one claim, however often it is proposed.

use super::{Verdict, facts::Change};
use rollcall_cluster::{ClusterState, invariants as of_the_cluster};
use rollcall_presence::{PartitionState, invariants};
use std::collections::BTreeMap;

const NAME: &str = "epochs_only_grow";

/// The epochs by the CONNECT that claimed them.
#[derive(Default)]
pub(super) struct Connects {
    claimed: BTreeMap<String, u64>,
}

/// From one position of a partition's log to the next.
pub(super) fn of_step(before: &PartitionState, after: &PartitionState) -> Verdict {
    invariants::epochs_only_grow(after)
        .and_then(|()| invariants::epochs_only_grow_between(before, after))
        .map_err(|violation| (NAME, violation.to_string()))
}

/// From one position of the cluster group's log to the next.
pub(super) fn of_cluster(before: &ClusterState, after: &ClusterState) -> Verdict {
    let mut found = of_the_cluster::of_state(after);
    found.extend(of_the_cluster::of_step(before, after));
    found.first().map_or(Ok(()), |violation| Err((NAME, format!("{}: {}", violation.invariant, violation.detail))))
}

/// A claim that is tried again never claims again.
pub(super) fn of_connects(connects: &mut Connects, change: &Change<'_>) -> Verdict {
    for (event, claim) in change.events_with_claims() {
        let Some(claim) = claim else { continue };
        if claim.client_id != event.client_id {
            return Err((NAME, format!("the claim of {} was told as one of {}", claim.client_id, event.client_id)));
        }
        if let Some(first) = connects.claimed.insert(claim.peer.clone(), event.epoch.0) {
            let (socket, client_id) = (&claim.peer, &claim.client_id);
            return Err((NAME, format!("socket {socket} of {client_id} claimed epoch {first}, then {}", event.epoch)));
        }
    }
    Ok(())
}
