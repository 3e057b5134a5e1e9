//! The promises about a group's state, watched on this node: a broken one is counted, logged once, and keeps the node
//! from being ready.
//!
//! What does not belong here: the promises themselves (`presence::invariants`, `cluster::invariants`).

use crate::{metrics::INVARIANT_VIOLATIONS, partition::Partition, replica::Applied};
use parking_lot::Mutex;
use rollcall_cluster::{ClusterState, invariants as cluster_invariants};
use rollcall_presence::invariants::{self as partition_invariants, InvariantWatch, check_cheap};
use rollcall_types::GroupId;
use std::collections::BTreeSet;

/// The promises that were seen broken in one group.
pub(crate) struct Violations {
    group: GroupId,
    broken: Mutex<BTreeSet<&'static str>>,
}

impl Violations {
    /// None yet.
    pub(crate) fn new(group: GroupId) -> Self {
        // Counters that stand at zero from the start let an alert tell "none" from "not looked".
        let partition = partition_invariants::ALL.iter().map(|(name, _)| *name);
        for name in partition.chain(cluster_invariants::ALL) {
            count(name, 0);
        }
        Violations { group, broken: Mutex::default() }
    }

    /// Counts a violation. The first one of each promise is logged; its detail may name a client, so it is told below
    /// info level and nowhere else.
    fn found(&self, invariant: &'static str, detail: &str) {
        count(invariant, 1);
        if self.broken.lock().insert(invariant) {
            tracing::error!(group = %self.group, invariant, "an invariant is violated");
        }
        tracing::debug!(group = %self.group, invariant, detail, "violation of an invariant");
    }

    /// What readiness says of the group; `None` while all promises hold.
    pub(crate) fn sentence(&self) -> Option<String> {
        let broken = self.broken.lock();
        let names: Vec<&str> = broken.iter().copied().collect();
        match names.as_slice() {
            [] => None,
            [name] => Some(format!("the invariant {name} is violated")),
            names => Some(format!("the invariants {} are violated", names.join(", "))),
        }
    }
}

fn count(invariant: &'static str, violations: u64) {
    metrics::counter!(INVARIANT_VIOLATIONS, "invariant" => invariant).increment(violations);
}

/// Watches a partition. A state that came with a snapshot did not grow out of the one before: there the watch begins
/// anew.
pub(crate) struct PartitionWatch {
    watch: InvariantWatch,
    restored: u64,
}

impl PartitionWatch {
    /// Watches from this state on.
    pub(crate) fn new(applied: &Applied<Partition>) -> Self {
        PartitionWatch { watch: InvariantWatch::new(&applied.state.presence), restored: applied.restored() }
    }

    /// Checks what changed since the last look.
    pub(crate) fn look(&mut self, applied: &Applied<Partition>, violations: &Violations) {
        if self.restored != applied.restored() {
            *self = PartitionWatch::new(applied);
        }
        if let Err(violation) = check_cheap(&mut self.watch, &applied.state.presence) {
            violations.found(violation.name, &violation.detail);
        }
    }
}

/// Watches the cluster group, as [`PartitionWatch`] does a partition.
#[derive(Default)]
pub(crate) struct ClusterWatch {
    watch: cluster_invariants::Watch,
    restored: u64,
}

