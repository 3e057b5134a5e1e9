//! One stream of presence events: what it sends next, made only when the socket takes it, so that a slow reader holds up
//! nothing but itself.
//!
//! Silence must mean that nothing happened. So a quorum is asked again and again how far each partition has come, and once
//! all of it was sent the reader is told its position; where the quorum does not answer, the reader is told that, and
//! after a while the stream ends.

use crate::{
    event_json,
    event_text::{End, EventText},
    event_token::Tokens,
    streams::StreamPlace,
};
use bytes::Bytes;
use futures_util::{FutureExt, Stream, StreamExt, future::BoxFuture, stream};
use rollcall_contracts::{EventKind, FeedBatch, FeedError, PresenceFeeds, StatusError};
use rollcall_presence::FeedEntry;
use rollcall_types::{ClientId, FeedPosition, PartitionId};
use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};
use tokio::{runtime::Handle, sync::watch};

/// About how many entries are read at once: an event takes some 500 bytes, and the socket's buffer takes 32 KiB.
const ENTRIES_AT_ONCE: usize = 64;
/// How long a stream goes on that is not known to be whole.
pub(crate) const STALLED_FOR: Duration = Duration::from_secs(10);
/// Pause before a quorum is asked again that did not answer.
const CONFIRM_AGAIN: Duration = Duration::from_secs(1);
/// How often it is looked whether all of it was read that a quorum told of.
const CATCHING_UP: Duration = Duration::from_millis(100);

type Confirming = BoxFuture<'static, Vec<Result<FeedPosition, StatusError>>>;

/// Which events a reader wants.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct EventFilter {
    pub(crate) prefix: String,
    pub(crate) client_id: Option<ClientId>,
    /// Empty: all.
    pub(crate) kinds: Vec<EventKind>,
}

impl EventFilter {
    fn wants_client(&self, client_id: &ClientId) -> bool {
        self.client_id.as_ref().is_none_or(|wanted| wanted == client_id) && client_id.as_str().starts_with(&self.prefix)
    }

    fn wants_kind(&self, kind: EventKind) -> bool {
        self.kinds.is_empty() || self.kinds.contains(&kind)
    }
}

/// What a stream is made of.
pub(crate) struct Following {
    pub(crate) feeds: Arc<dyn PresenceFeeds>,
    pub(crate) tokens: Tokens,
    pub(crate) filter: EventFilter,
    /// Where it begins, for each partition.
    pub(crate) from: Vec<FeedPosition>,
    /// Longest time without a word.
    pub(crate) heartbeat: Duration,
    /// `true` once this node is to be left.
    pub(crate) leaving: watch::Receiver<bool>,
    pub(crate) place: StreamPlace,
}

/// A stream as the HTTP layer takes it.
pub(crate) struct EventStream {
    chunks: Pin<Box<dyn Stream<Item = Bytes>>>,
    /// Whose timers the feeds use.
    runtime: Handle,
}

impl EventStream {
    pub(crate) fn new(following: Following, runtime: Handle) -> EventStream {
        let follower = Follower::new(following);
        let chunks = stream::unfold(follower, |mut follower| async move {
            let chunk = follower.chunk().await?;
            Some((chunk, follower))
        });
        EventStream { chunks: Box::pin(chunks), runtime }
    }

    pub(crate) fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let _inside = self.runtime.enter();
        self.chunks.poll_next_unpin(context)
    }
}

struct Follower {
    following: Following,
    /// Everything up to here was sent, or was not wanted.
    cursors: Vec<FeedPosition>,
    /// When each cursor last moved.
    moved: Vec<Instant>,
    text: EventText,
    confirming: Option<Confirming>,
    /// When to ask a quorum again.
    confirm_at: Instant,
    /// How far it said that the partitions have come, until all of that was sent.
    confirmed: Option<(Instant, Vec<FeedPosition>)>,
    /// Since when something is not known to be whole.
    stalled: Option<Instant>,
    over: bool,
}

enum Next {
    Leaving,
    Confirmed(Vec<Result<FeedPosition, StatusError>>),
    Batch(Result<FeedBatch, FeedError>),
}

impl Follower {
    fn new(following: Following) -> Follower {
        let now = Instant::now();
        let mut follower = Follower {
            cursors: following.from.clone(),
            moved: vec![now; following.from.len()],
            text: EventText::default(),
            confirming: None,
            confirm_at: now + following.heartbeat,
            confirmed: None,
            stalled: None,
            over: false,
            following,
        };
        follower.text.retry();
        follower.tell_position();
        follower
    }

    fn token(&self) -> String {
        self.following.tokens.written(&self.cursors)
    }

    fn tell_position(&mut self) {
        let complete = |cursor: &FeedPosition| match cursor.ordinal {
            u32::MAX => cursor.index.0,
            // More of this log entry may follow.
            _ => cursor.index.0.saturating_sub(1),
        };
        let through: Vec<u64> = self.cursors.iter().map(complete).collect();
        self.text.position(&self.token(), &through);
    }

    fn end(&mut self, end: End) {
        self.text.end(&self.token(), end);
        self.following.place.ends(end.name());
        self.over = true;
    }

