//! The newest entries of a log in memory: whatever is not durable yet, and as many of the others as the bound allows.

use crate::raft_types::Entry;
use std::{collections::VecDeque, ops::Range};

/// What an entry takes beside its stored bytes: its place in the queue, and what an allocation costs. Most entries are a
/// few operations, so without it the bound would be passed several times over.
const BESIDE_BYTES: usize = size_of::<(Entry, usize)>() + 48;

/// Consecutive entries, the last of which is the log's last.
#[derive(Default, Debug)]
pub(crate) struct EntryCache {
    /// Index of the first entry held; without entries, the index at which the next one will stand.
    first: u64,
    /// Each with its stored size.
    entries: VecDeque<(Entry, usize)>,
    /// What all of them take, in memory.
    bytes: usize,
    /// One past the last durable entry: only those below may leave.
    durable_end: u64,
    bytes_max: usize,
}

impl EntryCache {
    pub(crate) fn new(bytes_max: usize) -> Self {
        EntryCache { bytes_max, ..EntryCache::default() }
    }

    /// Index of the first entry held, or of the next to come.
    pub(crate) fn first(&self) -> u64 {
        self.first
    }

    /// Adds the log's next entry. `bytes` is its stored size.
    pub(crate) fn push(&mut self, index: u64, entry: Entry, bytes: usize) {
        if self.entries.is_empty() {
            self.first = index;
        }
        self.entries.push_back((entry, bytes));
        self.bytes += bytes + BESIDE_BYTES;
    }

    /// Forgets the entries from `end` on; the next one will stand there.
    pub(crate) fn truncate(&mut self, end: u64) {
        while self.first + self.entries.len() as u64 > end {
            match self.entries.pop_back() {
                Some((_, bytes)) => self.bytes -= bytes + BESIDE_BYTES,
                None => {
                    self.first = end;
                    break;
                }
            }
        }
        // What is written there next is not durable, whatever stood there before.
        self.durable_end = self.durable_end.min(end);
    }

    /// Forgets the entries below `start`.
    pub(crate) fn purge(&mut self, start: u64) {
        while self.first < start {
            match self.entries.pop_front() {
                Some((_, bytes)) => {
                    self.bytes -= bytes + BESIDE_BYTES;
                    self.first += 1;
                }
                None => self.first = start,
            }
        }
    }

    /// Notes that the entries below `end` are durable, and keeps the bound.
    pub(crate) fn durable(&mut self, end: u64) {
        self.durable_end = self.durable_end.max(end);
        while self.bytes > self.bytes_max && self.first < self.durable_end {
            match self.entries.pop_front() {
                Some((_, bytes)) => {
                    self.bytes -= bytes + BESIDE_BYTES;
                    self.first += 1;
                }
                None => break,
            }
        }
    }

    /// Notes where the log ends, after the entries found on disk were added.
    pub(crate) fn settle(&mut self, end: u64) {
        if self.entries.is_empty() {
            self.first = end;
        }
        self.durable_end = end;
    }

    /// The entries of a range that are held. With a bound in bytes, the first of them, at least one.
    pub(crate) fn read(&self, range: Range<u64>, bytes_max: Option<usize>) -> impl Iterator<Item = Entry> {
        let size = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let skip = size(range.start.saturating_sub(self.first));
        let count = size(range.end.saturating_sub(range.start.max(self.first)));
        let mut bytes = 0;
        let fits = move |(entry, size): &(Entry, usize)| {
            let is_first = bytes == 0;
            bytes += size;
            (is_first || bytes_max.is_none_or(|max| bytes <= max)).then(|| entry.clone())
        };
        self.entries.iter().skip(skip).take(count).map_while(fits)
    }

    #[cfg(test)]
    fn indexes(&self) -> Vec<u64> {
        self.entries.iter().map(|(entry, _)| entry.log_id.index).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raft_types::{CommittedLeaderId, EntryPayload, LogId};
    use openraft::entry::RaftEntry as _;

    fn cache(indexes: std::ops::Range<u64>) -> EntryCache {
        let mut cache = EntryCache::new(3 * (10 + BESIDE_BYTES));
        for index in indexes {
            let entry = Entry::new(LogId::new(CommittedLeaderId::new(1), index), EntryPayload::Blank);
            cache.push(index, entry, 10);
        }
        cache
    }

    #[test]
    fn only_durable_entries_leave_and_only_beyond_the_bound() {
        let mut cache = cache(1..9);
        assert_eq!(cache.indexes().len(), 8);
        cache.durable(3);
        assert_eq!((cache.first(), cache.indexes().len()), (3, 6));
        cache.durable(9);
        assert_eq!(cache.indexes(), [6, 7, 8]);
    }

    #[test]
    fn what_replaces_truncated_entries_is_not_durable() {
        let mut cache = cache(1..5);
        cache.durable(5);
        cache.truncate(3);
        for index in 3..9 {
            let entry = Entry::new(LogId::new(CommittedLeaderId::new(2), index), EntryPayload::Blank);
            cache.push(index, entry, 10);
        }
        cache.durable(0);
        assert_eq!(cache.indexes(), [3, 4, 5, 6, 7, 8]);
    }

    #[test]
    fn purging_and_truncating_beyond_the_ends_leaves_an_empty_cache_in_the_right_place() {
        let mut purged = cache(1..5);
        purged.purge(20);
        assert_eq!((purged.first(), purged.indexes().len()), (20, 0));
        let mut truncated = cache(3..5);
        truncated.truncate(1);
        assert_eq!((truncated.first(), truncated.indexes().len()), (1, 0));
    }

    #[test]
    fn reading_starts_where_asked() {
        let cache = cache(3..6);
        assert_eq!(cache.read(4..9, None).count(), 2);
        assert_eq!(cache.read(0..5, None).count(), 2);
        assert_eq!(cache.read(9..12, None).count(), 0);
        assert_eq!(cache.read(3..6, Some(20)).count(), 2);
        assert_eq!(cache.read(3..6, Some(1)).count(), 1);
    }
}
