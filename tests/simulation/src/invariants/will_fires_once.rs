//! A will is due at most once for each epoch; and at the end of all, every one that is owed was.

use super::{Violation, holds};
use crate::{oracle::Oracle, world::World};
use rollcall_presence::{FeedEntry, Transition};

const NAME: &str = "will_fires_once";

pub(crate) fn check(oracle: &mut Oracle, partition: usize, entry: &FeedEntry) -> Result<(), Violation> {
    if !matches!(entry.transition, Transition::WillDue(_)) {
        return Ok(());
    }
    let fired = oracle.wills.entry((partition, entry.epoch.0)).or_default();
    *fired += 1;
    let fired = *fired;
    holds(NAME, fired == 1, || {
        format!("the will of epoch {} of partition {partition} was due {fired} times", entry.epoch)
    })
}

/// Once all is quiet, no will waits beyond its time.
pub(crate) fn at_the_end(world: &World) -> Result<(), Violation> {
    for (partition, group) in world.partitions.iter().enumerate() {
        let waiting = group.state.wills_waiting();
        holds(NAME, waiting == 0, || format!("{waiting} wills of partition {partition} still wait"))?;
    }
    Ok(())
}
