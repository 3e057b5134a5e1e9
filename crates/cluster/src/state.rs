//! The replicated state of the cluster group. Deterministic: the same commands in the same order give the same state
//! on every member and in every version; hence apply checks only what the state relies on, and the syntax of policies
//! and users is checked by whoever proposes them.

use crate::{
    AccessState, ClusterChange, ClusterCommand, ClusterOutcome, ClusterRefusal, FormedCluster, Founding, KnownMember,
    Member, Policy, User,
};
use rollcall_types::{ClusterTime, Incarnation, LogIndex, NodeId, Owner, PartitionId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Most members. Part of the replicated rules, as the two below: raising it is a change of format.
pub const MEMBERS_MAX: usize = 255;
/// Most users.
pub const USERS_MAX: usize = 100_000;
/// Most policies.
pub const POLICIES_MAX: usize = 1_000;

/// What was fixed when the cluster was founded.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct ClusterFacts {
    /// 32 hexadecimal digits.
    pub cluster_id: String,
    /// The cluster's name.
    pub name: String,
    /// Number of partitions.
    pub partitions: u16,
    /// Replicas wanted for each partition.
    pub replicas: u8,
    /// The lease all nodes reckon with, in milliseconds.
    pub lease_ms: u32,
    /// Offline records without a session are forgotten after this many seconds.
    pub offline_record_keep_s: u32,
    /// When it was founded.
    pub formed_at: ClusterTime,
}

/// Members, incarnations, placement, accounts and policies. The default is a cluster not formed yet.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct ClusterState {
    pub(crate) applied: LogIndex,
    pub(crate) time: ClusterTime,
    pub(crate) facts: Option<ClusterFacts>,
    pub(crate) members: BTreeMap<NodeId, Member>,
    /// Removed members, with the incarnations that stay retired.
    pub(crate) departed: BTreeMap<NodeId, Incarnation>,
    pub(crate) placement: BTreeMap<PartitionId, Vec<NodeId>>,
    /// Partitions whose group has not followed their placement yet, with the former replicas that may still vote.
    pub(crate) moving: BTreeMap<PartitionId, BTreeSet<NodeId>>,
    pub(crate) users: BTreeMap<String, User>,
    pub(crate) policies: Vec<Policy>,
    pub(crate) access_revision: u64,
    /// Stored behind all this, where there is something in it.
    #[serde(skip)]
    pub(crate) access: AccessState,
}

/// The door: commands.
impl ClusterState {
    /// Applies the command at this position of the log.
    pub fn apply(&mut self, index: LogIndex, command: ClusterCommand) -> ClusterOutcome {
        self.applied = self.applied.max(index);
        self.time = self.time.max(command.at);
        self.forget_expired();
        match self.change(command.change) {
            Ok(outcome) => outcome,
            Err(refusal) => ClusterOutcome::Refused(refusal),
        }
    }

    fn change(&mut self, change: ClusterChange) -> Result<ClusterOutcome, ClusterRefusal> {
        if let ClusterChange::Form(founding) = change {
            return self.form(*founding);
        }
        let Some(facts) = &self.facts else { return Err(ClusterRefusal::NotFormed) };
        match change {
            ClusterChange::Form(_) => Ok(ClusterOutcome::AlreadyFormed { cluster_id: facts.cluster_id.clone() }),
            ClusterChange::RegisterIncarnation { node, directory, addresses, after } => {
                self.register(node, directory, addresses, after)
            }
            ClusterChange::Retire { node, up_to } => self.retire(node, up_to),
            ClusterChange::PutUser(user) => self.put_user(user),
            ClusterChange::DeleteUser { username } => self.delete_user(&username),
            ClusterChange::PutPolicy(policy) => self.put_policy(*policy),
            ClusterChange::DeletePolicy { name } => self.delete_policy(&name),
            ClusterChange::MovePolicy { name, to } => self.move_policy(&name, to),
            ClusterChange::SetPlacement { partition, replicas } => self.place(partition, replicas),
            ClusterChange::AddMember { name, directory, addresses } => self.add(name, directory, addresses),
            ClusterChange::RemoveMember { node } => self.remove(node),
            ClusterChange::Leave { node } => self.leave(node),
            ClusterChange::ConfirmPlacement { partition, replicas } => self.confirm(partition, &replicas),
            ClusterChange::Manage(managed) => self.manage(*managed),
            ClusterChange::RegisterCertificate { id, certificate } => self.register_certificate(id, *certificate),
        }
    }

