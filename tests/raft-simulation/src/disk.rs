//! A node's simulated disk: what is durable, what is being synced, and its faults. It outlives every process of its
//! node. What readers of a running process see is not its business (`log`).

use crate::chance::Chance;
use openraft::entry::RaftEntry as _;
use parking_lot::Mutex;
use rollcall_storage::{Entry, LogId, SnapshotMeta, Vote};
use rollcall_types::GroupId;
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// How a disk misbehaves.
#[derive(Clone, Copy, Debug)]
pub struct Faults {
    /// Shortest time of a sync.
    pub sync_min_us: u64,
    /// Longest time of a sync.
    pub sync_max_us: u64,
    /// Every sync from now on fails.
    pub syncs_fail: bool,
    /// A mutant: votes are acknowledged and never kept.
    pub forgets_votes: bool,
    /// A mutant: writes are acknowledged before they are synced.
    pub acknowledges_early: bool,
}

impl Default for Faults {
    fn default() -> Self {
        Faults {
            sync_min_us: 200,
            sync_max_us: 3_000,
            syncs_fail: false,
            forgets_votes: false,
            acknowledges_early: false,
        }
    }
}

/// A change of what is kept of one group.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Append(Vec<Entry>),
    Vote(Vote),
    Truncate { after: Option<LogId> },
    Purge { upto: LogId },
    Committed(Option<LogId>),
    Snapshot(SnapshotMeta, Vec<u8>),
}

/// What is kept of one group.
#[derive(Clone, Default, Debug)]
pub(crate) struct Image {
    pub(crate) vote: Option<Vote>,
    pub(crate) committed: Option<LogId>,
    pub(crate) purged: Option<LogId>,
    pub(crate) entries: BTreeMap<u64, Entry>,
    pub(crate) snapshot: Option<(SnapshotMeta, Vec<u8>)>,
}

impl Image {
    pub(crate) fn last(&self) -> Option<LogId> {
        self.entries.last_key_value().map(|(_, entry)| entry.log_id()).or(self.purged)
    }

    /// Carries a change out, and holds it against what openraft may ask.
    pub(crate) fn change(&mut self, change: Change) {
        match change {
            Change::Append(entries) => {
                for entry in entries {
                    let next = self.last().map(|last| last.index + 1);
                    assert!(next.is_none_or(|next| next == entry.index()), "a hole before entry {}", entry.index());
                    self.entries.insert(entry.index(), entry);
                }
            }
            Change::Vote(vote) => {
                assert!(
                    self.vote.is_none_or(|before| before <= vote),
                    "a vote went back from {:?} to {vote}",
                    self.vote
                );
                self.vote = Some(vote);
            }
            Change::Truncate { after } => {
                let keep = after.map_or(0, |after| after.index + 1);
                assert!(self.committed.is_none_or(|c| c.index < keep), "what is committed is cut off after {after:?}");
                self.entries.split_off(&keep);
            }
            Change::Purge { upto } => {
                self.entries = self.entries.split_off(&(upto.index + 1));
                self.purged = self.purged.max(Some(upto));
            }
            Change::Committed(committed) => self.committed = committed,
            Change::Snapshot(meta, content) => {
                if self.snapshot.as_ref().is_none_or(|(before, _)| before.last_log_id <= meta.last_log_id) {
                    self.snapshot = Some((meta, content));
                }
            }
        }
    }
}

/// The disk. Clones share it.
#[derive(Clone)]
pub(crate) struct Disk {
    content: Arc<Mutex<Content>>,
}

struct Content {
    durable: BTreeMap<GroupId, Image>,
    /// Written and not synced yet: after a crash all of it is there, or nothing.
    unsynced: Vec<(GroupId, Change)>,
    faults: Faults,
    chance: Chance,
    syncs: u64,
}

impl Disk {
    pub(crate) fn new(chance: Chance) -> Self {
        let content =
            Content { durable: BTreeMap::new(), unsynced: Vec::new(), faults: Faults::default(), chance, syncs: 0 };
        Disk { content: Arc::new(Mutex::new(content)) }
    }

    pub(crate) fn faults(&self) -> Faults {
        self.content.lock().faults
    }

    pub(crate) fn set_faults(&self, faults: Faults) {
        self.content.lock().faults = faults;
    }

    pub(crate) fn image(&self, group: GroupId) -> Image {
        self.content.lock().durable.get(&group).cloned().unwrap_or_default()
    }

    pub(crate) fn groups(&self) -> Vec<GroupId> {
        self.content.lock().durable.keys().copied().collect()
    }

    /// Takes changes over and tells how long their sync will take.
    pub(crate) fn write(&self, changes: Vec<(GroupId, Change)>) -> Duration {
        let mut content = self.content.lock();
        content.unsynced.extend(changes);
        let (from, to) = (content.faults.sync_min_us, content.faults.sync_max_us);
        Duration::from_micros(content.chance.between(from, to))
    }

    /// The sync of what was written is over; `false` when it failed.
    pub(crate) fn synced(&self) -> bool {
        let mut content = self.content.lock();
        if content.faults.syncs_fail {
            return false;
        }
        content.syncs += 1;
        content.keep_unsynced();
        true
    }

    /// The node loses its power: what was not synced is gone, or by chance just made it.
    pub(crate) fn crash(&self) {
        let mut content = self.content.lock();
        if !content.faults.syncs_fail && !content.faults.acknowledges_early && content.chance.percent(50) {
            content.keep_unsynced();
        }
        content.unsynced.clear();
    }
}

impl Content {
    fn keep_unsynced(&mut self) {
        let forgets_votes = self.faults.forgets_votes;
        for (group, change) in std::mem::take(&mut self.unsynced) {
            if !(forgets_votes && matches!(change, Change::Vote(_))) {
                self.durable.entry(group).or_default().change(change);
            }
        }
    }
}
