//! The leader's side: when it heard of each incarnation, and whom it may retire.
//!
//! Volatile, on purpose: a new leader knows nothing of its predecessor's receipts and waits a full lease and margin
//! before it retires anybody.

use super::LeaseTerms;
use rollcall_types::{BootTime, Incarnation, NodeId};
use std::collections::BTreeMap;

/// The leases that the cluster group's leader watches. Times are of the leader's boot clock.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct LeaseTable {
    terms: LeaseTerms,
    leading: Option<Leading>,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Leading {
    /// Nobody is retired before this.
    patient_until: BootTime,
    ticked_at: BootTime,
    heard: BTreeMap<NodeId, Heard>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Heard {
    incarnation: Incarnation,
    at: BootTime,
    /// It was once found over. It stays so, whatever is heard of it afterwards: its retirement may be under way.
    over: bool,
}

impl LeaseTable {
    /// The table of a node that does not lead.
    #[must_use]
    pub fn new(terms: LeaseTerms) -> Self {
        LeaseTable { terms, leading: None }
    }

    /// This node leads the cluster group from now on, in a new term. Call it once for each term, also when the same
    /// node led before.
    pub fn became_leader(&mut self, now: BootTime) {
        let patient_until = now.plus_ms(self.terms.retire_after_ms());
        self.leading = Some(Leading { patient_until, ticked_at: now, heard: BTreeMap::new() });
    }

    /// This node leads no more.
    pub fn stepped_down(&mut self) {
        self.leading = None;
    }

    /// A heartbeat arrived. Call this before the quorum round that precedes the acknowledgement; late and repeated
    /// heartbeats do no harm. Only where this returns `true` may it be acknowledged: not by a node that does not lead,
    /// and not once [`LeaseTable::tick`] has found the incarnation over.
    #[must_use]
    pub fn heartbeat(&mut self, node: NodeId, incarnation: Incarnation, received_at: BootTime) -> bool {
        let Some(leading) = &mut self.leading else { return false };
        let heard = Heard { incarnation, at: received_at, over: false };
        let known = leading.heard.entry(node).or_insert(heard);
        if incarnation > known.incarnation {
            *known = heard;
        } else if incarnation < known.incarnation || known.over {
            return false;
        }
        known.at = known.at.max(received_at);
        true
    }

    /// Looks at all incarnations that are registered and not retired ([`crate::ClusterState::alive_incarnations`]) and
    /// returns those to retire. They are returned again at every tick until they are no longer alive.
    ///
    /// Propose them in the term in which this was called, and do not forward the proposal: a later leader may have
    /// prolonged the lease.
    pub fn tick(
        &mut self,
        now: BootTime,
        alive: impl IntoIterator<Item = (NodeId, Incarnation)>,
    ) -> Vec<(NodeId, Incarnation)> {
        let Some(leading) = &mut self.leading else { return Vec::new() };
        if now.since(leading.ticked_at) > self.terms.standstill_ms() {
            // While this loop stood still, heartbeats may have waited unread.
            leading.patient_until = now.plus_ms(self.terms.retire_after_ms());
        }
        leading.ticked_at = leading.ticked_at.max(now);
        let mut heard = BTreeMap::new();
        let mut over = Vec::new();
        for (node, incarnation) in alive {
            let unheard = Heard { incarnation, at: now, over: false };
            let known = leading.heard.get(&node).filter(|known| known.incarnation >= incarnation);
            let mut known = known.copied().unwrap_or(unheard);
            // Where a later incarnation has been heard of than the state shows, the state lags and shows it soon.
            if known.incarnation == incarnation {
                known.over |= now >= leading.patient_until && now >= known.at.plus_ms(self.terms.retire_after_ms());
                if known.over {
                    over.push((node, incarnation));
                }
            }
            heard.insert(node, known);
        }
        leading.heard = heard;
        over
    }

    /// When the node's present incarnation may be retired, as far as this leader knows.
    #[must_use]
    pub fn retirable_at(&self, node: NodeId) -> Option<BootTime> {
        let leading = self.leading.as_ref()?;
        let heard = leading.heard.get(&node)?;
        Some(leading.patient_until.max(heard.at.plus_ms(self.terms.retire_after_ms())))
    }
}
