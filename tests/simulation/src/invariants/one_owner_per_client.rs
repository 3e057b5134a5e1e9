//! At every log position a client id has at most one owner; and what else must hold of one partition's state.

use super::Violation;
use rollcall_presence::{PartitionState, invariants};

pub(crate) fn check(state: &PartitionState) -> Result<(), Violation> {
    invariants::check(state).map_err(|found| Violation { invariant: found.name, detail: found.detail })
}
