//! A group's log as openraft uses it.
//!
//! Writing is: encode, wait for room in the queue, then change what readers see and push in one step, so that the order
//! of the queue is the order of the log. Reading is from memory, except for entries that left it.

use crate::{
    error::CorruptLog,
    group::Group,
    queue::{Op, OpKind},
    raft_types::{Entry, LogId, TypeConfig, Vote},
    record::{self, EntryDecoder, entry_key, parse_entry_key},
    writer::{Shared, disk},
};
use openraft::{
    OptionalSend, RaftLogReader,
    storage::{IOFlushed, LogState, RaftLogStorage},
};
use rollcall_types::GroupId;
use std::{
    fmt::Debug,
    io,
    ops::{Bound, Range, RangeBounds},
    sync::Arc,
};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

/// Most bytes of entries that one bounded read returns, so that a lagging follower is fed in messages of reasonable
/// size. The first entry is returned whatever its size.
pub(crate) const BOUNDED_READ_BYTES_MAX: usize = 1 << 20;

/// How often a read begins anew because the log was truncated or purged under it.
const READ_ATTEMPTS: u32 = 8;

/// A group's log. Clones share it. openraft calls the writing methods of a group one at a time.
///
/// Must be used within a tokio runtime: entries that left memory are read on its blocking threads.
#[derive(Clone)]
pub struct LogStore {
    pub(crate) group: Arc<Group>,
    pub(crate) shared: Arc<Shared>,
}

impl LogStore {
    /// Which group.
    #[must_use]
    pub fn group(&self) -> GroupId {
        self.group.id
    }

    /// The highest term this node ever began to save a vote of, for itself or another candidate.
    ///
    /// It is raised before the vote is queued, let alone granted: a vote granted in term T happens after every reader
    /// could see `saved_term() >= T`. So whoever reads a value below T afterwards knows that this node had, until then,
    /// not helped to elect a leader of term T. Read points rest on this order; both sides are sequentially consistent.
    /// It may be too high (a save that failed), never too low. After a restart it starts at the stored vote's term.
    #[must_use]
    pub fn saved_term(&self) -> u64 {
        self.group.saved_term()
    }

    async fn room(&self, bytes: usize) -> io::Result<OwnedSemaphorePermit> {
        self.shared.health.check()?;
        self.shared.queue.room(bytes).await.ok_or_else(|| self.unavailable())
    }

    fn unavailable(&self) -> io::Error {
        self.shared.health.check().err().unwrap_or_else(|| io::Error::other("the store is closed"))
    }

    fn push(&self, kind: OpKind, permit: OwnedSemaphorePermit) -> Result<(), Op> {
        self.shared.queue.push(Op { group: Arc::clone(&self.group), kind, permit })
    }

    async fn durable(&self, waiting: oneshot::Receiver<io::Result<()>>) -> io::Result<()> {
        waiting.await.unwrap_or_else(|_| Err(self.unavailable()))
    }

    /// Encodes and queues. Gives the callback back on an error.
    async fn try_append(
        &self,
        entries: Vec<Entry>,
        callback: IOFlushed<TypeConfig>,
    ) -> Result<(), (io::Error, IOFlushed<TypeConfig>)> {
        let Some(last) = entries.last().map(|entry| entry.log_id) else {
            callback.io_completed(Ok(()));
            return Ok(());
        };
        let (next, truncations) = {
            let view = self.group.view();
            (view.extent.next(), view.truncations)
        };
        let encoded = match self.encode(&entries, next) {
            Ok(encoded) => encoded,
            Err(error) => return Err((error, callback)),
        };
        let permit = match self.room(encoded.iter().map(|entry| entry.bytes).sum()).await {
            Ok(permit) => permit,
            Err(error) => return Err((error, callback)),
        };
        let mut view = self.group.view();
        if view.extent.next() != next || view.truncations != truncations {
            let error = io::Error::new(io::ErrorKind::InvalidInput, "two writers on one log");
            return Err((error, callback));
        }
        let sizes: Vec<(u64, usize)> = encoded.iter().map(|entry| (entry.index, entry.bytes)).collect();
        let kind = OpKind::Append { entries: encoded, last, truncations, done: callback };
        if let Err(refused) = self.push(kind, permit) {
            let callback = match refused.kind {
                OpKind::Append { done, .. } => done,
                _ => IOFlushed::noop(),
            };
            return Err((self.unavailable(), callback));
        }
        for ((index, bytes), entry) in sizes.into_iter().zip(entries) {
            view.extent.append(index, entry.log_id);
            view.cache.push(index, entry, bytes);
        }
        Ok(())
    }

