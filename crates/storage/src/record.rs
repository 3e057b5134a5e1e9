//! The stored form of a group's log: one record per entry (in parts, if it is large) and one mark beside them.
//!
//! A group is one sled tree. Keys: `01` for the mark, `02 index part` for an entry, numbers big-endian so that sled
//! keeps the log's order. Every value is an [`envelope`](crate::envelope) whose place is group, index and part.

use crate::{
    envelope::{EnvelopeError, Place},
    error::CorruptLog,
    raft_types::{Entry, LogId, Vote},
};
use openraft::entry::RaftEntry as _;
use rollcall_types::GroupId;
use serde::{Deserialize, Serialize};

/// Most content in one value, in bytes. sled keeps up to about twenty values in a page and writes a page above 128 KiB
/// to a file of its own without syncing it; this keeps every page below that.
pub(crate) const PART_BYTES_MAX: usize = 4096;

/// The largest entry, in bytes of its encoded form. Larger ones are refused before anything is written.
pub const ENTRY_BYTES_MAX: usize = 64 << 20;

/// Key of the mark.
pub(crate) const MARK_KEY: [u8; 1] = [1];

/// Key of one part of an entry.
pub(crate) type EntryKey = [u8; 11];

/// The key under which a part of an entry is stored.
pub(crate) fn entry_key(index: u64, part: u16) -> EntryKey {
    let mut key = [2; 11];
    key[1..9].copy_from_slice(&index.to_be_bytes());
    key[9..].copy_from_slice(&part.to_be_bytes());
    key
}

/// Index and part of an entry's key; `None` for other keys.
pub(crate) fn parse_entry_key(key: &[u8]) -> Option<(u64, u16)> {
    let key: &EntryKey = key.try_into().ok()?;
    let (&[kind, a, b, c, d, e, f, g, h], &[i, j]) = key.split_first_chunk::<9>().and_then(|(head, tail)| {
        let tail: &[u8; 2] = tail.try_into().ok()?;
        Some((head, tail))
    })?;
    (kind == 2).then(|| (u64::from_be_bytes([a, b, c, d, e, f, g, h]), u16::from_be_bytes([i, j])))
}

/// An entry ready to be written.
#[derive(Debug)]
pub(crate) struct EncodedEntry {
    pub(crate) index: u64,
    /// The sealed values, by part.
    pub(crate) parts: Vec<Vec<u8>>,
    /// Bytes of all parts.
    pub(crate) bytes: usize,
}

/// Encodes an entry with the term of the one before it, `None` at the very beginning of a log. By Raft's log matching,
/// a chain of terms that is unbroken up to the last log id means that every entry is the right one.
///
/// # Errors
/// A sentence, when the entry is larger than [`ENTRY_BYTES_MAX`].
pub(crate) fn encode_entry(group: GroupId, previous_term: Option<u64>, entry: &Entry) -> Result<EncodedEntry, String> {
    let index = entry.index();
    let body = postcard::to_allocvec(&(previous_term, entry)).map_err(|error| error.to_string())?;
    if body.len() > ENTRY_BYTES_MAX {
        return Err(format!("entry {index} of {group} has {} bytes, more than {ENTRY_BYTES_MAX}", body.len()));
    }
    let count = body.len().div_ceil(PART_BYTES_MAX).max(1);
    let count = u16::try_from(count).map_err(|error| error.to_string())?;
    let mut parts = Vec::with_capacity(usize::from(count));
    let mut bytes = 0;
    let mut content = Vec::with_capacity(2 + body.len().min(PART_BYTES_MAX));
    for (part, chunk) in (0..count).zip(body.chunks(PART_BYTES_MAX)) {
        content.clear();
        content.extend_from_slice(&count.to_be_bytes());
        content.extend_from_slice(chunk);
        let sealed = seal_entry(group, index, part, &content);
        bytes += sealed.len();
        parts.push(sealed);
    }
    Ok(EncodedEntry { index, parts, bytes })
}

/// An entry as it was stored.
#[derive(Debug)]
pub(crate) struct StoredEntry {
    pub(crate) entry: Entry,
    pub(crate) previous_term: Option<u64>,
    /// Bytes of all its parts.
    pub(crate) bytes: usize,
}

/// Puts entries together from the values of a tree, in key order.
pub(crate) struct EntryDecoder {
    group: GroupId,
    body: Vec<u8>,
    bytes: usize,
    next_part: u16,
}

impl EntryDecoder {
    pub(crate) fn new(group: GroupId) -> Self {
        EntryDecoder { group, body: Vec::new(), bytes: 0, next_part: 0 }
    }

