//! Who is a member, under which incarnation, and who holds which partition: how commands change it.

use crate::{
    ClusterOutcome, ClusterRefusal, ClusterState, DirectoryId, MEMBERS_MAX, Member, NodeAddresses, state::too_many,
};
use rollcall_types::{Incarnation, NodeId, NodeName, PartitionId};
use std::collections::BTreeSet;

impl ClusterState {
    pub(crate) fn register(
        &mut self,
        node: NodeId,
        directory: DirectoryId,
        addresses: NodeAddresses,
        after: Incarnation,
    ) -> Result<ClusterOutcome, ClusterRefusal> {
        if let Some((holder, _)) = self.members.iter().find(|(id, m)| **id != node && m.directory == directory) {
            return Err(ClusterRefusal::DirectoryTaken { node: *holder });
        }
        let member = self.members.get_mut(&node).ok_or(ClusterRefusal::UnknownMember { node })?;
        if member.leaving {
            return Err(ClusterRefusal::Leaving { node });
        }
        if member.incarnation != after {
            return Err(ClusterRefusal::NotTheLast { last: member.incarnation });
        }
        if let Some(incarnation) = member.alive().filter(|_| member.directory != directory) {
            return Err(ClusterRefusal::StillAlive { incarnation });
        }
        member.retired = member.incarnation;
        member.incarnation = Incarnation(member.incarnation.0.saturating_add(1));
        member.directory = directory;
        member.addresses = addresses;
        Ok(ClusterOutcome::Registered { incarnation: member.incarnation })
    }

    pub(crate) fn retire(&mut self, node: NodeId, up_to: Incarnation) -> Result<ClusterOutcome, ClusterRefusal> {
        let Some(member) = self.members.get_mut(&node) else {
            let retired = self.departed.get(&node).ok_or(ClusterRefusal::UnknownMember { node })?;
            return Ok(ClusterOutcome::Retired { up_to: *retired });
        };
        // Never beyond what was handed out: an incarnation must not be dead before it is born.
        member.retired = member.retired.max(up_to.min(member.incarnation));
        Ok(ClusterOutcome::Retired { up_to: member.retired })
    }

    pub(crate) fn place(
        &mut self,
        partition: PartitionId,
        replicas: Vec<NodeId>,
    ) -> Result<ClusterOutcome, ClusterRefusal> {
        let distinct: BTreeSet<NodeId> = replicas.iter().copied().collect();
        let known = self.placement.contains_key(&partition);
        let members = replicas.iter().all(|node| self.members.contains_key(node));
        if !known || replicas.is_empty() || distinct.len() != replicas.len() || !members {
            return Err(ClusterRefusal::InvalidPlacement);
        }
        let before = self.placement.insert(partition, replicas).unwrap_or_default();
        let after = self.replicas_of(partition);
        if before == after {
            return Ok(ClusterOutcome::Unchanged);
        }
        if before.iter().copied().collect::<BTreeSet<_>>() != distinct {
            // Until the group has followed, whoever may still vote in it must keep what it holds.
            let former = self.moving.entry(partition).or_default();
            former.extend(before);
            former.retain(|node| !distinct.contains(node));
        }
        Ok(ClusterOutcome::Done)
    }

    /// The group says which replicas it has. Believed only of the present placement: a report of an earlier one is late.
    pub(crate) fn confirm(
        &mut self,
        partition: PartitionId,
        replicas: &[NodeId],
    ) -> Result<ClusterOutcome, ClusterRefusal> {
        let reported: BTreeSet<NodeId> = replicas.iter().copied().collect();
        let wanted: BTreeSet<NodeId> = self.replicas_of(partition).iter().copied().collect();
        if reported != wanted || self.moving.remove(&partition).is_none() {
            return Ok(ClusterOutcome::Unchanged);
        }
        Ok(ClusterOutcome::Done)
    }

    pub(crate) fn add(
        &mut self,
        name: NodeName,
        directory: DirectoryId,
        addresses: NodeAddresses,
    ) -> Result<ClusterOutcome, ClusterRefusal> {
        let mut replaced = None;
        for (node, member) in self.members.iter().filter(|(_, member)| !member.leaving || member.directory == directory)
        {
            match (member.name == name, member.directory == directory) {
                (true, true) if !member.leaving => return Ok(ClusterOutcome::MemberAdded { node: *node }),
                (_, true) => return Err(ClusterRefusal::DirectoryTaken { node: *node }),
                (true, false) => replaced = Some((*node, member.alive())),
                (false, false) => {}
            }
        }
        match replaced {
            Some((_, Some(incarnation))) => return Err(ClusterRefusal::StillAlive { incarnation }),
            Some((node, None)) if !self.has_served(node) => return Err(ClusterRefusal::NameTaken { node }),
            _ => {}
        }
        if self.members.len() >= MEMBERS_MAX {
            return Err(too_many(MEMBERS_MAX));
        }
        let highest = self.members.keys().chain(self.departed.keys()).max().map_or(0, |node| node.0);
        let node = NodeId(highest.saturating_add(1));
        let (incarnation, retired) = (Incarnation(0), Incarnation(0));
        let leaving = false;
        let member = Member { name, directory, addresses, joined_at: self.time, incarnation, retired, leaving };
        self.members.insert(node, member);
        if let Some((former, _)) = replaced {
            self.mark_leaving(former);
        }
        Ok(ClusterOutcome::MemberAdded { node })
    }

    /// A member that never registered may be about to, with the directory it joined with.
    fn has_served(&self, node: NodeId) -> bool {
        self.last_incarnation(node) > Incarnation(0)
    }

    fn mark_leaving(&mut self, node: NodeId) {
        if let Some(member) = self.members.get_mut(&node) {
            member.leaving = true;
        }
    }

    pub(crate) fn leave(&mut self, node: NodeId) -> Result<ClusterOutcome, ClusterRefusal> {
        if self.departed.contains_key(&node) {
            return Ok(ClusterOutcome::Unchanged);
        }
        let member = self.members.get(&node).ok_or(ClusterRefusal::UnknownMember { node })?;
        if member.leaving {
            return Ok(ClusterOutcome::Unchanged);
        }
        if self.members.values().filter(|member| !member.leaving).count() == 1 {
            return Err(ClusterRefusal::LastMember);
        }
        self.mark_leaving(node);
        Ok(ClusterOutcome::Done)
    }

    pub(crate) fn remove(&mut self, node: NodeId) -> Result<ClusterOutcome, ClusterRefusal> {
        if self.departed.contains_key(&node) {
            return Ok(ClusterOutcome::Unchanged);
        }
        let member = self.members.get(&node).ok_or(ClusterRefusal::UnknownMember { node })?;
        let held = self.placement.keys().filter(|partition| self.keeps_replica(**partition, node)).count();
        if held > 0 {
            return Err(ClusterRefusal::HoldsReplicas { partitions: u16::try_from(held).unwrap_or(u16::MAX) });
        }
        if let Some(incarnation) = member.alive() {
            return Err(ClusterRefusal::StillAlive { incarnation });
        }
        if self.members.len() == 1 {
            return Err(ClusterRefusal::LastMember);
        }
        self.departed.insert(node, member.retired);
        self.members.remove(&node);
        self.access.draining.remove(&node);
        Ok(ClusterOutcome::Done)
    }
}
