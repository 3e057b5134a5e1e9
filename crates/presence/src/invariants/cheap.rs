//! The promises as the running server checks them: after each log entry, by looking only at what that entry changed.

use super::{Violation, holds};
use crate::{FeedEntry, PartitionState, Transition};
use rollcall_types::{ClientId, ClusterTime, Epoch, FeedPosition, LogIndex};
use std::collections::BTreeMap;

/// What [`check_cheap`] remembers of the state it saw last. One for each state, made when the state is made or
/// restored.
#[derive(Clone, Debug)]
pub struct InvariantWatch {
    position: Option<FeedPosition>,
    applied: LogIndex,
    time: ClusterTime,
    last_epoch: Epoch,
    online: u64,
}

impl InvariantWatch {
    /// Watches from this state on.
    #[must_use]
    pub fn new(state: &PartitionState) -> InvariantWatch {
        InvariantWatch {
            position: state.feed().last_position(),
            applied: state.applied_index(),
            time: state.time(),
            last_epoch: state.last_epoch(),
            online: state.online_count(),
        }
    }
}

/// Checks what changed since the last call, in time proportional to that. Where the feed dropped part of it, that part
/// is skipped. Goes on from the present state, so that one fault is reported once.
///
/// # Errors
/// The first violation found.
pub fn check_cheap(watch: &mut InvariantWatch, state: &PartitionState) -> Result<(), Violation> {
    let before = std::mem::replace(watch, InvariantWatch::new(state));
    let forward =
        before.last_epoch <= state.last_epoch && before.time <= state.time() && before.applied <= state.applied_index();
    holds("epochs_only_grow", forward, || "the epoch counter, time or log position fell".to_owned())?;
    let Ok(changes) = state.feed().iter_after(before.position) else { return Ok(()) };
    let mut claims = 0_u64;
    let mut endings = 0_u64;
    let mut previous = before.position;
    let mut holding: BTreeMap<&ClientId, &FeedEntry> = BTreeMap::new();
    for entry in changes {
        holds("feed_follows_the_log", previous < Some(entry.position) && entry.at <= state.time(), || {
            format!("{} does not follow {previous:?}", entry.position)
        })?;
        previous = Some(entry.position);
        let (id, at) = (&entry.client_id, entry.position);
        match entry.transition {
            Transition::Connected => {
                claims = claims.saturating_add(1);
                let still = holding.insert(id, entry).map(|held| held.position);
                holds("one_owner_per_client", still.is_none(), || {
                    format!("{id} is claimed at {at} while held since {still:?}")
                })?;
            }
            Transition::Disconnected(_) => {
                endings = endings.saturating_add(1);
                let same = holding.remove(id).is_none_or(|held| held.epoch == entry.epoch);
                holds("one_owner_per_client", same, || format!("{id} is ended at {at} with a claim that is not held"))?;
            }
            Transition::WillDue(_) => {}
        }
        agrees_with_record(entry, state)?;
    }
    for (id, held) in holding {
        let record = state.record(id.as_str());
        let agrees = record.is_some_and(|r| r.online() && r.epoch == held.epoch && r.owner == held.owner);
        holds("one_owner_per_client", agrees, || {
            format!("{id} is held by {} in the feed, and not on record", held.owner)
        })?;
    }
    holds("epochs_only_grow", before.last_epoch.0.checked_add(claims) == Some(state.last_epoch.0), || {
        format!("{claims} claims moved the epoch counter from {} to {}", before.last_epoch, state.last_epoch)
    })?;
    let expected = before.online.checked_add(claims).and_then(|online| online.checked_sub(endings));
    holds("counts_agree", expected == Some(state.online), || {
        format!("{} online, {claims} claims and {endings} endings made {}", before.online, state.online)
    })
}

/// Holds one entry against the present record of its client, which may be further on.
fn agrees_with_record(entry: &FeedEntry, state: &PartitionState) -> Result<(), Violation> {
    let (id, at) = (&entry.client_id, entry.position);
    // Ended and forgotten since, or lost; the counts tell which.
    let Some(record) = state.record(id.as_str()) else { return Ok(()) };
    holds("epochs_only_grow", entry.epoch <= record.epoch, || format!("{id} has an epoch older than told at {at}"))?;
    holds("fenced_owner_is_never_online", !record.online() || !state.is_fenced(record.owner), || {
        format!("{id} is online with {}, which is fenced", record.owner)
    })?;
    if entry.epoch == record.epoch {
        let ended = !record.online();
        match entry.transition {
            Transition::Connected => {}
            Transition::Disconnected(_) => {
                holds("feed_follows_the_log", ended, || format!("{id} is online though ended at {at}"))?;
            }
            Transition::WillDue(_) => {
                holds("will_fires_once", ended && record.will_due().is_none(), || {
                    format!("the will of {id} fired at {at} and may fire again")
                })?;
            }
        }
    }
    Ok(())
}
