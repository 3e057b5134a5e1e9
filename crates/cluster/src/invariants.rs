//! What must hold of the cluster's state, written once: used by tests and models, and by the running server, which
//! counts violations. Each function returns the violations it finds.

#[cfg(test)]
mod tests;

use crate::{ClusterState, LeaseTerms};
use rollcall_types::{BootTime, NodeId, PartitionId};
use std::collections::BTreeSet;

/// One violated invariant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// Name of the invariant.
    pub invariant: &'static str,
    /// What contradicts it.
    pub detail: String,
}

fn violation(invariant: &'static str, detail: String) -> Violation {
    Violation { invariant, detail }
}

/// The names of all promises that [`Watch`] checks.
pub const ALL: [&str; 9] = [
    "members_are_distinct",
    "retired_was_handed_out",
    "placement_names_members",
    "access_names_are_unique",
    "incarnations_only_grow",
    "retired_never_revives",
    "positions_only_grow",
    "founding_never_changes",
    "node_ids_are_never_reused",
];

/// The promises as the running server checks them: on a change, and without a copy of the accounts.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    /// What [`of_step`] needs of the state seen last; `None` when the next one is the first.
    before: Option<ClusterState>,
    access_revision: Option<u64>,
}

impl Watch {
    /// The violations in a state that came after the one given last. Costs nothing where no command was applied between
    /// the two.
    pub fn look(&mut self, state: &ClusterState) -> Vec<Violation> {
        if self.before.as_ref().is_some_and(|before| before.applied == state.applied) {
            return Vec::new();
        }
        let mut all = of_members(state);
        if self.access_revision.replace(state.access_revision) != Some(state.access_revision) {
            all.extend(access_names_are_unique(state));
        }
        if let Some(before) = &self.before {
            all.extend(of_step(before, state));
        }
        self.before = Some(ClusterState {
            applied: state.applied,
            time: state.time,
            facts: state.facts.clone(),
            members: state.members.clone(),
            departed: state.departed.clone(),
            ..ClusterState::default()
        });
        all
    }
}

/// All that must hold of one state.
#[must_use]
pub fn of_state(state: &ClusterState) -> Vec<Violation> {
    let mut all = of_members(state);
    all.extend(access_names_are_unique(state));
    all
}

fn of_members(state: &ClusterState) -> Vec<Violation> {
    let mut all = members_are_distinct(state);
    all.extend(retired_was_handed_out(state));
    all.extend(placement_names_members(state));
    all
}

/// All that must hold between a state and any later one.
#[must_use]
pub fn of_step(before: &ClusterState, after: &ClusterState) -> Vec<Violation> {
    let mut all = incarnations_only_grow(before, after);
    all.extend(retired_never_revives(before, after));
    all.extend(positions_only_grow(before, after));
    all.extend(founding_never_changes(before, after));
    all.extend(node_ids_are_never_reused(before, after));
    all
}

/// Data directories of members are unique, and so are the names of those that are not leaving.
#[must_use]
pub fn members_are_distinct(state: &ClusterState) -> Vec<Violation> {
    let staying = || state.members.values().filter(|member| !member.leaving);
    let names: BTreeSet<_> = staying().map(|member| &member.name).collect();
    let directories: BTreeSet<_> = state.members.values().map(|member| member.directory).collect();
    let count = state.members.len();
    if names.len() == staying().count() && directories.len() == count {
        return Vec::new();
    }
    let detail = format!("{count} members, {} names that stay, {} directories", names.len(), directories.len());
    vec![violation("members_are_distinct", detail)]
}

/// No incarnation is retired before it was handed out.
#[must_use]
pub fn retired_was_handed_out(state: &ClusterState) -> Vec<Violation> {
    let wrong = state.members.iter().filter(|(_, member)| member.retired > member.incarnation);
    wrong
        .map(|(node, member)| {
            let detail = format!("node {node}: retired {} of {}", member.retired, member.incarnation);
            violation("retired_was_handed_out", detail)
        })
        .collect()
}

/// Every partition is held by distinct members, and by at least one.
#[must_use]
pub fn placement_names_members(state: &ClusterState) -> Vec<Violation> {
    let partitions = state.facts.as_ref().map_or(0, |facts| facts.partitions);
    let expected: BTreeSet<PartitionId> = (0..partitions).map(PartitionId).collect();
    let placed: BTreeSet<PartitionId> = state.placement.keys().copied().collect();
    let mut all = Vec::new();
    if expected != placed {
        all.push(violation("placement_names_members", format!("{} of {partitions} partitions placed", placed.len())));
    }
    for (partition, replicas) in &state.placement {
        let set: BTreeSet<NodeId> = replicas.iter().copied().collect();
        if set.is_empty() || set.len() != replicas.len() || set.iter().any(|n| !state.members.contains_key(n)) {
            all.push(violation("placement_names_members", format!("partition {partition} on {replicas:?}")));
        }
    }
    for (partition, former) in &state.moving {
        let replicas = state.replicas_of(*partition);
        if former.iter().any(|node| replicas.contains(node) || !state.members.contains_key(node)) {
            let detail = format!("partition {partition} on {replicas:?}, formerly on {former:?}");
            all.push(violation("placement_names_members", detail));
        }
    }
    all
}