    fn form(&mut self, founding: Founding) -> Result<ClusterOutcome, ClusterRefusal> {
        if let Some(facts) = &self.facts {
            return Ok(ClusterOutcome::AlreadyFormed { cluster_id: facts.cluster_id.clone() });
        }
        founding.check().map_err(ClusterRefusal::InvalidFounding)?;
        let joined_at = self.time;
        self.facts = Some(ClusterFacts {
            cluster_id: founding.cluster_id,
            name: founding.name,
            partitions: founding.partitions,
            replicas: founding.replicas,
            lease_ms: founding.lease_ms,
            offline_record_keep_s: founding.offline_record_keep_s,
            formed_at: joined_at,
        });
        for founder in founding.members {
            let member = Member {
                name: founder.name,
                directory: founder.directory,
                addresses: founder.addresses,
                joined_at,
                incarnation: Incarnation(0),
                retired: Incarnation(0),
                leaving: false,
            };
            self.members.insert(founder.id, member);
        }
        self.placement = founding.placement;
        self.users = founding.users.into_iter().map(|user| (user.username.clone(), user)).collect();
        self.policies = founding.policies;
        self.access_revision += 1;
        Ok(ClusterOutcome::Formed)
    }
}

/// Accounts and policies.
impl ClusterState {
    pub(crate) fn put_user(&mut self, user: User) -> Result<ClusterOutcome, ClusterRefusal> {
        match self.users.get(&user.username) {
            Some(present) if *present == user => return Ok(ClusterOutcome::Unchanged),
            None if self.users.len() >= USERS_MAX => return Err(too_many(USERS_MAX)),
            Some(present) if present.password_hash != user.password_hash => self.forget_scram_keys(&user.username),
            _ => {}
        }
        self.users.insert(user.username.clone(), user);
        Ok(self.access_changed())
    }

    pub(crate) fn delete_user(&mut self, username: &str) -> Result<ClusterOutcome, ClusterRefusal> {
        self.users.remove(username).ok_or(ClusterRefusal::UnknownUser)?;
        self.forget_scram_keys(username);
        Ok(self.access_changed())
    }

    pub(crate) fn put_policy(&mut self, policy: Policy) -> Result<ClusterOutcome, ClusterRefusal> {
        match self.policies.iter().position(|present| present.name == policy.name) {
            Some(place) if self.policies[place] == policy => return Ok(ClusterOutcome::Unchanged),
            Some(place) => self.policies[place] = policy,
            None if self.policies.len() >= POLICIES_MAX => return Err(too_many(POLICIES_MAX)),
            None => self.policies.push(policy),
        }
        Ok(self.access_changed())
    }

    pub(crate) fn delete_policy(&mut self, name: &str) -> Result<ClusterOutcome, ClusterRefusal> {
        let place = self.place_of_policy(name)?;
        self.policies.remove(place);
        Ok(self.access_changed())
    }

    pub(crate) fn move_policy(&mut self, name: &str, to: u32) -> Result<ClusterOutcome, ClusterRefusal> {
        let place = self.place_of_policy(name)?;
        let last = self.policies.len() - 1;
        let to = usize::try_from(to).unwrap_or(last).min(last);
        if place == to {
            return Ok(ClusterOutcome::Unchanged);
        }
        let policy = self.policies.remove(place);
        self.policies.insert(to, policy);
        Ok(self.access_changed())
    }

    fn place_of_policy(&self, name: &str) -> Result<usize, ClusterRefusal> {
        self.policies.iter().position(|policy| policy.name == name).ok_or(ClusterRefusal::UnknownPolicy)
    }

    pub(crate) fn access_changed(&mut self) -> ClusterOutcome {
        self.access_revision += 1;
        ClusterOutcome::Done
    }
}

pub(crate) fn too_many(limit: usize) -> ClusterRefusal {
    ClusterRefusal::TooMany { limit: u32::try_from(limit).unwrap_or(u32::MAX) }
}

/// Questions.
impl ClusterState {
    /// Position of the last command applied.
    #[must_use]
    pub fn applied(&self) -> LogIndex {
        self.applied
    }

    /// Time of the last command applied; never runs backwards.
    #[must_use]
    pub fn time(&self) -> ClusterTime {
        self.time
    }

