//! Whoever reads a feed meets every entry, in the order of the log, once.

use super::{Violation, holds};
use rollcall_presence::FeedEntry;
use rollcall_types::FeedPosition;

pub(crate) fn check(
    node: usize,
    partition: usize,
    expected: Option<FeedPosition>,
    entry: &FeedEntry,
) -> Result<(), Violation> {
    holds("events_follow_the_log", expected == Some(entry.position), || {
        format!("n{} read {} of partition {partition} where {expected:?} comes next", node + 1, entry.position)
    })
}
