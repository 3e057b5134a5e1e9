//! What the management API asks of this node about the members.

use crate::access_control::manage;
use async_trait::async_trait;
use rollcall_cluster::{ClusterOutcome, Condition, ManagedChange};
use rollcall_contracts::{AskedChange, LeaveError, MemberView, Membership, PartitionView};
use rollcall_raft::Replication;
use rollcall_types::{GroupId, NodeId, NodeName};
use std::{
    collections::BTreeSet,
    sync::{Arc, OnceLock},
    time::Duration,
};

/// Longest wait for the cluster group to decide.
const LEAVE_WITHIN: Duration = Duration::from_secs(3);

/// [`Membership`] over the replica of the cluster group, once there is one.
pub(crate) struct Management {
    node: String,
    replication: OnceLock<Arc<Replication>>,
}

impl Management {
    /// Of the node of this name.
    pub(crate) fn new(node: String) -> Self {
        Management { node, replication: OnceLock::new() }
    }

    /// The groups run from now on.
    pub(crate) fn set(&self, replication: Arc<Replication>) {
        let _ = self.replication.set(replication);
    }
}

#[async_trait]
impl Membership for Management {
    fn me(&self) -> NodeName {
        NodeName(self.node.clone())
    }

    fn leader(&self) -> Option<NodeId> {
        self.replication.get()?.groups().cluster().handle().leader()
    }

    fn members(&self) -> Vec<MemberView> {
        let Some(replication) = self.replication.get() else { return Vec::new() };
        let groups = replication.groups();
        let voters: BTreeSet<NodeId> = groups.cluster().handle().voter_sets().into_iter().flatten().collect();
        let applied = groups.cluster().replica().read();
        let placement = applied.state.placement();
        let held = |node: NodeId| placement.values().filter(|replicas| replicas.contains(&node)).count();
        let members = applied.state.members().iter().map(|(id, member)| MemberView {
            id: *id,
            name: member.name.clone(),
            zone: member.addresses.zone.clone(),
            mesh: member.addresses.mesh.clone(),
            alive: member.alive(),
            leaving: member.leaving,
            draining: applied.state.is_draining(*id),
            partitions: u16::try_from(held(*id)).unwrap_or(u16::MAX),
            votes: voters.contains(id),
        });
        members.collect()
    }

    fn partitions(&self) -> Vec<PartitionView> {
        let Some(replication) = self.replication.get() else { return Vec::new() };
        let groups = replication.groups();
        let applied = groups.cluster().replica().read();
        let views = applied.state.placement().iter().map(|(partition, replicas)| {
            let handle = groups.handle(GroupId::partition(*partition));
            let lag = |node: &NodeId| {
                let handle = handle.as_ref().filter(|handle| handle.is_leader())?;
                if handle.leader() == Some(*node) { Some(0) } else { handle.lag_of(*node) }
            };
            PartitionView {
                partition: *partition,
                replicas: replicas.clone(),
                moving: applied.state.moving().contains_key(partition),
                leader: handle.as_ref().and_then(|handle| handle.leader()),
                lags: replicas.iter().map(lag).collect(),
            }
        });
        views.collect()
    }

    async fn leave(&self, name: &str, by: &str, source: &str) -> Result<(), LeaveError> {
        self.change(name, by, source, |node| ManagedChange::Leave { node }).await
    }

    async fn drain(&self, name: &str, drain: bool, by: &str, source: &str) -> Result<(), LeaveError> {
        self.change(name, by, source, |node| ManagedChange::Drain { node, drain }).await
    }
}

impl Management {
    async fn change(
        &self,
        name: &str,
        by: &str,
        source: &str,
        change: impl FnOnce(NodeId) -> ManagedChange,
    ) -> Result<(), LeaveError> {
        let replication = self.replication.get().ok_or(LeaveError::Unavailable)?;
        let node = {
            let applied = replication.groups().cluster().replica().read();
            applied.state.member_named(name).map(|(node, _)| node).ok_or(LeaveError::UnknownNode)?
        };
        let asked = AskedChange {
            by: by.to_owned(),
            source: source.to_owned(),
            only_if: Condition::Always,
            change: change(node),
        };
        match manage(replication, &self.node, asked, LEAVE_WITHIN).await {
            Ok(ClusterOutcome::Done | ClusterOutcome::Unchanged) => Ok(()),
            Ok(ClusterOutcome::Refused(refusal)) => Err(LeaveError::Refused(refusal.to_string())),
            Ok(other) => Err(LeaveError::Refused(format!("{other:?}"))),
            Err(_) => Err(LeaveError::Unavailable),
        }
    }
}