    /// The next piece of text; `None` when there is no more.
    async fn chunk(&mut self) -> Option<Bytes> {
        loop {
            if !self.text.is_empty() {
                return Some(self.text.take());
            }
            if self.over {
                return None;
            }
            if !self.following.place.is_read(Instant::now()) {
                self.end(End::TooSlow);
                continue;
            }
            match self.next().await {
                Next::Leaving => self.end(End::ShuttingDown),
                Next::Confirmed(answers) => self.heard(answers, Instant::now()),
                Next::Batch(Ok(batch)) => self.read(batch, Instant::now()),
                Next::Batch(Err(FeedError::Gone(partition))) => {
                    self.text.gap(partition.0);
                    self.following.place.ends("gap");
                    self.over = true;
                }
                Next::Batch(Err(FeedError::NotReady)) => self.end(End::ShuttingDown),
            }
        }
    }

    /// Waits for whatever comes first.
    async fn next(&mut self) -> Next {
        let now = Instant::now();
        if self.confirming.is_none() && self.confirmed.is_none() && now >= self.confirm_at {
            let feeds = Arc::clone(&self.following.feeds);
            self.confirming = Some(async move { feeds.confirm().await }.boxed());
        }
        let within = match (&self.confirmed, &self.confirming) {
            (Some(_), _) => CATCHING_UP,
            (None, Some(_)) => self.following.heartbeat,
            (None, None) => self.confirm_at.saturating_duration_since(now),
        };
        let Follower { following: Following { feeds, leaving, .. }, cursors, confirming, .. } = self;
        let left = async {
            // Without its sender, nobody says any more when to leave.
            if leaving.wait_for(|leaving| *leaving).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let answered = async {
            match confirming.as_mut() {
                Some(confirming) => confirming.await,
                None => std::future::pending().await,
            }
        };
        let next = tokio::select! {
            biased;
            () = left => Next::Leaving,
            answers = answered => Next::Confirmed(answers),
            batch = feeds.next(cursors, ENTRIES_AT_ONCE, within) => Next::Batch(batch),
        };
        if matches!(next, Next::Confirmed(_)) {
            self.confirming = None;
        }
        next
    }

    /// A quorum answered, or did not.
    fn heard(&mut self, answers: Vec<Result<FeedPosition, StatusError>>, now: Instant) {
        let unknown: Vec<u16> = (0..).zip(&answers).filter(|(_, answer)| answer.is_err()).map(|(p, _)| p).collect();
        let positions: Vec<FeedPosition> = answers.into_iter().flatten().collect();
        if unknown.is_empty() && positions.len() == self.cursors.len() {
            self.confirmed = Some((now, positions));
            self.look_how_far(now);
        } else {
            self.confirm_at = now + CONFIRM_AGAIN;
            self.stall(&unknown, now);
        }
    }

    fn read(&mut self, batch: FeedBatch, now: Instant) {
        let mut sent = 0;
        for (partition, entry) in &batch.entries {
            if self.moved_to(usize::from(partition.0), entry.position, now) && self.tell(*partition, entry) {
                sent += 1;
            }
        }
        self.following.place.sent(sent);
        for (place, position) in batch.through.into_iter().enumerate() {
            self.moved_to(place, position, now);
        }
        self.look_how_far(now);
        if !batch.unread.is_empty() {
            let unread: Vec<u16> = batch.unread.iter().map(|partition| partition.0).collect();
            self.stall(&unread, now);
        }
    }

    /// Whether the cursor moved: it never goes back, and what lies before it is not sent again.
    fn moved_to(&mut self, place: usize, position: FeedPosition, now: Instant) -> bool {
        match (self.cursors.get_mut(place), self.moved.get_mut(place)) {
            (Some(cursor), Some(moved)) if position > *cursor => {
                *cursor = position;
                *moved = now;
                true
            }
            _ => false,
        }
    }

    /// Sends the event of an entry that was wanted.
    fn tell(&mut self, partition: PartitionId, entry: &FeedEntry) -> bool {
        let Following { feeds, filter, .. } = &self.following;
        if !filter.wants_client(&entry.client_id) {
            return false;
        }
        let event = event_json::event(&**feeds, partition, entry, |kind| filter.wants_kind(kind));
        let Some((kind, data)) = event else { return false };
        let token = self.token();
        self.text.event(Some(&token), kind, &data);
        true
    }

    /// Tells the position once all was sent that a quorum told of.
    fn look_how_far(&mut self, now: Instant) {
        let Some((since, positions)) = &self.confirmed else { return };
        let is_behind = |place: &usize| self.cursors[*place] < positions[*place];
        let behind: Vec<usize> = (0..self.cursors.len().min(positions.len())).filter(is_behind).collect();
        if behind.is_empty() {
            self.confirmed = None;
            self.confirm_at = now + self.following.heartbeat;
            self.stalled = None;
            self.tell_position();
            return;
        }
        let stands = |place: &usize| now.duration_since(self.moved[*place].max(*since)) >= CONFIRM_AGAIN * 2;
        let standing: Vec<u16> = behind.into_iter().filter(stands).filter_map(|p| u16::try_from(p).ok()).collect();
        if !standing.is_empty() {
            self.stall(&standing, now);
        }
    }

    /// Tells once that these partitions may have more, and ends the stream when it lasts.
    fn stall(&mut self, partitions: &[u16], now: Instant) {
        match self.stalled {
            None => {
                self.stalled = Some(now);
                self.text.stalled(partitions);
                self.confirm_at = self.confirm_at.min(now + CONFIRM_AGAIN);
            }
            Some(since) if now.duration_since(since) >= STALLED_FOR && !self.over => self.end(End::NoQuorum),
            Some(_) => {}
        }
    }
}
