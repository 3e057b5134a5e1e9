//! The one thread that writes for all groups of a node: it takes everything queued, makes one batch per group of it,
//! flushes and syncs once, writes the witness, and only then tells whoever waits.
//!
//! Order within a group is the order of the queue. A batch carries the group's mark, so a vote, an append, a truncation
//! and a purge that were taken together become durable in one atomic step.

use crate::{
    config::StoreConfig,
    group::Group,
    health::Health,
    metrics::Metrics,
    purge::Purger,
    queue::{Done, Op, OpKind, Queue},
    raft_types::TypeConfig,
    record::{EntryKey, MARK_KEY, entry_key, parse_entry_key},
    witness::Witness,
};
use openraft::storage::IOFlushed;
use rollcall_types::GroupId;
use sled::{
    Transactional as _,
    transaction::{TransactionError, TransactionResult},
};
use std::{
    collections::BTreeMap,
    convert::Infallible,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::OwnedSemaphorePermit;

/// How long a committed position or a purge may wait for a commit that others wait for before it gets its own.
pub(crate) const UNAWAITED_DELAY: Duration = Duration::from_millis(50);

/// Makes what sled flushed durable. A function, so that tests can let it fail.
pub(crate) type SyncDatabase = Box<dyn FnMut() -> io::Result<()> + Send>;

/// What the writer shares with the store and its handles.
pub(crate) struct Shared {
    pub(crate) queue: Queue,
    pub(crate) health: Health,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) commits: AtomicU64,
    pub(crate) purged_values: AtomicU64,
    pub(crate) config: StoreConfig,
}

pub(crate) struct Writer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) database: sled::Db,
    pub(crate) sync_database: SyncDatabase,
    pub(crate) witness: Witness,
    pub(crate) purger: Purger,
}

/// What was taken and is not durable yet.
#[derive(Default)]
struct Staged {
    groups: BTreeMap<GroupId, StagedGroup>,
    waiting: Vec<Waiting>,
    permits: Vec<OwnedSemaphorePermit>,
    entries: u64,
    bytes: usize,
    /// When the first write that nobody waits for was staged.
    unawaited_since: Option<Instant>,
    awaited: bool,
}

struct StagedGroup {
    group: Arc<Group>,
    /// Values to write, `None` to remove.
    values: BTreeMap<EntryKey, Option<Vec<u8>>>,
    /// End of the durable log once this is committed, and the truncations it counts on.
    durable: Option<(u64, u64)>,
    vote: bool,
    /// Where the entries begin that a purge among these writes removed.
    purge_from: Option<u64>,
}

enum Waiting {
    Append(IOFlushed<TypeConfig>),
    Other(Done),
}

impl Waiting {
    /// Who waits for a write that will not be carried out.
    fn of(kind: OpKind) -> Option<Waiting> {
        match kind {
            OpKind::Append { done, .. } => Some(Waiting::Append(done)),
            OpKind::Vote { done, .. } | OpKind::Truncate { done, .. } => Some(Waiting::Other(done)),
            OpKind::Purge { .. } | OpKind::Committed { .. } => None,
        }
    }

    fn complete(self, result: io::Result<()>) {
        match self {
            Waiting::Append(done) => done.io_completed(result),
            // A caller that went away does not need to hear it.
            Waiting::Other(done) => drop(done.send(result)),
        }
    }
}

