//! A node whose state breaks a promise says so: its group's failure, which readiness reports, and the counter.

use crate::cluster::{Cluster, eventually};
use bytes::Bytes;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use rollcall_raft::payload;
use rollcall_storage::{CommittedLeaderId, LogId, StoredMembership, Vote};
use rollcall_types::{GroupId, NodeId, PartitionId};
use std::{collections::BTreeMap, sync::LazyLock};

/// The counters of all tests in this process.
static METRICS: LazyLock<PrometheusHandle> = LazyLock::new(|| PrometheusBuilder::new().install_recorder().unwrap());

/// The encoded state of a cluster group that is not founded and yet has a partition placed: no rule makes it so.
fn impossible() -> Vec<u8> {
    let empty = BTreeMap::<u64, u64>::new;
    let (applied, time, facts) = (70_000_u64, 1000_u64, None::<()>);
    let placement = BTreeMap::from([(PartitionId(0), vec![NodeId(1)])]);
    let (users, policies, access_revision) = (empty(), Vec::<()>::new(), 0_u64);
    let state = (applied, time, facts, empty(), empty(), placement, empty(), users, policies, access_revision);
    payload::encode(&state).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_whose_state_breaks_a_promise_fails_by_name_and_is_counted() {
    let counted = |times: u64| {
        let line = format!("rollcall_invariant_violations_total{{invariant=\"placement_names_members\"}} {times}");
        METRICS.render().lines().any(|found| found == line)
    };
    LazyLock::force(&METRICS);
    let cluster = Cluster::start(1, 1, 1).await;
    let node = cluster.node(1);
    assert!(counted(0), "at zero before the first");
    let handle = node.replication.groups().handle(GroupId::CLUSTER).unwrap();
    assert_eq!(handle.failure(), None);

    // A leader of a later term, which has gone wrong, sends its state.
    let last = LogId::new(CommittedLeaderId::new(1000), 70_000);
    let head = (Vote::new_committed(1000, 2), Some(last), StoredMembership::default());
    let head = payload::encode(&head).unwrap();
    node.replication.answer_snapshot(GroupId::CLUSTER.0, &head, Bytes::from(impossible())).await.unwrap();

    eventually("the broken promise is named", || handle.failure().is_some()).await;
    assert_eq!(handle.failure().unwrap(), "the invariant placement_names_members is violated");
    // A partition too many, and on a node that is no member.
    assert!(counted(2));
    let partition = node.replication.groups().handle(GroupId::partition(PartitionId(0))).unwrap();
    assert_eq!(partition.failure(), None, "the other group is sound");
}
