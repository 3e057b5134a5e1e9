//! An answer is what the log says at its index, and the index is no earlier than what was committed when it was asked.

use super::{Violation, holds};
use crate::oracle::Oracle;
use rollcall_presence::Status;

const NAME: &str = "reads_are_linearizable";

pub(crate) fn check(
    oracle: &Oracle,
    (client, partition): (usize, usize),
    committed: u64,
    (status, index): (Status, u64),
) -> Result<(), Violation> {
    holds(NAME, index >= committed, || {
        format!("c{client}: answered at {index}, though {committed} was committed when it was asked")
    })?;
    let known = oracle.history[partition][client].iter().rev().find(|known| known.index <= index);
    let expected = known.map_or_else(Status::default, |known| known.status);
    holds(NAME, status == expected, || format!("c{client} at {index}: {status:?}, the log says {expected:?}"))
}
