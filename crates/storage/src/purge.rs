//! Deleting removed entries from the database, in small steps beside the commits.
//!
//! A purge is done, for everybody, once the group's mark says so. What is left in the tree is only space, and deleting
//! it costs sled more than writing it did: ten thousand keys at once would hold up every append for a fifth of a second.
//! So a step is taken when nothing is queued, and under load when the entries written meanwhile have paid for it, so
//! that the space stays bounded.

use crate::{
    group::Group,
    record::{entry_key, parse_entry_key},
    writer::disk,
};
use std::{collections::VecDeque, io, sync::Arc};

/// Values deleted in one step.
pub(crate) const PURGE_STEP: usize = 512;

/// Values that may be deleted under load for each entry written: more than one, so that deleting catches up.
const VALUES_PER_ENTRY: u64 = 2;

/// The groups with something to delete, and what deleting may cost at present.
#[derive(Default)]
pub(crate) struct Purger {
    /// Each group at most once; the front one has its turn.
    groups: VecDeque<Arc<Group>>,
    credit: u64,
}

impl Purger {
    /// Notes that a group has something to delete.
    pub(crate) fn add(&mut self, group: &Arc<Group>) {
        if !self.groups.iter().any(|known| Arc::ptr_eq(known, group)) {
            self.groups.push_back(Arc::clone(group));
        }
    }

    pub(crate) fn has_work(&self) -> bool {
        !self.groups.is_empty()
    }

    /// Entries were written, so some may be deleted.
    pub(crate) fn pay(&mut self, entries: u64) {
        self.credit += entries * VALUES_PER_ENTRY;
    }

    /// One step if the store is idle, else as many as were paid for. Returns how many values were deleted.
    pub(crate) fn work(&mut self, idle: bool) -> io::Result<u64> {
        let mut deleted = 0;
        let step = PURGE_STEP as u64;
        if idle && self.credit < step {
            self.credit = step;
        }
        while self.credit >= step && self.has_work() {
            self.credit -= step;
            deleted += self.step()?;
            if idle {
                break;
            }
        }
        if !self.has_work() {
            self.credit = 0;
        }
        Ok(deleted)
    }

    fn step(&mut self) -> io::Result<u64> {
        let Some(group) = self.groups.pop_front() else { return Ok(0) };
        let Some(leftover) = group.written().leftover.clone() else { return Ok(0) };
        let tree = group.tree().ok_or_else(|| io::Error::other("the store is closed"))?;
        let mut removed = 0;
        let mut next = None;
        for key in tree.range(entry_key(leftover.start, 0)..entry_key(leftover.end, 0)).keys() {
            let key = key.map_err(|error| disk("reading the database", &error))?;
            if removed == PURGE_STEP {
                next = parse_entry_key(&key).map(|(index, _)| index);
                break;
            }
            // One by one: nobody minds which of them a crash leaves, and an atomic step has its price.
            tree.remove(&key).map_err(|error| disk("deleting removed entries", &error))?;
            removed += 1;
        }
        group.written().leftover = next.map(|next| next..leftover.end);
        if next.is_some() {
            self.groups.push_back(group);
        }
        Ok(removed as u64)
    }
}
