//! Promises that show in the feed: what a reader of all kept entries would see, held against the records.

use super::{Violation, holds};
use crate::{FeedEntry, PartitionState, Transition};
use rollcall_types::{ClientId, FeedPosition};
use std::collections::{BTreeMap, BTreeSet};

/// At every log position a client id has at most one owner: a reader sees the end of each connection before the
/// client's next one begins.
///
/// # Errors
/// When it does not hold.
pub fn one_owner_per_client(state: &PartitionState) -> Result<(), Violation> {
    const NAME: &str = "one_owner_per_client";
    let mut holding: BTreeMap<&ClientId, &FeedEntry> = BTreeMap::new();
    for entry in &state.feed().entries {
        let (id, at) = (&entry.client_id, entry.position);
        match entry.transition {
            Transition::Connected => {
                let still = holding.insert(id, entry);
                holds(NAME, still.is_none(), || format!("{id} is claimed at {at} while held since {still:?}"))?;
            }
            Transition::Disconnected(_) => {
                // The beginning of the connection may have fallen out of the feed.
                let ended = holding.remove(id);
                let same = ended.is_none_or(|held| held.epoch == entry.epoch && held.owner == entry.owner);
                holds(NAME, same, || format!("{id} is ended at {at} with a claim that is not held"))?;
            }
            Transition::WillDue(_) => {}
        }
    }
    for (id, held) in holding {
        let record = state.record(id.as_str());
        let agrees = record.is_some_and(|r| r.online() && r.epoch == held.epoch && r.owner == held.owner);
        holds(NAME, agrees, || format!("{id} is held by {} in the feed, and not on record", held.owner))?;
    }
    Ok(())
}

/// A will is fired at most once, after the end of its connection, and none waits that was fired or cancelled.
///
/// # Errors
/// When it does not hold.
pub fn will_fires_once(state: &PartitionState) -> Result<(), Violation> {
    const NAME: &str = "will_fires_once";
    let mut fired = BTreeSet::new();
    let mut holding = BTreeSet::new();
    for entry in &state.feed().entries {
        match entry.transition {
            Transition::Connected => _ = holding.insert(entry.epoch),
            Transition::Disconnected(_) => _ = holding.remove(&entry.epoch),
            Transition::WillDue(_) => {
                let first = fired.insert(entry.epoch);
                holds(NAME, first, || format!("the will of epoch {} fires again at {}", entry.epoch, entry.position))?;
                let ended = !holding.contains(&entry.epoch);
                holds(NAME, ended, || format!("the will of epoch {} fires before its end", entry.epoch))?;
            }
        }
    }
    for ((due, epoch), waiting) in &state.wills.by_due {
        let record = state.record(waiting.client_id.as_str());
        let owed = record.is_some_and(|r| r.epoch == *epoch && r.will_due() == Some(*due));
        holds(NAME, owed, || format!("a will of epoch {epoch} waits that its record does not owe"))?;
        holds(NAME, !fired.contains(epoch), || format!("the will of epoch {epoch} waits though it fired"))?;
    }
    let owing = state.records.values().filter(|record| record.will_due().is_some()).count();
    let waiting = state.wills.by_due.len();
    holds(NAME, owing == waiting, || format!("{owing} records owe a will, and {waiting} wait"))
}

/// Every transition has one place, in the order of the log, and the last one of each client agrees with its record.
///
/// # Errors
/// When it does not hold.
pub fn feed_follows_the_log(state: &PartitionState) -> Result<(), Violation> {
    const NAME: &str = "feed_follows_the_log";
    let feed = state.feed();
    holds(NAME, u32::try_from(feed.entries.len()).is_ok_and(|kept| kept <= feed.entries_max), || {
        format!("{} entries are kept, {} at most may be", feed.entries.len(), feed.entries_max)
    })?;
    let too_old = feed.entries.front().filter(|oldest| state.time().since(oldest.at) > feed.age_ms_max);
    holds(NAME, too_old.is_none(), || format!("{too_old:?} is kept though too old"))?;
    let mut before = feed.last_dropped;
    let mut at = None;
    let mut last_of: BTreeMap<&ClientId, &FeedEntry> = BTreeMap::new();
    for entry in &feed.entries {
        let position = entry.position;
        holds(NAME, follows(before, position), || format!("{position} does not follow {before:?}"))?;
        holds(NAME, position.index <= state.applied_index(), || format!("{position} is ahead of the log"))?;
        holds(NAME, at <= Some(entry.at) && entry.at <= state.time(), || format!("time goes back at {position}"))?;
        if let Some(earlier) = last_of.insert(&entry.client_id, entry) {
            let grows = earlier.epoch <= entry.epoch;
            holds(NAME, grows, || format!("{position} tells of an epoch older than one told before"))?;
        }
        before = Some(position);
        at = Some(entry.at);
    }
    holds(NAME, before == feed.last, || format!("the last entry is {before:?}, not {:?}", feed.last))?;
    for (client_id, entry) in last_of {
        let agrees = state.record(client_id.as_str()).map_or_else(
            || entry.transition != Transition::Connected,
            |record| record.epoch == entry.epoch && record.online() == (entry.transition == Transition::Connected),
        );
        holds(NAME, agrees, || format!("the record of {client_id} differs from the entry at {}", entry.position))?;
    }
    Ok(())
}

/// Whether a position comes next: later, and without a hole among the ordinals of its log entry.
fn follows(before: Option<FeedPosition>, position: FeedPosition) -> bool {
    match before {
        Some(before) if before.index == position.index => before.ordinal.checked_add(1) == Some(position.ordinal),
        Some(before) => before.index < position.index && position.ordinal == 0,
        None => position.ordinal == 0,
    }
}