impl Writer {
    /// Runs until the queue is closed and empty, or the store fails.
    pub(crate) fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        let mut staged = Staged::default();
        let panicked = catch_unwind(AssertUnwindSafe(|| self.serve(&mut staged))).is_err();
        if panicked {
            shared.health.fail("the storage thread panicked".to_owned());
            // sled may be in any state: running its destructors could hang or write.
            std::mem::forget(self);
        }
        shared.queue.close();
        let error = || shared.health.check().err().unwrap_or_else(|| io::Error::other("the store is closed"));
        for waiting in staged.waiting {
            waiting.complete(Err(error()));
        }
        loop {
            let taken = shared.queue.take(None);
            for waiting in taken.ops.into_iter().filter_map(|op| Waiting::of(op.kind)) {
                waiting.complete(Err(error()));
            }
            if taken.closed {
                return;
            }
        }
    }

    fn serve(&mut self, staged: &mut Staged) {
        let mut witness_due = None;
        loop {
            let taken = self.shared.queue.take(self.wake_at(staged, witness_due));
            let idle = taken.ops.is_empty();
            let step = self.step(taken.ops, taken.closed, staged).and_then(|()| {
                let deleted = self.purger.work(idle && !taken.closed)?;
                self.shared.purged_values.fetch_add(deleted, Ordering::Relaxed);
                self.shared.metrics.purged.increment(deleted);
                self.sync_witness(taken.closed, &mut witness_due)
            });
            if let Err(error) = step {
                self.shared.health.fail(error.to_string());
                return;
            }
            if taken.closed {
                return;
            }
        }
    }

    /// When to stop waiting for the queue: now if there is something to purge, else at the first thing due.
    fn wake_at(&self, staged: &Staged, witness_due: Option<Instant>) -> Option<Instant> {
        if self.purger.has_work() {
            return Some(Instant::now());
        }
        let unawaited_due = staged.unawaited_since.map(|since| since + UNAWAITED_DELAY);
        match (unawaited_due, witness_due) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    fn step(&mut self, ops: Vec<Op>, closing: bool, staged: &mut Staged) -> io::Result<()> {
        let mut ops = ops.into_iter();
        for op in ops.by_ref() {
            if let Err(error) = self.stage(op, staged) {
                // They hear of the failure together with everybody else.
                staged.waiting.extend(ops.filter_map(|op| Waiting::of(op.kind)));
                return Err(error);
            }
        }
        let overdue = staged.unawaited_since.is_some_and(|since| since.elapsed() >= UNAWAITED_DELAY);
        if staged.awaited || overdue || (closing && !staged.groups.is_empty()) {
            self.commit(staged)?;
        }
        Ok(())
    }

    fn stage(&mut self, op: Op, staged: &mut Staged) -> io::Result<()> {
        if op.kind.is_awaited() {
            staged.awaited = true;
        } else {
            staged.unawaited_since.get_or_insert_with(Instant::now);
        }
        let Op { group, kind, permit } = op;
        staged.permits.push(permit);
        let target = staged.groups.entry(group.id).or_insert_with(|| StagedGroup {
            group: Arc::clone(&group),
            values: BTreeMap::new(),
            durable: None,
            vote: false,
            purge_from: None,
        });
        let mut written = group.written();
        let mark = &mut written.mark;
        match kind {
            OpKind::Append { entries, last, truncations, done } => {
                if let Some(first) = entries.first() {
                    mark.extent.append(first.index, last);
                }
                staged.entries += entries.len() as u64;
                for entry in entries {
                    staged.bytes += entry.bytes;
                    for (part, value) in (0..).zip(entry.parts) {
                        target.values.insert(entry_key(entry.index, part), Some(value));
                    }
                }
                target.durable = Some((mark.extent.end(), truncations));
                staged.waiting.push(Waiting::Append(done));
            }
            OpKind::Vote { vote, done } => {
                mark.vote = Some(vote);
                target.vote = true;
                staged.waiting.push(Waiting::Other(done));
            }
            OpKind::Truncate { after, done } => {
                staged.waiting.push(Waiting::Other(done));
                mark.extent.truncate_after(after);
                target.remove_from(mark.extent.end())?;
            }
            OpKind::Purge { upto } => {
                target.purge_from.get_or_insert(mark.extent.first);
                mark.extent.purge(upto);
            }
            OpKind::Committed { committed } => mark.committed = committed,
        }
        Ok(())
    }

    /// Makes everything staged durable, then tells. On an error nothing was acknowledged.
    fn commit(&mut self, staged: &mut Staged) -> io::Result<()> {
        let begun = Instant::now();
        #[cfg(feature = "mutants")]
        rollcall_contracts::crash_points::pass("before_append");
        #[cfg(feature = "mutants")]
        let votes = staged.groups.values().any(|target| target.vote);
        let revisions = self.apply(staged)?;
        #[cfg(feature = "mutants")]
        rollcall_contracts::crash_points::pass("appended");
        self.database.flush().map_err(|error| disk("flushing the database", &error))?;
        #[cfg(feature = "mutants")]
        if rollcall_contracts::mutants::chosen("no_sync") {
            self.sync_database = Box::new(|| Ok(()));
        }
        #[cfg(feature = "mutants")]
        if votes {
            rollcall_contracts::crash_points::pass("before_vote_sync");
        }
        (self.sync_database)().map_err(|error| disk("syncing the database", &error))?;
        #[cfg(feature = "mutants")]
        if votes {
            rollcall_contracts::crash_points::pass("vote_synced");
        }
        #[cfg(feature = "mutants")]
        rollcall_contracts::crash_points::pass("synced");
        self.witness.write(revisions).map_err(|error| disk("writing the witness", &error))?;
        if self.shared.config.witness_sync.is_zero() {
            self.witness.sync().map_err(|error| disk("syncing the witness", &error))?;
        }
        #[cfg(feature = "mutants")]
        rollcall_contracts::crash_points::pass("witness_written");
        let staged = std::mem::take(staged);
        let metrics = &self.shared.metrics;
        metrics.sync_seconds.record(begun.elapsed());
        metrics.commits.increment(1);
        metrics.commit_entries.record(staged.entries as f64);
        metrics.commit_bytes.record(staged.bytes as f64);
        self.shared.commits.fetch_add(1, Ordering::Relaxed);
        for target in staged.groups.values() {
            target.publish();
        }
        for waiting in staged.waiting {
            waiting.complete(Ok(()));
        }
        self.purger.pay(staged.entries);
        Ok(())
    }

    /// Writes everything staged in one atomic step over all groups. Returns their new revisions.
    fn apply(&mut self, staged: &mut Staged) -> io::Result<Vec<(GroupId, u64)>> {
        let mut trees = Vec::with_capacity(staged.groups.len());
        let mut batches = Vec::with_capacity(staged.groups.len());
        let mut revisions = Vec::with_capacity(staged.groups.len());
        for target in staged.groups.values_mut() {
            let (batch, revision) = target.batch()?;
            trees.push(target.tree()?);
            batches.push(batch);
            revisions.push((target.group.id, revision));
        }
        // One transaction, not a batch per tree: each atomic step costs sled two writes of its own.
        let applied: TransactionResult<(), Infallible> = trees.as_slice().transaction(|trees| {
            for (tree, batch) in trees.iter().zip(&batches) {
                tree.apply_batch(batch)?;
            }
            Ok(())
        });
        match applied {
            Ok(()) => {}
            Err(TransactionError::Storage(error)) => return Err(disk("writing to the database", &error)),
            Err(TransactionError::Abort(never)) => match never {},
        }
        for target in staged.groups.values() {
            if let Some(from) = target.purge_from {
                let mut written = target.group.written();
                let extent = written.mark.extent;
                written.purge(from, extent);
                self.purger.add(&target.group);
            }
        }
        Ok(revisions)
    }

    /// Syncs the witness when it is due, outside of what anybody waits for.
    fn sync_witness(&mut self, closing: bool, due: &mut Option<Instant>) -> io::Result<()> {
        if !self.witness.is_unsynced() {
            *due = None;
            return Ok(());
        }
        let now = Instant::now();
        let at = *due.get_or_insert_with(|| now + self.shared.config.witness_sync);
        if closing || now >= at {
            self.witness.sync().map_err(|error| disk("syncing the witness", &error))?;
            *due = None;
        }
        Ok(())
    }
}

