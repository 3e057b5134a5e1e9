//! Walks groups to the members they should have: learner first, then caught up, then voter, and only then is anybody
//! let go. Every leader does its part, again and again, each step idempotent: a new leader simply goes on.
//!
//! The leader of the cluster group also proposes the next move of a replica, and the removal of members that have
//! left. Which move is next is decided by the pure planner.

use rollcall_cluster::{ClusterChange, ClusterOutcome, ClusterState, planner, rebalance::Layout};
use rollcall_raft::{GroupHandle, Hosted, Replication};
use rollcall_types::{NodeId, PartitionId};
use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio_util::sync::CancellationToken;

/// How often the groups are looked at, when nothing changed.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Longest wait for one change of a group's members before it is tried again.
const CHANGE_WITHIN: Duration = Duration::from_secs(3);
/// Partitions on their way to another placement at once.
const MOVES_AT_ONCE: usize = 2;
/// A learner that lacks at most so many entries may vote: it has what the snapshot held, and is fed as entries come.
const LAG_MAX: u64 = 1_000;

/// Walks on behalf of whatever this node leads.
pub(crate) struct Walk {
    replication: Arc<Replication>,
    warned_of: AtomicUsize,
}

impl Walk {
    pub(crate) fn new(replication: Arc<Replication>) -> Self {
        Walk { replication, warned_of: AtomicUsize::new(0) }
    }

