//! Reading a group back at open, and refusing it unless all of it is what was acknowledged.
//!
//! What is held against each other: the mark's revision and the witness; the indexes of the entries and the mark's
//! extent, without a hole; each entry's checksum, its key, and the term it names for the entry before it; the last
//! entry and the mark's last log id. By Raft's log matching, an unbroken chain of terms up to the right last log id
//! leaves no room for an older version of an entry, should sled bring one back.

use crate::{
    entry_cache::EntryCache,
    error::{CorruptLog, StoreError},
    group::Group,
    raft_types::LogId,
    record::{EntryDecoder, MARK_KEY, Mark, StoredEntry, parse_entry_key},
};
use rollcall_types::GroupId;
use std::path::Path;

/// Reads and checks a group. `witnessed` is its last acknowledged revision, 0 if none is known.
pub(crate) fn recover(
    id: GroupId,
    tree: sled::Tree,
    witnessed: u64,
    cache_bytes: usize,
    path: &Path,
) -> Result<Group, StoreError> {
    let database = |error: sled::Error| StoreError::Database { path: path.to_owned(), reason: error.to_string() };
    let damaged = |index: Option<u64>, reason: String| CorruptLog { group: id, index, reason };
    let mark = match tree.get(MARK_KEY).map_err(database)? {
        Some(value) => Some(Mark::decode(id, &value)?),
        None => None,
    };
    let revision = mark.as_ref().map_or(0, |mark| mark.revision);
    if revision < witnessed {
        let reason = format!("write {witnessed} was acknowledged, but the database ends with write {revision}");
        return Err(damaged(None, reason).into());
    }
    let mark = mark.unwrap_or_default();
    let extent = mark.extent;
    let mut chain = Chain { group: id, expected: extent.first, last: None, before: extent.purged };
    let mut decoder = EntryDecoder::new(id);
    let mut cache = EntryCache::new(cache_bytes);
    let mut leftover = None;
    for item in tree.iter() {
        let (key, value) = item.map_err(database)?;
        if key.as_ref() == MARK_KEY {
            continue;
        }
        let Some((index, part)) = parse_entry_key(&key) else {
            return Err(damaged(None, format!("there is an unknown record {:02x?}", key.as_ref())).into());
        };
        if extent.purged.is_some_and(|purged| index <= purged.index) {
            leftover.get_or_insert(index);
            continue;
        }
        if let Some(stored) = decoder.take(index, part, &value)? {
            chain.take(&stored)?;
            cache.push(index, stored.entry, stored.bytes);
            cache.durable(index + 1);
        }
    }
    if decoder.is_within_an_entry() {
        return Err(damaged(Some(chain.expected), "its end is missing".to_owned()).into());
    }
    chain.end(extent.last)?;
    cache.settle(extent.end());
    let leftover = leftover.zip(extent.purged).map(|(from, purged)| from..purged.index.saturating_add(1));
    Ok(Group::new(id, tree, mark, leftover, cache))
}

/// The entries seen so far, each resting on the one before.
struct Chain {
    group: GroupId,
    /// Index of the next entry.
    expected: u64,
    last: Option<LogId>,
    /// What the first entry rests on.
    before: Option<LogId>,
}

impl Chain {
    fn take(&mut self, stored: &StoredEntry) -> Result<(), CorruptLog> {
        let log_id = stored.entry.log_id;
        if log_id.index != self.expected {
            return Err(self.damaged(self.expected, format!("the entry is missing, the next one is {}", log_id.index)));
        }
        let before = match self.last {
            Some(last) => Some(last.leader_id.term),
            // The very first entry of a log may name none, whatever was said to be purged before it later.
            None if stored.previous_term.is_none() => None,
            None => self.before.map(|before| before.leader_id.term),
        };
        if stored.previous_term != before {
            let named = stored.previous_term.map_or_else(|| "none".to_owned(), |term| term.to_string());
            let found = before.map_or_else(|| "none".to_owned(), |term| term.to_string());
            let reason = format!("it follows an entry of term {named}, but the one before it has term {found}");
            return Err(self.damaged(log_id.index, reason));
        }
        self.last = Some(log_id);
        self.expected += 1;
        Ok(())
    }

    fn end(self, last: Option<LogId>) -> Result<(), CorruptLog> {
        let found = self.last.or(self.before);
        if found == last {
            return Ok(());
        }
        let show = |log_id: Option<LogId>| log_id.map_or_else(|| "nothing".to_owned(), |log_id| log_id.to_string());
        let index = last.map_or(self.expected, |last| last.index);
        Err(self.damaged(index, format!("the log ends with {}, it should end with {}", show(found), show(last))))
    }

    fn damaged(&self, index: u64, reason: String) -> CorruptLog {
        CorruptLog { group: self.group, index: Some(index), reason }
    }
}
