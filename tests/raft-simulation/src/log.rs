//! The logs and snapshots of one simulated process, over its node's disk: what openraft sees is what it wrote, and what
//! it is told to be durable is.
//!
//! As in the real store, one task writes for all groups, one sync serves all that wait, and after one failed sync
//! nothing is acknowledged any more.

use crate::disk::{Change, Disk, Image};
use async_trait::async_trait;
use openraft::{
    OptionalSend, RaftLogReader,
    storage::{IOFlushed, LogState, RaftLogStorage},
};
use parking_lot::Mutex;
use rollcall_raft::{SavedTerm, Snapshots, Stores};
use rollcall_storage::{Entry, LogId, SnapshotMeta, TypeConfig, Vote};
use rollcall_types::GroupId;
use std::{
    collections::BTreeMap,
    fmt::Debug,
    io,
    ops::RangeBounds,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};
use tokio::sync::{mpsc, oneshot};

/// Most changes that wait for the disk. More are refused as if it had failed, which fails the run.
const WRITES_MAX: usize = 65_536;

/// The stores of one process.
pub(crate) struct MemoryStores {
    disk: Disk,
    writer: Writer,
    groups: Mutex<BTreeMap<GroupId, MemoryLog>>,
}

impl MemoryStores {
    /// Opens what the disk keeps. The future writes, for as long as the process lives; somebody must run it.
    pub(crate) fn open(disk: Disk) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (queue, writes) = mpsc::channel(WRITES_MAX);
        let failed = Arc::new(AtomicBool::new(false));
        let write = write_all(disk.clone(), writes, Arc::clone(&failed));
        (MemoryStores { disk, writer: Writer { queue, failed }, groups: Mutex::default() }, write)
    }
}

impl MemoryStores {
    /// Whether the disk failed under this process.
    pub(crate) fn failed(&self) -> bool {
        self.writer.check().is_err()
    }
}

impl Stores for MemoryStores {
    type Log = MemoryLog;
    type Snapshots = MemorySnapshots;

    fn open(&self, group: GroupId) -> Result<(MemoryLog, MemorySnapshots), String> {
        let mut groups = self.groups.lock();
        let log = groups.entry(group).or_insert_with(|| MemoryLog::new(group, &self.disk, &self.writer));
        let snapshots = MemorySnapshots { group, view: Arc::clone(&log.view), writer: self.writer.clone() };
        Ok((log.clone(), snapshots))
    }

    fn known(&self) -> Vec<GroupId> {
        self.disk.groups()
    }
}

/// Whom to tell that a change is durable.
enum Done {
    Append(IOFlushed<TypeConfig>),
    Other(oneshot::Sender<io::Result<()>>),
    Nobody,
}

impl Done {
    fn complete(self, failed: bool) {
        let result = if failed { Err(failure()) } else { Ok(()) };
        match self {
            Done::Append(done) => done.io_completed(result),
            Done::Other(done) => drop(done.send(result)),
            Done::Nobody => {}
        }
    }
}

fn failure() -> io::Error {
    io::Error::other("the simulated disk failed")
}

type Write = (GroupId, Change, Done);

/// The way to the task that writes.
#[derive(Clone)]
struct Writer {
    queue: mpsc::Sender<Write>,
    failed: Arc<AtomicBool>,
}

impl Writer {
    fn check(&self) -> io::Result<()> {
        if self.failed.load(Ordering::SeqCst) { Err(failure()) } else { Ok(()) }
    }

    fn push(&self, group: GroupId, change: Change, done: Done) {
        if let Err(refused) = self.queue.try_send((group, change, done)) {
            refused.into_inner().2.complete(true);
        }
    }

    async fn durable(&self, group: GroupId, change: Change) -> io::Result<()> {
        let (done, waiting) = oneshot::channel();
        self.push(group, change, Done::Other(done));
        waiting.await.unwrap_or_else(|_| Err(failure()))
    }
}

