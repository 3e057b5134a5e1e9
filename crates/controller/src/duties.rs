//! What this node does while it leads the cluster group: answer heartbeats and retire incarnations. Membership and
//! placement are walked beside it ([`crate::walk`]).

use crate::{metrics::RETIRED, walk::Walk};
use parking_lot::Mutex;
use rollcall_cluster::{ClusterChange, LeaseTable, LeaseTerms};
use rollcall_proto::{HeartbeatReply, HeartbeatRequest, heartbeat_reply};
use rollcall_raft::{Ask, PointAnswer, Replication, boot_time};
use rollcall_types::{GroupId, Incarnation, NodeId, Owner};
use std::{sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// How long the quorum round behind a heartbeat may take.
const QUORUM_ROUND: Duration = Duration::from_millis(500);
/// Longest wait for a retirement to be committed before it is proposed again.
const RETIRE_WITHIN: Duration = Duration::from_millis(1000);

/// The leader's duties on this node.
pub struct LeaderDuties {
    replication: Arc<Replication>,
    table: Mutex<Leading>,
    terms: LeaseTerms,
}

struct Leading {
    term: u64,
    table: LeaseTable,
}

impl LeaderDuties {
    /// Duties under leases of this length.
    #[must_use]
    pub fn new(replication: Arc<Replication>, terms: LeaseTerms) -> Self {
        let leading = Leading { term: 0, table: LeaseTable::new(terms) };
        LeaderDuties { replication, table: Mutex::new(leading), terms }
    }

    /// Answers a heartbeat: acknowledged only after a quorum round that began after its receipt, so that a deposed
    /// leader never prolongs a lease.
    pub async fn answer(&self, from: NodeId, request: &HeartbeatRequest) -> HeartbeatReply {
        let received_at = boot_time();
        let reply = |answer| HeartbeatReply { answer: Some(answer) };
        let nothing = HeartbeatReply { answer: None };
        let (node, incarnation) = (NodeId(request.node), Incarnation(request.incarnation));
        if node != from {
            return nothing;
        }
        let ask = Ask { group: GroupId::CLUSTER, saved_term: Some(request.saved_term) };
        let answers = self.replication.points().answer(from, &[ask], QUORUM_ROUND).await;
        let (term, index) = match answers.first() {
            Some(PointAnswer::Point { term, index }) => (*term, *index),
            Some(PointAnswer::Elsewhere(leader)) => return reply(heartbeat_reply::Answer::LeaderHint(leader.0)),
            _ => return nothing,
        };
        let replica = self.replication.groups().cluster().replica();
        let mut watch = replica.watch();
        let reached = tokio::time::timeout(QUORUM_ROUND, watch.wait_for(|p| p.index >= index)).await;
        if !matches!(reached, Ok(Ok(_))) {
            return nothing;
        }
        {
            let applied = replica.read();
            let last = applied.state.last_incarnation(node);
            if incarnation < last || (incarnation == last && !applied.state.is_alive(Owner { node, incarnation })) {
                let sentence = format!("incarnation {incarnation} of this node is over; it must register anew");
                return reply(heartbeat_reply::Answer::Retired(sentence));
            }
            if incarnation > last {
                return nothing;
            }
        }
        let mut leading = self.table.lock();
        // An answer of an earlier term is late: it must not reset what the present term knows.
        if !leading.lead(term) || !leading.table.heartbeat(node, incarnation, received_at) {
            return nothing;
        }
        reply(heartbeat_reply::Answer::Acknowledged(true))
    }

    /// Runs until stopped. Leases are looked at on time whatever a change of membership waits for.
    pub async fn run(&self, stop: CancellationToken) {
        let walk = Walk::new(Arc::clone(&self.replication));
        tokio::join!(self.watch_leases(&stop), walk.run(&stop));
    }

    async fn watch_leases(&self, stop: &CancellationToken) {
        let look = Duration::from_millis(self.terms.tick_interval_ms().max(1));
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = tokio::time::sleep(look) => {}
            }
            self.expire().await;
        }
    }

    async fn expire(&self) {
        let groups = self.replication.groups();
        let Some(term) = groups.cluster().handle().leading_term() else {
            let mut leading = self.table.lock();
            // Looked at again under the lock: a heartbeat may have begun a term meanwhile. The term is remembered, so
            // that nothing of it counts again.
            if groups.cluster().handle().leading_term().is_none() {
                leading.table.stepped_down();
            }
            return;
        };
        let alive: Vec<_> = groups.cluster().replica().read().state.alive_incarnations().collect();
        let over = {
            let mut leading = self.table.lock();
            if !leading.lead(term) {
                return;
            }
            let now = boot_time();
            #[cfg(feature = "mutants")]
            let early = rollcall_contracts::mutants::chosen("fence_before_self_fence");
            #[cfg(feature = "mutants")]
            let now = if early { now.plus_ms(self.terms.lease_ms()) } else { now };
            leading.table.tick(now, alive)
        };
        for (node, up_to) in over {
            tracing::warn!(%node, incarnation = %up_to, "lease over, retiring the incarnation");
            // Only in the term whose lease table said so: a later leader may have prolonged the lease.
            let change = ClusterChange::Retire { node, up_to };
            match self.replication.cluster().change_in_term(change, term, RETIRE_WITHIN).await {
                Ok(_) => metrics::counter!(RETIRED).increment(1),
                Err(error) => tracing::warn!(%node, %error, "retirement not committed yet"),
            }
        }
    }
}

impl Leading {
    /// A new term of leadership starts every wait afresh. `false` for a term that is over.
    fn lead(&mut self, term: u64) -> bool {
        if term > self.term {
            self.term = term;
            self.table.became_leader(boot_time());
        }
        term == self.term
    }
}
