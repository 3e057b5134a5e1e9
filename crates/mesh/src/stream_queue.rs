//! What waits to be taken by one peer, in order and numbered: the bounded memory of one outgoing stream.

use crate::limits::{STREAM_BATCH_BYTES, STREAM_BATCH_ITEMS_MAX, STREAM_QUEUE_KIB_MAX, STREAM_WAIT_MAX};
use bytes::Bytes;
use parking_lot::Mutex;
use rollcall_proto::{SlowItem, StreamAnswer, StreamBatch};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot},
    time::{Instant, sleep_until},
};

/// Why an item was not queued.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotQueued {
    /// The peer has so much to take already.
    #[error("the peer's queue is full")]
    Full,
    /// There is no stream to the peer, or no more.
    #[error("there is no stream to the peer")]
    Gone,
}

/// An item on its way.
#[derive(Debug)]
pub struct Sent(oneshot::Receiver<Told>);

/// What the sender of an item is told when the peer has taken it.
#[derive(Debug, Default)]
struct Told {
    /// What the peer says to it: mostly nothing.
    answer: Bytes,
    /// Until when to wait all the same.
    until: Option<Instant>,
}

impl Sent {
    /// Waits until the peer has taken it, and as long as the peer asked for beyond that, within a bound. False when the stream ended first: the peer is counted no more.
    pub async fn taken(self) -> bool {
        self.answer().await.is_some()
    }

    /// Waits until the peer has taken it, and gives what it says to it: mostly nothing. `None` when the stream ended first.
    pub async fn answer(self) -> Option<Bytes> {
        let told = self.0.await.ok()?;
        if let Some(until) = told.until {
            sleep_until(until).await;
        }
        Some(told.answer)
    }
}

struct Item {
    bytes: Bytes,
    /// Told, where somebody waits.
    taken: Option<oneshot::Sender<Told>>,
    /// `None` for the opening, which is as large as it must be.
    room: Option<OwnedSemaphorePermit>,
}

#[derive(Default)]
struct Waiting {
    items: VecDeque<Item>,
    stream: u64,
    /// The stream that the peer has, as far as it said.
    after: u64,
    /// The number of the first item.
    first: u64,
    /// So many from the front are under way.
    under_way: usize,
    ended: bool,
}

/// The queue of one peer.
pub(crate) struct StreamQueue {
    waiting: Mutex<Waiting>,
    room: Arc<Semaphore>,
    /// Something was queued.
    pub(crate) filled: Notify,
}

impl StreamQueue {
    pub(crate) fn new() -> Self {
        let room = Arc::new(Semaphore::new(STREAM_QUEUE_KIB_MAX as usize));
        StreamQueue { waiting: Mutex::default(), room, filled: Notify::new() }
    }

    /// Queues an item, waiting for room: the back-pressure to whoever sends.
    pub(crate) async fn push(&self, bytes: Bytes) -> Result<Sent, NotQueued> {
        let room = Arc::clone(&self.room).acquire_many_owned(kib(&bytes)).await.map_err(|_| NotQueued::Gone)?;
        let (taken, receiver) = oneshot::channel();
        self.put(bytes, Some(taken), room)?;
        Ok(Sent(receiver))
    }

    /// Queues an item if there is room now.
    pub(crate) fn try_push(&self, bytes: Bytes) -> Result<Sent, NotQueued> {
        let (taken, receiver) = oneshot::channel();
        let room = self.try_room(&bytes)?;
        self.put(bytes, Some(taken), room)?;
        Ok(Sent(receiver))
    }

    /// The same for an item that nobody waits for.
    pub(crate) fn try_push_untold(&self, bytes: Bytes) -> Result<(), NotQueued> {
        let room = self.try_room(&bytes)?;
        self.put(bytes, None, room)
    }

    /// Items that are not known to be taken.
    pub(crate) fn len(&self) -> usize {
        self.waiting.lock().items.len()
    }

    /// The peer has said which stream it has.
    pub(crate) fn peer_has(&self, stream: u64) {
        self.waiting.lock().after = stream;
    }

