//! The replicated state of one partition and the door to it: [`PartitionState::apply`].
//!
//! A snapshot is this struct, serialized: all of it is state. The form of format version 1 is in `stored_v1.rs`. What does not belong here: the rules of single operations
//! and steps (`claim.rs`, `fence.rs`, `forget.rs`), and questions (`query.rs`).

use crate::{
    Batch, Housekeeping, Outcome, PartitionCommand, Record, Refusal, ending::Endings, forget::Forgetting,
    timeline::Timeline, will::WaitingWills,
};
use rollcall_types::{ClientId, Epoch, Incarnation, LogIndex, NodeId, OperationNumber, Owner, PartitionId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Bounds of a partition's state. All replicas of a partition must be given the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PartitionLimits {
    /// Most entries kept in the feed; older ones are an explicit gap for their readers.
    pub feed_entries_max: u32,
    /// Entries older than this many milliseconds of cluster time are not kept, either: they go with the next log entry.
    pub feed_age_ms_max: u64,
}

/// Who holds which client id in one partition.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PartitionState {
    pub(crate) partition: PartitionId,
    pub(crate) timeline: Timeline,
    /// The epoch counter: that of the last claim applied.
    pub(crate) last_epoch: Epoch,
    /// Boxed, since the free places in the map's nodes would cost as much as those in use.
    pub(crate) records: BTreeMap<ClientId, Box<Record>>,
    /// How many records are online.
    pub(crate) online: u64,
    /// Number of the last operation applied, for each incarnation that is not fenced.
    pub(crate) numbers: BTreeMap<Owner, OperationNumber>,
    /// The highest dead incarnation of each node.
    pub(crate) fences: BTreeMap<NodeId, Incarnation>,
    pub(crate) wills: WaitingWills,
    pub(crate) forgetting: Forgetting,
}

impl PartitionState {
    /// Before the first log entry.
    #[must_use]
    pub fn new(partition: PartitionId, limits: PartitionLimits) -> PartitionState {
        PartitionState {
            partition,
            timeline: Timeline::new(limits),
            last_epoch: Epoch(0),
            records: BTreeMap::new(),
            online: 0,
            numbers: BTreeMap::new(),
            fences: BTreeMap::new(),
            wills: WaitingWills::default(),
            forgetting: Forgetting::default(),
        }
    }

    /// Applies the log entry at `index`: first the leader's housekeeping, in order, so that a fence stops what comes
    /// with it; then the batches, in order. Returns the outcomes of each batch, one for each of its operations. Never
    /// fails. An index or time that lies behind what was applied counts as that.
    pub fn apply(&mut self, index: LogIndex, command: PartitionCommand) -> Vec<Vec<Outcome>> {
        self.timeline.advance(index, command.at);
        for step in command.housekeeping {
            match step {
                Housekeeping::Fence { node, up_to } => self.fence(node, up_to),
                Housekeeping::FireWills { limit } => self.fire_wills(limit),
                Housekeeping::Forget { keep_ms, limit } => self.forget(keep_ms, limit),
            }
        }
        command.batches.into_iter().map(|batch| self.apply_batch(batch)).collect()
    }

    /// Applies the operations strictly in the order of their numbers: known numbers are answered, the next one is
    /// applied, and from a gap on nothing is.
    fn apply_batch(&mut self, batch: Batch) -> Vec<Outcome> {
        let Batch { owner, first, operations } = batch;
        if self.is_fenced(owner) {
            return operations.iter().map(|_| Outcome::Refused(Refusal::Fenced)).collect();
        }
        let mut number = first;
        let mut outcomes = Vec::with_capacity(operations.len());
        for operation in operations {
            let last = self.last_applied_number(owner);
            let expected = OperationNumber(last.0.saturating_add(1));
            outcomes.push(if number <= last {
                self.answer_retry(owner, number, &operation)
            } else if number == expected {
                self.numbers.insert(owner, number);
                self.apply_operation(owner, number, operation)
            } else {
                Outcome::Refused(Refusal::Gap { expected })
            });
            number = OperationNumber(number.0.saturating_add(1));
        }
        outcomes
    }

    /// The records, and beside them what an ending writes.
    pub(crate) fn endings(&mut self) -> (&mut BTreeMap<ClientId, Box<Record>>, Endings<'_>) {
        let endings = Endings {
            timeline: &mut self.timeline,
            wills: &mut self.wills,
            forgetting: &mut self.forgetting,
            online: &mut self.online,
        };
        (&mut self.records, endings)
    }
}
