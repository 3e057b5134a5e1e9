//! Feeds that hold what the test puts into them.

use async_trait::async_trait;
use rollcall_contracts::{FeedBatch, FeedError, FeedsKnown, PresenceFeeds, StatusError};
use rollcall_presence::{FeedEntry, Transition};
use rollcall_types::{
    ClientId, ClusterTime, DisconnectReason, Epoch, FeedPosition, Incarnation, LogIndex, NodeId, NodeName, Owner,
    PartitionId,
};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::time::{Instant, timeout_at};

/// Three partitions.
pub(crate) const PARTITIONS: u16 = 3;

#[derive(Default)]
struct OneFeed {
    entries: Vec<Arc<FeedEntry>>,
    dropped: Option<FeedPosition>,
    index: u64,
}

impl OneFeed {
    fn apply(&mut self, transitions: &[(&str, Option<DisconnectReason>)]) {
        self.index += 1;
        for ((client, gone), ordinal) in transitions.iter().zip(0..) {
            self.entries.push(Arc::new(FeedEntry {
                position: FeedPosition { index: LogIndex(self.index), ordinal },
                at: ClusterTime(1000 * self.index),
                client_id: ClientId::new(client).unwrap(),
                epoch: Epoch(self.index),
                owner: Owner { node: NodeId(1), incarnation: Incarnation(1) },
                transition: gone.map_or(Transition::Connected, Transition::Disconnected),
                facts: None,
            }));
        }
    }

    fn forget(&mut self) {
        self.dropped = self.entries.drain(..).next_back().map(|entry| entry.position).or(self.dropped);
    }
}

/// All feeds.
pub(crate) struct FakeFeeds {
    feeds: Mutex<Vec<OneFeed>>,
    changed: tokio::sync::Notify,
    pub(crate) history: Mutex<Option<String>>,
    /// Partitions that no quorum confirms.
    pub(crate) without_quorum: Mutex<Vec<u16>>,
    /// Entries handed out so far, of clients that are not called `ping`.
    pub(crate) handed_out: AtomicUsize,
}

impl Default for FakeFeeds {
    fn default() -> Self {
        FakeFeeds {
            feeds: Mutex::new((0..PARTITIONS).map(|_| OneFeed::default()).collect()),
            changed: tokio::sync::Notify::new(),
            history: Mutex::new(Some("the history".into())),
            without_quorum: Mutex::default(),
            handed_out: AtomicUsize::new(0),
        }
    }
}

impl FakeFeeds {
    /// The next log entry of a partition, with these transitions: a client comes, or goes for a reason.
    pub(crate) fn apply(&self, partition: u16, transitions: &[(&str, Option<DisconnectReason>)]) {
        self.feeds.lock().unwrap()[usize::from(partition)].apply(transitions);
        self.changed.notify_waiters();
    }

    /// Forgets all entries of a partition that are there.
    pub(crate) fn forget(&self, partition: u16) {
        self.feeds.lock().unwrap()[usize::from(partition)].forget();
        self.changed.notify_waiters();
    }

    /// Both, and no reader comes in between.
    pub(crate) fn apply_and_forget(&self, partition: u16, transitions: &[(&str, Option<DisconnectReason>)]) {
        let mut feeds = self.feeds.lock().unwrap();
        feeds[usize::from(partition)].apply(transitions);
        feeds[usize::from(partition)].forget();
        drop(feeds);
        self.changed.notify_waiters();
    }

    fn look(&self, after: &[FeedPosition], limit: usize) -> Result<FeedBatch, FeedError> {
        let mut batch = FeedBatch { through: after.to_vec(), ..FeedBatch::default() };
        let each = limit.div_ceil(after.len());
        for ((feed, through), partition) in self.feeds.lock().unwrap().iter().zip(&mut batch.through).zip(0..) {
            if feed.dropped.is_some_and(|dropped| *through < dropped) {
                return Err(FeedError::Gone(PartitionId(partition)));
            }
            let start = feed.entries.partition_point(|entry| entry.position <= *through);
            let entries: Vec<_> = feed.entries[start..].iter().take(each).cloned().collect();
            *through = match entries.last() {
                Some(last) if entries.len() == each => last.position,
                _ => FeedPosition::behind(LogIndex(feed.index)).max(*through),
            };
            batch.entries.extend(entries.into_iter().map(|entry| (PartitionId(partition), entry)));
        }
        Ok(batch)
    }
}

#[async_trait]
impl PresenceFeeds for FakeFeeds {
    fn feeds(&self) -> Option<FeedsKnown> {
        Some(FeedsKnown { history: self.history.lock().unwrap().clone()?, partitions: PARTITIONS })
    }

    async fn next(&self, after: &[FeedPosition], limit: usize, within: Duration) -> Result<FeedBatch, FeedError> {
        let until = Instant::now() + within;
        loop {
            let changed = self.changed.notified();
            let batch = self.look(after, limit)?;
            if !batch.entries.is_empty() || Instant::now() >= until {
                let counted = batch.entries.iter().filter(|(_, entry)| entry.client_id.as_str() != "ping").count();
                self.handed_out.fetch_add(counted, Ordering::SeqCst);
                return Ok(batch);
            }
            let _ = timeout_at(until, changed).await;
        }
    }

    async fn confirm(&self) -> Vec<Result<FeedPosition, StatusError>> {
        // Needs the runtime that was handed over.
        tokio::task::spawn_blocking(|| ()).await.unwrap();
        let without = self.without_quorum.lock().unwrap().clone();
        let ends = |(feed, partition): (&OneFeed, u16)| match without.contains(&partition) {
            true => Err(StatusError::NoQuorum),
            false => Ok(FeedPosition::behind(LogIndex(feed.index))),
        };
        self.feeds.lock().unwrap().iter().zip(0..).map(ends).collect()
    }

    fn name_of(&self, node: NodeId) -> Option<NodeName> {
        (node == NodeId(1)).then(|| NodeName("n1".into()))
    }
}
