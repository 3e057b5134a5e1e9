//! One Raft group on this node: openraft's handle, the replica it feeds, and who leads.

use crate::{
    config::GroupsConfig,
    machine::Machine,
    network::Network,
    replica::{Replica, Replicated},
    stores::{SavedTerm, StartRaft},
    violations::Violations,
};
use openraft::{
    ChangeMembers, Raft, ServerState, SnapshotPolicy,
    async_runtime::watch::WatchReceiver as _,
    errors::{InitializeError, RaftError},
};
use rollcall_contracts::PeerLinks;
use rollcall_storage::TypeConfig;
use rollcall_types::{GroupId, NodeId};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// The highest commit position this node ever sent as a leader: no follower of its term knows a higher one.
#[derive(Default, Debug)]
pub(crate) struct CommitSent(AtomicU64);

impl CommitSent {
    pub(crate) fn raise(&self, index: u64) {
        self.0.fetch_max(index, Ordering::SeqCst);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// What is the same for every group, whatever its state.
pub struct GroupHandle {
    pub(crate) id: GroupId,
    pub(crate) me: NodeId,
    pub(crate) raft: Raft<TypeConfig, Machine>,
    pub(crate) log: Arc<dyn SavedTerm>,
    pub(crate) commit_sent: Arc<CommitSent>,
    pub(crate) violations: Violations,
}

/// A group with its state.
pub struct Group<S> {
    pub(crate) handle: Arc<GroupHandle>,
    pub(crate) replica: Arc<Replica<S>>,
}

/// Why a group did not start.
#[derive(Debug, thiserror::Error)]
pub enum GroupError {
    /// The timings contradict each other.
    #[error("raft timings: {0}")]
    Timings(String),
    /// The log, vote or snapshot on disk cannot be used.
    #[error("{group}: {reason}")]
    Storage {
        /// Which group.
        group: GroupId,
        /// What is wrong.
        reason: String,
    },
}

impl<S: Replicated> Group<S> {
    /// Opens the group's log and snapshot and starts its Raft instance.
    pub(crate) async fn start(
        id: GroupId,
        me: NodeId,
        state: S,
        store: &dyn StartRaft,
        mesh: &Arc<dyn PeerLinks>,
        config: &GroupsConfig,
    ) -> Result<Self, GroupError> {
        let replica = Arc::new(Replica::new(state));
        let commit_sent = Arc::new(CommitSent::default());
        let network = Network { mesh: Arc::clone(mesh), me, group: id, commit_sent: Arc::clone(&commit_sent) };
        let (raft, log) = store
            .start(id, me.0, raft_config(config)?, network, replica.clone())
            .await
            .map_err(|reason| GroupError::Storage { group: id, reason })?;
        let handle = Arc::new(GroupHandle { id, me, raft, log, commit_sent, violations: Violations::new(id) });
        Ok(Group { handle, replica })
    }

    /// The group's state on this node, possibly behind.
    #[must_use]
    pub fn replica(&self) -> &Replica<S> {
        &self.replica
    }

    /// The part that does not depend on the state.
    #[must_use]
    pub fn handle(&self) -> &GroupHandle {
        &self.handle
    }
}

impl GroupHandle {
    /// Which group.
    #[must_use]
    pub fn id(&self) -> GroupId {
        self.id
    }

    /// The term in which this node leads, by its own belief.
    #[must_use]
    pub fn leading_term(&self) -> Option<u64> {
        let metrics = self.raft.server_metrics();
        let metrics = metrics.borrow_watched();
        (metrics.state == ServerState::Leader).then(|| metrics.vote.leader_id.term)
    }

    /// The highest term this node ever saved, or is saving, a vote of.
    #[must_use]
    pub fn saved_term(&self) -> u64 {
        self.log.saved_term()
    }

    /// Whether this node believes that it leads.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.leading_term().is_some()
    }

    /// Who leads, by this node's belief.
    #[must_use]
    pub fn leader(&self) -> Option<NodeId> {
        let metrics = self.raft.server_metrics();
        let leader = metrics.borrow_watched().current_leader;
        leader.map(NodeId)
    }

    /// The voters of the present configuration, one set per half of a joint one.
    #[must_use]
    pub fn voter_sets(&self) -> Vec<BTreeSet<NodeId>> {
        let metrics = self.raft.server_metrics();
        let metrics = metrics.borrow_watched();
        metrics
            .membership_config
            .membership()
            .get_joint_config()
            .iter()
            .map(|set| set.iter().copied().map(NodeId).collect())
            .collect()
    }

    /// Whether this node votes in the present configuration.
    #[must_use]
    pub fn votes(&self) -> bool {
        let metrics = self.raft.server_metrics();
        let metrics = metrics.borrow_watched();
        metrics.membership_config.membership().voter_ids().any(|id| id == self.me.0)
    }

    /// All members, learners included.
    #[must_use]
    pub fn members(&self) -> BTreeSet<NodeId> {
        let metrics = self.raft.server_metrics();
        let metrics = metrics.borrow_watched();
        metrics.membership_config.nodes().map(|(id, _)| NodeId(*id)).collect()
    }

    /// Whether the group has been made, by whomever.
    pub async fn is_initialized(&self) -> bool {
        self.raft.is_initialized().await.unwrap_or(false)
    }

    /// Makes these nodes the group's first voters. Does nothing when the group has a log already.
    ///
    /// # Errors
    /// When openraft cannot.
    pub async fn initialize(&self, voters: &BTreeSet<NodeId>) -> Result<(), String> {
        if self.raft.is_initialized().await.map_err(|e| e.to_string())? {
            return Ok(());
        }
        let nodes: BTreeMap<u64, openraft::EmptyNode> =
            voters.iter().map(|id| (id.0, openraft::EmptyNode::default())).collect();
        match self.raft.initialize(nodes).await {
            Ok(()) => Ok(()),
            // Another founder's entry arrived in between: as good as our own.
            Err(RaftError::APIError(InitializeError::NotAllowed(_))) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Adds a member that receives the log but does not vote.
    ///
    /// # Errors
    /// When this node does not lead, or a change is under way.
    pub async fn add_learner(&self, node: NodeId) -> Result<(), String> {
        self.raft
            .add_learner(node.0, openraft::EmptyNode::default(), false)
            .await
            .map(|_| ())
            .map_err(|e| e.to_string())
    }

    /// Makes these members the voters, through a joint configuration. Former voters go on as learners or are no members
    /// any more. Ends a joint configuration that an earlier leader left behind, too.
    ///
    /// # Errors
    /// When this node does not lead, one of them is no member yet, or a change is under way.
    pub async fn set_voters(&self, voters: &BTreeSet<NodeId>, former_stay_learners: bool) -> Result<(), String> {
        let ids: BTreeSet<u64> = voters.iter().map(|node| node.0).collect();
        self.raft.change_membership(ids, former_stay_learners).await.map(|_| ()).map_err(|e| e.to_string())
    }

    /// Removes members that do not vote.
    ///
    /// # Errors
    /// When this node does not lead, or one of them votes.
    pub async fn remove_learners(&self, nodes: &BTreeSet<NodeId>) -> Result<(), String> {
        let ids: BTreeSet<u64> = nodes.iter().map(|node| node.0).collect();
        self.raft.change_membership(ChangeMembers::RemoveNodes(ids), false).await.map(|_| ()).map_err(|e| e.to_string())
    }

    /// How many entries a member is known to lack; `None` when nothing is known, or this node does not lead.
    #[must_use]
    pub fn lag_of(&self, node: NodeId) -> Option<u64> {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        if metrics.state != ServerState::Leader {
            return None;
        }
        let matched = metrics.replication.as_ref()?.get(&node.0)?.as_ref()?.index;
        Some(metrics.last_log_index.unwrap_or(0).saturating_sub(matched))
    }

    /// Whether the present configuration is committed and applied here.
    #[must_use]
    pub fn configuration_is_committed(&self) -> bool {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let configured = metrics.membership_config.log_id().as_ref().map(|id| id.index);
        let applied = metrics.last_applied.as_ref().map(|id| id.index);
        configured.is_some() && applied >= configured
    }

    /// Stops the Raft instance.
    pub(crate) async fn shutdown(&self) {
        if let Err(error) = self.raft.shutdown().await {
            tracing::warn!(group = %self.id, %error, "raft did not end in order");
        }
    }

    /// Asks the group to be led by `to`, if that replica has all of the log. `false` when it lags or this node does
    /// not lead.
    pub async fn transfer_if_caught_up(&self, to: NodeId) -> bool {
        let caught_up = {
            let metrics = self.raft.metrics();
            let metrics = metrics.borrow_watched();
            metrics.state == ServerState::Leader
                && metrics
                    .replication
                    .as_ref()
                    .and_then(|r| r.get(&to.0))
                    .and_then(|matched| matched.as_ref().map(|l| l.index))
                    .is_some_and(|index| Some(index) == metrics.last_log_index)
        };
        caught_up && self.raft.trigger().transfer_leader(to.0).await.is_ok()
    }

    /// Applied and last log index, for readiness and metrics.
    #[must_use]
    pub fn progress(&self) -> (u64, u64) {
        let metrics = self.raft.data_metrics();
        let metrics = metrics.borrow_watched();
        (metrics.last_applied.as_ref().map_or(0, |l| l.index), metrics.last_log.as_ref().map_or(0, |l| l.index))
    }

    /// A failure that ended the group on this node, or the invariants that were seen not to hold, if there was one.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        metrics.running_state.as_ref().err().map(ToString::to_string).or_else(|| self.violations.sentence())
    }
}

fn raft_config(config: &GroupsConfig) -> Result<openraft::Config, GroupError> {
    let ms = |d: std::time::Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
    let snapshot_every = config.snapshot_every;
    // A process that is to die at a snapshot must come to one soon.
    #[cfg(feature = "mutants")]
    let snapshot_every =
        if rollcall_contracts::crash_points::is_chosen() { snapshot_every.min(200) } else { snapshot_every };
    let raft = openraft::Config {
        cluster_name: "rollcall".to_owned(),
        heartbeat_interval: ms(config.heartbeat),
        election_timeout_min: ms(config.election_min),
        election_timeout_max: ms(config.election_max),
        snapshot_policy: SnapshotPolicy::LogsSinceLast(snapshot_every),
        max_in_snapshot_log_to_keep: snapshot_every / 10,
        purge_batch_size: 1024,
        enable_pre_vote: Some(true),
        // A leader sends entries before its own disk has them. Back from a crash without them it would give their
        // positions to others in the same term, and followers could not tell; its read points would not know what it
        // had sent, either. So it has to be elected, in a new term.
        enable_leader_restore: Some(false),
        // A committed position is saved, so a restarted replica recovers by itself up to it.
        ..openraft::Config::default()
    };
    raft.validate().map_err(|e| GroupError::Timings(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leader_that_restarts_is_a_follower() {
        let config = raft_config(&GroupsConfig::default()).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(config.enable_leader_restore, Some(false), "openraft's default would have it lead on at once");
    }
}