    fn encode(&self, entries: &[Entry], next: Option<(u64, u64)>) -> io::Result<Vec<record::EncodedEntry>> {
        let mut next = next;
        let mut encoded = Vec::with_capacity(entries.len());
        for entry in entries {
            let LogId { leader_id, index } = entry.log_id;
            if let Some((expected, _)) = next
                && expected != index
            {
                let message =
                    format!("entry {index} cannot follow: the log of {} continues at {expected}", self.group.id);
                return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
            }
            let record = record::encode_entry(self.group.id, next.map(|(_, term)| term), entry);
            encoded.push(record.map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?);
            next = Some((index + 1, leader_id.term));
        }
        Ok(encoded)
    }

    /// The entries of the range that the log holds. With a bound in bytes, the first of them, at least one.
    async fn read(&self, range: Range<u64>, bytes_max: Option<usize>) -> io::Result<Vec<Entry>> {
        self.shared.health.check()?;
        for _ in 0..READ_ATTEMPTS {
            if let Some(entries) = self.try_read(range.clone(), bytes_max).await? {
                return Ok(entries);
            }
        }
        Err(io::Error::other(format!("the log of {} kept changing while it was read", self.group.id)))
    }

    /// `None` if the log was truncated, or purged to within what was still to be read.
    async fn try_read(&self, range: Range<u64>, bytes_max: Option<usize>) -> io::Result<Option<Vec<Entry>>> {
        let (mut at, truncations) = {
            let view = self.group.view();
            (range.start.max(view.extent.first), view.truncations)
        };
        let mut entries = Vec::new();
        loop {
            let stored = {
                let view = self.group.view();
                if view.truncations != truncations || view.extent.first > at {
                    return Ok(None);
                }
                let end = range.end.min(view.extent.end());
                if at >= end || at >= view.cache.first() || (bytes_max.is_some() && !entries.is_empty()) {
                    if bytes_max.is_none() || entries.is_empty() {
                        entries.extend(view.cache.read(at..end, bytes_max));
                    }
                    return Ok(Some(entries));
                }
                at..end.min(view.cache.first())
            };
            at = stored.end;
            match self.read_stored(stored.clone(), bytes_max).await {
                Ok(more) => entries.extend(more),
                // What is missing may have been removed meanwhile.
                Err(_) if self.changed_under(&stored, truncations) => return Ok(None),
                Err(error) => {
                    if error.kind() != io::ErrorKind::Interrupted && self.group.tree().is_some() {
                        self.shared.health.fail(error.to_string());
                    }
                    return Err(error);
                }
            }
        }
    }

    fn changed_under(&self, stored: &Range<u64>, truncations: u64) -> bool {
        let view = self.group.view();
        view.truncations != truncations || view.extent.first > stored.start
    }

    /// Reads from the database.
    async fn read_stored(&self, range: Range<u64>, bytes_max: Option<usize>) -> io::Result<Vec<Entry>> {
        let tree = self.group.tree().ok_or_else(|| self.unavailable())?;
        let group = self.group.id;
        let reading = tokio::task::spawn_blocking(move || read_tree(group, &tree, range, bytes_max));
        reading.await.map_err(|error| match error.is_cancelled() {
            // The runtime is going down; that says nothing about the disk.
            true => io::Error::new(io::ErrorKind::Interrupted, error),
            false => disk("reading the database", &error),
        })?
    }
}

