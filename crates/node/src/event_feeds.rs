//! Client events for this node's subscribers: every partition's feed, read from a cursor of its own for as long as somebody
//! here wants events, so that a leader's change neither leaves an entry out nor tells one twice.
//!
//! What does not belong here: who follows feeds anyway (`feed_reader.rs`, which also says how far there is something to
//! read), what an event looks like (`contracts`), and the way to a subscriber's queue (`broker`).

use rollcall_broker::Broker;
use rollcall_contracts::{ClientEvent, EventKind};
use rollcall_presence::FeedEntry;
use rollcall_raft::{FeedRead, Groups, read_feed};
use rollcall_types::{FeedPosition, PartitionId};
use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

/// The cursor of a partition lay before what its feed keeps.
const MISSED: &str = "rollcall_event_feed_gaps_total";
/// Pause before a feed that nobody could read is tried again.
const RETRY_PAUSE: Duration = Duration::from_millis(15);
/// How long one feed may stand still for slow subscribers, at once and on top of [`WAITING_SHARE`].
const PATIENCE_MAX: Duration = Duration::from_secs(10);
/// The part of all time, one in so many, that it may stand still in the long run.
const WAITING_SHARE: u32 = 2;

/// The feeds of all partitions, as events.
pub(crate) struct EventFeeds {
    broker: Arc<Broker>,
    groups: Arc<Groups>,
    /// How far the follower of each feed has come; `None` before it began.
    reached: OnceLock<BTreeMap<PartitionId, watch::Sender<Option<FeedPosition>>>>,
}

/// How long a feed may still stand still for subscribers that are slow. It fills up again with time, so that one who never
/// keeps up cannot hold up the others for long.
struct Patience {
    left: Duration,
    seen: Instant,
}

impl Patience {
    fn new(now: Instant) -> Self {
        Patience { left: PATIENCE_MAX, seen: now }
    }

    /// What is left now.
    fn at(&mut self, now: Instant) -> Duration {
        let gained = now.saturating_duration_since(self.seen) / WAITING_SHARE;
        self.left = (self.left + gained).min(PATIENCE_MAX);
        self.seen = now;
        self.left
    }

    /// It stood still for so long, until now.
    fn used(&mut self, waited: Duration, now: Instant) {
        self.left = self.left.saturating_sub(waited);
        self.seen = now;
    }
}

impl EventFeeds {
    pub(crate) fn new(broker: Arc<Broker>, groups: Arc<Groups>) -> Self {
        metrics::describe_counter!(
            MISSED,
            metrics::Unit::Count,
            "times that events were no longer kept when this node came to read them for its subscribers"
        );
        metrics::counter!(MISSED).increment(0);
        EventFeeds { broker, groups, reached: OnceLock::new() }
    }

    fn all(&self) -> &BTreeMap<PartitionId, watch::Sender<Option<FeedPosition>>> {
        self.reached.get_or_init(|| {
            let partitions = 0..self.groups.topology().partitions;
            partitions.map(|partition| (PartitionId(partition), watch::Sender::new(None))).collect()
        })
    }

    /// The follower of this feed has come so far. Never blocks.
    pub(crate) fn reached(&self, partition: PartitionId, position: FeedPosition) {
        if let Some(reached) = self.all().get(&partition) {
            reached.send_replace(Some(position));
        }
    }

    /// Tells events until stopped. Somebody must own it.
    pub(crate) async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut partitions = JoinSet::new();
        for (partition, reached) in self.all() {
            partitions.spawn(Arc::clone(&self).follow(*partition, reached.subscribe()));
        }
        stop.cancelled().await;
        partitions.shutdown().await;
    }

    /// One partition's entries, in the order of its log, each once.
    async fn follow(self: Arc<Self>, partition: PartitionId, mut reached: watch::Receiver<Option<FeedPosition>>) {
        let mut cursor = None;
        let mut patience = Patience::new(Instant::now());
        loop {
            // Looked at before anybody is asked for: whoever subscribes after this misses nothing that comes after it.
            let until = *reached.borrow_and_update();
            if cursor.is_none() || !self.is_wanted() {
                // Never back: what was read ahead of that follower was told.
                cursor = cursor.max(until);
            }
            while let (Some(from), Some(until)) = (cursor, until)
                && from < until
            {
                cursor = Some(self.read_on(partition, from, &mut patience).await);
            }
            if reached.changed().await.is_err() {
                return;
            }
        }
    }

    fn is_wanted(&self) -> bool {
        [EventKind::Connected, EventKind::Disconnected].iter().any(|kind| self.broker.wants_event(kind.topic()))
    }

    /// Tells the next entries; the cursor behind them.
    async fn read_on(&self, partition: PartitionId, from: FeedPosition, patience: &mut Patience) -> FeedPosition {
        let Some(FeedRead { entries, gap, last }) = read_feed(&self.groups, partition, from).await else {
            tokio::time::sleep(RETRY_PAUSE).await;
            return from;
        };
        if gap {
            metrics::counter!(MISSED).increment(1);
            tracing::warn!(%partition, "events are no longer kept; subscribers see it by prev_epoch");
            return last;
        }
        for entry in entries {
            self.tell(partition, &entry, patience).await;
        }
        last
    }

    async fn tell(&self, partition: PartitionId, entry: &FeedEntry, patience: &mut Patience) {
        let node = self.groups.name_of(entry.owner.node);
        let Some(event) = ClientEvent::of(partition, entry, node.as_ref()) else { return };
        let topic = event.kind().topic();
        if !self.broker.wants_event(topic) {
            return;
        }
        let Some(eased) = self.broker.deliver_event(topic, &entry.client_id, event.to_json()) else { return };
        let began = Instant::now();
        let most = patience.at(began);
        // Whoever is not waited for any more loses what its queue has no room for, and can tell by prev_epoch.
        if !most.is_zero() {
            let _ = timeout(most, eased).await;
            let now = Instant::now();
            patience.used(now.saturating_duration_since(began), now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_never_keeps_up_is_waited_for_half_of_the_time_in_the_long_run() {
        let start = Instant::now();
        let mut now = start;
        let mut patience = Patience::new(now);
        let mut waited = Duration::ZERO;
        let step = Duration::from_millis(100);
        // It would be waited for all the time.
        for _ in 0..3000 {
            let wait = patience.at(now).min(step);
            now += wait;
            patience.used(wait, now);
            waited += wait;
            now += step - wait;
        }
        let share = waited.as_secs_f64() / now.duration_since(start).as_secs_f64();
        assert!((0.30..0.55).contains(&share), "{share}");
        // And who is slow now and then is waited for at once, and for long.
        now += PATIENCE_MAX * WAITING_SHARE;
        assert_eq!(patience.at(now), PATIENCE_MAX);
    }
}
