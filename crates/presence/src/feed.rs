//! The record of transitions that everybody reads who must learn of a change: ordered, bounded, replicated, and read
//! by each reader from a cursor of its own.
//!
//! What does not belong here: who reads, how far each reader is, and what is done about a transition.

use crate::ConnectionFacts;
use rollcall_types::{ClientId, ClusterTime, DisconnectReason, Epoch, FeedPosition, LogIndex, Owner, Will};
use serde::{Deserialize, Serialize};
use std::{collections::VecDeque, sync::Arc};

/// How long entries are kept that the feed has room for, where nothing else is said: seven days in milliseconds.
pub const FEED_AGE_MS_MAX_DEFAULT: u64 = 604_800_000;

/// One transition with its place.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FeedEntry {
    /// Where it stands in the partition's feed.
    pub position: FeedPosition,
    /// Cluster time of the transition.
    pub at: ClusterTime,
    /// The client.
    pub client_id: ClientId,
    /// Epoch of the connection concerned.
    pub epoch: Epoch,
    /// Who holds or held that epoch.
    pub owner: Owner,
    /// What happened.
    pub transition: Transition,
    /// The facts of the connection that began or ended. None for a will, and for some entries of format version 1.
    pub facts: Option<ConnectionFacts>,
}

/// What happened to a client.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Transition {
    /// A claim was applied.
    Connected,
    /// The connection ended: released, displaced (`Takeovered`, `Discarded`), kicked, or lost with its node.
    Disconnected(DisconnectReason),
    /// The will of the epoch is to be published now.
    WillDue(Box<Will>),
}

/// The kept part of a partition's feed. The oldest entries fall out when there are more than the limit, or when they are
/// older than the limit as the log's time moves on.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Feed {
    pub(crate) entries_max: u32,
    pub(crate) entries: VecDeque<Arc<FeedEntry>>,
    /// Position of the last entry ever made.
    pub(crate) last: Option<FeedPosition>,
    /// Position of the last entry that fell out: a cursor there has missed nothing, one before it has.
    pub(crate) last_dropped: Option<FeedPosition>,
    /// Entries older than this many milliseconds fall out.
    pub(crate) age_ms_max: u64,
}

/// The cursor lies before what is kept: entries are missing. Take a fresh read of the state, then go on from
/// [`Feed::last_position`] of that same state; or go on from `last_dropped` to see all that is still kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the feed is kept from {oldest_kept} only")]
pub struct FeedGap {
    /// The oldest entry that can still be read; where nothing is kept, the same as `last_dropped`.
    pub oldest_kept: FeedPosition,
    /// The newest entry that can no longer be read. Reading after it meets no gap.
    pub last_dropped: FeedPosition,
}

impl Feed {
    pub(crate) fn new(entries_max: u32, age_ms_max: u64) -> Feed {
        Feed { entries_max, entries: VecDeque::new(), last: None, last_dropped: None, age_ms_max }
    }

    /// The entries after the cursor, oldest first, at most `limit`. `None` reads from the very beginning. A cursor may
    /// be any position, also one that no entry has; one ahead of the feed reads nothing.
    ///
    /// # Errors
    /// [`FeedGap`] when entries after the cursor are no longer kept. A cursor that equals what was dropped last has
    /// missed nothing.
    pub fn after(&self, cursor: Option<FeedPosition>, limit: usize) -> Result<Vec<Arc<FeedEntry>>, FeedGap> {
        Ok(self.iter_after(cursor)?.take(limit).cloned().collect())
    }

    /// As [`Feed::after`], without a copy.
    pub(crate) fn iter_after(
        &self,
        cursor: Option<FeedPosition>,
    ) -> Result<impl Iterator<Item = &Arc<FeedEntry>>, FeedGap> {
        if let Some(last_dropped) = self.last_dropped
            && cursor.is_none_or(|cursor| cursor < last_dropped)
        {
            let oldest_kept = self.entries.front().map_or(last_dropped, |entry| entry.position);
            return Err(FeedGap { oldest_kept, last_dropped });
        }
        let start = self.entries.partition_point(|entry| Some(entry.position) <= cursor);
        Ok(self.entries.range(start..))
    }

    /// Position of the last entry ever made, kept or not; `None` before the first. A reader that starts here sees
    /// everything that comes.
    #[must_use]
    pub fn last_position(&self) -> Option<FeedPosition> {
        self.last
    }

    /// Position of the oldest entry kept.
    #[must_use]
    pub fn oldest_kept(&self) -> Option<FeedPosition> {
        self.entries.front().map(|entry| entry.position)
    }

    /// Number of entries kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no entry is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Appends behind all others: at ordinal 0 of a new log entry, else at the next ordinal. The place never goes back,
    /// whatever index is given.
    pub(crate) fn push(
        &mut self,
        index: LogIndex,
        at: ClusterTime,
        client_id: ClientId,
        (epoch, owner): (Epoch, Owner),
        transition: Transition,
        facts: Option<ConnectionFacts>,
    ) {
        let position = match self.last {
            Some(last) if last.index >= index => {
                FeedPosition { index: last.index, ordinal: last.ordinal.saturating_add(1) }
            }
            _ => FeedPosition { index, ordinal: 0 },
        };
        self.last = Some(position);
        self.entries.push_back(Arc::new(FeedEntry { position, at, client_id, epoch, owner, transition, facts }));
        let entries_max = usize::try_from(self.entries_max).unwrap_or(usize::MAX);
        while self.entries.len() > entries_max {
            self.drop_oldest();
        }
    }

    /// Lets go of what is too old at `now`.
    pub(crate) fn grow_old(&mut self, now: ClusterTime) {
        while self.entries.front().is_some_and(|oldest| now.since(oldest.at) > self.age_ms_max) {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some(dropped) = self.entries.pop_front() {
            self.last_dropped = Some(dropped.position);
        }
    }
}
