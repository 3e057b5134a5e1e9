//! The promises that concern one partition, each written once as a function that says what is wrong: used by the
//! exhaustive model, by the tests, and by the running server in the cheap form [`check_cheap`].
//!
//! What does not belong here: promises that need more than one partition's state, such as those about leases.

mod cheap;
mod feed_walk;

#[cfg(test)]
mod tests;

pub use cheap::{InvariantWatch, check_cheap};
pub use feed_walk::{feed_follows_the_log, one_owner_per_client, will_fires_once};

use crate::PartitionState;
use std::collections::BTreeMap;

/// A promise that does not hold.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("invariant {name} is violated: {detail}")]
pub struct Violation {
    /// Which promise: the name of its function.
    pub name: &'static str,
    /// What was found. May contain a client id.
    pub detail: String,
}

/// A promise about one state.
pub type Invariant = fn(&PartitionState) -> Result<(), Violation>;

/// All promises about one state, with their names.
pub const ALL: [(&str, Invariant); 6] = [
    ("one_owner_per_client", one_owner_per_client),
    ("epochs_only_grow", epochs_only_grow),
    ("fenced_owner_is_never_online", fenced_owner_is_never_online),
    ("will_fires_once", will_fires_once),
    ("feed_follows_the_log", feed_follows_the_log),
    ("counts_agree", counts_agree),
];

/// Checks every promise about one state. Costs a pass over all records and the whole feed for each.
///
/// # Errors
/// The first violation found.
pub fn check(state: &PartitionState) -> Result<(), Violation> {
    ALL.iter().try_for_each(|(_, invariant)| invariant(state))
}

pub(crate) fn holds(name: &'static str, condition: bool, detail: impl FnOnce() -> String) -> Result<(), Violation> {
    if condition { Ok(()) } else { Err(Violation { name, detail: detail() }) }
}

/// No epoch is ahead of the counter, and none was given to two clients.
///
/// # Errors
/// When it does not hold.
pub fn epochs_only_grow(state: &PartitionState) -> Result<(), Violation> {
    const NAME: &str = "epochs_only_grow";
    let mut holders = BTreeMap::new();
    for (client_id, record) in &state.records {
        holds(NAME, record.epoch <= state.last_epoch, || {
            format!("{client_id} has epoch {} ahead of the counter {}", record.epoch, state.last_epoch)
        })?;
        let other = holders.insert(record.epoch, client_id);
        holds(NAME, other.is_none(), || format!("{client_id} shares epoch {} with another client", record.epoch))?;
    }
    let claims = state.feed().entries.iter().filter(|entry| entry.transition == crate::Transition::Connected);
    let mut last = None;
    for entry in claims {
        holds(NAME, last < Some(entry.epoch) && entry.epoch <= state.last_epoch, || {
            format!("the claim at {} has epoch {} after {last:?}", entry.position, entry.epoch)
        })?;
        last = Some(entry.epoch);
    }
    Ok(())
}

/// From one log position to a later one nothing goes back: no epoch of a client, no counter, no fence, no number, no
/// time; and a claim that ended stays ended.
///
/// # Errors
/// When it does not hold.
pub fn epochs_only_grow_between(before: &PartitionState, after: &PartitionState) -> Result<(), Violation> {
    const NAME: &str = "epochs_only_grow";
    holds(NAME, before.last_epoch <= after.last_epoch, || "the epoch counter fell".to_owned())?;
    holds(NAME, before.time() <= after.time() && before.applied_index() <= after.applied_index(), || {
        "time or log position fell".to_owned()
    })?;
    for (client_id, old) in &before.records {
        if let Some(new) = after.records.get(client_id) {
            let revived = old.epoch == new.epoch && new.online() && !old.online();
            holds(NAME, old.epoch <= new.epoch && !revived, || {
                format!("{client_id} went from epoch {} back to {} or was revived", old.epoch, new.epoch)
            })?;
        } else {
            holds(NAME, !old.online(), || format!("{client_id} was forgotten while online"))?;
        }
    }
    for (node, fenced) in &before.fences {
        let now = after.fences.get(node);
        holds(NAME, now >= Some(fenced), || format!("the fence of node {node} fell from {fenced} to {now:?}"))?;
    }
    for (owner, number) in &before.numbers {
        let now = after.last_applied_number(*owner);
        holds(NAME, now >= *number || after.is_fenced(*owner), || {
            format!("the last number of {owner} fell from {number} to {now}")
        })?;
    }
    Ok(())
}

/// No claim of a fenced incarnation is online, and nothing is kept for one.
///
/// # Errors
/// When it does not hold.
pub fn fenced_owner_is_never_online(state: &PartitionState) -> Result<(), Violation> {
    const NAME: &str = "fenced_owner_is_never_online";
    for (client_id, record) in &state.records {
        holds(NAME, !record.online() || !state.is_fenced(record.owner), || {
            format!("{client_id} is online with {}, which is fenced", record.owner)
        })?;
    }
    let kept = state.numbers.keys().find(|owner| state.is_fenced(**owner));
    holds(NAME, kept.is_none(), || format!("numbers of {kept:?} are kept, which is fenced"))
}

/// The counter of online clients equals the number of online records (B-011).
///
/// # Errors
/// When it does not hold.
pub fn counts_agree(state: &PartitionState) -> Result<(), Violation> {
    let online = state.records.values().filter(|record| record.online()).count();
    holds("counts_agree", u64::try_from(online).is_ok_and(|online| online == state.online), || {
        format!("{online} records are online, and {} are counted", state.online)
    })
}
