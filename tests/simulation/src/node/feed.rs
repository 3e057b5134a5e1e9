//! Follows every partition's feed from a cursor of this node's own, hangs up on displaced and kicked epochs, and delivers
//! due wills (`crates/raft/src/feed_follower.rs`, `crates/node/src/feed_reader.rs`).

use super::{Process, RETRY_PAUSE_MS};
use crate::broken::Broken;
use rollcall_presence::{FeedEntry, PartitionState, Transition};
use rollcall_session::Order;
use rollcall_types::{DisconnectReason, FeedPosition, PartitionId};
use std::{rc::Rc, sync::Arc};

/// Most feed entries in one reply. Small here, so that several are needed.
const ENTRIES_PER_REPLY: usize = 8;
/// Longest wait of a feed reader at a peer.
const FEED_WAIT_MS: u64 = 1000;

/// What a read of the feed brought.
#[derive(Clone)]
struct Read {
    entries: Vec<Arc<FeedEntry>>,
    gap: bool,
    last: FeedPosition,
}

impl Process {
    /// Follows one partition as long as the process runs.
    pub(super) async fn follow_feed(self: Rc<Self>, partition: PartitionId) {
        let mut cursor = None;
        let mut earlier = None;
        loop {
            let Some(read) = self.next_of_feed(partition, cursor).await else {
                if self.world.is_broken(Broken::FeedSkipsOnRetry) {
                    cursor = None;
                }
                if self.world.is_broken(Broken::FeedReadTwice) {
                    cursor = earlier.or(cursor);
                }
                self.sleep_ms(RETRY_PAUSE_MS).await;
                continue;
            };
            match cursor {
                None if self.world.is_broken(Broken::FeedSkipsOnRetry) => {
                    self.world.oracle.feed_started_if_new(&self, partition, read.last);
                }
                None => self.world.oracle.feed_started(&self, partition, read.last),
                Some(_) if read.gap => self.world.oracle.feed_started(&self, partition, read.last),
                Some(_) => {}
            }
            if read.gap {
                self.compare.notify_one();
            }
            for entry in &read.entries {
                self.world.oracle.feed_read(&self.world, &self, partition, entry);
                self.take(partition, entry);
            }
            earlier = cursor.filter(|_| !read.gap && !read.entries.is_empty()).or(earlier);
            cursor = Some(read.last);
        }
    }

    fn take(&self, partition: PartitionId, entry: &FeedEntry) {
        match &entry.transition {
            Transition::Disconnected(reason) if entry.owner.node == self.me => {
                let order = match reason {
                    DisconnectReason::Takeovered | DisconnectReason::Discarded => Order::Takeover,
                    DisconnectReason::Kicked => Order::Kick,
                    DisconnectReason::NodeLost => Order::NodeLost,
                    // This node's own release.
                    _ => return,
                };
                self.claim_ended(&entry.client_id, entry.epoch, order);
            }
            Transition::WillDue(_) => self.world.oracle.will_delivered(&self.world, self, partition, entry),
            Transition::Disconnected(_) | Transition::Connected => {}
        }
    }

    /// The entries after the cursor; waits for the first, within a bound. Without a cursor: where the feed ends now.
    async fn next_of_feed(self: &Rc<Self>, partition: PartitionId, cursor: Option<FeedPosition>) -> Option<Read> {
        if self.hosted.contains_key(&partition) {
            return self.read_feed(partition, cursor).await;
        }
        let target = self.whom_to_ask(partition)?;
        let reply = self.world.call(self, target, FEED_WAIT_MS + 500, move |peer| {
            Box::pin(async move { peer.read_feed(partition, cursor).await })
        });
        let reply = reply.await.flatten();
        if reply.is_none() {
            self.note_leader(partition, None);
        }
        reply
    }

    async fn read_feed(&self, partition: PartitionId, cursor: Option<FeedPosition>) -> Option<Read> {
        let hosted = self.hosted.get(&partition)?;
        let mut watch = hosted.replica.watch();
        let until = self.boot_time().plus_ms(FEED_WAIT_MS);
        loop {
            watch.borrow_and_update();
            let read = look(&hosted.replica.read(), cursor);
            if read.gap || !read.entries.is_empty() || cursor.is_none() {
                return Some(read);
            }
            match self.within_ms(until.since(self.boot_time()), watch.changed()).await {
                Some(Ok(())) => {}
                Some(Err(_)) => return None,
                None => return Some(read),
            }
        }
    }
}

fn look(state: &PartitionState, cursor: Option<FeedPosition>) -> Read {
    let end = state.feed().last_position().unwrap_or_default();
    let Some(cursor) = cursor else { return Read { entries: Vec::new(), gap: false, last: end } };
    match state.feed().after(Some(cursor), ENTRIES_PER_REPLY) {
        Ok(entries) => {
            let last = entries.last().map_or(cursor, |entry| entry.position);
            Read { entries, gap: false, last }
        }
        Err(_) => Read { entries: Vec::new(), gap: true, last: end },
    }
}
