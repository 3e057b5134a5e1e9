//! Epochs, counters, fences and time of a partition never go back, and nothing that ended revives.

use super::Verdict;
use rollcall_presence::{PartitionState, invariants};

const NAME: &str = "epochs_only_grow";

/// From one position of a partition's log to the next.
pub(crate) fn of_step(before: &PartitionState, after: &PartitionState) -> Verdict {
    invariants::epochs_only_grow(after)
        .and_then(|()| invariants::epochs_only_grow_between(before, after))
        .map_err(|violation| (NAME, violation.to_string()))
}
