//! All feeds as readers on this node see them: from what the followers were told, further back from the replica here or
//! from a peer, and how far a quorum says they have come.

use crate::{
    config::{CONFIRMATIONS_WAITING_MAX, FEED_CATCH_UP_WAIT, FEED_UNREAD_PAUSE, FEED_WINDOW_ENTRIES},
    feed_follower::{self, FeedSink, Patience},
    feed_window::{FeedWindow, Seen},
    groups::Groups,
    presence_reads::{Look, PresenceReads},
};
use async_trait::async_trait;
use futures_util::future::join_all;
use parking_lot::Mutex;
use rollcall_contracts::{FeedBatch, FeedError, FeedsKnown, PresenceFeeds, StatusError};
use rollcall_presence::FeedEntry;
use rollcall_types::{FeedPosition, NodeId, NodeName, PartitionId};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::{
    sync::{
        mpsc::{self, error::TrySendError},
        oneshot, watch,
    },
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;

type Confirmed = Vec<Result<FeedPosition, StatusError>>;

/// Implements [`PresenceFeeds`] over the groups.
pub struct Feeds {
    groups: Arc<Groups>,
    windows: BTreeMap<PartitionId, Mutex<FeedWindow>>,
    /// Moves whenever there may be something to read.
    told: watch::Sender<u64>,
    /// To the task that asks for a quorum's word.
    asking: mpsc::Sender<oneshot::Sender<Confirmed>>,
    stop: CancellationToken,
}

impl Feeds {
    /// The feeds, and what must run beside them.
    pub(crate) fn new(
        groups: Arc<Groups>,
        reads: PresenceReads,
        stop: CancellationToken,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let partitions: Vec<_> = (0..groups.topology().partitions).map(PartitionId).collect();
        let windows = partitions.iter().map(|partition| (*partition, Mutex::default())).collect();
        let (asking, asked) = mpsc::channel(CONFIRMATIONS_WAITING_MAX);
        let run = confirm_together(reads, partitions, asked);
        (Feeds { groups, windows, told: watch::Sender::new(0), asking, stop }, run)
    }

    fn window(&self, partition: PartitionId, change: impl FnOnce(&mut FeedWindow)) {
        if let Some(window) = self.windows.get(&partition) {
            change(&mut window.lock());
        }
    }

    fn tell(&self) {
        self.told.send_modify(|turn| *turn = turn.wrapping_add(1));
    }

    /// One look at every partition, side by side, without waiting.
    async fn look(&self, after: &[FeedPosition], limit: usize) -> Result<FeedBatch, FeedError> {
        let each = limit.div_ceil(after.len().max(1)).max(1);
        let looks = after.iter().zip(0..).map(|(cursor, place)| self.look_at(PartitionId(place), *cursor, each));
        let mut batch = FeedBatch { through: after.to_vec(), ..FeedBatch::default() };
        for ((through, place), seen) in batch.through.iter_mut().zip(0..).zip(join_all(looks).await) {
            let partition = PartitionId(place);
            match seen? {
                Some((entries, reached)) => {
                    batch.entries.extend(entries.into_iter().map(|entry| (partition, entry)));
                    *through = reached.max(*through);
                }
                None => batch.unread.push(partition),
            }
        }
        Ok(batch)
    }

    /// `None` when nobody could be asked.
    async fn look_at(
        &self,
        partition: PartitionId,
        cursor: FeedPosition,
        limit: usize,
    ) -> Result<Option<(Vec<Arc<FeedEntry>>, FeedPosition)>, FeedError> {
        let at_hand = self.windows.get(&partition).map(|window| window.lock().after(cursor, limit));
        if let Some(Seen::Entries(entries, through)) = at_hand {
            return Ok(Some((entries, through)));
        }
        let patience = Patience { entries: limit, wait: FEED_CATCH_UP_WAIT };
        match feed_follower::read(&self.groups, partition, Some(cursor), patience).await {
            Some(read) if read.gap => Err(FeedError::Gone(partition)),
            Some(read) => Ok(Some((read.entries, read.last))),
            None => Ok(None),
        }
    }
}

/// All who wait share one round; who comes while it is under way waits for the next. A task of its own, because a stream
/// that nobody reads stands still at any place, and must not hold up the others there.
async fn confirm_together(
    reads: PresenceReads,
    partitions: Vec<PartitionId>,
    mut asked: mpsc::Receiver<oneshot::Sender<Confirmed>>,
) {
    while let Some(first) = asked.recv().await {
        let mut waiting = vec![first];
        waiting.extend(std::iter::from_fn(|| asked.try_recv().ok()));
        let ask = |partition: &PartitionId| {
            // A question about nobody: its answer says where the replica stood at a read point.
            let asking = reads.ask(*partition, Look::Statuses(Vec::new()));
            async move { asking.await.map(|seen| FeedPosition::behind(seen.index)) }
        };
        let answers: Confirmed = join_all(partitions.iter().map(ask)).await;
        for reply in waiting {
            // Who waits no more needs no answer.
            let _gone = reply.send(answers.clone());
        }
    }
}

#[async_trait]
impl PresenceFeeds for Feeds {
    fn feeds(&self) -> Option<FeedsKnown> {
        let cluster = self.groups.cluster().replica().read();
        let facts = cluster.state.facts()?;
        Some(FeedsKnown { history: facts.cluster_id.clone(), partitions: self.groups.topology().partitions })
    }

    async fn next(&self, after: &[FeedPosition], limit: usize, within: Duration) -> Result<FeedBatch, FeedError> {
        let until = Instant::now() + within;
        let mut told = self.told.subscribe();
        let mut cursors = after.to_vec();
        loop {
            told.borrow_and_update();
            let batch = self.look(&cursors, limit).await?;
            let now = Instant::now();
            if !batch.entries.is_empty() || now >= until {
                return Ok(batch);
            }
            cursors.clone_from(&batch.through);
            let again = if batch.unread.is_empty() { until } else { until.min(now + FEED_UNREAD_PAUSE) };
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return Err(FeedError::NotReady),
                _ = timeout_at(again, told.changed()) => {}
            }
            if !batch.unread.is_empty() && Instant::now() >= again {
                // Who reads is to know that there is something that cannot be read.
                return Ok(FeedBatch { through: cursors, ..batch });
            }
        }
    }

    async fn confirm(&self) -> Confirmed {
        let refused = |why| self.windows.keys().map(|_| Err(why)).collect();
        let (reply, answer) = oneshot::channel();
        match self.asking.try_send(reply) {
            Ok(()) => answer.await.unwrap_or_else(|_| refused(StatusError::NotReady)),
            Err(TrySendError::Full(_)) => refused(StatusError::Busy),
            Err(TrySendError::Closed(_)) => refused(StatusError::NotReady),
        }
    }

    fn name_of(&self, node: NodeId) -> Option<NodeName> {
        self.groups.name_of(node)
    }
}

impl FeedSink for Feeds {
    fn entries(&self, partition: PartitionId, entries: &[Arc<FeedEntry>]) {
        self.window(partition, |window| window.push(entries, FEED_WINDOW_ENTRIES));
        self.tell();
    }

    fn gap(&self, partition: PartitionId, _until: FeedPosition) {
        self.window(partition, FeedWindow::begin_afresh);
        self.tell();
    }

    fn began(&self, partition: PartitionId, at: FeedPosition) {
        self.gap(partition, at);
    }

    fn through(&self, partition: PartitionId, position: FeedPosition) {
        // Nobody is woken: there is nothing to read.
        self.window(partition, |window| window.reached(position));
    }
}