    /// What the cluster was founded with; `None` before.
    #[must_use]
    pub fn facts(&self) -> Option<&ClusterFacts> {
        self.facts.as_ref()
    }

    /// What a hello of a member tells newcomers; `None` before the cluster is formed.
    #[must_use]
    pub fn formed(&self) -> Option<FormedCluster> {
        let facts = self.facts.as_ref()?;
        let known = |(id, m): (&NodeId, &Member)| KnownMember { id: *id, name: m.name.clone(), directory: m.directory };
        Some(FormedCluster {
            cluster_id: facts.cluster_id.clone(),
            cluster_name: facts.name.clone(),
            members: self.members.iter().filter(|(_, member)| !member.leaving).map(known).collect(),
        })
    }

    /// All members by id.
    #[must_use]
    pub fn members(&self) -> &BTreeMap<NodeId, Member> {
        &self.members
    }

    /// One member.
    #[must_use]
    pub fn member(&self, node: NodeId) -> Option<&Member> {
        self.members.get(&node)
    }

    /// The member of that name: a replaced one that is still leaving comes second.
    #[must_use]
    pub fn member_named(&self, name: &str) -> Option<(NodeId, &Member)> {
        let named = self.members.iter().filter(|(_, member)| member.name.0 == name);
        named.min_by_key(|(_, member)| member.leaving).map(|(id, member)| (*id, member))
    }

    /// Whether the node was a member and is none any more.
    #[must_use]
    pub fn has_departed(&self, node: NodeId) -> bool {
        self.departed.contains_key(&node)
    }

    /// The last incarnation handed out to the node, zero for none: what its next registration names as `after`.
    #[must_use]
    pub fn last_incarnation(&self, node: NodeId) -> Incarnation {
        self.members.get(&node).map_or(Incarnation(0), |member| member.incarnation)
    }

    /// Whether this incarnation is registered and not retired.
    #[must_use]
    pub fn is_alive(&self, owner: Owner) -> bool {
        self.members.get(&owner.node).and_then(Member::alive) == Some(owner.incarnation)
    }

    /// Registered incarnations that are not retired, by node: what [`crate::LeaseTable::tick`] watches.
    pub fn alive_incarnations(&self) -> impl Iterator<Item = (NodeId, Incarnation)> + '_ {
        self.members.iter().filter_map(|(node, member)| member.alive().map(|incarnation| (*node, incarnation)))
    }

    /// For each node, removed ones included, the highest retired incarnation: what every partition must have fenced.
    pub fn fences(&self) -> impl Iterator<Item = (NodeId, Incarnation)> + '_ {
        let members = self.members.iter().map(|(node, member)| (*node, member.retired));
        let departed = self.departed.iter().map(|(node, retired)| (*node, *retired));
        members.chain(departed).filter(|(_, retired)| *retired > Incarnation(0))
    }

    /// Who holds which partition; the first replica is the preferred leader.
    #[must_use]
    pub fn placement(&self) -> &BTreeMap<PartitionId, Vec<NodeId>> {
        &self.placement
    }

    /// The replicas of one partition; empty when it does not exist.
    #[must_use]
    pub fn replicas_of(&self, partition: PartitionId) -> &[NodeId] {
        self.placement.get(&partition).map_or(&[], Vec::as_slice)
    }

    /// Partitions whose group has not followed their placement yet, with the former replicas that may still vote.
    #[must_use]
    pub fn moving(&self) -> &BTreeMap<PartitionId, BTreeSet<NodeId>> {
        &self.moving
    }

    /// Whether the node has to keep a replica of the partition: it is to hold one, or its group may still count it.
    #[must_use]
    pub fn keeps_replica(&self, partition: PartitionId, node: NodeId) -> bool {
        self.replicas_of(partition).contains(&node)
            || self.moving.get(&partition).is_some_and(|former| former.contains(&node))
    }

    /// One user.
    #[must_use]
    pub fn user(&self, username: &str) -> Option<&User> {
        self.users.get(username)
    }

    /// All users by name.
    #[must_use]
    pub fn users(&self) -> &BTreeMap<String, User> {
        &self.users
    }

    /// All policies in the order of evaluation.
    #[must_use]
    pub fn policies(&self) -> &[Policy] {
        &self.policies
    }

    /// Grows with every change of users or policies, so that caches and compiled policies know when they are old.
    #[must_use]
    pub fn access_revision(&self) -> u64 {
        self.access_revision
    }
}