/// Policies have unique names, and users are filed under theirs.
#[must_use]
pub fn access_names_are_unique(state: &ClusterState) -> Vec<Violation> {
    let names: BTreeSet<_> = state.policies.iter().map(|policy| &policy.name).collect();
    let mut all = Vec::new();
    if names.len() != state.policies.len() {
        all.push(violation("access_names_are_unique", "two policies share a name".to_owned()));
    }
    if state.users.iter().any(|(name, user)| *name != user.username) {
        all.push(violation("access_names_are_unique", "a user is filed under another name".to_owned()));
    }
    all
}

/// The last incarnation handed out to a node never falls.
#[must_use]
pub fn incarnations_only_grow(before: &ClusterState, after: &ClusterState) -> Vec<Violation> {
    let fell = after.members.iter().filter(|(node, member)| before.last_incarnation(**node) > member.incarnation);
    fell.map(|(node, member)| {
        let detail = format!("node {node}: {} after {}", member.incarnation, before.last_incarnation(*node));
        violation("incarnations_only_grow", detail)
    })
    .collect()
}

/// What is retired stays retired, also when the node leaves.
#[must_use]
pub fn retired_never_revives(before: &ClusterState, after: &ClusterState) -> Vec<Violation> {
    let still = |node: NodeId| after.fences().find(|(n, _)| *n == node).map(|(_, retired)| retired);
    before
        .fences()
        .filter(|(node, retired)| still(*node).is_none_or(|now| now < *retired))
        .map(|(node, retired)| violation("retired_never_revives", format!("node {node} incarnation {retired}")))
        .collect()
}

/// Neither log position nor cluster time run backwards.
#[must_use]
pub fn positions_only_grow(before: &ClusterState, after: &ClusterState) -> Vec<Violation> {
    if after.applied >= before.applied && after.time >= before.time {
        return Vec::new();
    }
    let detail =
        format!("index {} after {}, time {} after {}", after.applied, before.applied, after.time.0, before.time.0);
    vec![violation("positions_only_grow", detail)]
}

/// A cluster once formed keeps what it was founded with.
#[must_use]
pub fn founding_never_changes(before: &ClusterState, after: &ClusterState) -> Vec<Violation> {
    if before.facts.is_none() || before.facts == after.facts {
        return Vec::new();
    }
    vec![violation("founding_never_changes", format!("{:?} became {:?}", before.facts, after.facts))]
}

/// A node id that has left never returns, and one that was there is still known.
#[must_use]
pub fn node_ids_are_never_reused(before: &ClusterState, after: &ClusterState) -> Vec<Violation> {
    let returned = before.departed.keys().filter(|node| !after.departed.contains_key(node));
    let lost =
        before.members.keys().filter(|node| !after.members.contains_key(node) && !after.departed.contains_key(node));
    returned.chain(lost).map(|node| violation("node_ids_are_never_reused", format!("node {node}"))).collect()
}

/// A node's lease, and the time it has to close its sockets, end before its incarnation is retired. All three are
/// readings of one ideal clock, in one unit.
#[must_use]
pub fn lease_ends_before_retirement(lease_end: BootTime, closing: u64, retired_at: BootTime) -> Vec<Violation> {
    if lease_end.plus_ms(closing) <= retired_at {
        return Vec::new();
    }
    let detail = format!("retired at {}, lease and closing until {}", retired_at.0, lease_end.plus_ms(closing).0);
    vec![violation("lease_ends_before_retirement", detail)]
}

/// A dead node is found out within its lease and one second. Counted from the receipt of its last heartbeat; the rest
/// of that second is left to the proposal and the fences.
#[must_use]
pub fn detection_is_bounded(terms: LeaseTerms) -> Vec<Violation> {
    let latest = terms.retire_after_ms() + terms.tick_interval_ms();
    if latest + PROPOSAL_AND_FENCES_MS <= terms.lease_ms() + 1_000 {
        return Vec::new();
    }
    vec![violation("detection_is_bounded", format!("{latest} ms for a lease of {} ms", terms.lease_ms()))]
}

/// What committing a retirement and then a fence in every partition may take.
const PROPOSAL_AND_FENCES_MS: u64 = 400;
