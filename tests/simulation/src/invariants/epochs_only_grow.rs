//! Epochs only grow, and nothing else of a partition goes back from one entry to the next.

use super::Violation;
use rollcall_presence::{PartitionState, invariants};

pub(crate) fn check(before: &PartitionState, after: &PartitionState) -> Result<(), Violation> {
    invariants::epochs_only_grow_between(before, after)
        .map_err(|found| Violation { invariant: found.name, detail: found.detail })
}
