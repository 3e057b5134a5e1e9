//! Every transition has one place in its partition's feed, and every reader sees all of them in that order, from where it
//! began on; what it missed, it was told.

use super::Verdict;
use crate::{facts::Change, node::Process};
use rollcall_presence::{FeedEntry, PartitionState, invariants};
use rollcall_types::{FeedPosition, NodeId, PartitionId};
use std::{collections::BTreeMap, ops::Bound, sync::Arc};

const NAME: &str = "events_follow_the_log";

/// Who reads: a node's process, and the partition it follows.
type Reader = (NodeId, u64, PartitionId);

/// All events, and how far each reader is.
#[derive(Default)]
pub(crate) struct Readers {
    events: BTreeMap<PartitionId, BTreeMap<FeedPosition, Arc<FeedEntry>>>,
    cursors: BTreeMap<Reader, FeedPosition>,
}

/// What the rules themselves promise of one state's feed.
pub(crate) fn of_state(state: &PartitionState) -> Verdict {
    invariants::feed_follows_the_log(state).map_err(|violation| (NAME, violation.to_string()))
}

impl Readers {
    /// The log has grown.
    pub(crate) fn grew(&mut self, change: &Change<'_>) {
        let events = self.events.entry(change.partition).or_default();
        events.extend(change.events.iter().map(|event| (event.position, Arc::clone(event))));
    }

    pub(crate) fn process_ended(&mut self, node: NodeId) {
        self.cursors.retain(|(reader, ..), _| *reader != node);
    }

    /// A reader begins here, or begins anew after a gap that it was told of.
    pub(crate) fn started(&mut self, process: &Process, partition: PartitionId, at: FeedPosition) {
        self.cursors.insert((process.me, process.life, partition), at);
    }

    pub(crate) fn follows(&self, process: &Process, partition: PartitionId) -> bool {
        self.cursors.contains_key(&(process.me, process.life, partition))
    }

    /// A reader has read an entry: it must be the next one.
    pub(crate) fn read(&mut self, process: &Process, partition: PartitionId, entry: &FeedEntry) -> Verdict {
        let (me, at) = (process.me, entry.position);
        let Some(cursor) = self.cursors.get_mut(&(me, process.life, partition)) else {
            return Err((NAME, format!("node {me} reads {at} of partition {partition} before it began")));
        };
        let after = (Bound::Excluded(*cursor), Bound::Unbounded);
        let next = self.events.get(&partition).and_then(|events| events.range(after).next());
        match next {
            Some((position, event)) if *position == at && **event == *entry => {
                *cursor = at;
                Ok(())
            }
            _ => {
                let next = next.map(|(position, _)| position);
                Err((NAME, format!("node {me} reads {at} of partition {partition} after {cursor}; next is {next:?}")))
            }
        }
    }
}