impl ClusterWatch {
    /// Checks the state where a command was applied since the last look, and the way to it.
    pub(crate) fn look(&mut self, applied: &Applied<ClusterState>, violations: &Violations) {
        if self.restored != applied.restored() {
            *self = ClusterWatch { restored: applied.restored(), ..ClusterWatch::default() };
        }
        for violation in self.watch.look(&applied.state) {
            violations.found(violation.invariant, &violation.detail);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use metrics_exporter_prometheus::PrometheusBuilder;
    use rollcall_cluster::{ClusterChange, ClusterCommand};
    use rollcall_presence::{Batch, ClaimDetails, Operation, PartitionCommand, PartitionLimits};
    use rollcall_types::{
        ClientId, ClusterTime, Incarnation, LogIndex, NodeId, OperationNumber, Owner, PartitionId, Protocol,
    };

    /// A partition after this many claims.
    fn partition(claims: u64) -> Partition {
        let mut state =
            Partition::new(PartitionId(0), PartitionLimits { feed_entries_max: 100, feed_age_ms_max: 60_000 });
        let operation = Operation::Claim(Box::new(ClaimDetails {
            client_id: ClientId::new("secret-client").unwrap(),
            username: String::new(),
            protocol: Protocol::V5,
            clean_start: true,
            keep_alive_s: 0,
            session_expiry_s: 0,
            peer: String::new(),
            bind_account: false,
            will: None,
        }));
        for number in 1..=claims {
            let owner = Owner { node: NodeId(1), incarnation: Incarnation(1) };
            let batch = Batch { owner, first: OperationNumber(number), operations: vec![operation.clone()] };
            let at = ClusterTime(number);
            let command = PartitionCommand { at, batches: vec![batch], housekeeping: Vec::new() };
            state.presence.apply(LogIndex(number), command);
        }
        state
    }

    /// A cluster group after this many commands, all of which are refused.
    fn cluster(commands: u64) -> ClusterState {
        let mut state = ClusterState::default();
        for index in 1..=commands {
            let change = ClusterChange::Leave { node: NodeId(1) };
            state.apply(LogIndex(index), ClusterCommand { at: ClusterTime(index), change });
        }
        state
    }

    #[test]
    fn a_broken_promise_is_counted_by_its_name_and_told_without_what_clients_sent() {
        let recorder = PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&recorder, || {
            let counted = |name: &str, times: u64| {
                let line = format!("{INVARIANT_VIOLATIONS}{{invariant=\"{name}\"}} {times}");
                assert!(
                    recorder.handle().render().lines().any(|found| found == line),
                    "{}",
                    recorder.handle().render()
                );
            };
            let violations = Violations::new(GroupId(3));
            counted("one_owner_per_client", 0);
            counted("positions_only_grow", 0);
            let mut watch = PartitionWatch::new(&Applied::of(partition(2), 0));
            watch.look(&Applied::of(partition(3), 0), &violations);
            assert_eq!(violations.sentence(), None);
            // The log cannot run backwards.
            watch.look(&Applied::of(partition(1), 0), &violations);
            watch.look(&Applied::of(partition(1), 0), &violations);
            counted("epochs_only_grow", 1);
            assert_eq!(violations.sentence().as_deref(), Some("the invariant epochs_only_grow is violated"));

            let mut watch = ClusterWatch::default();
            watch.look(&Applied::of(cluster(2), 0), &violations);
            watch.look(&Applied::of(cluster(3), 0), &violations);
            watch.look(&Applied::of(cluster(1), 0), &violations);
            watch.look(&Applied::of(cluster(1), 0), &violations);
            counted("positions_only_grow", 1);
            let sentence = "the invariants epochs_only_grow, positions_only_grow are violated";
            assert_eq!(violations.sentence().as_deref(), Some(sentence));
        });
    }

    #[test]
    fn a_state_that_came_with_a_snapshot_is_no_violation() {
        let violations = Violations::new(GroupId(3));
        let mut watch = PartitionWatch::new(&Applied::of(partition(1), 0));
        watch.look(&Applied::of(partition(70), 1), &violations);
        watch.look(&Applied::of(partition(2), 2), &violations);
        let mut watch = ClusterWatch::default();
        watch.look(&Applied::of(cluster(9), 0), &violations);
        watch.look(&Applied::of(cluster(2), 1), &violations);
        assert_eq!(violations.sentence(), None);
        // And watched from there on.
        watch.look(&Applied::of(cluster(1), 1), &violations);
        assert!(violations.sentence().is_some());
    }
}
