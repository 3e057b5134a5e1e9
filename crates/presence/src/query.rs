//! Questions to a partition's state. Each answers for the log position applied last and changes nothing.

use crate::{Feed, PartitionState, Record, Status};
use rollcall_types::{
    ClientId, ClusterTime, Epoch, Incarnation, LogIndex, NodeId, OperationNumber, Owner, PartitionId,
};
use std::ops::Bound;

impl PartitionState {
    /// Is this client online? A client never seen, or forgotten, is offline.
    #[must_use]
    pub fn status(&self, client_id: &str) -> Status {
        self.records.get(client_id).map_or_else(Status::default, |record| Status {
            online: record.online(),
            epoch: Some(record.epoch),
            node: record.online().then_some(record.owner.node),
        })
    }

    /// All that is known of the client.
    #[must_use]
    pub fn record(&self, client_id: &str) -> Option<&Record> {
        self.records.get(client_id).map(|record| &**record)
    }

    /// The clients on record in the order of their ids, from this place on. A page that ended with an id is followed by
    /// the one from `Bound::Excluded` of that id.
    pub fn clients_from(&self, start: Bound<&str>) -> impl Iterator<Item = (&ClientId, &Record)> {
        let records = self.records.range::<str, _>((start, Bound::Unbounded));
        records.map(|(client_id, record)| (client_id, &**record))
    }

    /// The online claims of an incarnation. One pass over all records: for reconciliation, not for each packet.
    pub fn claims_of(&self, owner: Owner) -> impl Iterator<Item = (&ClientId, Epoch)> {
        let held = self.records.iter().filter(move |(_, record)| record.owner == owner && record.online());
        held.map(|(client_id, record)| (client_id, record.epoch))
    }

    /// How many clients are online.
    #[must_use]
    pub fn online_count(&self) -> u64 {
        self.online
    }

    /// How many clients are on record, online or not.
    #[must_use]
    pub fn record_count(&self) -> usize {
        self.records.len()
    }

    /// The feed of transitions.
    #[must_use]
    pub fn feed(&self) -> &Feed {
        &self.timeline.feed
    }

    /// Which partition this is.
    #[must_use]
    pub fn partition(&self) -> PartitionId {
        self.partition
    }

    /// Position of the last log entry applied; 0 before the first.
    #[must_use]
    pub fn applied_index(&self) -> LogIndex {
        self.timeline.applied
    }

    /// Cluster time of the last log entry applied.
    #[must_use]
    pub fn time(&self) -> ClusterTime {
        self.timeline.time
    }

    /// Epoch of the last claim applied in this partition; 0 before the first.
    #[must_use]
    pub fn last_epoch(&self) -> Epoch {
        self.last_epoch
    }

    /// The highest dead incarnation of the node.
    #[must_use]
    pub fn fenced_up_to(&self, node: NodeId) -> Option<Incarnation> {
        self.fences.get(&node).copied()
    }

    /// Whether this incarnation is dead.
    #[must_use]
    pub fn is_fenced(&self, owner: Owner) -> bool {
        self.fenced_up_to(owner.node).is_some_and(|fenced| owner.incarnation <= fenced)
    }

    /// Number of the incarnation's last operation applied here: the next one must be one more. 0 before the first, and
    /// again for a fenced incarnation.
    #[must_use]
    pub fn last_applied_number(&self, owner: Owner) -> OperationNumber {
        self.numbers.get(&owner).copied().unwrap_or_default()
    }

    /// When the next waiting will is due: from then on the leader proposes `FireWills`.
    #[must_use]
    pub fn next_will_due(&self) -> Option<ClusterTime> {
        self.wills.next_due()
    }

    /// How many wills wait.
    #[must_use]
    pub fn wills_waiting(&self) -> usize {
        self.wills.by_due.len()
    }

    /// Since when the oldest offline record waits to be forgotten: while this lies less than the keeping time back,
    /// `Forget` finds nothing. A lower bound, made exact by the end of each pass; a session that outlives the keeping
    /// time counts from then on only, and one that never ends not at all.
    #[must_use]
    pub fn oldest_offline(&self) -> Option<ClusterTime> {
        self.forgetting.oldest
    }
}
