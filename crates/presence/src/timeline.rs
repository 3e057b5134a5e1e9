//! Where the log stands: the position and cluster time of the entry being applied, and the feed stamped with them.

use crate::{
    ConnectionFacts, PartitionLimits,
    feed::{Feed, Transition},
};
use rollcall_types::{ClientId, ClusterTime, Epoch, LogIndex, Owner};
use serde::{Deserialize, Serialize};

/// Log position, cluster time and feed: they move together and never back.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Timeline {
    pub(crate) applied: LogIndex,
    pub(crate) time: ClusterTime,
    pub(crate) feed: Feed,
}

impl Timeline {
    /// Before the first entry.
    pub(crate) fn new(limits: PartitionLimits) -> Timeline {
        let feed = Feed::new(limits.feed_entries_max, limits.feed_age_ms_max);
        Timeline { applied: LogIndex(0), time: ClusterTime(0), feed }
    }

    /// Enters a log entry. A time or index behind what was applied counts as that.
    pub(crate) fn advance(&mut self, index: LogIndex, at: ClusterTime) {
        self.applied = self.applied.max(index);
        self.time = self.time.max(at);
        self.feed.grow_old(self.time);
    }

    /// Puts a transition into the feed, at this position and time, with the facts of the connection that it begins or
    /// ends.
    pub(crate) fn record(
        &mut self,
        client_id: &ClientId,
        (epoch, owner): (Epoch, Owner),
        transition: Transition,
        facts: Option<&ConnectionFacts>,
    ) {
        self.feed.push(self.applied, self.time, client_id.clone(), (epoch, owner), transition, facts.cloned());
    }
}
