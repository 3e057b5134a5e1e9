//! What this node does with the partitions' feeds: hang up on displaced and kicked epochs of its own, and deliver due
//! wills to its subscribers; and tell how far there are events (`event_feeds.rs`).

use crate::event_feeds::EventFeeds;
use rollcall_broker::Broker;
use rollcall_contracts::{ConnectionEnding as _, EndingKind};
use rollcall_presence::{FeedEntry, Transition};
use rollcall_raft::{FeedSink, Groups};
use rollcall_types::{DisconnectReason, FeedPosition, GroupId, NodeId, PartitionId};
use std::sync::Arc;
use tokio::sync::Notify;

/// Reads the feeds for one node.
pub(crate) struct FeedReader {
    pub(crate) me: NodeId,
    pub(crate) broker: Arc<Broker>,
    pub(crate) groups: Arc<Groups>,
    /// Asked for when entries were lost to this reader: sockets and claims must be compared afresh.
    pub(crate) reconcile: Arc<Notify>,
    pub(crate) events: Arc<EventFeeds>,
}

impl FeedSink for FeedReader {
    fn entries(&self, partition: PartitionId, entries: &[Arc<FeedEntry>]) {
        for entry in entries {
            match &entry.transition {
                Transition::Disconnected(reason) if entry.owner.node == self.me => {
                    let how = match reason {
                        DisconnectReason::Takeovered | DisconnectReason::Discarded => EndingKind::Takeover,
                        DisconnectReason::Kicked => EndingKind::Kicked,
                        DisconnectReason::NodeLost => EndingKind::NodeLost,
                        // This node's own release.
                        _ => continue,
                    };
                    self.broker.claim_ended(&entry.client_id, entry.epoch, how);
                }
                Transition::WillDue(will) => {
                    // The leader keeps it for all; a will due while leadership changes may not be retained.
                    let leader = self.groups.handle(GroupId::partition(partition)).is_some_and(|own| own.is_leader());
                    self.broker.will_due(&entry.client_id, &Arc::new(will.message.clone()), leader);
                }
                Transition::Disconnected(_) | Transition::Connected => {}
            }
        }
        if let Some(last) = entries.last() {
            self.events.reached(partition, last.position);
        }
    }

    fn gap(&self, partition: PartitionId, until: FeedPosition) {
        tracing::warn!(%partition, "a part of the feed was missed, comparing sockets and claims afresh");
        self.reconcile.notify_one();
        self.events.reached(partition, until);
    }

    fn began(&self, partition: PartitionId, at: FeedPosition) {
        self.events.reached(partition, at);
    }
}