impl StagedGroup {
    /// Removes all entries from `start` on, those in the tree and those staged.
    fn remove_from(&mut self, start: u64) -> io::Result<()> {
        let start = entry_key(start, 0);
        for value in self.values.range_mut(start..).map(|(_, value)| value) {
            *value = None;
        }
        let tree = self.tree()?;
        for key in tree.range(start..).keys() {
            let key = key.map_err(|error| disk("reading the database", &error))?;
            if let (Some(_), Ok(key)) = (parse_entry_key(&key), EntryKey::try_from(key.as_ref())) {
                self.values.insert(key, None);
            }
        }
        Ok(())
    }

    /// The group's batch with its mark, and the batch's revision.
    fn batch(&mut self) -> io::Result<(sled::Batch, u64)> {
        let mark = {
            let mut written = self.group.written();
            written.mark.revision += 1;
            written.mark
        };
        #[cfg(feature = "mutants")]
        let mark = crate::record::Mark {
            vote: mark.vote.filter(|_| !rollcall_contracts::mutants::chosen("vote_not_saved")),
            ..mark
        };
        let mut batch = sled::Batch::default();
        for (key, value) in std::mem::take(&mut self.values) {
            match value {
                Some(value) => batch.insert(&key, value),
                None => batch.remove(&key),
            }
        }
        batch.insert(&MARK_KEY, mark.encode(self.group.id).map_err(io::Error::other)?);
        Ok((batch, mark.revision))
    }

    /// Lets readers know what is durable.
    fn publish(&self) {
        let vote = self.vote.then(|| self.group.written().mark.vote).flatten();
        let mut view = self.group.view();
        if vote.is_some() {
            view.vote = vote;
        }
        if let Some((end, truncations)) = self.durable
            && truncations == view.truncations
        {
            view.cache.durable(end);
        }
    }

    fn tree(&self) -> io::Result<sled::Tree> {
        self.group.tree().ok_or_else(|| io::Error::other("the store is closed"))
    }
}

/// An error of the disk, with what was being done.
pub(crate) fn disk(doing: &str, error: &dyn std::error::Error) -> io::Error {
    io::Error::other(format!("{doing} failed: {error}"))
}
