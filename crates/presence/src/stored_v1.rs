//! What format version 1 stored and sent where version 2 differs: entries of the feed told nothing of their connection,
//! a record did not know the claim before it, and the feed was bounded by count alone. Read for ever; an entry is also
//! written so, for a reader that knows no more.

use crate::{
    FeedEntry, PartitionState, Record, Transition, UnpackedFacts,
    feed::{FEED_AGE_MS_MAX_DEFAULT, Feed},
    forget::Forgetting,
    record::Presence,
    timeline::Timeline,
    will::WaitingWills,
};
use rollcall_types::{
    ClientId, ClusterTime, Epoch, FeedPosition, Incarnation, LogIndex, NodeId, OperationNumber, Owner, PartitionId,
    Protocol,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

/// [`FeedEntry`] in version 1.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FeedEntryV1 {
    position: FeedPosition,
    at: ClusterTime,
    client_id: ClientId,
    epoch: Epoch,
    owner: Owner,
    transition: Transition,
}

/// [`PartitionState`] in version 1.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PartitionStateV1 {
    partition: PartitionId,
    timeline: TimelineV1,
    last_epoch: Epoch,
    records: BTreeMap<ClientId, RecordV1>,
    online: u64,
    numbers: BTreeMap<Owner, OperationNumber>,
    fences: BTreeMap<NodeId, Incarnation>,
    wills: WaitingWills,
    forgetting: Forgetting,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct TimelineV1 {
    applied: LogIndex,
    time: ClusterTime,
    feed: FeedV1,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct FeedV1 {
    entries_max: u32,
    entries: VecDeque<FeedEntryV1>,
    last: Option<FeedPosition>,
    last_dropped: Option<FeedPosition>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct RecordV1 {
    epoch: Epoch,
    owner: Owner,
    connected_at: ClusterTime,
    username: Box<str>,
    peer: Box<str>,
    session_expiry_s: u32,
    keep_alive_s: u16,
    protocol: Protocol,
    clean_start: bool,
    presence: Presence,
}

impl From<&FeedEntry> for FeedEntryV1 {
    fn from(entry: &FeedEntry) -> FeedEntryV1 {
        let FeedEntry { position, at, client_id, epoch, owner, transition, facts: _ } = entry.clone();
        FeedEntryV1 { position, at, client_id, epoch, owner, transition }
    }
}

impl From<FeedEntryV1> for FeedEntry {
    fn from(entry: FeedEntryV1) -> FeedEntry {
        let FeedEntryV1 { position, at, client_id, epoch, owner, transition } = entry;
        FeedEntry { position, at, client_id, epoch, owner, transition, facts: None }
    }
}

impl From<RecordV1> for Record {
    fn from(record: RecordV1) -> Record {
        let facts = UnpackedFacts {
            connected_at: record.connected_at,
            prev_epoch: None,
            username: record.username,
            peer: record.peer,
            session_expiry_s: record.session_expiry_s,
            keep_alive_s: record.keep_alive_s,
            protocol: record.protocol,
            clean_start: record.clean_start,
        };
        Record { epoch: record.epoch, owner: record.owner, facts: facts.into(), presence: record.presence }
    }
}

impl From<PartitionStateV1> for PartitionState {
    /// An entry gets the facts of its connection where the client's record still has them.
    fn from(state: PartitionStateV1) -> PartitionState {
        let PartitionStateV1 { partition, timeline, last_epoch, records, online, numbers, fences, wills, forgetting } =
            state;
        let TimelineV1 { applied, time, feed } = timeline;
        let records: BTreeMap<ClientId, Box<Record>> =
            records.into_iter().map(|(client_id, record)| (client_id, Box::new(record.into()))).collect();
        let entries = feed.entries.into_iter().map(|entry| {
            let mut entry = FeedEntry::from(entry);
            if !matches!(entry.transition, Transition::WillDue(_)) {
                let record = records.get(&entry.client_id).filter(|record| record.epoch == entry.epoch);
                entry.facts = record.map(|record| record.facts.clone());
            }
            Arc::new(entry)
        });
        let feed = Feed {
            entries_max: feed.entries_max,
            entries: entries.collect(),
            last: feed.last,
            last_dropped: feed.last_dropped,
            age_ms_max: FEED_AGE_MS_MAX_DEFAULT,
        };
        let timeline = Timeline { applied, time, feed };
        PartitionState { partition, timeline, last_epoch, records, online, numbers, fences, wills, forgetting }
    }
}
