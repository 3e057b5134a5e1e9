//! One group's log in memory: what readers and the next append see, and what the disk holds.

use crate::{
    entry_cache::EntryCache,
    raft_types::{LogId, Vote},
    record::{Extent, Mark},
};
use parking_lot::{Mutex, RwLock};
use rollcall_types::GroupId;
use std::{
    ops::Range,
    sync::atomic::{AtomicU64, Ordering},
};

/// A group of this node, shared by its handles and the writer thread.
pub(crate) struct Group {
    pub(crate) id: GroupId,
    /// See [`LogStore::saved_term`](crate::LogStore::saved_term).
    saved_term: AtomicU64,
    /// `None` once the store is closed, so that the database is not kept open by forgotten handles.
    tree: RwLock<Option<sled::Tree>>,
    view: Mutex<View>,
    written: Mutex<Written>,
}

/// The log as seen by openraft: everything asked for so far, durable or not.
pub(crate) struct View {
    pub(crate) extent: Extent,
    pub(crate) cache: EntryCache,
    /// The last vote that is durable.
    pub(crate) vote: Option<Vote>,
    pub(crate) committed: Option<LogId>,
    /// Counts truncations: what was learned before one says nothing about the entries after it.
    pub(crate) truncations: u64,
}

/// The log as the writer thread, which alone uses this, has it.
pub(crate) struct Written {
    /// As it will be after the next batch.
    pub(crate) mark: Mark,
    /// The removed entries that may still be in the tree, from first to one past the last. Only what a batch in the
    /// tree says is removed: deleting an entry before that could leave a log without its beginning.
    pub(crate) leftover: Option<Range<u64>>,
}

impl Written {
    /// The batch in the tree removed the entries from `from` on that are no more in `extent`.
    pub(crate) fn purge(&mut self, from: u64, extent: Extent) {
        let from = self.leftover.as_ref().map_or(from, |leftover| leftover.start.min(from));
        self.leftover = extent.purged.map(|purged| from..purged.index.saturating_add(1));
    }
}

impl Group {
    /// A group as found on disk. `leftover` are the removed entries that are still in the tree.
    pub(crate) fn new(
        id: GroupId,
        tree: sled::Tree,
        mark: Mark,
        leftover: Option<Range<u64>>,
        cache: EntryCache,
    ) -> Self {
        let view = View { extent: mark.extent, cache, vote: mark.vote, committed: mark.committed, truncations: 0 };
        Group {
            id,
            saved_term: AtomicU64::new(mark.vote.map_or(0, |vote| vote.leader_id.term)),
            tree: RwLock::new(Some(tree)),
            view: Mutex::new(view),
            written: Mutex::new(Written { mark, leftover }),
        }
    }

    pub(crate) fn raise_saved_term(&self, term: u64) {
        self.saved_term.fetch_max(term, Ordering::SeqCst);
    }

    pub(crate) fn saved_term(&self) -> u64 {
        self.saved_term.load(Ordering::SeqCst)
    }

    pub(crate) fn tree(&self) -> Option<sled::Tree> {
        self.tree.read().clone()
    }

    pub(crate) fn close(&self) -> Option<sled::Tree> {
        self.tree.write().take()
    }

    pub(crate) fn view(&self) -> parking_lot::MutexGuard<'_, View> {
        self.view.lock()
    }

    pub(crate) fn written(&self) -> parking_lot::MutexGuard<'_, Written> {
        self.written.lock()
    }
}
