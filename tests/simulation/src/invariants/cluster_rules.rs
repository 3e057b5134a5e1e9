//! What must hold of the cluster group's state, and between one entry and the next.

use super::Violation;
use rollcall_cluster::{ClusterState, invariants};

pub(crate) fn check(before: &ClusterState, after: &ClusterState) -> Result<(), Violation> {
    let mut found = invariants::of_state(after);
    found.extend(invariants::of_step(before, after));
    match found.into_iter().next() {
        Some(violation) => Err(Violation { invariant: violation.invariant, detail: violation.detail }),
        None => Ok(()),
    }
}
