//! All groups of this node, where the others are, and who leads them.

use crate::{
    config::GroupsConfig,
    group::{Group, GroupError, GroupHandle},
    hosting::Hosted,
    stores::StartRaft,
};
use arc_swap::ArcSwap;
use rollcall_cluster::ClusterState;
use rollcall_contracts::PeerLinks;
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
    /// Former replicas that may still lead a partition on its way to its placement.
    pub former: BTreeMap<PartitionId, BTreeSet<NodeId>>,
    /// Names of all members.
    pub names: BTreeMap<NodeId, NodeName>,
}

/// The groups of one node.
pub struct Groups {
    me: NodeId,
    config: GroupsConfig,
    cluster: Group<ClusterState>,
    hosted: ArcSwap<BTreeMap<PartitionId, Arc<Hosted>>>,
    topology: ArcSwap<Topology>,
    hints: Vec<AtomicU64>,
    turn: AtomicUsize,
    mesh: Arc<dyn PeerLinks>,
}

impl Groups {
    /// Opens and starts the cluster group. Partition groups follow one by one.
    ///
    /// # Errors
    /// When a log, vote or snapshot cannot be used, or the timings are wrong.
    pub(crate) async fn start(
        me: NodeId,
        topology: Topology,
        store: &dyn StartRaft,
        mesh: Arc<dyn PeerLinks>,
        config: GroupsConfig,
    ) -> Result<Arc<Self>, GroupError> {
        let cluster = Group::start(GroupId::CLUSTER, me, ClusterState::default(), store, &mesh, &config).await?;
        let hints = (0..topology.partitions).map(|_| AtomicU64::new(0)).collect();
        Ok(Arc::new(Groups {
            me,
            config,
            cluster,
            hosted: ArcSwap::default(),
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
    pub fn mesh(&self) -> &Arc<dyn PeerLinks> {
        &self.mesh
    }

    /// The cluster group.
    #[must_use]
    pub fn cluster(&self) -> &Group<ClusterState> {
        &self.cluster
    }

    /// The partition groups that have a replica here, as they are now.
    #[must_use]
    pub fn hosted(&self) -> Arc<BTreeMap<PartitionId, Arc<Hosted>>> {
        self.hosted.load_full()
    }

    /// The replica of a partition here, whether or not it takes part in answering.
    #[must_use]
    pub fn replica_of(&self, partition: PartitionId) -> Option<Arc<Hosted>> {
        self.hosted.load().get(&partition).cloned()
    }

    /// The replica of a partition here, if questions are to be answered from it: it votes, so it keeps up, and it is to
    /// stay. One that still learns, or is on its way out, would only make the question wait.
    #[must_use]
    pub fn answering_replica_of(&self, partition: PartitionId) -> Option<Arc<Hosted>> {
        let stays = self.topology.load().placement.get(&partition).is_some_and(|r| r.contains(&self.me));
        self.replica_of(partition).filter(|hosted| stays && hosted.handle().votes())
    }

    /// Notes that a partition has a replica here from now on.
    pub(crate) fn opened(&self, partition: PartitionId, hosted: &Arc<Hosted>) {
        self.hosted.rcu(|present| {
            let mut next = BTreeMap::clone(present);
            next.insert(partition, Arc::clone(hosted));
            next
        });
    }

    /// Takes a partition's replica out of use.
    pub(crate) fn taken_out(&self, partition: PartitionId) -> Option<Arc<Hosted>> {
        let before = self.hosted.rcu(|present| {
            let mut next = BTreeMap::clone(present);
            next.remove(&partition);
            next
        });
        before.get(&partition).cloned()
    }

    /// Where the replicas are.
    #[must_use]
    pub fn topology(&self) -> Arc<Topology> {
        self.topology.load_full()
    }

    /// Replaces what is known of names and replicas.
    pub(crate) fn set_topology(&self, topology: Topology) {
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
    pub fn handle(&self, group: GroupId) -> Option<Arc<GroupHandle>> {
        match group.as_partition() {
            None => Some(Arc::clone(&self.cluster.handle)),
            Some(partition) => self.replica_of(partition).map(|hosted| Arc::clone(hosted.handle())),
        }
    }

    /// Every group with a replica here, the cluster group first.
    #[must_use]
    pub fn handles(&self) -> Vec<Arc<GroupHandle>> {
        let hosted = self.hosted.load();
        let partitions = hosted.values().map(|hosted| Arc::clone(hosted.handle()));
        std::iter::once(Arc::clone(&self.cluster.handle)).chain(partitions).collect()
    }

    /// Whom to ask first about a group: its leader by this node's belief, else one replica after the other. `None`
    /// while a replica here knows no leader.
    #[must_use]
    pub fn whom_to_ask(&self, group: GroupId) -> Option<NodeId> {
        let Some(partition) = group.as_partition() else {
            // Fed by nobody yet, or no more: any other member knows who leads.
            let others = || self.topology.load().names.keys().copied().filter(|node| *node != self.me).collect();
            return self.cluster.handle.leader().or_else(|| self.one_of(others()));
        };
        if let Some(hosted) = self.answering_replica_of(partition) {
            return hosted.handle().leader();
        }
        let hint = self.hints.get(usize::from(partition.0))?.load(Ordering::Relaxed);
        if hint != 0 {
            return Some(NodeId(hint));
        }
        let topology = self.topology.load();
        let replicas = topology.placement.get(&partition).into_iter().flatten();
        let former = topology.former.get(&partition).into_iter().flatten();
        let others: Vec<NodeId> = replicas.chain(former).copied().filter(|node| *node != self.me).collect();
        self.one_of(others)
    }

    /// One after the other, over all calls.
    fn one_of(&self, nodes: Vec<NodeId>) -> Option<NodeId> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        nodes.get(turn % nodes.len().max(1)).copied()
    }

    /// Notes who leads a partition that is not answered from a replica here; `None` to forget it.
    pub fn note_leader(&self, group: GroupId, leader: Option<NodeId>) {
        if let Some(partition) = group.as_partition()
            && let Some(hint) = self.hints.get(usize::from(partition.0))
        {
            hint.store(leader.map_or(0, |l| l.0), Ordering::Relaxed);
        }
    }

    /// Stops the cluster group's Raft instance.
    pub(crate) async fn shutdown(&self) {
        self.cluster.handle.shutdown().await;
    }
}