    /// Takes the next part; returns the entry when it was the last one.
    pub(crate) fn take(&mut self, index: u64, part: u16, value: &[u8]) -> Result<Option<StoredEntry>, CorruptLog> {
        let damaged = |reason: String| CorruptLog { group: self.group, index: Some(index), reason };
        let content = open_entry(self.group, index, part, value).map_err(|error| damaged(error.to_string()))?;
        let Some((&count, chunk)) = content.split_first_chunk::<2>() else {
            return Err(damaged("a part of it is too short".to_owned()));
        };
        let count = u16::from_be_bytes(count);
        if part != self.next_part || part >= count {
            return Err(damaged(format!("part {} of {count} is missing, found part {part}", self.next_part)));
        }
        self.body.extend_from_slice(chunk);
        self.bytes += value.len();
        self.next_part += 1;
        if self.next_part < count {
            return Ok(None);
        }
        let decoded = postcard::from_bytes::<(Option<u64>, Entry)>(&self.body);
        let (previous_term, entry) = decoded.map_err(|error| damaged(format!("it cannot be decoded: {error}")))?;
        if entry.index() != index {
            return Err(damaged(format!("the entry stored there has index {}", entry.index())));
        }
        let stored = StoredEntry { entry, previous_term, bytes: self.bytes };
        self.body.clear();
        self.bytes = 0;
        self.next_part = 0;
        Ok(Some(stored))
    }

    /// Whether an entry has begun and not ended.
    pub(crate) fn is_within_an_entry(&self) -> bool {
        self.next_part > 0
    }
}

fn entry_place(group: GroupId, index: u64, part: u16) -> [u8; 14] {
    let mut place = [0; 14];
    place[..4].copy_from_slice(&group.0.to_be_bytes());
    place[4..12].copy_from_slice(&index.to_be_bytes());
    place[12..].copy_from_slice(&part.to_be_bytes());
    place
}

fn seal_entry(group: GroupId, index: u64, part: u16, content: &[u8]) -> Vec<u8> {
    Place { domain: "rollcall entry", at: &entry_place(group, index, part) }.seal(content)
}

fn open_entry(group: GroupId, index: u64, part: u16, value: &[u8]) -> Result<&[u8], EnvelopeError> {
    Place { domain: "rollcall entry", at: &entry_place(group, index, part) }.open(value)
}

/// What a log holds, seen from outside: which entries, and up to where older ones were removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Extent {
    /// Index of the first entry. Without entries it says nothing.
    pub(crate) first: u64,
    /// The last entry; without entries, the last one removed.
    pub(crate) last: Option<LogId>,
    /// The last entry removed from the front.
    pub(crate) purged: Option<LogId>,
}

impl Extent {
    /// One past the last entry.
    pub(crate) fn end(&self) -> u64 {
        self.last.map_or(0, |last| last.index + 1)
    }

    /// Index and term that come before the next entry; `None` if any index may be next.
    pub(crate) fn next(&self) -> Option<(u64, u64)> {
        self.last.map(|last| (last.index + 1, last.leader_id.term))
    }

    pub(crate) fn append(&mut self, first_index: u64, last: LogId) {
        if self.last.is_none() || self.first >= self.end() {
            self.first = first_index;
        }
        self.last = Some(last);
    }

    pub(crate) fn truncate_after(&mut self, after: Option<LogId>) {
        match after {
            Some(after) if after.index + 1 >= self.end() => {}
            Some(after) if after.index >= self.first => self.last = Some(after),
            _ => {
                self.last = self.purged;
                self.first = self.end();
            }
        }
    }

    pub(crate) fn purge(&mut self, upto: LogId) {
        if self.purged.is_some_and(|purged| purged.index >= upto.index) {
            return;
        }
        self.purged = Some(upto);
        if self.end() <= upto.index + 1 {
            self.last = Some(upto);
        }
        self.first = self.first.max(upto.index + 1);
    }
}

/// Everything of a group that is not an entry. Written with every batch, in the same atomic step.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Mark {
    /// Grows by one with every batch of the group; the witness remembers the last one that was acknowledged.
    pub(crate) revision: u64,
    pub(crate) extent: Extent,
    pub(crate) vote: Option<Vote>,
    pub(crate) committed: Option<LogId>,
}

impl Mark {
    pub(crate) fn encode(&self, group: GroupId) -> Result<Vec<u8>, String> {
        let body = postcard::to_allocvec(self).map_err(|error| error.to_string())?;
        Ok(Place { domain: "rollcall mark", at: &group.0.to_be_bytes() }.seal(&body))
    }

