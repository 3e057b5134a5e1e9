//! What enters the replicated log of the cluster group. Stored: variants and fields are only ever added at the end,
//! under a new format version.

use crate::{DeviceCertificate, DirectoryId, FoundingPlan, Managed, NodeAddresses, Policy, User};
use rollcall_types::{ClusterTime, Incarnation, NodeId, NodeName, PartitionId};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// One log entry of the cluster group.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ClusterCommand {
    /// Cluster time of the proposal. Apply uses the greater of this and the last applied time.
    pub at: ClusterTime,
    /// What changes.
    pub change: ClusterChange,
}

/// One change of the cluster's state.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum ClusterChange {
    /// Founds the cluster. The first one counts; founders may all propose theirs.
    Form(Box<Founding>),
    /// Asks for the node's next incarnation.
    ///
    /// Only a process that serves nothing and holds the lock of `directory` may propose it, since it retires every
    /// earlier incarnation of the same directory at once. `after` must be the last incarnation handed out: thus a copy
    /// that arrives late, after its sender has gone on and serves again, is refused and retires nobody.
    RegisterIncarnation {
        /// The node.
        node: NodeId,
        /// Its data directory.
        directory: DirectoryId,
        /// Where it is reached from now on.
        addresses: NodeAddresses,
        /// The last incarnation of the node that the proposer knows of; zero for none.
        after: Incarnation,
    },
    /// All incarnations of the node up to this one are over.
    ///
    /// Proposed by the leader whose lease table said so, in the same term, and never forwarded: a later leader may
    /// have prolonged the lease meanwhile. A node that has drained may retire itself.
    Retire {
        /// The node.
        node: NodeId,
        /// The highest incarnation that is over.
        up_to: Incarnation,
    },
    /// Adds or replaces a user.
    PutUser(User),
    /// Deletes a user.
    DeleteUser {
        /// Its name.
        username: String,
    },
    /// Replaces the policy of that name where it stands, or adds it at the end.
    PutPolicy(Box<Policy>),
    /// Deletes a policy.
    DeletePolicy {
        /// Its name.
        name: String,
    },
    /// Moves a policy within the order of evaluation.
    MovePolicy {
        /// Its name.
        name: String,
        /// Its 0-based place afterwards; beyond the end means the end.
        to: u32,
    },
    /// Sets who holds a partition. The first replica is the preferred leader.
    SetPlacement {
        /// The partition.
        partition: PartitionId,
        /// Distinct members.
        replicas: Vec<NodeId>,
    },
    /// Adds a member under the next free node id. Idempotent for the same name and directory. With the name of a member
    /// whose incarnation is over it replaces that one, which has lost its directory and leaves.
    AddMember {
        /// Its name.
        name: NodeName,
        /// Its data directory.
        directory: DirectoryId,
        /// Where it is reached.
        addresses: NodeAddresses,
    },
    /// Removes a member that holds no replica and serves nobody. Its id is never used again.
    RemoveMember {
        /// The node.
        node: NodeId,
    },
    /// The member is to leave: it gets no incarnation and no replica any more.
    Leave {
        /// The node.
        node: NodeId,
    },
    /// The partition's group votes with exactly these replicas and counts nobody else. Proposed by its leader, once
    /// that configuration is committed: former replicas may then drop what they hold.
    ConfirmPlacement {
        /// The partition.
        partition: PartitionId,
        /// The voters of its group.
        replicas: Vec<NodeId>,
    },
    /// A change that comes from the management API: under a condition, and recorded. Since format version 2.
    Manage(Box<Managed>),
    /// Registers a device's certificate at its first connect. Unlike those that somebody asks for it is not recorded: a
    /// fleet that connects would leave no room for other records.
    RegisterCertificate {
        /// Its id.
        id: String,
        /// The certificate.
        certificate: Box<DeviceCertificate>,
    },
}

impl ClusterChange {
    /// The oldest format version that can say it.
    #[must_use]
    pub fn format_version(&self) -> u8 {
        match self {
            ClusterChange::Manage(_) | ClusterChange::RegisterCertificate { .. } => 2,
            _ => 1,
        }
    }
}

/// Everything a new cluster starts with.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Founding {
    /// 32 hexadecimal digits, the same at every founder.
    pub cluster_id: String,
    /// The cluster's name.
    pub name: String,
    /// Number of partitions, fixed from now on.
    pub partitions: u16,
    /// Replicas wanted for each partition; fewer while there are fewer members.
    pub replicas: u8,
    /// Lease of all nodes, in milliseconds. All must reckon with the same one.
    pub lease_ms: u32,
    /// The founders.
    pub members: Vec<FoundingMember>,
    /// Who holds which partition. Travels in the command, so that a later planner changes nothing of the past.
    pub placement: BTreeMap<PartitionId, Vec<NodeId>>,
    /// First accounts.
    pub users: Vec<User>,
    /// First policies, in order.
    pub policies: Vec<Policy>,
    /// Offline records without a session are forgotten after this many seconds.
    pub offline_record_keep_s: u32,
}

