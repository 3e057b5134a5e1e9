//! Follows every partition's feed from a cursor of this node's own: from the replica here where there is one, else
//! from a peer that has one. The one way to learn of displaced and kicked epochs and of due wills.

use crate::{
    config::{FEED_ENTRIES_PER_REPLY, FEED_WAIT, RETRY_PAUSE},
    groups::Groups,
    payload::{self, FEED_FORMAT_VERSION, PayloadError},
};
use bytes::Bytes;
use prost::Message as _;
use rollcall_presence::{FeedEntry, FeedEntryV1, PartitionState};
use rollcall_proto::{Kind, ReadFeedReply, ReadFeedRequest};
use rollcall_types::{FeedPosition, GroupId, LogIndex, PartitionId};
use std::{sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// What followers tell.
pub trait FeedSink: Send + Sync + 'static {
    /// Entries in the order of the log. Never blocks.
    fn entries(&self, partition: PartitionId, entries: &[Arc<FeedEntry>]);
    /// Entries up to this place, where reading goes on, are lost to this reader: look at the state afresh.
    fn gap(&self, partition: PartitionId, until: FeedPosition);
    /// Entries that come behind this place are told, and none that came before. Never blocks.
    fn began(&self, _partition: PartitionId, _at: FeedPosition) {}
    /// All entries up to this place were told, or came before it all began, or are in a gap. Never blocks.
    fn through(&self, _partition: PartitionId, _position: FeedPosition) {}
}

/// What a read of the feed brought.
#[derive(Debug)]
pub struct FeedRead {
    /// Entries behind the cursor, in order.
    pub entries: Vec<Arc<FeedEntry>>,
    /// Entries between the cursor and `last` are no longer kept.
    pub gap: bool,
    /// The cursor to go on from: everything up to here is among the entries, or before the cursor, or in the gap.
    pub last: FeedPosition,
}

/// Reads what a partition's feed has behind the cursor, from the replica here or from a peer that has one; waits for it,
/// within a bound. `None` when nobody could answer: try again after a pause.
pub async fn read_feed(groups: &Groups, partition: PartitionId, after: FeedPosition) -> Option<FeedRead> {
    read(groups, partition, Some(after), FOLLOWING).await
}

/// How much is read at once, and how long the first entry is waited for.
#[derive(Clone, Copy)]
pub(crate) struct Patience {
    pub(crate) entries: usize,
    pub(crate) wait: Duration,
}

/// That of the followers.
const FOLLOWING: Patience = Patience { entries: FEED_ENTRIES_PER_REPLY, wait: FEED_WAIT };

/// Follows one partition until stopped.
pub(crate) async fn follow(
    groups: Arc<Groups>,
    partition: PartitionId,
    sink: Arc<dyn FeedSink>,
    stop: CancellationToken,
) {
    let mut cursor = None;
    loop {
        let read = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            read = read(&groups, partition, cursor, FOLLOWING) => read,
        };
        let Some(read) = read else {
            tokio::time::sleep(RETRY_PAUSE).await;
            continue;
        };
        if cursor.is_none() {
            sink.began(partition, read.last);
        }
        if read.gap {
            sink.gap(partition, read.last);
        } else if !read.entries.is_empty() {
            sink.entries(partition, &read.entries);
        }
        sink.through(partition, read.last);
        cursor = Some(read.last);
    }
}

/// The entries after the cursor; waits for the first, within a bound. Without a cursor: where the feed ends now.
pub(crate) async fn read(
    groups: &Groups,
    partition: PartitionId,
    cursor: Option<FeedPosition>,
    patience: Patience,
) -> Option<FeedRead> {
    if groups.answering_replica_of(partition).is_some() {
        return read_here(groups, partition, cursor, patience).await;
    }
    let group = GroupId::partition(partition);
    let target = groups.whom_to_ask(group)?;
    let request = ReadFeedRequest {
        from_now: cursor.is_none(),
        index: cursor.map_or(0, |c| c.index.0),
        ordinal: cursor.map_or(0, |c| c.ordinal),
        limit: u32::try_from(patience.entries).unwrap_or(u32::MAX),
        wait_ms: u32::try_from(patience.wait.as_millis()).unwrap_or(1000),
        format: u32::from(FEED_FORMAT_VERSION),
    };
    let bytes = Bytes::from(request.encode_to_vec());
    let within = patience.wait + Duration::from_millis(500);
    let reply = groups.mesh().call(target, Kind::ReadFeed as u32, group.0, 0, bytes, within).await;
    let reply = reply.ok().and_then(|bytes| ReadFeedReply::decode(bytes).ok());
    if reply.is_none() {
        groups.note_leader(group, None);
    }
    let reply = reply?;
    let entries = reply.entries.iter().map(|bytes| decode_entry(bytes).map(Arc::new));
    let entries = entries.collect::<Result<Vec<_>, _>>().ok()?;
    let last = FeedPosition { index: LogIndex(reply.last_index), ordinal: reply.last_ordinal };
    Some(FeedRead { entries, gap: reply.gap, last })
}

