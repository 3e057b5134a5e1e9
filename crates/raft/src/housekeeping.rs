//! What a partition's leader does without being asked, again and again: propose the fences that the cluster state
//! has and the partition lacks, fire the wills that are due, forget what nobody needs.
//!
//! Everything here is idempotent and may come late: a new leader simply starts over.

use crate::{
    config::{HOUSEKEEPING_EVERY, HOUSEKEEPING_LIMIT},
    groups::Groups,
    hosting::Hosted,
    metrics::{APPLIED_INDEX, Metrics, RAFT_LEADER},
    proposer::ProposeAnswer,
    violations::{ClusterWatch, PartitionWatch},
};
use rollcall_presence::{Housekeeping, PartitionState};
use rollcall_types::{ClusterTime, GroupId};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Tells where a group stands here.
struct Gauges {
    leader: metrics::Gauge,
    applied: metrics::Gauge,
}

impl Gauges {
    fn new(group: GroupId) -> Self {
        let label = group.to_string();
        Gauges {
            leader: metrics::gauge!(RAFT_LEADER, "group" => label.clone()),
            applied: metrics::gauge!(APPLIED_INDEX, "group" => label),
        }
    }

    fn set(&self, leads: bool, applied: u64) {
        self.leader.set(if leads { 1.0 } else { 0.0 });
        #[allow(clippy::cast_precision_loss)]
        self.applied.set(applied as f64);
    }
}

/// Tells where the cluster group stands here, and whether its promises hold, until stopped. What else it needs is the
/// controller's business.
pub(crate) async fn watch_cluster_group(groups: Arc<Groups>, stop: CancellationToken) {
    let gauges = Gauges::new(GroupId::CLUSTER);
    let group = groups.cluster();
    let mut changes = group.replica.watch();
    let mut promises = ClusterWatch::default();
    loop {
        changes.borrow_and_update();
        gauges.set(group.handle.is_leader(), group.replica.position().index);
        promises.look(&group.replica.read(), &group.handle.violations);
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            _ = changes.changed() => {}
            () = tokio::time::sleep(HOUSEKEEPING_EVERY) => {}
        }
    }
}

/// Runs until stopped. Somebody must own it.
pub(crate) async fn run(groups: Arc<Groups>, hosted: Arc<Hosted>, metrics: Metrics, stop: CancellationToken) {
    let group = &hosted.group;
    let gauges = Gauges::new(group.handle.id);
    let mut cluster = groups.cluster().replica.watch();
    let mut promises = PartitionWatch::new(&group.replica.read());
    loop {
        // A change of the cluster state may be a death: look at once.
        tokio::select! {
            biased;
            () = stop.cancelled() => return gauges.set(false, group.replica.position().index),
            _ = cluster.changed() => {}
            () = tokio::time::sleep(HOUSEKEEPING_EVERY) => {}
        }
        let term = group.handle.leading_term();
        gauges.set(term.is_some(), group.replica.position().index);
        promises.look(&group.replica.read(), &group.handle.violations);
        if term.is_none() {
            continue;
        }
        let (steps, expired) = {
            let applied = group.replica.read();
            let mut steps = missing_fences(&groups, &applied.state.presence);
            steps.extend(due(&applied.state.presence, group.replica.now(), groups.config().offline_record_keep_ms));
            // Expired retained messages go with any entry, be it an empty one.
            let expired = applied.state.retained.next_expiry().is_some_and(|due| due <= group.replica.now());
            (steps, expired)
        };
        if steps.is_empty() && !expired {
            continue;
        }
        let fences = steps.iter().filter(|s| matches!(s, Housekeeping::Fence { .. })).count();
        if let ProposeAnswer::Outcomes(_) = hosted.proposer.housekeep(steps).await {
            metrics.fences.increment(fences as u64);
        }
    }
}

fn missing_fences(groups: &Groups, state: &PartitionState) -> Vec<Housekeeping> {
    let cluster = groups.cluster().replica.read();
    cluster
        .state
        .fences()
        .filter(|(node, up_to)| state.fenced_up_to(*node).is_none_or(|fenced| fenced < *up_to))
        .map(|(node, up_to)| Housekeeping::Fence { node, up_to })
        .collect()
}

fn due(state: &PartitionState, now: ClusterTime, keep_ms: u64) -> Vec<Housekeeping> {
    let mut steps = Vec::new();
    if state.next_will_due().is_some_and(|due| due <= now) {
        steps.push(Housekeeping::FireWills { limit: HOUSEKEEPING_LIMIT });
    }
    if state.oldest_offline().is_some_and(|since| since.plus_ms(keep_ms) <= now) {
        steps.push(Housekeeping::Forget { keep_ms, limit: HOUSEKEEPING_LIMIT });
    }
    steps
}