    /// Numbers anew under another name, with the opening in front.
    pub(crate) fn start_over(&self, stream: u64, opening: Vec<Bytes>) {
        let mut waiting = self.waiting.lock();
        waiting.stream = stream;
        waiting.first = 1;
        waiting.under_way = 0;
        while waiting.items.front().is_some_and(|item| item.room.is_none()) {
            waiting.items.pop_front(); // a former opening that was not taken
        }
        for bytes in opening.into_iter().rev() {
            waiting.items.push_front(Item { bytes, taken: None, room: None });
        }
    }

    /// What was under way goes again.
    pub(crate) fn rewind(&self) {
        self.waiting.lock().under_way = 0;
    }

    /// The next items that are not under way, and the number of the one behind them.
    pub(crate) fn next_batch(&self) -> Option<(StreamBatch, u64)> {
        let mut waiting = self.waiting.lock();
        let (mut items, mut bytes) = (Vec::new(), 0);
        for item in waiting.items.range(waiting.under_way..).take(STREAM_BATCH_ITEMS_MAX) {
            bytes += item.bytes.len();
            if bytes > STREAM_BATCH_BYTES && !items.is_empty() {
                break;
            }
            items.push(item.bytes.clone());
        }
        if items.is_empty() {
            return None;
        }
        let first = waiting.first + waiting.under_way as u64;
        waiting.under_way += items.len();
        let behind = first + items.len() as u64;
        let batch =
            StreamBatch { stream: waiting.stream, first, items, settled: waiting.first, after: Some(waiting.after) };
        Some((batch, behind))
    }

    /// The peer has taken all before this number, and says this to some of them. Some it has taken for slow consumers: who
    /// waits for those waits on, from now. They hold up nothing else, and their room is free.
    pub(crate) fn taken_before(&self, next: u64, answers: Vec<StreamAnswer>, slow: &[SlowItem]) {
        let until = |item: &SlowItem| {
            let wait = Duration::from_millis(u64::from(item.wait_ms)).min(STREAM_WAIT_MAX);
            (item.number, Instant::now() + wait)
        };
        let waits: BTreeMap<u64, Instant> = slow.iter().map(until).collect();
        let mut answers: BTreeMap<u64, Bytes> = answers.into_iter().map(|one| (one.number, one.answer)).collect();
        let mut waiting = self.waiting.lock();
        while waiting.first < next
            && let Some(item) = waiting.items.pop_front()
        {
            let answer = answers.remove(&waiting.first).unwrap_or_default();
            let until = waits.get(&waiting.first).copied();
            waiting.first += 1;
            waiting.under_way = waiting.under_way.saturating_sub(1);
            if let Some(taken) = item.taken {
                let _ = taken.send(Told { answer, until });
            }
        }
    }

    /// The stream is over: whoever waits learns it.
    pub(crate) fn end(&self) {
        self.room.close();
        let mut waiting = self.waiting.lock();
        waiting.ended = true;
        waiting.items = VecDeque::new();
        waiting.under_way = 0;
    }

    fn try_room(&self, bytes: &Bytes) -> Result<OwnedSemaphorePermit, NotQueued> {
        Arc::clone(&self.room).try_acquire_many_owned(kib(bytes)).map_err(|error| match error {
            tokio::sync::TryAcquireError::NoPermits => NotQueued::Full,
            tokio::sync::TryAcquireError::Closed => NotQueued::Gone,
        })
    }

    fn put(
        &self,
        bytes: Bytes,
        taken: Option<oneshot::Sender<Told>>,
        room: OwnedSemaphorePermit,
    ) -> Result<(), NotQueued> {
        {
            let mut waiting = self.waiting.lock();
            if waiting.ended {
                return Err(NotQueued::Gone);
            }
            waiting.items.push_back(Item { bytes, taken, room: Some(room) });
        }
        self.filled.notify_one();
        Ok(())
    }
}

/// What an item costs of the queue's room.
fn kib(bytes: &Bytes) -> u32 {
    u32::try_from(bytes.len().div_ceil(1024)).unwrap_or(u32::MAX).clamp(1, STREAM_QUEUE_KIB_MAX)
}