async fn read_here(
    groups: &Groups,
    partition: PartitionId,
    cursor: Option<FeedPosition>,
    patience: Patience,
) -> Option<FeedRead> {
    let hosted = groups.answering_replica_of(partition)?;
    let mut watch = hosted.replica().watch();
    let until = tokio::time::Instant::now() + patience.wait;
    loop {
        watch.borrow_and_update();
        let read = {
            let applied = hosted.replica().read();
            look(&applied.state.presence, applied.index(), cursor, patience.entries)
        };
        if read.gap || !read.entries.is_empty() || cursor.is_none() {
            return Some(read);
        }
        match tokio::time::timeout_at(until, watch.changed()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return None,
            Err(_) => return Some(read),
        }
    }
}

/// `applied` is the index of the last entry applied to the state.
fn look(state: &PartitionState, applied: LogIndex, cursor: Option<FeedPosition>, limit: usize) -> FeedRead {
    // Whatever comes later stands behind this.
    let end = state.feed().last_position().unwrap_or_default().max(FeedPosition::behind(applied));
    let Some(cursor) = cursor else { return FeedRead { entries: Vec::new(), gap: false, last: end } };
    match state.feed().after(Some(cursor), limit) {
        Ok(entries) => {
            let last = match entries.last() {
                Some(last) if entries.len() >= limit => last.position,
                // A cursor of a replica that is further stays where it is.
                _ => end.max(cursor),
            };
            FeedRead { entries, gap: false, last }
        }
        Err(_) => FeedRead { entries: Vec::new(), gap: true, last: end },
    }
}

/// Answers a peer's read of a feed that has a replica here.
pub(crate) async fn answer_peer(
    groups: &Groups,
    partition: PartitionId,
    request: &ReadFeedRequest,
) -> Result<ReadFeedReply, String> {
    let cursor =
        (!request.from_now).then_some(FeedPosition { index: LogIndex(request.index), ordinal: request.ordinal });
    let patience = Patience {
        entries: usize::try_from(request.limit).unwrap_or(usize::MAX).clamp(1, FEED_ENTRIES_PER_REPLY),
        wait: Duration::from_millis(u64::from(request.wait_ms)).min(FEED_WAIT),
    };
    let read = read_here(groups, partition, cursor, patience)
        .await
        .ok_or_else(|| format!("partition {partition} has no replica here"))?;
    let entries = read
        .entries
        .iter()
        .map(|entry| encode_entry(entry, request.format).map(Bytes::from))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| e.to_string())?;
    Ok(ReadFeedReply { entries, gap: read.gap, last_index: read.last.index.0, last_ordinal: read.last.ordinal })
}

/// An entry for a reader that reads up to this format version; one that says nothing reads version 1.
pub(crate) fn encode_entry(entry: &FeedEntry, reads_up_to: u32) -> Result<Vec<u8>, PayloadError> {
    if reads_up_to < u32::from(FEED_FORMAT_VERSION) {
        return payload::encode(&FeedEntryV1::from(entry));
    }
    payload::encode_as(FEED_FORMAT_VERSION, entry)
}

/// The reverse of [`encode_entry`].
pub(crate) fn decode_entry(bytes: &[u8]) -> Result<FeedEntry, PayloadError> {
    match payload::version(bytes, FEED_FORMAT_VERSION)? {
        (1, body) => payload::decode_body::<FeedEntryV1>(body).map(FeedEntry::from),
        (_, body) => payload::decode_body(body),
    }
}