    pub(crate) fn decode(group: GroupId, value: &[u8]) -> Result<Mark, CorruptLog> {
        let damaged = |reason: String| CorruptLog { group, index: None, reason };
        let body = Place { domain: "rollcall mark", at: &group.0.to_be_bytes() }
            .open(value)
            .map_err(|error| damaged(format!("vote and extent: {error}")))?;
        postcard::from_bytes(body).map_err(|error| damaged(format!("vote and extent cannot be decoded: {error}")))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use crate::raft_types::{CommittedLeaderId, EntryPayload, LogPayload};

    const GROUP: GroupId = GroupId(3);

    fn log_id(term: u64, index: u64) -> LogId {
        LogId::new(CommittedLeaderId::new(term), index)
    }

    fn entry(term: u64, index: u64, bytes: usize) -> Entry {
        Entry::new(log_id(term, index), EntryPayload::Normal(LogPayload::from(vec![0xab; bytes])))
    }

    fn decode(encoded: &EncodedEntry) -> Result<Option<StoredEntry>, CorruptLog> {
        let mut decoder = EntryDecoder::new(GROUP);
        let mut last = None;
        for (part, value) in (0..).zip(&encoded.parts) {
            last = decoder.take(encoded.index, part, value)?;
        }
        Ok(last)
    }

    #[test]
    fn entries_of_every_size_come_back_whole() {
        for bytes in [0, 1, PART_BYTES_MAX - 20, PART_BYTES_MAX, PART_BYTES_MAX + 1, 3 * PART_BYTES_MAX, 1 << 20] {
            let entry = entry(2, 9, bytes);
            let encoded = encode_entry(GROUP, Some(1), &entry).unwrap();
            assert!(encoded.parts.iter().all(|part| part.len() <= PART_BYTES_MAX + 7));
            let stored = decode(&encoded).unwrap().unwrap();
            assert_eq!((stored.entry, stored.previous_term, stored.bytes), (entry, Some(1), encoded.bytes));
        }
    }

    #[test]
    fn a_missing_part_is_noticed() {
        let mut encoded = encode_entry(GROUP, None, &entry(2, 9, 3 * PART_BYTES_MAX)).unwrap();
        encoded.parts.remove(1);
        let error = decode(&encoded).unwrap_err().to_string();
        assert!(error.contains("the log of partition-2 is damaged at index 9"), "{error}");
    }

    #[test]
    fn records_of_format_1_are_still_read() {
        let entry = Entry::new(log_id(2, 9), EntryPayload::Normal(LogPayload::from(vec![7, 8])));
        let stored = [1, 0xd5, 0xfa, 0x42, 0xc4, 0, 1, 1, 1, 2, 9, 1, 2, 7, 8];
        let encoded = encode_entry(GROUP, Some(1), &entry).unwrap();
        assert_eq!(encoded.parts, [stored]);
        let mark = Mark {
            revision: 300,
            extent: Extent { first: 4, last: Some(log_id(2, 9)), purged: Some(log_id(1, 3)) },
            vote: Some(Vote::new_committed(2, 5)),
            committed: Some(log_id(2, 8)),
        };
        let stored = [1, 0x20, 0xe7, 0xd8, 0x36, 0xac, 2, 4, 1, 2, 9, 1, 1, 3, 1, 2, 1, 5, 1, 1, 2, 8];
        assert_eq!(mark.encode(GROUP).unwrap(), stored);
        assert_eq!(Mark::decode(GROUP, &stored), Ok(mark));
    }

    #[test]
    fn keys_sort_as_the_log_does() {
        assert!(MARK_KEY.as_slice() < entry_key(0, 0).as_slice());
        assert!(entry_key(1, u16::MAX) < entry_key(2, 0));
        assert!(entry_key(255, 0) < entry_key(256, 0));
        assert_eq!(parse_entry_key(&entry_key(258, 3)), Some((258, 3)));
        assert_eq!(parse_entry_key(&MARK_KEY), None);
    }

    #[test]
    fn an_extent_follows_append_truncate_and_purge() {
        let mut extent = Extent::default();
        assert_eq!(extent.next(), None);
        extent.append(2, log_id(1, 5));
        assert_eq!((extent.first, extent.end()), (2, 6));
        extent.truncate_after(Some(log_id(1, 9)));
        assert_eq!(extent.end(), 6);
        extent.truncate_after(Some(log_id(1, 3)));
        assert_eq!((extent.first, extent.last), (2, Some(log_id(1, 3))));
        extent.purge(log_id(1, 2));
        assert_eq!((extent.first, extent.last), (3, Some(log_id(1, 3))));
        extent.truncate_after(None);
        assert_eq!((extent.first, extent.last), (3, Some(log_id(1, 2))));
        extent.append(3, log_id(2, 4));
        assert_eq!((extent.first, extent.last), (3, Some(log_id(2, 4))));
        extent.purge(log_id(4, 20));
        assert_eq!((extent.first, extent.last, extent.purged), (21, Some(log_id(4, 20)), Some(log_id(4, 20))));
        extent.purge(log_id(4, 10));
        assert_eq!(extent.purged, Some(log_id(4, 20)));
        extent.append(21, log_id(5, 21));
        assert_eq!((extent.first, extent.next()), (21, Some((22, 5))));
    }
}
