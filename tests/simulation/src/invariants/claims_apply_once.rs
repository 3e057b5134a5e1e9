//! One CONNECT makes at most one claim, however often it is proposed.

use super::Verdict;
use crate::facts::Change;
use std::collections::BTreeMap;

const NAME: &str = "claims_apply_once";

/// The epochs by the CONNECT that claimed them.
#[derive(Default)]
pub(crate) struct Connects {
    claimed: BTreeMap<String, u64>,
}

/// A claim that is tried again never claims again.
pub(crate) fn of_connects(connects: &mut Connects, change: &Change<'_>) -> Verdict {
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