/// One founder.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FoundingMember {
    /// Its node id, 1 to n by sorted name.
    pub id: NodeId,
    /// Its name.
    pub name: NodeName,
    /// Its data directory.
    pub directory: DirectoryId,
    /// Where it is reached.
    pub addresses: NodeAddresses,
}

/// Why a founding makes no cluster.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error, Serialize, Deserialize)]
pub enum FoundingError {
    /// No founder, or more than the state keeps.
    #[error("a cluster is founded by 1 to 255 nodes")]
    MemberCount,
    /// Partitions or replicas are zero.
    #[error("a cluster needs at least one partition and one replica")]
    Empty,
    /// Two founders share id, name or directory, or an id is zero.
    #[error("two founders share their id, name or data directory")]
    MembersNotDistinct,
    /// The placement does not give every partition distinct founders.
    #[error("the placement of partition {0} does not name distinct founders")]
    Placement(PartitionId),
    /// Users or policies are not unique by name, or too many.
    #[error("users or policies are not unique by name, or too many")]
    Access,
}

impl Founding {
    /// A founding from the founders' common plan and what the proposer's configuration adds.
    #[must_use]
    pub fn new(plan: FoundingPlan, users: Vec<User>, policies: Vec<Policy>, offline_record_keep_s: u32) -> Self {
        Founding {
            cluster_id: plan.cluster_id,
            name: plan.name,
            partitions: plan.partitions,
            replicas: plan.replicas,
            lease_ms: plan.lease_ms,
            members: plan.members,
            placement: plan.placement,
            users,
            policies,
            offline_record_keep_s,
        }
    }

    /// Checks what the state relies on.
    ///
    /// # Errors
    /// When the founding contradicts itself.
    pub fn check(&self) -> Result<(), FoundingError> {
        if self.members.is_empty() || self.members.len() > crate::MEMBERS_MAX {
            return Err(FoundingError::MemberCount);
        }
        if self.partitions == 0 || self.replicas == 0 {
            return Err(FoundingError::Empty);
        }
        let ids: BTreeSet<NodeId> = self.members.iter().map(|m| m.id).collect();
        let names: BTreeSet<&NodeName> = self.members.iter().map(|m| &m.name).collect();
        let directories: BTreeSet<DirectoryId> = self.members.iter().map(|m| m.directory).collect();
        let count = self.members.len();
        let distinct = ids.len() == count && names.len() == count && directories.len() == count;
        if !distinct || ids.contains(&NodeId(0)) {
            return Err(FoundingError::MembersNotDistinct);
        }
        for partition in (0..self.partitions).map(PartitionId) {
            let replicas = self.placement.get(&partition).map_or(&[][..], Vec::as_slice);
            let set: BTreeSet<NodeId> = replicas.iter().copied().collect();
            if set.is_empty() || set.len() != replicas.len() || !set.is_subset(&ids) {
                return Err(FoundingError::Placement(partition));
            }
        }
        if let Some(extra) = self.placement.keys().find(|p| p.0 >= self.partitions) {
            return Err(FoundingError::Placement(*extra));
        }
        let users: BTreeSet<&str> = self.users.iter().map(|u| u.username.as_str()).collect();
        let policies: BTreeSet<&str> = self.policies.iter().map(|p| p.name.as_str()).collect();
        let unique = users.len() == self.users.len() && policies.len() == self.policies.len();
        if !unique || users.len() > crate::USERS_MAX || policies.len() > crate::POLICIES_MAX {
            return Err(FoundingError::Access);
        }
        Ok(())
    }
}

impl fmt::Display for ClusterCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.change, self.at.0)
    }
}

impl fmt::Display for ClusterChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClusterChange::Form(founding) => {
                write!(f, "form {:?} of {} nodes", founding.name, founding.members.len())
            }
            ClusterChange::RegisterIncarnation { node, after, .. } => {
                write!(f, "register node {node} after incarnation {after}")
            }
            ClusterChange::Retire { node, up_to } => write!(f, "retire node {node} up to incarnation {up_to}"),
            ClusterChange::PutUser(user) => write!(f, "put user {:?}", user.username),
            ClusterChange::DeleteUser { username } => write!(f, "delete user {username:?}"),
            ClusterChange::PutPolicy(policy) => write!(f, "put policy {:?}", policy.name),
            ClusterChange::DeletePolicy { name } => write!(f, "delete policy {name:?}"),
            ClusterChange::MovePolicy { name, to } => write!(f, "move policy {name:?} to {to}"),
            ClusterChange::SetPlacement { partition, replicas } => {
                write!(f, "place partition {partition} on {} nodes", replicas.len())
            }
            ClusterChange::AddMember { name, .. } => write!(f, "add member {name}"),
            ClusterChange::RemoveMember { node } => write!(f, "remove node {node}"),
            ClusterChange::Leave { node } => write!(f, "node {node} is to leave"),
            ClusterChange::ConfirmPlacement { partition, replicas } => {
                write!(f, "partition {partition} is held by {replicas:?}")
            }
            ClusterChange::RegisterCertificate { id, .. } => write!(f, "register certificate {id}"),
            ClusterChange::Manage(managed) => {
                write!(f, "{} {:?} by {:?}", managed.change.action(), managed.change.object(), managed.by.name)
            }
        }
    }
}