    /// Runs until stopped.
    pub(crate) async fn run(&self, stop: &CancellationToken) {
        let mut changed = self.replication.groups().cluster().replica().watch();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = self.step() => {}
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                _ = changed.changed() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    async fn step(&self) {
        let groups = self.replication.groups();
        for (partition, hosted) in groups.hosted().iter().filter(|(_, hosted)| hosted.handle().is_leader()) {
            self.partition(*partition, hosted).await;
        }
        if groups.cluster().handle().is_leader() {
            self.cluster_group().await;
            self.plan().await;
        }
    }

    /// One partition that is led here.
    async fn partition(&self, partition: PartitionId, hosted: &Hosted) {
        let (replicas, moving, preferred) = {
            let applied = self.replication.groups().cluster().replica().read();
            let replicas = applied.state.replicas_of(partition).to_vec();
            let preferred = leader_of(&applied.state, &replicas);
            (replicas, applied.state.moving().contains_key(&partition), preferred)
        };
        let Some(preferred) = preferred else { return };
        let target: BTreeSet<NodeId> = replicas.into_iter().collect();
        let handle = hosted.handle();
        if !self.to_voters(handle, &target, false).await {
            return;
        }
        let extra: BTreeSet<NodeId> = handle.members().difference(&target).copied().collect();
        if !extra.is_empty() {
            return told(handle, "let learners go", handle.remove_learners(&extra)).await;
        }
        if moving && handle.configuration_is_committed() {
            let change = ClusterChange::ConfirmPlacement { partition, replicas: target.into_iter().collect() };
            if let Err(error) = self.replication.cluster().change(&change, CHANGE_WITHIN).await {
                tracing::info!(%partition, %error, "the placement is reached, but not confirmed yet");
            }
        }
        self.hand_over(handle, preferred).await;
    }

    /// Gives leadership to this voter, if it can take it.
    async fn hand_over(&self, handle: &GroupHandle, to: NodeId) -> bool {
        let groups = self.replication.groups();
        let votes = handle.voter_sets().iter().all(|set| set.contains(&to));
        to != groups.me() && votes && groups.mesh().is_reached(to) && handle.transfer_if_caught_up(to).await
    }

    /// Takes one step towards these voters. True when they are reached.
    async fn to_voters(&self, handle: &GroupHandle, target: &BTreeSet<NodeId>, former_stay_learners: bool) -> bool {
        let groups = self.replication.groups();
        let present = handle.voter_sets();
        if let [voters] = &present[..]
            && voters == target
        {
            return true;
        }
        let members = handle.members();
        for node in target.difference(&members) {
            told(handle, "add a learner", handle.add_learner(*node)).await;
        }
        let votes = |node: &NodeId| present.iter().flatten().any(|voter| voter == node);
        let caught_up = |node: &NodeId| votes(node) || handle.lag_of(*node).is_some_and(|lag| lag <= LAG_MAX);
        let me = groups.me();
        let reached = target.iter().filter(|node| **node == me || groups.mesh().is_reached(**node)).count();
        // A configuration left half-way is ended in any case; a new one is begun only if it can commit.
        if present.len() == 1 && (!target.iter().all(caught_up) || reached * 2 <= target.len()) {
            return false;
        }
        if !target.contains(&me) {
            for node in target.iter().filter(|node| votes(node)) {
                if self.hand_over(handle, *node).await {
                    return false;
                }
            }
        }
        told(handle, "change the voters", handle.set_voters(target, former_stay_learners)).await;
        false
    }

    /// The cluster group's voters are a few; every other member learns.
    async fn cluster_group(&self) {
        let groups = self.replication.groups();
        let handle = groups.cluster().handle();
        let (all, staying) = {
            let applied = groups.cluster().replica().read();
            if applied.state.facts().is_none() {
                return;
            }
            let members = applied.state.members();
            let staying = members.iter().filter(|(_, member)| !member.leaving).map(|(node, _)| *node);
            (members.keys().copied().collect::<BTreeSet<NodeId>>(), staying.collect::<Vec<NodeId>>())
        };
        self.warn_of_size(staying.len());
        let members = handle.members();
        for node in staying.iter().filter(|node| !members.contains(node)) {
            told(handle, "add a learner", handle.add_learner(*node)).await;
        }
        let mut present: Vec<NodeId> = handle.voter_sets().into_iter().flatten().collect();
        // Where there are too many, this leader stays, and those that are reached.
        present.sort_by_key(|node| (*node != groups.me(), !groups.mesh().is_reached(*node), *node));
        let voters = planner::cluster_group_voters(&staying, &present);
        if voters.is_empty() || !self.to_voters(handle, &voters, true).await {
            return;
        }
        let successors: Vec<NodeId> = {
            let applied = groups.cluster().replica().read();
            let is_drained = applied.state.is_draining(groups.me());
            voters.iter().copied().filter(|node| is_drained && !applied.state.is_draining(*node)).collect()
        };
        for node in successors {
            if self.hand_over(handle, node).await {
                return;
            }
        }
        // One that has left is fed until it knows, so that it ends by itself.
        let knows = |node: &NodeId| !groups.mesh().is_reached(*node) || handle.lag_of(*node) == Some(0);
        let gone: BTreeSet<NodeId> = members.difference(&all).copied().filter(knows).collect();
        if !gone.is_empty() {
            told(handle, "let members go", handle.remove_learners(&gone)).await;
        }
    }

    fn warn_of_size(&self, members: usize) {
        if self.warned_of.swap(members, Ordering::Relaxed) != members && members.is_multiple_of(2) {
            tracing::warn!(
                members,
                "an even number of nodes survives no more failures than one node fewer would: add one, or remove one"
            );
        }
    }

    /// The next move, and the removal of who has left.
    async fn plan(&self) {
        let groups = self.replication.groups();
        let handle = groups.cluster().handle();
        let Some(term) = handle.leading_term() else { return };
        let voters: BTreeSet<NodeId> = handle.voter_sets().into_iter().flatten().collect();
        let change = {
            let applied = groups.cluster().replica().read();
            next_change(&applied.state, &voters)
        };
        let Some(change) = change else { return };
        match self.replication.cluster().change_in_term(change.clone(), term, CHANGE_WITHIN).await {
            Ok(ClusterOutcome::Refused(refusal)) => tracing::info!(%change, %refusal, "the plan was overtaken"),
            Ok(_) => tracing::info!(%change, "planned"),
            Err(error) => tracing::info!(%change, %error, "planned, but not committed yet"),
        }
    }
}

/// Who is to lead a partition: the first of its replicas that is not drained, or the first where all are.
fn leader_of(state: &ClusterState, replicas: &[NodeId]) -> Option<NodeId> {
    let serves = replicas.iter().find(|node| !state.is_draining(**node));
    serves.or(replicas.first()).copied()
}

/// What the cluster group's leader proposes next: who has left is removed, else a replica moves.
fn next_change(state: &ClusterState, voters: &BTreeSet<NodeId>) -> Option<ClusterChange> {
    let holds = |node: NodeId| state.placement().keys().any(|partition| state.keeps_replica(*partition, node));
    let left = state
        .members()
        .iter()
        .find(|(node, member)| member.leaving && member.alive().is_none() && !voters.contains(node) && !holds(**node));
    if let Some((node, _)) = left {
        return Some(ClusterChange::RemoveMember { node: *node });
    }
    if state.moving().len() >= MOVES_AT_ONCE {
        return None;
    }
    let (partition, replicas) = Layout::of(state).next_move()?;
    Some(ClusterChange::SetPlacement { partition, replicas })
}

/// Waits for a change, within the bound, and tells when it did not come about.
async fn told(handle: &GroupHandle, what: &str, change: impl Future<Output = Result<(), String>>) {
    match tokio::time::timeout(CHANGE_WITHIN, change).await {
        Ok(Ok(())) => tracing::info!(group = %handle.id(), what, "the group's members changed"),
        Ok(Err(error)) => tracing::info!(group = %handle.id(), what, %error, "not yet"),
        Err(_) => tracing::info!(group = %handle.id(), what, "not yet: no quorum in time"),
    }
}
