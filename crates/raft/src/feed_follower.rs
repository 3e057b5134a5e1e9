//! Follows every partition's feed from a cursor of this node's own: from the replica here where there is one, else
//! from a peer that has one. The one way to learn of displaced and kicked epochs and of due wills.

use crate::{
    config::{FEED_ENTRIES_PER_REPLY, FEED_WAIT, RETRY_PAUSE},
    groups::Groups,
    payload,
};
use bytes::Bytes;
use prost::Message as _;
use rollcall_presence::{FeedEntry, PartitionState};
use rollcall_proto::{Kind, ReadFeedReply, ReadFeedRequest};
use rollcall_types::{FeedPosition, GroupId, LogIndex, PartitionId};
use std::{sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// What followers tell.
pub trait FeedSink: Send + Sync + 'static {
    /// Entries in the order of the log. Never blocks.
    fn entries(&self, partition: PartitionId, entries: &[Arc<FeedEntry>]);
    /// Entries between the cursor and what is kept are lost to this reader: look at the state afresh.
    fn gap(&self, partition: PartitionId);
    /// Entries that come from now on are told, and none that came before. Never blocks.
    fn began(&self, _partition: PartitionId) {}
}

/// What a read of the feed brought.
struct Read {
    entries: Vec<Arc<FeedEntry>>,
    gap: bool,
    last: FeedPosition,
}

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
            read = next(&groups, partition, cursor) => read,
        };
        let Some(read) = read else {
            tokio::time::sleep(RETRY_PAUSE).await;
            continue;
        };
        if cursor.is_none() {
            sink.began(partition);
        }
        if read.gap {
            sink.gap(partition);
            cursor = Some(read.last);
            continue;
        }
        if !read.entries.is_empty() {
            sink.entries(partition, &read.entries);
        }
        cursor = Some(read.last);
    }
}

/// The entries after the cursor; waits for the first, within a bound. Without a cursor: where the feed ends now.
async fn next(groups: &Arc<Groups>, partition: PartitionId, cursor: Option<FeedPosition>) -> Option<Read> {
    if groups.answering_replica_of(partition).is_some() {
        return read_here(groups, partition, cursor, FEED_WAIT).await;
    }
    let group = GroupId::partition(partition);
    let target = groups.whom_to_ask(group)?;
    let request = ReadFeedRequest {
        from_now: cursor.is_none(),
        index: cursor.map_or(0, |c| c.index.0),
        ordinal: cursor.map_or(0, |c| c.ordinal),
        limit: u32::try_from(FEED_ENTRIES_PER_REPLY).unwrap_or(u32::MAX),
        wait_ms: u32::try_from(FEED_WAIT.as_millis()).unwrap_or(1000),
    };
    let bytes = Bytes::from(request.encode_to_vec());
    let within = FEED_WAIT + Duration::from_millis(500);
    let reply = groups.mesh().call(target, Kind::ReadFeed as u32, group.0, 0, bytes, within).await;
    let reply = reply.ok().and_then(|bytes| ReadFeedReply::decode(bytes).ok());
    if reply.is_none() {
        groups.note_leader(group, None);
    }
    let reply = reply?;
    let entries =
        reply.entries.iter().map(|bytes| payload::decode(bytes).map(Arc::new)).collect::<Result<Vec<_>, _>>().ok()?;
    let last = FeedPosition { index: LogIndex(reply.last_index), ordinal: reply.last_ordinal };
    Some(Read { entries, gap: reply.gap, last })
}

async fn read_here(
    groups: &Groups,
    partition: PartitionId,
    cursor: Option<FeedPosition>,
    wait: Duration,
) -> Option<Read> {
    let hosted = groups.answering_replica_of(partition)?;
    let mut watch = hosted.replica().watch();
    let until = tokio::time::Instant::now() + wait;
    loop {
        watch.borrow_and_update();
        let read = look(&hosted.replica().read().state.presence, cursor);
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

fn look(state: &PartitionState, cursor: Option<FeedPosition>) -> Read {
    let end = state.feed().last_position().unwrap_or_default();
    let Some(cursor) = cursor else { return Read { entries: Vec::new(), gap: false, last: end } };
    match state.feed().after(Some(cursor), FEED_ENTRIES_PER_REPLY) {
        Ok(entries) => {
            let last = entries.last().map_or(cursor, |e| e.position);
            Read { entries, gap: false, last }
        }
        Err(_) => Read { entries: Vec::new(), gap: true, last: end },
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
    let wait = Duration::from_millis(u64::from(request.wait_ms)).min(FEED_WAIT);
    let read = read_here(groups, partition, cursor, wait)
        .await
        .ok_or_else(|| format!("partition {partition} has no replica here"))?;
    let entries = read
        .entries
        .iter()
        .map(|entry| payload::encode(entry.as_ref()).map(Bytes::from))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| e.to_string())?;
    Ok(ReadFeedReply { entries, gap: read.gap, last_index: read.last.index.0, last_ordinal: read.last.ordinal })
}