async fn write_all(disk: Disk, mut writes: mpsc::Receiver<Write>, failed: Arc<AtomicBool>) {
    while let Some(first) = writes.recv().await {
        let mut taken = vec![first];
        while let Ok(more) = writes.try_recv() {
            taken.push(more);
        }
        if failed.load(Ordering::SeqCst) {
            taken.into_iter().for_each(|(_, _, done)| done.complete(true));
            continue;
        }
        let early = disk.faults().acknowledges_early;
        let (changes, done): (Vec<_>, Vec<_>) =
            taken.into_iter().map(|(group, change, done)| ((group, change), done)).unzip();
        let takes = disk.write(changes);
        let mut waiting = done;
        if early {
            waiting.drain(..).for_each(|done| done.complete(false));
        }
        tokio::time::sleep(takes).await;
        if !disk.synced() {
            failed.store(true, Ordering::SeqCst);
        }
        let failed = failed.load(Ordering::SeqCst);
        waiting.into_iter().for_each(|done| done.complete(failed));
    }
}

/// A group's log as a running process sees it. Clones share it.
#[derive(Clone)]
pub(crate) struct MemoryLog {
    group: GroupId,
    view: Arc<Mutex<Image>>,
    saved_term: Arc<AtomicU64>,
    writer: Writer,
}

impl MemoryLog {
    fn new(group: GroupId, disk: &Disk, writer: &Writer) -> Self {
        let image = disk.image(group);
        let saved_term = Arc::new(AtomicU64::new(image.vote.map_or(0, |vote| vote.leader_id.term)));
        MemoryLog { group, view: Arc::new(Mutex::new(image)), saved_term, writer: writer.clone() }
    }

    /// Changes what readers see, and queues the same change.
    fn change(&self, change: Change, done: Done) {
        let mut view = self.view.lock();
        view.change(change.clone());
        self.writer.push(self.group, change, done);
    }
}

impl SavedTerm for MemoryLog {
    fn saved_term(&self) -> u64 {
        self.saved_term.load(Ordering::SeqCst)
    }
}

impl RaftLogReader<TypeConfig> for MemoryLog {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> io::Result<Vec<Entry>> {
        self.writer.check()?;
        Ok(self.view.lock().entries.range(range).map(|(_, entry)| entry.clone()).collect())
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        self.writer.check()?;
        Ok(self.view.lock().vote)
    }
}

impl RaftLogStorage<TypeConfig> for MemoryLog {
    type LogReader = MemoryLog;

    async fn get_log_state(&mut self) -> io::Result<LogState<TypeConfig>> {
        self.writer.check()?;
        let view = self.view.lock();
        Ok(LogState { last_purged_log_id: view.purged, last_log_id: view.last() })
    }

    async fn get_log_reader(&mut self) -> MemoryLog {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        // Before anything else, as the promise of `SavedTerm` asks.
        self.saved_term.fetch_max(vote.leader_id.term, Ordering::SeqCst);
        self.writer.check()?;
        self.view.lock().change(Change::Vote(*vote));
        self.writer.durable(self.group, Change::Vote(*vote)).await
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        self.writer.check()?;
        self.change(Change::Committed(committed), Done::Nobody);
        Ok(())
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        self.writer.check()?;
        Ok(self.view.lock().committed)
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<TypeConfig>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        if let Err(error) = self.writer.check() {
            callback.io_completed(Err(failure()));
            return Err(error);
        }
        self.change(Change::Append(entries.into_iter().collect()), Done::Append(callback));
        Ok(())
    }

    async fn truncate_after(&mut self, after: Option<LogId>) -> io::Result<()> {
        self.writer.check()?;
        self.view.lock().change(Change::Truncate { after });
        self.writer.durable(self.group, Change::Truncate { after }).await
    }

    async fn purge(&mut self, upto: LogId) -> io::Result<()> {
        self.writer.check()?;
        self.change(Change::Purge { upto }, Done::Nobody);
        Ok(())
    }
}

/// A group's snapshots.
pub(crate) struct MemorySnapshots {
    group: GroupId,
    view: Arc<Mutex<Image>>,
    writer: Writer,
}

#[async_trait]
impl Snapshots for MemorySnapshots {
    async fn save(&self, meta: SnapshotMeta, content: Vec<u8>) -> io::Result<()> {
        self.writer.check()?;
        let change = Change::Snapshot(meta, content);
        self.writer.durable(self.group, change.clone()).await?;
        self.view.lock().change(change);
        Ok(())
    }

    async fn load(&self) -> io::Result<Option<(SnapshotMeta, Vec<u8>)>> {
        self.writer.check()?;
        Ok(self.view.lock().snapshot.clone())
    }
}