/// All entries of the range, or as many as `bytes_max` allows; a hole is an error.
fn read_tree(group: GroupId, tree: &sled::Tree, range: Range<u64>, bytes_max: Option<usize>) -> io::Result<Vec<Entry>> {
    let mut decoder = EntryDecoder::new(group);
    let mut entries = Vec::new();
    let mut expected = range.start;
    let mut bytes = 0;
    for item in tree.range(entry_key(range.start, 0)..entry_key(range.end, 0)) {
        let (key, value) = item.map_err(|error| disk("reading the database", &error))?;
        let Some((index, part)) = parse_entry_key(&key) else { continue };
        if index != expected {
            break;
        }
        if let Some(stored) = decoder.take(index, part, &value)? {
            bytes += stored.bytes;
            if bytes_max.is_some_and(|max| bytes > max) && !entries.is_empty() {
                return Ok(entries);
            }
            entries.push(stored.entry);
            expected += 1;
        }
    }
    if expected != range.end {
        let reason = "the entry is missing".to_owned();
        return Err(CorruptLog { group, index: Some(expected), reason }.into());
    }
    Ok(entries)
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> io::Result<Vec<Entry>> {
        let start = match range.start_bound() {
            Bound::Included(start) => *start,
            Bound::Excluded(before) => before.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(last) => last.saturating_add(1),
            Bound::Excluded(end) => *end,
            Bound::Unbounded => u64::MAX,
        };
        self.read(start..end, None).await
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        self.read(start..end, Some(BOUNDED_READ_BYTES_MAX)).await
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        self.shared.health.check()?;
        Ok(self.group.view().vote)
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = LogStore;

    async fn get_log_state(&mut self) -> io::Result<LogState<TypeConfig>> {
        self.shared.health.check()?;
        let extent = self.group.view().extent;
        Ok(LogState { last_purged_log_id: extent.purged, last_log_id: extent.last })
    }

    async fn get_log_reader(&mut self) -> LogStore {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        // Before anything else: see `saved_term`.
        self.group.raise_saved_term(vote.leader_id.term);
        let permit = self.room(0).await?;
        let (done, waiting) = oneshot::channel();
        // A refused push drops the sender, which ends the waiting.
        drop(self.push(OpKind::Vote { vote: *vote, done }, permit));
        self.durable(waiting).await
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        let permit = self.room(0).await?;
        let mut view = self.group.view();
        self.push(OpKind::Committed { committed }, permit).map_err(|_| self.unavailable())?;
        view.committed = committed;
        Ok(())
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        self.shared.health.check()?;
        Ok(self.group.view().committed)
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<TypeConfig>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<Entry> = entries.into_iter().collect();
        match self.try_append(entries, callback).await {
            Ok(()) => Ok(()),
            Err((error, callback)) => {
                callback.io_completed(Err(io::Error::new(error.kind(), error.to_string())));
                Err(error)
            }
        }
    }

    async fn truncate_after(&mut self, after: Option<LogId>) -> io::Result<()> {
        let permit = self.room(0).await?;
        let (done, waiting) = oneshot::channel();
        {
            let mut view = self.group.view();
            if self.push(OpKind::Truncate { after, done }, permit).is_ok() {
                view.extent.truncate_after(after);
                let end = view.extent.end();
                view.cache.truncate(end);
                view.truncations += 1;
            }
        }
        self.durable(waiting).await
    }

    async fn purge(&mut self, upto: LogId) -> io::Result<()> {
        let permit = self.room(0).await?;
        let mut view = self.group.view();
        self.push(OpKind::Purge { upto }, permit).map_err(|_| self.unavailable())?;
        view.extent.purge(upto);
        let first = view.extent.first;
        view.cache.purge(first);
        Ok(())
    }
}
