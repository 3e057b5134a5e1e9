//! The end of a node's incarnations: one log entry takes all their clients offline.

use crate::{PartitionState, ending::Successor};
use rollcall_types::{DisconnectReason, Incarnation, NodeId};

impl PartitionState {
    /// Declares the node's incarnations up to this one dead. The highest fence wins; a repeated or lower one changes
    /// nothing. Costs one pass over all records of the partition.
    pub(crate) fn fence(&mut self, node: NodeId, up_to: Incarnation) {
        if self.fences.get(&node).is_some_and(|fenced| *fenced >= up_to) {
            return;
        }
        self.fences.insert(node, up_to);
        // A fenced incarnation gets no answer but `Fenced`, so its numbers are of no use any more.
        self.numbers.retain(|owner, _| owner.node != node || owner.incarnation > up_to);
        let (records, mut endings) = self.endings();
        for (client_id, record) in records {
            if record.online() && record.owner.node == node && record.owner.incarnation <= up_to {
                endings.end(client_id, record, DisconnectReason::NodeLost, Successor::NoneAfterNodeLoss);
            }
        }
    }
}
