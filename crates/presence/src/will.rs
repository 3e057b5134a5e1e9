//! Wills that wait for their time after a connection's end. Each is known by its due time and the epoch that owes it,
//! so that it fires once.
//!
//! What does not belong here: when an ending owes a will (that is `ending.rs`), and how a will is published.

use crate::{PartitionState, Transition, record::Presence};
use rollcall_types::{ClientId, ClusterTime, Epoch, Owner, Will};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The wills waiting, the next due first. At most one for each client, so their number is bounded by the records.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct WaitingWills {
    pub(crate) by_due: BTreeMap<(ClusterTime, Epoch), WaitingWill>,
}

/// One will that waits.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct WaitingWill {
    pub(crate) client_id: ClientId,
    pub(crate) owner: Owner,
    pub(crate) will: Box<Will>,
}

impl WaitingWills {
    /// Lets a will wait until `due`.
    pub(crate) fn wait(&mut self, due: ClusterTime, epoch: Epoch, will: WaitingWill) {
        self.by_due.insert((due, epoch), will);
    }

    /// Takes a will out before its time: it is cancelled, or its session ended.
    pub(crate) fn take(&mut self, due: ClusterTime, epoch: Epoch) -> Option<WaitingWill> {
        self.by_due.remove(&(due, epoch))
    }

    /// Takes out the next one due at `now`.
    pub(crate) fn take_due(&mut self, now: ClusterTime) -> Option<(Epoch, WaitingWill)> {
        let first = self.by_due.first_entry().filter(|entry| entry.key().0 <= now)?;
        let ((_, epoch), will) = first.remove_entry();
        Some((epoch, will))
    }

    /// When the next will is due.
    pub(crate) fn next_due(&self) -> Option<ClusterTime> {
        self.by_due.first_key_value().map(|((due, _), _)| *due)
    }
}

/// A will that a client still owes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct OwedWill {
    /// The will.
    pub will: Will,
    /// When it is due, once the connection is over; `None` while it lasts.
    pub due: Option<ClusterTime>,
}

impl PartitionState {
    /// The will that stands behind the client's connection, or waits since its end.
    #[must_use]
    pub fn will_of(&self, client_id: &str) -> Option<OwedWill> {
        let record = self.record(client_id)?;
        if let Some(will) = record.will() {
            return Some(OwedWill { will: will.clone(), due: None });
        }
        let due = record.will_due()?;
        let waiting = self.wills.by_due.get(&(due, record.epoch()))?;
        Some(OwedWill { will: Will::clone(&waiting.will), due: Some(due) })
    }

    /// Moves wills whose time has come to the feed, the first due first, at most `limit`.
    pub(crate) fn fire_wills(&mut self, limit: u32) {
        for _ in 0..limit {
            let Some((epoch, waiting)) = self.wills.take_due(self.timeline.time) else { break };
            let WaitingWill { client_id, owner, will } = waiting;
            if let Some(record) = self.records.get_mut(&client_id).filter(|record| record.epoch == epoch)
                && let Presence::Offline { will_due, .. } = &mut record.presence
            {
                *will_due = None;
            }
            self.timeline.record(&client_id, (epoch, owner), Transition::WillDue(will), None);
        }
    }
}
