//! What this node does while it leads the cluster group: answer heartbeats and retire incarnations. Membership and
//! placement are walked beside it ([`crate::walk`]).

use crate::{metrics::RETIRED, walk::Walk};
use parking_lot::Mutex;
use rollcall_cluster::{ClusterChange, LeaseTable, LeaseTerms};
use rollcall_proto::{HeartbeatReply, HeartbeatRequest, QuotaGrant, QuotaPart, heartbeat_reply};
use rollcall_quota::{Grant, GrantTable, Use, shares_exceed_limit};
use rollcall_raft::{Ask, PointAnswer, Replication, boot_time};
use rollcall_types::{BootTime, GroupId, Incarnation, NodeId, Owner};
use std::{sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// The same counter as of the invariants of the groups.
const VIOLATIONS: &str = "rollcall_invariant_violations_total";
const GRANTED: &str = "rollcall_quota_granted_per_second";
/// How long the quorum round behind a heartbeat may take.
const QUORUM_ROUND: Duration = Duration::from_millis(500);
/// Longest wait for a retirement to be committed before it is proposed again.
const RETIRE_WITHIN: Duration = Duration::from_millis(1000);

/// The leader's duties on this node.
pub struct LeaderDuties {
    replication: Arc<Replication>,
    table: Mutex<Leading>,
    terms: LeaseTerms,
    /// The instance's messages a second; 0: no limit.
    quota: u32,
}

struct Leading {
    term: u64,
    table: LeaseTable,
    grants: GrantTable,
    began: BootTime,
}

impl LeaderDuties {
    /// Duties under leases of this length, with so many units a second for the whole instance; 0: no limit.
    #[must_use]
    pub fn new(replication: Arc<Replication>, terms: LeaseTerms, quota: u32) -> Self {
        metrics::describe_gauge!(GRANTED, metrics::Unit::Count, "units a second that all nodes may use, by the leader");
        metrics::counter!(VIOLATIONS, "invariant" => "quota_is_never_exceeded").increment(0);
        let (table, grants) = (LeaseTable::new(terms), GrantTable::new(quota));
        let leading = Leading { term: 0, table, grants, began: BootTime(0) };
        LeaderDuties { replication, table: Mutex::new(leading), terms, quota }
    }

    /// Answers a heartbeat: acknowledged only after a quorum round that began after its receipt, so that a deposed
    /// leader never prolongs a lease.
    pub async fn answer(&self, from: NodeId, request: &HeartbeatRequest) -> HeartbeatReply {
        let received_at = boot_time();
        let reply = |answer| HeartbeatReply { answer: Some(answer), grant: None };
        let nothing = HeartbeatReply::default();
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
        let mut grant = None;
        if let Some(said) = request.quota.filter(|_| self.quota > 0) {
            let said = Use { in_use: said.in_use, demand: said.demand };
            let per_second = leading.grants.heartbeat(node, incarnation, request.sequence, said);
            // An answer without a grant would say that there is no limit.
            let Some(per_second) = per_second else { return nothing };
            grant = Some(QuotaGrant { per_second, parts: parts(&leading.grants) });
        }
        HeartbeatReply { grant, ..reply(heartbeat_reply::Answer::Acknowledged(true)) }
    }

    /// Whose grants are over, and whether all of an earlier leader's are; and that promise 10 holds.
    fn look_at_grants(&self, leading: &mut Leading, alive: &[(NodeId, Incarnation)], now: BootTime) {
        if self.quota == 0 {
            return;
        }
        let all_seen_out = now.since(leading.began) > self.terms.retire_after_ms();
        leading.grants.alive(alive.iter().copied(), all_seen_out);
        let at_most = leading.grants.at_most();
        #[allow(clippy::cast_precision_loss)] // far below 2^52
        metrics::gauge!(GRANTED).set(at_most as f64);
        let parts = leading.grants.nodes().values().map(|grant| grant.at_most);
        if shares_exceed_limit(self.quota, parts).is_some() {
            tracing::error!(at_most, "an invariant is violated: quota_is_never_exceeded");
            metrics::counter!(VIOLATIONS, "invariant" => "quota_is_never_exceeded").increment(1);
        }
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
            self.look_at_grants(&mut leading, &alive, now);
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

fn parts(grants: &GrantTable) -> Vec<QuotaPart> {
    let part =
        |(node, grant): (&NodeId, &Grant)| QuotaPart { node: node.0, granted: grant.granted, demand: grant.demand };
    grants.nodes().iter().map(part).collect()
}

impl Leading {
    /// A new term of leadership starts every wait afresh. `false` for a term that is over.
    fn lead(&mut self, term: u64) -> bool {
        if term > self.term {
            self.term = term;
            self.began = boot_time();
            self.table.became_leader(self.began);
            self.grants = GrantTable::new(self.grants.limit());
        }
        term == self.term
    }
}
