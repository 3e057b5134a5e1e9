//! All groups of this node, where the others are, and who leads them.

use crate::{
    config::GroupsConfig,
    group::{Group, GroupError, GroupHandle},
};
use arc_swap::ArcSwap;
use rollcall_cluster::ClusterState;
use rollcall_mesh::Mesh;
use rollcall_presence::{PartitionLimits, PartitionState};
use rollcall_storage::Store;
use rollcall_types::{ClientId, GroupId, NodeId, NodeName, PartitionId, partition_of};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

/// Where the replicas are. The first replica of a partition is the one that should lead it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topology {
    /// Number of partitions, fixed for the cluster.
    pub partitions: u16,
    /// Voters of the cluster group.
    pub cluster_voters: BTreeSet<NodeId>,
    /// Replicas of each partition.
    pub placement: BTreeMap<PartitionId, Vec<NodeId>>,
    /// Names of all members.
    pub names: BTreeMap<NodeId, NodeName>,
}

/// The groups of one node.
pub struct Groups {
    me: NodeId,
    config: GroupsConfig,
    cluster: Group<ClusterState>,
    hosted: BTreeMap<PartitionId, Group<PartitionState>>,
    topology: ArcSwap<Topology>,
    hints: Vec<AtomicU64>,
    turn: AtomicUsize,
    mesh: Arc<Mesh>,
}

impl Groups {
    /// Opens and starts the cluster group and every partition group placed on this node.
    ///
    /// # Errors
    /// When a log, vote or snapshot cannot be used, or the timings are wrong.
    pub async fn start(
        me: NodeId,
        topology: Topology,
        store: &Store,
        mesh: Arc<Mesh>,
        config: GroupsConfig,
    ) -> Result<Arc<Self>, GroupError> {
        let cluster = Group::start(GroupId::CLUSTER, me, ClusterState::default(), store, &mesh, &config).await?;
        let mut hosted = BTreeMap::new();
        for (&partition, replicas) in &topology.placement {
            if replicas.contains(&me) {
                let limits = PartitionLimits { feed_entries_max: config.feed_entries_max };
                let state = PartitionState::new(partition, limits);
                let group = Group::start(GroupId::partition(partition), me, state, store, &mesh, &config).await?;
                hosted.insert(partition, group);
            }
        }
        let hints = (0..topology.partitions).map(|_| AtomicU64::new(0)).collect();
        Ok(Arc::new(Groups {
            me,
            config,
            cluster,
            hosted,
            topology: ArcSwap::from_pointee(topology),
            hints,
            turn: AtomicUsize::new(0),
            mesh,
        }))
    }

    /// This node.
    #[must_use]
    pub fn me(&self) -> NodeId {
        self.me
    }

    /// The timings and bounds in force.
    #[must_use]
    pub fn config(&self) -> &GroupsConfig {
        &self.config
    }

    /// The links to the peers.
    #[must_use]
    pub fn mesh(&self) -> &Arc<Mesh> {
        &self.mesh
    }

    /// The cluster group.
    #[must_use]
    pub fn cluster(&self) -> &Group<ClusterState> {
        &self.cluster
    }

    /// The partition groups that have a replica here.
    #[must_use]
    pub fn hosted(&self) -> &BTreeMap<PartitionId, Group<PartitionState>> {
        &self.hosted
    }

    /// Where the replicas are.
    #[must_use]
    pub fn topology(&self) -> Arc<Topology> {
        self.topology.load_full()
    }

    /// Replaces what is known of names and addresses.
    pub fn set_topology(&self, topology: Topology) {
        self.topology.store(Arc::new(topology));
    }

    /// The partition of a client id.
    #[must_use]
    pub fn partition_of(&self, client_id: &ClientId) -> PartitionId {
        partition_of(client_id.as_str(), self.topology.load().partitions)
    }

    /// The name of a member.
    #[must_use]
    pub fn name_of(&self, node: NodeId) -> Option<NodeName> {
        self.topology.load().names.get(&node).cloned()
    }

    /// The handle of a group with a replica here.
    #[must_use]
    pub fn handle(&self, group: GroupId) -> Option<&Arc<GroupHandle>> {
        match group.as_partition() {
            None => Some(&self.cluster.handle),
            Some(partition) => self.hosted.get(&partition).map(|g| &g.handle),
        }
    }

    /// Every group with a replica here.
    pub fn handles(&self) -> impl Iterator<Item = &Arc<GroupHandle>> {
        std::iter::once(&self.cluster.handle).chain(self.hosted.values().map(|g| &g.handle))
    }

    /// Whom to ask first about a group: its leader by this node's belief, else one replica after the other. `None`
    /// while a replica here knows no leader.
    #[must_use]
    pub fn whom_to_ask(&self, group: GroupId) -> Option<NodeId> {
        if let Some(handle) = self.handle(group) {
            return handle.leader();
        }
        let partition = group.as_partition()?;
        let hint = self.hints.get(usize::from(partition.0))?.load(Ordering::Relaxed);
        if hint != 0 {
            return Some(NodeId(hint));
        }
        let topology = self.topology.load();
        let replicas = topology.placement.get(&partition)?;
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        replicas.get(turn % replicas.len().max(1)).copied()
    }

    /// Notes who leads a partition without a replica here; `None` to forget it.
    pub fn note_leader(&self, group: GroupId, leader: Option<NodeId>) {
        if let Some(partition) = group.as_partition()
            && let Some(hint) = self.hints.get(usize::from(partition.0))
        {
            hint.store(leader.map_or(0, |l| l.0), Ordering::Relaxed);
        }
    }

    /// Stops every group's Raft instance.
    pub async fn shutdown(&self) {
        for handle in self.handles() {
            if let Err(error) = handle.raft.shutdown().await {
                tracing::warn!(group = %handle.id, %error, "raft did not end in order");
            }
        }
    }
}
