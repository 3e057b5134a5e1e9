//! What the cluster group's leader does: answer heartbeats, retire incarnations (`crates/controller/src/duties.rs`).

use super::Process;
use crate::{broken::Broken, node::points::Point, world::World};
use rollcall_cluster::{ClusterChange, LeaseTable};
use rollcall_types::{BootTime, GroupId, Incarnation, NodeId, Owner};
use std::rc::Rc;

/// How long the quorum round behind a heartbeat may take.
const QUORUM_ROUND_MS: u64 = 500;
/// Longest wait for a retirement to be committed before it is proposed again.
const RETIRE_WITHIN_MS: u64 = 1000;

/// The answer to a heartbeat.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Beat {
    Acknowledged,
    Retired,
    Elsewhere(NodeId),
    Nothing,
}

/// The table of the term in which this node leads.
pub(super) struct Leading {
    term: u64,
    table: LeaseTable,
    patient: bool,
}

impl Leading {
    pub(super) fn new(world: &World) -> Self {
        let patient = !world.is_broken(Broken::NewLeaderDoesNotWait);
        Leading { term: 0, table: LeaseTable::new(world.terms), patient }
    }

    /// A new term of leadership starts every wait afresh. `false` for a term that is over.
    fn lead(&mut self, term: u64, now: BootTime) -> bool {
        if term > self.term {
            let first = self.term == 0;
            self.term = term;
            if self.patient || first {
                self.table.became_leader(now);
            }
        }
        term == self.term
    }
}

impl Process {
    /// Answers a heartbeat: acknowledged only after a quorum round that began after its receipt.
    pub(super) async fn answer_heartbeat(self: Rc<Self>, from: NodeId, owner: Owner, saved_term: u64) -> Beat {
        let received_at = self.boot_time();
        let Owner { node, incarnation } = owner;
        let point = if self.world.is_broken(Broken::HeartbeatsWithoutQuorum) {
            self.point_without_quorum(GroupId::CLUSTER)
        } else {
            Rc::clone(&self).read_point(from, GroupId::CLUSTER, Some(saved_term), QUORUM_ROUND_MS).await
        };
        let (term, index) = match point {
            Point::At { term, index } => (term, index),
            Point::Elsewhere(leader) => return Beat::Elsewhere(leader),
            Point::Unavailable => return Beat::Nothing,
        };
        let mut watch = self.cluster.watch();
        if self.within_ms(QUORUM_ROUND_MS, watch.wait_for(|p| p.index >= index)).await.is_none() {
            return Beat::Nothing;
        }
        {
            let state = self.cluster.read();
            let last = state.last_incarnation(node);
            if incarnation < last || (incarnation == last && !state.is_alive(owner)) {
                return Beat::Retired;
            }
            if incarnation > last {
                return Beat::Nothing;
            }
        }
        let mut leading = self.leading.borrow_mut();
        // An answer of an earlier term is late: it must not reset what the present term knows.
        if !leading.lead(term, self.boot_time()) || !leading.table.heartbeat(node, incarnation, received_at) {
            return Beat::Nothing;
        }
        Beat::Acknowledged
    }

    /// Looks at the leases again and again.
    pub(super) async fn watch_leases(self: Rc<Self>) {
        loop {
            self.sleep_ms(self.world.terms.tick_interval_ms().max(1)).await;
            self.expire().await;
        }
    }

    async fn expire(self: &Rc<Self>) {
        let Some(term) = self.world.cluster.leading_term(self.me) else {
            if !self.world.is_broken(Broken::NewLeaderDoesNotWait) {
                self.leading.borrow_mut().table.stepped_down();
            }
            return;
        };
        let alive: Vec<_> = self.cluster.read().alive_incarnations().collect();
        let over = {
            let mut leading = self.leading.borrow_mut();
            if !leading.lead(term, self.boot_time()) {
                return;
            }
            let mut over = leading.table.tick(self.boot_time(), alive);
            if self.world.is_broken(Broken::FenceBeforeSelfFence) {
                over = self.too_early(&leading.table);
            }
            over
        };
        for (node, up_to) in over {
            self.world.note(|| format!("{} finds incarnation {up_to} of {node} over", self.me));
            // Only in the term whose lease table said so: a later leader may have prolonged the lease.
            self.change_in_term(ClusterChange::Retire { node, up_to }, term, RETIRE_WITHIN_MS).await;
        }
    }

    /// Whoever has not been heard of for half of a lease.
    fn too_early(&self, table: &LeaseTable) -> Vec<(NodeId, Incarnation)> {
        let terms = self.world.terms;
        let early = terms.lease_ms() / 2 + terms.margin_ms();
        let state = self.cluster.read();
        let retirable = |node: NodeId| table.retirable_at(node).is_some_and(|at| at <= self.boot_time().plus_ms(early));
        state.alive_incarnations().filter(|(node, _)| retirable(*node)).collect()
    }
}
