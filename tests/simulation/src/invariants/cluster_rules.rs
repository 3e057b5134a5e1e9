//! What the rules of the cluster group promise of its state and of each step: members, incarnations, placement.

use super::Verdict;
use rollcall_cluster::{ClusterState, invariants};

const NAME: &str = "cluster_rules";

/// From one position of the cluster group's log to the next.
pub(crate) fn of_step(before: &ClusterState, after: &ClusterState) -> Verdict {
    let mut found = invariants::of_state(after);
    found.extend(invariants::of_step(before, after));
    found.first().map_or(Ok(()), |violation| Err((NAME, format!("{}: {}", violation.invariant, violation.detail))))
}
